//! Contradictory votes of validators, kept on disk so that a restart does not lose them.
//!
//! One file in the ledger's folder; records of length (4, big-endian) ‖ CBOR
//! `[validator, epoch, view, kind, votes]`. An incomplete last record is dropped.

use consensus::{Conflict, Evidence};
use durable::{AppendFile, Disk as _, Os};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use vitals::cbor::{NotCanonical, Reader, Writer};

/// Name of the file.
const FILE: &str = "evidence";
/// Most pieces kept. Later ones are dropped.
pub const EVIDENCE_MAX: usize = 256;
/// Longest pair of votes kept.
const VOTES_BYTES_MAX: usize = 4096;
/// Longest file read.
const FILE_BYTES_MAX: u64 = (EVIDENCE_MAX * (VOTES_BYTES_MAX + 128)) as u64;

/// The evidence a node holds.
#[derive(Debug)]
pub(crate) struct EvidenceFile {
    /// `None` in memory only. The file is created with the first piece.
    path: Option<PathBuf>,
    pieces: Vec<Evidence>,
    /// What the file shows may not be on the disk: a write or a sync failed, or it was found at the start.
    unsure: bool,
}

impl EvidenceFile {
    pub(crate) fn in_memory() -> Self {
        Self { path: None, pieces: Vec::new(), unsure: false }
    }

    /// Opens the file in the ledger's folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut pieces: Vec<Evidence> = Vec::new();
        let (mut rest, mut whole) = (bytes.as_slice(), 0);
        while let Some((evidence, tail)) = record(rest) {
            whole += rest.len() - tail.len();
            rest = tail;
            if pieces.len() < EVIDENCE_MAX {
                pieces.push(evidence);
            }
        }
        if !rest.is_empty() {
            tracing::warn!(
                bytes = rest.len(),
                "The last record of the evidence file is incomplete; removed it"
            );
            Os.open(&path)?.cut(whole as u64)?;
        }
        Ok(Self { path: Some(path), pieces, unsure: true })
    }

    /// Oldest first.
    pub(crate) fn pieces(&self) -> &[Evidence] {
        &self.pieces
    }

    /// Stores a piece, durably on return. False if it is known, too long, or the file is full.
    pub(crate) fn keep(&mut self, evidence: Evidence) -> io::Result<bool> {
        let known = |kept: &Evidence| {
            (kept.validator, kept.epoch, kept.view, kept.conflict)
                == (evidence.validator, evidence.epoch, evidence.view, evidence.conflict)
        };
        if self.pieces.len() >= EVIDENCE_MAX
            || evidence.votes.len() > VOTES_BYTES_MAX
            || self.pieces.iter().any(known)
        {
            return Ok(false);
        }
        if let Some(path) = &self.path {
            let file = match Os.open(path) {
                Err(why) if why.kind() == io::ErrorKind::NotFound => durable::write_new(&Os, path, &[])?,
                file => file?,
            };
            if self.unsure {
                durable::write_again(&*file, 0)?;
            }
            self.unsure = true;
            let bytes = file.size()?;
            let mut file = AppendFile::new(file, bytes);
            let body = encode(&evidence);
            let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
            file.append(&[len.as_slice(), &body].concat())?;
            file.sync()?;
            self.unsure = false;
        }
        self.pieces.push(evidence);
        Ok(true)
    }
}

fn code(conflict: Conflict) -> u64 {
    match conflict {
        Conflict::Notarize => 1,
        Conflict::Finalize => 2,
        Conflict::NullifyFinalize => 3,
    }
}

fn encode(evidence: &Evidence) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(5);
    w.bytes(&evidence.validator);
    w.uint(evidence.epoch);
    w.uint(evidence.view);
    w.uint(code(evidence.conflict));
    w.bytes(&evidence.votes);
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<Option<Evidence>, NotCanonical> {
    let mut r = Reader::new(bytes);
    r.array(5)?;
    let (validator, epoch, view) = (r.fixed::<32>()?, r.uint()?, r.uint()?);
    let conflict = match r.uint()? {
        1 => Conflict::Notarize,
        2 => Conflict::Finalize,
        3 => Conflict::NullifyFinalize,
        _ => return Ok(None),
    };
    let votes = r.bytes(VOTES_BYTES_MAX)?.to_vec();
    r.end()?;
    Ok(Some(Evidence { validator, epoch, view, conflict, votes }))
}

/// The first record and the rest.
fn record(bytes: &[u8]) -> Option<(Evidence, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (body, rest) = rest.split_at_checked(len)?;
    Some((decode(body).ok()??, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn piece(view: u64) -> Evidence {
        Evidence { validator: [7; 32], epoch: 3, view, conflict: Conflict::Finalize, votes: vec![1; 200] }
    }

    #[test]
    fn evidence_outlives_the_node_and_a_torn_end_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = EvidenceFile::open(folder.path()).unwrap();
        assert!(kept.keep(piece(1)).unwrap() && kept.keep(piece(2)).unwrap());
        assert!(!kept.keep(piece(2)).unwrap(), "known");
        assert!(!kept.keep(Evidence { votes: vec![0; VOTES_BYTES_MAX + 1], ..piece(3) }).unwrap());
        drop(kept);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(EvidenceFile::open(folder.path()).unwrap().pieces(), [piece(1), piece(2)]);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut kept = EvidenceFile::open(folder.path()).unwrap();
            let left = kept.pieces().len();
            assert_eq!(left, usize::from(cut >= whole.len() / 2), "cut at {cut}");
            kept.keep(piece(9)).unwrap();
            assert_eq!(EvidenceFile::open(folder.path()).unwrap().pieces().len(), left + 1, "cut at {cut}");
        }
    }

    #[test]
    fn there_is_room_for_so_many_pieces() {
        let mut kept = EvidenceFile::in_memory();
        for view in 0..EVIDENCE_MAX as u64 {
            assert!(kept.keep(piece(view)).unwrap());
        }
        assert!(!kept.keep(piece(1 << 40)).unwrap());
        assert_eq!(kept.pieces().len(), EVIDENCE_MAX);
    }
}
