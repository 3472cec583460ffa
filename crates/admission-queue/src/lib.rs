//! What lies between a node's link and its clinic: the queue of envelopes that wait for admission, and the loop
//! that admits them group after group. Time is an argument; threads and sockets belong to whoever uses this:
//! a node, and the bench, which measures the same code without TLS.
//!
//! | task | item |
//! |---|---|
//! | take in what the link received | [`QueueIngress`], an [`link::Ingress`] |
//! | say which gateways may connect | [`LedgerRegistry`], a [`link::Registry`] |
//! | let envelopes wait, alarms first, gateways in turn | [`Queue`] |
//! | admit them | [`admit_until_closed`] |
//! | wake the threads that go on from there | [`Wake`] |

mod admit;
mod queue;
mod registry;
mod wake;

pub use admit::{QueueIngress, admit_until_closed};
pub use queue::{Queue, Waiting};
pub use registry::LedgerRegistry;
pub use wake::Wake;
