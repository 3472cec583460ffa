//! Why a node does not watch a patient.

/// Why nobody watches: the value of a [`super::Condition::Unwatched`] event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Unwatched {
    /// Watching is being set up: a consent is on its way to the ledger, or the node has just started.
    Starting = 1,
    /// No consent to monitoring was given.
    NoConsent = 2,
    /// The patient withdrew the consent.
    Withdrawn = 3,
    /// The consent ended.
    ConsentEnded = 4,
    /// The consent's own policy does not agree, or could not be asked.
    Policy = 5,
    /// The ledger does not answer.
    LedgerDown = 6,
    /// The entry in the access log, without which nothing may be read, could not be written.
    NotRecorded = 7,
    /// The patient paused it for a while.
    Paused = 8,
}

impl Unwatched {
    /// Every reason, by code.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::NoConsent,
        Self::Withdrawn,
        Self::ConsentEnded,
        Self::Policy,
        Self::LedgerDown,
        Self::NotRecorded,
        Self::Paused,
    ];

    /// The value an alarm event carries.
    #[must_use]
    pub fn code(self) -> i32 {
        i32::from(self as u8)
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Is it the patient's own decision? Then the person behind the bed is not named.
    #[must_use]
    pub fn is_the_patients_own(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Paused)
    }
}
