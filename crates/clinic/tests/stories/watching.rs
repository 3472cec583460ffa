//! Watching that ends, and who is told of it; on a moved clock.

use clinic::views::{AlarmPhase, LiveEvent, Wall};
use clinic::{ClinicError, Denied, MONITORING_GRANT_MS, Session, WATCH_ENDS};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use testward::{NOON_MS, Ward, denied};
use vault::MONITORING_MS_MAX;
use vitals::PatientId;
use vitals::alarm::{Condition, Unwatched};
use vitals::ids::{Class, StreamId};
use vitals::ledger::{Purpose, Role};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn conditions(wall: &Wall) -> Vec<Condition> {
    wall.strip.iter().map(|alarm| alarm.condition).collect()
}

/// When the node wrote into a stream of access entries, by patient.
fn access_times(ward: &Ward, patient: PatientId) -> Vec<u64> {
    let author = ward.clinic.vault().author();
    let stream = StreamId::of(ward.clinic.genesis(), author, patient, Class::Access);
    let store = ward.clinic.store();
    let last = store.head(stream).map_or(0, |head| head.last_seq);
    (0..=last).filter_map(|seq| Some(store.locate(stream, seq)?.first_ms)).collect()
}

#[test]
fn monitoring_that_ends_with_its_consent_is_an_alarm_from_the_first_second() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let ends_ms = ward.wall_now().tiles[0].watch_ends_ms.unwrap();
    assert!(ends_ms.abs_diff(NOON_MS + MONITORING_GRANT_MS) < 10_000);
    // Hour by hour, so that leases are renewed on the way.
    while ward.now_ms + HOUR_MS < ends_ms {
        ward.later(HOUR_MS);
        ward.beat(&mut gateway, 0, 720);
        assert!(ward.unwatched().is_empty(), "watched until the end");
    }
    let mut events = ward.clinic.observer().events();
    ward.now_ms = ends_ms;
    ward.clinic.tick(ward.now_ms);
    let told = core::iter::from_fn(|| events.try_recv().ok());
    let told = told.filter(|event| matches!(&**event, LiveEvent::Watching { unwatched: Some(_), .. }));
    assert!(told.count() > 0, "open pages are told");
    let wall = ward.wall_now();
    assert!(wall.tiles.is_empty() && wall.unmonitored == 0);
    assert_eq!(conditions(&wall), [Condition::Unwatched], "in the very millisecond");
    let bed = &wall.unwatched[0];
    assert_eq!((bed.why, bed.place.as_str()), (Unwatched::ConsentEnded, "bed of amira"));
    ward.beats(&mut gateway, 1900, 30);
    assert_eq!(
        conditions(&ward.wall_now()),
        [Condition::Unwatched],
        "it stays until somebody does something"
    );
}

#[test]
fn the_end_of_watching_is_announced_three_times_in_the_last_three_days() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let ends_ms = ward.wall_now().tiles[0].watch_ends_ms.unwrap();
    let mut announced = Vec::new();
    while ward.now_ms + HOUR_MS < ends_ms {
        ward.later(HOUR_MS / 2);
        ward.beat(&mut gateway, 0, 720);
        let wall = ward.wall_now();
        let open = wall.strip.iter().find(|alarm| alarm.condition == Condition::WatchEnding);
        if open.is_some_and(|alarm| alarm.phase == AlarmPhase::Active) {
            announced.push(ends_ms - ward.now_ms);
            ward.clinic.acknowledge(&ward.now_as("lee"), amira, Condition::WatchEnding, ward.now_ms).unwrap();
        }
    }
    assert_eq!(announced.len(), WATCH_ENDS.to_the_ward_ms.len(), "{announced:?}");
    for (left_ms, step_ms) in announced.iter().zip(WATCH_ENDS.to_the_ward_ms) {
        assert!((step_ms - HOUR_MS / 2..=step_ms).contains(left_ms), "{announced:?}");
    }
    // A new consent takes the announcement back, and the bed is watched beyond the old end.
    ward.clinic.let_ward_watch(&ward.now_as("amira"), 10 * DAY_MS, ward.now_ms).unwrap();
    ward.later(1_000);
    ward.pass(1_000);
    assert!(!conditions(&ward.wall_now()).contains(&Condition::WatchEnding));
    ward.later(2 * HOUR_MS);
    assert!(ward.now_ms > ends_ms && ward.unwatched().is_empty());
    ward.beat(&mut gateway, 0, 730);
    assert!(ward.wall_now().tiles[0].values.iter().any(|value| value.here_ms == ward.now_ms));
}

#[test]
fn after_a_withdrawal_the_bed_is_named_not_the_person_and_a_clinician_answers_with_a_reason() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("kim", Role::Clinician);
    ward.block();
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let grants = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap().grants;
    let monitoring = grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant;
    ward.clinic.revoke_grant(&ward.as_("amira"), monitoring, ward.now_ms).unwrap();
    let beds = ward.unwatched();
    assert_eq!((beds.len(), beds[0].why), (1, Unwatched::Withdrawn), "at once");
    assert!(beds[0].place == "bed of amira" && beds[0].alarm.is_none(), "not yet: another consent may stand");
    ward.pass(1_000);
    let wall = ward.wall_now();
    assert_eq!(conditions(&wall), [Condition::Unwatched]);
    assert!(wall.tiles.is_empty(), "no name and no value");
    // Not with an empty reason, and not by the patient.
    let end = |who: Session, why: &str| ward.clinic.end_unwatched(&who, amira, why, ward.now_ms);
    assert!(matches!(end(ward.as_("kim"), "  x "), Err(ClinicError::Wrong(_))));
    assert!(matches!(denied(end(ward.as_("amira"), "I am well")), Denied::Role { .. }));
    end(ward.as_("kim"), "Sleeps at home tonight").unwrap();
    assert!(matches!(end(ward.as_("lee"), "me too"), Err(ClinicError::Wrong(_))), "answered already");
    let answered = |ward: &Ward| {
        let beds = ward.unwatched();
        let (_, name, reason) = beds[0].ended.clone().unwrap();
        assert!(beds[0].alarm.is_none() && conditions(&ward.wall_now()).is_empty());
        (name, reason)
    };
    assert_eq!(answered(&ward), ("kim".into(), "Sleeps at home tonight".into()));
    let author = ward.clinic.vault().author();
    let stream = StreamId::of(ward.clinic.genesis(), author, amira, Class::Alarms);
    assert!(ward.clinic.store().head(stream).is_some_and(|head| head.count >= 2), "it stands in the record");
    // Also after a restart, and the place is known without opening anything.
    let mut ward = ward.reopened();
    assert_eq!(answered(&ward).0, "kim");
    assert_eq!(ward.unwatched()[0].place, "bed of amira");
    // Watched again, and withdrawn again: a new alarm.
    ward.clinic.let_ward_watch(&ward.now_as("amira"), DAY_MS, ward.now_ms).unwrap();
    ward.later(1_000);
    ward.pass(1_000);
    assert!(ward.unwatched().is_empty() && ward.wall_now().tiles.len() == 1);
    let ward = ward.reopened();
    assert!(ward.unwatched().is_empty(), "and nobody answers for it any longer");
}

#[test]
fn a_renewal_that_cannot_be_written_is_announced_and_its_end_is_an_alarm() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let begun_ms = ward.now_ms;
    let lee = |ward: &Ward| ward.clinic.unwatched_beds(&ward.now_as("lee"), ward.now_ms).unwrap();
    ward.switches.full.store(true, Ordering::SeqCst);
    let mut announced_ms = None;
    // No envelope can be admitted, but time passes and consents are fine.
    while lee(&ward).is_empty() {
        assert!(ward.now_ms < begun_ms + 2 * MONITORING_MS_MAX, "the lease has to end some time");
        ward.later(60_000);
        let ending = ward.clinic.observer().open_since_ms(amira, Condition::WatchEnding);
        announced_ms = announced_ms.or(ending);
    }
    let announced_ms = announced_ms.expect("a renewal that fails is announced");
    assert!(ward.now_ms - announced_ms > 60 * 60_000, "more than an hour before the end");
    assert_eq!(lee(&ward)[0].why, Unwatched::NotRecorded);
    assert!(lee(&ward)[0].alarm.is_some());
    assert!(
        ward.clinic.counters().alarm_events_unwritten_now > 0,
        "what cannot be written is kept and counted"
    );
    ward.switches.full.store(false, Ordering::SeqCst);
    ward.later(60_000);
    assert!(lee(&ward).is_empty(), "as soon as it can be written, the bed is watched again");
    assert_eq!(ward.clinic.counters().alarm_events_unwritten_now, 0);
    ward.beats(&mut gateway, 730, 1);
    assert_eq!(ward.wall_now().tiles[0].values.len(), 1);
}

#[test]
fn renewals_keep_what_is_known_and_come_at_different_times() {
    const BEDS: usize = 8;
    let names: Vec<String> = (0..BEDS).map(|n| format!("patient {n}")).collect();
    let mut ward = Ward::new();
    let patients: Vec<PatientId> = names.iter().map(|name| ward.patient(name)).collect();
    ward.person("lee", Role::Clinician);
    ward.block();
    let mut gateway = ward.gateway(1, &patients);
    // The first bed's clock is an hour behind: known after a while.
    for _ in 0..60 {
        ward.pass(1_000);
        let bytes = gateway.sensors[0].pulse(720, ward.now_ms - HOUR_MS);
        ward.carry(gateway.id(), &[bytes]);
    }
    let newest_age = |ward: &Ward| {
        let wall = ward.wall_now();
        let tile = wall.tiles.iter().find(|tile| tile.patient == patients[0]).unwrap();
        ward.now_ms - tile.technical.last_ms.unwrap()
    };
    assert!(newest_age(&ward) < 5_000, "{}", newest_age(&ward));
    let mut renewed: BTreeMap<u64, usize> = BTreeMap::new();
    let begun_ms = ward.now_ms;
    let mut seen: Vec<usize> = patients.iter().map(|patient| access_times(&ward, *patient).len()).collect();
    while ward.now_ms < begun_ms + MONITORING_MS_MAX {
        ward.pass(60_000);
        // The engine's renewals alone: nobody looks meanwhile.
        for (before, patient) in seen.iter_mut().zip(&patients) {
            let now = access_times(&ward, *patient).len();
            *renewed.entry(ward.now_ms).or_default() += now - *before;
            *before = now;
        }
        if ward.now_ms - begun_ms == 23 * HOUR_MS {
            let bytes = gateway.sensors[0].pulse(730, ward.now_ms - HOUR_MS - 2_000);
            ward.carry(gateway.id(), &[bytes]);
            assert!(newest_age(&ward) < 5_000, "the offset of the wrong clock is still known");
            seen = patients.iter().map(|patient| access_times(&ward, *patient).len()).collect();
        }
    }
    let times: Vec<u64> = renewed.iter().filter(|(_, n)| **n > 0).map(|(at, _)| *at - begun_ms).collect();
    let all: usize = renewed.values().sum();
    assert_eq!(all, BEDS, "each lease once: {times:?}");
    assert!(renewed.values().max() <= Some(&2), "spread over hours, not in one tick: {times:?}");
    assert!(times.last().unwrap() - times[0] > HOUR_MS, "{times:?}");
}
