//! Where the frames of one segment stand, in two bytes each: one stands behind the other, so their lengths say it.

use super::segment::{FRAME_BYTES, HEADER_LEN};
use vitals::envelope::ENVELOPE_BYTES_MAX;

/// Frames between two whose offsets are kept whole.
const STEP: usize = 64;
/// [`FRAME_BYTES`], where offsets are kept.
const FRAME_LEN: u32 = 9;
const _: () = assert!(FRAME_LEN as usize == FRAME_BYTES, "one length, two types");
const _: () = assert!(ENVELOPE_BYTES_MAX - 1 <= u16::MAX as usize, "a length less one fits");

/// The frames of one segment, in log order.
#[derive(Debug)]
pub(super) struct FrameOffsets {
    /// The offset of each [`STEP`]th frame.
    whole: Vec<u32>,
    /// The length of each envelope, less one.
    lens: Vec<u16>,
    end: u32,
}

impl Default for FrameOffsets {
    fn default() -> Self {
        Self { whole: Vec::new(), lens: Vec::new(), end: HEADER_LEN }
    }
}

impl FrameOffsets {
    /// Adds the frame of an envelope of `len` bytes; false, and no change, if none can stand there: each begins where
    /// the one before it ends.
    pub(super) fn push(&mut self, offset: u32, len: u32) -> bool {
        let (less_one, end) = (len.checked_sub(1).map(u16::try_from), frame_end(offset, len));
        let (Some(Ok(less_one)), Some(end)) = (less_one, end) else { return false };
        if offset != self.end {
            return false;
        }
        if self.lens.len().is_multiple_of(STEP) {
            self.whole.push(offset);
        }
        self.lens.push(less_one);
        self.end = end;
        true
    }

    /// Where a frame begins, and the length of its envelope.
    pub(super) fn get(&self, at: usize) -> Option<(u32, u32)> {
        let len = len_of(*self.lens.get(at)?);
        let before = &self.lens[at / STEP * STEP..at];
        let offset =
            self.whole[at / STEP] + before.iter().map(|less_one| FRAME_LEN + len_of(*less_one)).sum::<u32>();
        Some((offset, len))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lens.len()
    }

    /// Where the next frame will stand.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Gives back what the lists took in advance.
    pub(super) fn shrink(&mut self) {
        self.whole.shrink_to_fit();
        self.lens.shrink_to_fit();
    }
}

fn len_of(less_one: u16) -> u32 {
    u32::from(less_one) + 1
}

fn frame_end(offset: u32, len: u32) -> Option<u32> {
    offset.checked_add(FRAME_LEN)?.checked_add(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_found_where_it_was_put() {
        let longest = u32::try_from(ENVELOPE_BYTES_MAX).unwrap();
        let lens: Vec<u32> = (0..1_000).map(|n| [1, longest, 300 + n % 50][n as usize % 3]).collect();
        let (mut frames, mut placed) = (FrameOffsets::default(), Vec::new());
        for len in lens {
            let offset = frames.end();
            assert!(frames.push(offset, len));
            placed.push((offset, len));
        }
        assert_eq!(frames.len(), placed.len());
        assert!(placed.iter().enumerate().all(|(at, place)| frames.get(at) == Some(*place)));
        assert_eq!(frames.get(placed.len()), None);
        assert_eq!(frames.whole.len(), placed.len().div_ceil(STEP));
    }

    #[test]
    fn what_cannot_stand_there_is_not_taken() {
        let mut frames = FrameOffsets::default();
        let longest = u32::try_from(ENVELOPE_BYTES_MAX).unwrap();
        for (offset, len) in
            [(HEADER_LEN, 0), (HEADER_LEN, longest + 1), (HEADER_LEN + 1, 5), (0, 5), (u32::MAX, 5)]
        {
            assert!(!frames.push(offset, len), "{offset} {len}");
        }
        assert!(frames.push(HEADER_LEN, 5) && !frames.push(HEADER_LEN, 5));
        assert_eq!((frames.len(), frames.end()), (1, HEADER_LEN + FRAME_LEN + 5));
    }
}
