//! The wire form of requests for snapshots and committee changes.

use crate::machine::snapshot::Place;
use vitals::proof::Certified;

/// A request from one node to another. Wire form: a kind, then big-endian numbers and the rest:
/// `1`; `2 ‖ height (8) ‖ place`; `3 ‖ height (8)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotRequest {
    /// The proof of the newest snapshot's header. Response: a ledger proof of version 2 without accounts.
    Head,
    /// The state of the snapshot at this height, from a place on. Response: a chunk.
    Chunk {
        /// Its height.
        height: u64,
        /// Where the chunk begins.
        place: Place,
    },
    /// The blocks above this height that changed the committee. Response: [`write_changes`].
    Changes {
        /// The height.
        above: u64,
    },
}

impl SnapshotRequest {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Head => vec![1],
            Self::Chunk { height, place } => {
                [&[2], height.to_be_bytes().as_slice(), place.as_bytes()].concat()
            }
            Self::Changes { above } => [&[3], above.to_be_bytes().as_slice()].concat(),
        }
    }

    /// Decodes a request; `None` if it is malformed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        if *kind == 1 {
            return rest.is_empty().then_some(Self::Head);
        }
        let (height, rest) = rest.split_first_chunk()?;
        let height = u64::from_be_bytes(*height);
        match kind {
            2 => Some(Self::Chunk { height, place: Place::from_bytes(rest)? }),
            3 if rest.is_empty() => Some(Self::Changes { above: height }),
            _ => None,
        }
    }
}

/// Changes of the committee, oldest first, each with its length (4, big-endian) before it.
#[must_use]
pub fn write_changes(changes: &[Certified]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        let bytes = change.encode();
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    out
}

/// Decodes [`write_changes`] without verifying the changes.
#[must_use]
pub fn read_changes(mut rest: &[u8]) -> Option<Vec<Certified>> {
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let (length, left) = rest.split_first_chunk()?;
        let (bytes, left) = left.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        changes.push(Certified::decode(bytes).ok()?);
        rest = left;
    }
    Some(changes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use vitals::proof::LedgerProof;

    fn golden(name: &str) -> Vec<u8> {
        let path = format!("{}/../../testdata/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
        let text: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn questions_are_the_golden_ones_and_read_back() {
        let place = Place::from_bytes(&[1, 2, 15]).unwrap();
        let questions = [
            SnapshotRequest::Head,
            SnapshotRequest::Chunk { height: 383, place },
            SnapshotRequest::Changes { above: 127 },
        ];
        let mut bytes = Vec::new();
        for question in questions {
            let one = question.encode();
            assert_eq!(SnapshotRequest::decode(&one), Some(question));
            assert_eq!(SnapshotRequest::decode(&[one.as_slice(), &[0x20]].concat()), None, "longer");
            assert!(one.len() <= consensus::REQUEST_BYTES_MAX);
            bytes.extend_from_slice(&u32::try_from(one.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&one);
        }
        assert_eq!(bytes, golden("snapshot_questions_v1"), "a changed wire format is a new version");
        for bad in [&[][..], &[0], &[4], &[2, 0], &[3, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 0, 0, 0, 0, 0, 16]]
        {
            assert_eq!(SnapshotRequest::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn changes_are_the_golden_ones_and_read_back() {
        let changes = LedgerProof::decode(&golden("ledger_proof_v2")).unwrap().changes.unwrap();
        let bytes = write_changes(&changes);
        assert_eq!(bytes, golden("committee_changes_v1"), "a changed wire format is a new version");
        assert_eq!(read_changes(&bytes).unwrap(), changes);
        let whole = 4 + changes[0].encode().len();
        for cut in 1..bytes.len() {
            assert_eq!(read_changes(&bytes[..cut]).is_some(), cut == whole, "cut at {cut}");
        }
    }
}
