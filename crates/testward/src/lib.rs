//! A ward in a temporary directory: a real clinic, vault and record store, devices that seal, and the
//! ledger in memory. One line sets the scene. Linked by tests and examples, never by a program.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(missing_docs, reason = "a test names what it uses; the words stand where a name does not say it")]

use clinic::{Answer, Arrival, Clinic, ClinicError, GrantRequest, NewPerson, Session, Ticket, Verdict};
use device::{Identity, Sealed, Sealer, SealerState};
use durable::Folder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::MemoryLedger;
use testkit::switched::{Switched, Switches};
use vault::store::Bounds;
use vault::{Costs, Entropy, Store, Vault};
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition, Priority};
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, sha256};
use vitals::ledger::{Outcome, Purpose, Role};
use vitals::metric::{Absence, Metric, Reading, Sample};
use vitals::pairing::PairingAnswer;
use vitals::{DeviceId, GrantId, PatientId, PersonId};

/// 2026-11-22 12:00:00 UTC.
pub const NOON_MS: u64 = 1_795_348_800_000;

pub struct Ward {
    pub clinic: Arc<Clinic>,
    pub ledger: Arc<MemoryLedger>,
    pub now_ms: u64,
    pub admin: Session,
    sessions: BTreeMap<String, Session>,
    folder: tempfile::TempDir,
    /// What happens to the disk of the record.
    pub switches: Arc<Switches>,
}

/// A clinic in which nobody has an account yet.
pub struct Empty {
    pub clinic: Arc<Clinic>,
    pub ledger: Arc<MemoryLedger>,
    folder: tempfile::TempDir,
    switches: Arc<Switches>,
}

impl Default for Empty {
    fn default() -> Self {
        Self::new()
    }
}

impl Empty {
    pub fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), |vault, store, ledger| {
            Clinic::open(vault, store, ledger, entropy("clinic"), NOON_MS).unwrap()
        })
    }

    /// One in this folder, whose clinic `open` opens.
    fn in_folder(
        folder: tempfile::TempDir,
        open: impl FnOnce(Arc<Vault>, Arc<Store>, Arc<MemoryLedger>) -> Arc<Clinic>,
    ) -> Self {
        let switches = Arc::new(Switches::default());
        let vault =
            Vault::create(&folder.path().join("vault"), "correct horse", Costs::TEST_ONLY, entropy("vault"))
                .unwrap();
        let ledger = Arc::new(MemoryLedger::founded_by(vault.record_key(), NOON_MS));
        let genesis = vault.put_genesis_document(&ledger.document.encode()).unwrap();
        let record = folder.path().join("record");
        let disk = Switched::new(&record, switches.clone()).unwrap();
        let store = Store::create_on(Folder::on(Arc::new(disk), &record), genesis, Bounds::STANDARD).unwrap();
        let clinic = open(Arc::new(vault), Arc::new(store), ledger.clone());
        Self { clinic, ledger, folder, switches }
    }
}

/// Deterministic: every ward of a test run is the same.
pub fn entropy(label: &'static str) -> Entropy {
    entropy_from(label, 0)
}

/// The same from another place on: what starts again must not draw what it drew before.
fn entropy_from(label: &'static str, first: u64) -> Entropy {
    let drawn = AtomicU64::new(first);
    Arc::new(move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[label.as_bytes(), &drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    })
}

impl Default for Ward {
    fn default() -> Self {
        Self::new()
    }
}

impl Ward {
    pub fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), |vault, store, ledger| {
            Clinic::open(vault, store, ledger, entropy("clinic"), NOON_MS).unwrap()
        })
    }

    /// One in this folder, whose clinic `open` opens.
    pub fn in_folder(
        folder: tempfile::TempDir,
        open: impl FnOnce(Arc<Vault>, Arc<Store>, Arc<MemoryLedger>) -> Arc<Clinic>,
    ) -> Self {
        let Empty { clinic, ledger, folder, switches } = Empty::in_folder(folder, open);
        clinic.first_administrator("admin", "Administrator", "a secret word", NOON_MS).unwrap();
        ledger.block(NOON_MS);
        let (_, admin) = clinic.sign_in("admin", "a secret word", NOON_MS).unwrap();
        Self { clinic, ledger, now_ms: NOON_MS, admin, sessions: BTreeMap::new(), folder, switches }
    }

    /// A ward with these patients and Dr Lee, everybody signed in.
    pub fn with<const N: usize>(names: [&str; N]) -> (Self, [PatientId; N]) {
        let mut ward = Self::new();
        let patients = names.map(|name| ward.patient(name));
        ward.person("lee", Role::Clinician);
        ward.block();
        (ward, patients)
    }

    /// The node stops and starts again; everybody signs in again.
    pub fn reopened(self) -> Self {
        self.clinic.write_alarm_events(self.now_ms);
        self.killed()
    }

    /// The same, and what waited for the disk is lost.
    pub fn killed(self) -> Self {
        let Self { clinic, ledger, now_ms, sessions, folder, switches, .. } = self;
        let genesis = clinic.genesis();
        drop(Arc::into_inner(clinic).expect("nobody else holds the clinic"));
        let vault =
            Vault::open(&folder.path().join("vault"), "correct horse", entropy_from("vault again", now_ms))
                .unwrap();
        let record = folder.path().join("record");
        let disk = Switched::new(&record, switches.clone()).unwrap();
        let store = Store::open_on(Folder::on(Arc::new(disk), &record), genesis, Bounds::STANDARD).unwrap();
        let clinic = Clinic::open(
            Arc::new(vault),
            Arc::new(store),
            ledger.clone(),
            entropy_from("clinic again", now_ms),
            now_ms,
        )
        .unwrap();
        let (_, admin) = clinic.sign_in("admin", "a secret word", now_ms).unwrap();
        let again = |login: String| {
            let (_, session) = clinic.sign_in(&login, "a secret word", now_ms).unwrap();
            (login, session)
        };
        let sessions = sessions.into_keys().map(again).collect();
        Self { clinic, ledger, now_ms, admin, sessions, folder, switches }
    }

    pub fn patient(&mut self, name: &str) -> PatientId {
        let new = NewPerson { login: name, name, password: "a secret word", role: Role::Patient };
        let bed = format!("bed of {name}");
        let (patient, _) = self.clinic.create_patient(&self.admin, &new, &bed, self.now_ms).unwrap();
        self.remember(name);
        patient
    }

    pub fn person(&mut self, name: &str, role: Role) -> PersonId {
        let new = NewPerson { login: name, name, password: "a secret word", role };
        let (person, _) = self.clinic.create_person(&self.admin, &new, self.now_ms).unwrap();
        self.remember(name);
        person
    }

    fn remember(&mut self, name: &str) {
        let (_, session) = self.clinic.sign_in(name, "a secret word", self.now_ms).unwrap();
        self.sessions.insert(name.into(), session);
    }

    /// The session of somebody.
    pub fn as_(&self, name: &str) -> Session {
        self.sessions[name].clone()
    }

    /// The ledger makes a block, and the node notices.
    pub fn block(&mut self) {
        self.ledger.block(self.now_ms);
        self.clinic.tick(self.now_ms);
    }

    /// What is on the way becomes final, and then an anchor of everything admitted so far.
    pub fn anchor(&mut self) {
        self.block();
        self.pass(1_000);
        self.block();
    }

    /// Time passes without blocks.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.clinic.tick(self.now_ms);
    }

    /// A patient's consent, final.
    pub fn granting(&mut self, from: &str, to: &str, purpose: Purpose, classes: &[Class]) -> GrantId {
        let request = GrantRequest {
            grantee: self.as_(to).person,
            purpose,
            classes: classes.to_vec(),
            from_ms: self.now_ms,
            until_ms: self.now_ms + 86_400_000,
        };
        let patient = self.as_(from).patient.unwrap();
        let known = |ward: &Self| -> BTreeSet<GrantId> {
            ward.clinic.vault().terms_of(patient).iter().map(|record| record.grant).collect()
        };
        let before = known(self);
        let ticket = self.clinic.grant(&self.as_(from), &request, self.now_ms).unwrap();
        self.block();
        self.done(&ticket);
        known(self).difference(&before).next().copied().unwrap()
    }

    pub fn done(&self, ticket: &Ticket) {
        let outcome = self.clinic.settle(ticket);
        assert!(matches!(outcome, Outcome::Done { .. }), "{}: {outcome:?}", ticket.what);
    }

    /// A gateway with one board per patient, paired and final.
    pub fn gateway(&mut self, number: u8, patients: &[PatientId]) -> Gateway {
        let mut gateway = Gateway::new(number, patients.len());
        self.pair(&mut gateway, patients);
        gateway
    }

    pub fn pair(&mut self, gateway: &mut Gateway, patients: &[PatientId]) {
        let request = device::pairing::request(&gateway.identity, &gateway.identities()).unwrap().encode();
        let paired = self.clinic.pair(&self.admin, &request, patients, self.now_ms).unwrap();
        self.block();
        paired.tickets.iter().for_each(|ticket| self.done(ticket));
        gateway.accept(&paired.answer);
    }

    /// A gateway brings envelopes; the node answers and looks at them.
    pub fn carry(&mut self, from: DeviceId, envelopes: &[Vec<u8>]) -> Vec<Answer> {
        let arrivals: Vec<Arrival> =
            envelopes.iter().map(|bytes| Arrival { from, bytes: bytes.clone() }).collect();
        let answers = self.clinic.admit(&arrivals, self.now_ms).unwrap();
        self.clinic.attend(self.now_ms);
        answers
    }

    /// One second after the other, each with one reading of the first board, all admitted.
    pub fn beats(&mut self, gateway: &mut Gateway, tenths: i32, seconds: u64) {
        self.beats_off(gateway, tenths, seconds, 0);
    }

    /// The same at a bedside whose clock is `behind_ms` behind.
    pub fn beats_off(&mut self, gateway: &mut Gateway, tenths: i32, seconds: u64, behind_ms: i64) {
        for _ in 0..seconds {
            self.pass(1000);
            let bytes = gateway.sensors[0].pulse(tenths, self.now_ms.saturating_add_signed(-behind_ms));
            let answers = self.carry(gateway.id(), &[bytes]);
            assert!(matches!(answers[0].verdict, Verdict::Admitted { .. }), "{:?}", answers[0].verdict);
        }
    }
}

pub fn refusal(answer: &Answer) -> &'static str {
    match &answer.verdict {
        Verdict::Refused(why) => {
            assert!(answer.receipt.is_none());
            assert!(why.to_string().len() > 20, "a sentence");
            why.code()
        }
        other => panic!("not refused: {other:?}"),
    }
}

pub fn denied<T>(result: Result<T, ClinicError>) -> clinic::Denied {
    match result {
        Err(ClinicError::Denied(why)) => why,
        Err(why) => panic!("failed instead of denying: {why}"),
        Ok(_) => panic!("not denied"),
    }
}

pub struct Gateway {
    pub identity: Identity,
    pub sensors: Vec<Sensor>,
}

impl Gateway {
    pub fn new(number: u8, boards: usize) -> Self {
        let identity = Identity::from_seeds(&[number; 32], &[number ^ 0x80; 32]);
        let sensors = (0..boards).map(|board| Sensor::new(number, u8::try_from(board).unwrap())).collect();
        Self { identity, sensors }
    }

    pub fn id(&self) -> DeviceId {
        self.identity.id()
    }

    pub fn identities(&self) -> Vec<Identity> {
        self.sensors.iter().map(|sensor| Identity::from_seeds(&sensor.seeds.0, &sensor.seeds.1)).collect()
    }

    pub fn accept(&mut self, answer: &[u8]) {
        let answer = PairingAnswer::decode(answer).unwrap();
        assert_eq!(answer.gateway, self.id());
        for sensor in &mut self.sensors {
            sensor.accept(&answer);
        }
    }
}

pub struct Sensor {
    seeds: ([u8; 32], [u8; 32]),
    pub identity: Identity,
    sealers: BTreeMap<Class, Sealer>,
    runs: u8,
}

impl Sensor {
    fn new(number: u8, board: u8) -> Self {
        let seed = |what: &[u8]| sha256(&[what, &[number, board]]);
        let seeds = (seed(b"signs"), seed(b"unwraps"));
        let identity = Identity::from_seeds(&seeds.0, &seeds.1);
        Self { seeds, identity, sealers: BTreeMap::new(), runs: 0 }
    }

    pub fn id(&self) -> DeviceId {
        self.identity.id()
    }

    fn accept(&mut self, answer: &PairingAnswer) {
        let genesis = answer.genesis();
        for key in answer.streams.iter().filter(|key| key.author == self.identity.id()) {
            let chain = self.identity.unwrap_chain(key, genesis).unwrap();
            let state = SealerState { chain, epoch: key.epoch, next_seq: 0, prev: [0; 32] };
            let run = [self.runs; 16];
            let sealer = Sealer::new(genesis, self.identity.signing_key(), key.stream, key.class, run, state);
            self.sealers.insert(key.class, sealer);
        }
        self.runs += 1;
    }

    /// The same sensor once more: a copied disk.
    pub fn clone_at(&self, genesis: vitals::Genesis, class: Class) -> Sensor {
        let held = &self.sealers[&class];
        let state = held.state().clone();
        let signing = self.identity.signing_key();
        let sealer = Sealer::new(genesis, signing, held.stream(), class, [0xcc; 16], state);
        let identity = Identity::from_seeds(&self.seeds.0, &self.seeds.1);
        Self { seeds: self.seeds, identity, sealers: BTreeMap::from([(class, sealer)]), runs: 0 }
    }

    pub fn seal(&mut self, class: Class, body: &Body) -> Sealed {
        self.sealers.get_mut(&class).unwrap().seal(body, ClockQuality::Synced).unwrap()
    }

    pub fn readings(&mut self, class: Class, readings: Vec<Reading>) -> Vec<u8> {
        self.seal(class, &Body::Readings(readings)).bytes
    }

    pub fn pulse(&mut self, tenths: i32, at_ms: u64) -> Vec<u8> {
        let sample = Sample::Measured(tenths);
        self.readings(Class::Vitals, vec![Reading { metric: Metric::HeartRate, at_ms, sample }])
    }

    pub fn finger_off(&mut self, at_ms: u64) -> Vec<u8> {
        self.no_pulse(Absence::SensorOff, at_ms)
    }

    pub fn no_pulse(&mut self, why: Absence, at_ms: u64) -> Vec<u8> {
        let sample = Sample::Absent(why);
        self.readings(Class::Vitals, vec![Reading { metric: Metric::HeartRate, at_ms, sample }])
    }

    pub fn room(&mut self, tenths: i32, at_ms: u64) -> Vec<u8> {
        let sample = Sample::Measured(tenths);
        self.readings(Class::Environment, vec![Reading { metric: Metric::AmbientTemperature, at_ms, sample }])
    }

    pub fn alarm(&mut self, kind: AlarmEventKind, value: i32, at_ms: u64) -> Vec<u8> {
        self.alarm_of(Condition::Above(Metric::HeartRate), Priority::High, kind, value, at_ms)
    }

    pub fn alarm_of(
        &mut self,
        condition: Condition,
        priority: Priority,
        kind: AlarmEventKind,
        value: i32,
        at_ms: u64,
    ) -> Vec<u8> {
        let by = PersonId([0; 32]);
        let event = AlarmEvent { at_ms, condition, episode: 1, kind, priority, value, by };
        self.seal(Class::Alarms, &Body::Alarms(vec![event])).bytes
    }

    /// The bedside starts again: the streams go on under a new run.
    pub fn restarted(&mut self, genesis: vitals::Genesis) {
        let run = [self.runs; 16];
        self.runs += 1;
        for (class, sealer) in &mut self.sealers {
            let (signing, state) = (self.identity.signing_key(), sealer.state().clone());
            *sealer = Sealer::new(genesis, signing, sealer.stream(), *class, run, state);
        }
    }
}

impl Ward {
    /// Time passes, and the ledger makes a block.
    pub fn later(&mut self, ms: u64) {
        self.now_ms += ms;
        self.block();
    }

    /// Somebody signs in now: sessions do not last for days.
    pub fn now_as(&self, login: &str) -> Session {
        self.clinic.sign_in(login, "a secret word", self.now_ms).unwrap().1
    }

    /// The wall, as Dr Lee sees it now.
    pub fn wall_now(&self) -> clinic::views::Wall {
        self.clinic.wall(&self.now_as("lee"), self.now_ms).unwrap()
    }

    /// Beds on it that nobody watches.
    pub fn unwatched(&self) -> Vec<clinic::views::UnwatchedBed> {
        self.wall_now().unwatched
    }

    /// One heart rate, in tenths, from one of the gateway's boards.
    pub fn beat(&mut self, gateway: &mut Gateway, board: usize, tenths: i32) {
        let bytes = gateway.sensors[board].pulse(tenths, self.now_ms);
        self.carry(gateway.id(), &[bytes]);
    }
}
