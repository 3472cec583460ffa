//! Ethereum state proofs: an account in the state trie, a slot in its storage trie. Every node is
//! found by its Keccak-256 hash, so no byte of a proof can change without the proof failing.

use super::{AccountProof, SlotProof};
use crate::ids::Hash;
use core::fmt;
use sha3::{Digest, Keccak256};

/// Longest trie node: a branch of sixteen hashes is 532 bytes, a leaf of an account about 150.
pub const NODE_BYTES_MAX: usize = 768;
/// Deepest path: one node for each of 64 nibbles, and the leaf.
pub const NODES_MAX: usize = 65;
/// Most slots one account proof carries.
pub const SLOTS_MAX: usize = 16;
/// Root of a trie without entries, keccak256(0x80).
pub const EMPTY_ROOT: Hash = [
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e, 0x5b,
    0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
];

/// Keccak-256 of the concatenation of `parts`.
#[must_use]
pub fn keccak256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Why a state proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotProven {
    /// A list or a node is longer than its bound.
    TooLong,
    /// A node's hash is not the one its parent (or the root) names.
    WrongNode,
    /// A node is not a trie node.
    Malformed,
    /// The proof ends before the path does.
    Incomplete,
    /// Nodes follow the end of the path.
    Surplus,
    /// The proof is about another contract than the one asked about.
    WrongAccount,
    /// The slots are not the ones asked about, in their order.
    WrongSlots,
    /// The state has no such contract.
    NoContract,
    /// The slots hold no record of this kind.
    NotARecord,
}

impl fmt::Display for NotProven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the state proof is longer than its bound",
            Self::WrongNode => "a state trie node does not have the hash its parent names",
            Self::Malformed => "a state trie node is malformed",
            Self::Incomplete => "the state proof ends before its path does",
            Self::Surplus => "the state proof has nodes behind the end of its path",
            Self::WrongAccount => "the state proof is about another contract",
            Self::WrongSlots => "the state proof is about other storage slots",
            Self::NoContract => "the ledger state has no such contract",
            Self::NotARecord => "the storage slots hold no such record",
        })
    }
}

impl core::error::Error for NotProven {}

/// An account of the state trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Root of its storage trie.
    pub storage_root: Hash,
    /// Keccak-256 of its code.
    pub code_hash: Hash,
}

/// The account `proof` shows under `state_root`, or nothing if it shows that there is none.
pub fn verify_account(state_root: &Hash, proof: &AccountProof) -> Result<Option<Account>, NotProven> {
    let Some(leaf) = lookup(state_root, &keccak256(&[&proof.address]), &proof.nodes)? else {
        return Ok(None);
    };
    let (account, rest) = item(leaf)?;
    if !account.list || !rest.is_empty() {
        return Err(NotProven::Malformed);
    }
    let (nonce, rest) = item(account.payload)?;
    let (_balance, rest) = item(rest)?;
    let (storage_root, rest) = item(rest)?;
    let (code_hash, rest) = item(rest)?;
    if !rest.is_empty() {
        return Err(NotProven::Malformed);
    }
    let nonce = integer(nonce)?;
    let high = nonce[..24].iter().any(|byte| *byte != 0);
    let low: [u8; 8] = nonce[24..].try_into().map_err(|_| NotProven::Malformed)?;
    if high {
        return Err(NotProven::Malformed);
    }
    Ok(Some(Account {
        nonce: u64::from_be_bytes(low),
        storage_root: hash(storage_root)?,
        code_hash: hash(code_hash)?,
    }))
}

/// The value of a slot under `storage_root`; zero where the proof shows that nothing is stored.
pub fn verify_slot(storage_root: &Hash, proof: &SlotProof) -> Result<[u8; 32], NotProven> {
    match lookup(storage_root, &keccak256(&[&proof.key]), &proof.nodes)? {
        None => Ok([0; 32]),
        Some(leaf) => {
            let (value, rest) = item(leaf)?;
            if rest.is_empty() { integer(value) } else { Err(NotProven::Malformed) }
        }
    }
}

/// What `nodes` show at `key` in the trie of `root`: a value, or that there is none.
fn lookup<'a>(
    root: &Hash,
    key: &Hash,
    nodes: &'a [alloc::vec::Vec<u8>],
) -> Result<Option<&'a [u8]>, NotProven> {
    if nodes.len() > NODES_MAX || nodes.iter().any(|node| node.len() > NODE_BYTES_MAX) {
        return Err(NotProven::TooLong);
    }
    let mut nodes = nodes.iter();
    if *root == EMPTY_ROOT {
        return if nodes.next().is_none() { Ok(None) } else { Err(NotProven::Surplus) };
    }
    let mut wanted = *root;
    let mut depth = 0;
    let value = 'hashed: loop {
        let node = nodes.next().ok_or(NotProven::Incomplete)?;
        if keccak256(&[node]) != wanted {
            return Err(NotProven::WrongNode);
        }
        let (mut at, rest) = item(node)?;
        if !rest.is_empty() {
            return Err(NotProven::Malformed);
        }
        // A child shorter than a hash stands inside its parent: go on without another node.
        loop {
            let child = match step(at, key, &mut depth)? {
                Step::Absent => break 'hashed None,
                Step::Value(value) => break 'hashed Some(value),
                Step::Child(child) => child,
            };
            if child.list {
                at = child;
            } else if child.payload.is_empty() {
                break 'hashed None;
            } else {
                wanted = hash(child)?;
                continue 'hashed;
            }
        }
    };
    if nodes.next().is_some() { Err(NotProven::Surplus) } else { Ok(value) }
}

enum Step<'a> {
    Absent,
    Value(&'a [u8]),
    Child(Item<'a>),
}

/// One node further along `key`, of whose nibbles `depth` are behind us.
fn step<'a>(node: Item<'a>, key: &Hash, depth: &mut usize) -> Result<Step<'a>, NotProven> {
    if !node.list {
        return Err(NotProven::Malformed);
    }
    let mut items = [Item::EMPTY; 17];
    let (mut count, mut rest) = (0, node.payload);
    while !rest.is_empty() {
        let slot = items.get_mut(count).ok_or(NotProven::Malformed)?;
        (*slot, rest) = item(rest)?;
        count += 1;
    }
    match count {
        17 => {
            let nibble = nibble(key, *depth).ok_or(NotProven::Malformed)?;
            *depth += 1;
            // Keys all have one length, so no value ends at a branch.
            if items[16].list || !items[16].payload.is_empty() {
                return Err(NotProven::Malformed);
            }
            Ok(Step::Child(items[usize::from(nibble)]))
        }
        2 => {
            let (path, next) = (items[0], items[1]);
            let first = *path.payload.first().ok_or(NotProven::Malformed)?;
            let (leaf, odd) = match first >> 4 {
                0 if first & 15 == 0 => (false, 0),
                1 => (false, 1),
                2 if first & 15 == 0 => (true, 0),
                3 => (true, 1),
                _ => return Err(NotProven::Malformed),
            };
            if path.list {
                return Err(NotProven::Malformed);
            }
            let nibbles = 2 * (path.payload.len() - 1) + odd;
            if leaf && next.list {
                return Err(NotProven::Malformed);
            }
            for index in 0..nibbles {
                // An even path starts behind the flag byte, an odd one with the flag byte's low half.
                let at = index + 2 - odd;
                let byte = *path.payload.get(at / 2).ok_or(NotProven::Malformed)?;
                let wanted = if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
                if nibble(key, *depth + index) != Some(wanted) {
                    return Ok(Step::Absent);
                }
            }
            *depth += nibbles;
            match (leaf, *depth) {
                (true, 64) => Ok(Step::Value(next.payload)),
                (false, ..64) if nibbles > 0 => Ok(Step::Child(next)),
                _ => Err(NotProven::Malformed),
            }
        }
        _ => Err(NotProven::Malformed),
    }
}

fn nibble(key: &Hash, index: usize) -> Option<u8> {
    let byte = key.get(index / 2)?;
    Some(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// One RLP item.
#[derive(Clone, Copy)]
struct Item<'a> {
    list: bool,
    payload: &'a [u8],
}

impl Item<'_> {
    const EMPTY: Self = Item { list: false, payload: &[] };
}

/// Splits the first RLP item off `bytes`. Only the shortest encoding is an item.
fn item(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), NotProven> {
    let split = |rest: &'_ [u8], len: usize| -> Option<(usize, usize)> {
        (rest.len() >= len).then_some((bytes.len() - rest.len(), len))
    };
    let parse = || -> Option<(bool, usize, usize)> {
        let (first, rest) = bytes.split_first()?;
        let list = *first >= 0xc0;
        let base = if list { 0xc0 } else { 0x80 };
        if *first < 0x80 {
            return Some((false, 0, 1));
        }
        let short = usize::from(first - base);
        if short <= 55 {
            let (start, len) = split(rest, short)?;
            let lone = !list && len == 1 && rest[0] < 0x80;
            return (!lone).then_some((list, start, len));
        }
        let width = short - 55;
        let (len, rest) = rest.split_at_checked(width)?;
        // Nodes are bounded, so a length never takes more than two bytes.
        let len = match len {
            [low] => usize::from(*low),
            [high, low] if *high != 0 => usize::from(*high) << 8 | usize::from(*low),
            _ => return None,
        };
        let (start, len) = split(rest, len)?;
        (len > 55).then_some((list, start, len))
    };
    let (list, start, len) = parse().ok_or(NotProven::Malformed)?;
    let (head, rest) = bytes.split_at_checked(start + len).ok_or(NotProven::Malformed)?;
    let payload = head.get(start..).ok_or(NotProven::Malformed)?;
    Ok((Item { list, payload }, rest))
}

fn hash(item: Item<'_>) -> Result<Hash, NotProven> {
    if item.list {
        return Err(NotProven::Malformed);
    }
    item.payload.try_into().map_err(|_| NotProven::Malformed)
}

/// An RLP integer as a 32-byte word.
fn integer(item: Item<'_>) -> Result<[u8; 32], NotProven> {
    let len = item.payload.len();
    if item.list || len > 32 || item.payload.first() == Some(&0) {
        return Err(NotProven::Malformed);
    }
    let mut word = [0; 32];
    word[32 - len..].copy_from_slice(item.payload);
    Ok(word)
}
