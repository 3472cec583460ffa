//! Topics: `d/<device>/<lane>`. A device publishes and receives on its own only.

use crate::sessions::Downlink;
use std::str::FromStr;
use vitals::DeviceId;

/// The last part of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// `e`: envelopes, up.
    Envelope,
    /// `a`: envelopes that hold alarm events, up, before all others.
    Alarm,
    /// `r`: receipts, down.
    Receipt,
    /// `p`: proof deliveries, down.
    Proof,
    /// `c`: commands to the bedsides of a gateway, down.
    Command,
}

impl Lane {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Envelope, "e"),
        (Self::Alarm, "a"),
        (Self::Receipt, "r"),
        (Self::Proof, "p"),
        (Self::Command, "c"),
    ];
    fn letter(self) -> &'static str {
        match self {
            Self::Envelope => "e",
            Self::Alarm => "a",
            Self::Receipt => "r",
            Self::Proof => "p",
            Self::Command => "c",
        }
    }

    /// Is this lane for devices to publish on?
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Envelope | Self::Alarm)
    }
}

impl From<Downlink> for Lane {
    fn from(what: Downlink) -> Self {
        match what {
            Downlink::Receipt => Self::Receipt,
            Downlink::Proof => Self::Proof,
            Downlink::Command => Self::Command,
        }
    }
}

/// The topic of a device's lane.
#[must_use]
pub fn of(device: DeviceId, lane: Lane) -> String {
    format!("d/{device}/{}", lane.letter())
}

/// Whose lane a topic is; nothing if it is no topic of ours.
#[must_use]
pub fn parse(topic: &str) -> Option<(DeviceId, Lane)> {
    let (device, letter) = topic.strip_prefix("d/")?.split_once('/')?;
    let device = DeviceId::from_str(device).ok()?;
    Lane::ALL.into_iter().find(|(_, l)| *l == letter).map(|(lane, _)| (device, lane))
}

/// What a subscription of `device` covers of what the node sends to it.
#[must_use]
pub fn covered(filter: &str, device: DeviceId) -> Vec<Downlink> {
    let all = filter == format!("d/{device}/+") || filter == format!("d/{device}/#");
    Downlink::ALL.into_iter().filter(|what| all || filter == of(device, (*what).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_one_lane_of_one_device() {
        let device = DeviceId([7; 16]);
        for lane in [Lane::Envelope, Lane::Alarm, Lane::Receipt, Lane::Proof, Lane::Command] {
            assert_eq!(parse(&of(device, lane)), Some((device, lane)));
        }
        for bad in ["", "d", "d/", "d/07/e", "x/07070707070707070707070707070707/e", "d/+/e", "#"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("d/07070707070707070707070707070707/e/f"), None);
        assert_eq!(parse("d/07070707070707070707070707070707/E"), None);
    }

    #[test]
    fn subscriptions_cover_own_downward_lanes_only() {
        let device = DeviceId([7; 16]);
        assert_eq!(covered(&format!("d/{device}/#"), device), Downlink::ALL);
        assert_eq!(covered(&of(device, Lane::Proof), device), [Downlink::Proof]);
        for foreign in ["#", "+/+/r", "d/#", "d/+/r", &of(DeviceId([8; 16]), Lane::Receipt)] {
            assert_eq!(covered(foreign, device), [], "{foreign}");
        }
        assert_eq!(covered(&of(device, Lane::Envelope), device), []);
    }
}
