//! When the end of watching is announced, by how much is left.

pub(super) const HOUR_MS: u64 = 3_600_000;

/// How long before the end of a consent to monitoring somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcements {
    /// The patient, on their own page, milliseconds.
    pub to_the_patient_ms: u64,
    /// The ward, as a technical alarm of the bed: step by step, milliseconds, falling.
    pub to_the_ward_ms: [u64; 3],
}

/// The patient is told first: only the patient can renew the consent.
pub const WATCH_ENDS: Announcements = Announcements {
    to_the_patient_ms: 7 * 24 * HOUR_MS,
    to_the_ward_ms: [3 * 24 * HOUR_MS, 24 * HOUR_MS, HOUR_MS],
};
