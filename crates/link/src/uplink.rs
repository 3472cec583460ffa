//! The device's half of the session contract: publish envelopes, read what the node sends.

use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest wait for connection, handshake and the node's acceptance together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Names one publish of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub u64);

/// An open session with a node, over whatever transport. Dropping it ends the session.
pub trait Uplink: Send + fmt::Debug {
    /// Publishes one envelope without waiting; `alarm` asks for a place before others. Its
    /// acknowledgement or refusal comes as an [`Event`] with the same id.
    ///
    /// # Errors
    /// Says whose move it is: wait, connect again, or never send this envelope.
    fn publish(&self, alarm: bool, bytes: Vec<u8>) -> Result<PublishId, PublishError>;

    /// Publishes that may still be made before an acknowledgement must come.
    fn room(&self) -> usize;
}

/// Why the node does not take an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not examined: send it again, not before half a second has passed.
    #[error("busy")]
    Busy,
    /// The envelope contradicts what is stored.
    #[error("conflict")]
    Conflict,
    /// The node does not know the author, or no longer.
    #[error("not authorized")]
    NotAuthorized,
    /// The bytes are wrong: never send them again.
    #[error("invalid payload")]
    PayloadInvalid,
    /// Another refusal, by the transport's own code.
    #[error("code 0x{0:02x}")]
    Other(u8),
}

/// What the node sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Durable at the node. Only a receipt lets the device forget it.
    Acked {
        /// Which publish.
        id: PublishId,
    },
    /// Refused.
    Refused {
        /// Which publish.
        id: PublishId,
        /// Whose move it is.
        why: Rejection,
        /// The node's sentence.
        sentence: String,
    },
    /// A receipt. It may be about an envelope of an earlier session.
    Receipt(Vec<u8>),
    /// A proof delivery.
    Proof(Vec<u8>),
    /// A command to one of the gateway's bedsides, of at most [`crate::COMMAND_PAYLOAD_MAX`] bytes.
    Command(Vec<u8>),
    /// Something longer than any command, where commands come: dropped. Its length, bytes.
    CommandTooLong(usize),
    /// The session is over; nothing follows.
    Closed {
        /// Another device has opened a session with the same key.
        taken_over: bool,
        /// Why, a sentence.
        why: String,
    },
}

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No way to the node: try again later.
    #[error("the node cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    /// The node did not answer in time: try again later.
    #[error("the node did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// The server does not hold the pinned key.
    #[error("whoever answers at this address does not hold the key this gateway was paired with")]
    NotThePinnedNode,
    /// The node's registry does not admit this device.
    #[error("the node does not admit this gateway's certificate: its key is not registered, or revoked")]
    NotAdmitted,
    /// The node refused the session.
    #[error("the node refused the connection (0x{code:02x}): {reason}")]
    Refused {
        /// The transport's own code.
        code: u8,
        /// The node's sentence.
        reason: String,
    },
    /// The bytes follow neither TLS nor the transport's protocol.
    #[error("the node broke the protocol: {0}")]
    Protocol(String),
}

/// Why a publish was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// As many are unacknowledged as the node allows; wait for an acknowledgement.
    #[error("the node's window is full")]
    Full,
    /// The session is over.
    #[error("the connection is closed")]
    Closed,
    /// No node takes so long an envelope.
    #[error("the envelope is longer than a node takes")]
    TooLong,
}

/// What the node sends, in order.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// A channel of at most `waiting_max` events; a transport stops reading while it is full.
    pub(crate) fn channel(waiting_max: usize) -> (mpsc::Sender<Event>, Self) {
        let (sender, events) = mpsc::channel(waiting_max);
        (sender, Self(events))
    }

    /// The next event; none after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}
