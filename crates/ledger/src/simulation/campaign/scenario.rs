//! What outlives a power cut in a scenario: the organisations' disks, what they sent, and the results.

use super::*;
use plan::SeededRng;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use vitals::governance::Motion;

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

pub(super) fn record_key(org: usize) -> [u8; 32] {
    [0x20 + small(org); 32]
}

pub(super) fn sender(org: usize) -> [u8; 32] {
    [0x10 + small(org); 32]
}

pub(super) fn validator(index: usize) -> [u8; 32] {
    public_key(&validator_seed(index)).unwrap()
}

pub(super) fn endpoint(index: usize) -> String {
    format!("127.0.0.1:{}", 1000 + index)
}

/// What of a node is in memory.
pub(super) struct Running {
    pub(super) replica: Arc<Replica>,
    pub(super) machine: Machine,
    pub(super) pool: Pool,
    pub(super) account: Account,
    pub(super) task: consensus_sim::Handle<Fault>,
}

/// An honest organisation's node.
pub(super) struct Node {
    /// Its validator.
    pub(super) index: usize,
    pub(super) org: usize,
    pub(super) starts: u32,
    pub(super) running: Option<Running>,
    /// Sent, and not seen settled; with whether it may be refused.
    pub(super) waiting: Option<(Hash, bool)>,
    pub(super) log: MerkleLog,
    /// It lost its disk: what it sent may be lost, and its account is not used any more.
    pub(super) lost_disk: bool,
}

/// Everything that outlives a power cut.
pub(super) struct Scenario {
    pub(super) plan: Plan,
    pub(super) folder: PathBuf,
    pub(super) document: GenesisDocument,
    pub(super) nodes: Vec<Node>,
    pub(super) checker: InvariantChecker,
    /// What the organisations want to be decided.
    pub(super) motions: Vec<Motion>,
    /// Validators in the committee once all of that acts.
    pub(super) committee: BTreeSet<usize>,
    pub(super) garbage: SeededRng,
    pub(super) result: RunResult,
}

impl Scenario {
    pub(super) fn new(plan: Plan, folder: &Path) -> Self {
        let document = crate::genesis::document(Founding {
            chain_id: 84_001,
            name: String::from("simulation"),
            time_ms: 0,
            epoch_blocks: plan.epoch_blocks,
            committee: (0..FOUNDERS).map(validator).collect(),
            operators: (0..FOUNDERS).map(|org| OrgId::of(&record_key(org))).collect(),
            founders: (0..FOUNDERS)
                .map(|org| Founder { record_key: record_key(org), sender: address_of(&sender(org)).unwrap() })
                .collect(),
            salt: [8; 32],
        });
        let byzantine = plan.byzantine.as_ref().map(|(who, _)| *who);
        let node = |index| Node {
            index,
            org: index,
            starts: 0,
            running: None,
            waiting: None,
            log: MerkleLog::new(),
            lost_disk: false,
        };
        let nodes = (0..FOUNDERS).filter(|index| Some(*index) != byzantine).map(node).collect();
        let apart = folder.join("checker");
        std::fs::create_dir_all(&apart).unwrap();
        let genesis = Machine::open(&apart, &document).unwrap().genesis_header().clone();
        Self {
            checker: InvariantChecker::new(&document, &genesis),
            garbage: SeededRng::new(!plan.seed),
            plan,
            folder: folder.to_owned(),
            document,
            nodes,
            motions: Vec::new(),
            committee: (0..FOUNDERS).collect(),
            result: RunResult::default(),
        }
    }

    pub(super) fn config(&self, folder: PathBuf) -> Config {
        let mut config = Config::new(folder);
        config.heartbeat = Duration::from_millis(500);
        config.leader_timeout = Duration::from_millis(1200);
        config.max_faulty = (FOUNDERS - 1) / 3;
        config.peers = (0..FOUNDERS)
            .map(|index| consensus::Peer { key: validator(index), address: endpoint(index) })
            .collect();
        config
    }

    /// State machine, pool and account in a folder.
    pub(super) fn open_node(&self, folder: &Path, org: usize) -> (Machine, Pool, Account) {
        std::fs::create_dir_all(folder).unwrap();
        let machine = Machine::open(folder, &self.document).unwrap();
        let pool = Pool::new(machine.clone());
        let account = Account::open(&sender(org), folder, machine.clone(), pool.clone()).unwrap();
        (machine, pool, account)
    }
}
