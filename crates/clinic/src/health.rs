//! The node's view of the ledger and of its own log.

use vitals::clock_fault::ClockFaults;
use vitals::ids::Hash;

/// The node's view of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHealth {
    /// Height of the last finalized block executed here.
    pub height: u64,
    /// Digest of that block's header, where this node can show it: what a page remembers.
    pub tip: Option<Hash>,
    /// That block's time, milliseconds.
    pub tip_ms: u64,
    /// True when the view is too old to decide anything new upon.
    pub stale: bool,
    /// Milliseconds since that block.
    pub age_ms: u64,
    /// The ledger has ended in this process: it moves again only after a restart.
    pub down: bool,
    /// What is wrong with the clocks of this node and of the ledger.
    pub clocks: ClockFaults,
    /// Withdrawn consents that the ledger does not hold yet.
    pub withdrawals_waiting: usize,
    /// Those of them that should have been there long ago ([`crate::LATE_BLOCKS`]).
    pub withdrawals_late: usize,
    /// Policies of consents that are needed now and could not be asked.
    pub policies_silent: usize,
    /// The last entry of the access log for somebody at a wall could not be written: its beds are shown without
    /// values ([`Hidden::NotRecorded`]).
    pub looks_not_recorded: bool,
    /// The disk refused what was last to be stored: bedsides keep theirs, alarm events wait in memory.
    pub record_refused: bool,
    /// Leaves in the organisation's log.
    pub log_size: u64,
    /// Leaves covered by anchors handed to the ledger.
    pub anchored_size: u64,
    /// Leaves covered by the finalized anchor.
    pub final_size: u64,
}
