//! What is measured: one entry per metric, with unit, codes and plausible range.

use crate::ids::Class;
use core::fmt;

/// The properties of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Word used in files and reports, e.g. `heart_rate`.
    pub name: &'static str,
    /// Words used on pages, e.g. `Heart rate`.
    pub label: &'static str,
    /// Unit for people, e.g. `bpm`.
    pub unit: &'static str,
    /// UCUM code of the unit.
    pub ucum: &'static str,
    /// LOINC code, where one fits.
    pub loinc: Option<&'static str>,
    /// IEEE 11073-10101 (MDC) code, where one fits.
    pub mdc: Option<u32>,
    /// A raw value of 1 means 10^-decimals units.
    pub decimals: u8,
    /// Consent class.
    pub class: Class,
    /// Raw values outside are a sensor fault, not a measurement.
    pub plausible: (i32, i32),
    /// Raw values that the axis of a chart always shows: a fixed range keeps small changes small.
    pub axis: (i32, i32),
    /// Word for the LCD of a board: ASCII, at most 10 characters.
    pub lcd: &'static str,
    /// Units that a SenML record (RFC 8428, RFC 8798) may name; the first is the metric's own.
    pub senml_units: &'static [SenmlUnit],
    /// Limits for an adult, raw units; none where no value raises an alarm.
    pub limits: Option<AdultLimits>,
}

/// A unit of a SenML record: a value in it, times [`SenmlUnit::times`], less [`SenmlUnit::less_hundredths`], is the
/// value in the metric's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenmlUnit {
    /// As it is written in `u`.
    pub name: &'static str,
    /// How many of the metric's own unit it is.
    pub times: u32,
    /// What is taken off afterwards, hundredths of the metric's own unit.
    pub less_hundredths: u32,
}

impl SenmlUnit {
    const fn same(name: &'static str) -> Self {
        Self::times(name, 1)
    }

    const fn times(name: &'static str, times: u32) -> Self {
        Self { name, times, less_hundredths: 0 }
    }

    const fn kelvin() -> Self {
        Self { name: "K", times: 1, less_hundredths: 27_315 }
    }
}

/// Limits of a metric for an adult, from the NEWS2 bands where these name it (our mapping to priorities).
/// See [`crate::alarm::Limits`], which they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdultLimits {
    /// A value at or above is an alarm of low, medium, high priority; ascending.
    pub above: [Option<i32>; 3],
    /// A value at or below is an alarm of low, medium, high priority; descending.
    pub below: [Option<i32>; 3],
    /// A raised alarm recovers only this far inside its lowest limit.
    pub hysteresis: i32,
    /// Milliseconds for which a value must lie beyond a limit before the alarm is raised.
    pub persistence_ms: u64,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $code:literal { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A measured quantity. A new one is one entry in this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Metric { $($(#[$doc])* $name = $code),* }

        impl Metric {
            /// All metrics, in code order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its entry.
            #[must_use]
            pub fn info(self) -> &'static MetricInfo {
                match self { $(Self::$name => const { &MetricInfo { $($field: $value),* } }),* }
            }
        }
    };
}

metrics! {
    /// Heart rate from photoplethysmography, tenths of a beat per minute.
    HeartRate = 1 {
        name: "heart_rate",
        label: "Heart rate",
        unit: "bpm",
        ucum: "/min",
        loinc: Some("8867-4"),
        mdc: Some(149_530),
        decimals: 1,
        class: Class::Vitals,
        plausible: (150, 3000),
        axis: (400, 1400),
        lcd: "PULSE",
        senml_units: &[
            SenmlUnit::same("beat/min"),
            SenmlUnit::same("1/min"),
            SenmlUnit::times("1/s", 60),
            SenmlUnit::times("Hz", 60),
            SenmlUnit::same("/min"),
            SenmlUnit::same("bpm"),
        ],
        limits: Some(AdultLimits {
            above: [Some(910), Some(1110), Some(1310)],
            below: [None, Some(500), Some(400)],
            hysteresis: 20,
            persistence_ms: 10_000,
        }),
    }
    /// Body temperature, hundredths of a degree Celsius.
    BodyTemperature = 2 {
        name: "body_temperature",
        label: "Temperature",
        unit: "°C",
        ucum: "Cel",
        loinc: Some("8310-5"),
        mdc: Some(150_364),
        decimals: 2,
        class: Class::Vitals,
        plausible: (2500, 4500),
        axis: (3500, 4000),
        lcd: "TEMP",
        senml_units: &[SenmlUnit::same("Cel"), SenmlUnit::kelvin()],
        limits: Some(AdultLimits {
            above: [Some(3810), Some(3910), None],
            below: [Some(3600), None, Some(3500)],
            hysteresis: 20,
            persistence_ms: 15_000,
        }),
    }
    /// Room temperature, tenths of a degree Celsius.
    AmbientTemperature = 3 {
        name: "ambient_temperature",
        label: "Room temperature",
        unit: "°C",
        ucum: "Cel",
        loinc: Some("60832-3"),
        mdc: Some(188_508),
        decimals: 1,
        class: Class::Environment,
        plausible: (-400, 850),
        axis: (150, 320),
        lcd: "ROOM TEMP",
        senml_units: &[SenmlUnit::same("Cel"), SenmlUnit::kelvin()],
        limits: Some(AdultLimits {
            above: [Some(300), None, None],
            below: [Some(160), None, None],
            hysteresis: 5,
            persistence_ms: 60_000,
        }),
    }
    /// Relative humidity, tenths of a percent.
    RelativeHumidity = 4 {
        name: "relative_humidity",
        label: "Humidity",
        unit: "%",
        ucum: "%",
        loinc: None,
        mdc: None,
        decimals: 1,
        class: Class::Environment,
        plausible: (0, 1000),
        axis: (200, 800),
        lcd: "HUMIDITY",
        senml_units: &[
            SenmlUnit::same("%RH"),
            SenmlUnit::same("%"),
            SenmlUnit::same("/100"),
            SenmlUnit::times("/", 100),
        ],
        limits: None,
    }
    /// Fine particles, tenths of a microgram per cubic metre.
    Pm25 = 5 {
        name: "pm2_5",
        label: "PM2.5",
        unit: "µg/m³",
        ucum: "ug/m3",
        loinc: None,
        mdc: None,
        decimals: 1,
        class: Class::Environment,
        plausible: (0, 50_000),
        axis: (0, 600),
        lcd: "PM2.5",
        senml_units: &[SenmlUnit::same("ug/m3"), SenmlUnit::times("kg/m3", 1_000_000_000)],
        limits: Some(AdultLimits {
            above: [Some(554), Some(1254), None],
            below: [None; 3],
            hysteresis: 20,
            persistence_ms: 15_000,
        }),
    }
    /// Coarse particles, tenths of a microgram per cubic metre.
    Pm10 = 6 {
        name: "pm10",
        label: "PM10",
        unit: "µg/m³",
        ucum: "ug/m3",
        loinc: None,
        mdc: None,
        decimals: 1,
        class: Class::Environment,
        plausible: (0, 60_000),
        axis: (0, 1000),
        lcd: "PM10",
        senml_units: &[SenmlUnit::same("ug/m3"), SenmlUnit::times("kg/m3", 1_000_000_000)],
        limits: None,
    }
    /// Carbon dioxide, parts per million.
    Co2 = 7 {
        name: "co2",
        label: "CO₂",
        unit: "ppm",
        ucum: "[ppm]",
        loinc: None,
        mdc: None,
        decimals: 0,
        class: Class::Environment,
        plausible: (0, 40_000),
        axis: (400, 2200),
        lcd: "CO2",
        senml_units: &[SenmlUnit::same("ppm"), SenmlUnit::times("/", 1_000_000)],
        limits: Some(AdultLimits {
            above: [Some(2000), None, None],
            below: [None; 3],
            hysteresis: 100,
            persistence_ms: 60_000,
        }),
    }
    /// Total volatile organic compounds, parts per billion.
    Tvoc = 8 {
        name: "tvoc",
        label: "TVOC",
        unit: "ppb",
        ucum: "[ppb]",
        loinc: None,
        mdc: None,
        decimals: 0,
        class: Class::Environment,
        plausible: (0, 65_000),
        axis: (0, 600),
        lcd: "TVOC",
        senml_units: &[
            SenmlUnit::same("ppb"),
            SenmlUnit::times("ppm", 1_000),
            SenmlUnit::times("/", 1_000_000_000),
        ],
        limits: None,
    }
    /// Air quality index from PM2.5, US EPA table of May 2024.
    Aqi = 9 {
        name: "aqi",
        label: "Air quality",
        unit: "AQI",
        ucum: "{AQI}",
        loinc: None,
        mdc: None,
        decimals: 0,
        class: Class::Environment,
        plausible: (0, 1000),
        axis: (0, 200),
        lcd: "AIR",
        senml_units: &[SenmlUnit::same("1"), SenmlUnit::same("/"), SenmlUnit::same("{AQI}")],
        limits: None,
    }
}

impl Metric {
    /// The wire code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The metric with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.code() == code)
    }

    /// The metric of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.info().name == name)
    }

    /// The value in its unit, for drawing; records and rules use the integer.
    #[must_use]
    pub fn in_unit(self, raw: i32) -> f64 {
        // One division, so that the result is the nearest number to the decimal one.
        f64::from(raw) / (0..self.info().decimals).fold(1.0, |scale, _| scale * 10.0)
    }
}

/// Why a sample has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Absence {
    /// The sensor is off the body or unplugged.
    SensorOff = 1,
    /// The signal is too poor to measure: motion, saturation, too little light.
    Noisy = 2,
    /// The sensor answered outside its plausible range.
    OutOfRange = 3,
    /// Still settling after power-up.
    WarmingUp = 4,
    /// Pulses are seen clearly, but they follow no steady rhythm: a finding about the patient, not a
    /// fault of the sensor.
    Unsteady = 5,
    /// The board samples at a rate at which this cannot be measured. Nothing at the bed changes that: the
    /// board has to be set or replaced.
    RateNotSupported = 6,
}

impl Absence {
    /// All reasons, in code order.
    pub const ALL: [Self; 6] = [
        Self::SensorOff,
        Self::Noisy,
        Self::OutOfRange,
        Self::WarmingUp,
        Self::Unsteady,
        Self::RateNotSupported,
    ];

    /// The reason with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// What a sensor gave: a value, or why there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// A value in raw fixed-point units of its metric.
    Measured(i32),
    /// No value, and why.
    Absent(Absence),
}

// Values stay out of logs and errors, also where a reading is printed.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(_) => f.write_str("Measured(..)"),
            Self::Absent(why) => write!(f, "Absent({why:?})"),
        }
    }
}

/// One sample of one metric at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What.
    pub metric: Metric,
    /// When, milliseconds since 1970 by the author's clock.
    pub at_ms: u64,
    /// The sample.
    pub sample: Sample,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_their_unit_are_the_nearest_numbers() {
        for raw in 0..50_000 {
            let exact: f64 = alloc::format!("{}.{:02}", raw / 100, raw % 100).parse().unwrap_or(f64::NAN);
            assert_eq!(Metric::BodyTemperature.in_unit(raw), exact, "{raw}");
        }
        assert_eq!(Metric::AmbientTemperature.in_unit(-5), -0.5);
        assert_eq!(Metric::Co2.in_unit(400), 400.0);
    }

    #[test]
    fn codes_and_names_are_unique_and_lead_back() {
        for metric in Metric::ALL.iter().copied() {
            assert_eq!(Metric::from_code(metric.code()), Some(metric));
            assert_eq!(Metric::from_name(metric.info().name), Some(metric));
            assert!(metric.info().plausible.0 < metric.info().plausible.1);
        }
        assert_eq!(Metric::from_code(0), None);
    }

    #[test]
    fn words_for_the_lcd_fit_beside_the_side_of_an_alarm() {
        for metric in Metric::ALL {
            let word = metric.info().lcd;
            assert!((1..=10).contains(&word.len()) && word.is_ascii(), "{word}");
        }
    }

    #[test]
    fn axes_show_plausible_values_and_units_are_named() {
        for metric in Metric::ALL {
            let (axis, plausible) = (metric.info().axis, metric.info().plausible);
            assert!(plausible.0 <= axis.0 && axis.0 < axis.1 && axis.1 <= plausible.1, "{metric:?}");
            let units = metric.info().senml_units;
            assert_eq!(
                (units[0].times, units[0].less_hundredths),
                (1, 0),
                "{metric:?}: its own unit comes first"
            );
        }
    }

    #[test]
    fn reasons_have_codes_from_one_without_a_gap() {
        for (code, reason) in (1..).zip(Absence::ALL) {
            assert_eq!(Absence::from_code(code), Some(reason));
        }
        assert_eq!(Absence::from_code(0), None);
        assert_eq!(Absence::from_code(7), None);
    }

    #[test]
    fn a_value_does_not_print() {
        assert_eq!(alloc::format!("{:?}", Sample::Measured(1234)), "Measured(..)");
    }
}
