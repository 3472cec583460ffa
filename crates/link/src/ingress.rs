//! Where envelopes go once they are in, and what comes back.

use crate::refusal::LinkRefusal;
use std::fmt;
use tokio::sync::{mpsc, oneshot};
use vitals::DeviceId;

/// Knows which gateways may connect.
pub trait Registry: Send + Sync {
    /// The device whose Ed25519 key is `key`, if it is a live gateway registered here. The error is a
    /// sentence for the operator. Called on every handshake and every few seconds of a session, so
    /// it must be quick and never block.
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String>;
}

/// Takes envelopes to admission.
pub trait Ingress: Send + Sync {
    /// Hands over one envelope that `from` published; `alarm` asks for its place before others.
    /// Never blocks. `Err(Busy)` when the queue is full; the device is then asked to try again.
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy>;

    /// `device` now listens for receipts and proofs: a good time to send what it missed.
    fn listening(&self, device: DeviceId) {
        let _ = device;
    }

    /// Something was refused at the link, or held back: for the counters. Never blocks.
    fn turned_away(&self, why: LinkRefusal) {
        let _ = why;
    }
}

/// The admission queue is full: the sender shall try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LinkRefusal::Busy.sentence())
    }
}

impl std::error::Error for Busy {}

/// Whose move a refusal is, as an MQTT reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusalCode {
    /// Equivocation, a broken chain: the envelope contradicts what is stored.
    Conflict = 0x83,
    /// Unknown or revoked author, or one this gateway does not carry; a foreign topic.
    NotAuthorized = 0x87,
    /// A topic that is none of ours.
    TopicInvalid = 0x90,
    /// Malformed, wrong signature, wrong genesis, wrong stream.
    PayloadInvalid = 0x99,
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
        reason: RefusalCode,
        /// A sentence naming what is wrong, without clinical values or names.
        sentence: String,
    },
    /// Not looked at: try again later.
    Busy,
}

/// The way back for one verdict. Dropped unanswered, it answers [`Verdict::Busy`], so that a lost
/// reply never holds a device's window for ever.
#[derive(Debug)]
pub struct Reply(Option<Back>);

#[derive(Debug)]
enum Back {
    Session { slot: u64, to: mpsc::UnboundedSender<(u64, Verdict)> },
    Once(oneshot::Sender<Verdict>),
}

impl Reply {
    pub(crate) fn session(slot: u64, to: mpsc::UnboundedSender<(u64, Verdict)>) -> Self {
        Self(Some(Back::Session { slot, to }))
    }

    /// A reply outside any session, for callers that offer envelopes by other ways, and tests.
    #[must_use]
    pub fn once() -> (Self, oneshot::Receiver<Verdict>) {
        let (to, verdict) = oneshot::channel();
        (Self(Some(Back::Once(to))), verdict)
    }

    /// Answers. A session that has gone meanwhile does not mind.
    pub fn send(mut self, verdict: Verdict) {
        self.answer(verdict);
    }

    fn answer(&mut self, verdict: Verdict) {
        match self.0.take() {
            Some(Back::Session { slot, to }) => drop(to.send((slot, verdict))),
            Some(Back::Once(to)) => drop(to.send(verdict)),
            None => {}
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(Verdict::Busy);
    }
}
