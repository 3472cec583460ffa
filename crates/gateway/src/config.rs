//! The gateway's configuration.

use serde::Deserialize;
use std::path::PathBuf;
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

/// A gateway's configuration; [`CONFIG_TOML`] is its manual.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
}

fn default_baud() -> u32 {
    115_200
}

fn default_segment_bytes() -> u64 {
    8 << 20
}

impl Config {
    /// Checks what the types cannot; the error names the field.
    pub fn check(&self) -> Result<(), String> {
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
    }

    #[test]
    fn a_misspelt_or_impossible_field_is_named() {
        let text = "data_dir = '/d'\nnode = 'n:1'\nboards = []\n";
        let wrong = toml::from_str::<Config>(&format!("{text}bord = []")).unwrap_err().to_string();
        assert!(wrong.contains("bord"), "{wrong}");
        let good: Config = toml::from_str(text).unwrap();
        for (config, word) in [
            (Config { node: "nohost".into(), ..good.clone() }, "node"),
            (Config { node: ":1".into(), ..good.clone() }, "node"),
            (Config { node: "h:99999".into(), ..good.clone() }, "node"),
            (Config { boards: vec![PathBuf::new(); 65], ..good.clone() }, "boards"),
            (Config { segment_bytes: 1, ..good.clone() }, "segment_bytes"),
        ] {
            assert!(config.check().unwrap_err().contains(word));
        }
    }
}
