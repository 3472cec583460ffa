//! The contracts' records after the newest final block of the network, cached in memory, so that pages and
//! admission never wait for the network.

use super::network::{Block, nonce};
use super::rpc::{Rpc, RpcError, bytes, field, fixed, hex_bytes, hex_quantity, quantity};
use crate::chain::{Event, Records};
use crate::contracts::Contracts;
use crate::contracts::bindings::{Anchors, Consents, Devices, Directory};
use alloy_primitives::{Address, B256, FixedBytes, Log, LogData};
use alloy_sol_types::SolCall;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, VecDeque};
use vitals::ids::{DeviceId, GrantId, OrgId, PersonId};
use vitals::ledger::{
    Anchor, Device, DeviceKind, Grant, LedgerError, Organisation, Person, Revocation, RevokeReason, Role, Tip,
};

/// Most events cached; the oldest are dropped first.
pub(super) const EVENTS_MAX: usize = 1 << 16;

/// The records after one block. A record that does not exist has no entry.
#[derive(Debug, Clone)]
pub(super) struct StateCache {
    pub(super) tip: Tip,
    /// The next nonce of our account.
    pub(super) nonce: u64,
    organisations: HashMap<OrgId, Organisation>,
    people: HashMap<PersonId, Person>,
    devices: HashMap<DeviceId, Device>,
    grants: HashMap<GrantId, Grant>,
    policies: HashMap<GrantId, [u8; 20]>,
    anchors: HashMap<OrgId, Anchor>,
    events: VecDeque<Event>,
    /// Events below this height are not all cached.
    events_from: u64,
}

/// Identifies a record that an event has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Organisation(OrgId),
    Person(PersonId),
    Device(DeviceId),
    Grant(GrantId),
    /// What the consent is given under.
    Policy(GrantId),
    Anchor(OrgId),
}

impl StateCache {
    /// Before the first block is read.
    pub(super) fn empty(first_block: u64) -> Self {
        let height = first_block.saturating_sub(1);
        Self {
            tip: Tip { height, time_ms: 0, digest: [0; 32], state_root: [0; 32] },
            nonce: 0,
            organisations: HashMap::new(),
            people: HashMap::new(),
            devices: HashMap::new(),
            grants: HashMap::new(),
            policies: HashMap::new(),
            anchors: HashMap::new(),
            events: VecDeque::new(),
            events_from: first_block,
        }
    }

    /// The active organisation an account sends for.
    pub(super) fn sends_for(&self, sender: [u8; 20]) -> Option<OrgId> {
        let sends = |org: &Organisation| org.active && org.sender == sender;
        self.organisations.iter().find(|(_, org)| sends(org)).map(|(id, _)| *id)
    }

    pub(super) fn events(&self, from: u64, to: u64) -> Result<Vec<Event>, LedgerError> {
        if from < self.events_from {
            let why = format!("events before height {} are not kept here", self.events_from);
            return Err(LedgerError::Refused(why));
        }
        let within = |event: &&Event| (from..=to).contains(&event.height);
        Ok(self.events.iter().filter(within).cloned().collect())
    }

    /// Applies the changes up to a block.
    pub(super) fn apply(&mut self, update: StateUpdate) {
        let StateUpdate { tip, nonce, records, events } = update;
        for record in records {
            match record {
                Record::Organisation(id, value) => put(&mut self.organisations, id, value),
                Record::Person(id, value) => put(&mut self.people, id, value),
                Record::Device(id, value) => put(&mut self.devices, id, value),
                Record::Grant(id, value) => put(&mut self.grants, id, value),
                Record::Policy(id, value) => put(&mut self.policies, id, value),
                Record::Anchor(id, value) => put(&mut self.anchors, id, value),
            }
        }
        self.events.extend(events);
        while self.events.len() > EVENTS_MAX {
            if let Some(gone) = self.events.pop_front() {
                self.events_from = gone.height + 1;
            }
        }
        self.tip = tip;
        self.nonce = nonce;
    }
}

fn put<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, id: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(id, value),
        None => map.remove(&id),
    };
}

impl Records for std::sync::Arc<StateCache> {
    fn tip(&self) -> Tip {
        self.tip
    }

    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        Ok(self.organisations.get(&org).cloned())
    }

    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        Ok(self.devices.get(&id).cloned())
    }

    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        Ok(self.people.get(&id).cloned())
    }

    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        let policy = self.policies.get(&id).copied();
        Ok(self.grants.get(&id).map(|grant| Grant { policy, ..grant.clone() }))
    }

    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        Ok(self.anchors.get(&org).copied())
    }
}

/// The changes up to a block.
#[derive(Debug)]
pub(super) struct StateUpdate {
    pub(super) tip: Tip,
    nonce: u64,
    records: Vec<Record>,
    events: Vec<Event>,
}

#[derive(Debug)]
enum Record {
    Organisation(OrgId, Option<Organisation>),
    Person(PersonId, Option<Person>),
    Device(DeviceId, Option<Device>),
    Grant(GrantId, Option<Grant>),
    Policy(GrantId, Option<[u8; 20]>),
    Anchor(OrgId, Option<Anchor>),
}

impl StateUpdate {
    /// Reads the events after `after` up to `block`, and every record they name as it is after `block`.
    pub(super) async fn read(
        rpc: &Rpc,
        contracts: &Contracts,
        sender: Address,
        log_blocks: u64,
        after: u64,
        block: &Block,
    ) -> Result<Self, RpcError> {
        let (mut events, mut from) = (Vec::new(), after + 1);
        while from <= block.height {
            let to = block.height.min(from.saturating_add(log_blocks.max(1) - 1));
            events.extend(read_events(rpc, contracts, from, to).await?);
            from = to + 1;
        }
        let names: BTreeSet<Name> = events.iter().flat_map(|event| named(contracts, &event.log)).collect();
        let names: Vec<Name> = names.into_iter().collect();
        let ask = |name: &Name| {
            let (to, data) = name.getter(contracts);
            json!([{ "to": hex_bytes(to), "data": hex_bytes(data) }, hex_quantity(block.height)])
        };
        let questions: Vec<Value> = names.iter().map(ask).collect();
        let mut records = Vec::with_capacity(names.len());
        for (name, answer) in names.iter().zip(rpc.calls(CALL, &questions).await?) {
            records.push(name.record(&bytes(CALL, &answer?)?)?);
        }
        let tip = Tip {
            height: block.height,
            time_ms: block.time_s.saturating_mul(1000),
            digest: block.hash,
            state_root: block.state_root,
        };
        Ok(Self { tip, nonce: nonce(rpc, sender, block.height).await?, records, events })
    }

    /// The next nonce of our account after this.
    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }
}

const CALL: &str = "eth_call";

async fn read_events(rpc: &Rpc, contracts: &Contracts, from: u64, to: u64) -> Result<Vec<Event>, RpcError> {
    const METHOD: &str = "eth_getLogs";
    let Contracts { directory, devices, consents, anchors, authorities, policies, .. } = *contracts;
    let addresses = [directory, devices, consents, anchors, authorities, policies];
    let filter = json!({
        "address": addresses.map(hex_bytes),
        "fromBlock": hex_quantity(from),
        "toBlock": hex_quantity(to),
    });
    let answer = rpc.call(METHOD, json!([filter])).await?;
    let logs = answer.as_array().ok_or_else(|| RpcError::answer(METHOD, "no list"))?;
    let mut events = Vec::with_capacity(logs.len());
    for log in logs {
        let topics = field(METHOD, log, "topics")?.as_array().map(Vec::as_slice).unwrap_or_default();
        let topics = topics.iter().map(|topic| Ok(B256::from(fixed::<32>(METHOD, topic)?)));
        let topics = topics.collect::<Result<Vec<_>, RpcError>>()?;
        let data = bytes(METHOD, field(METHOD, log, "data")?)?;
        let data =
            LogData::new(topics, data.into()).ok_or_else(|| RpcError::answer(METHOD, "five topics"))?;
        events.push(Event {
            height: quantity(METHOD, field(METHOD, log, "blockNumber")?)?,
            transaction: fixed(METHOD, field(METHOD, log, "transactionHash")?)?,
            log: Log { address: fixed::<20>(METHOD, field(METHOD, log, "address")?)?.into(), data },
        });
    }
    if events.iter().any(|event| !(from..=to).contains(&event.height)) {
        return Err(RpcError::answer(METHOD, "events of other blocks than asked for"));
    }
    Ok(events)
}

/// The records an event may have changed: every indexed word is treated as an id of its contract's kind.
/// Sometimes that reads too much, never too little: our contracts index the id of what they change.
fn named(contracts: &Contracts, log: &Log) -> Vec<Name> {
    let mut names = Vec::new();
    for topic in log.topics().iter().skip(1) {
        let word = topic.0;
        let short: [u8; 16] = std::array::from_fn(|at| word[at]);
        match log.address {
            at if at == contracts.directory && word[16..] == [0; 16] => {
                names.push(Name::Organisation(OrgId(short)));
            }
            at if at == contracts.directory => names.push(Name::Person(PersonId(word))),
            at if at == contracts.devices => names.push(Name::Device(DeviceId(short))),
            at if at == contracts.consents => {
                names.extend([Name::Grant(GrantId(word)), Name::Policy(GrantId(word))]);
            }
            at if at == contracts.anchors => names.push(Name::Anchor(OrgId(short))),
            _ => {}
        }
    }
    names
}

impl Name {
    fn getter(&self, contracts: &Contracts) -> (Address, Vec<u8>) {
        match self {
            Self::Organisation(id) => {
                (contracts.directory, Directory::organisationsCall { org: FixedBytes(id.0) }.abi_encode())
            }
            Self::Person(id) => {
                (contracts.directory, Directory::peopleCall { person: id.0.into() }.abi_encode())
            }
            Self::Device(id) => {
                (contracts.devices, Devices::devicesCall { id: FixedBytes(id.0) }.abi_encode())
            }
            Self::Grant(id) => (contracts.consents, Consents::grantsCall { id: id.0.into() }.abi_encode()),
            Self::Policy(id) => (contracts.consents, Consents::policyOfCall { id: id.0.into() }.abi_encode()),
            Self::Anchor(id) => {
                (contracts.anchors, Anchors::headsCall { org: FixedBytes(id.0) }.abi_encode())
            }
        }
    }

    fn record(&self, answer: &[u8]) -> Result<Record, RpcError> {
        let none = |_| RpcError::answer(CALL, "it is no record of the contract asked");
        Ok(match self {
            Self::Organisation(id) => {
                let r = Directory::organisationsCall::abi_decode_returns(answer).map_err(none)?;
                let (record_key, sender) = (r.recordKey.0, r.sender.0.0);
                let value = Organisation { record_key, sender, active: r.active };
                Record::Organisation(*id, (r.since != 0).then_some(value))
            }
            Self::Person(id) => {
                let r = Directory::peopleCall::abi_decode_returns(answer).map_err(none)?;
                let value = Role::from_code(r.role).filter(|_| r.since != 0).map(|role| Person {
                    role,
                    org: OrgId(r.org.0),
                    signer: r.signer.to_vec(),
                    vault_kept: r.vaultKept,
                    since_ms: r.since,
                    suspended_at_ms: r.suspendedAt,
                });
                Record::Person(*id, value)
            }
            Self::Device(id) => {
                let r = Devices::devicesCall::abi_decode_returns(answer).map_err(none)?;
                let kind = match r.kind {
                    1 => DeviceKind::Sensor,
                    2 => DeviceKind::Gateway,
                    _ => return Ok(Record::Device(*id, None)),
                };
                let reason = if r.reason == 1 { RevokeReason::Retired } else { RevokeReason::Stolen };
                let (at_ms, last_trusted_seq) = (r.revokedAt, r.lastTrustedSeq);
                let revoked = (at_ms != 0).then_some(Revocation { at_ms, reason, last_trusted_seq });
                let value = Device {
                    kind,
                    key: r.key.0,
                    wrap_key: r.wrapKey.0,
                    via: DeviceId(r.via.0),
                    org: OrgId(r.org.0),
                    binding: r.binding.0,
                    since_ms: r.since,
                    revoked,
                };
                Record::Device(*id, Some(value))
            }
            Self::Grant(id) => {
                let r = Consents::grantsCall::abi_decode_returns(answer).map_err(none)?;
                let value = Grant {
                    patient: PersonId(r.patient.0),
                    grantee: PersonId(r.grantee.0),
                    terms: r.terms.0,
                    from_ms: r.from,
                    until_ms: r.until,
                    revoked_at_ms: r.revokedAt,
                    policy: None,
                };
                Record::Grant(*id, (r.patient != B256::ZERO).then_some(value))
            }
            Self::Policy(id) => {
                let policy = Consents::policyOfCall::abi_decode_returns(answer).map_err(none)?;
                Record::Policy(*id, (!policy.is_zero()).then_some(policy.0.0))
            }
            Self::Anchor(id) => {
                let r = Anchors::headsCall::abi_decode_returns(answer).map_err(none)?;
                let value = Anchor { size: r.size, root: r.root.0, height: r.height };
                Record::Anchor(*id, (r.size != 0).then_some(value))
            }
        })
    }
}
