#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod bundle;
mod four;
mod keeping;

use super::*;
use crate::{account::address_of, genesis::Founding};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use vitals::{
    log::{self, MerkleLog},
    proof::{
        contracts::{read_anchor, read_organisation},
        genesis::Founder,
        verify_header,
    },
};

const KEYS: Keys = Keys { validator: [5; 32], sender: [6; 32] };
const RECORD_KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(20);

fn org() -> OrgId {
    OrgId::of(&RECORD_KEY)
}

fn document() -> GenesisDocument {
    crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("ward"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: crate::EPOCH_BLOCKS,
        committee: vec![crate::validator_key(&KEYS.validator).unwrap()],
        operators: vec![OrgId::of(&RECORD_KEY)],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&KEYS.sender).unwrap() }],
        salt: [8; 32],
    })
}

/// A one-validator chain and the log its organisation anchors.
struct Ward {
    chain: EmbeddedChain,
    log: MerkleLog,
}

impl EmbeddedChain {
    /// Waits for a block; fails if the ledger goes down instead.
    fn moved(&self, tip: &mut watch::Receiver<Tip>) {
        let mut status = self.watch_status();
        let down = std::pin::pin!(status.wait_for(|status| *status != Status::Running));
        let block = std::pin::pin!(tip.changed());
        futures::executor::block_on(futures::future::select(block, down));
        assert_eq!(self.status(), Status::Running);
    }
}

impl Ward {
    fn open(folder: &Path) -> Self {
        let chain = EmbeddedChain::start(&Config::new(folder.to_owned()), &document(), &KEYS).unwrap();
        let mut log = MerkleLog::new();
        let anchored = chain.anchor(org()).unwrap().map_or(0, |anchor| anchor.size);
        for at in 0..anchored {
            log.push(log::leaf(&at.to_be_bytes()));
        }
        Self { chain, log }
    }

    /// Anchors one more leaf and waits until that is final.
    fn anchor_next(&mut self) -> u64 {
        let anchored = self.log.size();
        self.log.push(log::leaf(&anchored.to_be_bytes()));
        let size = self.log.size();
        let consistency =
            if anchored == 0 { Vec::new() } else { self.log.consistency(anchored, size).unwrap() };
        let mut tip = self.chain.watch_tip();
        let act = Act::Anchor { size, root: self.log.root(), consistency };
        let id = self.chain.submit(act).unwrap();
        let start = Instant::now();
        loop {
            match self.chain.outcome(id) {
                Outcome::Done { height } => return height,
                Outcome::Pending => {}
                other => panic!("{other:?}"),
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", self.chain.status());
            self.chain.moved(&mut tip);
        }
    }

    fn height(&self) -> u64 {
        self.chain.tip().height
    }
}

#[test]
fn an_anchor_is_final_soon_and_proven_without_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let mut ward = Ward::open(folder.path());
    assert!(matches!(ward.chain.prove(&[]), Err(LedgerError::Busy(_))), "genesis has no certificate");
    let mut took = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        ward.anchor_next();
        took.push(start.elapsed());
    }
    took.sort();
    println!("submit to final: p50 {:?}, p90 {:?}, max {:?}", took[24], took[44], took[49]);
    println!("stats {:?}", ward.chain.stats());

    let facts = [Fact::Anchor(org()), Fact::Organisation(org()), Fact::Anchor(OrgId([1; 16]))];
    let bytes = ward.chain.prove(&facts).unwrap().encode();
    println!("proof of three facts: {} bytes", bytes.len());
    // A stranger with the genesis document and these bytes.
    let (document, proof) = (document(), LedgerProof::decode(&bytes).unwrap());
    let header = verify_header(&document, &proof).unwrap();
    let root = header.state_root;
    let anchor = read_anchor(&root, &document, org(), &proof.accounts[0]).unwrap().unwrap();
    assert_eq!((anchor.size, anchor.root), (50, ward.log.root()));
    let organisation = read_organisation(&root, &document, org(), &proof.accounts[1]).unwrap().unwrap();
    assert_eq!(organisation.record_key, RECORD_KEY);
    let nobody = read_anchor(&root, &document, OrgId([1; 16]), &proof.accounts[2]).unwrap();
    assert_eq!(nobody, None);

    for at in 0..proof.header.len() {
        let mut bad = proof.clone();
        bad.header[at] ^= 0x40;
        assert!(verify_header(&document, &bad).is_err(), "header byte {at}");
    }
    for at in 0..proof.certificate.len() {
        let mut bad = proof.clone();
        bad.certificate[at] ^= 0x40;
        assert!(verify_header(&document, &bad).is_err(), "certificate byte {at}");
    }
    ward.chain.stop();
    assert_eq!(ward.chain.status(), Status::Stopped);
    let act = Act::Anchor { size: 51, root: [0; 32], consistency: Vec::new() };
    assert!(matches!(ward.chain.submit(act), Err(LedgerError::Down(_))));
}

#[test]
fn refusal_of_a_contract_has_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut ward = Ward::open(folder.path());
    ward.anchor_next();
    let mut tip = ward.chain.watch_tip();
    let fork = Act::Anchor { size: 1, root: [1; 32], consistency: Vec::new() };
    let id = ward.chain.submit(fork).unwrap();
    while ward.chain.outcome(id) == Outcome::Pending {
        ward.chain.moved(&mut tip);
    }
    assert!(matches!(ward.chain.outcome(id), Outcome::Refused { .. }));
    assert_eq!(ward.chain.outcome([9; 32]), Outcome::Unknown);
}

#[test]
fn an_idle_chain_makes_a_block_at_each_heartbeat() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().to_owned());
    config.agreement.heartbeat = Duration::from_millis(200);
    let chain = EmbeddedChain::start(&config, &document(), &KEYS).unwrap();
    let mut tip = chain.watch_tip();
    let start = Instant::now();
    for _ in 0..3 {
        chain.moved(&mut tip);
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(350), "three beats in {took:?}");
    assert_eq!(chain.stats().transactions, 0);
}

#[test]
fn a_panic_takes_the_ledger_down_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut ward = Ward::open(folder.path());
    ward.anchor_next();
    ward.chain.panic();
    let Status::Down(why) = ward.chain.status() else { panic!("{:?}", ward.chain.status()) };
    assert!(why.contains("panicking as asked"), "{why}");
    assert_eq!(ward.chain.anchor(org()).unwrap().unwrap().size, 1, "reads go on");
    assert!(ward.chain.prove(&[Fact::Anchor(org())]).is_ok(), "proofs too");
    let act = Act::Anchor { size: 2, root: [0; 32], consistency: Vec::new() };
    assert!(matches!(ward.chain.submit(act), Err(LedgerError::Down(_))));
    drop(ward);
    Ward::open(folder.path()).anchor_next();
}

#[test]
fn one_founder_among_several_must_listen_and_say_where_the_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut two = document();
    two.committee.push(crate::validator_key(&[9; 32]).unwrap());
    two.committee.sort_unstable();
    two.operators.push(org());
    let start = |change: fn(&mut Config)| {
        let mut config = Config::new(folder.path().to_owned());
        change(&mut config);
        EmbeddedChain::start(&config, &two, &KEYS).map(|_| ()).unwrap_err().to_string()
    };
    assert!(start(|_| ()).contains("not the only founder"));
    let nonsense = |config: &mut Config| {
        config.agreement.listen = Some("127.0.0.1:0".parse().unwrap());
        config.agreement.peers = vec![Peer { key: [1; 32], address: String::from("nowhere") }];
    };
    assert!(start(nonsense).contains("host:port"), "{}", start(nonsense));
    assert!(start(|config| config.agreement.max_faulty = 1).contains("3f+1"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new(folder.path().to_owned());
    config.agreement.listen = Some(taken.local_addr().unwrap());
    let why = EmbeddedChain::start(&config, &two, &KEYS).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("cannot listen"), "{why}");
}

#[test]
fn a_crashed_chain_goes_on_from_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut ward = Ward::open(folder.path());
        let before = ward.height();
        assert_eq!(ward.log.size(), 3 * round, "what was final is still there");
        if round > 0 {
            // The tip's certificate is found again without a new block.
            verify_header(&document(), &ward.chain.prove(&[Fact::Anchor(org())]).unwrap()).unwrap();
        }
        for _ in 0..3 {
            assert!(ward.anchor_next() > before);
        }
        ward.chain.crash();
    }
}

/// Run by the next test in a process of its own, and killed there.
#[test]
fn child_that_anchors_until_it_is_killed() {
    let Some(folder) = std::env::var_os("ACESO_TEST_LEDGER") else { return };
    let mut ward = Ward::open(Path::new(&folder));
    loop {
        ward.anchor_next();
        println!("final {}", ward.log.size());
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_final() {
    let folder = tempfile::tempdir().unwrap();
    let child_test = "embedded::tests::child_that_anchors_until_it_is_killed";
    let mut last = 0u64;
    for lines in [1, 7, 30] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child_test, "--nocapture"])
            .env("ACESO_TEST_LEDGER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let heard = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.rsplit_once("final ")?.1.parse::<u64>().ok())
            .take(lines)
            .last();
        child.kill().unwrap();
        child.wait().unwrap();
        last = heard.unwrap().max(last);
    }
    let mut ward = Ward::open(folder.path());
    assert!(ward.log.size() >= last, "{} anchored, {last} were final", ward.log.size());
    ward.anchor_next();
}

#[test]
fn a_validator_whose_votes_are_gone_refuses_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut ward = Ward::open(folder.path());
    ward.anchor_next();
    drop(ward);
    let start = |keys: &Keys| {
        EmbeddedChain::start(&Config::new(folder.path().to_owned()), &document(), keys)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let journals = folder.path().join(JOURNALS);
    let aside = folder.path().join("aside");
    fs::rename(&journals, &aside).unwrap();
    let why = start(&KEYS);
    assert!(why.contains("could vote twice") && why.contains("new validator key"), "{why}");
    fs::remove_dir_all(&journals).unwrap();
    fs::rename(&aside, &journals).unwrap();
    let why = start(&Keys { validator: [9; 32], ..KEYS });
    assert!(why.contains("not the only founder"), "{why}");
    Ward::open(folder.path()).anchor_next();
}

#[test]
fn journals_older_than_the_state_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Ward::open(folder.path()).anchor_next();
    let (journals, copy) = (folder.path().join(JOURNALS), folder.path().join("copy"));
    let copied = Command::new("cp").arg("-r").args([&journals, &copy]).status().unwrap();
    assert!(copied.success());
    Ward::open(folder.path()).anchor_next();
    fs::remove_dir_all(&journals).unwrap();
    fs::rename(&copy, &journals).unwrap();
    let chain = EmbeddedChain::start(&Config::new(folder.path().to_owned()), &document(), &KEYS);
    let why = chain.map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("could vote twice"), "{why}");
}
