//! Envelopes as a store sees them: a real header and junk for a body, which nobody opens.

use vitals::envelope::{ClockQuality, Envelope, Header};
use vitals::ids::{Class, DeviceId, Genesis, Hash, StreamId, sha256};

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
    let ciphertext = vec![0x5a; CIPHERTEXT_BYTES];
    let header = Header {
        genesis,
        stream,
        class: Class::Vitals,
        author,
        epoch: 20_000,
        run: [5; 16],
        seq,
        prev,
        first_ms,
        last_ms: first_ms + 9_000,
        clock: ClockQuality::Synced,
        count: 20,
        key_commitment: [2; 16],
        ciphertext_hash: sha256(&[&ciphertext]),
    };
    let header_bytes = header.encode();
    let envelope = Envelope { header, header_bytes, signature: [3; 64], ciphertext };
    let bytes = envelope.encode();
    (envelope, bytes)
}
