//! The ledger on an existing permissioned Ethereum network, reached by JSON-RPC: the same contracts, on
//! blocks that other validators agree on.
//!
//! In contrast to the embedded chain, the network's validators and the one node that is asked are trusted.
//! Its blocks carry no certificate of ours, so there is no [`LedgerProof`] (`docs/decisions/111`).

mod acts;
mod code;
mod deploy;
mod follow;
mod network;
mod policy_calls;
mod rpc;
mod state_cache;

pub use deploy::{Deployed, deploy, seat_key};
pub use network::{Network, PUBLIC_CHAINS, RemoteError};
pub use rpc::RpcError;

use crate::Status;
use crate::account::{AccountError, act_transaction, address_of, signed};
use crate::chain::{Chain, Event, Records};
use crate::contracts::Contracts;
use crate::genesis::GenesisError;
use acts::{ACTS_MAX, Acts};
use alloy_primitives::Address;
use parking_lot::{Mutex, RwLock};
use policy_calls::PolicyCalls;
use rpc::Rpc;
use secp256k1::SecretKey;
use state_cache::{StateCache, StateUpdate};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{Notify, watch};
use vitals::eip712::ConsentDomain;
use vitals::ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PersonId};
use vitals::ledger::{
    Act, ActId, Anchor, ConsentMessage, Device, Fact, Grant, Ledger, LedgerError, Organisation, Outcome,
    Person, Tip,
};
use vitals::proof::LedgerProof;
use vitals::proof::genesis::GenesisDocument;

/// The ledger of one organisation on another network. Dropping it stops it.
pub struct RemoteChain {
    inner: Arc<Inner>,
    policy_calls: PolicyCalls,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    network: Network,
    rpc: Rpc,
    genesis: Genesis,
    domain: ConsentDomain,
    contracts: Contracts,
    key: SecretKey,
    address: Address,
    /// Written only with `acts` locked.
    cache: RwLock<Arc<StateCache>>,
    acts: Mutex<Acts>,
    status: watch::Sender<Status>,
    tip: watch::Sender<Tip>,
    wake: Notify,
}

impl fmt::Debug for RemoteChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteChain").field("tip", &self.tip()).finish_non_exhaustive()
    }
}

/// A runtime for the thread that talks to the network.
fn runtime() -> Result<tokio::runtime::Runtime, RemoteError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The result of [`check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkCheck {
    /// The newest block with enough confirmations.
    pub height: u64,
    /// The active organisation that the account in question sends for.
    pub sends_for: Option<OrgId>,
    /// That account's next nonce.
    pub nonce: u64,
}

/// Checks that this is the configured network, that this build's contracts are on it and that all their
/// records can be read; returns whom `sender` sends for. Blocking: call it outside async threads.
///
/// # Errors
/// If one of these checks fails.
pub fn check(
    network: &Network,
    document: &GenesisDocument,
    sender: Option<[u8; 20]>,
) -> Result<NetworkCheck, RemoteError> {
    let rpc = network.connect()?;
    let contracts = Contracts::of(document).ok_or(GenesisError::ContractsMissing)?;
    let Network { first_block, confirmations, log_blocks, .. } = *network;
    runtime()?.block_on(async {
        network.check_chain(&rpc).await?;
        network.check_codes(&rpc, document).await?;
        let head = network::head(&rpc).await?;
        let height = head.checked_sub(confirmations).filter(|height| *height >= first_block);
        let height = height.ok_or(RemoteError::TooShort { head, first_block, confirmations })?;
        let block = network::block(&rpc, height).await?;
        let block = block.ok_or(RemoteError::TooShort { head, first_block, confirmations })?;
        let account = sender.unwrap_or_default();
        let after = first_block.saturating_sub(1);
        let update = StateUpdate::read(&rpc, &contracts, account.into(), log_blocks, after, &block).await?;
        let mut cache = StateCache::empty(first_block);
        cache.apply(update);
        Ok(NetworkCheck { height, sends_for: cache.sends_for(account), nonce: cache.nonce })
    })
}

impl Inner {
    fn new(
        folder: &Path,
        network: Network,
        document: &GenesisDocument,
        secret: &[u8; 32],
    ) -> Result<Self, RemoteError> {
        let contracts = Contracts::of(document).ok_or(GenesisError::ContractsMissing)?;
        let domain = ConsentDomain::of(document).ok_or(GenesisError::ContractsMissing)?;
        let key = SecretKey::from_byte_array(secret).map_err(|_| AccountError::NotAKey)?;
        let address = Address::from(address_of(secret)?);
        std::fs::create_dir_all(folder)?;
        let acts = Acts::open(folder, network.chain_id, &contracts, address)?;
        let cache = StateCache::empty(network.first_block);
        Ok(Self {
            rpc: network.connect()?,
            genesis: document.hash(),
            domain,
            contracts,
            key,
            address,
            status: watch::Sender::new(Status::Starting),
            tip: watch::Sender::new(cache.tip),
            cache: RwLock::new(Arc::new(cache)),
            acts: Mutex::new(acts),
            wake: Notify::new(),
            network,
        })
    }

    fn cache(&self) -> Arc<StateCache> {
        self.cache.read().clone()
    }

    /// Checks the network and reads all records, before the first answer is given.
    async fn initial_sync(&self, document: &GenesisDocument) -> Result<(), RemoteError> {
        let Network { first_block, confirmations, .. } = self.network;
        self.network.check_chain(&self.rpc).await?;
        self.network.check_codes(&self.rpc, document).await?;
        if !self.follow().await? {
            let head = network::head(&self.rpc).await?;
            return Err(RemoteError::TooShort { head, first_block, confirmations });
        }
        self.status.send_replace(Status::Running);
        Ok(())
    }

    /// Sends and follows, round after round, until a block that counted as final is replaced.
    async fn run(&self) {
        for round in 0.. {
            let done = match self.send(round).await {
                Ok(()) => self.follow().await.map(|_| ()),
                // Follow the chain even if sending fails.
                Err(why) => self.follow().await.and(Err(why.into())),
            };
            let status = match &done {
                Ok(()) => Status::Running,
                Err(why) => Status::Down(why.to_string()),
            };
            if let Err(why) = &done
                && *self.status.borrow() != status
            {
                tracing::warn!(%why, "The ledger's network fails: {why}");
            }
            self.status.send_if_modified(|before| std::mem::replace(before, status.clone()) != status);
            if matches!(done, Err(RemoteError::Replaced { .. })) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.network.poll) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Refuses unless the network is followed.
    fn check_running(&self) -> Result<(), LedgerError> {
        match &*self.status.borrow() {
            Status::Starting | Status::Running => Ok(()),
            Status::Stopped => Err(LedgerError::Down(String::from("it was stopped"))),
            Status::Down(why) => Err(LedgerError::Down(why.clone())),
        }
    }

    fn submit(&self, act: &Act) -> Result<ActId, LedgerError> {
        self.check_running()?;
        // Locked until the act is in the file, so that no nonce is used twice.
        let mut acts = self.acts.lock();
        let cache = self.cache();
        let org = cache.sends_for(self.address.0.0).ok_or_else(|| {
            LedgerError::Refused(format!("{} is not the sender of an active organisation", self.address))
        })?;
        // The address book is not read on other networks.
        if self.contracts.check_available(act).is_err() {
            let why = "roles beyond the first five are not available on another network";
            return Err(LedgerError::Refused(String::from(why)));
        }
        if acts.is_full() {
            return Err(LedgerError::Busy(format!("{ACTS_MAX} acts wait for the network")));
        }
        let nonce = acts.next_nonce(cache.nonce);
        let mut tx = act_transaction(self.network.chain_id, nonce, self.contracts.call(org, act));
        tx.max_fee_per_gas = self.network.fee_wei_max.into();
        tx.max_priority_fee_per_gas = self.network.tip_wei.into();
        let id = acts.push(nonce, signed(&self.key, tx))?;
        self.wake.notify_one();
        Ok(id)
    }
}

impl RemoteChain {
    /// Connects to the network, checks that it is the one `document` was written for and has this build's
    /// contracts, reads all their records and follows it from then on. Acts wait in `folder`, which the
    /// caller has locked. Blocking: call it outside async threads.
    ///
    /// # Errors
    /// If a check fails or the network is not reached; then nothing keeps running.
    pub fn start(
        folder: &Path,
        network: Network,
        document: &GenesisDocument,
        secret: &[u8; 32],
    ) -> Result<Self, RemoteError> {
        let inner = Arc::new(Inner::new(folder, network, document, secret)?);
        let (stop, mut stopped) = watch::channel(false);
        let (begun, wait) = mpsc::channel();
        let (policy_calls, calls) = policy_calls::channel();
        let (inside, document) = (inner.clone(), document.clone());
        let thread = std::thread::Builder::new().name("ledger-remote".to_owned()).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(why) => return drop(begun.send(Err(why))),
            };
            let work = async {
                let first = inside.initial_sync(&document).await;
                let good = first.is_ok();
                drop(begun.send(first));
                if good {
                    tokio::spawn(inside.clone().serve_policy_calls(calls));
                    inside.run().await;
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stopped.changed() => {}
                }
            });
        })?;
        let chain = Self { inner, policy_calls, stop, thread: Mutex::new(Some(thread)) };
        let first = wait.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread is gone").into()));
        first.map(|()| chain)
    }

    /// Whether the network is followed.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.status.borrow().clone()
    }

    /// Follows [`Self::status`].
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    fn end(&self) {
        self.stop.send_replace(true);
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("The thread that followed the ledger's network had panicked");
        }
        self.inner.status.send_replace(Status::Stopped);
    }
}

impl Drop for RemoteChain {
    fn drop(&mut self) {
        self.end();
    }
}

impl Chain for RemoteChain {
    fn view(&self) -> Box<dyn Records> {
        Box::new(self.inner.cache())
    }

    fn logs(&self, heights: RangeInclusive<u64>) -> Result<Vec<Event>, LedgerError> {
        self.inner.cache().events(*heights.start(), *heights.end())
    }

    fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.inner.tip.subscribe()
    }

    fn sender(&self) -> [u8; 20] {
        self.inner.address.0.0
    }

    fn stop(&self) {
        self.end();
    }
}

impl Ledger for RemoteChain {
    fn genesis(&self) -> Genesis {
        self.inner.genesis
    }

    fn tip(&self) -> Tip {
        self.inner.cache().tip
    }

    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        self.inner.cache().organisation(org)
    }

    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        self.inner.cache().device(id)
    }

    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        self.inner.cache().person(id)
    }

    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        self.inner.cache().grant(id)
    }

    fn policy_agrees(&self, grant: GrantId, class: Class) -> Result<bool, LedgerError> {
        self.inner.check_running()?;
        self.policy_calls.policy_agrees(grant, class)
    }

    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        self.inner.cache().anchor(org)
    }

    fn grant_id(&self, message: &ConsentMessage) -> GrantId {
        vitals::eip712::grant_id(message.patient, &message.nonce)
    }

    fn consent_digest(&self, message: &ConsentMessage) -> Hash {
        self.inner.domain.consent_digest(message)
    }

    fn revocation_digest(&self, grant: GrantId) -> Hash {
        self.inner.domain.revocation_digest(grant)
    }

    fn p256_signer(&self, public_key: &[u8; 64]) -> Vec<u8> {
        self.inner.domain.p256_signer(public_key)
    }

    fn submit(&self, act: Act) -> Result<ActId, LedgerError> {
        self.inner.submit(&act)
    }

    fn outcome(&self, act: ActId) -> Outcome {
        let outcome = self.inner.acts.lock().outcome(&act);
        if outcome == Outcome::Pending {
            self.inner.wake.notify_one();
        }
        outcome
    }

    fn prove(&self, _: &[Fact]) -> Result<LedgerProof, LedgerError> {
        Err(LedgerError::Refused(String::from(
            "this ledger is on another network, whose blocks carry no certificate of ours",
        )))
    }
}

#[cfg(test)]
mod tests;
