//! The ward with a bed in every state.

use crate::hospital::{CARE, Hospital, PATIENTS, Vitals, wave};
use clinic::{AskForConsent, ChartRequest, LimitsOrder};
use vitals::alarm::{Condition, Limits, SILENCE_MAX_MS};
use vitals::command::Outcome;
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric};

const FAST: Condition = Condition::Above(Metric::HeartRate);
const HOT: Condition = Condition::Above(Metric::BodyTemperature);
const HOUR_MS: u64 = 3_600_000;

/// Length of what was measured before anybody looks, seconds: two hours, then three minutes second by
/// second.
const PAST_S: u64 = 7_200;
const LATELY_S: u64 = 180;

// Board numbers; the bed's place is one more.
const WELL: usize = 0;
const HIGH: usize = 1;
const MEDIUM: usize = 2;
const SENSOR_OFF: usize = 3;
const COPIED: usize = 4;
const SILENCED: usize = 5;
const SILENCE_ASKED: usize = 6;
const CHECKING: usize = 7;
const NO_SIGNAL: usize = 8;
const NOT_KNOWN: usize = 9;
const ALARM_OFF: usize = 10;
const UNSTEADY: usize = 11;
const WAITING: usize = 12;
const STALE: usize = 13;
const OVER: usize = 14;
const LIMITS_ASKED: usize = 15;
const LIMITS_NARROWED: usize = 16;
const LIMITS_REFUSED: usize = 17;
const ENDING: usize = 18;
const WITHDRAWN: usize = 19;
const ANSWERED_FOR: usize = 20;
const PAUSED: usize = 21;

/// What a bed sends when so much time is left before somebody looks.
fn vitals(board: usize, at_ms: u64, left_ms: u64) -> Vitals {
    let usual = 700 + wave(at_ms, 311.0, board);
    let left_s = left_ms / 1000;
    let heart = match board {
        HIGH if left_s < 215 => Ok(1342),
        SILENCED | SILENCE_ASKED if left_s < 100 => Ok(1360),
        CHECKING if left_s < 5 => Ok(1342),
        NO_SIGNAL if left_s < 5 => Err(Absence::Noisy),
        SENSOR_OFF if left_s < 300 => Err(Absence::SensorOff),
        ALARM_OFF => Ok(940 + usual / 10),
        UNSTEADY if left_s < 90 => Err(Absence::Unsteady),
        OVER if (60..100).contains(&left_s) => Ok(1390),
        _ => Ok(usual),
    };
    let silent = match board {
        WAITING => true,
        STALE => left_s < 240,
        _ => false,
    };
    let warmth = 3680 + wave(at_ms, 997.0, board) / 4;
    Vitals {
        heart: (!silent).then_some(heart),
        warmth: if board == MEDIUM && left_s < 1500 { 3921 } else { warmth },
        behind_ms: if board == COPIED { 2 * HOUR_MS } else { 0 },
    }
}

/// The ward with a bed in every state.
pub(crate) fn every_bed() -> Hospital {
    let mut hospital = Hospital::with(&PATIENTS);
    for (login, name) in PATIENTS {
        // One record that Dr Lee may not open.
        if name != PATIENTS[MEDIUM].1 {
            hospital.consent(login, "lee", Purpose::Treatment);
        }
    }
    hospital.consent("amira", "fay", Purpose::Family);
    hospital.consent("amira", "kim", Purpose::Treatment);
    let until_ms = hospital.ward.now_ms + (PAST_S + LATELY_S) * 1000;
    hospital.pass(PAST_S, 10, |board, now_ms| vitals(board, now_ms, until_ms.saturating_sub(now_ms)));
    hospital.sign_in_again();
    consents(&mut hospital);
    limits(&mut hospital);
    // Second by second; what people do in between.
    let lately = |hospital: &mut Hospital, seconds| {
        hospital.pass(seconds, 1, |board, now_ms| vitals(board, now_ms, until_ms.saturating_sub(now_ms)));
    };
    lately(&mut hospital, 60);
    let (lee, kim) = (hospital.as_("lee"), hospital.as_("kim"));
    let clinic = hospital.ward.clinic.clone();
    clinic.acknowledge(&kim, hospital.beds[MEDIUM], HOT, hospital.ward.now_ms).unwrap();
    hospital.bedside_says(MEDIUM, Outcome::InForce);
    looked_at(&hospital);
    copied_device(&mut hospital);
    lately(&mut hospital, 70);
    clinic.acknowledge(&lee, hospital.beds[SILENCED], FAST, hospital.ward.now_ms).unwrap();
    clinic.silence(&lee, hospital.beds[SILENCED], FAST, SILENCE_MAX_MS, hospital.ward.now_ms).unwrap();
    hospital.bedside_says(SILENCED, Outcome::InForce);
    clinic.silence(&lee, hospital.beds[SILENCE_ASKED], FAST, SILENCE_MAX_MS, hospital.ward.now_ms).unwrap();
    lately(&mut hospital, LATELY_S - 130 - 30);
    value_missing(&mut hospital, |board, now_ms| vitals(board, now_ms, until_ms.saturating_sub(now_ms)));
    // Only now: what was refused is asked for again after a while.
    hospital.bedside_says(LIMITS_REFUSED, Outcome::NotKept);
    states(&mut hospital);
    hospital
}

/// Watching that ends, was withdrawn, was answered for, and is paused.
fn consents(hospital: &mut Hospital) {
    let clinic = hospital.ward.clinic.clone();
    for board in [ENDING, WITHDRAWN, ANSWERED_FOR] {
        let login = PATIENTS[board].0;
        let own = hospital.as_(login);
        clinic.revoke_grant(&own, hospital.monitoring(login), hospital.ward.now_ms).unwrap();
        hospital.settle();
    }
    clinic.let_ward_watch(&hospital.as_(PATIENTS[ENDING].0), 60 * HOUR_MS, hospital.ward.now_ms).unwrap();
    hospital.settle();
    hospital.ward.pass(1_000);
    let (kim, bed) = (hospital.as_("kim"), hospital.beds[ANSWERED_FOR]);
    clinic.end_unwatched(&kim, bed, "At home until Sunday evening", hospital.ward.now_ms).unwrap();
    clinic.pause_watching(&hospital.as_(PATIENTS[PAUSED].0), 1_800_000, hospital.ward.now_ms).unwrap();
    hospital.settle();
}

/// Limits that were changed: in force, asked for, narrowed and refused; and an alarm that is off.
fn limits(hospital: &mut Hospital) {
    let clinic = hospital.ward.clinic.clone();
    let lee = hospital.as_("lee");
    let usual = Limits::adult(Metric::HeartRate).unwrap();
    let wide = Limits { above: [Some(1000), Some(1200), Some(1450)], ..usual };
    let off = Limits { above: [None; 3], ..usual };
    let ask = |board: usize, limits, for_ms| {
        let order = LimitsOrder { limits, reason: "known fast heart, agreed on the round".into(), for_ms };
        clinic.set_limits(&lee, hospital.beds[board], &order, hospital.ward.now_ms).unwrap();
    };
    for board in [WELL, LIMITS_ASKED, LIMITS_NARROWED, LIMITS_REFUSED] {
        ask(board, wide, None);
    }
    ask(ALARM_OFF, off, Some(HOUR_MS));
    for (board, outcome) in
        [(WELL, Outcome::InForce), (ALARM_OFF, Outcome::InForce), (LIMITS_NARROWED, Outcome::Narrowed)]
    {
        hospital.bedside_says(board, outcome);
    }
    assert_eq!(hospital.asked(LIMITS_ASKED).len(), 1);
}

/// Two clinicians look at the wall, and one of them at a record.
fn looked_at(hospital: &Hospital) {
    let (clinic, now_ms) = (&hospital.ward.clinic, hospital.ward.now_ms);
    for login in ["lee", "kim"] {
        clinic.wall(&hospital.as_(login), now_ms).unwrap();
    }
    let wanted = AskForConsent {
        patient: hospital.beds[WELL],
        classes: vec![CARE[0], CARE[2]],
        reason: "You slept badly; I want to see how your heart did".into(),
        for_ms: 7 * 24 * HOUR_MS,
    };
    clinic.ask_for_consent(&hospital.as_("kim"), &wanted, now_ms).unwrap();
    let request = ChartRequest {
        patient: hospital.beds[WELL],
        purpose: Purpose::Treatment,
        classes: CARE.to_vec(),
        span_ms: (now_ms - 900_000, now_ms),
        make_do: true,
    };
    clinic.open_chart(&hospital.as_("lee"), &request, now_ms).unwrap();
}

/// A copied disk: another sensor sends under the same identity; and two records never arrive.
fn copied_device(hospital: &mut Hospital) {
    let now_ms = hospital.ward.now_ms;
    let genesis = hospital.ward.clinic.genesis();
    let sensor = &mut hospital.gateway.sensors[COPIED];
    let mut copy = sensor.clone_at(genesis, Class::Vitals);
    let envelopes = [sensor.pulse(701, now_ms - 2 * HOUR_MS), copy.pulse(990, now_ms - 2 * HOUR_MS)];
    sensor.pulse(702, now_ms - 2 * HOUR_MS);
    sensor.pulse(703, now_ms - 2 * HOUR_MS);
    hospital.ward.carry(hospital.gateway.id(), &envelopes);
}

/// The last half minute, in which one bed sends no heart rate and another says nothing at all of it.
fn value_missing(hospital: &mut Hospital, vitals: impl Fn(usize, u64) -> Vitals) {
    hospital.without_heart = Some(NOT_KNOWN);
    hospital.pass(30, 1, vitals);
}

fn states(hospital: &mut Hospital) {
    let path = |board: usize| format!("/patients/{}", hospital.beds[board]);
    let paths: Vec<String> = (0..PATIENTS.len()).map(path).collect();
    let treatment = hospital.ward.clinic.own_consents(&hospital.as_("amira"), hospital.ward.now_ms).unwrap();
    let family = treatment.iter().find(|grant| grant.purpose == Purpose::Family).unwrap().grant;
    hospital.ward.clinic.pause_consent(&hospital.as_("amira"), family, hospital.ward.now_ms).unwrap();
    let treatment = treatment.iter().find(|grant| grant.purpose == Purpose::Treatment).unwrap().grant;
    let watching = hospital.monitoring("amira");
    let lee = hospital.as_("lee").person;
    let asks = hospital.ward.clinic.asks_of(&hospital.as_("amira"), hospital.ward.now_ms).unwrap();
    let asked: String = asks[0].id.iter().map(|byte| format!("{byte:02x}")).collect();
    let newest = hospital.ward.clinic.health(hospital.ward.now_ms).log_size - 1;
    for (name, login, path) in [
        ("sign-in", "", "/sign-in".to_owned()),
        ("wall", "lee", "/wall".into()),
        ("patient-well", "lee", paths[WELL].clone()),
        ("patient-well-2h", "lee", format!("{}?range=2h", paths[WELL])),
        ("patient-monitoring", "lee", format!("{}?for=monitoring", paths[MEDIUM])),
        ("patient-record-closed", "lee", paths[MEDIUM].clone()),
        ("patient-high", "lee", paths[HIGH].clone()),
        ("patient-sensor-off", "lee", paths[SENSOR_OFF].clone()),
        ("patient-copied-device", "lee", paths[COPIED].clone()),
        ("patient-silenced", "lee", paths[SILENCED].clone()),
        ("patient-silence-asked", "lee", paths[SILENCE_ASKED].clone()),
        ("patient-checking", "lee", paths[CHECKING].clone()),
        ("patient-no-signal", "lee", paths[NO_SIGNAL].clone()),
        ("patient-not-known", "lee", paths[NOT_KNOWN].clone()),
        ("patient-alarm-off", "lee", paths[ALARM_OFF].clone()),
        ("patient-unsteady", "lee", paths[UNSTEADY].clone()),
        ("patient-waiting", "lee", paths[WAITING].clone()),
        ("patient-stale", "lee", paths[STALE].clone()),
        ("patient-over", "lee", paths[OVER].clone()),
        ("patient-limits-asked", "lee", paths[LIMITS_ASKED].clone()),
        ("patient-limits-narrowed", "lee", paths[LIMITS_NARROWED].clone()),
        ("patient-limits-refused", "lee", paths[LIMITS_REFUSED].clone()),
        ("patient-watching-ends", "lee", paths[ENDING].clone()),
        ("unwatched", "lee", format!("{}/unwatched", paths[WITHDRAWN])),
        ("unwatched-answered", "lee", format!("{}/unwatched", paths[ANSWERED_FOR])),
        ("unwatched-paused", "lee", format!("{}/unwatched", paths[PAUSED])),
        ("help", "lee", "/help".into()),
        ("not-found", "lee", "/nothing-here".into()),
        ("proof", "lee", format!("/proof/{}", newest - 400)),
        ("me", "amira", "/me".into()),
        ("me-log", "amira", "/me?log=all".into()),
        ("me-high", PATIENTS[HIGH].0, "/me".into()),
        ("me-alarm-off", PATIENTS[ALARM_OFF].0, "/me".into()),
        ("me-no-signal", PATIENTS[NO_SIGNAL].0, "/me".into()),
        ("me-waiting", PATIENTS[WAITING].0, "/me".into()),
        ("me-watching-ends", PATIENTS[ENDING].0, "/me".into()),
        ("me-withdrawn", PATIENTS[WITHDRAWN].0, "/me".into()),
        ("me-paused", PATIENTS[PAUSED].0, "/me".into()),
        ("consent-new", "amira", "/me/consents/new".into()),
        ("consent-asked", "amira", format!("/me/consents/new?ask={asked}")),
        ("consent-change", "amira", format!("/me/consents/{treatment}/change")),
        ("seen-as", "amira", format!("/me/seen-by/{lee}")),
        ("asks", "kim", format!("/asks?patient={}", hospital.beds[WELL])),
        ("revoke-treatment", "amira", format!("/me/consents/{treatment}/revoke")),
        ("revoke-watching", "amira", format!("/me/consents/{watching}/revoke")),
        ("admin", "root", "/admin".into()),
        ("ledger", "root", "/ledger".into()),
        ("ledger-block", "root", "/ledger/blocks/3".into()),
        ("ledger-not-found", "root", "/ledger?find=nonsense".into()),
        ("authorities", "root", "/ledger/authorities".into()),
        ("family", "fay", "/help".into()),
    ] {
        hospital.show(name, login, path);
    }
}
