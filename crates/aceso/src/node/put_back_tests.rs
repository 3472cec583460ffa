//! Files of an older copy put back: every subset of the parts of a node and of its gateway, with and without
//! the note of an orderly stop. A real vault, record store, clinic and gateway's folder over the ledger in
//! memory; what stands in the ledger's folder is the note that this node keeps there.
//!
//! Whatever is put back, a start refuses with a sentence, or somebody notices within ten seconds, or nothing
//! is lost. Only where every part that changed is as old as the others can nobody know: that is another time,
//! and its exact twin.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::data_folder::{self, FOLDERS, VAULT};
use super::storage;
use crate::clean_shutdown;
use crate::config::NodeConfig;
use clinic::{Arrival, Clinic, NewPerson, Verdict};
use gateway::third_party_sealer::{SealerError, ThirdPartySealer};
use host::clock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::MemoryLedger;
use vault::{Costs, Vault};
use vitals::StreamId;
use vitals::envelope::{ClockQuality, Envelope};
use vitals::ids::Hash;
use vitals::ledger::{Ledger, Role};
use vitals::metric::{Metric, Reading, Sample};

const NOON_MS: u64 = 1_795_348_800_000;
/// What a gateway writes, as `aceso gateway` notes it.
const GATEWAY_FOLDERS: [&str; 3] = ["keys", "journal", "aside"];
const NOTICED_WITHIN_S: u64 = 10;
/// Parts of the node and of the gateway, by what their paths begin with.
const PARTS: [(&str, &[&str]); 8] = [
    ("vault", &["node/vault/"]),
    ("records", &["node/records/segment-", "node/records/evidence", "node/records/vault-generation"]),
    ("the records' mark", &["node/records/durable"]),
    ("ledger", &["node/ledger/"]),
    ("journal", &["gateway/journal/0"]),
    ("the journal's mark", &["gateway/journal/durable"]),
    ("stream keys", &["gateway/keys/streams.key"]),
    ("witness", &["gateway/witness"]),
];
const LEDGER_PART: usize = 3;
const VAULT_PART: usize = 0;
/// The gateway's note of an orderly stop does not speak of it.
const WITNESS_PART: usize = 7;

/// All files below a folder, by their path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inside) = open.pop() {
        for entry in std::fs::read_dir(&inside).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
                found.insert(path, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// The ward at one moment: everything stopped in order.
struct Copy {
    files: BTreeMap<String, Vec<u8>>,
    ledger: MemoryLedger,
}

/// A node that runs, and the notes of its vault's generation that lag.
struct Node {
    clinic: Arc<Clinic>,
    behind: Vec<PathBuf>,
}

struct Ward {
    folder: tempfile::TempDir,
    ledger: Arc<MemoryLedger>,
    now_ms: u64,
    /// Header hash and leaf of everything that was acknowledged with a receipt.
    acknowledged: Vec<(Hash, u64)>,
    /// Stream, run and number of everything that was sealed: each is a nonce.
    sealed: BTreeSet<(StreamId, [u8; 16], u64)>,
}

impl Ward {
    fn data(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    fn bedside(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    fn config(&self) -> NodeConfig {
        let (data, passphrase) = (self.data(), self.folder.path().join("passphrase"));
        toml::from_str(&format!("data_dir = {data:?}\npassphrase_file = {passphrase:?}")).unwrap()
    }

    /// As a node starts, over the ledger in memory.
    fn node(&self) -> anyhow::Result<Node> {
        let config = self.config();
        let vault = data_folder::open_vault(&config)?;
        let behind = data_folder::check_generation(&config, &vault)?;
        let store = storage::open_records(&config, &vault, &*self.ledger, self.ledger.genesis())?;
        let (vault, store) = (Arc::new(vault), Arc::new(store));
        let clinic = Clinic::open(vault, store, self.ledger.clone(), data_folder::entropy(), self.now_ms)?;
        Ok(Node { clinic, behind })
    }

    fn sealer(&self) -> Result<ThirdPartySealer, SealerError> {
        let entropy: gateway::Entropy = Arc::new(clock::entropy);
        ThirdPartySealer::open(&self.bedside(), &entropy)
    }

    /// Founds the hospital, pairs a gateway with one bed, and stops in order.
    fn founded() -> Self {
        // In memory if there is such a folder: hundreds of starts need not wait for a disk.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(base).unwrap();
        std::fs::write(folder.path().join("passphrase"), "correct horse\n").unwrap();
        let at = folder.path().join("node").join(VAULT);
        let vault = Vault::create(&at, "correct horse", Costs::TEST_ONLY, data_folder::entropy()).unwrap();
        let ledger = Arc::new(MemoryLedger::founded_by(vault.record_key(), NOON_MS));
        let mut ward =
            Self { folder, ledger, now_ms: NOON_MS, acknowledged: Vec::new(), sealed: BTreeSet::new() };
        data_folder::bind_to_ledger(&ward.config(), &vault, &ward.ledger.document).unwrap();
        let record_key = vault.record_key();
        drop(vault);
        let node = ward.node().unwrap();
        node.clinic.first_administrator("admin", "Administrator", "a secret word", NOON_MS).unwrap();
        ward.ledger.block(NOON_MS);
        let (_, admin) = node.clinic.sign_in("admin", "a secret word", NOON_MS).unwrap();
        let new =
            NewPerson { login: "amira", name: "Amira", password: "the word before", role: Role::Patient };
        let (patient, _) = node.clinic.create_patient(&admin, &new, "Bed 1", NOON_MS).unwrap();
        ward.ledger.block(NOON_MS);
        let request = gateway::first_boot(&ward.bedside(), 1, &mut clock::entropy).unwrap().encode();
        let paired = node.clinic.pair(&admin, &request, &[patient], NOON_MS).unwrap();
        ward.ledger.block(NOON_MS);
        gateway::accept(&ward.bedside(), &paired.answer, Some(record_key)).unwrap();
        ward.lives(node, 4);
        ward
    }

    /// Seconds in which everything is sealed, admitted, anchored and proven; then both stop in order.
    fn lives(&mut self, node: Node, seconds: u64) {
        let mut sealer = self.sealer().unwrap();
        for _ in 0..seconds {
            assert_eq!(self.second(&node, &mut sealer), None);
        }
        node.clinic.write_alarm_events(self.now_ms);
        sealer.close().unwrap();
        drop(node);
        clean_shutdown::note(&self.data(), &FOLDERS).unwrap();
        clean_shutdown::note(&self.bedside(), &GATEWAY_FOLDERS).unwrap();
    }

    /// One second at the bed: what somebody notices in it.
    fn second(&mut self, node: &Node, sealer: &mut ThirdPartySealer) -> Option<String> {
        self.now_ms += 1000;
        let now_ms = self.now_ms;
        let heart = Reading { metric: Metric::HeartRate, at_ms: now_ms, sample: Sample::Measured(720) };
        match sealer.seal(0, &[heart], ClockQuality::Synced, now_ms) {
            Err(why) => return Some(format!("the gateway seals nothing: {why}")),
            Ok(sealed) => {
                for one in sealed {
                    let header = &one.header;
                    let nonce = (header.stream, header.run, header.seq);
                    assert!(self.sealed.insert(nonce), "a nonce is used twice: {nonce:?}");
                }
            }
        }
        let from = sealer.gateway();
        let arrivals: Vec<Arrival> =
            sealer.unproven().unwrap().into_iter().map(|bytes| Arrival { from, bytes }).collect();
        for (arrival, answer) in arrivals.iter().zip(node.clinic.admit(&arrivals, now_ms).unwrap()) {
            let index = match answer.verdict {
                Verdict::Admitted { index } | Verdict::Duplicate { index } => index,
                Verdict::Refused(why) => return Some(format!("the node refuses: {why}")),
                Verdict::Busy(why) => panic!("busy: {why}"),
            };
            if let Err(why) = sealer.receipt(&answer.receipt.unwrap(), now_ms) {
                return Some(format!("a receipt does not hold: {why}"));
            }
            self.acknowledged.push((Envelope::decode(&arrival.bytes).unwrap().hash(), index));
        }
        node.clinic.attend(now_ms);
        node.clinic.tick(now_ms);
        self.ledger.block(now_ms);
        node.clinic.tick(now_ms);
        for outgoing in node.clinic.deliveries(&[from]) {
            if let Err(why) = sealer.delivery(&outgoing.bytes, now_ms) {
                return Some(format!("a proof does not hold: {why}"));
            }
        }
        let store = node.clinic.store();
        let gaps: Vec<_> = store.streams().into_iter().flat_map(|stream| store.gaps(stream, 1)).collect();
        (!gaps.is_empty()).then(|| format!("envelopes are missing: {gaps:?}"))
    }

    fn copy(&self) -> Copy {
        Copy { files: files(self.folder.path()), ledger: self.ledger.copy() }
    }

    /// The folders as these files say.
    fn put(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        for role in [self.data(), self.bedside()] {
            std::fs::remove_dir_all(role).unwrap();
        }
        for (inside, bytes) in files {
            let path = self.folder.path().join(inside);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Is anything lost, or back, that nobody noticed?
    fn harm(&self, node: &Node, acknowledged: usize) -> Option<String> {
        let store = node.clinic.store();
        for (envelope, index) in &self.acknowledged[..acknowledged] {
            let held =
                store.read_index(*index).unwrap().map(|bytes| Envelope::decode(&bytes).unwrap().hash());
            if held != Some(*envelope) {
                return Some(format!("leaf {index} is another one than was acknowledged"));
            }
        }
        let password = |password| node.clinic.vault().verify_password("amira", password).unwrap().is_some();
        (password("the word before") || !password("the word after"))
            .then(|| "an older key is back".to_owned())
    }
}

/// The newer files with some parts of the older copy.
fn mixed(older: &Copy, newer: &Copy, put_back: &[usize]) -> BTreeMap<String, Vec<u8>> {
    let is_put_back =
        |path: &str| put_back.iter().any(|part| PARTS[*part].1.iter().any(|begin| path.starts_with(begin)));
    let pick = |copy: &Copy, wanted: bool| {
        let files = copy.files.iter().filter(move |(path, _)| is_put_back(path) == wanted);
        files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect::<Vec<_>>()
    };
    pick(newer, false).into_iter().chain(pick(older, true)).collect()
}

#[test]
fn every_subset_of_an_older_copy_is_refused_or_noticed_or_loses_nothing() {
    let mut ward = Ward::founded();
    let older = ward.copy();
    clean_shutdown::check(&ward.data()).unwrap();
    clean_shutdown::check(&ward.bedside()).unwrap();
    let node = ward.node().unwrap();
    let amira = node.clinic.vault().account("amira").unwrap().person;
    for password in ["the word between", "the word after"] {
        node.clinic.vault().set_password(amira, password).unwrap();
    }
    ward.lives(node, 4);
    let newer = ward.copy();
    let (acknowledged, sealed, now_ms) = (ward.acknowledged.len(), ward.sealed.clone(), ward.now_ms);

    // What did not change between the copies is no part of them.
    let changed: Vec<usize> = (0..PARTS.len())
        .filter(|part| *part == LEDGER_PART || mixed(&older, &newer, &[*part]) != newer.files)
        .collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for subset in 0..1_usize << changed.len() {
        let put_back: Vec<usize> = changed
            .iter()
            .enumerate()
            .filter(|(bit, _)| subset >> bit & 1 == 1)
            .map(|(_, part)| *part)
            .collect();
        let names: Vec<&str> = put_back.iter().map(|part| PARTS[*part].0).collect();
        let mut files = mixed(&older, &newer, &put_back);
        for note in ["there", "put back", "gone"] {
            for role in ["node/closed", "gateway/closed"] {
                match note {
                    "put back" => drop(files.insert(role.to_owned(), older.files[role].clone())),
                    "gone" => drop(files.remove(role)),
                    _ => {}
                }
            }
            ward.put(&files);
            let copy = if put_back.contains(&LEDGER_PART) { &older } else { &newer };
            ward.ledger = Arc::new(copy.ledger.copy());
            ward.now_ms = now_ms;
            ward.acknowledged.truncate(acknowledged);
            ward.sealed.clone_from(&sealed);
            let (outcome, said) = start(&mut ward, acknowledged);
            let in_order = match outcome {
                "refused" => said.len() > 40 && (said.contains("node") || said.contains("gateway")),
                "noticed" => true,
                "nothing lost" => !put_back.contains(&VAULT_PART),
                // As if nothing had happened since: nothing is left that could know.
                _ => put_back.len() == changed.len(),
            };
            let must_be_refused = note == "there" && put_back.iter().any(|part| *part != WITNESS_PART);
            if !in_order || (must_be_refused && outcome != "refused") {
                wrong.push(format!("{names:?}, the notes are {note}: {outcome}: {said}"));
            }
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    println!("{} parts, {outcomes:?}", changed.len());
    assert!(wrong.is_empty(), "{} of {outcomes:?}: {wrong:#?}", wrong.len());
    assert!(outcomes["refused"] > 0 && outcomes["noticed"] > 0 && outcomes["nothing lost"] > 0);
}

/// Starts both, and lets ten seconds pass: what became of it, in a word and a sentence.
fn start(ward: &mut Ward, acknowledged: usize) -> (&'static str, String) {
    let refused = |why: String| ("refused", why);
    let checked = clean_shutdown::check(&ward.data()).and_then(|()| clean_shutdown::check(&ward.bedside()));
    if let Err(why) = checked {
        return refused(format!("{why:#}"));
    }
    let node = match ward.node() {
        Ok(node) => node,
        Err(why) => return refused(format!("{why:#}")),
    };
    let mut sealer = match ward.sealer() {
        Ok(sealer) => sealer,
        Err(why) => return refused(format!("the gateway: {why}")),
    };
    if let Some(note) = node.behind.first() {
        return ("noticed", format!("{} lags behind the vault", note.display()));
    }
    for _ in 0..NOTICED_WITHIN_S {
        if let Some(said) = ward.second(&node, &mut sealer) {
            return ("noticed", said);
        }
    }
    match ward.harm(&node, acknowledged) {
        None => ("nothing lost", String::new()),
        Some(harm) => ("not noticed", harm),
    }
}
