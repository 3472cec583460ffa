//! The entries of a full page in a few bytes each: what changes from one to the next, as numbers of variable length.

/// What memory holds per envelope, besides its leaf and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// Bits of a byte that hold a part of a number; the highest says that more follow.
const PART_BITS: u32 = 7;
const MORE: u8 = 1 << PART_BITS;

/// Entries in a fixed order.
#[derive(Debug)]
pub(super) struct Packed(Box<[u8]>);

/// What lies between an entry and the one before it.
#[derive(Clone, Copy, Default)]
struct Steps {
    index: u64,
    first_ms: u64,
    /// From its own first to its own last time.
    span_ms: u64,
}

/// Goes through entries in their order, on the way in and on the way out.
#[derive(Default)]
struct Walk {
    before: Option<Entry>,
    /// Zero after the first entry: what lies before it says nothing.
    steps: Steps,
}

impl Walk {
    /// Goes on to the next entry. Kept is how each step differs from the one before it: most streams go on as they
    /// went.
    fn put(&mut self, out: &mut Vec<u8>, next: Entry) {
        let before = self.before.unwrap_or(NOTHING);
        let steps = Steps {
            index: next.index.wrapping_sub(before.index),
            first_ms: next.first_ms.wrapping_sub(before.first_ms),
            span_ms: next.last_ms.wrapping_sub(next.first_ms),
        };
        put(out, steps.index.wrapping_sub(self.steps.index));
        put(out, steps.first_ms.wrapping_sub(self.steps.first_ms));
        put(out, steps.span_ms.wrapping_sub(self.steps.span_ms));
        self.went_on(next, steps);
    }

    fn take(&mut self, rest: &mut &[u8]) -> Option<Entry> {
        let before = self.before.unwrap_or(NOTHING);
        let steps = Steps {
            index: self.steps.index.wrapping_add(take(rest)?),
            first_ms: self.steps.first_ms.wrapping_add(take(rest)?),
            span_ms: self.steps.span_ms.wrapping_add(take(rest)?),
        };
        let first_ms = before.first_ms.wrapping_add(steps.first_ms);
        let index = before.index.wrapping_add(steps.index);
        let next = Entry { index, first_ms, last_ms: first_ms.wrapping_add(steps.span_ms) };
        self.went_on(next, steps);
        Some(next)
    }

    fn went_on(&mut self, next: Entry, steps: Steps) {
        self.steps =
            if self.before.is_some() { steps } else { Steps { span_ms: steps.span_ms, ..Steps::default() } };
        self.before = Some(next);
    }
}

impl Packed {
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let (mut bytes, mut walk) = (Vec::new(), Walk::default());
        for entry in entries {
            walk.put(&mut bytes, entry);
        }
        Self(bytes.into_boxed_slice())
    }

    /// The entries in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        let (mut rest, mut walk) = (&*self.0, Walk::default());
        core::iter::from_fn(move || walk.take(&mut rest))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// What the first entry is compared with.
const NOTHING: Entry = Entry { index: 0, first_ms: 0, last_ms: 0 };

/// A difference: small ones, of either sign, are short.
fn put(out: &mut Vec<u8>, difference: u64) {
    let signed = difference.cast_signed();
    let mut left = ((signed << 1) ^ (signed >> 63)).cast_unsigned();
    loop {
        let part = left.to_le_bytes()[0] & (MORE - 1);
        left >>= PART_BITS;
        if left == 0 {
            out.push(part);
            return;
        }
        out.push(part | MORE);
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let (mut folded, mut shift) = (0_u64, 0);
    loop {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        folded |= u64::from(byte & (MORE - 1)) << shift;
        if byte & MORE == 0 {
            return Some((folded >> 1) ^ (folded & 1).wrapping_neg());
        }
        shift += PART_BITS;
    }
}
