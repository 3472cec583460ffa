//! Envelopes that were refused because another one holds their sequence number: kept, apart from
//! the log, as evidence that an author signed two different things.

use super::segment::{FRAME_BYTES, HEADER_BYTES, HeaderFault, Kind, SegmentHeader, put_frame, take_frame};
use super::{Corruption, Disk, DiskFile, Store, StoreError, recover};
use std::collections::HashMap;
use std::sync::Arc;
use vitals::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use vitals::ids::{Genesis, Hash, StreamId, sha256};
use vitals::log;

/// Most pieces of evidence kept per stream; one is enough to convict, a flood must not fill the disk.
pub const EVIDENCE_PER_STREAM_MAX: usize = 16;

pub(super) struct Evidence {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Hash of the whole envelope, offset of its frame, bytes of the envelope.
    kept: HashMap<StreamId, Vec<(Hash, u64, usize)>>,
}

fn header(genesis: Genesis) -> SegmentHeader {
    SegmentHeader { kind: Kind::Evidence, number: 0, first_index: 0, genesis, root: log::empty_root() }
}

impl Evidence {
    pub(super) const FILE: &'static str = "evidence";

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn create(disk: &dyn Disk, genesis: Genesis) -> std::io::Result<Self> {
        let file = recover::new_file(disk, Self::FILE, &header(genesis))?;
        Ok(Self { file, bytes: HEADER_BYTES as u64, kept: HashMap::new() })
    }

    /// Opens the file, of which the first `durable_bytes` must be whole.
    pub(super) fn open(disk: &dyn Disk, genesis: Genesis, durable_bytes: u64) -> Result<Self, StoreError> {
        let damaged = |offset: u64, what: &str| StoreError::from(Corruption::at(Self::FILE, offset, what));
        let file = match disk.open(Self::FILE) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(0, "the file is missing"));
            }
            file => file?,
        };
        let bytes = recover::read_all(&*file)?;
        SegmentHeader::check(&bytes, &header(genesis)).map_err(|fault| match fault {
            HeaderFault::Here(what) => damaged(0, what),
            HeaderFault::BeforeIsShort => damaged(0, "the header names another segment"),
        })?;
        let mut kept: HashMap<StreamId, Vec<_>> = HashMap::new();
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let envelope = match take_frame(&bytes[at..], 0, at as u64, Kind::Evidence) {
                Ok(envelope) => envelope,
                Err(what) if (at as u64) < durable_bytes => return Err(damaged(at as u64, what)),
                Err(_) => {
                    file.cut(at as u64)?;
                    break;
                }
            };
            let (header, _) =
                recover::header_of(envelope).ok_or_else(|| damaged(at as u64, "not an envelope"))?;
            kept.entry(header.stream).or_default().push((sha256(&[envelope]), at as u64, envelope.len()));
            at += FRAME_BYTES + envelope.len();
        }
        if (at as u64) < durable_bytes {
            return Err(damaged(at as u64, "the file ends before what it held"));
        }
        file.sync()?;
        Ok(Self { file, bytes: at as u64, kept })
    }
}

impl Store {
    /// Keeps an envelope that conflicts with a stored one, durably; says whether it is new. Nothing
    /// more is kept of a stream that has [`EVIDENCE_PER_STREAM_MAX`] pieces.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn keep_evidence(&self, envelope: &Envelope, bytes: &[u8]) -> Result<bool, StoreError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(StoreError::TooLarge);
        }
        let mut tail = self.tail();
        tail.check()?;
        let hash = sha256(&[bytes]);
        let evidence = &mut tail.evidence;
        let kept = evidence.kept.entry(envelope.header.stream).or_default();
        if kept.len() >= EVIDENCE_PER_STREAM_MAX || kept.iter().any(|(held, ..)| *held == hash) {
            return Ok(false);
        }
        let mut frame = Vec::with_capacity(FRAME_BYTES + bytes.len());
        put_frame(&mut frame, 0, evidence.bytes, Kind::Evidence, bytes);
        if let Err(why) = evidence.file.write_at(&frame, evidence.bytes) {
            // As for a segment: a full disk is no reason to stop while the file is whole.
            if evidence.file.cut(evidence.bytes).is_err() {
                tail.stopped = Some(why.to_string());
            }
            return Err(StoreError::Busy(why));
        }
        if let Err(why) = evidence.file.sync() {
            // As for a segment: a failed sync leaves nothing to rely on.
            let stopped = why.to_string();
            tail.stopped = Some(stopped.clone());
            return Err(StoreError::Stopped(stopped));
        }
        kept.push((hash, evidence.bytes, bytes.len()));
        evidence.bytes += frame.len() as u64;
        let size = tail.mark.newest().size;
        tail.put_mark(size);
        Ok(true)
    }

    /// The evidence kept about a stream, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Halt`] if the disk no longer holds it.
    pub fn evidence(&self, stream: StreamId) -> Result<Vec<Vec<u8>>, StoreError> {
        let tail = self.tail();
        let Some(kept) = tail.evidence.kept.get(&stream) else { return Ok(Vec::new()) };
        let read = |(_, offset, len): &(Hash, u64, usize)| {
            let damaged = |what: &str| StoreError::from(Corruption::at(Evidence::FILE, *offset, what));
            let mut frame = vec![0; FRAME_BYTES + len];
            tail.evidence.file.read_at(&mut frame, *offset).map_err(|_| damaged("a frame cannot be read"))?;
            take_frame(&frame, 0, *offset, Kind::Evidence).map_err(damaged).map(<[u8]>::to_vec)
        };
        kept.iter().map(read).collect()
    }
}
