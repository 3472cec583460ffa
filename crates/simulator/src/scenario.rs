//! What happens at a bed: names for configuration files, and scripts of timed events.

use std::str::FromStr;

/// Most events in one script.
pub const EVENTS_MAX: usize = 256;

/// What a virtual board's patient and room are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scenario {
    /// All is well.
    #[default]
    Healthy,
    /// Body temperature climbs to 39.4 °C, the pulse with it.
    Fever,
    /// The heart races at about 142 beats a minute.
    Tachycardia,
    /// The heart goes at about 37 beats a minute.
    Bradycardia,
    /// Somebody burns the toast: fine particles climb to 180 µg/m³.
    SmokyRoom,
    /// Nobody opens a window: carbon dioxide climbs to 2,600 ppm.
    StuffyRoom,
    /// The clip is off the finger and the thermometer off the skin.
    SensorOff,
    /// The patient moves all the time: motion artefacts in the light signal.
    Restless,
    /// The board sends nothing: unplugged.
    Unplugged,
    /// The heart beats without a rhythm, each interval up to a third longer or shorter.
    Irregular,
    /// An intensive-care finger: the breath moves the baseline by twice the pulse's height, and now and
    /// then the signal saturates for a second or two, jumps, or jumps and comes back slowly.
    Artefacts,
}

/// Why a scenario or script is not understood. The writer of the file moves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No scenario of this name.
    #[error("there is no scenario `{0}`; there are {names}", names = Scenario::names())]
    Unknown(String),
    /// An event is not of the form `at 8 s: tachycardia for 20 s`.
    #[error("`{0}` is not an event like `at 8 s: tachycardia for 20 s`")]
    Form(String),
    /// More than [`EVENTS_MAX`] events.
    #[error("the script has more than {EVENTS_MAX} events")]
    TooLong,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Healthy,
        Self::Fever,
        Self::Tachycardia,
        Self::Bradycardia,
        Self::SmokyRoom,
        Self::StuffyRoom,
        Self::SensorOff,
        Self::Restless,
        Self::Unplugged,
        Self::Irregular,
        Self::Artefacts,
    ];

    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Fever => "fever",
            Self::Tachycardia => "tachycardia",
            Self::Bradycardia => "bradycardia",
            Self::SmokyRoom => "smoky_room",
            Self::StuffyRoom => "stuffy_room",
            Self::SensorOff => "sensor_off",
            Self::Restless => "restless",
            Self::Unplugged => "unplugged",
            Self::Irregular => "irregular",
            Self::Artefacts => "artefacts",
        }
    }

    /// Is it seen in a pulse that is made up, and nowhere else? A board that replays a recording does not show it.
    #[must_use]
    pub fn is_of_the_pulse_alone(self) -> bool {
        match self {
            Self::Tachycardia | Self::Bradycardia | Self::Restless | Self::Irregular | Self::Artefacts => {
                true
            }
            Self::Healthy
            | Self::Fever
            | Self::SmokyRoom
            | Self::StuffyRoom
            | Self::SensorOff
            | Self::Unplugged => false,
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl FromStr for Scenario {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let wanted = text.trim().replace(['-', ' '], "_").to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == wanted)
            .ok_or_else(|| ScriptError::Unknown(text.trim().into()))
    }
}

/// One event of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When it starts, milliseconds of the board's time.
    pub at_ms: u64,
    /// What happens.
    pub scenario: Scenario,
    /// How long, milliseconds; for good when none.
    pub for_ms: Option<u64>,
}

/// Timed events at one board. Where two overlap, the one that started later holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    events: Vec<Event>,
}

impl Script {
    /// A script of these events.
    pub fn new(mut events: Vec<Event>) -> Result<Self, ScriptError> {
        if events.len() > EVENTS_MAX {
            return Err(ScriptError::TooLong);
        }
        events.sort_by_key(|event| event.at_ms);
        Ok(Self { events })
    }

    /// What the script sets at this time of the board, if anything.
    #[must_use]
    pub fn at(&self, board_ms: u64) -> Option<Scenario> {
        self.events
            .iter()
            .rev()
            .filter(|event| event.at_ms <= board_ms)
            .find(|event| event.for_ms.is_none_or(|for_ms| board_ms - event.at_ms < for_ms))
            .map(|event| event.scenario)
    }

    /// What happens in it, in order.
    pub fn scenarios(&self) -> impl Iterator<Item = Scenario> {
        self.events.iter().map(|event| event.scenario)
    }

    /// Does it say anything?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    /// Events separated by `;` or new lines: `at 8 s: tachycardia for 20 s; at 1 min: fever`.
    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let events = text.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()).map(event);
        Self::new(events.collect::<Result<_, _>>()?)
    }
}

fn event(line: &str) -> Result<Event, ScriptError> {
    let form = || ScriptError::Form(line.into());
    let (at, what) = line.strip_prefix("at ").and_then(|rest| rest.split_once(':')).ok_or_else(form)?;
    let (name, for_ms) = match what.split_once(" for ") {
        Some((name, span)) => (name, Some(span_ms(span).ok_or_else(form)?)),
        None => (what, None),
    };
    Ok(Event { at_ms: span_ms(at).ok_or_else(form)?, scenario: name.parse()?, for_ms })
}

/// `8 s`, `250ms`, `2 min`.
fn span_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(scenario));
        }
        assert_eq!("Smoky Room".parse(), Ok(Scenario::SmokyRoom));
        let error = "plague".parse::<Scenario>().unwrap_err().to_string();
        assert!(error.contains("`plague`") && error.contains("sensor_off"), "{error}");
    }

    #[test]
    fn a_script_says_what_happens_when() {
        let script: Script =
            "at 8 s: tachycardia for 20 s; at 1 min: fever\nat 70 s: sensor_off for 500ms".parse().unwrap();
        let at = |ms| script.at(ms);
        assert_eq!(at(7_999), None);
        assert_eq!(at(8_000), Some(Scenario::Tachycardia));
        assert_eq!(at(28_000), None);
        assert_eq!(at(60_000), Some(Scenario::Fever));
        assert_eq!(at(70_400), Some(Scenario::SensorOff));
        assert_eq!(at(70_500), Some(Scenario::Fever));
    }

    #[test]
    fn a_script_that_is_not_understood_names_the_event() {
        for bad in ["8 s: fever", "at 8: fever", "at 8 s fever", "at 8 s: fever for ever"] {
            assert_eq!(bad.parse::<Script>(), Err(ScriptError::Form(bad.into())));
        }
        assert_eq!("at 1 s: fun".parse::<Script>(), Err(ScriptError::Unknown("fun".into())));
    }
}
