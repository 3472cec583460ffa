//! A Merkle-Patricia trie just large enough to prove things in tests: all keys are hashed, so all
//! have 64 nibbles.

use std::{collections::BTreeMap, vec, vec::Vec};
use vitals::ids::Hash;
use vitals::proof::state::{EMPTY_ROOT, keccak256};

/// Entries by the nibbles of their hashed key.
#[derive(Debug, Clone, Default)]
pub struct Trie(BTreeMap<Vec<u8>, Vec<u8>>);

type Entries<'a> = &'a [(&'a [u8], &'a [u8])];

impl Trie {
    pub fn insert(&mut self, key: &[u8], value: Vec<u8>) {
        self.0.insert(nibbles(key), value);
    }

    pub fn root(&self) -> Hash {
        if self.0.is_empty() { EMPTY_ROOT } else { keccak256(&[&encode(&self.entries(), 0)]) }
    }

    /// The nodes from the root towards `key`.
    pub fn prove(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let mut nodes = Vec::new();
        if !self.0.is_empty() {
            walk(&self.entries(), 0, &nibbles(key), &mut nodes);
        }
        nodes
    }

    fn entries(&self) -> Vec<(&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect()
    }
}

fn nibbles(key: &[u8]) -> Vec<u8> {
    keccak256(&[key]).iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

fn shared(entries: Entries<'_>, depth: usize) -> usize {
    let (first, last) = (entries[0].0, entries[entries.len() - 1].0);
    first[depth..].iter().zip(&last[depth..]).take_while(|(a, b)| a == b).count()
}

fn child<'a>(entries: Entries<'a>, depth: usize, nibble: u8) -> Entries<'a> {
    let from = entries.partition_point(|(key, _)| key[depth] < nibble);
    let to = entries.partition_point(|(key, _)| key[depth] <= nibble);
    &entries[from..to]
}

fn encode(entries: Entries<'_>, depth: usize) -> Vec<u8> {
    if let [(key, value)] = entries {
        return list(&[string(&path(&key[depth..], true)), string(value)]);
    }
    let same = shared(entries, depth);
    if same > 0 {
        let prefix = path(&entries[0].0[depth..depth + same], false);
        return list(&[string(&prefix), reference(entries, depth + same)]);
    }
    let mut items: Vec<Vec<u8>> = (0..16)
        .map(|nibble| match child(entries, depth, nibble) {
            [] => string(&[]),
            below => reference(below, depth + 1),
        })
        .collect();
    items.push(string(&[]));
    list(&items)
}

fn reference(entries: Entries<'_>, depth: usize) -> Vec<u8> {
    let node = encode(entries, depth);
    if node.len() < 32 { node } else { string(&keccak256(&[&node])) }
}

fn walk(entries: Entries<'_>, depth: usize, key: &[u8], nodes: &mut Vec<Vec<u8>>) {
    let node = encode(entries, depth);
    if depth == 0 || node.len() >= 32 {
        nodes.push(node);
    }
    if entries.len() == 1 {
        return;
    }
    let same = shared(entries, depth);
    if same > 0 {
        if entries[0].0[depth..depth + same] == key[depth..depth + same] {
            walk(entries, depth + same, key, nodes);
        }
        return;
    }
    match child(entries, depth, key[depth]) {
        [] => {}
        below => walk(below, depth + 1, key, nodes),
    }
}

fn path(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 2 } else { 0 };
    let mut padded = if nibbles.len() % 2 == 1 { vec![flag | 1] } else { vec![flag, 0] };
    padded.extend_from_slice(nibbles);
    padded.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [low] if *low < 0x80 => vec![*low],
        _ => [head(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    [head(0xc0, payload.len()), payload].concat()
}

fn head(base: u8, len: usize) -> Vec<u8> {
    let be = u32::try_from(len).unwrap().to_be_bytes();
    match len {
        0..=55 => vec![base + be[3]],
        56..=255 => vec![base + 56, be[3]],
        _ => vec![base + 57, be[2], be[3]],
    }
}

/// The shortest big-endian form of a word, as RLP.
pub fn integer(word: &[u8]) -> Vec<u8> {
    let zeros = word.iter().take_while(|byte| **byte == 0).count();
    string(&word[zeros..])
}
