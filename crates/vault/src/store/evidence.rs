//! Envelopes that were refused because another one holds their sequence number: kept, apart from
//! the log, as evidence that an author signed two different things.

use super::segment::{
    FRAME_BYTES, HEADER_BYTES, HeaderFault, Kind, SegmentHeader, header_of, put_frame, take_frame,
};
use super::{Corruption, Store, StoreError};
use durable::{AppendFile, Folder};
use std::collections::HashMap;
use vitals::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use vitals::ids::{Genesis, Hash, StreamId, sha256};
use vitals::log;

/// Most pieces of evidence kept per stream; one is enough to convict, a flood must not fill the disk.
pub const EVIDENCE_PER_STREAM_MAX: usize = 16;

pub(super) struct Evidence {
    file: AppendFile,
    /// Hash of the whole envelope, offset of its frame, bytes of the envelope.
    kept: HashMap<StreamId, Vec<(Hash, u64, usize)>>,
}

fn header(genesis: Genesis) -> SegmentHeader {
    SegmentHeader { kind: Kind::Evidence, number: 0, first_index: 0, genesis, root: log::empty_root() }
}

impl Evidence {
    pub(super) const FILE: &'static str = "evidence";

    /// Refuses if a write failed in a way that only opening the store again can judge.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        Ok(self.file.check()?)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    pub(super) fn create(folder: &Folder, genesis: Genesis) -> std::io::Result<Self> {
        let file = header(genesis).begin(folder, Self::FILE)?;
        Ok(Self { file, kept: HashMap::new() })
    }

    /// Opens the file, of which the first `durable_bytes` must be whole.
    pub(super) fn open(folder: &Folder, genesis: Genesis, durable_bytes: u64) -> Result<Self, StoreError> {
        let damaged = |offset: u64, what: &str| StoreError::from(Corruption::at(Self::FILE, offset, what));
        let file = match folder.open(Self::FILE) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(0, "the file is missing"));
            }
            file => file?,
        };
        durable::write_again(&*file, durable_bytes)?;
        let bytes = durable::read_all(&*file)?;
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
            let (header, _) = header_of(envelope).ok_or_else(|| damaged(at as u64, "not an envelope"))?;
            kept.entry(header.stream).or_default().push((sha256(&[envelope]), at as u64, envelope.len()));
            at += FRAME_BYTES + envelope.len();
        }
        if (at as u64) < durable_bytes {
            return Err(damaged(at as u64, "the file ends before what it held"));
        }
        file.sync()?;
        Ok(Self { file: AppendFile::new(file, at as u64), kept })
    }
}

impl Store {
    /// Keeps an envelope that conflicts with a stored one, durably; true if it is new. Nothing
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
        let offset = evidence.file.bytes();
        put_frame(&mut frame, 0, offset, Kind::Evidence, bytes);
        evidence.file.append(&frame)?;
        evidence.file.sync()?;
        kept.push((hash, offset, bytes.len()));
        let size = tail.watermark.newest().size;
        tail.note_durable(size);
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
            tail.evidence
                .file
                .file()
                .read_at(&mut frame, *offset)
                .map_err(|_| damaged("a frame cannot be read"))?;
            take_frame(&frame, 0, *offset, Kind::Evidence).map_err(damaged).map(<[u8]>::to_vec)
        };
        kept.iter().map(read).collect()
    }
}
