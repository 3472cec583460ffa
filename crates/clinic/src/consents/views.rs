//! Consents as their patient sees them.

use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::{GrantId, PersonId};

silent_debug!(GrantView);

/// Where a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// Handed to the ledger, not final yet: it opens nothing yet.
    Pending,
    /// The ledger refused it.
    Refused,
    /// Not on the ledger, nor on its way from this node, which may have been restarted meanwhile.
    NotArrived,
    /// The ledger does not answer.
    Unknown,
    /// Not valid yet.
    Future,
    /// Opens the record now.
    Live,
    /// Its time is over.
    Ended,
    /// Withdrawn by the patient.
    Withdrawn,
}

impl GrantState {
    /// May it open something, now or later, for all that is known?
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Future | Self::Live | Self::Unknown => true,
            Self::Refused | Self::NotArrived | Self::Ended | Self::Withdrawn => false,
        }
    }
}

/// A consent as its patient sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id on the ledger.
    pub grant: GrantId,
    /// For whom: a name, or the ward's monitoring.
    pub grantee: String,
    /// For whom, on the ledger.
    pub person: PersonId,
    /// For what.
    pub purpose: Purpose,
    /// What may be opened.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
    /// Where it stands.
    pub state: GrantState,
    /// The block that holds it, if it was given here since this node started.
    pub block: Option<u64>,
    /// Why the ledger refused it.
    pub refusal: Option<String>,
    /// Since when the patient has paused it at this organisation, milliseconds.
    pub paused_since_ms: Option<u64>,
    /// The consent that takes its place, or took it: until the ledger holds that one, only what both say is opened.
    pub replaced_by: Option<GrantId>,
    /// Withdrawn, but not on the ledger after [`crate::LATE_BLOCKS`] blocks: others may not know.
    pub late: bool,
    /// True: the hospital's vault keeps the signing key for the patient. Always said on the page.
    pub vault_kept: bool,
}
