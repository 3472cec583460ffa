//! The ledger inside a node: state machine, pool, the organisation's account and one validator, as one
//! [`Ledger`].

use crate::account::{Account, AccountError};
use crate::committee_changes::{CommitteeChangeError, CommitteeChanges};
use crate::machine::{self, Machine, MachineError, View};
use crate::pool::Pool;
use crate::replica::{Replica, Stats};
use crate::snapshot::Offer;
use consensus::{Config as ConsensusConfig, Evidence, Peer, PeerStatusTable, StartError, Status, Validator};
use durable::{Disk as _, Os};
use parking_lot::Mutex;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::sync::watch;
use vitals::{
    explorer::Explorer,
    governance::Motion,
    ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PersonId},
    ledger::{
        Act, ActId, Anchor, ConsentMessage, Device, Fact, Grant, Ledger, LedgerError, Organisation, Outcome,
        Person, Tip,
    },
    proof::{LedgerProof, genesis::GenesisDocument},
};

/// Folder of the validator's journals inside the ledger's folder.
const JOURNALS: &str = "consensus";

/// How the ledger of a node runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The ledger's folder, locked by the caller. Never restore its journals from a backup.
    pub folder: PathBuf,
    /// How its validator runs. Its journals are inside the ledger's folder.
    pub agreement: ConsensusConfig,
    /// Memory bounds, and how many states are kept.
    pub machine: machine::Config,
    /// What is kept of past blocks; it goes before what [`Self::machine`] and [`Self::agreement`] say of that.
    pub history: History,
}

/// What is kept of past blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Everything, for ever.
    All,
    /// Transactions, receipts and events of the latest epochs, this many and at least two; headers and what
    /// other validators need to follow of the latest [`consensus::KEEP_BLOCKS`] blocks.
    Epochs(u64),
}

impl Default for History {
    fn default() -> Self {
        Self::Epochs(EPOCHS_MIN)
    }
}

/// Fewest epochs whose transactions are kept.
pub const EPOCHS_MIN: u64 = 2;

impl History {
    /// Blocks whose transactions are kept, and blocks whose headers are.
    fn blocks(self, epoch_blocks: u64, keep_states: u64) -> (Option<u64>, Option<u64>) {
        match self {
            Self::All => (None, None),
            Self::Epochs(epochs) => {
                let bodies = epochs.max(EPOCHS_MIN).saturating_mul(epoch_blocks).max(keep_states);
                (Some(bodies), Some(consensus::KEEP_BLOCKS.max(bodies)))
            }
        }
    }
}

impl Config {
    /// The defaults of a committee of one: a block every two seconds when idle, no faulty validators, and
    /// nothing listens.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let agreement = ConsensusConfig::new(folder.join(JOURNALS));
        Self { folder, agreement, machine: machine::Config::default(), history: History::default() }
    }

    /// The defaults of one validator, or follower, among several.
    #[must_use]
    pub fn among_others(folder: PathBuf, listen: SocketAddr, peers: Vec<Peer>) -> Self {
        let agreement = ConsensusConfig::among_others(folder.join(JOURNALS), listen, peers);
        Self { agreement, ..Self::new(folder) }
    }
}

/// The secrets a node's ledger needs.
#[derive(Clone)]
pub struct Keys {
    /// Ed25519 seed of the validator. Never restored from a backup.
    pub validator: [u8; 32],
    /// secp256k1 secret of the organisation's account.
    pub sender: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Why the ledger did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created.
    #[error("the ledger folder {folder} cannot be used: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state does not open.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The stored changes of the committee do not open.
    #[error(transparent)]
    CommitteeChanges(#[from] CommitteeChangeError),
    /// The ledger began with a snapshot, and one of its two files is missing or another one's.
    #[error(
        "state.redb began at height {state} and boundaries.redb at height {committee_changes}, so they do not belong \
         together: bring both back from the same moment, or import a snapshot again"
    )]
    Snapshot {
        /// Height of the snapshot that the state began with; zero: genesis.
        state: u64,
        /// Height of the snapshot that the certificate is of; zero: none is there.
        committee_changes: u64,
    },
    /// The organisation's account does not open.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The validator key is invalid.
    #[error("the validator key is not an Ed25519 key")]
    NotAKey,
    /// Consensus does not start.
    #[error(transparent)]
    Consensus(#[from] StartError),
}

/// A running ledger. Dropping it stops it.
pub struct EmbeddedChain {
    machine: Machine,
    pool: Pool,
    account: Account,
    replica: Arc<Replica>,
    status: watch::Receiver<Status>,
    peer_statuses: PeerStatusTable,
    validator: Mutex<Validator>,
    /// This node's validator key.
    pub(crate) me: [u8; 32],
    pub(crate) epoch_blocks: u64,
}

impl std::fmt::Debug for EmbeddedChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedChain").field("tip", &self.tip()).finish_non_exhaustive()
    }
}

impl EmbeddedChain {
    /// Opens or creates the ledger of `document` in the configured folder and starts its validator.
    /// Blocks for some hundred milliseconds: call it outside async threads.
    ///
    /// # Errors
    /// If a part does not open or start; then nothing keeps running.
    pub fn start(config: &Config, document: &GenesisDocument, keys: &Keys) -> Result<Self, OpenError> {
        let folder = &config.folder;
        let broken = |source| OpenError::Folder { folder: folder.clone(), source };
        Os.make_folder(folder).map_err(broken)?;
        let me = crate::validator_key(&keys.validator).ok_or(OpenError::NotAKey)?;
        let (keep_bodies, keep_headers) =
            config.history.blocks(document.epoch_blocks, config.machine.keep_states);
        let kept = machine::Config { keep_bodies, keep_headers, ..config.machine };
        let machine = Machine::open_with(folder, document, &kept)?;
        let pool = Pool::new(machine.clone());
        let account = Account::open(&keys.sender, folder, machine.clone(), pool.clone())?;
        // Makes the names of new files durable.
        Os.sync_folder(folder).map_err(broken)?;
        let committee_changes = CommitteeChanges::open(folder, document)?;
        let (base, snapshot_base) =
            (machine.base().map_err(MachineError::from)?, committee_changes.snapshot_base());
        let height = |snapshot_base: &consensus::SnapshotBase| snapshot_base.header.height;
        if snapshot_base.map_or(0, height) != base {
            return Err(OpenError::Snapshot {
                state: base,
                committee_changes: snapshot_base.map_or(0, height),
            });
        }
        let replica =
            Arc::new(Replica::new(machine.clone(), pool.clone()).with_committee_changes(committee_changes));
        replica.keep_evidence_in(folder).map_err(broken)?;
        let agreement = ConsensusConfig { keep_blocks: keep_headers, ..config.agreement.clone() };
        let validator = Validator::start(&agreement, document, &keys.validator, replica.clone())?;
        let (status, peer_statuses) = (validator.watch(), validator.peer_statuses());
        let epoch_blocks = document.epoch_blocks;
        let validator = Mutex::new(validator);
        Ok(Self { machine, pool, account, replica, status, peer_statuses, validator, me, epoch_blocks })
    }

    /// Stops the validator and waits for it, at most about two seconds. Reads still work; acts are refused
    /// with [`LedgerError::Down`]. Blocking: call it outside async threads.
    pub fn stop(&self) {
        self.validator.lock().stop();
    }

    /// The status of the validator.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Watches [`Self::status`].
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Watches the committed tip. When it changes, the state, the outcome of every act in the block and, if
    /// the height has one, its certificate can be read already.
    #[must_use]
    pub fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.replica.watch_tip()
    }

    /// What the chain did since it was started.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.replica.stats()
    }

    /// What this node observes of the other validators.
    #[must_use]
    pub fn peer_statuses(&self) -> &PeerStatusTable {
        &self.peer_statuses
    }

    /// Votes of validators that contradict each other, oldest first.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        self.replica.evidence()
    }

    /// The first block that changed the committee and whose certificate is missing here: proofs do not reach
    /// beyond it. The other validators are asked for it until one has it.
    #[must_use]
    pub fn gap(&self) -> Option<u64> {
        self.replica.gap()
    }

    /// The state after the newest epoch's last block, for a node that joins late.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] until such a block is final.
    pub fn offer(&self) -> Result<Offer, LedgerError> {
        self.replica.offer().ok_or_else(|| {
            let next = (self.tip().height / self.epoch_blocks + 1) * self.epoch_blocks - 1;
            LedgerError::Busy(format!("a snapshot is taken of an epoch's last block; the next is {next}"))
        })
    }

    /// The committed state, for several reads at one height.
    #[must_use]
    pub fn view(&self) -> View {
        self.machine.view()
    }

    /// The state machine, for reads of blocks and receipts.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The waiting transactions.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The address acts are sent from.
    #[must_use]
    pub fn sender(&self) -> [u8; 20] {
        self.account.address()
    }

    fn check_running(&self) -> Result<(), LedgerError> {
        match &*self.status.borrow() {
            Status::Starting | Status::Running => Ok(()),
            Status::Stopped => Err(LedgerError::Down(String::from("it was stopped"))),
            Status::Down(why) => Err(LedgerError::Down(why.clone())),
        }
    }

    /// Panics on the ledger's thread.
    #[cfg(test)]
    fn panic(&self) {
        self.validator.lock().panic();
    }

    /// Stops it as a crash would.
    #[cfg(test)]
    fn crash(self) {
        self.validator.lock().crash();
    }
}

impl Ledger for EmbeddedChain {
    fn genesis(&self) -> Genesis {
        self.machine.genesis()
    }

    fn tip(&self) -> Tip {
        self.machine.tip()
    }

    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        self.machine.view().organisation(org)
    }

    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        self.machine.view().device(id)
    }

    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        self.machine.view().person(id)
    }

    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        self.machine.view().grant(id)
    }

    fn policy_agrees(&self, grant: GrantId, class: Class) -> Result<bool, LedgerError> {
        Ok(self.machine.policy_agrees(&self.machine.view(), grant, class))
    }

    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        Ok(self.machine.view().anchor(org))
    }

    fn grant_id(&self, message: &ConsentMessage) -> GrantId {
        vitals::eip712::grant_id(message.patient, &message.nonce)
    }

    fn consent_digest(&self, message: &ConsentMessage) -> Hash {
        self.machine.domain().consent_digest(message)
    }

    fn revocation_digest(&self, grant: GrantId) -> Hash {
        self.machine.domain().revocation_digest(grant)
    }

    fn p256_signer(&self, public_key: &[u8; 64]) -> Vec<u8> {
        self.machine.domain().p256_signer(public_key)
    }

    fn submit(&self, act: Act) -> Result<ActId, LedgerError> {
        self.check_running()?;
        if let Act::Propose(Motion::AddValidator { key, .. } | Motion::ReplaceKey { new: key, .. }) = &act
            && !consensus::is_key(key)
        {
            // The contract cannot check it.
            let why = "the validator key is not an Ed25519 public key: take it from the node that is to join";
            return Err(LedgerError::Refused(String::from(why)));
        }
        self.account.submit(&act)
    }

    fn outcome(&self, act: ActId) -> Outcome {
        self.pool.outcome(&act).unwrap_or_else(|why| {
            tracing::error!(%why, "The outcome of an act cannot be read: {why}");
            Outcome::Unknown
        })
    }

    fn prove(&self, facts: &[Fact]) -> Result<LedgerProof, LedgerError> {
        self.replica.prove(facts)
    }

    fn down(&self) -> Option<String> {
        match &*self.status.borrow() {
            Status::Down(why) => Some(why.clone()),
            Status::Starting | Status::Running | Status::Stopped => None,
        }
    }

    fn others_ahead_ms(&self, from_ms: u64) -> Option<i64> {
        self.peer_statuses.clocks_ahead_ms(from_ms)
    }

    fn explorer(&self) -> Option<&dyn Explorer> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
