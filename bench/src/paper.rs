//! A clinic in this process over a ledger on paper: the model of the contracts, a block whenever asked.

use crate::bedside::Gateway;
use crate::clock;
use anyhow::{Context, Result};
use clinic::{Clinic, NewPerson, Session};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use testkit::model::LedgerModel;
use vault::{Costs, Entropy, Store, Vault};
use vitals::eip712::{ConsentDomain, grant_id};
use vitals::ids::{DeviceId, Genesis, GrantId, Hash, OrgId, PersonId, StreamId, sha256};
use vitals::ledger::{
    Act, ActId, Anchor, ConsentMessage, Device, Fact, Grant, Ledger, LedgerError, Organisation, Outcome,
    Person, Role, Tip,
};
use vitals::proof::LedgerProof;
use vitals::proof::contracts;
use vitals::proof::genesis::{Founder, GenesisDocument, Predeploy};

const SENDER: [u8; 20] = [0x5e; 20];

struct State {
    model: LedgerModel,
    height: u64,
    time_ms: u64,
    pool: Vec<(ActId, Act)>,
    outcomes: HashMap<ActId, Outcome>,
    submitted: u64,
}

/// The ledger: it proves nothing, so nobody is delivered proofs.
pub(crate) struct Paper {
    document: GenesisDocument,
    state: Mutex<State>,
}

impl Paper {
    fn founded_by(record_key: [u8; 32], now_ms: u64) -> Result<Self> {
        let predeploy = |name: &str, low: u8| {
            let mut address = [0; 20];
            address[19] = low;
            Predeploy { name: name.into(), address, code: sha256(&[name.as_bytes()]) }
        };
        let names = [
            contracts::DIRECTORY,
            contracts::DEVICES,
            contracts::CONSENTS,
            contracts::ANCHORS,
            contracts::P256_VERIFIER,
        ];
        let document = GenesisDocument {
            chain_id: 2026,
            name: "Bench".into(),
            time_ms: now_ms,
            epoch_blocks: 1 << 40,
            committee: vec![record_key],
            operators: vec![OrgId::of(&record_key)],
            founders: vec![Founder { record_key, sender: SENDER }],
            contracts: names.iter().zip(1..).map(|(name, low)| predeploy(name, low)).collect(),
            salt: [9; 32],
        };
        let founder = Organisation { record_key, sender: SENDER, active: true };
        let domain = ConsentDomain::of(&document).context("the document names its contracts")?;
        let model = LedgerModel::new(domain, |_, _, _| true, [(OrgId::of(&record_key), founder)]);
        let (pool, outcomes) = (Vec::new(), HashMap::new());
        let state = State { model, height: 1, time_ms: now_ms, pool, outcomes, submitted: 0 };
        Ok(Self { document, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A block with everything that waits.
    pub(crate) fn block(&self, now_ms: u64) {
        let mut state = self.state();
        state.height += 1;
        state.time_ms = now_ms;
        let height = state.height;
        for (id, act) in std::mem::take(&mut state.pool) {
            let outcome = match state.model.apply(SENDER, &act, height, now_ms) {
                Ok(()) => Outcome::Done { height },
                Err(why) => Outcome::Refused { reason: why.to_string() },
            };
            state.outcomes.insert(id, outcome);
        }
    }
}

impl Ledger for Paper {
    fn genesis(&self) -> Genesis {
        self.document.hash()
    }
    fn tip(&self) -> Tip {
        let state = self.state();
        Tip { height: state.height, time_ms: state.time_ms, digest: [0; 32], state_root: [0; 32] }
    }
    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        Ok(self.state().model.organisations.get(&org).cloned())
    }
    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        Ok(self.state().model.devices.get(&id).cloned())
    }
    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        Ok(self.state().model.people.get(&id).cloned())
    }
    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        Ok(self.state().model.grants.get(&id).cloned())
    }
    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        Ok(self.state().model.anchors.get(&org).copied())
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
        let mut state = self.state();
        state.submitted += 1;
        let id = sha256(&[b"act", &state.submitted.to_be_bytes()]);
        state.pool.push((id, act));
        state.outcomes.insert(id, Outcome::Pending);
        Ok(id)
    }
    fn outcome(&self, act: ActId) -> Outcome {
        self.state().outcomes.get(&act).cloned().unwrap_or(Outcome::Unknown)
    }
    fn prove(&self, _facts: &[Fact]) -> Result<LedgerProof, LedgerError> {
        Err(LedgerError::Busy("a ledger on paper proves nothing".into()))
    }
}

fn entropy() -> Entropy {
    Arc::new(|out: &mut [u8]| clock::entropy(out))
}

/// A hospital in this process.
pub(crate) struct Ward {
    pub(crate) clinic: Arc<Clinic>,
    pub(crate) ledger: Arc<Paper>,
    admin: Session,
}

impl Ward {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let now_ms = clock::now_ms();
        let vault = Vault::create(&folder.join("vault"), "bench", Costs::TEST_ONLY, entropy())?;
        let ledger = Arc::new(Paper::founded_by(vault.record_key(), now_ms)?);
        let genesis = vault.put_genesis_document(&ledger.document.encode())?;
        let store = Store::create(&folder.join("record"), genesis)?;
        let clinic = Clinic::open(Arc::new(vault), Arc::new(store), ledger.clone(), entropy(), now_ms)?;
        clinic.first_administrator("admin", "Admin", "bench-bench-bench", now_ms)?;
        ledger.block(now_ms);
        let (_, admin) = clinic.sign_in("admin", "bench-bench-bench", now_ms)?;
        Ok(Self { clinic, ledger, admin })
    }

    /// Makes patients and pairs the gateways, whose sensors go on after what `history` stores.
    pub(crate) fn furnish(
        &self,
        patients: usize,
        gateways: &mut [Gateway],
        mut history: impl FnMut(Genesis, DeviceId, StreamId) -> Result<(u64, Hash)>,
    ) -> Result<()> {
        let now_ms = clock::now_ms();
        let mut made = Vec::with_capacity(patients);
        for number in 0..patients {
            let (login, name) = (format!("p{number}"), format!("Patient {number}"));
            let new = NewPerson { login: &login, name: &name, password: "bench-bench", role: Role::Patient };
            made.push(self.clinic.create_patient(&self.admin, &new, &number.to_string(), now_ms)?.0);
        }
        self.ledger.block(now_ms);
        let mut turn = made.iter().copied().cycle();
        for gateway in gateways {
            let assigned: Vec<_> = turn.by_ref().take(gateway.sensors.len()).collect();
            let paired = self.clinic.pair(&self.admin, &gateway.request()?, &assigned, now_ms)?;
            self.ledger.block(now_ms);
            gateway.accept(&paired.answer, &mut history)?;
        }
        self.clinic.tick(now_ms);
        Ok(())
    }

    /// Closes it and opens it again: how long that took, seconds.
    pub(crate) fn reopened(self, folder: &Path) -> Result<(Self, f64)> {
        let Self { clinic, ledger, admin } = self;
        drop(Arc::into_inner(clinic).context("nobody else holds the clinic")?);
        let began = clock::instant();
        let vault = Vault::open(&folder.join("vault"), "bench", entropy())?;
        let store = Store::open(&folder.join("record"), ledger.genesis())?;
        let now_ms = clock::now_ms();
        let clinic = Clinic::open(Arc::new(vault), Arc::new(store), ledger.clone(), entropy(), now_ms)?;
        let took_s = began.elapsed().as_secs_f64();
        Ok((Self { clinic, ledger, admin }, took_s))
    }
}
