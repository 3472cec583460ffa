//! Reads at one committed height, with a cache of decoded records.

use super::execute::Snapshot;
use super::state::State;
use crate::contracts::Contracts;
use alloy_primitives::Address;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::hash::Hash as Key;
use std::sync::Arc;
use vitals::break_glass::{BreakGlassEntry, Policy};
use vitals::governance::{Proposal, Validator};
use vitals::ids::{DeviceId, GrantId, OrgId, PersonId};
use vitals::ledger::{Anchor, Device, Fact, Grant, LedgerError, Organisation, Person, Tip};
use vitals::proof::AccountProof;
use vitals::proof::contracts::slots_of;

/// Most records cached of one kind; beyond it the cache is emptied.
const RECORDS_MAX: usize = 1 << 17;

/// The committed state at one height. A clone costs one reference. It does not change while the chain
/// goes on.
#[derive(Debug, Clone)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tip: Tip,
    state: State,
    contracts: Contracts,
    // Each cache is shared by all heights between two writes to its contract.
    organisations: Memory<OrgId, Organisation>,
    people: Memory<PersonId, Person>,
    devices: Memory<DeviceId, Device>,
    grants: Memory<GrantId, Grant>,
}

impl View {
    pub(crate) fn new(tip: Tip, state: State, contracts: Contracts) -> Self {
        let (organisations, people) = (Memory::default(), Memory::default());
        let (devices, grants) = (Memory::default(), Memory::default());
        Self(Arc::new(Inner { tip, state, contracts, organisations, people, devices, grants }))
    }

    /// The view after the next block; cached records of contracts it did not write to are kept.
    pub(crate) fn after(&self, tip: Tip, state: State) -> Self {
        let Inner { contracts, .. } = *self.0;
        let same = |address| state.storage_root(address) == self.0.state.storage_root(address);
        let (directory, devices) = (same(&contracts.directory), same(&contracts.devices));
        let consents = same(&contracts.consents);
        Self(Arc::new(Inner {
            tip,
            contracts,
            organisations: self.0.organisations.kept_if(directory),
            people: self.0.people.kept_if(directory),
            devices: self.0.devices.kept_if(devices),
            grants: self.0.grants.kept_if(consents),
            state,
        }))
    }

    /// The contracts' addresses, those of the address book included.
    #[must_use]
    pub fn contracts(&self) -> Contracts {
        self.0.contracts.with_address_book(&self.0.state)
    }

    /// The block this is the state after.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.0.tip
    }

    pub(crate) fn state(&self) -> &State {
        &self.0.state
    }

    /// The state to execute the next block on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { height: self.0.tip.height, time_ms: self.0.tip.time_ms, state: self.0.state.clone() }
    }

    /// An organisation.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        self.0
            .organisations
            .get(org, &self.0.state, || damaged(self.0.contracts.organisation(&self.0.state, org)))
    }

    /// A device.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        self.0.devices.get(id, &self.0.state, || damaged(self.0.contracts.device(&self.0.state, id)))
    }

    /// A person.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        self.0.people.get(id, &self.0.state, || damaged(self.0.contracts.person(&self.0.state, id)))
    }

    /// A consent. One whose nonce was burnt before it arrived has no grantee and is revoked.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        self.0.grants.get(id, &self.0.state, || Ok(self.0.contracts.grant(&self.0.state, id)))
    }

    /// A log head.
    #[must_use]
    pub fn anchor(&self, org: OrgId) -> Option<Anchor> {
        self.0.contracts.anchor(&self.0.state, org)
    }

    /// The keys of an epoch's committee, ascending. After a block of epoch e the committees of e and e + 1 are
    /// settled; that of e + 2 once e is over.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn committee(&self, epoch: u64) -> Result<Vec<[u8; 32]>, LedgerError> {
        damaged(self.0.contracts.committee(&self.0.state, epoch))
    }

    /// Every validator that stays, is to come, or left not long ago, ascending by key.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn validators(&self) -> Result<Vec<Validator>, LedgerError> {
        damaged(self.0.contracts.validators(&self.0.state))
    }

    /// The newest `most` proposals, newest first.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn proposals(&self, most: u64) -> Result<Vec<Proposal>, LedgerError> {
        damaged(self.0.contracts.proposals(&self.0.state, most))
    }

    /// A proposal.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn proposal(&self, id: u64) -> Result<Option<Proposal>, LedgerError> {
        damaged(self.0.contracts.proposal(&self.0.state, id))
    }

    /// Every organisation there ever was, in order of admission.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn organisations(&self) -> Result<Vec<OrgId>, LedgerError> {
        damaged(self.0.contracts.organisations(&self.0.state))
    }

    /// An access without consent.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn break_glass_entry(&self, id: &[u8; 32]) -> Result<Option<BreakGlassEntry>, LedgerError> {
        damaged(self.0.contracts.break_glass_entry(&self.0.state, id))
    }

    /// The newest `most` accesses without consent by their ids, newest first.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn break_glass_entries(&self, most: u64) -> Result<Vec<([u8; 32], BreakGlassEntry)>, LedgerError> {
        damaged(self.0.contracts.break_glass_entries(&self.0.state, most))
    }

    /// Every policy there ever was, in order, with its address.
    ///
    /// # Errors
    /// If the state is damaged.
    pub fn policies(&self) -> Result<Vec<(Address, Policy)>, LedgerError> {
        damaged(self.0.contracts.policies(&self.0.state))
    }

    /// The active organisation an account sends for.
    #[must_use]
    pub fn sends_for(&self, sender: Address) -> Option<OrgId> {
        self.0.contracts.sends_for(&self.0.state, sender)
    }

    /// The next nonce of an account.
    #[must_use]
    pub fn nonce(&self, sender: Address) -> u64 {
        self.0.state.nonce(&sender)
    }

    /// Any storage word of any contract.
    #[must_use]
    pub fn word(&self, contract: Address, slot: &[u8; 32]) -> [u8; 32] {
        self.0.state.word(&contract, slot)
    }

    /// The code at an address; empty where there is none.
    #[must_use]
    pub fn code(&self, contract: Address) -> Vec<u8> {
        self.0.state.code(&contract).map_or_else(Vec::new, |code| code.original_byte_slice().to_vec())
    }

    /// State proofs under [`Tip::state_root`], one for each fact, in the order asked.
    #[must_use]
    pub fn prove(&self, facts: &[Fact]) -> Vec<AccountProof> {
        let prove = |fact: &Fact| self.0.state.prove(&self.0.contracts.of_fact(*fact), &slots_of(*fact));
        facts.iter().map(prove).collect()
    }

    /// State proof of any account and any slots of it (`eth_getProof`).
    #[must_use]
    pub fn prove_slots(&self, contract: Address, slots: &[[u8; 32]]) -> AccountProof {
        self.0.state.prove(&contract, slots)
    }
}

fn damaged<T>(record: Result<T, vitals::proof::state::NotProven>) -> Result<T, LedgerError> {
    record.map_err(|why| LedgerError::Down(format!("the ledger state is damaged: {why}")))
}

/// Decoded records by id; `None` for a record that does not exist.
#[derive(Debug)]
struct Memory<K, V>(Arc<RwLock<HashMap<K, Option<V>>>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Key + Eq + Copy, V: Clone> Memory<K, V> {
    fn kept_if(&self, same: bool) -> Self {
        if same { Self(self.0.clone()) } else { Self::default() }
    }

    fn get(
        &self,
        key: K,
        state: &State,
        read: impl FnOnce() -> Result<Option<V>, LedgerError>,
    ) -> Result<Option<V>, LedgerError> {
        if let Some(known) = self.0.read().get(&key) {
            return Ok(known.clone());
        }
        let record = read()?;
        if let Some(fault) = state.fault() {
            return Err(LedgerError::Down(format!("the ledger state is damaged: {fault}")));
        }
        let mut records = self.0.write();
        if records.len() >= RECORDS_MAX {
            records.clear();
        }
        records.insert(key, record.clone());
        Ok(record)
    }
}
