//! The 2×16 character LCD: its text, and a driver for the usual HD44780 with a PCF8574 I²C
//! backpack.

use crate::frame::{LCD_COLUMNS, LCD_ROWS, LcdText};
use core::fmt::Write;
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use vitals::Metric;
use vitals::alarm::{Condition, Priority};
use vitals::metric::{Absence, Sample};

/// One line being written; what does not fit is cut, what no LCD can show becomes `?`.
#[derive(Debug)]
struct Line {
    text: [u8; LCD_COLUMNS],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { text: [b' '; LCD_COLUMNS], len: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            if let Some(slot) = self.text.get_mut(self.len) {
                *slot = u8::try_from(c).ok().filter(|c| (b' '..=b'~').contains(c)).unwrap_or(b'?');
                self.len += 1;
            }
        }
        Ok(())
    }
}

macro_rules! line {
    ($($part:tt)*) => {{
        let mut line = Line::new();
        // A line never fails: what does not fit is cut.
        let _ = write!(line, $($part)*);
        line.text
    }};
}

/// A raw value with its decimals, e.g. `36.8`; one decimal at most, there is no room for more.
struct ValueText(Metric, i32);

impl core::fmt::Display for ValueText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self(metric, raw) = *self;
        let tenths = match metric.info().decimals {
            0 => return write!(f, "{raw}"),
            1 => raw,
            _ => raw.saturating_add(5 * raw.signum()) / 10,
        };
        // Beats and humidity are read in whole ones.
        if matches!(metric, Metric::HeartRate | Metric::RelativeHumidity) {
            return write!(f, "{}", tenths.saturating_add(5 * tenths.signum()) / 10);
        }
        let sign = if tenths < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{}", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10)
    }
}

/// A sample for the LCD: its value, or dashes with the first letter of why there is none.
struct SampleText(Metric, Option<Sample>);

impl core::fmt::Display for SampleText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.1 {
            Some(Sample::Measured(raw)) => write!(f, "{}", ValueText(self.0, raw)),
            Some(Sample::Absent(Absence::WarmingUp)) => f.write_str(".."),
            Some(Sample::Absent(_)) | None => f.write_str("--"),
        }
    }
}

/// The alarm the LCD shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmDisplay {
    /// What is wrong.
    pub condition: Condition,
    /// How urgent.
    pub priority: Priority,
    /// The value now, raw units, if there is one.
    pub value: Option<i32>,
    /// How many more alarms are open.
    pub others: usize,
}

/// What the second line shows in turn with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Somebody on the ward has answered the alarm shown.
    Answered,
    /// Its sound pauses.
    Paused,
    /// Other limits were ordered a moment ago.
    NewLimits,
    /// The ward does not listen.
    WardNotListening,
    /// The time of ordered limits is over.
    LimitsEnded,
    /// What is measured is not recorded.
    NotRecorded,
}

impl Note {
    /// As it stands on the LCD.
    #[must_use]
    pub fn line(self) -> [u8; LCD_COLUMNS] {
        match self {
            Self::Answered => *b"answered by ward",
            Self::Paused => *b"sound paused    ",
            Self::NewLimits => *b"new limits      ",
            Self::WardNotListening => *b"ward not hearing",
            Self::LimitsEnded => *b"limits ended    ",
            Self::NotRecorded => *b"not recorded    ",
        }
    }
}

/// The text of an open alarm: priority, what and how many more; then the value, or what to do.
#[must_use]
pub fn alarm_text(alarm: &AlarmDisplay) -> LcdText {
    let mut first = Line::new();
    let (side, metric) = match alarm.condition {
        Condition::Above(metric) => ("HIGH", Some(metric)),
        Condition::Below(metric) => ("LOW", Some(metric)),
        Condition::SensorOff(metric) => ("?", Some(metric)),
        Condition::Unsteady(metric) => ("UNSTEADY", Some(metric)),
        Condition::PoorSignal(metric) => ("UNCLEAR", Some(metric)),
        Condition::RateNotSupported(metric) => ("SAMPLING", Some(metric)),
        Condition::Stale => ("NO DATA", None),
        Condition::Equivocation => ("TWO WRITERS", None),
        Condition::Gap => ("NOT DELIVERED", None),
        Condition::Clock => ("CLOCK WRONG", None),
        Condition::Unwatched => ("NOT WATCHED", None),
        Condition::WatchEnding => ("WATCHING ENDS", None),
        Condition::NotListening => ("WARD NOT", None),
        Condition::LimitsEnded => ("LIMITS ENDED", None),
    };
    // A line never fails: what does not fit is cut.
    let _ = match metric {
        Some(metric) => write!(first, "{}{} {side}", alarm.priority.stars(), metric.info().lcd),
        None => write!(first, "{side}"),
    };
    if alarm.others > 0 {
        first.len = first.len.min(LCD_COLUMNS - 3);
        let _ = write!(first, " +{}", alarm.others.min(9));
        first.text[first.len..].fill(b' ');
    }
    let second = match (alarm.condition, metric, alarm.value) {
        (Condition::Above(_) | Condition::Below(_), Some(metric), Some(raw)) => {
            line!("now {} {}", ValueText(metric, raw), lcd_unit(metric))
        }
        (Condition::Above(_) | Condition::Below(_), ..) => line!("no value now"),
        // A pulse that stops looks like a sensor that came off, or like motion: the patient comes first.
        (Condition::SensorOff(Metric::HeartRate) | Condition::PoorSignal(Metric::HeartRate), ..) => {
            line!("look at patient!")
        }
        (Condition::SensorOff(_), ..) => line!("check the sensor"),
        (Condition::Unsteady(_), ..) => line!("feel the pulse"),
        (Condition::PoorSignal(_), ..) => line!("keep hand still"),
        (Condition::RateNotSupported(_), ..) => line!("rate unsupported"),
        (Condition::Stale, ..) => line!("check the board"),
        (Condition::Equivocation | Condition::Gap | Condition::Clock, ..) => line!("call technician"),
        // The node's own, which no bedside raises.
        (Condition::Unwatched | Condition::WatchEnding, ..) => line!("ask the ward"),
        (Condition::NotListening, ..) => line!("LISTENING"),
        (Condition::LimitsEnded, ..) => line!("stricter now"),
    };
    [first.text, second]
}

/// The metric's unit in the LCD's characters.
fn lcd_unit(metric: Metric) -> &'static str {
    match metric {
        Metric::BodyTemperature | Metric::AmbientTemperature => "C",
        Metric::Pm25 | Metric::Pm10 => "ug/m3",
        _ => metric.info().unit,
    }
}

/// The text when all is well: pulse and temperature, then the room.
#[must_use]
pub fn calm_text(latest: impl Fn(Metric) -> Option<Sample>) -> LcdText {
    let said = |metric| SampleText(metric, latest(metric));
    [
        line!("{} bpm  {} C", said(Metric::HeartRate), said(Metric::BodyTemperature)),
        line!(
            "{}C {}% AQI {}",
            said(Metric::AmbientTemperature),
            said(Metric::RelativeHumidity),
            said(Metric::Aqi)
        ),
    ]
}

/// Something that shows two lines.
pub trait CharacterDisplay {
    /// What can go wrong on its bus.
    type Error;

    /// Shows the text in place of what was there.
    fn show(&mut self, text: &LcdText) -> Result<(), Self::Error>;
}

/// Backpack bits: register select, enable, backlight.
const REGISTER: u8 = 0x01;
const ENABLE: u8 = 0x04;
const BACKLIGHT: u8 = 0x08;
const CLEAR: u8 = 0x01;
const ENTRY_LEFT_TO_RIGHT: u8 = 0x06;
const DISPLAY_ON: u8 = 0x0c;
const FOUR_BITS_TWO_LINES: u8 = 0x28;
const LINE_STARTS: [u8; LCD_ROWS] = [0x80, 0xc0];
/// The controller is busy this long after a character or command.
const SETTLE_US: u32 = 50;
/// And this long after clearing.
const CLEAR_US: u32 = 2_000;

/// An HD44780 in four-bit mode behind a PCF8574.
#[derive(Debug)]
pub struct Hd44780<B, D> {
    bus: B,
    delay: D,
    address: u8,
}

impl<B: I2c, D: DelayNs> Hd44780<B, D> {
    /// Wakes the display at `address` (usually 0x27 or 0x3f) and clears it.
    pub fn start(bus: B, delay: D, address: u8) -> Result<Self, B::Error> {
        let mut lcd = Self { bus, delay, address };
        lcd.delay.delay_ms(50);
        // Three times eight-bit mode, from whatever state it is in; then four-bit mode.
        for _ in 0..3 {
            lcd.nibble(0x30)?;
            lcd.delay.delay_ms(5);
        }
        lcd.nibble(0x20)?;
        for command in [FOUR_BITS_TWO_LINES, DISPLAY_ON, CLEAR, ENTRY_LEFT_TO_RIGHT] {
            lcd.byte(command, 0)?;
            if command == CLEAR {
                lcd.delay.delay_us(CLEAR_US);
            }
        }
        Ok(lcd)
    }

    fn nibble(&mut self, bits: u8) -> Result<(), B::Error> {
        let bits = bits | BACKLIGHT;
        self.bus.write(self.address, &[bits | ENABLE, bits])?;
        self.delay.delay_us(SETTLE_US);
        Ok(())
    }

    fn byte(&mut self, byte: u8, register: u8) -> Result<(), B::Error> {
        self.nibble(byte & 0xf0 | register)?;
        self.nibble(byte << 4 | register)
    }

    /// Gives bus and delay back.
    pub fn release(self) -> (B, D) {
        (self.bus, self.delay)
    }
}

impl<B: I2c, D: DelayNs> CharacterDisplay for Hd44780<B, D> {
    type Error = B::Error;

    fn show(&mut self, text: &LcdText) -> Result<(), B::Error> {
        for (start, line) in LINE_STARTS.into_iter().zip(text) {
            self.byte(start, 0)?;
            for character in line {
                self.byte(*character, REGISTER)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
