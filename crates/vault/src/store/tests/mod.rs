//! The store against a plain model, against crashes at every step, and against damage of every file.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

mod behaviour;
mod crashes;
mod damage;
mod log_tree;
mod model;

use super::*;
use testkit::lossy::Lossy;
use testkit::unopened;
use vitals::ids::DeviceId;

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
    let prev = if seq == 0 { [0; 32] } else { [1; 32] };
    let header = unopened::header(GENESIS, DeviceId([number; 16]), stream(number), seq, prev, first_ms);
    unopened::envelope(Header { last_ms, count: 1, run: [variant; 16], ..header }, ciphertext)
}

pub(crate) fn second(number: u8, seq: u64) -> (Envelope, Vec<u8>) {
    envelope(number, seq, seq * 1000, seq * 1000 + 900, 0)
}

pub(crate) fn append(store: &Store, group: &[(Envelope, Vec<u8>)]) -> Result<Vec<Appended>, StoreError> {
    let admitted: Vec<_> = group.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
    store.append(&admitted)
}
