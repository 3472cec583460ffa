//! What the ward orders from afar: answers, pauses, limits for a time; and a ward that is not there.

use super::*;

const MINUTE_MS: u64 = 60_000;

/// Limits that a fever of 39.5 does not touch.
fn wide() -> Limits {
    Limits {
        above: [None, Some(4000), Some(4050)],
        below: [None, None, Some(3400)],
        ..Limits::adult(Metric::BodyTemperature).unwrap()
    }
}

fn answer(for_ms: u64) -> Answer {
    Answer { condition: FEVER, priority: Priority::Medium, by: SOMEBODY, age_ms: 500, for_ms }
}

impl Bed {
    fn press(&mut self) {
        self.counter += 1;
        self.monitor.on_frame(Up::Button { counter: self.counter, board_ms: 0 }, self.now_ms);
    }

    /// All second lines the LCD was told in the next seconds.
    fn second_lines(&mut self, seconds: u32) -> Vec<alloc::string::String> {
        self.done.clear();
        self.seconds(seconds, true);
        let told = self.done.iter().filter_map(|action| match action {
            Action::Show(Down::Lcd { lines }) => Some(lines[1]),
            _ => None,
        });
        told.map(|line| alloc::string::String::from_utf8(line.to_vec()).unwrap()).collect()
    }
}

#[test]
fn an_answer_from_afar_ends_the_sound_and_is_said_on_the_lcd() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
    assert_eq!(bed.monitor.answer(answer(MINUTE_MS), bed.now_ms), Answered::Done);
    let lines = bed.second_lines(10);
    assert_eq!(bed.buzzer(), None);
    assert!(
        lines.contains(&"answered by ward".into()) && lines.contains(&"now 39.5 C      ".into()),
        "{lines:?}"
    );
    assert_eq!(bed.monitor.answer(answer(MINUTE_MS), bed.now_ms), Answered::Nothing, "once");
}

#[test]
fn an_answer_holds_for_its_time_and_what_still_stands_rings_again() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    assert_eq!(bed.monitor.answer(answer(MINUTE_MS), bed.now_ms), Answered::Done);
    bed.seconds(58, true);
    assert_eq!(bed.buzzer(), None);
    bed.seconds(4, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
    assert_eq!(bed.events().last(), Some(&(FEVER, AlarmEventKind::Returned)));
}

#[test]
fn an_answer_to_another_alarm_than_the_one_that_rings_is_none() {
    let mut bed = Bed::with_temperature(3950);
    assert_eq!(bed.monitor.answer(answer(MINUTE_MS), bed.now_ms), Answered::Nothing, "nothing is open");
    bed.seconds(20, true);
    let lower = Answer { priority: Priority::Low, ..answer(MINUTE_MS) };
    assert_eq!(bed.monitor.answer(lower, bed.now_ms), Answered::Worse, "it is worse than what was seen");
    let earlier = Answer { age_ms: 15_000, ..answer(MINUTE_MS) };
    assert_eq!(bed.monitor.answer(earlier, bed.now_ms), Answered::Worse, "it began after the answer");
    bed.seconds(1, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
}

#[test]
fn a_pause_is_said_and_ended_by_time_by_order_and_by_the_button() {
    let mut bed = Bed::with_temperature(3950);
    bed.seconds(20, true);
    assert!(bed.monitor.silence(FEVER, SOMEBODY, u64::MAX, bed.now_ms));
    assert!(bed.second_lines(10).contains(&"sound paused    ".into()));
    assert_eq!(bed.buzzer(), None);
    bed.seconds(112, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium), "two minutes at most, whatever was asked for");
    assert!(bed.monitor.silence(FEVER, SOMEBODY, MINUTE_MS, bed.now_ms));
    bed.seconds(2, true);
    assert_eq!(bed.buzzer(), None);
    assert!(bed.monitor.end_silence(FEVER, SOMEBODY, bed.now_ms));
    bed.seconds(1, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium));
    assert!(bed.monitor.silence(FEVER, SOMEBODY, MINUTE_MS, bed.now_ms));
    bed.seconds(2, true);
    bed.press();
    bed.seconds(1, true);
    assert_eq!(bed.buzzer(), Some(Priority::Medium), "the button breaks the pause");
    assert_eq!(bed.events().last(), Some(&(FEVER, AlarmEventKind::SilenceEnded)));
}

#[test]
fn ordered_limits_hold_for_their_time_and_end_loudly_with_the_stricter_ones() {
    let mut bed = Bed::with_temperature(3950);
    bed.monitor.order_limits(wide(), bed.now_ms + 40_000, bed.now_ms);
    assert!(bed.second_lines(10).contains(&"new limits      ".into()));
    bed.seconds(29, true);
    assert_eq!(bed.events(), vec![], "39.5 is within the ordered limits");
    bed.seconds(2, true);
    assert!(bed.done.contains(&Action::LimitsEnded(Metric::BodyTemperature)));
    assert_eq!(bed.events(), vec![(Condition::LimitsEnded, AlarmEventKind::Raised)]);
    assert_eq!(bed.lcd()[0], "LIMITS ENDED    ");
    assert_eq!(bed.buzzer(), Some(Priority::Technical), "an ending is heard");
    bed.seconds(20, true);
    assert_eq!(bed.events().last(), Some(&(FEVER, AlarmEventKind::Raised)), "the bed's own limits are back");
    assert!(bed.second_lines(10).contains(&"limits ended    ".into()), "the patient first, and still said");
    // Below 34.0 only the ordered limits alarm high, below 35.0 the bed's own: the stricter counts.
    let strict = bed.monitor.limits_in_force(Metric::BodyTemperature).unwrap();
    assert_eq!(strict, Limits::adult(Metric::BodyTemperature).unwrap().stricter(&wide()));
    bed.monitor.order_limits(wide(), bed.now_ms + MINUTE_MS, bed.now_ms);
    bed.seconds(1, true);
    assert!(bed.events().contains(&(Condition::LimitsEnded, AlarmEventKind::Closed)), "others were ordered");
}

#[test]
fn an_ending_is_told_until_somebody_answers_it() {
    let mut bed = Bed::with_temperature(3680);
    bed.monitor.order_limits(wide(), bed.now_ms + 1_000, bed.now_ms);
    bed.seconds(300, true);
    assert_eq!(bed.lcd()[0], "LIMITS ENDED    ");
    let seen =
        Answer { condition: Condition::LimitsEnded, priority: Priority::Technical, ..answer(MINUTE_MS) };
    assert_eq!(bed.monitor.answer(seen, bed.now_ms), Answered::Done);
    bed.seconds(1, true);
    assert_eq!(bed.lcd()[0], "-- bpm  36.8 C  ");
    assert_ne!(bed.monitor.limits_in_force(Metric::BodyTemperature), Some(wide()), "and stays strict");
}

#[test]
fn a_clock_that_leaps_or_stands_still_ends_ordered_limits_no_later_than_they_may_last() {
    let mut leaps = Bed::with_temperature(3680);
    leaps.monitor.order_limits(wide(), leaps.now_ms + MINUTE_MS, leaps.now_ms);
    leaps.now_ms += 10 * MINUTE_MS;
    leaps.seconds(2, true);
    assert!(leaps.done.contains(&Action::LimitsEnded(Metric::BodyTemperature)));
    let mut back = Bed::with_temperature(3680);
    back.monitor.order_limits(wide(), back.now_ms + MINUTE_MS, back.now_ms);
    back.now_ms -= 10 * MINUTE_MS;
    back.seconds(62, true);
    assert!(back.done.contains(&Action::LimitsEnded(Metric::BodyTemperature)), "a minute has passed");
}

#[test]
fn nobody_gets_below_the_floor_from_afar() {
    let floor = Limits {
        above: [None, None, Some(3940)],
        below: [None; 3],
        ..Limits::adult(Metric::BodyTemperature).unwrap()
    };
    let mut bed = Bed::with_temperature(3950);
    bed.monitor = Monitor::new(MonitorConfig { floor: vec![floor], ..MonitorConfig::default() });
    let off = Limits { above: [None; 3], below: [None; 3], persistence_ms: 600_000, ..wide() };
    bed.monitor.order_limits(off, bed.now_ms + 10 * MINUTE_MS, bed.now_ms);
    bed.seconds(20, true);
    assert_eq!(bed.events(), vec![(FEVER, AlarmEventKind::Raised)]);
    assert_eq!(bed.buzzer(), Some(Priority::High), "switched off from afar, and it rings at the floor");
}

#[test]
fn a_ward_that_does_not_listen_is_said_and_heard() {
    let mut bed = Bed::with_temperature(3680);
    bed.seconds(3, true);
    bed.monitor.report(Condition::NotListening, true, bed.now_ms);
    bed.seconds(6, true);
    assert_eq!(bed.lcd(), ["WARD NOT        ", "LISTENING       "]);
    assert_eq!(bed.buzzer(), Some(Priority::Technical));
    bed.temperature = Some(3950);
    bed.seconds(20, true);
    assert_eq!(bed.lcd()[0], "**TEMP HIGH +1  ", "the patient first");
    assert_eq!(bed.buzzer(), Some(Priority::Medium), "by its own limits");
    assert!(bed.second_lines(10).contains(&"ward not hearing".into()));
    bed.monitor.report(Condition::NotListening, false, bed.now_ms);
    assert!(!bed.second_lines(10).contains(&"ward not hearing".into()));
}
