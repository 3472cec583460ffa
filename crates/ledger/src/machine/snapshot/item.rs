//! The items of a snapshot and their places.

use super::super::node::{Child, Kind, Link, StoredNode};
use alloy_primitives::B256;
use alloy_trie::{Nibbles, TrieAccount};
use revm::primitives::KECCAK_EMPTY;

/// Nibbles of a key.
pub(super) const KEY_NIBBLES: usize = 64;
/// Separates an account's key from a place in its storage.
const STORAGE: u8 = 0x10;
/// Follows an account's key for its code.
pub(super) const CODE: u8 = 0x11;
/// Longest place: an account's key, a mark, a slot's key.
pub(super) const PLACE_LEN_MAX: usize = 2 * KEY_NIBBLES + 1;

/// A place in the state from which a snapshot continues. The empty place is the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(pub(super) Vec<u8>);

impl Place {
    /// As bytes, at most 129.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes a place; `None` if it cannot be one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let nibble = |(at, byte): (usize, &u8)| match at {
            KEY_NIBBLES => [STORAGE, CODE].contains(byte),
            _ => *byte < 16,
        };
        (bytes.len() <= PLACE_LEN_MAX && bytes.iter().enumerate().all(nibble)).then(|| Self(bytes.to_vec()))
    }
}

/// An item of a snapshot: its place, and the hash it must have. Places are in the items' order:
/// account nodes by path, then behind an account's key its storage nodes by path, then its code.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) place: Vec<u8>,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Node(StoredNode),
    Code(B256),
}

impl Item {
    pub(super) fn root(far: StoredNode) -> Self {
        Self { place: Vec::new(), what: What::Node(far) }
    }

    /// What comes after this node, in order.
    pub(super) fn next(&self, kind: &Kind) -> Result<Vec<Self>, &'static str> {
        let mut items = Vec::new();
        match kind {
            Kind::Leaf { path, value, below } => self.behind_leaf(path, value, below, &mut items)?,
            Kind::Extension { path, child } => items.extend(self.child(&path.to_vec(), child)),
            Kind::Branch { children } => {
                for (nibble, child) in children.iter() {
                    match child {
                        Child::InMemory(leaf) => {
                            let Kind::Leaf { path, value, below } = &leaf.kind else { continue };
                            let path = Nibbles::from_nibbles([nibble]).join(path);
                            self.behind_leaf(&path, value, below, &mut items)?;
                        }
                        child => items.extend(self.child(&[nibble], child)),
                    }
                }
            }
        }
        Ok(items)
    }

    pub(super) fn child(&self, path: &[u8], child: &Child) -> Option<Self> {
        let Child::Stored(far) = child else { return None };
        Some(Self { place: [&self.place, path].concat(), what: What::Node(far.clone()) })
    }

    /// An account's storage and code.
    pub(super) fn behind_leaf(
        &self,
        path: &Nibbles,
        value: &[u8],
        below: &Link,
        items: &mut Vec<Self>,
    ) -> Result<(), &'static str> {
        if self.owner().is_some() {
            return Ok(());
        }
        let account = account(value)?;
        let key = [self.place.as_slice(), &path.to_vec()].concat();
        if let Some(Child::Stored(storage)) = below {
            let place = [key.as_slice(), &[STORAGE]].concat();
            items.push(Self { place, what: What::Node(storage.clone()) });
        }
        if account.code_hash != KECCAK_EMPTY {
            let place = [key.as_slice(), &[CODE]].concat();
            items.push(Self { place, what: What::Code(account.code_hash) });
        }
        Ok(())
    }

    /// The account in whose storage this stands.
    pub(super) fn owner(&self) -> Option<B256> {
        self.place.get(..=KEY_NIBBLES).map(|place| key(&place[..KEY_NIBBLES]))
    }

    /// The path of a node within its trie.
    pub(super) fn path(&self) -> &[u8] {
        if self.place.len() > KEY_NIBBLES { &self.place[KEY_NIBBLES + 1..] } else { &self.place }
    }
}

pub(super) fn key(nibbles: &[u8]) -> B256 {
    B256::from_slice(&Nibbles::from_nibbles(nibbles).pack())
}

pub(super) fn account(value: &[u8]) -> Result<TrieAccount, &'static str> {
    alloy_rlp::decode_exact(value).map_err(|_| "holds a malformed account")
}
