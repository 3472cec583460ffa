#![allow(clippy::unwrap_used, reason = "tests")]
//! Four organisations on a simulated network and a simulated clock: the production wiring, with
//! real execution, under loss, a crash, a partition and a restart. The seed decides everything.

mod crashes;

use super::{
    engine::{Channels, run},
    validator::settings,
    *,
};
use crate::{
    account::{Account, address_of},
    genesis::Founding,
    machine::Machine,
    pool::Pool,
};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_consensus::{marshal, marshal::standard::Standard, simplex};
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    Address, max_message_size,
    simulated::{self, Link, Oracle},
    utils::mux::prefixed,
};
use commonware_runtime::{
    Clock as _, Handle, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use commonware_utils::{NZU32, NZUsize, TryCollect as _, ordered::Map, probability};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
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

fn keys() -> Vec<PrivateKey> {
    (1..=N).map(|i| PrivateKey::decode(Bytes::from(vec![i; 32])).unwrap()).collect()
}

fn document() -> GenesisDocument {
    document_of(&keys())
}

fn document_of(keys: &[PrivateKey]) -> GenesisDocument {
    crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("simulation"),
        time_ms: 0,
        epoch_blocks: 64,
        committee: keys.iter().map(|k| k.public_key().as_ref().try_into().unwrap()).collect(),
        operators: vec![OrgId::of(&RECORD_KEY); keys.len()],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&SENDER).unwrap() }],
        salt: [8; 32],
    })
}

struct Member {
    state: Arc<State>,
    machine: Machine,
    pool: Pool,
    account: Account,
    task: Handle<engine::Fault>,
}

struct Ward {
    context: deterministic::Context,
    oracle: Oracle<PublicKey, deterministic::Context>,
    folder: std::path::PathBuf,
    document: GenesisDocument,
}

impl Ward {
    fn on(context: deterministic::Context, folder: std::path::PathBuf, document: GenesisDocument) -> Self {
        let most = u32::from(N);
        let max_size = max_message_size(&[
            prefixed(simplex::max_payload_size::<Scheme, Digest>(most)),
            marshal::max_payload_size::<Standard<block::Block>, Scheme>(most, &()),
        ]);
        let (network, oracle) = simulated::Network::new(
            context.child("network"),
            simulated::Config {
                max_size,
                max_peers_per_set: NZUsize!(16),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(3),
            },
        );
        network.start();
        Self { context, oracle, folder, document }
    }

    async fn boot(&self, index: usize, generation: u32) -> Member {
        let me = keys()[index].clone();
        let folder = self.folder.join(format!("{index}"));
        std::fs::create_dir_all(&folder).unwrap();
        let machine = Machine::open(&folder, &self.document).unwrap();
        let pool = Pool::new(machine.clone());
        let account = Account::open(&SENDER, &folder, machine.clone(), pool.clone()).unwrap();
        let state = Arc::new(State::new(machine.clone(), pool.clone()));
        let control = self.oracle.control(me.public_key());
        let quota = Quota::per_second(NZU32!(1024));
        let channels = Channels {
            votes: control.register(0, quota).await.unwrap(),
            certificates: control.register(1, quota).await.unwrap(),
            resolver: control.register(2, quota).await.unwrap(),
            backfill: control.register(3, quota).await.unwrap(),
            broadcast: control.register(4, quota).await.unwrap(),
        };
        let addresses: Map<PublicKey, Address> = (0u16..)
            .zip(keys())
            .map(|(i, key)| {
                let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + i));
                (key.public_key(), Address::from(at))
            })
            .try_collect()
            .unwrap();
        let mut config = Config::new(folder);
        config.heartbeat = Duration::from_millis(500);
        config.leader_timeout = Duration::from_secs(1);
        config.traitors_survived = (self.document.committee.len() - 1) / 3;
        let network = (self.oracle.socket_manager(), control, addresses);
        let partition = format!("v{index}-");
        let settings = settings(&config, &self.document, &state, me, network, partition).unwrap();
        let (context, held) = (self.context.child("validator"), state.clone());
        let task = context
            .with_attribute("index", format!("{index}_{generation}"))
            .spawn(move |context| run(context, settings, channels, held, || ()));
        Member { state, machine, pool, account, task }
    }

    /// Links (or cuts) every pair of which exactly one is in `side`, or every pair.
    async fn link(&self, side: Option<&[usize]>, up: bool) {
        let names: Vec<PublicKey> = keys().iter().map(|key| key.public_key()).collect();
        let link = Link {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            success_rate: probability!(0.98),
        };
        for (i, from) in names.iter().enumerate() {
            for (j, to) in names.iter().enumerate() {
                let across = side.is_none_or(|side| side.contains(&i) != side.contains(&j));
                if i == j || !across {
                    continue;
                }
                if up {
                    self.oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
                } else {
                    self.oracle.remove_link(from.clone(), to.clone()).await.unwrap();
                }
            }
        }
    }

    async fn pass(&self, seconds: u64) {
        self.context.sleep(Duration::from_secs(seconds)).await;
    }
}

/// The organisation's log. The first member sends what it anchors; no transaction is gossiped yet.
#[derive(Default)]
struct Anchoring {
    log: MerkleLog,
    last: Hash,
}

impl Anchoring {
    fn next(&mut self, members: &[Member]) {
        let anchored = self.log.size();
        self.log.push(log::leaf(&anchored.to_be_bytes()));
        let size = self.log.size();
        let consistency =
            if anchored == 0 { Vec::new() } else { self.log.consistency(anchored, size).unwrap() };
        let act = Act::Anchor { size, root: self.log.root(), consistency };
        self.last = members[0].account.submit(&act).unwrap();
    }
}

/// One run; its fingerprint, which depends on the seed alone.
fn simulate(seed: u64) -> (String, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(600)));
    let path = folder.path().to_owned();
    deterministic::Runner::new(config).start(|context| story(context, path))
}

async fn story(context: deterministic::Context, folder: std::path::PathBuf) -> (String, Vec<u64>) {
    let ward = Ward::on(context, folder, document());
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

    let proofs: Vec<_> = members.iter().filter_map(|member| member.state.prove(&[]).ok()).collect();
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
fn a_seed_tells_the_same_story_twice() {
    assert_eq!(simulate(7), simulate(7));
}
