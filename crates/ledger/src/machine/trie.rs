//! A persistent Merkle-Patricia trie over 32-byte keys. Clones share nodes, so every block keeps its own
//! trie for the price of the paths it changed; a node's hash is computed once.

use alloy_primitives::{B256, keccak256};
use alloy_trie::nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieMask};
use std::sync::{Arc, OnceLock};

#[cfg(test)]
mod tests;

/// Enough for the largest node: a branch of sixteen hashes.
const NODE_BYTES: usize = 532;

/// The trie. Its keys are hashes (of addresses, of slots), so their length is always 32 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trie(Link);

type Link = Option<Arc<Node>>;

#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    /// The node's reference in its parent, once computed; forgotten by every change beneath.
    reference: OnceLock<RlpNode>,
}

#[derive(Debug, Clone)]
enum Kind {
    Leaf { path: Nibbles, value: Vec<u8> },
    Extension { path: Nibbles, child: Arc<Node> },
    Branch { kids: [Link; 16] },
}

impl From<Kind> for Node {
    fn from(kind: Kind) -> Self {
        Self { kind, reference: OnceLock::new() }
    }
}

impl Trie {
    /// The value stored under `key`.
    pub(crate) fn get(&self, key: &B256) -> Option<&[u8]> {
        let key = Nibbles::unpack_array(&key.0);
        let (mut at, mut depth) = (self.0.as_deref()?, 0);
        loop {
            match &at.kind {
                Kind::Leaf { path, value } => {
                    return (key.slice(depth..) == *path).then_some(value.as_slice());
                }
                Kind::Extension { path, child } => {
                    if !key.slice(depth..).starts_with(path) {
                        return None;
                    }
                    depth += path.len();
                    at = child;
                }
                Kind::Branch { kids } => {
                    at = kids[usize::from(key.get(depth)?)].as_deref()?;
                    depth += 1;
                }
            }
        }
    }

    /// Stores `value`, which must not be empty, under `key`.
    pub(crate) fn set(&mut self, key: &B256, value: Vec<u8>) {
        set(&mut self.0, Nibbles::unpack_array(&key.0), value);
    }

    /// Forgets `key`.
    pub(crate) fn remove(&mut self, key: &B256) {
        // Looked up first: removing what is absent must not copy a path.
        if self.get(key).is_some() {
            remove(&mut self.0, Nibbles::unpack_array(&key.0));
        }
    }

    /// The root hash, as Ethereum defines it.
    pub(crate) fn root(&self) -> B256 {
        match &self.0 {
            None => EMPTY_ROOT_HASH,
            Some(node) => {
                let reference = node.reference();
                reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
            }
        }
    }

    /// RLP of the nodes from the root to `key`, or to the place where it is absent (EIP-1186).
    pub(crate) fn prove(&self, key: &B256) -> Vec<Vec<u8>> {
        let key = Nibbles::unpack_array(&key.0);
        let (mut proof, mut depth) = (Vec::new(), 0);
        let mut link = self.0.as_deref();
        while let Some(node) = link {
            // A node shorter than a hash stands inside its parent and is not repeated.
            if proof.is_empty() || node.reference().is_hash() {
                proof.push(node.encode());
            }
            link = match &node.kind {
                Kind::Leaf { .. } => None,
                Kind::Extension { path, child } => {
                    let on_path = key.slice(depth..).starts_with(path);
                    depth += path.len();
                    on_path.then_some(&**child)
                }
                Kind::Branch { kids } => {
                    let kid = key.get(depth).and_then(|nibble| kids[usize::from(nibble)].as_deref());
                    depth += 1;
                    kid
                }
            };
        }
        proof
    }
}

impl Node {
    fn reference(&self) -> &RlpNode {
        self.reference.get_or_init(|| RlpNode::from_rlp(&self.encode()))
    }

    fn encode(&self) -> Vec<u8> {
        let mut rlp = Vec::with_capacity(NODE_BYTES);
        match &self.kind {
            Kind::Leaf { path, value } => {
                LeafNodeRef::new(path, value).rlp(&mut rlp);
            }
            Kind::Extension { path, child } => {
                ExtensionNodeRef::new(path, child.reference().as_slice()).rlp(&mut rlp);
            }
            Kind::Branch { kids } => {
                let (mut stack, mut mask) = (Vec::with_capacity(16), TrieMask::default());
                for (nibble, kid) in (0u8..).zip(kids) {
                    if let Some(kid) = kid {
                        stack.push(kid.reference().clone());
                        mask.set_bit(nibble);
                    }
                }
                BranchNodeRef::new(&stack, mask).rlp(&mut rlp);
            }
        }
        rlp
    }
}

fn leaf(path: Nibbles, value: Vec<u8>) -> Arc<Node> {
    Arc::new(Kind::Leaf { path, value }.into())
}

/// `child` behind `path`, merged with it where two paths meet.
fn behind(path: Nibbles, child: Arc<Node>) -> Arc<Node> {
    if path.is_empty() {
        return child;
    }
    let kind = match &child.kind {
        Kind::Leaf { path: rest, value } => Kind::Leaf { path: path.join(rest), value: value.clone() },
        Kind::Extension { path: rest, child } => {
            Kind::Extension { path: path.join(rest), child: child.clone() }
        }
        Kind::Branch { .. } => Kind::Extension { path, child },
    };
    Arc::new(kind.into())
}

/// A branch behind the `common` first nibbles of two paths that differ at the next one.
fn fork(common: Nibbles, one: (u8, Arc<Node>), other: (u8, Arc<Node>)) -> Arc<Node> {
    let mut kids: [Link; 16] = Default::default();
    kids[usize::from(one.0)] = Some(one.1);
    kids[usize::from(other.0)] = Some(other.1);
    behind(common, Arc::new(Kind::Branch { kids }.into()))
}

fn set(link: &mut Link, key: Nibbles, value: Vec<u8>) {
    match link {
        Some(node) => set_below(node, key, value),
        None => *link = Some(leaf(key, value)),
    }
}

fn set_below(arc: &mut Arc<Node>, key: Nibbles, new: Vec<u8>) {
    let node = Arc::make_mut(arc);
    node.reference.take();
    let replaced = match &mut node.kind {
        Kind::Branch { kids } => {
            return set(&mut kids[usize::from(key.get_unchecked(0))], key.slice(1..), new);
        }
        Kind::Leaf { path, value } if *path == key => {
            *value = new;
            return;
        }
        Kind::Leaf { path, value } => {
            let common = path.common_prefix_length(&key);
            let old = leaf(path.slice(common + 1..), std::mem::take(value));
            let new = leaf(key.slice(common + 1..), new);
            let at = (path.get_unchecked(common), key.get_unchecked(common));
            fork(key.slice(..common), (at.0, old), (at.1, new))
        }
        Kind::Extension { path, child } => {
            let common = path.common_prefix_length(&key);
            if common == path.len() {
                return set_below(child, key.slice(common..), new);
            }
            let old = behind(path.slice(common + 1..), child.clone());
            let new = leaf(key.slice(common + 1..), new);
            let at = (path.get_unchecked(common), key.get_unchecked(common));
            fork(key.slice(..common), (at.0, old), (at.1, new))
        }
    };
    *arc = replaced;
}

/// Removes `key`, which is present.
fn remove(link: &mut Link, key: Nibbles) {
    let Some(arc) = link else { return };
    let node = Arc::make_mut(arc);
    node.reference.take();
    *link = match &mut node.kind {
        Kind::Leaf { .. } => None,
        Kind::Extension { path, child } => {
            let (path, mut below) = (*path, Some(child.clone()));
            // Drops this node's reference first, so that the child is changed in place where it can be.
            *link = None;
            remove(&mut below, key.slice(path.len()..));
            below.map(|child| behind(path, child))
        }
        Kind::Branch { kids } => {
            remove(&mut kids[usize::from(key.get_unchecked(0))], key.slice(1..));
            let mut live = (0u8..).zip(kids.iter_mut()).filter(|(_, kid)| kid.is_some());
            match (live.next(), live.next()) {
                (Some((nibble, kid)), None) => {
                    kid.take().map(|kid| behind(Nibbles::from_nibbles([nibble]), kid))
                }
                (Some(_), Some(_)) => return,
                (None, _) => None,
            }
        }
    };
}
