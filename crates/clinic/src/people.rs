//! People, consents and devices: each change is an act handed to the ledger.

use vitals::PersonId;
use vitals::ids::Class;
use vitals::ledger::{ActId, Purpose};

/// A consent the patient wants to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// For whom.
    pub grantee: PersonId,
    /// For what.
    pub purpose: Purpose,
    /// What may be opened.
    pub classes: Vec<Class>,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
}

/// Names an act handed to the ledger; `settle` says what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The act at the ledger.
    pub act: ActId,
    /// What it is, e.g. `consent`.
    pub what: &'static str,
}
