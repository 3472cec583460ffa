//! What the pages of a browser follow, and how it is named in an address.

use crate::labels::purpose_word;
use vitals::PatientId;
use vitals::ledger::Purpose;

/// What a page asks for beside the alarm strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The wall's tiles.
    Wall,
    /// One record, for the reason its page was opened for.
    Record(PatientId, Purpose),
    /// A patient's own page.
    Own(PatientId),
}

impl Topic {
    /// Its name in an address.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Wall => WALL.into(),
            Self::Record(patient, purpose) => record(*patient, *purpose),
            Self::Own(_) => OWN.into(),
        }
    }
}

/// The name of the wall's topic.
pub(crate) const WALL: &str = "wall";

/// The name of the topic of a patient's own page.
pub(crate) const OWN: &str = "me";

/// The name of a record's topic.
pub(crate) fn record(patient: PatientId, purpose: Purpose) -> String {
    format!("{patient}-{}", purpose_word(purpose))
}
