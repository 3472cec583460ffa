//! The gateway's configuration.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use vitals::Metric;
use vitals::alarm::Limits;
use vitals::envelope::ClockQuality;
use vitals::pairing::BOARDS_MAX;

/// The documented configuration; a test reads it back.
pub const CONFIG_TOML: &str = r#"# A bedside gateway.

# Folder for keys and journal. One gateway at a time may use it.
data_dir = "/var/lib/aceso/gateway"

# The home organisation's MQTT ingress, host:port. Its key was pinned at pairing.
node = "node.hospital.example:8883"

# The boards' serial devices, in the order in which they were paired.
boards = ["/dev/ttyUSB0", "/dev/ttyUSB1"]

# Speed of the serial lines, bits per second.
baud = 115200

# How far this computer's clock can be trusted: "synced" (kept by a network time service),
# "holding" (set once) or "unset". Written into every envelope, never used to refuse one.
clock = "synced"

# A journal segment is closed at this length, bytes (65536 to 1073741824).
segment_bytes = 8388608

# The floor: the widest limits that the ward can order from afar, whoever holds its keys. From these
# values on it rings as high at the latest after so many seconds. Values in the metric's unit. Where one is
# left out, these hold; a ward for newborns may want others. The bedside's own limits are the adult ones.
[floor.heart_rate]
above = 180.0
below = 30.0
within_s = 60

[floor.body_temperature]
above = 41.5
below = 32.0
within_s = 60
"#;

/// How far to trust the computer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockTrust {
    /// Kept by a network time service.
    #[default]
    Synced,
    /// Set once, running free since.
    Holding,
    /// Never set.
    Unset,
}

impl From<ClockTrust> for ClockQuality {
    fn from(trust: ClockTrust) -> Self {
        match trust {
            ClockTrust::Synced => Self::Synced,
            ClockTrust::Holding => Self::Holding,
            ClockTrust::Unset => Self::Unset,
        }
    }
}

/// The floor of one metric, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// From this value up it rings as high.
    pub above: Option<f64>,
    /// From this value down.
    pub below: Option<f64>,
    /// After this long at the latest, seconds.
    pub within_s: u64,
}

/// A gateway's configuration; [`CONFIG_TOML`] is its manual.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for keys and journal.
    pub data_dir: PathBuf,
    /// The node's MQTT ingress, `host:port`.
    pub node: String,
    /// Serial devices in pairing order.
    pub boards: Vec<PathBuf>,
    /// Bits per second.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Trust in the computer's clock.
    #[serde(default)]
    pub clock: ClockTrust,
    /// Length at which a journal segment is closed, bytes.
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    /// The floor by metric name.
    #[serde(default = "default_floor")]
    pub floor: BTreeMap<String, Floor>,
}

pub(crate) fn default_floor() -> BTreeMap<String, Floor> {
    let floor = |above, below| Floor { above: Some(above), below: Some(below), within_s: 60 };
    let named = |metric: Metric, floor| (metric.info().name.to_owned(), floor);
    [named(Metric::HeartRate, floor(180.0, 30.0)), named(Metric::BodyTemperature, floor(41.5, 32.0))].into()
}

impl Floor {
    /// As limits of a metric; none if a value is not plausible for it or the two do not fit together.
    fn limits(&self, metric: Metric) -> Option<Limits> {
        let scale = 10f64.powi(metric.info().decimals.into());
        let raw = |value: Option<f64>| match value {
            None => Some(None),
            Some(value) => {
                let (low, high) = metric.info().plausible;
                let raw = (value * scale).round();
                // Compared as numbers first: within the plausible range the cast is exact.
                #[allow(clippy::cast_possible_truncation, reason = "within the plausible range")]
                (f64::from(low)..=f64::from(high)).contains(&raw).then_some(Some(raw as i32))
            }
        };
        let limits = Limits {
            metric,
            above: [None, None, raw(self.above)?],
            below: [None, None, raw(self.below)?],
            hysteresis: 0,
            persistence_ms: self.within_s.checked_mul(1_000)?,
        };
        limits.in_order().then_some(limits)
    }
}

fn default_baud() -> u32 {
    115_200
}

fn default_segment_bytes() -> u64 {
    8 << 20
}

impl Config {
    /// The floor of every metric: what the file leaves out, a metric or a side, is as it is by default.
    fn whole_floor(&self) -> BTreeMap<String, Floor> {
        let mut whole = default_floor();
        for (name, set) in &self.floor {
            let usual = whole.get(name).copied();
            let above = set.above.or(usual.and_then(|usual| usual.above));
            let below = set.below.or(usual.and_then(|usual| usual.below));
            whole.insert(name.clone(), Floor { above, below, within_s: set.within_s });
        }
        whole
    }

    /// The floor as limits.
    pub(crate) fn floor_limits(&self) -> Vec<Limits> {
        let of = |(name, floor): (&String, &Floor)| floor.limits(Metric::from_name(name)?);
        self.whole_floor().iter().filter_map(of).collect()
    }

    /// Checks what the types cannot; the error names the field.
    pub fn check(&self) -> Result<(), String> {
        for (name, floor) in &self.whole_floor() {
            let metric = Metric::from_name(name).ok_or(format!("floor.{name} names no metric"))?;
            if floor.limits(metric).is_none() {
                return Err(format!("floor.{name} holds values that are not plausible, or out of order"));
            }
        }
        if self.boards.len() > BOARDS_MAX {
            return Err(format!(
                "boards names {} devices; one gateway carries at most {BOARDS_MAX}",
                self.boards.len()
            ));
        }
        if !(65_536..=1 << 30).contains(&self.segment_bytes) {
            return Err(format!("segment_bytes = {} is outside 65536 to 1073741824", self.segment_bytes));
        }
        if !self
            .node
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        {
            return Err(format!("node = {:?} is not host:port", self.node));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_documented_configuration_is_a_valid_one() {
        let config: Config = toml::from_str(CONFIG_TOML).unwrap();
        config.check().unwrap();
        assert_eq!(
            (config.boards.len(), config.baud, config.segment_bytes),
            (2, default_baud(), default_segment_bytes())
        );
        assert_eq!(config.floor, default_floor(), "what is documented is what holds when it is left out");
        let limits = config.floor_limits();
        assert_eq!((limits.len(), limits[1].above[2], limits[1].below[2]), (2, Some(1800), Some(300)));
    }

    #[test]
    fn a_floor_that_is_set_in_part_keeps_the_rest_of_it() {
        let text =
            "data_dir = '/d'\nnode = 'n:1'\nboards = []\n[floor.heart_rate]\nabove = 200.0\nwithin_s = 30\n";
        let config: Config = toml::from_str(text).unwrap();
        config.check().unwrap();
        let of = |limits: &Limits| (limits.metric, limits.above[2], limits.below[2], limits.persistence_ms);
        let floors: Vec<_> = config.floor_limits().iter().map(of).collect();
        let pulse = (Metric::HeartRate, Some(2000), Some(300), 30_000);
        assert_eq!(floors, [(Metric::BodyTemperature, Some(4150), Some(3200), 60_000), pulse]);
    }

    #[test]
    fn a_misspelt_or_impossible_field_is_named() {
        let text = "data_dir = '/d'\nnode = 'n:1'\nboards = []\n";
        let wrong = toml::from_str::<Config>(&format!("{text}bord = []")).unwrap_err().to_string();
        assert!(wrong.contains("bord"), "{wrong}");
        let good: Config = toml::from_str(text).unwrap();
        let floor = |name: &str, above| {
            [(name.to_owned(), Floor { above: Some(above), below: Some(30.0), within_s: 60 })].into()
        };
        for (config, word) in [
            (Config { node: "nohost".into(), ..good.clone() }, "node"),
            (Config { node: ":1".into(), ..good.clone() }, "node"),
            (Config { node: "h:99999".into(), ..good.clone() }, "node"),
            (Config { boards: vec![PathBuf::new(); 65], ..good.clone() }, "boards"),
            (Config { segment_bytes: 1, ..good.clone() }, "segment_bytes"),
            (Config { floor: floor("pulse", 180.0), ..good.clone() }, "floor.pulse"),
            (Config { floor: floor("heart_rate", 1e9), ..good.clone() }, "floor.heart_rate"),
            (Config { floor: floor("heart_rate", 20.0), ..good.clone() }, "floor.heart_rate"),
        ] {
            assert!(config.check().unwrap_err().contains(word));
        }
    }
}
