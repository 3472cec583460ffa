#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::tests::simulated_node::{NOON_MS, RECORD, document, entropy, record_key};
use durable::Os;
use ed25519_zebra::SigningKey;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use vitals::alarm::{Condition, Priority};
use vitals::ids::PatientId;
use vitals::{Metric, PersonId};

const PATIENT: PatientId = PatientId([4; 16]);
const GATEWAY: DeviceId = DeviceId([9; 16]);

fn ordered_of(commands: &Commands, n: usize, metric: Metric) -> Option<Ordered> {
    commands.ordered(n).find(|ordered| ordered.limits.metric == metric).copied()
}

fn sensor(n: u8) -> Identity {
    Identity::from_seeds(&[n; 32], &[n; 32])
}

fn alarms_of(sensor: &Identity) -> Option<StreamId> {
    Some(StreamId::of(document().hash(), sensor.id(), PATIENT, Class::Alarms))
}

/// Two beds of one patient, so that only the sensor tells them apart.
fn open(dir: &Path, now_ms: u64) -> Commands {
    let folder = Folder::on(Arc::new(Os), dir);
    let beds = [1, 2].map(|n| (sensor(n), alarms_of(&sensor(n))));
    Commands::open(folder, document().hash(), GATEWAY, record_key(), beds, entropy(), now_ms).unwrap()
}

fn pulse(above: i32) -> Action {
    let adult = Limits::adult(Metric::HeartRate).unwrap();
    Action::Limits(Limits { above: [None, None, Some(above)], ..adult })
}

fn command(seq: u64, action: Action) -> Command {
    Command {
        genesis: document().hash(),
        gateway: GATEWAY,
        bedside: sensor(1).id(),
        patient: PATIENT,
        seq,
        at_ms: NOON_MS,
        deliver_by_ms: NOON_MS + 60_000,
        in_force_until_ms: NOON_MS + 90_000,
        by: PersonId([7; 32]),
        action,
    }
}

fn sign(command: Command) -> Vec<u8> {
    let signature = SigningKey::from(RECORD).sign(&command.to_be_signed()).to_bytes();
    SignedCommand { command, signature }.encode()
}

fn at(commands: &mut Commands, bytes: &[u8], now_ms: u64) -> Judged {
    commands.judge(bytes, now_ms, now_ms, now_ms)
}

fn refusal(judged: Judged) -> Outcome {
    match judged {
        Judged::Refused(_, outcome, _) | Judged::OtherBedside(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_is_carried_out_once_at_the_bed_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    let captured = sign(command(5, pulse(1500)));
    assert_eq!(at(&mut commands, &captured, NOON_MS), Judged::Take(0, command(5, pulse(1500))));
    let Judged::Refused(0, Outcome::NotNewer, Some(told)) = at(&mut commands, &captured, NOON_MS) else {
        panic!()
    };
    assert_eq!((told.seq, told.command), (5, command(5, pulse(1500)).hash()));
    // Overtaken on the way: an older number is as dead as a used one.
    let older = sign(command(4, pulse(1600)));
    assert_eq!(refusal(at(&mut commands, &older, NOON_MS)), Outcome::NotNewer);
    let second = Command { bedside: sensor(2).id(), ..command(4, pulse(1600)) };
    assert_eq!(
        at(&mut commands, &sign(second), NOON_MS),
        Judged::Take(1, second),
        "each bed counts by itself"
    );
    assert_eq!(ordered_of(&commands, 0, Metric::HeartRate).unwrap().seq, 5);
}

#[test]
fn what_was_seen_is_refused_after_a_restart_too_and_limits_are_still_known() {
    let dir = tempfile::tempdir().unwrap();
    let captured = sign(command(5, pulse(1500)));
    assert!(matches!(at(&mut open(dir.path(), NOON_MS), &captured, NOON_MS), Judged::Take(..)));
    let mut commands = open(dir.path(), NOON_MS + 1_000);
    assert_eq!(refusal(at(&mut commands, &captured, NOON_MS + 1_000)), Outcome::NotNewer);
    let ordered = ordered_of(&commands, 0, Metric::HeartRate).unwrap();
    assert_eq!(Action::Limits(ordered.limits), pulse(1500));
    assert_eq!(ordered.until_ms, NOON_MS + 90_000);
    assert_eq!(commands.ordered(1).count(), 0);
    // What it keeps is sealed.
    let limits = Limits::adult(Metric::HeartRate).unwrap();
    let mut plain = vitals::cbor::Writer::new();
    Limits { above: [None, None, Some(1500)], ..limits }.write(&mut plain);
    let plain = plain.finish();
    let file = std::fs::read(dir.path().join("commands-00")).unwrap();
    assert!(!file.windows(plain.len()).any(|window| window == plain));
}

#[test]
fn whatever_is_wrong_with_a_command_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    let good = command(5, Action::Silence { condition: Condition::Above(Metric::HeartRate) });
    let forged = |command: Command| {
        let signature = SigningKey::from([66; 32]).sign(&command.to_be_signed()).to_bytes();
        SignedCommand { command, signature }.encode()
    };
    for (bytes, now_ms, outcome) in [
        (forged(good), NOON_MS, Outcome::Signature),
        (sign(Command { genesis: Genesis([3; 32]), ..good }), NOON_MS, Outcome::OtherLedger),
        (sign(Command { gateway: DeviceId([8; 16]), ..good }), NOON_MS, Outcome::OtherBedside),
        (sign(Command { bedside: sensor(3).id(), ..good }), NOON_MS, Outcome::OtherBedside),
        (sign(Command { patient: PatientId([5; 16]), ..good }), NOON_MS, Outcome::OtherPatient),
        (sign(good), good.deliver_by_ms + 1, Outcome::TooLate),
        (sign(good), good.at_ms - AHEAD_MAX_MS - 1, Outcome::Ahead),
    ] {
        assert_eq!(refusal(at(&mut commands, &bytes, now_ms)), outcome);
    }
    assert!(matches!(at(&mut commands, b"nothing", NOON_MS), Judged::Malformed(_)));
    assert!(!dir.path().join("commands-00").exists(), "nothing was taken");
    assert_eq!(
        at(&mut commands, &sign(good), good.deliver_by_ms),
        Judged::Take(0, good),
        "and the good one is"
    );
}

#[test]
fn a_command_whose_time_ran_out_at_a_slow_disk_is_refused_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    let first = command(5, pulse(1500));
    assert_eq!(at(&mut commands, &sign(first), NOON_MS), Judged::Take(0, first));
    assert_eq!(commands.expired(0, &first, first.deliver_by_ms, NOON_MS, NOON_MS), None, "in time");
    let second = command(6, pulse(1700));
    assert_eq!(at(&mut commands, &sign(second), NOON_MS), Judged::Take(0, second));
    let late_ms = second.deliver_by_ms + 1;
    let Some(Judged::Refused(0, Outcome::TooLate, Some(told))) =
        commands.expired(0, &second, late_ms, late_ms, late_ms)
    else {
        panic!()
    };
    assert_eq!((told.seq, told.command), (6, second.hash()));
    // The limits of before hold, after a restart too, and the number is used.
    for mut commands in [commands, open(dir.path(), NOON_MS)] {
        assert_eq!(ordered_of(&commands, 0, Metric::HeartRate).unwrap().seq, 5);
        let again = sign(Command { deliver_by_ms: late_ms + 1_000, ..second });
        assert_eq!(refusal(at(&mut commands, &again, NOON_MS)), Outcome::NotNewer);
    }
}

#[test]
fn a_command_that_cannot_be_kept_is_not_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    // A folder stands where the draft of the file would be written.
    std::fs::create_dir(dir.path().join("commands-00.new")).unwrap();
    let bytes = sign(command(5, pulse(1500)));
    assert_eq!(refusal(at(&mut commands, &bytes, NOON_MS)), Outcome::NotKept);
    assert_eq!(commands.ordered(0).count(), 0);
    std::fs::remove_dir(dir.path().join("commands-00.new")).unwrap();
    assert!(matches!(at(&mut commands, &bytes, NOON_MS), Judged::Take(..)), "the disk is back");
}

#[test]
fn a_damaged_file_forgets_limits_but_believes_nothing_that_was_asked_for_before() {
    let dir = tempfile::tempdir().unwrap();
    let captured = sign(command(5, pulse(1500)));
    assert!(matches!(at(&mut open(dir.path(), NOON_MS), &captured, NOON_MS), Judged::Take(..)));
    let path = dir.path().join("commands-00");
    let good = std::fs::read(&path).unwrap();
    for byte in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let mut commands = open(dir.path(), NOON_MS + 1);
        assert_eq!(commands.ordered(0).count(), 0, "byte {byte}");
        assert_eq!(refusal(at(&mut commands, &captured, NOON_MS + 1)), Outcome::NotNewer, "byte {byte}");
    }
}

#[test]
fn refusals_are_told_within_bounds_and_told_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    let bytes = sign(Command { patient: PatientId([5; 16]), ..command(5, pulse(1500)) });
    let told = |commands: &mut Commands, steady_ms| {
        let Judged::Refused(0, Outcome::OtherPatient, told) =
            commands.judge(&bytes, NOON_MS, NOON_MS, steady_ms)
        else {
            panic!()
        };
        told.is_some()
    };
    assert_eq!((0..100).filter(|_| told(&mut commands, 0)).count(), REFUSALS_MAX);
    assert!(told(&mut commands, REFUSALS_WITHIN_MS));
}

proptest! {
    #[test]
    fn of_any_order_of_arrivals_each_number_is_taken_at_most_once_and_upwards_only(
        arrivals in proptest::collection::vec((1..20u64, any::<bool>()), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut commands = open(dir.path(), NOON_MS);
        let mut highest = 0;
        let action = Action::EndSilence { condition: Condition::Below(Metric::HeartRate) };
        for (seq, restart) in arrivals {
            if restart {
                commands = open(dir.path(), NOON_MS);
            }
            let taken = matches!(at(&mut commands, &sign(command(seq, action)), NOON_MS), Judged::Take(..));
            prop_assert_eq!(taken, seq > highest);
            highest = highest.max(seq);
        }
    }

    #[test]
    fn the_kept_state_reads_back(
        highest_seq in any::<u64>(),
        not_before_ms in any::<u64>(),
        above in 1000..3000i32,
        until_ms in any::<u64>(),
    ) {
        let Action::Limits(limits) = pulse(above) else { unreachable!() };
        let ordered = Ordered { limits, seq: highest_seq, command: [7; 32], until_ms };
        let state = State { highest_seq, not_before_ms, limits: [(limits.metric, ordered)].into() };
        prop_assert_eq!(State::decode(&state.encode()), Ok(state));
    }
}

#[test]
fn an_answer_carries_what_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut commands = open(dir.path(), NOON_MS);
    let action = Action::Acknowledge {
        condition: Condition::Above(Metric::HeartRate),
        priority: Priority::High,
        raised_at_ms: NOON_MS - 5_000,
    };
    assert_eq!(at(&mut commands, &sign(command(1, action)), NOON_MS), Judged::Take(0, command(1, action)));
}
