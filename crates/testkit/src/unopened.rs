//! Envelopes as a store sees them: a real header, and junk for what it does not look at, the signature and what is
//! sealed.

use vitals::envelope::{ClockQuality, Envelope, Header};
use vitals::ids::{Class, DeviceId, Genesis, Hash, StreamId, sha256};

/// The header of one envelope with ten seconds of readings from `first_ms` on.
pub fn header(
    genesis: Genesis,
    author: DeviceId,
    stream: StreamId,
    seq: u64,
    prev: Hash,
    first_ms: u64,
) -> Header {
    Header {
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
        ciphertext_hash: [0; 32],
    }
}

/// The envelope of this header around this junk, and its bytes.
pub fn envelope(mut header: Header, ciphertext: Vec<u8>) -> (Envelope, Vec<u8>) {
    header.ciphertext_hash = sha256(&[&ciphertext]);
    let header_bytes = header.encode();
    let envelope = Envelope { header, header_bytes, signature: [3; 64], ciphertext };
    let bytes = envelope.encode();
    (envelope, bytes)
}
