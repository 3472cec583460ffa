#![allow(clippy::unwrap_used, reason = "tests")]
//! Four organisations on a simulated network and a simulated clock: the production wiring, with
//! real execution, under loss, a crash, a partition and a restart. The seed decides everything.

mod away;
mod campaign;
mod clocks;
mod crashes;

use crate::committee_changes::CommitteeChanges;
use crate::{
    account::{Account, address_of},
    genesis::Founding,
    machine::Machine,
    pool::Pool,
    replica::Replica,
};
use consensus::{Config, Fault, PublicKey, public_key};
use consensus_sim::{Clock as _, LinkQuality, Runner as _, SimulatedNetwork, deterministic, name};
use std::{sync::Arc, time::Duration};
use vitals::{
    ids::{Hash, OrgId},
    ledger::{Act, Outcome},
    log::{self, MerkleLog},
    proof::{
        genesis::{Founder, GenesisDocument},
        verify_header,
    },
};

const SENDER: [u8; 32] = [6; 32];
const RECORD_KEY: [u8; 32] = [7; 32];
const N: u8 = 4;

fn seed(index: usize) -> [u8; 32] {
    [u8::try_from(index + 1).unwrap(); 32]
}

fn document() -> GenesisDocument {
    document_of(usize::from(N))
}

fn document_of(validators: usize) -> GenesisDocument {
    crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("simulation"),
        time_ms: 0,
        epoch_blocks: 64,
        committee: (0..validators).map(|index| public_key(&seed(index)).unwrap()).collect(),
        operators: vec![OrgId::of(&RECORD_KEY); validators],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&SENDER).unwrap() }],
        salt: [8; 32],
    })
}

struct Member {
    replica: Arc<Replica>,
    machine: Machine,
    pool: Pool,
    account: Account,
    peer_statuses: consensus::PeerStatusTable,
    task: consensus_sim::Handle<Fault>,
}

struct TestCommittee {
    context: deterministic::Context,
    net: SimulatedNetwork,
    folder: std::path::PathBuf,
    document: GenesisDocument,
    /// Latest final blocks that are kept; none: all.
    keep_blocks: Option<u64>,
}

impl TestCommittee {
    fn on(context: deterministic::Context, folder: std::path::PathBuf, document: GenesisDocument) -> Self {
        let net = SimulatedNetwork::new(&context);
        Self { context, net, folder, document, keep_blocks: Some(consensus::KEEP_BLOCKS) }
    }

    async fn boot(&self, index: usize, life: u32) -> Member {
        self.boot_with(index, life, None).await
    }

    async fn boot_with(
        &self,
        index: usize,
        life: u32,
        clock: Option<Arc<dyn consensus::NodeClock>>,
    ) -> Member {
        let folder = self.folder.join(format!("{index}"));
        std::fs::create_dir_all(&folder).unwrap();
        let machine = Machine::open(&folder, &self.document).unwrap();
        let pool = Pool::new(machine.clone());
        let account = Account::open(&SENDER, &folder, machine.clone(), pool.clone()).unwrap();
        let committee_changes = CommitteeChanges::open(&folder, &self.document).unwrap();
        let replica =
            Arc::new(Replica::new(machine.clone(), pool.clone()).with_committee_changes(committee_changes));
        let mut config = Config::new(folder);
        config.keep_blocks = self.keep_blocks;
        config.clock = clock;
        config.heartbeat = Duration::from_millis(500);
        config.leader_timeout = Duration::from_secs(1);
        config.max_faulty = (self.document.committee.len() - 1) / 3;
        config.peers = (0..usize::from(N))
            .map(|index| consensus::Peer {
                key: public_key(&seed(index)).unwrap(),
                address: format!("127.0.0.1:{}", 1000 + index),
            })
            .collect();
        let partition = format!("v{index}-");
        let disk = (partition.as_str(), life);
        let started = self.net.start(&config, &self.document, replica.clone(), &seed(index), disk).await;
        let (task, peer_statuses) = started.unwrap();
        Member { replica, machine, pool, account, peer_statuses, task }
    }

    /// Links (or cuts) every pair of which exactly one is in `side`, or every pair.
    async fn link(&self, side: Option<&[usize]>, up: bool) {
        let names: Vec<PublicKey> = (0..usize::from(N)).map(|index| name(&seed(index))).collect();
        for (i, from) in names.iter().enumerate() {
            for (j, to) in names.iter().enumerate() {
                let across = side.is_none_or(|side| side.contains(&i) != side.contains(&j));
                if i == j || !across {
                    continue;
                }
                if up {
                    self.net.link(from, to, LinkQuality::default()).await;
                } else {
                    self.net.cut(from, to).await;
                }
            }
        }
    }

    async fn pass(&self, seconds: u64) {
        self.context.sleep(Duration::from_secs(seconds)).await;
    }
}

/// The organisation's log. The first member sends what it anchors.
#[derive(Default)]
struct Anchoring {
    log: MerkleLog,
    last: Hash,
}

impl Anchoring {
    fn next(&mut self, members: &[Member]) {
        self.next_of(&members[0]);
    }

    fn next_of(&mut self, member: &Member) {
        let anchored = self.log.size();
        self.log.push(log::leaf(&anchored.to_be_bytes()));
        let size = self.log.size();
        let consistency =
            if anchored == 0 { Vec::new() } else { self.log.consistency(anchored, size).unwrap() };
        let act = Act::Anchor { size, root: self.log.root(), consistency };
        self.last = member.account.submit(&act).unwrap();
    }
}

/// One run; its fingerprint, which depends on the seed alone.
fn simulate(seed: u64) -> (String, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(600)));
    let path = folder.path().to_owned();
    deterministic::Runner::new(config).start(|context| scenario(context, path))
}

async fn scenario(context: deterministic::Context, folder: std::path::PathBuf) -> (String, Vec<u64>) {
    let ward = TestCommittee::on(context, folder, document());
    ward.link(None, true).await;
    let mut members = Vec::new();
    for index in 0..usize::from(N) {
        members.push(ward.boot(index, 0).await);
    }
    let heights = |members: &[Member]| -> Vec<u64> {
        members.iter().map(|member| member.machine.tip().height).collect()
    };

    let mut anchoring = Anchoring::default();
    for _ in 0..10 {
        anchoring.next(&members);
        ward.pass(1).await;
    }
    let well = heights(&members);
    assert!(well.iter().all(|height| *height >= 10), "four agree: {well:?}");

    let proofs: Vec<_> = members.iter().filter_map(|member| member.replica.prove(&[]).ok()).collect();
    assert!(!proofs.is_empty(), "some height has its own certificate");
    for proof in &proofs {
        verify_header(&ward.document, proof).unwrap();
    }

    // The last one crashes: three are a quorum.
    let Member { task, .. } = members.pop().unwrap();
    task.abort();
    drop(task);
    for _ in 0..10 {
        anchoring.next(&members);
        ward.pass(1).await;
    }
    let three = heights(&members);
    assert!(three[0] > well[0] + 3, "three go on: {well:?} -> {three:?}");

    // Two against one and a dead one: nobody may go on.
    ward.link(Some(&[0, 1]), false).await;
    ward.pass(2).await;
    let cut = heights(&members);
    ward.pass(8).await;
    assert_eq!(heights(&members), cut, "no quorum, no block");

    ward.link(Some(&[0, 1]), true).await;
    members.push(ward.boot(usize::from(N) - 1, 1).await);
    for _ in 0..15 {
        anchoring.next(&members);
        ward.pass(2).await;
    }
    ward.pass(10).await;
    let end = heights(&members);
    let lowest = *end.iter().min().unwrap();
    assert!(lowest > cut[0] + 10, "healed: {cut:?} -> {end:?}");
    for height in 1..=lowest {
        let header = members[0].machine.header(height).unwrap();
        for member in &members[1..] {
            assert_eq!(member.machine.header(height).unwrap(), header, "one block at {height}");
        }
    }
    for member in &members {
        let outcome = member.pool.outcome(&anchoring.last).unwrap();
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        let anchor = member.machine.view().anchor(OrgId::of(&RECORD_KEY)).unwrap();
        assert_eq!((anchor.size, anchor.root), (anchoring.log.size(), anchoring.log.root()));
    }
    assert!(lowest > ward.document.epoch_blocks, "the second epoch was reached: {end:?}");
    (ward.context.auditor().state(), end)
}

#[test]
fn four_hospitals_agree_through_loss_crash_and_partition() {
    for seed in [1, 2] {
        let (_, heights) = simulate(seed);
        println!("seed {seed}: heights {heights:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    assert_eq!(simulate(7), simulate(7));
}
