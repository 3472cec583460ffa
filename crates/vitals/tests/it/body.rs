use proptest::prelude::*;
use testkit::fixture::NOON_MS;
use testkit::golden;
use vitals::alarm::{AlarmEvent, Condition, Limits};
use vitals::alarm::{AlarmEventKind, Priority};
use vitals::body::*;
use vitals::cbor::NotCanonical;
use vitals::envelope::COUNT_MAX;
use vitals::ids::{Class, GrantId, PersonId};
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric, Reading, Sample};

fn reading(metric: Metric, at_ms: u64, value: i32) -> Reading {
    Reading { metric, at_ms, sample: Sample::Measured(value) }
}

fn absent(metric: Metric, at_ms: u64, why: Absence) -> Reading {
    Reading { metric, at_ms, sample: Sample::Absent(why) }
}

fn entry(classes: Vec<Class>) -> AccessEntry {
    AccessEntry {
        at_ms: NOON_MS,
        reader: PersonId([0x21; 32]),
        reader_name: String::from("Dr. Ada Lee"),
        purpose: Purpose::Treatment,
        grant: GrantId([0x42; 32]),
        classes,
        span_ms: (NOON_MS - 3_600_000, NOON_MS),
        session: [0x63; 16],
        person: None,
    }
}

/// Somebody of the organisation at its wall.
fn entry_by_person() -> AccessEntry {
    AccessEntry {
        reader: PersonId::of_organisation(vitals::ids::OrgId([0x11; 16])),
        purpose: Purpose::Monitoring,
        person: Some(PersonId([0x21; 32])),
        ..entry(vec![Class::Vitals, Class::Alarms])
    }
}

#[test]
fn bodies_are_golden() {
    let readings = Body::Readings(vec![
        reading(Metric::HeartRate, NOON_MS, 589),
        reading(Metric::HeartRate, NOON_MS + 1000, 602),
        absent(Metric::HeartRate, NOON_MS + 2000, Absence::SensorOff),
        reading(Metric::HeartRate, NOON_MS + 3000, 588),
        reading(Metric::BodyTemperature, NOON_MS + 500, 3684),
    ]);
    let alarms = Body::Alarms(vec![AlarmEvent {
        at_ms: NOON_MS,
        condition: Condition::Above(Metric::HeartRate),
        episode: 3,
        kind: AlarmEventKind::Raised,
        priority: Priority::High,
        value: 1342,
        by: PersonId([0; 32]),
    }]);
    let profile =
        Body::Profile(Profile { at_ms: NOON_MS, name: String::from("Åsa"), bed: String::from("7b") });
    let limits = Body::Limits(LimitsChange {
        at_ms: NOON_MS,
        by: PersonId([0x21; 32]),
        limits: Limits::adult(Metric::HeartRate).unwrap(),
        details: None,
    });
    let access = Body::Access(entry(vec![Class::Vitals, Class::Alarms]));
    let dismissal = Body::Dismissal(Dismissal {
        at_ms: NOON_MS,
        by: PersonId([0x21; 32]),
        condition: Condition::Unwatched,
        reason: String::from("Went home"),
    });
    for (name, body) in [
        ("body_readings_v1", readings),
        ("body_alarms_v1", alarms),
        ("body_access_v1", access),
        ("body_access_v2", Body::Access(entry_by_person())),
        ("body_profile_v1", profile),
        ("body_limits_v1", limits),
        ("body_dismissal_v1", dismissal),
    ] {
        let bytes = body.encode(NOON_MS);
        golden!(name, bytes);
        assert_eq!(Body::decode(&bytes, NOON_MS), Ok(body), "{name}");
    }
}

/// The upper limits of the heart rate, off for an hour.
fn off_for_an_hour() -> LimitsChange {
    let before = Limits::adult(Metric::HeartRate).unwrap();
    LimitsChange {
        at_ms: NOON_MS,
        by: PersonId([0x21; 32]),
        limits: Limits { above: [None; 3], ..before },
        details: Some(LimitsChangeDetails {
            before,
            reason: String::from("stress test in the ward’s gym"),
            until_ms: Some(NOON_MS + 3_600_000),
        }),
    }
}

#[test]
fn a_change_of_limits_says_what_it_replaces_why_and_until_when() {
    let change = off_for_an_hour();
    let bytes = Body::Limits(change.clone()).encode(NOON_MS);
    golden!("body_limits_v2", bytes);
    assert_eq!(Body::decode(&bytes, NOON_MS), Ok(Body::Limits(change.clone())));
    let with = |change: fn(&mut LimitsChange, &mut LimitsChangeDetails)| {
        let mut all = off_for_an_hour();
        let mut details = all.details.take().unwrap();
        change(&mut all, &mut details);
        all.details = Some(details);
        Body::decode(&Body::Limits(all).encode(NOON_MS), NOON_MS)
    };
    assert!(with(|_, details| details.until_ms = None).is_ok(), "for good");
    assert_eq!(with(|_, details| details.reason.clear()), Err(NotCanonical::Unexpected), "no reason");
    assert_eq!(
        with(|_, details| details.reason = "x".repeat(TEXT_BYTES_MAX + 1)),
        Err(NotCanonical::TooLong)
    );
    assert_eq!(
        with(|_, details| details.before = Limits::adult(Metric::Co2).unwrap()),
        Err(NotCanonical::Unexpected),
        "another metric's limits"
    );
    assert_eq!(
        with(|all, details| details.until_ms = Some(all.at_ms)),
        Err(NotCanonical::Order),
        "over at once"
    );
    let mut printed = format!("{change:?}");
    printed.make_ascii_lowercase();
    assert!(!printed.contains("stress"), "a reason stays out of logs: {printed}");
}

#[test]
fn the_end_of_a_silence_is_golden() {
    let ended = Body::Alarms(vec![AlarmEvent {
        at_ms: NOON_MS,
        condition: Condition::Above(Metric::HeartRate),
        episode: 3,
        kind: AlarmEventKind::SilenceEnded,
        priority: Priority::High,
        value: 1342,
        by: PersonId([0x21; 32]),
    }]);
    let bytes = ended.encode(NOON_MS);
    golden!("body_alarms_v1_silence_ended", bytes);
    assert_eq!(Body::decode(&bytes, NOON_MS), Ok(ended));
}

/// The reason and the conditions that came with the second look at the pulse. The files of before stay
/// as they are: a reader of before refuses these two, a reader of now takes all.
#[test]
fn an_unsteady_pulse_and_a_poor_signal_are_golden() {
    let readings = Body::Readings(vec![
        reading(Metric::HeartRate, NOON_MS, 902),
        absent(Metric::HeartRate, NOON_MS + 1000, Absence::Unsteady),
        absent(Metric::HeartRate, NOON_MS + 2000, Absence::Noisy),
    ]);
    let event = |condition, priority| AlarmEvent {
        at_ms: NOON_MS,
        condition,
        episode: 1,
        kind: AlarmEventKind::Raised,
        priority,
        value: 0,
        by: PersonId([0; 32]),
    };
    let alarms = Body::Alarms(vec![
        event(Condition::Unsteady(Metric::HeartRate), Priority::Medium),
        event(Condition::PoorSignal(Metric::HeartRate), Priority::Technical),
    ]);
    for (name, body) in [("body_readings_unsteady_v1", readings), ("body_alarms_unsteady_v1", alarms)] {
        let bytes = body.encode(NOON_MS);
        golden!(name, bytes);
        assert_eq!(Body::decode(&bytes, NOON_MS), Ok(body), "{name}");
    }
}

#[test]
fn a_sampling_rate_that_is_not_supported_is_golden() {
    let readings = Body::Readings(vec![absent(Metric::HeartRate, NOON_MS, Absence::RateNotSupported)]);
    let alarms = Body::Alarms(vec![AlarmEvent {
        at_ms: NOON_MS,
        condition: Condition::RateNotSupported(Metric::HeartRate),
        episode: 1,
        kind: AlarmEventKind::Raised,
        priority: Priority::Technical,
        value: 0,
        by: PersonId([0; 32]),
    }]);
    for (name, body) in [("body_readings_rate_v1", readings), ("body_alarms_rate_v1", alarms)] {
        let bytes = body.encode(NOON_MS);
        golden!(name, bytes);
        assert_eq!(Body::decode(&bytes, NOON_MS), Ok(body), "{name}");
    }
}

#[test]
fn unknown_reason_or_condition_is_refused() {
    let unknown_reason = [0x82, 0x01, 0x81, 0x83, 0x01, 0x01, 0x42, 0x01, 0x07];
    assert_eq!(Body::decode(&unknown_reason, 0), Err(NotCanonical::Unexpected));
    let known_reason = [0x82, 0x01, 0x81, 0x83, 0x01, 0x01, 0x42, 0x01, 0x06];
    assert!(Body::decode(&known_reason, 0).is_ok());
    for code in [0x0500, 0x050a, 0x0701, 0x070a, 0x0801u16] {
        assert_eq!(Condition::from_code(code).is_some(), code == 0x0701, "{code:#x}");
    }
}

#[test]
fn a_body_of_nothing_is_refused() {
    assert_eq!(Body::decode(&[0x82, 0x01, 0x80], 0), Err(NotCanonical::Unexpected), "no column");
    assert_eq!(Body::decode(&[0x82, 0x02, 0x80], 0), Err(NotCanonical::Unexpected), "no event");
    let empty_column = [0x82, 0x01, 0x81, 0x83, 0x01, 0x00, 0x40];
    assert_eq!(Body::decode(&empty_column, 0), Err(NotCanonical::Unexpected));
}

#[test]
fn all_columns_together_hold_no_more_than_a_header_can_count() {
    let most = u64::from(COUNT_MAX);
    let full: Vec<Reading> = (0..most).map(|n| reading(Metric::HeartRate, n, 600)).collect();
    assert!(Body::decode(&Body::Readings(full.clone()).encode(0), 0).is_ok());
    let mut over = full;
    over.push(reading(Metric::Co2, 5, 400));
    assert_eq!(Body::decode(&Body::Readings(over).encode(0), 0), Err(NotCanonical::TooLong));
}

#[test]
fn an_access_entry_can_always_be_read_whatever_order_its_classes_came_in() {
    let body = Body::Access(entry(vec![Class::Alarms, Class::Vitals, Class::Alarms]));
    let read = Body::decode(&body.encode(NOON_MS), NOON_MS).unwrap();
    assert_eq!(read, Body::Access(entry(vec![Class::Vitals, Class::Alarms])));
}

#[test]
fn an_access_entry_names_a_person_only_where_the_reader_is_an_organisation() {
    let old = AccessEntry { person: None, ..entry_by_person() };
    let read = |entry: &AccessEntry| Body::decode(&Body::Access(entry.clone()).encode(NOON_MS), NOON_MS);
    assert_eq!(read(&old), Ok(Body::Access(old.clone())), "entries of older builds stay readable");
    assert_eq!(old.looked(), old.reader);
    assert_eq!(entry_by_person().looked(), PersonId([0x21; 32]));
    let twice = AccessEntry { reader: PersonId([0x21; 32]), ..entry_by_person() };
    assert_eq!(read(&twice), Err(NotCanonical::Unexpected), "who looked would stand there twice");
    let nobody = AccessEntry { person: Some(old.reader), ..old.clone() };
    assert_eq!(read(&nobody), Err(NotCanonical::Unexpected), "an organisation is no person");
    let long = [&Body::Access(entry_by_person()).encode(NOON_MS)[..], &[0]].concat();
    assert_eq!(Body::decode(&long, NOON_MS), Err(NotCanonical::Trailing));
}

#[test]
fn columns_out_of_order_or_twice_are_refused() {
    let column = |metric: u8| [0x83, metric, 0x01, 0x42, 0x00, 0x00];
    let two = |a, b| [&[0x82, 0x01, 0x82][..], &column(a), &column(b)].concat();
    assert!(Body::decode(&two(1, 2), 0).is_ok());
    assert_eq!(Body::decode(&two(2, 1), 0), Err(NotCanonical::Order));
    assert_eq!(Body::decode(&two(1, 1), 0), Err(NotCanonical::Order));
    assert_eq!(Body::decode(&two(1, 0x17), 0), Err(NotCanonical::Unexpected), "no such metric");
}

#[test]
fn a_varint_has_one_form() {
    let column = |packed: &[u8]| {
        let head = [0x82, 0x01, 0x81, 0x83, 0x01, 0x01, 0x40 | u8::try_from(packed.len()).unwrap()];
        Body::decode(&[&head, packed].concat(), 0)
    };
    assert!(column(&[0x00, 0x00]).is_ok());
    assert_eq!(column(&[0x80, 0x00, 0x00]), Err(NotCanonical::NotShortest));
    assert_eq!(column(&[0x00, 0x00, 0x00]), Err(NotCanonical::Trailing));
    assert_eq!(column(&[0x00]), Err(NotCanonical::Truncated));
    assert_eq!(column(&[0x01, 0x00]), Err(NotCanonical::Unexpected), "no such absence");
    let eleven = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00];
    assert_eq!(column(&eleven), Err(NotCanonical::TooLong));
}

/// Every kind of body, and the items of its array.
const KINDS: [(u8, u8); 10] =
    [(1, 2), (2, 2), (3, 10), (3, 11), (4, 4), (5, 4), (6, 2), (7, 2), (8, 7), (12, 5)];

fn samples() -> impl Strategy<Value = Vec<Reading>> {
    let sample = prop_oneof![
        4 => any::<i32>().prop_map(Sample::Measured),
        1 => prop::sample::select(Absence::ALL.to_vec()).prop_map(Sample::Absent),
    ];
    let metric = (0..Metric::ALL.len()).prop_map(|n| Metric::ALL[n]);
    let one = (metric, 0..100_000u64, sample).prop_map(|(metric, after_ms, sample)| Reading {
        metric,
        at_ms: NOON_MS + after_ms,
        sample,
    });
    proptest::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn readings_come_back_by_metric_and_time(mut readings in samples()) {
        let body = Body::Readings(readings.clone());
        let (first_ms, _) = body.span_ms().unwrap();
        let bytes = body.encode(first_ms);
        readings.sort_by_key(|reading| (reading.metric, reading.at_ms));
        let read = Body::decode(&bytes, first_ms).unwrap();
        prop_assert_eq!(read.encode(first_ms), bytes);
        prop_assert_eq!(read.span_ms(), body.span_ms());
        prop_assert_eq!(read, Body::Readings(readings));
    }

    #[test]
    fn any_bytes_are_answered_and_accepted_ones_are_the_only_form(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        (kind, items) in prop::sample::select(KINDS.to_vec()),
        first_ms in any::<u64>(),
    ) {
        let mut bytes = bytes;
        if bytes.len() > 2 {
            bytes[0] = 0x80 | items;
            bytes[1] = kind;
        }
        if let Ok(body) = Body::decode(&bytes, first_ms) {
            prop_assert_eq!(body.encode(first_ms), bytes);
        }
    }

    #[test]
    fn access_entries_come_back_as_they_were(
        (reader, person, org) in any::<([u8; 32], [u8; 32], [u8; 16])>(),
        (at_ms, from_ms, until_ms) in any::<(u64, u64, u64)>(),
        named in any::<bool>(),
        reader_name in "[ -~]{0,40}",
        session in any::<[u8; 16]>(),
    ) {
        let by_person = named && !PersonId(person).is_organisation();
        let entry = AccessEntry {
            at_ms,
            reader: if by_person { PersonId::of_organisation(vitals::ids::OrgId(org)) } else { PersonId(reader) },
            reader_name,
            span_ms: (from_ms, until_ms),
            session,
            person: by_person.then_some(PersonId(person)),
            ..entry(vec![Class::Vitals, Class::Profile])
        };
        let bytes = Body::Access(entry.clone()).encode(at_ms);
        prop_assert_eq!(Body::decode(&bytes, at_ms), Ok(Body::Access(entry)));
    }

    #[test]
    fn changed_bodies_are_refused_or_are_the_only_form(
        readings in samples(),
        limits in any::<bool>(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let body = if limits { Body::Limits(off_for_an_hour()) } else { Body::Readings(readings) };
        let (first_ms, _) = body.span_ms().unwrap();
        let mut bytes = body.encode(first_ms);
        for (at, to) in changes {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        if let Ok(read) = Body::decode(&bytes, first_ms) {
            prop_assert!(read.count() <= COUNT_MAX);
            prop_assert_eq!(read.encode(first_ms), bytes);
        }
    }
}
