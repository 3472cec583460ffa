//! A trie node as a row of the store, and as an item of a snapshot. Leaves are stored inside the branch above
//! them, which halves the rows and saves one read on every path.
//!
//! `tag ‖ body`: leaf (0, or 1 with a storage trie below: its number) = path ‖ length of value ‖ value;
//! extension (2) = path ‖ child; branch (3) = mask of children (2) ‖ mask of those that are leaves (2) ‖ children.
//! A path is its number of nibbles and the nibbles, packed; a child its number (8, not in snapshots),
//! the length of its reference and the reference. A storage trie's root is in its account's value.

use super::node::{Child, Children, Kind, Node, StoredNode};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use std::sync::Arc;

const LEAF: u8 = 0;
const LEAF_WITH_STORAGE: u8 = 1;
const EXTENSION: u8 = 2;
const BRANCH: u8 = 3;

/// Longest value of a leaf: an account.
const VALUE_BYTES_MAX: usize = 160;

/// Longest row: a branch of sixteen accounts.
#[cfg(test)]
pub(super) const ROW_BYTES_MAX: usize = 5 + 16 * (2 + 33 + 1 + VALUE_BYTES_MAX + 8);

/// The row of a node all of whose children are on disk or leaves of its own.
pub(super) fn write(kind: &Kind) -> Vec<u8> {
    let mut row = Vec::with_capacity(256);
    write_kind(kind, true, &mut row);
    row
}

/// The same without this store's numbers: equal on every node.
pub(super) fn write_bare(kind: &Kind, row: &mut Vec<u8>) {
    write_kind(kind, false, row);
}

fn write_kind(kind: &Kind, numbered: bool, row: &mut Vec<u8>) {
    match kind {
        Kind::Leaf { path, value, below } => {
            row.push(if below.is_some() { LEAF_WITH_STORAGE } else { LEAF });
            write_path(path, row);
            row.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
            row.extend_from_slice(value);
            if let (true, Some(Child::Stored(storage))) = (numbered, below) {
                row.extend_from_slice(&storage.id.to_be_bytes());
            }
        }
        Kind::Extension { path, child } => {
            row.push(EXTENSION);
            write_path(path, row);
            write_child(child, numbered, row);
        }
        Kind::Branch { children } => {
            row.push(BRANCH);
            let mask = |wanted: fn(&Child) -> bool| {
                children.iter().map(|(nibble, child)| u16::from(wanted(child)) << nibble).sum::<u16>()
            };
            row.extend_from_slice(&mask(|_| true).to_be_bytes());
            row.extend_from_slice(&mask(|child| matches!(child, Child::InMemory(_))).to_be_bytes());
            for child in children.values() {
                write_child(child, numbered, row);
            }
        }
    }
}

fn write_child(child: &Child, numbered: bool, row: &mut Vec<u8>) {
    match child {
        Child::InMemory(leaf) => write_kind(&leaf.kind, numbered, row),
        Child::Stored(StoredNode { id, reference }) => {
            if numbered {
                row.extend_from_slice(&id.to_be_bytes());
            }
            row.push(u8::try_from(reference.as_slice().len()).unwrap_or(u8::MAX));
            row.extend_from_slice(reference.as_slice());
        }
    }
}

fn write_path(path: &Nibbles, row: &mut Vec<u8>) {
    row.push(u8::try_from(path.len()).unwrap_or(u8::MAX));
    row.extend_from_slice(&path.pack());
}

/// Decodes what [`write`] wrote; `None` if it is malformed.
pub(super) fn read(row: &[u8]) -> Option<Node> {
    let mut rest = row;
    let kind = read_kind(&mut rest, true)?;
    rest.is_empty().then(|| kind.into())
}

/// Reads one node that [`write_bare`] wrote from the front of `rest`; all its numbers are zero.
pub(super) fn read_bare(rest: &mut &[u8]) -> Option<Node> {
    read_kind(rest, false).map(Into::into)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    take(rest, 1).map(|byte| byte[0])
}

fn number(rest: &mut &[u8], numbered: bool) -> Option<u64> {
    if !numbered {
        return Some(0);
    }
    take(rest, 8)?.try_into().ok().map(u64::from_be_bytes)
}

fn read_kind(rest: &mut &[u8], numbered: bool) -> Option<Kind> {
    match byte(rest)? {
        tag @ (LEAF | LEAF_WITH_STORAGE) => read_leaf(tag, rest, numbered),
        EXTENSION => {
            let path = read_path(rest)?;
            Some(Kind::Extension { path, child: read_far(rest, numbered)? })
        }
        BRANCH => {
            let mut mask = || take(rest, 2).and_then(|mask| mask.try_into().ok()).map(u16::from_be_bytes);
            let (all, leaves) = (mask()?, mask()?);
            if leaves & !all != 0 {
                return None;
            }
            let mut children = Children::with_capacity(all.count_ones() as usize);
            for at in 0..16 {
                if leaves >> at & 1 == 1 {
                    let tag = byte(rest)?;
                    let leaf = read_leaf(tag, rest, numbered)?;
                    children.put(at, Child::InMemory(Arc::new(leaf.into())));
                } else if all >> at & 1 == 1 {
                    children.put(at, read_far(rest, numbered)?);
                }
            }
            Some(Kind::Branch { children })
        }
        _ => None,
    }
}

fn read_leaf(tag: u8, rest: &mut &[u8], numbered: bool) -> Option<Kind> {
    let path = read_path(rest)?;
    let len = usize::from(byte(rest)?);
    let value = take(rest, len)?.to_vec();
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let below = match tag {
        LEAF => None,
        LEAF_WITH_STORAGE => {
            let account: TrieAccount = alloy_rlp::decode_exact(&value).ok()?;
            if account.storage_root == EMPTY_ROOT_HASH {
                return None;
            }
            let id = number(rest, numbered)?;
            Some(Child::Stored(StoredNode { id, reference: RlpNode::word_rlp(&account.storage_root) }))
        }
        _ => return None,
    };
    Some(Kind::Leaf { path, value, below })
}

fn read_far(rest: &mut &[u8], numbered: bool) -> Option<Child> {
    let id = number(rest, numbered)?;
    let len = usize::from(byte(rest)?);
    let reference = RlpNode::from_raw(take(rest, len)?)?;
    Some(Child::Stored(StoredNode { id, reference }))
}

fn read_path(rest: &mut &[u8]) -> Option<Nibbles> {
    let len = usize::from(byte(rest)?);
    if len > 64 {
        return None;
    }
    let mut path = Nibbles::unpack(take(rest, len.div_ceil(2))?);
    let padding = path.slice(len..);
    path.truncate(len);
    padding.is_zeroes().then_some(path)
}
