//! How sealed envelopes travel between a gateway and a node.
//!
//! One session contract serves every transport (docs/decisions/151): a node implements [`Registry`] and
//! [`Ingress`] and answers through [`Sessions`]; a gateway holds an [`Uplink`] and reads [`Event`]s.
//! A transport is a folder beside [`mqtt`]: a state machine without I/O for each side, and tokio shells
//! around them. Its packets, codes and topics stay in its folder. Quotas, TLS and the table of connected
//! devices are shared by all of a node's transports, in [`Endpoint`].
//!
//! The node is an ingress, not a broker: an envelope is acknowledged only after its [`Verdict`], every
//! refusal carries a reason and a sentence, and a device reaches nothing but its own lanes.

pub mod certificate_validity;
pub mod endpoint;
pub mod ingress;
pub mod mqtt;
pub mod node_certificates;
pub mod pem;
pub mod refusal;
pub mod server_certificate;
#[cfg(test)]
pub(crate) mod session_contract;
pub mod sessions;
pub mod tls;
mod unauthenticated;
pub mod uplink;

pub use endpoint::{Bounds, Endpoint};
pub use ingress::{Busy, Ingress, RefusalReason, Registry, Reply, Verdict};
/// How often something may be done, for [`Bounds`].
pub use quota::Rate;
pub use refusal::LinkRefusal;
pub use sessions::{Downlink, Sessions};
pub use uplink::{ConnectError, Event, Events, PublishError, PublishId, Rejection, Uplink};

/// Longest command a node sends and a device takes, bytes.
pub const COMMAND_PAYLOAD_MAX: usize = vitals::command::COMMAND_BYTES_MAX;

/// Turns true, or loses its sender, when everything is to end.
pub type Stop = tokio::sync::watch::Receiver<bool>;

/// Waits until `stop` turns true or its sender is gone.
pub async fn stopped(stop: &mut Stop) {
    // An error means the sender is gone, which asks for the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
