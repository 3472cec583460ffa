//! The node's half of the session contract: who may connect, where envelopes go, what is answered.

use crate::refusal::LinkRefusal;
use std::fmt;
use tokio::sync::{mpsc, oneshot};
use vitals::DeviceId;

/// Knows which gateways may connect.
pub trait Registry: Send + Sync {
    /// The device whose Ed25519 key is `key`, if it is a registered gateway that was not revoked.
    ///
    /// Called at every handshake and every few seconds of a session: it must be quick and never block.
    ///
    /// # Errors
    /// A sentence for the operator: why this key is not admitted.
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String>;
}

/// Takes envelopes to admission. A transport knows nothing else of the node.
pub trait Ingress: Send + Sync {
    /// Hands over one envelope that `from` published, at most
    /// [`ENVELOPE_BYTES_MAX`](vitals::envelope::ENVELOPE_BYTES_MAX) bytes; `alarm` asks for a place
    /// before others. Never blocks.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full: the device is asked to try again.
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy>;

    /// `device` can be reached now, through whatever transport: the time to send what it missed.
    /// Never blocks.
    fn listening(&self, device: DeviceId) {
        let _ = device;
    }

    /// A transport refused something, or held it back: for the counters. Never blocks.
    fn turned_away(&self, why: LinkRefusal) {
        let _ = why;
    }
}

/// The admission queue is full: the sender tries again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LinkRefusal::Busy.sentence())
    }
}

impl std::error::Error for Busy {}

/// Whose move the refusal of an envelope is. Each transport has its own code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// Equivocation, a broken chain: the envelope contradicts what is stored.
    Conflict,
    /// Unknown or revoked author, or one this gateway does not carry.
    NotAuthorized,
    /// Malformed, wrong signature, wrong ledger, wrong stream.
    PayloadInvalid,
}

/// What became of one envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Durable.
    Admitted,
    /// Durable already.
    Duplicate,
    /// Refused for good: sending it again changes nothing.
    Refused {
        /// Whose move it is.
        reason: RefusalReason,
        /// A sentence naming what is wrong, without clinical values or names.
        sentence: String,
    },
    /// Not examined: try again later.
    Busy,
}

/// Carries one verdict back to the transport. Dropped unanswered, it answers [`Verdict::Busy`], so that
/// a lost reply never occupies a device's window for ever.
#[derive(Debug)]
pub struct Reply(Option<Return>);

#[derive(Debug)]
enum Return {
    Session { slot: u64, to: mpsc::UnboundedSender<(u64, Verdict)> },
    Once(oneshot::Sender<Verdict>),
}

impl Reply {
    /// A reply to a session that tells its envelopes apart by `slot`.
    pub(crate) fn session(slot: u64, to: mpsc::UnboundedSender<(u64, Verdict)>) -> Self {
        Self(Some(Return::Session { slot, to }))
    }

    /// A reply to a single request, and to callers that offer envelopes without a session.
    #[must_use]
    pub fn once() -> (Self, oneshot::Receiver<Verdict>) {
        let (to, verdict) = oneshot::channel();
        (Self(Some(Return::Once(to))), verdict)
    }

    /// Answers. Nothing happens if the session has ended meanwhile.
    pub fn send(mut self, verdict: Verdict) {
        self.answer(verdict);
    }

    fn answer(&mut self, verdict: Verdict) {
        match self.0.take() {
            Some(Return::Session { slot, to }) => drop(to.send((slot, verdict))),
            Some(Return::Once(to)) => drop(to.send(verdict)),
            None => {}
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(Verdict::Busy);
    }
}
