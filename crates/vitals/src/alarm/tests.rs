use super::*;
use crate::cbor::Reader;
use alloc::vec::Vec;
use proptest::prelude::*;

const NURSE: PersonId = PersonId([7; 32]);
const HIGH: Condition = Condition::Above(Metric::HeartRate);

fn raised(priority: Priority, now_ms: u64) -> Alarm {
    let mut alarm = Alarm::new(HIGH);
    let event = alarm.observe(Some(priority), false, 1400, 0, now_ms).unwrap();
    assert_eq!((event.kind, event.episode), (AlarmEventKind::Raised, 1));
    alarm
}

#[test]
fn a_violation_must_persist() {
    let mut alarm = Alarm::new(HIGH);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 0), None);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 9_999), None);
    assert_eq!(alarm.observe(None, true, 800, 10_000, 9_999), None, "over before it was raised");
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 10_000), None);
    assert!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 20_000).is_some());
}

#[test]
fn a_pause_of_the_sound_can_be_ended_and_only_a_pause() {
    let mut alarm = raised(Priority::High, 0);
    assert_eq!(alarm.end_silence(NURSE, 10), None, "it sounds");
    alarm.silence(NURSE, 60_000, 10).unwrap();
    assert!(!alarm.sounds(20));
    assert_eq!(alarm.end_silence(NURSE, 20).unwrap().kind, AlarmEventKind::SilenceEnded);
    assert!(alarm.sounds(20));
    alarm.silence(NURSE, 60_000, 30).unwrap();
    assert_eq!(alarm.end_silence(NURSE, 70_000), None, "the pause was over by itself");
}

#[test]
fn an_answer_whose_time_is_over_rings_again_while_the_violation_stands() {
    let mut alarm = raised(Priority::High, 0);
    assert_eq!(alarm.end_answer(10), None, "nobody has answered");
    alarm.acknowledge(NURSE, 10).unwrap();
    let event = alarm.end_answer(50_000).unwrap();
    assert_eq!((event.kind, event.episode), (AlarmEventKind::Returned, 1));
    assert!(alarm.sounds(50_000));
    assert_eq!(alarm.tick(109_999), None, "escalation starts again");
    assert!(alarm.tick(110_000).is_some());
}

#[test]
fn a_clock_set_back_delays_no_alarm_beyond_its_persistence() {
    const HOUR_MS: u64 = 3_600_000;
    let mut alarm = Alarm::new(HIGH);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, HOUR_MS), None);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 1_000), None);
    assert!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 11_000).is_some());
    let mut alarm = raised(Priority::Low, HOUR_MS);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, HOUR_MS), None);
    assert_eq!(alarm.observe(Some(Priority::High), false, 1400, 10_000, 1_000), None);
    let worse = alarm.observe(Some(Priority::High), false, 1400, 10_000, 11_000).unwrap();
    assert_eq!(worse.kind, AlarmEventKind::Worsened);
}

#[test]
fn a_clock_set_back_ends_a_silence_and_starts_escalation_anew() {
    const HOUR_MS: u64 = 3_600_000;
    let mut alarm = raised(Priority::High, HOUR_MS);
    alarm.silence(NURSE, 120_000, HOUR_MS).unwrap();
    assert!(!alarm.sounds(HOUR_MS + 119_999));
    assert!(alarm.sounds(HOUR_MS + 120_000));
    assert!(alarm.sounds(1_000), "silent for an hour because a clock was set");
    assert_eq!(alarm.tick(1_000), None);
    assert!(alarm.tick(1_000 + ESCALATE_AFTER_MS[0]).is_some());
}

#[test]
fn returning_worse_breaks_the_silence() {
    let mut alarm = raised(Priority::Medium, 0);
    alarm.silence(NURSE, 120_000, 1_000).unwrap();
    let over = alarm.observe(None, true, 800, 0, 2_000).unwrap();
    assert_eq!(over.kind, AlarmEventKind::Recovered);
    let same = alarm.observe(Some(Priority::Medium), false, 1200, 0, 3_000).unwrap();
    assert_eq!(same.kind, AlarmEventKind::Returned);
    assert!(!alarm.sounds(3_000), "the same again stays silenced");
    alarm.observe(None, true, 800, 0, 4_000).unwrap();
    let worse = alarm.observe(Some(Priority::High), false, 1400, 0, 5_000).unwrap();
    assert_eq!((worse.kind, worse.priority), (AlarmEventKind::Returned, Priority::High));
    assert!(alarm.sounds(5_000));
}

#[test]
fn a_silence_is_ended_early_and_given_after_an_answer() {
    let mut alarm = raised(Priority::High, 0);
    assert_eq!(alarm.end_silence(NURSE, 500), None, "there is none");
    alarm.silence(NURSE, 120_000, 1_000).unwrap();
    let ended = alarm.end_silence(NURSE, 2_000).unwrap();
    assert_eq!((ended.kind, ended.by), (AlarmEventKind::SilenceEnded, NURSE));
    assert!(alarm.sounds(2_000), "it rings again at once");
    assert_eq!(alarm.end_silence(NURSE, 2_001), None, "ended once");
    alarm.acknowledge(NURSE, 3_000).unwrap();
    let after = alarm.silence(NURSE, 60_000, 4_000).unwrap();
    assert_eq!((after.kind, alarm.state()), (AlarmEventKind::Silenced, State::Acknowledged));
    assert!(alarm.is_silenced(63_999) && !alarm.is_silenced(64_000));
    assert!(alarm.end_silence(NURSE, 10_000).is_some() && !alarm.is_silenced(10_000));
}

#[test]
fn what_is_turned_off_is_what_usually_rings() {
    let usual = Limits::adult(Metric::HeartRate).unwrap();
    let off = |limits: Limits| limits.turned_off().collect::<Vec<_>>();
    assert_eq!(off(usual), []);
    assert_eq!(off(Limits { above: [None; 3], ..usual }), [Side::Above]);
    assert_eq!(off(Limits { below: [None; 3], ..usual }), [Side::Below]);
    assert_eq!(off(Limits { above: [None; 3], below: [None; 3], ..usual }), [Side::Above, Side::Below]);
    assert_eq!(off(Limits { above: [None, None, Some(1500)], ..usual }), [], "less strict is not off");
    assert_eq!(
        off(Limits { above: [None, None, Some(3000)], ..usual }),
        [Side::Above],
        "out of reach is off"
    );
    assert_eq!(off(Limits { below: [None, Some(150), None], ..usual }), [Side::Below]);
    assert_eq!(off(Limits { below: [None, Some(200), None], ..usual }), [], "20 a minute can be measured");
    let room = Limits::adult(Metric::Co2).unwrap();
    assert_eq!(off(room), [], "what never rings is not turned off");
}

#[test]
fn an_acknowledgement_is_an_answer_and_a_silence_is_not() {
    let mut alarm = raised(Priority::High, 0);
    alarm.silence(NURSE, 60_000, 0).unwrap();
    assert_eq!(alarm.state(), State::Active);
    assert_eq!(alarm.tick(60_000).unwrap().kind, AlarmEventKind::Escalated, "nobody has answered");
    alarm.acknowledge(NURSE, 61_000).unwrap();
    assert_eq!((alarm.state(), alarm.sounds(61_000)), (State::Acknowledged, false));
    assert_eq!(alarm.tick(1_000_000), None);
    assert!(alarm.silence(NURSE, 60_000, 61_000).is_some(), "the bedside may not have heard the answer");
}

#[test]
fn an_unanswered_alarm_stays_until_somebody_answers() {
    let mut alarm = raised(Priority::High, 0);
    assert_eq!(alarm.observe(None, true, 800, 0, 1_000).unwrap().kind, AlarmEventKind::Recovered);
    assert!(alarm.is_open());
    let closed = alarm.acknowledge(NURSE, 2_000).unwrap();
    assert_eq!((closed.kind, closed.by), (AlarmEventKind::Closed, NURSE));
    let mut low = raised(Priority::Low, 0);
    assert_eq!(low.observe(None, true, 800, 0, 1_000).unwrap().kind, AlarmEventKind::Closed);
}

#[test]
fn hysteresis_keeps_an_alarm_open_near_its_limit() {
    let limits = Limits::adult(Metric::HeartRate).unwrap();
    assert_eq!(limits.violated(Side::Above, 1310), Some(Priority::High));
    assert_eq!(limits.violated(Side::Above, 909), None);
    assert!(!limits.recovered(Side::Above, 890), "20 inside the lowest limit is not clear of it");
    assert!(limits.recovered(Side::Above, 889));
    assert_eq!(limits.violated(Side::Below, 400), Some(Priority::High));
    assert!(!limits.recovered(Side::Below, 520));
    assert!(limits.recovered(Side::Below, 521));
}

#[test]
fn limits_that_would_hide_alarms_are_refused() {
    let good = Limits::adult(Metric::HeartRate).unwrap();
    let read = |limits: &Limits| {
        let mut w = Writer::new();
        limits.write(&mut w);
        let bytes = w.finish();
        Limits::read(&mut Reader::new(&bytes))
    };
    assert_eq!(read(&good), Ok(good));
    let wide = Limits { persistence_ms: PERSISTENCE_MAX_MS + 1, ..good };
    assert!(!wide.in_order());
    assert_eq!(read(&wide), Err(NotCanonical::TooLong));
    assert!(!Limits { hysteresis: -1, ..good }.in_order());
    let crossed = Limits { below: [Some(920), None, None], ..good };
    assert_eq!(read(&crossed), Err(NotCanonical::Order));
}

#[derive(Debug, Clone)]
enum Step {
    Observe(Option<Priority>, bool),
    Inhibit(bool),
    Acknowledge,
    Silence(u64),
    EndSilence,
    Tick,
}

fn step() -> impl Strategy<Value = (Step, u64)> {
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Medium), Just(Priority::High)];
    let step = prop_oneof![
        6 => (proptest::option::of(priority), any::<bool>())
            .prop_map(|(violated, over)| Step::Observe(violated, over && violated.is_none())),
        1 => any::<bool>().prop_map(Step::Inhibit),
        1 => Just(Step::Acknowledge),
        1 => (0..400_000u64).prop_map(Step::Silence),
        1 => Just(Step::EndSilence),
        1 => Just(Step::Tick),
    ];
    (step, 0..30_000u64)
}

proptest! {
    #[test]
    fn alarm_invariants_hold_for_any_input(
        steps in proptest::collection::vec(step(), 1..200),
        persistence_ms in 0..20_000u64,
    ) {
        let mut alarm = Alarm::new(HIGH);
        let (mut now_ms, mut open, mut episode) = (0u64, false, 0u32);
        let mut violated_since: Option<u64> = None;
        for (step, passed_ms) in steps {
            now_ms += passed_ms;
            let inhibited = alarm.is_inhibited();
            let before = alarm.clone();
            let event = match step {
                Step::Observe(violated, over) => {
                    if violated.is_none() || inhibited {
                        violated_since = None;
                    } else {
                        violated_since.get_or_insert(now_ms);
                    }
                    alarm.observe(violated, over, 1, persistence_ms, now_ms)
                }
                Step::Inhibit(on) => {
                    alarm.inhibit(on);
                    if on { violated_since = None; }
                    None
                }
                Step::Acknowledge => {
                    let event = alarm.acknowledge(NURSE, now_ms);
                    prop_assert!(alarm.state() != State::Active, "an answer ends the asking");
                    event
                }
                Step::Silence(for_ms) => {
                    let event = alarm.silence(NURSE, for_ms, now_ms);
                    prop_assert_eq!(alarm.state(), before.state(), "a silence is not an answer");
                    prop_assert!(alarm.silenced_until_ms() <= now_ms + SILENCE_MAX_MS);
                    event
                }
                Step::EndSilence => {
                    let event = alarm.end_silence(NURSE, now_ms);
                    prop_assert_eq!(alarm.state(), before.state());
                    prop_assert!(!alarm.is_open() || !alarm.is_silenced(now_ms), "it sounds as without one");
                    event
                }
                Step::Tick => alarm.tick(now_ms),
            };
            let Some(event) = event else {
                prop_assert_eq!(alarm.is_open(), open, "an episode opens or closes without an event");
                continue;
            };
            match event.kind {
                AlarmEventKind::Raised => {
                    prop_assert!(!open, "two open episodes of one condition");
                    prop_assert!(!inhibited, "raised while inhibited");
                    prop_assert_eq!(event.episode, episode + 1);
                    let since = violated_since.unwrap();
                    prop_assert!(now_ms - since >= persistence_ms, "raised too early");
                    prop_assert!(alarm.sounds(now_ms));
                    (open, episode) = (true, event.episode);
                }
                AlarmEventKind::Worsened => {
                    prop_assert!(open && !inhibited);
                    prop_assert!(event.priority > before.priority());
                    prop_assert!(alarm.sounds(now_ms), "a worse one breaks silence and acknowledgement");
                }
                AlarmEventKind::Returned => {
                    prop_assert!(open && !inhibited && before.state() == State::Recovered);
                    prop_assert!(event.priority == before.priority() || alarm.sounds(now_ms));
                }
                AlarmEventKind::Closed => {
                    prop_assert!(open);
                    open = false;
                }
                AlarmEventKind::Recovered => prop_assert!(open && before.state() == State::Active),
                AlarmEventKind::Acknowledged
                | AlarmEventKind::Silenced
                | AlarmEventKind::SilenceEnded
                | AlarmEventKind::Escalated => prop_assert!(open),
            }
            prop_assert_eq!(event.episode, episode);
            prop_assert_eq!(alarm.is_open(), open);
        }
    }

    #[test]
    fn limits_read_back(
        mut above in proptest::collection::btree_set(0..50_000i32, 3),
        below in proptest::collection::btree_set(-50_000..0i32, 3),
        present in any::<[bool; 6]>(),
        hysteresis in 0..1000i32,
        persistence_ms in 0..=PERSISTENCE_MAX_MS,
    ) {
        above.insert(60_000);
        let high: Vec<i32> = above.into_iter().take(3).collect();
        let low: Vec<i32> = below.into_iter().rev().collect();
        let side = |values: &[i32], at: usize| -> [Option<i32>; 3] {
            core::array::from_fn(|n| present[at + n].then_some(values[n]))
        };
        let limits = Limits {
            metric: Metric::Co2,
            above: side(&high, 0),
            below: side(&low, 3),
            hysteresis,
            persistence_ms,
        };
        let mut w = Writer::new();
        limits.write(&mut w);
        let bytes = w.finish();
        prop_assert_eq!(Limits::read(&mut Reader::new(&bytes)), Ok(limits));
    }

    #[test]
    fn the_stricter_limits_raise_what_either_raises(
        steps in proptest::collection::vec((1..40i32, 0..4u8), 12),
        waits in (0..=PERSISTENCE_MAX_MS, 0..=PERSISTENCE_MAX_MS),
        value in -300..300i32,
    ) {
        // Each side's thresholds go outwards from a middle that need not be the other's.
        let side = |from: usize, sign: i32, middle: i32| -> [Option<i32>; 3] {
            let mut at = middle;
            core::array::from_fn(|n| {
                let (step, present) = steps[from + n];
                at += sign * step;
                (present > 0).then_some(at)
            })
        };
        let limits = |from: usize, middle: i32, persistence_ms: u64| Limits {
            metric: Metric::Co2,
            above: side(from, 1, middle),
            below: side(from + 3, -1, middle),
            hysteresis: steps[from].0,
            persistence_ms,
        };
        let (one, other) = (limits(0, 0, waits.0), limits(6, steps[0].0 - 20, waits.1));
        prop_assert!(one.in_order() && other.in_order());
        let both = one.stricter(&other);
        prop_assert_eq!(both, other.stricter(&one));
        prop_assert_eq!(one.stricter(&one), Limits { above: one.above, ..one });
        prop_assert_eq!(both.stricter(&one), both, "once is enough");
        prop_assert_eq!(both.persistence_ms, waits.0.min(waits.1));
        for side in [Side::Above, Side::Below] {
            let expected = one.violated(side, value).max(other.violated(side, value));
            prop_assert_eq!(both.violated(side, value), expected);
            if both.recovered(side, value) {
                prop_assert!(one.recovered(side, value) && other.recovered(side, value));
            }
        }
    }

    #[test]
    fn whether_recovered_or_violated_never_both(value in any::<i32>()) {
        for metric in Metric::ALL {
            let Some(limits) = Limits::adult(*metric) else { continue };
            prop_assert!(limits.in_order());
            for side in [Side::Above, Side::Below] {
                prop_assert!(limits.violated(side, value).is_none() || !limits.recovered(side, value));
            }
        }
    }
}
