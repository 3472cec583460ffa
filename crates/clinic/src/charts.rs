//! Opening a record: decided, traced, then read.

use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::Purpose;

/// Longest span of one opening, milliseconds: 31 days.
pub const SPAN_MAX_MS: u64 = 31 * 86_400_000;

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartRequest {
    /// Whose record.
    pub patient: PatientId,
    /// Why.
    pub purpose: Purpose,
    /// Which classes, ascending.
    pub classes: Vec<Class>,
    /// From and until, milliseconds, inclusive.
    pub span_ms: (u64, u64),
}
