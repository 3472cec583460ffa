//! The organisation's append-only Merkle log (RFC 6962): leaf = SHA-256(0x00 ‖ header),
//! node = SHA-256(0x01 ‖ left ‖ right).

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use crate::ids::{Hash, sha256};
use alloc::vec::Vec;

/// Longest path: a log of 2^64 leaves.
pub const PATH_MAX: usize = 64;

/// The leaf of header bytes.
#[must_use]
pub fn leaf(header: &[u8]) -> Hash {
    sha256(&[&[0], header])
}

/// An inner node.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The root of the empty log: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// A Merkle tree held in memory: 64 bytes per leaf.
///
/// `levels[k][i]` is the root of the complete subtree over leaves `i·2^k .. (i+1)·2^k`.
#[derive(Debug, Clone, Default)]
pub struct MerkleLog {
    levels: Vec<Vec<Hash>>,
}

impl MerkleLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The leaf at `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }

    /// Appends a leaf hash and returns its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(hash);
            if nodes.len() % 2 == 1 {
                break;
            }
            hash = node(&nodes[nodes.len() - 2], &nodes[nodes.len() - 1]);
        }
        index
    }

    /// The root now.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_at(self.size()).expect("the whole log is a prefix of itself")
    }

    /// The root over the first `size` leaves, if there are as many.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        match size {
            0 => Some(empty_root()),
            _ if size <= self.size() => Some(self.subtree(0, size)),
            _ => None,
        }
    }

    /// RFC 6962 MTH over leaves `from..to`, where `from` is a multiple of the subtree's span.
    fn subtree(&self, from: u64, to: u64) -> Hash {
        let width = to - from;
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.levels[level as usize][index_usize(from >> level)];
        }
        let split = from + largest_power_below(width);
        node(&self.subtree(from, split), &self.subtree(split, to))
    }

    /// Inclusion path of leaf `index` in the log's first `size` leaves (RFC 6962, section 2.1.1).
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut from, mut to, mut path) = (0, size, Vec::new());
        while to - from > 1 {
            let split = from + largest_power_below(to - from);
            if index < split {
                path.push(self.subtree(split, to));
                to = split;
            } else {
                path.push(self.subtree(from, split));
                from = split;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Consistency proof between the first `old` and the first `new` leaves (section 2.1.2). Empty
    /// when `old` is 0 or equal to `new`.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new || new > self.size() {
            return None;
        }
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut from, mut to, mut whole, mut path) = (0, new, true, Vec::new());
        while old != to {
            let split = from + largest_power_below(to - from);
            if old <= split {
                path.push(self.subtree(split, to));
                to = split;
            } else {
                path.push(self.subtree(from, split));
                from = split;
                whole = false;
            }
        }
        if !whole {
            path.push(self.subtree(from, to));
        }
        path.reverse();
        Some(path)
    }
}

fn index_usize(index: u64) -> usize {
    usize::try_from(index).expect("an index of something held in memory fits usize")
}

/// The largest power of two smaller than `width`, for `width` ≥ 2.
fn largest_power_below(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// Is `leaf` the leaf `index` of the log of `size` leaves with this root? (RFC 9162, section 2.1.3.2)
#[must_use]
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node(sibling, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && hash == *root
}

/// Is the log `(new, new_root)` an extension of `(old, old_root)`? (RFC 9162, section 2.1.4.2)
#[must_use]
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut rest = path.iter();
    let (mut fnode, mut snode) = (old - 1, new - 1);
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (*first, *first);
    for hash in rest {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            from_old = node(hash, &from_old);
            from_new = node(hash, &from_new);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            from_new = node(&from_new, hash);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && from_old == *old_root && from_new == *new_root
}
