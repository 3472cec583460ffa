//! Envelopes as a store sees them, as long as those of a bedside board.

use testkit::unopened;
use vitals::envelope::Envelope;
use vitals::ids::{DeviceId, Genesis, Hash, StreamId};

const CIPHERTEXT_BYTES: usize = 70;

/// One envelope with ten seconds of readings from `first_ms` on, and its bytes.
pub(crate) fn envelope(
    genesis: Genesis,
    author: DeviceId,
    stream: StreamId,
    seq: u64,
    prev: Hash,
    first_ms: u64,
) -> (Envelope, Vec<u8>) {
    let header = unopened::header(genesis, author, stream, seq, prev, first_ms);
    unopened::envelope(header, vec![0x5a; CIPHERTEXT_BYTES])
}
