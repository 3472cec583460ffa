//! What is wrong with the clocks of a node and of its ledger, in words.

use crate::held_clock::ClockStep;
use core::fmt;

/// The ledger's time may differ from the node's by this much, milliseconds: what validators accept, too.
pub const LEDGER_APART_MS_MAX: u64 = 5_000;
/// Blocks tell of other validators' clocks for this long, milliseconds.
pub const OTHERS_SEEN_MS_MAX: u64 = 30_000;

/// The ledger's time and the node's are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerApart {
    /// How far the ledger is ahead of this node, milliseconds; negative if it is behind.
    pub by_ms: i64,
}

impl fmt::Display for LedgerApart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.by_ms.unsigned_abs().div_ceil(1_000);
        let way = if self.by_ms < 0 { "behind" } else { "ahead of" };
        write!(f, "the ledger's time is {seconds} s {way} this node's clock")
    }
}

/// Every clock fault that is named now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockFaults {
    /// The clock of this node's machine was set.
    pub node: Option<ClockStep>,
    /// The ledger's time is not this node's.
    pub ledger: Option<LedgerApart>,
}

impl ClockFaults {
    /// Compares the clocks. `others_ahead_ms`: how far the clocks of the other validators are ahead of this node's,
    /// by the blocks of the last [`OTHERS_SEEN_MS_MAX`].
    #[must_use]
    pub fn of(step: Option<ClockStep>, now_ms: u64, tip_ms: u64, others_ahead_ms: Option<i64>) -> Self {
        let apart = |by_ms: i64| by_ms.unsigned_abs() > LEDGER_APART_MS_MAX;
        let tip_ahead_ms = i64::try_from(tip_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX);
        let by_ms = Some(tip_ahead_ms).filter(|by_ms| apart(*by_ms));
        let by_ms = by_ms.or(others_ahead_ms.filter(|by_ms| apart(*by_ms)));
        Self { node: step, ledger: by_ms.map(|by_ms| LedgerApart { by_ms }) }
    }

    /// Is none named?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node.is_none() && self.ledger.is_none()
    }
}

impl fmt::Display for ClockFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.node, &self.ledger) {
            (Some(node), Some(ledger)) => write!(f, "{node}; {ledger}"),
            (Some(node), None) => write!(f, "{node}"),
            (None, Some(ledger)) => write!(f, "{ledger}"),
            (None, None) => f.write_str("the clocks agree"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_tip_in_the_future_and_validators_that_disagree_are_named() {
        let of = |tip_ms, others| ClockFaults::of(None, NOW, tip_ms, others);
        assert!(of(NOW + LEDGER_APART_MS_MAX, None).is_empty());
        assert!(of(NOW - 3_600_000, Some(-5_000)).is_empty(), "an old tip is no clock fault by itself");
        let ahead = of(NOW + 3_600_000, None);
        assert_eq!(ahead.to_string(), "the ledger's time is 3600 s ahead of this node's clock");
        let behind = of(NOW - 3_600_000, Some(-3_600_000));
        assert_eq!(behind.to_string(), "the ledger's time is 3600 s behind this node's clock");
        let step = Some(ClockStep { by_ms: 3_000, believed: false });
        let both = ClockFaults::of(step, NOW, NOW + 6_000, None);
        assert!(
            both.to_string().contains("set ahead by 3 s; the node keeps its own time; the ledger's time")
        );
    }
}
