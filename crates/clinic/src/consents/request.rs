//! What is asked, and what a decision allows.

use super::policy::{Permit, Reader};
use vault::Patient;
use vitals::ids::Class;
use vitals::ledger::Purpose;

/// Classes the wall and the alarm engine ask for; they make do with what the patient allows.
pub const MONITORED: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];

/// These classes, ascending and each once.
pub(crate) fn each_once(classes: &[Class]) -> Vec<Class> {
    let mut classes = classes.to_vec();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// A permit with the classes it was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) permit: Permit,
    pub(crate) classes: Vec<Class>,
}

/// Who asks for what of whom.
#[derive(Clone, Copy)]
pub(crate) struct AccessRequest<'a> {
    pub(crate) reader: Reader,
    pub(crate) patient: &'a Patient,
    pub(crate) purpose: Purpose,
    pub(crate) classes: &'a [Class],
    /// The oldest time asked for; now for what has no past.
    pub(crate) from_ms: u64,
}
