//! Every file of a data folder, damaged in turn: found at the start or when it is read, named, and never
//! served as the truth. `docs/damage.md` holds what each kind of file must come to; reality is compared
//! with it here. `make crash` damages more files of each kind, and more places of each file.

use crate::crash::operator_client::OperatorClient;
use crate::crash::roles::Role;
use crate::support::{Folder, files, said, ward};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use vitals::Genesis;

/// How a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Flip,
    Emptied,
    Halved,
    OneByteShort,
    Gone,
    Older,
}

const DAMAGES: [Damage; 6] =
    [Damage::Flip, Damage::Emptied, Damage::Halved, Damage::OneByteShort, Damage::Gone, Damage::Older];

/// When: after an orderly stop, or after kill −9.
const SITUATIONS: [&str; 2] = ["closed", "killed"];

/// Kinds of files by what their path contains; the first that fits counts.
const KINDS: [(&str, &str); 33] = [
    ("node/records/segment-", "records: segment"),
    ("node/records/durable", "records: durable"),
    ("node/records/evidence", "records: evidence"),
    ("node/records/vault-generation", "records: vault-generation"),
    ("node/ledger/vault-generation", "ledger: vault-generation"),
    ("node/vault/vault.redb", "vault: vault.redb"),
    ("node/vault/changes", "vault: changes"),
    ("node/ledger/state.redb", "ledger: state.redb"),
    ("node/ledger/boundaries.redb", "ledger: boundaries.redb"),
    ("node/ledger/outbox", "ledger: outbox"),
    ("node/ledger/consensus/journals-of", "consensus: journals-of"),
    ("node/ledger/consensus/birth", "consensus: birth"),
    ("node/ledger/consensus/votes-", "consensus: votes"),
    ("node/ledger/consensus/blocks-", "consensus: blocks"),
    ("node/ledger/consensus/finalizations-", "consensus: finalizations"),
    ("node/ledger/consensus/marshal-application", "consensus: progress"),
    ("node/ledger/consensus/marshal-cache", "consensus: cache"),
    ("node/ports.json", "node: ports.json"),
    ("node/rpc.token", "node: rpc.token"),
    ("node/closed", "node: closed"),
    ("node.toml", "node: configuration"),
    ("passphrase", "node: passphrase"),
    ("gateway/keys/gateway.key", "gateway: gateway.key"),
    ("gateway/keys/sensor-", "gateway: sensor keys"),
    ("gateway/keys/pairing.answer", "gateway: pairing.answer"),
    ("gateway/keys/streams.key", "gateway: streams.key"),
    ("gateway/journal/0", "gateway: journal"),
    ("gateway/journal/", "gateway: journal's mark"),
    ("gateway/witness", "gateway: witness"),
    ("gateway/closed", "gateway: closed"),
    ("gateway.toml", "gateway: configuration"),
    ("lock", "locks"),
    (".hold", "locks"),
];
/// Logs and the demo's own list of logins are nobody's truth.
const LEFT_OUT: [&str; 2] = ["logs/", "ward.json"];

fn kind_of(inside: &str) -> Option<&'static str> {
    if LEFT_OUT.iter().any(|part| inside.starts_with(part)) {
        return None;
    }
    let kind = KINDS.iter().find(|(part, _)| inside.contains(part)).map(|(_, kind)| *kind);
    Some(kind.unwrap_or_else(|| panic!("{inside} is of no kind that docs/damage.md knows")))
}

/// A ward's folders at three moments.
struct Wards {
    folder: Folder,
    genesis: Genesis,
    /// Envelopes in the log, and what each gateway's stream comes to, by situation.
    logs: BTreeMap<&'static str, u64>,
    streams: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&file, &place).unwrap();
    }
}

fn role(name: &'static str, data: &Path) -> std::sync::Arc<Role> {
    let config = data.join(format!("{name}.toml")).display().to_string();
    Role::keep_up(name, &[name, "--config", &config], data.join(format!("logs/{name}.said")))
}

/// The folder as another place, with its configuration following.
fn moved(from: &Path, to: &Path, named: &Path) {
    copy(from, to);
    for name in ["node.toml", "gateway.toml"] {
        let text = std::fs::read_to_string(to.join(name)).unwrap();
        let own = text.replace(&named.display().to_string(), &to.display().to_string());
        std::fs::write(to.join(name), own).unwrap();
    }
}

impl Wards {
    fn make() -> Self {
        let folder = Folder::new();
        let data = folder.path("data");
        let run = |duration: &str| {
            let output = ward(&folder, &["--patients", "2", "--duration", duration]);
            assert!(output.status.success(), "{}", said(&output, &folder));
        };
        run("2s");
        copy(&data, &folder.path("older"));
        run("3s");
        copy(&data, &folder.path("closed"));
        let genesis = folder.report()["genesis"].as_str().unwrap().parse().unwrap();
        let closed =
            (folder.report()["node"]["log_size"].as_u64().unwrap(), streams(&folder.report()["gateway"]));

        // The same ward again, and a power cut: kill -9 while everything is under way.
        let boards = folder.text("data/boards");
        let boards =
            Role::keep_up("boards", &["simulate", "--dir", &boards, "--boards", "2"], folder.path("said"));
        boards.ready().unwrap();
        let node = role("node", &data);
        let client = OperatorClient::of(&data);
        node.ready().unwrap();
        let gateway = role("gateway", &data);
        gateway.ready().unwrap();
        // So that an older vault is an older one.
        let patient = json!({ "do": "patient", "login": "late", "name": "Late", "bed": "L",
            "password": "a long enough password" });
        client.act(patient).unwrap();
        let before = closed.0 + 6;
        let mut size = 0;
        while size < before {
            size = client.ask(&json!({ "do": "report" })).unwrap()["log_size"].as_u64().unwrap();
        }
        gateway.kill_for_good();
        node.kill_for_good();
        boards.stop(Duration::from_secs(10)).unwrap();
        copy(&data, &folder.path("killed"));
        let mut wards = Self {
            folder,
            genesis,
            logs: BTreeMap::from([("closed", closed.0), ("killed", size)]),
            streams: BTreeMap::from([("closed", closed.1)]),
        };
        // What an undamaged gateway says of itself after the power cut.
        let (_, sound) = wards.start("killed", "gateway", "sound", |_| {});
        wards.streams.insert("killed", streams(&sound.unwrap()));
        wards
    }

    /// Starts a role on a copy of the folders as they were in `situation`, after `harm` was done to it.
    fn start(
        &self,
        situation: &str,
        name: &'static str,
        place: &str,
        harm: impl FnOnce(&Path),
    ) -> (String, Result<Value, String>) {
        let data = self.folder.path(place);
        let _ = std::fs::remove_dir_all(&data);
        moved(&self.folder.path(situation), &data, &self.folder.path("data").canonicalize().unwrap());
        harm(&data);
        let role = role(name, &data);
        let outcome = role.ready().and_then(|_| {
            let served = if name == "node" { self.served(&data, situation) } else { Ok(()) };
            let done = role.stop(Duration::from_secs(30));
            served.and(done)
        });
        let said = std::fs::read_to_string(data.join(format!("logs/{name}.said"))).unwrap_or_default();
        let _ = std::fs::remove_dir_all(&data);
        (said, outcome)
    }

    /// Whatever a node serves must verify, and be no less than it was.
    fn served(&self, data: &Path, situation: &str) -> Result<(), String> {
        let client = OperatorClient::of(data);
        let figures =
            client.ask(&json!({ "do": "report" })).map_err(|why| format!("SERVES no figures: {why}"))?;
        let (size, was) = (figures["log_size"].as_u64().unwrap(), self.logs[situation]);
        if size < was {
            return Err(format!("SERVES a log of {size} leaves that had {was}"));
        }
        let bundle = data.with_extension("bundle");
        let exported = client.act(json!({ "do": "bundle", "file": bundle.display().to_string() }));
        exported.map_err(|why| format!("SERVES no bundle: {why}"))?;
        let bytes = std::fs::read(&bundle).unwrap();
        vitals::bundle::verify(&bytes, Some(self.genesis))
            .map_err(|why| format!("SERVES what is BROKEN at {why}"))?;
        Ok(())
    }

    /// What becomes of one damage, in the words of the table; `Err` if it is none of them.
    fn outcome(
        &self,
        situation: &str,
        inside: &str,
        place: &str,
        harm: impl FnOnce(&Path),
    ) -> Result<&'static str, String> {
        let name = if inside.starts_with("gateway") { "gateway" } else { "node" };
        let (said, outcome) = self.start(situation, name, place, harm);
        // A name, or the folder it is in, or the part of the ledger that holds it.
        let path = Path::new(inside);
        let mut names = vec![path.file_name().unwrap().to_str().unwrap().to_owned()];
        names.extend(
            path.parent()
                .and_then(|folder| folder.to_str())
                .filter(|folder| !folder.is_empty())
                .map(str::to_owned),
        );
        if inside.contains("/ledger/") {
            names.push("node/ledger".to_owned());
        }
        let named = |line: &str| names.iter().any(|name| line.contains(name.as_str()));
        let warned =
            said.lines().any(|line| (line.contains("WARN") || line.contains("ERROR")) && named(line));
        match outcome {
            Err(why) if why.contains("SERVES") => {
                match said.lines().any(|line| line.contains("The ledger is down")) {
                    true if why.contains("no bundle") => Ok("halted"),
                    _ => Err(format!("{why}; it said: {said}")),
                }
            }
            Err(why) => match said.lines().rfind(|line| line.starts_with("aceso: ")) {
                Some(last) if named(last) => Ok("refused"),
                _ => Err(format!("{why}, and nothing names the file: {said}")),
            },
            Ok(done) if name == "gateway" && behind(&streams(&done), &self.streams[situation]) => {
                if warned {
                    Ok("healed")
                } else {
                    Ok("behind")
                }
            }
            Ok(_) if warned => Ok("healed"),
            Ok(_) => Ok("harmless"),
        }
    }
}

/// Per stream of a gateway, the next sequence number.
fn streams(figures: &Value) -> BTreeMap<String, u64> {
    let streams = figures["streams"].as_object().unwrap();
    streams.iter().map(|(stream, next)| (stream.clone(), next.as_u64().unwrap())).collect()
}

/// Does any stream go on before its end?
fn behind(now: &BTreeMap<String, u64>, was: &BTreeMap<String, u64>) -> bool {
    was.iter().any(|(stream, next)| now.get(stream).copied().unwrap_or(0) < *next)
}

/// Damages the file; false if that would change nothing.
fn harm(file: &Path, older: &Path, damage: Damage, rng: &mut StdRng) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let mut harmed = bytes.clone();
    match damage {
        Damage::Flip if bytes.is_empty() => {}
        Damage::Flip => {
            let bit = rng.random_range(0..bytes.len() * 8);
            harmed[bit / 8] ^= 1 << (bit % 8);
        }
        Damage::Emptied => harmed.clear(),
        Damage::Halved => harmed.truncate(bytes.len() / 2),
        Damage::OneByteShort => harmed.truncate(bytes.len().saturating_sub(1)),
        Damage::Gone => {
            std::fs::remove_file(file).unwrap();
            return true;
        }
        Damage::Older => harmed = std::fs::read(older).unwrap_or(harmed),
    }
    std::fs::write(file, &harmed).unwrap();
    harmed != bytes
}

type Table = BTreeMap<(String, &'static str), BTreeMap<Damage, BTreeSet<String>>>;

/// The table that the documentation promises: `| kind | situation | flip | … |`.
fn promised() -> Table {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/damage.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut table = Table::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Some(situation) = SITUATIONS.into_iter().find(|situation| cells.get(1) == Some(situation)) else {
            continue;
        };
        let row = DAMAGES.into_iter().zip(&cells[2..]);
        let row = row.map(|(damage, cell)| (damage, cell.split(", ").map(str::to_owned).collect()));
        table.insert((cells[0].to_owned(), situation), row.collect());
    }
    table
}

struct Case {
    situation: &'static str,
    kind: &'static str,
    inside: String,
    damage: Damage,
    seed: u64,
}

/// Every kind of file that is there, in both situations, `files_max` files of each, with each damage;
/// `flips` different bits.
fn cases(wards: &Wards, damages: &[Damage], files_max: usize, flips: u64, rng: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for situation in SITUATIONS {
        let root = wards.folder.path(situation);
        let mut kinds: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for file in files(&root) {
            let inside = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if let Some(kind) = kind_of(&inside) {
                kinds.entry(kind).or_default().push(inside);
            }
        }
        for (kind, mut files) in kinds {
            files.sort();
            while files.len() > files_max {
                files.swap_remove(rng.random_range(0..files.len()));
            }
            for inside in files {
                for damage in damages {
                    // A person's text: what still reads is another configuration, and no checksum knows better.
                    if kind.ends_with("configuration") && matches!(damage, Damage::Flip | Damage::Older) {
                        continue;
                    }
                    for _ in 0..if *damage == Damage::Flip { flips } else { 1 } {
                        let (inside, damage, seed) = (inside.clone(), *damage, rng.random());
                        cases.push(Case { situation, kind, inside, damage, seed });
                    }
                }
            }
        }
    }
    cases
}

fn run(damages: &[Damage], files_max: usize, flips: u64, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let wards = Wards::make();
    let cases = cases(&wards, damages, files_max, flips, &mut rng);
    let (next, found) = (AtomicUsize::new(0), Mutex::new((Table::new(), Vec::new())));
    let promised = promised();
    std::thread::scope(|scope| {
        for hand in 0..3 {
            let (wards, cases, next, found, promised) = (&wards, &cases, &next, &found, &promised);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut rng = StdRng::seed_from_u64(case.seed);
                    let older = wards.folder.path("older").join(&case.inside);
                    let mut changed = false;
                    let outcome = wards.outcome(case.situation, &case.inside, &format!("hand-{hand}"), |data| {
                        changed = harm(&data.join(&case.inside), &older, case.damage, &mut rng);
                    });
                    if !changed {
                        continue;
                    }
                    let Case { situation, kind, inside, damage, seed } = case;
                    let word = outcome.as_ref().map_or("BAD", |word| *word);
                    let allowed = promised.get(&((*kind).to_owned(), *situation)).and_then(|row| row.get(damage));
                    let mut found = found.lock();
                    let row = found.0.entry(((*kind).to_owned(), situation)).or_default();
                    row.entry(*damage).or_default().insert(word.to_owned());
                    if !allowed.is_some_and(|allowed| allowed.contains(word)) {
                        found.1.push(format!(
                            "{situation} {inside} {damage:?} (seed {seed}): {word}, promised {allowed:?}: {outcome:?}"
                        ));
                    }
                }
            });
        }
    });
    let (table, wrong) = found.into_inner();
    print(&table);
    println!("{} damages of {} kinds of files", cases.len(), table.len().div_ceil(2));
    assert!(wrong.is_empty(), "not as docs/damage.md promises: {wrong:#?}");
}

fn print(table: &Table) {
    println!("| file | after | {} |", DAMAGES.map(|damage| format!("{damage:?}")).join(" | "));
    for ((kind, situation), row) in table {
        let cells = DAMAGES.map(|damage| match row.get(&damage) {
            Some(words) => words.iter().cloned().collect::<Vec<_>>().join(", "),
            None => "–".to_owned(),
        });
        println!("| {kind} | {situation} | {} |", cells.join(" | "));
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_found_or_harmless() {
    run(&[Damage::Flip], 1, 1, 7);
}

#[test]
fn every_damage_to_every_file_is_found_or_harmless() {
    if std::env::var_os("ACESO_CRASH_KILLS").is_none() {
        println!("the whole table runs with `make crash`");
        return;
    }
    run(&DAMAGES, 3, 4, std::env::var("ACESO_CRASH_SEED").map_or(7, |text| text.parse().unwrap()));
}
