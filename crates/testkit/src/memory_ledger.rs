//! A ledger of one validator in memory: the model of the contracts, one block whenever a test asks
//! for it, and real proofs.

mod explorer;
mod proofs;

use crate::gate::Gate;
use crate::model::{AuthoritiesModel, LedgerModel};
use ed25519_zebra::{SigningKey, VerificationKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use vitals::eip712::{ConsentDomain, grant_id};
use vitals::governance::{Motion, Proposal, Validator};
use vitals::ids::{Class, DeviceId, Genesis, GrantId, Hash, OrgId, PersonId, sha256};
use vitals::ledger::{
    Act, ActId, Anchor, ConsentMessage, Device, Fact, Grant, Ledger, LedgerError, Organisation, Outcome,
    Person, Tip,
};
use vitals::proof::LedgerProof;
use vitals::proof::contracts;
use vitals::proof::genesis::{Founder, GenesisDocument, Predeploy};

const SENDER: [u8; 20] = [0x5e; 20];

pub struct MemoryLedger {
    pub document: GenesisDocument,
    validator: SigningKey,
    state: Mutex<State>,
    /// Queries wait here, as with a ledger that is far away. The tip is known without asking.
    pub questions: Gate,
}

#[derive(Clone)]
struct State {
    model: LedgerModel,
    height: u64,
    time_ms: u64,
    pool: Vec<(ActId, Act)>,
    outcomes: HashMap<ActId, Outcome>,
    submitted: u64,
    down: bool,
    suspended: HashMap<PersonId, u64>,
    blocks: Vec<MemoryBlock>,
    /// Blocks leave withdrawals of consents out.
    withholding_withdrawals: bool,
    /// The answer of every policy; none while policies cannot be called.
    policy: Option<bool>,
    policies_asked: u64,
    grants_asked: u64,
}

/// A block as it was made.
#[derive(Clone)]
struct MemoryBlock {
    height: u64,
    time_ms: u64,
    acts: Vec<(ActId, Act)>,
    /// There were acts.
    pruned: bool,
}

fn p256_says(signer: &[u8], digest: &Hash, signature: &[u8]) -> bool {
    let Some(point) = signer.get(20..84) else { return false };
    let sec1 = [&[4], point].concat();
    let (Ok(key), Ok(signature)) =
        (p256::ecdsa::VerifyingKey::from_sec1_bytes(&sec1), p256::ecdsa::Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_prehash(digest, &signature).is_ok()
}

impl MemoryLedger {
    /// Founded by the organisation with this record key.
    pub fn founded_by(record_key: [u8; 32], now_ms: u64) -> Self {
        let validator = SigningKey::from([0xa1; 32]);
        let predeploy = |name: &str, low: u8| {
            let mut address = [0; 20];
            address[19] = low;
            Predeploy { name: name.into(), address, code: sha256(&[name.as_bytes()]) }
        };
        let document = GenesisDocument {
            chain_id: 2026,
            name: "Ward 7".into(),
            time_ms: now_ms,
            epoch_blocks: 1 << 40,
            committee: vec![VerificationKey::from(&validator).into()],
            operators: vec![OrgId::of(&record_key)],
            founders: vec![Founder { record_key, sender: SENDER }],
            contracts: vec![
                predeploy(contracts::DIRECTORY, 1),
                predeploy(contracts::DEVICES, 2),
                predeploy(contracts::CONSENTS, 3),
                predeploy(contracts::ANCHORS, 4),
                predeploy(contracts::P256_VERIFIER, 5),
            ],
            salt: [9; 32],
        };
        let founder = Organisation { record_key, sender: SENDER, active: true };
        let domain = ConsentDomain::of(&document).unwrap();
        let ours = (VerificationKey::from(&validator).into(), OrgId::of(&record_key));
        let mut authorities = AuthoritiesModel::new(1 << 40, [ours]);
        authorities.validators[0].endpoint = "node.example:9000".into();
        let model =
            LedgerModel::new(domain, p256_says, [(OrgId::of(&record_key), founder)]).governed_by(authorities);
        let state = State {
            model,
            height: 1,
            time_ms: now_ms,
            pool: Vec::new(),
            outcomes: HashMap::new(),
            submitted: 0,
            down: false,
            suspended: HashMap::new(),
            blocks: vec![MemoryBlock { height: 1, time_ms: now_ms, acts: Vec::new(), pruned: false }],
            withholding_withdrawals: false,
            policy: Some(true),
            policies_asked: 0,
            grants_asked: 0,
        };
        Self { document, validator, state: Mutex::new(state), questions: Gate::default() }
    }

    /// The same ledger as it stands now, which goes on by itself: an older copy, once this one has gone on.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            document: self.document.clone(),
            validator: self.validator,
            state: Mutex::new(self.state().clone()),
            questions: Gate::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A block with everything that waits.
    pub fn block(&self, now_ms: u64) {
        let mut state = self.state();
        state.height += 1;
        state.time_ms = now_ms;
        let height = state.height;
        let withholding = state.withholding_withdrawals;
        let withheld =
            |act: &Act| withholding && matches!(act, Act::RevokeGrant { .. } | Act::BurnGrant { .. });
        let (left, acts): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pool).into_iter().partition(|(_, act)| withheld(act));
        state.pool = left;
        state.blocks.push(MemoryBlock { height, time_ms: now_ms, acts: acts.clone(), pruned: false });
        for (id, act) in acts {
            let outcome = match state.model.apply(SENDER, &act, height, now_ms) {
                Ok(()) => Outcome::Done { height },
                Err(why) => Outcome::Refused { reason: why.to_string() },
            };
            state.outcomes.insert(id, outcome);
        }
    }

    /// The ledger stops answering, or answers again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Another organisation runs a validator, and proposes another one: it needs both votes.
    pub fn add_neighbour_validator(&self, neighbour: OrgId) {
        let mut state = self.state();
        let proposed_at_ms = state.time_ms;
        let endpoint = String::from("neighbour.example:9000");
        let seat = Validator { key: [0x22; 32], org: neighbour, from_epoch: 0, until_epoch: None, endpoint };
        let motion =
            Motion::AddValidator { key: [0x33; 32], org: neighbour, endpoint: "third.example:9000".into() };
        let founder = Organisation { record_key: [0x0d; 32], sender: [0x0d; 20], active: true };
        state.model.organisations.insert(neighbour, founder);
        let model = &mut state.model.authorities;
        model.validators.push(seat);
        let (id, votes) = (model.proposals.len() as u64 + 1, vec![neighbour]);
        model.proposals.push(Proposal {
            id,
            motion,
            proposer: neighbour,
            proposed_at_ms,
            votes,
            accepted: None,
        });
    }

    /// Validators leave withdrawals of consents out of their blocks, or take them again.
    pub fn set_withholding_withdrawals(&self, withholding: bool) {
        self.state().withholding_withdrawals = withholding;
    }

    /// The consent was given under a policy.
    pub fn put_under_policy(&self, grant: GrantId) {
        self.state().model.grants.get_mut(&grant).unwrap().policy = Some([0x44; 20]);
    }

    /// From now on every policy answers yes or no, or cannot be called.
    pub fn policies_say(&self, policy: Option<bool>) {
        self.state().policy = policy;
    }

    /// How often policies were asked since the beginning.
    pub fn policies_asked(&self) -> u64 {
        self.state().policies_asked
    }

    /// How often somebody asked for a consent since the beginning.
    pub fn grants_asked(&self) -> u64 {
        self.state().grants_asked
    }

    /// This node keeps no block below this height any more.
    pub fn prune(&self, below: u64) {
        self.state().blocks.retain(|block| block.height >= below);
    }

    /// This node keeps what was done in blocks below this height no longer; their headers stay.
    pub fn prune_transactions(&self, below: u64) {
        for block in self.state().blocks.iter_mut().filter(|block| block.height < below) {
            block.pruned |= !block.acts.is_empty();
            block.acts.clear();
        }
    }

    /// The directory suspends a person.
    pub fn suspend(&self, person: PersonId, at_ms: u64) {
        self.state().suspended.insert(person, at_ms);
    }

    /// Acts handed in since the beginning.
    pub fn submitted(&self) -> u64 {
        self.state().submitted
    }

    /// Anchors waiting for a block.
    pub fn waiting_anchors(&self) -> usize {
        self.state().pool.iter().filter(|(_, act)| matches!(act, Act::Anchor { .. })).count()
    }

    fn ask<T>(&self, question: impl FnOnce(&LedgerModel) -> T) -> Result<T, LedgerError> {
        self.questions.pass();
        let state = self.state();
        if state.down { Err(LedgerError::Down("unplugged".into())) } else { Ok(question(&state.model)) }
    }
}

/// The digest of a block in memory: made up from its height.
fn digest_of(height: u64) -> Hash {
    sha256(&[&height.to_be_bytes()])
}

impl Ledger for MemoryLedger {
    fn genesis(&self) -> Genesis {
        self.document.hash()
    }

    fn tip(&self) -> Tip {
        let state = self.state();
        Tip {
            height: state.height,
            time_ms: state.time_ms,
            digest: digest_of(state.height),
            state_root: [0; 32],
        }
    }

    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        self.ask(|model| model.organisations.get(&org).cloned())
    }

    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        self.ask(|model| model.devices.get(&id).cloned())
    }

    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        let suspended_at_ms = self.state().suspended.get(&id).copied();
        let person = self.ask(|model| model.people.get(&id).cloned())?;
        Ok(person.map(|person| Person {
            suspended_at_ms: suspended_at_ms.unwrap_or(person.suspended_at_ms),
            ..person
        }))
    }

    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        self.state().grants_asked += 1;
        self.ask(|model| model.grants.get(&id).cloned())
    }

    fn policy_agrees(&self, grant: GrantId, _: Class) -> Result<bool, LedgerError> {
        let mut state = self.state();
        state.policies_asked += 1;
        if state.down {
            return Err(LedgerError::Down("unplugged".into()));
        }
        let under = state.model.grants.get(&grant).is_some_and(|grant| grant.policy.is_some());
        match state.policy {
            _ if !under => Ok(true),
            Some(agrees) => Ok(agrees),
            None => Err(LedgerError::Busy("the policy did not answer".into())),
        }
    }

    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        self.ask(|model| model.anchors.get(&org).copied())
    }

    fn grant_id(&self, message: &ConsentMessage) -> GrantId {
        grant_id(message.patient, &message.nonce)
    }

    fn consent_digest(&self, message: &ConsentMessage) -> Hash {
        self.state().model.domain().consent_digest(message)
    }

    fn revocation_digest(&self, grant: GrantId) -> Hash {
        self.state().model.domain().revocation_digest(grant)
    }

    fn p256_signer(&self, public_key: &[u8; 64]) -> Vec<u8> {
        self.state().model.domain().p256_signer(public_key)
    }

    fn submit(&self, act: Act) -> Result<ActId, LedgerError> {
        self.questions.pass();
        let mut state = self.state();
        if state.down {
            return Err(LedgerError::Down("unplugged".into()));
        }
        // As a node does: it can never stand in a committee.
        if let Act::Propose(Motion::AddValidator { key: [0, ..], .. }) = act {
            return Err(LedgerError::Refused("the validator key is not an Ed25519 public key".into()));
        }
        state.submitted += 1;
        let id = sha256(&[b"act", &state.submitted.to_be_bytes()]);
        state.pool.push((id, act));
        state.outcomes.insert(id, Outcome::Pending);
        Ok(id)
    }

    fn down(&self) -> Option<String> {
        self.state().down.then(|| "unplugged".into())
    }

    fn outcome(&self, act: ActId) -> Outcome {
        self.state().outcomes.get(&act).cloned().unwrap_or(Outcome::Unknown)
    }

    fn prove(&self, facts: &[Fact]) -> Result<LedgerProof, LedgerError> {
        let state = self.state();
        if state.down {
            return Err(LedgerError::Down("unplugged".into()));
        }
        Ok(self.prove_at(&state, facts))
    }

    fn explorer(&self) -> Option<&dyn vitals::explorer::Explorer> {
        Some(self)
    }
}
