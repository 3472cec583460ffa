//! The store against a plain model, against crashes at every step, and against damage of every file.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod behaviour;
mod crashes;
mod damage;
mod log_tree;
mod model;

use super::*;
use testkit::lossy::Lossy;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, DeviceId, sha256};

/// The folder of a store on a lossy disk.
pub(crate) fn records(disk: &Lossy) -> Folder {
    Folder::on(Arc::new(disk.clone()), Path::new("/"))
}

pub(crate) const GENESIS: Genesis = Genesis([7; 32]);
/// Small enough that a handful of envelopes fills several segments.
pub(crate) const TINY: Bounds = Bounds { segment_bytes_max: 1500 };

pub(crate) fn stream(number: u8) -> StreamId {
    StreamId([number; 16])
}

/// An envelope as admission would let through; the store never looks at signature or ciphertext.
/// `variant` makes different envelopes for one place in a stream.
pub(crate) fn envelope(
    number: u8,
    seq: u64,
    first_ms: u64,
    last_ms: u64,
    variant: u8,
) -> (Envelope, Vec<u8>) {
    let ciphertext = vec![number ^ variant; 40 + (seq % 50) as usize];
    let header = Header {
        genesis: GENESIS,
        stream: stream(number),
        class: Class::Vitals,
        author: DeviceId([number; 16]),
        epoch: 20_000,
        run: [variant; 16],
        seq,
        prev: if seq == 0 { [0; 32] } else { [1; 32] },
        first_ms,
        last_ms,
        clock: ClockQuality::Synced,
        count: 1,
        key_commitment: [2; 16],
        ciphertext_hash: sha256(&[&ciphertext]),
    };
    let header_bytes = header.encode();
    let envelope = Envelope { header, header_bytes, signature: [3; 64], ciphertext };
    let bytes = envelope.encode();
    (envelope, bytes)
}

pub(crate) fn second(number: u8, seq: u64) -> (Envelope, Vec<u8>) {
    envelope(number, seq, seq * 1000, seq * 1000 + 900, 0)
}

pub(crate) fn append(store: &Store, group: &[(Envelope, Vec<u8>)]) -> Result<Vec<Appended>, StoreError> {
    let admitted: Vec<_> = group.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
    store.append(&admitted)
}
