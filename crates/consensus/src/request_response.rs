//! Questions of one state machine to another's, about what no block carries any more: the state of a
//! snapshot, an old certificate. The network carries them and does not read them, on a channel of their
//! own, so that nothing waits behind them.
//!
//! One question is under way at a time; a peer that has no answer is followed by the next one.
//! Wire form: 0 ‖ number (8 bytes, big-endian) ‖ question, or 1 ‖ number ‖ answer; an empty answer is none.

use crate::PublicKey;
use bytes::{BufMut as _, Bytes, BytesMut};
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender};
use commonware_runtime::Clock;
use std::{sync::Arc, time::Duration};

/// Longest question.
pub const REQUEST_BYTES_MAX: usize = 256;
/// Longest answer: a ledger proof, or a chunk of a snapshot.
pub const RESPONSE_BYTES_MAX: usize = 768 * 1024;
/// Messages a peer may send in a second. A response may be a chunk of a snapshot, read from disk.
pub(crate) const MESSAGES_PER_SECOND: u32 = 128;
/// Bytes of the longest message.
pub(crate) const MESSAGE_BYTES_MAX: usize = FRAME_BYTES + RESPONSE_BYTES_MAX;
const FRAME_BYTES: usize = 9;
const QUESTION: u8 = 0;
const ANSWER: u8 = 1;

/// How long a peer has for an answer, and how often somebody looks whether there is a question.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two questions at least. Faster than its quota, the network would drop them.
const PACE: Duration = Duration::from_millis(1000 / MESSAGES_PER_SECOND as u64 * 2);
/// Longest pause when nobody has an answer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What another validator handed over, and no honest one does: it is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolViolation(pub String);

/// Who asks and answers.
pub trait RequestResponse: Send + Sync + 'static {
    /// What it wants to know now, at most [`REQUEST_BYTES_MAX`].
    fn next_request(&self) -> Option<Bytes>;

    /// What it can tell another; nothing if it cannot. At most [`RESPONSE_BYTES_MAX`].
    ///
    /// # Errors
    /// If no honest one asks this.
    fn respond(&self, question: &[u8]) -> Result<Option<Bytes>, ProtocolViolation>;

    /// Takes the answer to its question.
    ///
    /// # Errors
    /// If no honest one answers this.
    fn receive_response(&self, question: &[u8], answer: &[u8]) -> Result<(), ProtocolViolation>;

    /// A peer had no answer to its question.
    fn request_failed(&self, _question: &[u8]) {}
}

fn frame(kind: u8, number: u64, body: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(FRAME_BYTES + body.len());
    message.put_u8(kind);
    message.put_u64(number);
    message.put_slice(body);
    message.freeze()
}

fn parse(message: &Bytes) -> Option<(u8, u64, Bytes)> {
    let (kind, rest) = message.split_first()?;
    let (number, body) = rest.split_first_chunk()?;
    let bytes_max = match *kind {
        QUESTION => REQUEST_BYTES_MAX,
        ANSWER => RESPONSE_BYTES_MAX,
        _ => return None,
    };
    (body.len() <= bytes_max).then(|| (*kind, u64::from_be_bytes(*number), message.slice(FRAME_BYTES..)))
}

struct Open {
    number: u64,
    peer: PublicKey,
    question: Bytes,
}

/// Carries questions and answers until the network ends. `peers` are those to ask now.
pub(crate) async fn run(
    clock: impl Clock,
    requests: Arc<dyn RequestResponse>,
    peers: impl Fn() -> Vec<PublicKey>,
    (mut sender, mut receiver): (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
    mut blocker: impl Blocker<PublicKey = PublicKey>,
) {
    let (mut number, mut turn, mut misses) = (0u64, 0usize, 0usize);
    let mut open: Option<Open> = None;
    let mut due = clock.current() + PATIENCE;
    loop {
        select! {
            _ = clock.sleep_until(due) => {
                let known = peers();
                due = clock.current() + PATIENCE;
                if let Some(Open { question, .. }) = open.take() {
                    requests.request_failed(&question);
                    (turn, misses) = (turn + 1, misses + 1);
                    let pause = pause(misses, known.len());
                    if !pause.is_zero() {
                        due = clock.current() + pause;
                        continue;
                    }
                }
                let Some(question) = requests.next_request() else {
                    misses = 0;
                    continue;
                };
                if let Some(peer) = known.get(turn % known.len().max(1)) {
                    number += 1;
                    sender.send(Recipients::One(peer.clone()), frame(QUESTION, number, &question), false);
                    open = Some(Open { number, peer: peer.clone(), question });
                }
            },
            message = receiver.recv() => {
                let Ok((from, message)) = message else { return };
                let Some((kind, theirs, body)) = parse(&message.into()) else {
                    commonware_p2p::block!(blocker, from, "malformed request or response");
                    continue;
                };
                if kind == QUESTION {
                    match requests.respond(&body) {
                        Ok(answer) => {
                            let answer = frame(ANSWER, theirs, &answer.unwrap_or_default());
                            sender.send(Recipients::One(from), answer, false);
                        }
                        Err(why) => { commonware_p2p::block!(blocker, from, "hostile question: {why}"); },
                    }
                    continue;
                }
                // What comes too late is no answer any more.
                let Some(asked) = open.take_if(|open| open.number == theirs && open.peer == from) else {
                    continue;
                };
                let learnt = if body.is_empty() { None } else { Some(requests.receive_response(&asked.question, &body)) };
                if let Some(Ok(())) = learnt {
                    misses = 0;
                } else {
                    requests.request_failed(&asked.question);
                    (turn, misses) = (turn + 1, misses + 1);
                }
                due = clock.current() + pause(misses, peers().len()).max(PACE);
                if let Some(Err(why)) = learnt {
                    commonware_p2p::block!(blocker, from, "hostile answer: {why}");
                }
            },
        }
    }
}

/// How long nobody is asked after so many peers in a row had no answer: not at all until all were asked,
/// then longer after each round.
fn pause(misses: usize, peers: usize) -> Duration {
    let peers = peers.max(1);
    if misses == 0 || !misses.is_multiple_of(peers) {
        return Duration::ZERO;
    }
    let rounds = u32::try_from(misses / peers).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(1 << rounds.min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_nothing_else_does() {
        for (kind, body) in [(QUESTION, vec![7; REQUEST_BYTES_MAX]), (ANSWER, Vec::new())] {
            let message = frame(kind, 300, &body);
            assert_eq!(parse(&message).unwrap(), (kind, 300, Bytes::from(body)));
            for at in 0..FRAME_BYTES {
                assert!(parse(&message.slice(..at)).is_none(), "cut at {at}");
            }
        }
        assert!(parse(&frame(2, 1, &[])).is_none());
        assert!(parse(&frame(QUESTION, 1, &[0; REQUEST_BYTES_MAX + 1])).is_none());
        assert!(parse(&frame(ANSWER, 1, &vec![0; RESPONSE_BYTES_MAX + 1])).is_none());
    }

    #[test]
    fn who_has_asked_everybody_in_vain_asks_less_and_less_often_and_never_gives_up() {
        assert_eq!([pause(0, 3), pause(1, 3), pause(2, 3), pause(4, 3)], [Duration::ZERO; 4]);
        assert_eq!([pause(3, 3), pause(6, 3)], [PATIENCE * 2, PATIENCE * 4]);
        assert_eq!([pause(300, 3), pause(usize::MAX, 1), pause(5, 0)], [PAUSE_MAX; 3]);
    }
}
