use super::*;
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use std::string::String;
use std::vec;
use std::vec::Vec;

fn text(lines: &LcdText) -> [String; 2] {
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap())
}

#[test]
fn a_calm_bed_shows_its_values() {
    let lines = calm_text(|metric| {
        Some(Sample::Measured(match metric {
            Metric::HeartRate => 724,
            Metric::BodyTemperature => 3678,
            Metric::AmbientTemperature => 225,
            Metric::RelativeHumidity => 451,
            _ => 42,
        }))
    });
    assert_eq!(text(&lines), ["72 bpm  36.8 C  ", "22.5C 45% AQI 42"]);
}

#[test]
fn a_missing_value_is_never_a_number() {
    let lines =
        calm_text(|metric| (metric == Metric::HeartRate).then_some(Sample::Absent(Absence::SensorOff)));
    assert_eq!(text(&lines), ["-- bpm  -- C    ", "--C --% AQI --  "]);
}

#[test]
fn an_alarm_takes_the_whole_display() {
    let shout = AlarmDisplay {
        condition: Condition::Above(Metric::HeartRate),
        priority: Priority::High,
        value: Some(1342),
        others: 2,
    };
    assert_eq!(text(&alarm_text(&shout)), ["***PULSE HIGH +2", "now 134 bpm     "]);
    let cold = AlarmDisplay {
        condition: Condition::Below(Metric::AmbientTemperature),
        priority: Priority::Low,
        value: Some(-5),
        others: 12,
    };
    assert_eq!(text(&alarm_text(&cold)), ["*ROOM TEMP LO +9", "now -0.5 C      "]);
}

#[test]
fn an_unsteady_pulse_is_not_called_a_sensor_that_is_off() {
    let shout = |condition, priority| AlarmDisplay { condition, priority, value: None, others: 0 };
    let irregular = shout(Condition::Unsteady(Metric::HeartRate), Priority::Medium);
    assert_eq!(text(&alarm_text(&irregular)), ["**PULSE UNSTEADY", "feel the pulse  "]);
    let moving = shout(Condition::PoorSignal(Metric::HeartRate), Priority::Technical);
    assert_eq!(text(&alarm_text(&moving)), ["PULSE UNCLEAR   ", "look at patient!"]);
    let off = shout(Condition::SensorOff(Metric::HeartRate), Priority::Technical);
    assert_eq!(text(&alarm_text(&off)), ["PULSE ?         ", "look at patient!"]);
}

#[test]
fn every_condition_can_be_read() {
    let conditions = Metric::ALL
        .iter()
        .flat_map(|metric| {
            [
                Condition::Above(*metric),
                Condition::Below(*metric),
                Condition::SensorOff(*metric),
                Condition::RateNotSupported(*metric),
                Condition::Unsteady(*metric),
                Condition::PoorSignal(*metric),
            ]
        })
        .chain([Condition::Stale, Condition::Equivocation, Condition::Gap, Condition::Clock])
        .chain([Condition::NotListening, Condition::LimitsEnded]);
    for condition in conditions {
        let shout = AlarmDisplay { condition, priority: Priority::Low, value: Some(i32::MIN), others: 0 };
        for line in alarm_text(&shout) {
            assert!(line.iter().all(|c| (b' '..=b'~').contains(c)) && line != [b' '; 16]);
        }
    }
}

/// What the backpack sees for one byte: each nibble with the enable bit, then without.
fn on_bus(byte: u8, register: u8) -> [Transaction; 2] {
    [byte & 0xf0, byte << 4].map(|nibble| {
        let bits = nibble | register | 0x08;
        Transaction::write(0x27, vec![bits | 0x04, bits])
    })
}

#[test]
fn the_display_is_woken_and_written_nibble_by_nibble() {
    let wake = |nibble: u8| Transaction::write(0x27, vec![nibble | 0x0c, nibble | 0x08]);
    let mut expected: Vec<Transaction> = [0x30, 0x30, 0x30, 0x20].map(wake).to_vec();
    expected.extend([0x28, 0x0c, 0x01, 0x06].into_iter().flat_map(|command| on_bus(command, 0)));
    let lines = [*b"72 bpm  36.8 C  ", *b"22.5C 45% AQI 42"];
    for (start, line) in [0x80, 0xc0].into_iter().zip(&lines) {
        expected.extend(on_bus(start, 0));
        expected.extend(line.iter().flat_map(|character| on_bus(*character, 1)));
    }
    let bus = Mock::new(&expected);
    let mut lcd = Hd44780::start(bus, NoopDelay::new(), 0x27).unwrap();
    lcd.show(&lines).unwrap();
    lcd.release().0.done();
}
