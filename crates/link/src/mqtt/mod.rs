//! MQTT 5 (and 3.1.1) over TLS 1.3, both sides.
//!
//! [`server_session`] and [`client_session`] are state machines without I/O; [`server`] and [`client`]
//! are the tokio shells around them. Nothing outside this folder knows a packet, a topic or a reason
//! code.

pub mod client;
pub mod client_session;
mod connection;
mod framing;
mod reason_string;
mod refusal;
pub mod server;
pub mod server_session;
#[cfg(test)]
mod tests;
pub mod topic;

pub use client::Client;
pub use refusal::MqttRefusal;
pub use server::{serve, serve_stream};

/// Most publishes a device may have unacknowledged on one connection.
pub const RECEIVE_MAXIMUM: u16 = 64;
/// Longest packet a node accepts, bytes: the longest envelope and room for its topic.
pub const UP_PACKET_BYTES_MAX: u32 = 96 * 1024;
/// Longest packet a device accepts, bytes: the longest proof delivery and room for its topic.
pub const DOWN_PACKET_BYTES_MAX: u32 = 1024 * 1024;
/// Longest silence a node lets a client ask for, seconds; also used when it asks for none.
pub const KEEP_ALIVE_S_MAX: u16 = 60;
/// Longest Reason String sent, bytes.
pub const REASON_BYTES_MAX: usize = 256;
