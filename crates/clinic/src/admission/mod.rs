//! Admission: what a gateway carries, checked, stored and answered.

mod admit;
mod refusal;
mod registry;
mod second_branches;
mod signatures;
mod verdict;

pub use refusal::{MqttClass, Refusal};
pub(crate) use registry::Registry;
pub use registry::StrongKeys;
pub(crate) use second_branches::SecondBranches;
pub(crate) use signatures::Signatures;
pub use verdict::{Answer, Arrival, Halted, Verdict};
