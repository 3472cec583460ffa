//! The file `durable`: how far segments and evidence are known to be on the disk.

use durable::Position;

/// Name of the file.
pub(super) const FILE: &str = "durable";

/// See [`LogPosition`].
pub(super) type Watermark = durable::Watermark<LogPosition>;

/// The end of what is durable. The layout stands in [`super::segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogPosition {
    /// Number of the newest segment.
    pub(super) segment: u64,
    /// Bytes of it.
    pub(super) bytes: u64,
    /// Leaves in the log up to there.
    pub(super) size: u64,
    /// Bytes of the evidence file.
    pub(super) evidence_bytes: u64,
}

impl Position for LogPosition {
    const MAGIC: [u8; 8] = *b"ACESOMRK";
    /// Four words, then twelve zeros.
    const BYTES: usize = 44;
    const OWNER: &'static str = "record store";

    fn encode(&self, out: &mut [u8]) {
        let words = [self.segment, self.bytes, self.size, self.evidence_bytes];
        for (place, word) in out.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut words =
            bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let mut word = || words.next().unwrap_or_default();
        Self { segment: word(), bytes: word(), size: word(), evidence_bytes: word() }
    }
}
