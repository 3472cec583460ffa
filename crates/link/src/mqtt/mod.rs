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
pub mod server;
pub mod server_session;
#[cfg(test)]
mod tests;
pub mod topic;
