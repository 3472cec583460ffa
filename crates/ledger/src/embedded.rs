//! The ledger inside a node: state machine, pool, the organisation's account and one validator, as
//! one [`Ledger`].

use crate::account::{Account, AccountError};
use crate::boundaries::{Boundaries, BoundaryError};
use crate::machine::{Machine, MachineError, View};
use crate::pool::Pool;
use crate::replica::{Replica, Stats};
use consensus::{
    Config as ConsensusConfig, Evidence, Observed, Peer, StartError, Status, Validator, make_durably,
};
use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
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
    /// The ledger's folder, locked by the caller. Its journals must never come from a backup.
    pub folder: PathBuf,
    /// An idle chain makes a block after this long.
    pub heartbeat: Duration,
    /// How long the other validators wait for a leader; longer than the heartbeat.
    pub leader_timeout: Duration,
    /// Lying validators the operator believes the committee survives; starting fails if it does not.
    pub traitors_survived: usize,
    /// Where other validators reach this one; without it nothing listens, which only a committee of
    /// one can do with.
    pub listen: Option<SocketAddr>,
    /// Where others are, beside what the ledger says; this wins.
    pub peers: Vec<Peer>,
}

impl Config {
    /// The defaults of a committee of one: a block every two seconds when idle, no liars claimed
    /// survived, nothing listens.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self::of(ConsensusConfig::new(folder))
    }

    /// The defaults of one validator, or follower, among several.
    #[must_use]
    pub fn among_others(folder: PathBuf, listen: SocketAddr, peers: Vec<Peer>) -> Self {
        Self::of(ConsensusConfig::among_others(folder, listen, peers))
    }

    fn of(consensus: ConsensusConfig) -> Self {
        let ConsensusConfig { folder, heartbeat, leader_timeout, traitors_survived, listen, peers } =
            consensus;
        Self { folder, heartbeat, leader_timeout, traitors_survived, listen, peers }
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

/// Why the ledger did not open. Says whose move it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made.
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
    /// The kept changes of the committee do not open.
    #[error(transparent)]
    Boundaries(#[from] BoundaryError),
    /// The organisation's account does not open.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The validator key is none.
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
    observed: Observed,
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
    /// Opens or founds the ledger of `document` in the configured folder and starts its validator.
    /// Blocks for some hundred milliseconds: call it off the async threads.
    ///
    /// # Errors
    /// Names what is wrong, and whose move it is; nothing keeps running.
    pub fn start(config: &Config, document: &GenesisDocument, keys: &Keys) -> Result<Self, OpenError> {
        let folder = &config.folder;
        let broken = |source| OpenError::Folder { folder: folder.clone(), source };
        make_durably(folder).map_err(broken)?;
        let me = crate::validator_key(&keys.validator).ok_or(OpenError::NotAKey)?;
        let machine = Machine::open(folder, document)?;
        let pool = Pool::new(machine.clone());
        let account = Account::open(&keys.sender, folder, machine.clone(), pool.clone())?;
        // A new state file is as durable as its name.
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(broken)?;
        let boundaries = Boundaries::open(folder, document)?;
        let replica = Arc::new(Replica::new(machine.clone(), pool.clone()).keeping(boundaries));
        replica.keep_evidence_in(folder).map_err(broken)?;
        let consensus = ConsensusConfig {
            folder: folder.join(JOURNALS),
            heartbeat: config.heartbeat,
            leader_timeout: config.leader_timeout,
            traitors_survived: config.traitors_survived,
            listen: config.listen,
            peers: config.peers.clone(),
        };
        let validator = Validator::start(&consensus, document, &keys.validator, replica.clone())?;
        let (status, observed) = (validator.watch(), validator.observed());
        let epoch_blocks = document.epoch_blocks;
        let validator = Mutex::new(validator);
        Ok(Self { machine, pool, account, replica, status, observed, validator, me, epoch_blocks })
    }

    /// Stops the validator and waits for it, at most about two seconds. Reads go on; acts are
    /// refused as [`LedgerError::Down`]. Blocks: call it off the async threads.
    pub fn stop(&self) {
        self.validator.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }

    /// Whether the chain moves.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows [`Self::status`].
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Follows the committed tip. Whoever is woken finds the state, the outcome of every act in the
    /// block and, if the height has one, its certificate in place.
    #[must_use]
    pub fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.replica.watch_tip()
    }

    /// What the chain did since it was started. Cheap.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.replica.stats()
    }

    /// What this node sees of the other validators.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Votes of validators that contradict each other, oldest first.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        self.replica.evidence()
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

    fn moving(&self) -> Result<(), LedgerError> {
        match &*self.status.borrow() {
            Status::Starting | Status::Running => Ok(()),
            Status::Stopped => Err(LedgerError::Down(String::from("it was stopped"))),
            Status::Down(why) => Err(LedgerError::Down(why.clone())),
        }
    }

    /// Panics on the ledger's thread.
    #[cfg(test)]
    fn panic(&self) {
        self.validator.lock().unwrap_or_else(PoisonError::into_inner).panic();
    }

    /// Ends it as a crash would.
    #[cfg(test)]
    fn crash(self) {
        self.validator.lock().unwrap_or_else(PoisonError::into_inner).crash();
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
        self.moving()?;
        if let Act::Propose(Motion::AddValidator { key, .. } | Motion::ReplaceKey { new: key, .. }) = &act
            && !consensus::is_key(key)
        {
            // The contract cannot tell.
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

    fn explorer(&self) -> Option<&dyn Explorer> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
