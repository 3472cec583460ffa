//! The node's time held against the ledger's: when the ledger moved last, and which clock faults are named.

use parking_lot::Mutex;
use vitals::clock_fault::{ClockFaults, OTHERS_SEEN_MS_MAX};
use vitals::held_clock::ClockStep;
use vitals::ledger::{Ledger, Tip};

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    step: Option<ClockStep>,
    /// Height of the newest block, and when it was first seen here.
    tip: Option<(u64, u64)>,
    /// Is a fault of the node's clock, of the ledger's, in the log?
    logged: (bool, bool),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LedgerClock(Mutex<Seen>);

impl LedgerClock {
    /// When a block of this height was first seen here; `None` if it has not been looked for.
    pub(crate) fn seen_ms(&self, height: u64) -> Option<u64> {
        self.0.lock().tip.filter(|(seen, _)| *seen == height).map(|(_, at_ms)| at_ms)
    }

    /// The faults named now.
    pub(crate) fn faults(&self, ledger: &dyn Ledger, tip: &Tip, now_ms: u64) -> ClockFaults {
        let others = ledger.others_ahead_ms(now_ms.saturating_sub(OTHERS_SEEN_MS_MAX));
        ClockFaults::of(self.0.lock().step, now_ms, tip.time_ms, others)
    }

    /// Takes note of a step of the machine's clock and of a new block, and logs what begins and what ends.
    pub(crate) fn note(&self, step: Option<ClockStep>, ledger: &dyn Ledger, tip: &Tip, now_ms: u64) {
        {
            let mut seen = self.0.lock();
            seen.step = step;
            if seen.tip.is_none_or(|(height, _)| height != tip.height) {
                seen.tip = Some((tip.height, now_ms));
            }
        }
        let faults = self.faults(ledger, tip, now_ms);
        let now = (faults.node.is_some(), faults.ledger.is_some());
        let before = std::mem::replace(&mut self.0.lock().logged, now);
        if (now.0 && !before.0) || (now.1 && !before.1) {
            tracing::error!(
                "Clock fault: {faults}. Monitoring goes on; set the clock of the machine that is wrong"
            );
        } else if before != now && faults.is_empty() {
            tracing::info!("The clocks of this node and of the ledger agree again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{MemoryLedger, logged};
    use tracing::Level;

    const NOW_MS: u64 = 1_795_348_800_000;

    #[test]
    fn a_clock_fault_is_logged_once_when_it_begins_and_once_when_it_is_over() {
        let (clock, ledger) = (LedgerClock::default(), MemoryLedger::founded_by([1; 32], NOW_MS));
        let tip = |ahead_ms| Tip { time_ms: NOW_MS + ahead_ms, ..ledger.tip() };
        let back = Some(ClockStep { by_ms: -90_000, believed: false });
        let note = |step, ahead_ms| {
            // As a node does: some times a second.
            logged(|| (0..5).for_each(|_| clock.note(step, &ledger, &tip(ahead_ms), NOW_MS)))
        };
        assert_eq!(note(None, 0), []);
        let told = note(back, 0);
        let [(Level::ERROR, line)] = told.as_slice() else { panic!("one line: {told:?}") };
        assert!(
            line.starts_with("Clock fault: the clock of this node's machine was set back by 90 s"),
            "{line}"
        );
        let told = note(back, 3_600_000);
        let [(Level::ERROR, line)] = told.as_slice() else { panic!("one line of the second: {told:?}") };
        assert!(
            line.contains("set back by 90 s") && line.contains("the ledger's time is 3600 s ahead"),
            "{line}"
        );
        assert_eq!(note(None, 3_600_000), [], "the other one stands");
        let told = note(None, 0);
        let [(Level::INFO, line)] = told.as_slice() else { panic!("one line: {told:?}") };
        assert!(line.contains("agree again"), "{line}");
        assert_eq!(note(back, 0).len(), 1, "it comes again, and is told again");
    }
}
