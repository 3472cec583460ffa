//! Our acts that are not settled yet: kept in a file until the network has settled them, so that none is lost,
//! and each signed once for one nonce, so that none is done twice.

use super::network::RemoteError;
use crate::account::AccountError;
use crate::contracts::Contracts;
use crate::outbox::{Outbox, read_outbox};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, keccak256};
use durable::Os;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use vitals::ids::Hash;
use vitals::ledger::{LedgerError, Outcome};

/// Name of the file in the ledger's folder; of the form `outbox` documents.
const FILE: &str = "outbox-remote";
/// Most acts that wait at once.
pub(super) const ACTS_MAX: usize = 1024;
/// Most outcomes cached; older ones are requested again.
const OUTCOMES_MAX: usize = 1 << 16;
/// Most acts whose status is requested at once.
const QUERIED_MAX: usize = 1024;

/// An act that is not settled.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: Hash,
    pub(super) raw: Vec<u8>,
    /// The round in which the network took it last.
    pub(super) taken: Option<u64>,
}

/// All acts of this account.
#[derive(Debug)]
pub(super) struct Acts {
    outbox: Outbox,
    /// By nonce.
    waiting: BTreeMap<u64, Waiting>,
    names: HashMap<Hash, u64>,
    settled: HashMap<Hash, Outcome>,
    order: VecDeque<Hash>,
    queried: HashSet<Hash>,
}

impl Acts {
    /// Opens the outbox of `sender` on this chain.
    pub(super) fn open(
        folder: &Path,
        chain_id: u64,
        contracts: &Contracts,
        sender: Address,
    ) -> Result<Self, RemoteError> {
        let path = folder.join(FILE);
        let Contracts { directory, devices, consents, anchors, authorities, policies, .. } = *contracts;
        let places = [directory, devices, consents, anchors, authorities, policies];
        let mut waiting = BTreeMap::new();
        for raw in read_outbox(&Os, &path)? {
            let other = || RemoteError::OtherOutbox(chain_id);
            let tx = TxEnvelope::decode_2718(&mut raw.as_slice()).map_err(|_| other())?;
            let to = tx.to().ok_or_else(other)?;
            let ours = places.contains(&to)
                && tx.chain_id() == Some(chain_id)
                && tx.recover_signer().is_ok_and(|signer| signer == sender);
            if !ours {
                return Err(other());
            }
            waiting.insert(tx.nonce(), Waiting { id: keccak256(&raw).0, raw, taken: None });
        }
        let records: Vec<Vec<u8>> = waiting.values().map(|act: &Waiting| act.raw.clone()).collect();
        let outbox = Outbox::write(Arc::new(Os), path, &records).map_err(AccountError::Outbox)?;
        let names = waiting.iter().map(|(nonce, act)| (act.id, *nonce)).collect();
        let (settled, order, queried) = (HashMap::new(), VecDeque::new(), HashSet::new());
        Ok(Self { outbox, waiting, names, settled, order, queried })
    }

    /// The lowest nonce that is neither used on the chain, where `next` follows, nor waiting here.
    pub(super) fn next_nonce(&self, next: u64) -> u64 {
        (next..).find(|nonce| !self.waiting.contains_key(nonce)).unwrap_or(u64::MAX)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= ACTS_MAX
    }

    /// Adds an act: to the file first, so that every sent act is known after a crash.
    pub(super) fn push(&mut self, nonce: u64, raw: Vec<u8>) -> Result<Hash, LedgerError> {
        let id = keccak256(&raw).0;
        let waiting = &self.waiting;
        self.outbox
            .push(&raw, || waiting.values().map(|act| act.raw.clone()).collect())
            .map_err(|error| LedgerError::Down(error.to_string()))?;
        self.waiting.insert(nonce, Waiting { id, raw, taken: None });
        self.names.insert(id, nonce);
        Ok(id)
    }

    /// Acts that wait, by nonce.
    pub(super) fn waiting(&self) -> Vec<(u64, Waiting)> {
        self.waiting.iter().map(|(nonce, act)| (*nonce, act.clone())).collect()
    }

    /// The network has this act in its pool, or had it once.
    pub(super) fn taken(&mut self, nonce: u64, round: u64) {
        if let Some(act) = self.waiting.get_mut(&nonce) {
            act.taken = Some(round);
        }
    }

    /// Records the outcome of an act. Its record stays in the file until that is rewritten; if the act is sent
    /// again by then, the network knows its hash and nonce already.
    pub(super) fn settle(&mut self, id: Hash, outcome: Outcome) {
        if let Some(nonce) = self.names.remove(&id) {
            self.waiting.remove(&nonce);
        }
        self.queried.remove(&id);
        if self.settled.insert(id, outcome).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > OUTCOMES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.settled.remove(&oldest);
            }
        }
    }

    /// The outcome of an act. For an unknown act it is requested, and pending until the answer.
    pub(super) fn outcome(&mut self, id: &Hash) -> Outcome {
        if let Some(outcome) = self.settled.get(id) {
            return outcome.clone();
        }
        if self.names.contains_key(id) || self.queried.contains(id) {
            return Outcome::Pending;
        }
        if self.queried.len() >= QUERIED_MAX {
            return Outcome::Unknown;
        }
        self.queried.insert(*id);
        Outcome::Pending
    }

    /// Acts of earlier runs whose outcome was requested.
    pub(super) fn queried(&self) -> Vec<Hash> {
        self.queried.iter().copied().collect()
    }
}
