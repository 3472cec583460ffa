//! How old a value may be.

/// Without anything fresh for this long, the patient's data is stale, unless the sensors announced that
/// they send less often. A reading older than this when it arrives goes into the record and raises
/// nothing, whatever was announced.
pub const STALE_MS: u64 = 15_000;
