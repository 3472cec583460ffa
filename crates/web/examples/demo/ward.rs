//! A ward made up in memory: every state a page can show, values that move with the clock, and no
//! rule worth trusting. For looking at the pages.

mod answers;
mod flow;
mod ledger;

use clinic::views::*;
use clinic::{
    About, ChartRequest, ClinicError, Counters, Denied, Latency, LimitsOrder, Origin, Session, SignInRefused,
    Ticket,
};
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vitals::alarm::{AlarmEvent, Condition, Happening, Limits, Priority, Unwatched};
use vitals::body::{ChangeTold, LimitsChange};
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, StreamId, sha256};
use vitals::ledger::{DeviceKind, Outcome, Purpose, Role};
use vitals::metric::{Absence, Metric, Reading, Sample};
use vitals::{DeviceId, Genesis, GrantId, PatientId, PersonId};
use web::station::{Following, Station};

/// Everybody's password in the demo ward.
pub(crate) const PASSWORD: &str = "demo-only";
const RAISED_AGO_MS: u64 = 152_000;

/// Logins, names and roles.
pub(crate) const PEOPLE: [(&str, &str, Role); 4] = [
    ("lee", "Dr Lee Demo", Role::Clinician),
    ("amira", "Amira Demo", Role::Patient),
    ("root", "Robin Demo", Role::Administrator),
    ("auditor", "Avery Demo", Role::Auditor),
];

/// The state a made-up patient is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    High,
    Medium,
    SensorOff,
    Stale,
    Waiting,
    /// Beyond a limit, not long enough to ring.
    Checking,
}

const BEDS: [(&str, Mood); 8] = [
    ("Amira Demo", Mood::Well),
    ("B. Sample", Mood::High),
    ("C. Example", Mood::Medium),
    ("D. Test", Mood::SensorOff),
    ("E. Sample", Mood::Stale),
    ("F. Example", Mood::Waiting),
    ("G. Test", Mood::Checking),
    ("H. Sample", Mood::Stale),
];

#[derive(Default)]
struct Memory {
    sessions: BTreeMap<String, Session>,
    tries: u32,
    acknowledged: BTreeMap<(PatientId, u16), String>,
    silenced: BTreeMap<(PatientId, u16), u64>,
    limits: BTreeMap<(PatientId, u8), Limits>,
    temporary: BTreeMap<(PatientId, u8), TemporaryLimits>,
    access: Vec<AccessView>,
    revoked: bool,
    raised: Option<u64>,
    watched_until_ms: Option<u64>,
    pause: Option<PauseView>,
    /// Who answered for the bed that nobody watches: when, name, reason.
    unwatched_ended: Option<(u64, String, String)>,
}

/// The made-up ward.
pub(crate) struct Demo {
    start_ms: u64,
    /// The first patient's name.
    name: String,
    /// While this file exists, the first patient has a high alarm. While one of this name with `.halt`
    /// behind it exists, the ledger stands still.
    alarm: Option<PathBuf>,
    memory: Arc<Mutex<Memory>>,
}

pub(crate) fn patient(number: usize) -> PatientId {
    let mut id = [0; 16];
    id.copy_from_slice(&sha256(&[b"demo patient", &[u8::try_from(number).expect("few patients")]])[..16]);
    PatientId(id)
}

pub(crate) fn grant() -> GrantId {
    GrantId(sha256(&[b"demo grant"]))
}

pub(crate) fn watching() -> GrantId {
    GrantId([9; 32])
}

fn person(login: &str) -> PersonId {
    PersonId(sha256(&[b"demo person", login.as_bytes()]))
}

impl Demo {
    pub(crate) fn new(start_ms: u64, name: &str, alarm: Option<PathBuf>) -> Self {
        let memory = Memory { watched_until_ms: Some(start_ms + 2 * 86_400_000), ..Memory::default() };
        Self { start_ms, name: name.into(), alarm, memory: Arc::new(Mutex::new(memory)) }
    }

    fn copy(&self) -> Self {
        Self {
            start_ms: self.start_ms,
            name: self.name.clone(),
            alarm: self.alarm.clone(),
            memory: self.memory.clone(),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("no holder of this lock panics")
    }

    /// Ends what the doctor may see, as a revocation would.
    pub(crate) fn revoke_everything(&self) {
        self.memory().revoked = true;
    }

    fn raised(&self, now_ms: u64) -> Option<u64> {
        let wanted = self.alarm.as_ref().is_some_and(|file| file.exists());
        let mut memory = self.memory();
        memory.raised = if wanted { memory.raised.or(Some(now_ms)) } else { None };
        memory.raised
    }

    fn index(&self, at_ms: u64) -> u64 {
        at_ms.saturating_sub(self.start_ms.saturating_sub(86_400_000)) / 1000 * 4
    }

    fn envelope(&self, at_ms: u64, now_ms: u64) -> EnvelopeRef {
        let proof = match now_ms.saturating_sub(at_ms) {
            ..2000 => ProofState::Received,
            2000..4000 => ProofState::Anchored,
            _ => ProofState::Final { height: at_ms / 1000 % 100_000 },
        };
        EnvelopeRef { hash: sha256(&[&at_ms.to_be_bytes()]), index: self.index(at_ms), proof }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "made-up curves")]
    fn value(&self, number: usize, metric: Metric, at_ms: u64) -> Sample {
        let (_, mood) = BEDS[number];
        let t = at_ms as f64 / 1000.0 + number as f64 * 977.0;
        let slow = (t / 997.0).sin() * 0.6 + (t / 311.0).sin() * 0.4;
        let fast = (t / 7.3).sin() * 0.5 + (t / 2.9).sin() * 0.3 + (t * 12.9898).sin() * 0.2;
        if at_ms / 60_000 % 45 == 17 {
            return Sample::Absent(Absence::SensorOff);
        }
        let value = match metric {
            Metric::HeartRate if mood == Mood::SensorOff => return Sample::Absent(Absence::SensorOff),
            Metric::HeartRate => {
                let base = match mood {
                    Mood::High => 1340.0,
                    Mood::Medium => 760.0,
                    Mood::Checking => 1180.0,
                    _ if number == 0 && self.raised(at_ms).is_some() => 1380.0,
                    _ => 720.0,
                };
                base + 40.0 * slow + 18.0 * fast
            }
            Metric::BodyTemperature => {
                (if mood == Mood::Medium { 3925.0 } else { 3680.0 }) + 12.0 * slow + 2.0 * fast
            }
            Metric::AmbientTemperature => 224.0 + 9.0 * slow,
            Metric::RelativeHumidity => 440.0 + 40.0 * slow,
            Metric::Pm25 => 82.0 + 40.0 * slow + 8.0 * fast,
            Metric::Co2 => 780.0 + 200.0 * slow + 20.0 * fast,
            Metric::Aqi => 45.0 + 20.0 * slow,
            Metric::Pm10 | Metric::Tvoc => return Sample::Absent(Absence::OutOfRange),
        };
        Sample::Measured(value.round() as i32)
    }

    fn metrics() -> impl Iterator<Item = Metric> {
        Metric::ALL.iter().copied().filter(|metric| !matches!(metric, Metric::Pm10 | Metric::Tvoc))
    }

    fn last_ms(number: usize, now_ms: u64) -> Option<u64> {
        match BEDS[number].1 {
            Mood::Waiting => None,
            Mood::Stale => Some(now_ms / 1000 * 1000 - 240_000),
            _ => Some(now_ms / 1000 * 1000),
        }
    }

    fn limits(&self, number: usize) -> Vec<Limits> {
        let memory = self.memory();
        Metric::ALL
            .iter()
            .filter_map(|metric| {
                memory
                    .limits
                    .get(&(patient(number), metric.code()))
                    .copied()
                    .or_else(|| Limits::adult(*metric))
            })
            .collect()
    }

    /// All silent beds stand behind one gateway.
    fn silent_gateways(&self, tiles: &[Tile]) -> Vec<SilentGateway> {
        let alarms = tiles.iter().flat_map(|tile| &tile.alarms);
        let silent: Vec<AlarmView> =
            alarms.filter(|alarm| alarm.condition == Condition::Stale).cloned().collect();
        (silent.len() > 1)
            .then_some(SilentGateway { gateway: DeviceId([1; 16]), alarms: silent })
            .into_iter()
            .collect()
    }

    fn temporary(&self, number: usize) -> Vec<TemporaryLimits> {
        let memory = self.memory();
        let own = memory.temporary.iter().filter(|((whose, _), _)| *whose == patient(number));
        own.map(|(_, temporary)| temporary.clone()).collect()
    }

    fn alarms(&self, number: usize, now_ms: u64) -> Vec<AlarmView> {
        let raised = self.raised(now_ms);
        let memory = self.memory();
        let open = |condition, priority, value, raised_at_ms, owner: Option<&str>| {
            let key = (patient(number), Condition::code(condition));
            let by = memory.acknowledged.get(&key).cloned().or_else(|| owner.map(ToString::to_string));
            AlarmView {
                patient: patient(number),
                condition,
                episode: 1,
                priority,
                phase: if by.is_some() { AlarmPhase::Acknowledged } else { AlarmPhase::Active },
                value,
                raised_at_ms,
                owner: by,
                silenced_until_ms: memory.silenced.get(&key).copied().unwrap_or(0),
                inhibited: false,
                escalated: 0,
            }
        };
        let since = self.start_ms.saturating_sub(RAISED_AGO_MS);
        match BEDS[number].1 {
            Mood::High => vec![open(Condition::Above(Metric::HeartRate), Priority::High, 1342, since, None)],
            Mood::Medium => vec![open(
                Condition::Above(Metric::BodyTemperature),
                Priority::Medium,
                3921,
                since,
                Some("Nurse Kim Demo"),
            )],
            Mood::SensorOff => {
                let off = Condition::SensorOff(Metric::HeartRate);
                [off, Condition::Equivocation, Condition::Gap, Condition::Clock]
                    .map(|condition| open(condition, Priority::Technical, 0, since, None))
                    .to_vec()
            }
            Mood::Stale => vec![open(Condition::Stale, Priority::Technical, 0, since, None)],
            Mood::Well if number == 0 => raised
                .map(|at_ms| open(Condition::Above(Metric::HeartRate), Priority::High, 1380, at_ms, None))
                .into_iter()
                .collect(),
            Mood::Well | Mood::Waiting | Mood::Checking => Vec::new(),
        }
    }

    pub(crate) fn tile_of(&self, number: usize, now_ms: u64) -> Tile {
        let last_ms = Self::last_ms(number, now_ms);
        let values = last_ms.map_or_else(Vec::new, |at_ms| {
            Self::metrics()
                .map(|metric| ValueNow {
                    metric,
                    sample: self.value(number, metric, at_ms),
                    at_ms: if number == 3 { at_ms - 7_200_000 } else { at_ms },
                    here_ms: at_ms,
                    envelope: self.envelope(at_ms, now_ms),
                })
                .collect()
        });
        let spark = |at_ms| match (
            self.value(number, Metric::HeartRate, at_ms),
            self.value(number, Metric::HeartRate, at_ms + 60_000),
        ) {
            (Sample::Measured(one), Sample::Measured(two)) => {
                Some(SparkPoint { at_ms, low: one.min(two) - 12, high: one.max(two) + 12 })
            }
            _ => None,
        };
        let from_ms = now_ms / 120_000 * 120_000 - 7_200_000;
        Tile {
            patient: patient(number),
            name: if number == 0 { self.name.clone() } else { BEDS[number].0.into() },
            bed: format!("Bed {:02}", number + 1),
            values,
            sparkline: last_ms.map_or_else(Vec::new, |last| {
                (0..60).map(|n| from_ms + n * 120_000).filter(|at| *at < last).filter_map(spark).collect()
            }),
            alarms: self.alarms(number, now_ms),
            technical: Technical {
                stale: BEDS[number].1 == Mood::Stale,
                stale_after_ms: clinic::STALE_MS,
                last_ms,
                absent: Vec::new(),
                clock: ClockQuality::Synced,
                clock_off_ms: (number == 3).then_some(7_200_000),
                missing: (number == 3)
                    .then(|| Missing {
                        stream: StreamId([7; 16]),
                        class: Class::Vitals,
                        count: 3,
                        seqs: vec![(1204, 1205), (1209, 1209)],
                        since_ms: self.start_ms,
                    })
                    .into_iter()
                    .collect(),
            },
            limits: self.limits(number),
            temporary: self.temporary(number),
            limits_back: Vec::new(),
            unwatched: None,
            watch_ends_ms: Some(self.start_ms + 20 * 86_400_000),
            orders: self.orders(number),
        }
    }

    /// A bed whose patient withdrew, and one whose access log cannot be written.
    pub(crate) fn unwatched(&self, now_ms: u64) -> Vec<UnwatchedBed> {
        let ended = self.memory().unwatched_ended.clone();
        let bed = |number: usize, why: Unwatched, ended: Option<(u64, String, String)>| {
            let since_ms = self.start_ms.min(now_ms);
            let view = AlarmView {
                patient: patient(number),
                condition: Condition::Unwatched,
                episode: 1,
                priority: Priority::Technical,
                phase: AlarmPhase::Active,
                value: why.code(),
                raised_at_ms: since_ms,
                owner: None,
                silenced_until_ms: 0,
                inhibited: false,
                escalated: 0,
            };
            let alarm = ended.is_none().then_some(view);
            let place = format!("Bed {:02}", number + 1);
            UnwatchedBed { patient: patient(number), place, why, since_ms, ended, alarm }
        };
        vec![bed(20, Unwatched::Withdrawn, ended), bed(21, Unwatched::NotRecorded, None)]
    }

    /// One bedside that took its limits, and one that is away.
    fn orders(&self, number: usize) -> Vec<OrderView> {
        let state = match number {
            1 => OrderState::InForce,
            2 => OrderState::Asked { away_since_ms: Some(Some(self.start_ms)) },
            _ => return Vec::new(),
        };
        vec![OrderView {
            about: About::Limits(Metric::HeartRate),
            ends: false,
            state,
            asked_at_ms: self.start_ms,
            told_at_ms: (state == OrderState::InForce).then_some(self.start_ms),
            until_ms: self.start_ms + 86_400_000,
            limits: None,
        }]
    }

    fn record(&self, number: usize, request: &ChartRequest, session: &Session, now_ms: u64) -> Chart {
        let (from, until) = request.span_ms;
        let step = if until - from > 3_600_000 { 10_000 } else { 1000 };
        let times: Vec<u64> = match Self::last_ms(number, now_ms) {
            None => Vec::new(),
            Some(last) => (from.div_ceil(step)..=until.min(last) / step).map(|n| n * step).collect(),
        };
        let envelopes: Vec<EnvelopeRef> = times.iter().map(|at| self.envelope(*at, now_ms)).collect();
        let series = Self::metrics()
            .filter(|metric| request.classes.contains(&metric.info().class))
            .map(|metric| Series {
                metric,
                points: (0u32..)
                    .zip(&times)
                    .map(|(envelope, at_ms)| Point {
                        at_ms: *at_ms,
                        sample: self.value(number, metric, *at_ms),
                        envelope,
                    })
                    .collect(),
            })
            .collect();
        let event = |at_ms, happening, by| AlarmMark {
            event: AlarmEvent {
                at_ms,
                condition: Condition::Above(Metric::HeartRate),
                episode: 1,
                happening,
                priority: Priority::Medium,
                value: 1124,
                by: PersonId([0; 32]),
            },
            source: AlarmSource::Node,
            by,
            envelope: self.envelope(at_ms, now_ms),
        };
        let usual = Limits::adult(Metric::HeartRate).expect("the heart rate has limits");
        let trace = self.envelope(now_ms, now_ms);
        let entry = AccessView {
            at_ms: now_ms,
            reader: session.name.clone(),
            person: session.person,
            session: session.id,
            purpose: request.purpose,
            grant: grant(),
            classes: request.classes.clone(),
            span_ms: request.span_ms,
            envelope: trace,
        };
        if number == 0 {
            self.memory().access.insert(0, entry);
        }
        Chart {
            now: self.tile_of(number, now_ms),
            purpose: request.purpose,
            grant: grant(),
            classes: request.classes.clone(),
            span_ms: request.span_ms,
            series,
            alarms: vec![
                event(now_ms - 700_000, Happening::Raised, None),
                event(now_ms - 640_000, Happening::Acknowledged, Some("Nurse Kim Demo".into())),
                event(now_ms - 500_000, Happening::Closed, None),
            ],
            limits: vec![LimitsMark {
                change: LimitsChange {
                    at_ms: now_ms - 300_000,
                    by: session.person,
                    limits: Limits { above: [Some(1000), Some(1200), Some(1400)], ..usual },
                    told: Some(ChangeTold {
                        before: usual,
                        reason: "known fast heart, agreed on the round".into(),
                        until_ms: None,
                    }),
                },
                by: Some("Dr Lee Demo".into()),
                envelope: self.envelope(now_ms - 300_000, now_ms),
            }],
            gaps: vec![Gap {
                class: Class::Vitals,
                from_seq: 10,
                until_seq: 14,
                from_ms: now_ms - 400_000,
                until_ms: now_ms - 396_000,
            }],
            envelopes,
            unreadable: 0,
            trace,
        }
    }

    fn number(session: &Session, wanted: PatientId, revoked: bool) -> Result<usize, ClinicError> {
        let number = (0..BEDS.len()).find(|number| patient(*number) == wanted);
        match (session.role, number) {
            (Role::Clinician, Some(_)) if revoked => Err(Denied::Withdrawn.into()),
            (Role::Clinician, Some(number)) => Ok(number),
            (Role::Patient, Some(number)) if session.patient == Some(wanted) => Ok(number),
            _ => Err(Denied::NoSuchPatient.into()),
        }
    }

    fn clinician(session: &Session) -> Result<(), ClinicError> {
        if session.role == Role::Clinician { Ok(()) } else { Err(Denied::Role { role: session.role }.into()) }
    }
}
