use proptest::prelude::*;
use testkit::fixture::{NOON_MS, Ward, public, sign};
use testkit::golden;
use vitals::alarm::{Condition, Limits, Priority};
use vitals::body::Body;
use vitals::cbor::{NotCanonical, Reader};
use vitals::command::*;
use vitals::cose::Domain;
use vitals::envelope::{SEQ_MAX, TIME_MAX_MS};
use vitals::ids::Class;
use vitals::ids::{DeviceId, Genesis, PatientId, PersonId};
use vitals::metric::Metric;

const NURSE: PersonId = PersonId([0x21; 32]);
const PULSE: Condition = Condition::Above(Metric::HeartRate);

fn command(ward: &Ward, action: Action) -> Command {
    let force_ms = action.force_ms_max();
    Command {
        genesis: ward.genesis(),
        gateway: DeviceId::of(&public(&ward.gateway)),
        bedside: ward.sensor_id(0),
        patient: PatientId([4; 16]),
        seq: NOON_MS,
        at_ms: NOON_MS,
        deliver_by_ms: NOON_MS + force_ms.min(600_000),
        in_force_until_ms: NOON_MS + force_ms,
        by: NURSE,
        action,
    }
}

fn signed(ward: &Ward, command: Command) -> SignedCommand {
    let signature = sign(&ward.record, Domain::Command, command.genesis, &command.encode());
    SignedCommand { command, signature }
}

fn wider() -> Limits {
    Limits { above: [None, Some(1300), Some(1500)], ..Limits::adult(Metric::HeartRate).unwrap() }
}

fn actions() -> [Action; 4] {
    [
        Action::Acknowledge { condition: PULSE, priority: Priority::High, raised_at_ms: NOON_MS - 30_000 },
        Action::Silence { condition: PULSE },
        Action::EndSilence { condition: PULSE },
        Action::Limits(wider()),
    ]
}

#[test]
fn commands_and_confirmations_are_golden() {
    let ward = Ward::new(1, 1);
    let names =
        ["command_acknowledge_v1", "command_silence_v1", "command_end_silence_v1", "command_limits_v1"];
    for (name, action) in names.into_iter().zip(actions()) {
        let signed = signed(&ward, command(&ward, action));
        assert!(signed.verify(&public(&ward.record)), "{name}");
        golden!(name, signed.encode());
        assert_eq!(SignedCommand::decode(&signed.encode()), Ok(signed), "{name}");
    }
    let limits = command(&ward, actions()[3]);
    let issued = Body::Command(signed(&ward, limits));
    let confirmation = Confirmation {
        at_ms: NOON_MS + 40,
        seq: limits.seq,
        command: limits.hash(),
        outcome: Outcome::InForce,
        until_ms: limits.in_force_until_ms,
        limits: Some(wider()),
    };
    let refused = Confirmation {
        at_ms: NOON_MS + 90,
        outcome: Outcome::NotNewer,
        until_ms: 0,
        limits: None,
        ..confirmation
    };
    let confirmed = Body::Confirmations(vec![confirmation, refused]);
    for (name, body) in [("body_command_v1", issued), ("body_confirmations_v1", confirmed)] {
        let (first_ms, _) = body.span_ms().unwrap();
        assert!(body.fits(Class::Alarms) && !body.fits(Class::Vitals));
        let bytes = body.encode(first_ms);
        golden!(name, bytes);
        assert_eq!(Body::decode(&bytes, first_ms), Ok(body), "{name}");
    }
}

#[test]
fn every_changed_byte_of_a_command_breaks_it() {
    let ward = Ward::new(1, 1);
    let key = public(&ward.record);
    for action in actions() {
        let good = signed(&ward, command(&ward, action)).encode();
        assert!(good.len() <= COMMAND_BYTES_MAX);
        for at in 0..good.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= change;
                let holds = SignedCommand::decode(&bad).is_ok_and(|signed| signed.verify(&key));
                assert!(!holds, "byte {at} changed by {change:02x}");
            }
        }
    }
}

#[test]
fn a_command_is_signed_for_one_ledger_by_one_key_and_no_other_purpose() {
    let ward = Ward::new(1, 1);
    let good = signed(&ward, command(&ward, actions()[1]));
    assert!(good.verify(&public(&ward.record)));
    assert!(!good.verify(&public(&ward.gateway)));
    let elsewhere = Command { genesis: Genesis([9; 32]), ..good.command };
    assert!(!SignedCommand { command: elsewhere, ..good }.verify(&public(&ward.record)));
    let signature = sign(&ward.record, Domain::Head, good.command.genesis, &good.command.encode());
    assert!(!SignedCommand { signature, ..good }.verify(&public(&ward.record)));
}

#[test]
fn times_out_of_order_or_beyond_what_an_action_may_last_are_no_command() {
    let ward = Ward::new(1, 1);
    for action in actions() {
        let good = command(&ward, action);
        assert_eq!(Command::decode(&good.encode()), Ok(good));
        for bad in [
            Command { seq: 0, ..good },
            Command { deliver_by_ms: good.at_ms - 1, ..good },
            Command { deliver_by_ms: good.in_force_until_ms + 1, ..good },
            Command { in_force_until_ms: good.in_force_until_ms + 1, ..good },
        ] {
            assert_eq!(Command::decode(&bad.encode()), Err(NotCanonical::Order), "{action:?}");
        }
    }
    let mut early = command(&ward, actions()[0]);
    let Action::Acknowledge { raised_at_ms, .. } = &mut early.action else { panic!() };
    *raised_at_ms = early.at_ms + 1;
    assert_eq!(Command::decode(&early.encode()), Err(NotCanonical::Order), "answered before it was raised");
    let endless = Command {
        at_ms: TIME_MAX_MS,
        deliver_by_ms: TIME_MAX_MS,
        in_force_until_ms: TIME_MAX_MS + 1,
        ..command(&ward, actions()[1])
    };
    assert!(Command::decode(&endless.encode()).is_err());
}

#[test]
fn the_longest_command_fits_its_bound() {
    let ward = Ward::new(1, 1);
    let limits = Limits {
        metric: Metric::Aqi,
        above: [Some(i32::MAX - 2), Some(i32::MAX - 1), Some(i32::MAX)],
        below: [Some(i32::MIN + 2), Some(i32::MIN + 1), Some(i32::MIN)],
        hysteresis: i32::MAX,
        persistence_ms: vitals::alarm::PERSISTENCE_MAX_MS,
    };
    let longest = Command { seq: SEQ_MAX, ..command(&ward, Action::Limits(limits)) };
    let signed = signed(&ward, longest);
    assert_eq!(SignedCommand::decode(&signed.encode()), Ok(signed));
}

#[test]
fn outcomes_lead_back_and_say_whether_anything_changed() {
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_code(*outcome as u8), Some(*outcome));
        assert_eq!(outcome.is_refused(), outcome.sentence().starts_with("refused"), "{outcome:?}");
    }
    assert_eq!(Outcome::from_code(0), None);
    assert_eq!(Outcome::from_code(5), None);
}

proptest! {
    #[test]
    fn any_command_comes_back(
        ids in any::<([u8; 32], [u8; 16], [u8; 16], [u8; 16], [u8; 32])>(),
        seq in 1..=SEQ_MAX,
        at_ms in 0..TIME_MAX_MS / 2,
        waits in (0..60_000u64, 0..60_000u64),
        which in 0..4usize,
    ) {
        let (genesis, gateway, bedside, patient, by) = ids;
        let mut action = actions()[which];
        if let Action::Acknowledge { raised_at_ms, .. } = &mut action {
            *raised_at_ms = at_ms / 2;
        }
        let command = Command {
            genesis: Genesis(genesis),
            gateway: DeviceId(gateway),
            bedside: DeviceId(bedside),
            patient: PatientId(patient),
            seq,
            at_ms,
            deliver_by_ms: at_ms + waits.0,
            in_force_until_ms: at_ms + waits.0 + waits.1,
            by: PersonId(by),
            action,
        };
        let bytes = command.encode();
        prop_assert_eq!(Command::decode(&bytes), Ok(command));
        let cut = bytes.len() - 1;
        prop_assert!(Command::decode(&bytes[..cut]).is_err());
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(SignedCommand::decode(&bytes).is_err());
        let _ = Command::decode(&bytes);
        let _ = Confirmation::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn changed_bytes_are_refused_or_are_the_only_form(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        which in 0..4usize,
    ) {
        let ward = Ward::new(1, 1);
        let mut bytes = signed(&ward, command(&ward, actions()[which])).encode();
        for (at, to) in changes {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        if let Ok(read) = SignedCommand::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
