//! A ward with beds, people and boards, and the addresses of what is to be seen in it.

use clinic::GrantRequest;
use clinic::{About, NewPerson, Session, Verdict};
use std::collections::BTreeMap;
use testward::{Gateway, Ward};
use vitals::body::Body;
use vitals::command::{Confirmation, Outcome};
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};
use vitals::metric::{Absence, Metric, Reading, Sample};
use vitals::{GrantId, PatientId};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "demo-only";
pub(crate) const CARE: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];

/// One thing to look at.
pub(crate) struct State {
    pub(crate) name: &'static str,
    /// Who looks; empty for nobody.
    pub(crate) login: &'static str,
    pub(crate) path: String,
}

/// Logins and names of patients; a ward takes as many as it has beds.
pub(crate) const PATIENTS: [(&str, &str); 22] = [
    ("amira", "Amira Demo"),
    ("b", "B. Sample"),
    ("c", "C. Example"),
    ("d", "D. Test"),
    ("e", "E. Sample"),
    ("f", "F. Example"),
    ("g", "G. Test"),
    ("h", "H. Sample"),
    ("i", "I. Example"),
    ("j", "J. Test"),
    ("k", "K. Sample"),
    ("l", "L. Example"),
    ("m", "M. Test"),
    ("n", "N. Sample"),
    ("o", "O. Example"),
    ("p", "P. Test"),
    ("q", "Q. Sample"),
    ("r", "R. Example"),
    ("s", "S. Test"),
    ("t", "T. Sample"),
    ("u", "U. Example"),
    ("v", "V. Test"),
];

/// A ward, its people, and what can be seen in it.
pub(crate) struct Hospital {
    pub(crate) ward: Ward,
    pub(crate) gateway: Gateway,
    pub(crate) beds: Vec<PatientId>,
    pub(crate) states: Vec<State>,
    /// A bed whose heart rate is not measured now.
    pub(crate) without_heart: Option<usize>,
    sessions: BTreeMap<&'static str, Session>,
}

/// What a bed sends at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Vitals {
    /// Tenths of a beat per minute, or why there is none; nothing is sent where this is none.
    pub(crate) heart: Option<Result<i32, Absence>>,
    /// Hundredths of a degree.
    pub(crate) warmth: i32,
    /// How far the bedside's clock is behind, milliseconds.
    pub(crate) behind_ms: u64,
}

impl Hospital {
    /// These patients in beds 1, 2, …, all paired with one gateway and watched; Dr Lee, Nurse Kim, an
    /// administrator, an auditor and a relative.
    pub(crate) fn with(patients: &[(&'static str, &str)]) -> Self {
        let mut ward = Ward::new();
        let mut sessions = BTreeMap::new();
        let mut beds = Vec::new();
        let now_ms = ward.now_ms;
        for (login, name, role) in [
            ("lee", "Dr Lee Demo", Role::Clinician),
            ("kim", "Nurse Kim Demo", Role::Clinician),
            ("root", "Robin Demo", Role::Administrator),
            ("auditor", "Avery Demo", Role::Auditor),
            ("fay", "Fay Demo", Role::Family),
        ] {
            let new = NewPerson { login, name, password: PASSWORD, role };
            ward.clinic.create_person(&ward.admin, &new, now_ms).unwrap();
            sessions.insert(login, ward.clinic.sign_in(login, PASSWORD, now_ms).unwrap().1);
        }
        for (number, (login, name)) in patients.iter().enumerate() {
            let new = NewPerson { login, name, password: PASSWORD, role: Role::Patient };
            let bed = format!("Bed {:02}", number + 1);
            let (patient, _) = ward.clinic.create_patient(&ward.admin, &new, &bed, now_ms).unwrap();
            beds.push(patient);
            sessions.insert(login, ward.clinic.sign_in(login, PASSWORD, now_ms).unwrap().1);
        }
        ward.block();
        let gateway = if beds.is_empty() { Gateway::new(1, 0) } else { ward.gateway(1, &beds) };
        ward.clinic.connected(gateway.id());
        Self { ward, gateway, beds, states: Vec::new(), without_heart: None, sessions }
    }

    pub(crate) fn as_(&self, login: &str) -> Session {
        self.sessions[login].clone()
    }

    /// Signs somebody in again: sessions end after a while.
    pub(crate) fn sign_in_again(&mut self) {
        for (login, session) in &mut self.sessions {
            *session = self.ward.clinic.sign_in(login, PASSWORD, self.ward.now_ms).unwrap().1;
        }
    }

    pub(crate) fn show(&mut self, name: &'static str, login: &'static str, path: impl Into<String>) {
        self.states.push(State { name, login, path: path.into() });
    }

    /// A patient's consent, final.
    pub(crate) fn consent(&mut self, patient: &str, grantee: &str, purpose: Purpose) -> GrantId {
        let own = self.as_(patient);
        let grantee = self.as_(grantee).person;
        let (from_ms, until_ms) = (self.ward.now_ms, self.ward.now_ms + 90 * 86_400_000);
        let request = GrantRequest { grantee, purpose, classes: CARE.to_vec(), from_ms, until_ms };
        self.ward.clinic.grant(&own, &request, self.ward.now_ms).unwrap();
        self.ward.block();
        let mut records = self.ward.clinic.vault().terms_of(own.patient.unwrap()).into_iter();
        records.rfind(|record| record.grantee == grantee && record.terms.purpose == purpose).unwrap().grant
    }

    /// The consent under which the ward watches a patient.
    pub(crate) fn monitoring(&self, patient: &str) -> GrantId {
        let own = self.ward.clinic.own_consents(&self.as_(patient), self.ward.now_ms).unwrap();
        own.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant
    }

    /// Time passes in steps; at each of them every bed sends what `vitals` says of it, given the
    /// milliseconds since the beginning.
    pub(crate) fn pass(&mut self, seconds: u64, step_s: u64, vitals: impl Fn(usize, u64) -> Vitals) {
        for step in 0..seconds / step_s {
            self.ward.pass(step_s * 1000);
            let now_ms = self.ward.now_ms;
            let mut envelopes = Vec::new();
            for board in 0..self.gateway.sensors.len() {
                let Vitals { heart, warmth, behind_ms } = vitals(board, now_ms);
                let at_ms = now_ms - behind_ms;
                let reading = |metric, raw| Reading { metric, at_ms, sample: Sample::Measured(raw) };
                let Some(heart) = heart else { continue };
                let sample = heart.map_or_else(Sample::Absent, Sample::Measured);
                let heart = Reading { metric: Metric::HeartRate, at_ms, sample };
                let warmth = reading(Metric::BodyTemperature, warmth);
                let without_heart = self.without_heart == Some(board);
                let readings = if without_heart { vec![warmth] } else { vec![heart, warmth] };
                let sensor = &mut self.gateway.sensors[board];
                envelopes.push(sensor.readings(Class::Vitals, readings));
                if step % 6 == 0 {
                    let wave = wave(at_ms, 997.0, board);
                    let air = vec![
                        reading(Metric::AmbientTemperature, 224 + wave / 4),
                        reading(Metric::RelativeHumidity, 440 + wave),
                        reading(Metric::Pm25, 82 + wave),
                        reading(Metric::Co2, 780 + 5 * wave),
                    ];
                    envelopes.push(sensor.readings(Class::Environment, air));
                }
            }
            for answer in self.ward.carry(self.gateway.id(), &envelopes) {
                assert!(matches!(answer.verdict, Verdict::Admitted { .. }), "{:?}", answer.verdict);
            }
            if step % 6 == 5 {
                self.settle();
            }
        }
        self.settle();
    }

    /// What is on the way becomes final, and what happened is written.
    pub(crate) fn settle(&mut self) {
        self.ward.clinic.write_alarm_events(self.ward.now_ms);
        self.ward.block();
    }

    /// The bedside takes every order about this that waits for it, and says this of it.
    pub(crate) fn bedside_says(&mut self, board: usize, outcome: Outcome) {
        let orders = self.ward.clinic.orders_due(&[self.gateway.id()], self.ward.now_ms);
        for order in orders.iter().filter(|order| order.command.patient == self.beds[board]) {
            self.ward.clinic.order_sent(order, true, self.ward.now_ms);
            let command = &order.command;
            let word = Confirmation {
                at_ms: self.ward.now_ms,
                seq: command.seq,
                command: command.hash(),
                outcome,
                until_ms: command.in_force_until_ms,
                limits: None,
            };
            let body = Body::Confirmations(vec![word]);
            let sealed = self.gateway.sensors[board].seal(Class::Alarms, &body);
            self.ward.carry(self.gateway.id(), &[sealed.bytes]);
        }
    }

    /// What was asked of a bed's gateway.
    pub(crate) fn asked(&self, board: usize) -> Vec<About> {
        let wall = self.ward.clinic.wall(&self.as_("lee"), self.ward.now_ms).unwrap();
        let tile = wall.tiles.into_iter().find(|tile| tile.patient == self.beds[board]);
        tile.map_or_else(Vec::new, |tile| tile.orders.iter().map(|order| order.about).collect())
    }
}

/// A slow wave between −40 and 40, other for each bed.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a made-up curve")]
pub(crate) fn wave(at_ms: u64, period_s: f64, bed: usize) -> i32 {
    let t = at_ms as f64 / 1000.0 + bed as f64 * 977.0;
    ((t / period_s).sin() * 28.0 + (t / (period_s / 3.2)).sin() * 12.0).round() as i32
}
