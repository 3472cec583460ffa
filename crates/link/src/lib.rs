//! How sealed envelopes travel between gateway and node: MQTT 5 (and 3.1.1) over TLS 1.3 with
//! self-signed certificates that are checked against the registry.
//!
//! The node is an ingress, not a broker: a publish is acknowledged only after its [`Verdict`], every
//! refusal carries a reason code and a sentence, and a device sees its own topics only.

pub mod ingress;
pub mod mqtt;
pub mod quota;
pub mod refusal;
pub mod server_certificate;
mod sessions;
pub mod tls;
mod unauthenticated;

pub use ingress::{Busy, Ingress, RefusalCode, Registry, Reply, Verdict};
pub use mqtt::client::{Client, ConnectError, Event, Events, PublishError, PublishId};
pub use mqtt::server::{Bounds, serve};
pub use mqtt::topic::Lane;
pub use quota::Rate;
pub use refusal::LinkRefusal;
pub use sessions::Sessions;

/// Most publishes a device may have unacknowledged on one connection.
pub const RECEIVE_MAXIMUM: u16 = 64;
/// Longest packet a node accepts, bytes: the longest envelope and room for its topic.
pub const UP_PACKET_BYTES_MAX: u32 = 96 * 1024;
/// Longest packet a device accepts, bytes: the longest proof delivery and room for its topic.
pub const DOWN_PACKET_BYTES_MAX: u32 = 1024 * 1024;
/// Longest command a node sends and a device takes, bytes.
pub const COMMAND_PAYLOAD_MAX: usize = vitals::command::COMMAND_BYTES_MAX;
/// Longest silence a node lets a client ask for, seconds; also used when it asks for none.
pub const KEEP_ALIVE_S_MAX: u16 = 60;
/// Longest Reason String sent, bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// Turns true (or its sender goes away) when everything shall end.
pub type Stop = tokio::sync::watch::Receiver<bool>;

/// Waits until `stop` says so.
pub async fn stopped(stop: &mut Stop) {
    // An error means the sender is gone, which asks for the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
