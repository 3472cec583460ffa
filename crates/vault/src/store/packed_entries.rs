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

impl Packed {
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut bytes = Vec::new();
        let mut before = NOTHING;
        for entry in entries {
            put(&mut bytes, entry.index.wrapping_sub(before.index));
            put(&mut bytes, entry.first_ms.wrapping_sub(before.first_ms));
            put(&mut bytes, entry.last_ms.wrapping_sub(entry.first_ms));
            before = entry;
        }
        Self(bytes.into_boxed_slice())
    }

    /// The entries in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        let (mut rest, mut before) = (&*self.0, NOTHING);
        core::iter::from_fn(move || {
            let index = before.index.wrapping_add(take(&mut rest)?);
            let first_ms = before.first_ms.wrapping_add(take(&mut rest)?);
            let last_ms = first_ms.wrapping_add(take(&mut rest)?);
            before = Entry { index, first_ms, last_ms };
            Some(before)
        })
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
