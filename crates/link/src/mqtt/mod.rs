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

/// Most publishes of one connection that are taken without their acknowledgement; what comes beyond is read later.
pub const RECEIVE_MAXIMUM: u16 = 64;
/// Longest packet a node accepts, bytes: the longest envelope and room for its topic.
pub const UP_PACKET_BYTES_MAX: u32 = 96 * 1024;
/// Longest packet a device accepts, bytes: the longest proof delivery and room for its topic.
pub const DOWN_PACKET_BYTES_MAX: u32 = 1024 * 1024;
/// Keep-alive of a client that asks for none, seconds: the longest that can be asked for.
pub const KEEP_ALIVE_S_MAX: u16 = u16::MAX;
/// Longest Reason String sent, bytes.
pub const REASON_BYTES_MAX: usize = 256;
