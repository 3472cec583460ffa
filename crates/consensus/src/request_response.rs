//! Requests from one state machine to another, for what blocks no longer carry: the state of a snapshot, an
//! old certificate. The network does not interpret them. They have a channel of their own, so that nothing
//! waits behind them.
//!
//! One request is open at a time. If a peer has no response, the next peer is asked.
//! Wire form: 0 ‖ number (8 bytes, big-endian) ‖ request, or 1 ‖ number ‖ response; an empty response means
//! that the peer has none.

use crate::PublicKey;
use bytes::{BufMut as _, Bytes, BytesMut};
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender};
use commonware_runtime::Clock;
use std::{sync::Arc, time::Duration};

/// Longest request, bytes.
pub const REQUEST_BYTES_MAX: usize = 256;
/// Longest response, bytes: a ledger proof, or a chunk of a snapshot.
pub const RESPONSE_BYTES_MAX: usize = 768 * 1024;
/// Messages a peer may send in a second. A response may be a chunk of a snapshot, read from disk.
pub(crate) const MESSAGES_PER_SECOND: u32 = 128;
/// Bytes of the longest message.
pub(crate) const MESSAGE_BYTES_MAX: usize = FRAME_BYTES + RESPONSE_BYTES_MAX;
const FRAME_BYTES: usize = 9;
const REQUEST: u8 = 0;
const RESPONSE: u8 = 1;

/// How long a peer has to respond, and how often the state machine is asked for a request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Shortest time between two requests: the network drops messages beyond the quota.
const REQUEST_INTERVAL_MIN: Duration = Duration::from_millis(1000 / MESSAGES_PER_SECOND as u64 * 2);
/// Longest pause when no peer has a response.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A message that no honest validator sends: its sender is blocked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolViolation(pub String);

/// Makes requests of other nodes and responds to theirs.
pub trait RequestResponse: Send + Sync + 'static {
    /// The next request, at most [`REQUEST_BYTES_MAX`]; `None` if nothing is needed.
    fn next_request(&self) -> Option<Bytes>;

    /// The response to another node's request, at most [`RESPONSE_BYTES_MAX`]; `None` if there is none.
    ///
    /// # Errors
    /// If no honest node makes this request.
    fn respond(&self, request: &[u8]) -> Result<Option<Bytes>, ProtocolViolation>;

    /// Takes the response to its own request.
    ///
    /// # Errors
    /// If no honest node gives this response.
    fn receive_response(&self, request: &[u8], response: &[u8]) -> Result<(), ProtocolViolation>;

    /// A peer had no response to its request, or did not respond in time.
    fn request_failed(&self, _request: &[u8]) {}
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
        REQUEST => REQUEST_BYTES_MAX,
        RESPONSE => RESPONSE_BYTES_MAX,
        _ => return None,
    };
    (body.len() <= bytes_max).then(|| (*kind, u64::from_be_bytes(*number), message.slice(FRAME_BYTES..)))
}

struct Open {
    number: u64,
    peer: PublicKey,
    request: Bytes,
}

/// Carries requests and responses until the network ends. `peers` returns the peers to ask.
pub(crate) async fn run(
    clock: impl Clock,
    requests: Arc<dyn RequestResponse>,
    peers: impl Fn() -> Vec<PublicKey>,
    (mut sender, mut receiver): (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
    mut blocker: impl Blocker<PublicKey = PublicKey>,
) {
    let (mut number, mut turn, mut misses) = (0u64, 0usize, 0usize);
    let mut open: Option<Open> = None;
    let mut due = clock.current() + RESPONSE_TIMEOUT;
    loop {
        select! {
            _ = clock.sleep_until(due) => {
                let known = peers();
                due = clock.current() + RESPONSE_TIMEOUT;
                if let Some(Open { request, .. }) = open.take() {
                    requests.request_failed(&request);
                    (turn, misses) = (turn + 1, misses + 1);
                    let pause = pause(misses, known.len());
                    if !pause.is_zero() {
                        due = clock.current() + pause;
                        continue;
                    }
                }
                let Some(request) = requests.next_request() else {
                    misses = 0;
                    continue;
                };
                if let Some(peer) = known.get(turn % known.len().max(1)) {
                    number += 1;
                    sender.send(Recipients::One(peer.clone()), frame(REQUEST, number, &request), false);
                    open = Some(Open { number, peer: peer.clone(), request });
                }
            },
            message = receiver.recv() => {
                let Ok((from, message)) = message else { return };
                let Some((kind, theirs, body)) = parse(&message.into()) else {
                    commonware_p2p::block!(blocker, from, "malformed request or response");
                    continue;
                };
                if kind == REQUEST {
                    match requests.respond(&body) {
                        Ok(response) => {
                            let response = frame(RESPONSE, theirs, &response.unwrap_or_default());
                            sender.send(Recipients::One(from), response, false);
                        }
                        Err(why) => { commonware_p2p::block!(blocker, from, "invalid request: {why}"); },
                    }
                    continue;
                }
                // Ignore responses that are too late.
                let Some(asked) = open.take_if(|open| open.number == theirs && open.peer == from) else {
                    continue;
                };
                let learnt = if body.is_empty() { None } else { Some(requests.receive_response(&asked.request, &body)) };
                if let Some(Ok(())) = learnt {
                    misses = 0;
                } else {
                    requests.request_failed(&asked.request);
                    (turn, misses) = (turn + 1, misses + 1);
                }
                due = clock.current() + pause(misses, peers().len()).max(REQUEST_INTERVAL_MIN);
                if let Some(Err(why)) = learnt {
                    commonware_p2p::block!(blocker, from, "invalid response: {why}");
                }
            },
        }
    }
}

/// How long to wait after this many peers in a row had no response: not at all until all were asked, then
/// longer after each round.
fn pause(misses: usize, peers: usize) -> Duration {
    let peers = peers.max(1);
    if misses == 0 || !misses.is_multiple_of(peers) {
        return Duration::ZERO;
    }
    let rounds = u32::try_from(misses / peers).unwrap_or(u32::MAX);
    RESPONSE_TIMEOUT.saturating_mul(1 << rounds.min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_other_bytes_are_refused() {
        for (kind, body) in [(REQUEST, vec![7; REQUEST_BYTES_MAX]), (RESPONSE, Vec::new())] {
            let message = frame(kind, 300, &body);
            assert_eq!(parse(&message).unwrap(), (kind, 300, Bytes::from(body)));
            for at in 0..FRAME_BYTES {
                assert!(parse(&message.slice(..at)).is_none(), "cut at {at}");
            }
        }
        assert!(parse(&frame(2, 1, &[])).is_none());
        assert!(parse(&frame(REQUEST, 1, &[0; REQUEST_BYTES_MAX + 1])).is_none());
        assert!(parse(&frame(RESPONSE, 1, &vec![0; RESPONSE_BYTES_MAX + 1])).is_none());
    }

    #[test]
    fn requests_back_off_after_every_peer_failed_and_never_stop() {
        assert_eq!([pause(0, 3), pause(1, 3), pause(2, 3), pause(4, 3)], [Duration::ZERO; 4]);
        assert_eq!([pause(3, 3), pause(6, 3)], [RESPONSE_TIMEOUT * 2, RESPONSE_TIMEOUT * 4]);
        assert_eq!([pause(300, 3), pause(usize::MAX, 1), pause(5, 0)], [PAUSE_MAX; 3]);
    }
}
