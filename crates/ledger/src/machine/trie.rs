//! A persistent Merkle-Patricia trie over 32-byte keys. Clones share nodes, so every block keeps its own
//! trie at the cost of the paths it changed; a node's hash is computed once. What a block changed is in
//! memory until the block is final; everything else is on disk and loaded through [`Nodes`].

use super::node::{Child, Children, Kind, Link, Node};
use super::nodes::{NodeFault, Nodes};
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use std::sync::Arc;

#[cfg(test)]
mod tests;

type Result<T> = std::result::Result<T, NodeFault>;

/// The trie. Its keys are hashes (of addresses, of slots), so their length is always 32 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trie(pub(super) Link);

impl Child {
    pub(super) fn load(&self, nodes: &Nodes) -> Result<Arc<Node>> {
        match self {
            Self::InMemory(node) => Ok(node.clone()),
            Self::Stored(far) => nodes.load(far),
        }
    }

    /// The node, ready to be changed.
    fn edit(&mut self, nodes: &Nodes) -> Result<&mut Node> {
        if let Self::Stored(far) = self {
            *self = Self::InMemory(Arc::new(Node::clone(&*nodes.load(far)?)));
        }
        let Self::InMemory(arc) = self else { unreachable!("made so two lines above") };
        let node = Arc::make_mut(arc);
        node.reset();
        Ok(node)
    }
}

impl Trie {
    /// Applies `read` to the value stored under `key` and the trie below it.
    pub(super) fn get<T>(
        &self,
        nodes: &Nodes,
        key: &B256,
        read: impl FnOnce(&[u8], &Link) -> T,
    ) -> Result<Option<T>> {
        let key = Nibbles::unpack_array(&key.0);
        let Some(root) = &self.0 else { return Ok(None) };
        let (mut at, mut depth) = (root.load(nodes)?, 0);
        loop {
            let next = match &at.kind {
                Kind::Leaf { path, value, below } => {
                    return Ok((key.slice(depth..) == *path).then(|| read(value, below)));
                }
                Kind::Extension { path, child } => {
                    if !key.slice(depth..).starts_with(path) {
                        return Ok(None);
                    }
                    depth += path.len();
                    child
                }
                Kind::Branch { children } => {
                    let nibble = key.get_unchecked(depth);
                    depth += 1;
                    match children.get(nibble) {
                        Some(child) => child,
                        None => return Ok(None),
                    }
                }
            };
            at = next.load(nodes)?;
        }
    }

    /// Stores `value`, which must not be empty, and the trie `below` it, under `key`.
    pub(super) fn set(&mut self, nodes: &Nodes, key: &B256, value: Vec<u8>, below: Link) -> Result<()> {
        set(nodes, &mut self.0, Nibbles::unpack_array(&key.0), (value, below))
    }

    /// Removes `key`.
    pub(super) fn remove(&mut self, nodes: &Nodes, key: &B256) -> Result<()> {
        // Looked up first: removing what is absent must not copy a path.
        if self.get(nodes, key, |_, _| ())?.is_some() {
            remove(nodes, &mut self.0, Nibbles::unpack_array(&key.0))?;
        }
        Ok(())
    }

    /// The root hash, as Ethereum defines it.
    pub(super) fn root(&self) -> B256 {
        match &self.0 {
            None => EMPTY_ROOT_HASH,
            Some(root) => {
                let reference = root.reference();
                reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
            }
        }
    }

    /// Number and hash of the root node, where it is on disk.
    pub(super) fn stored_root(&self) -> Option<(u64, B256)> {
        match &self.0 {
            Some(Child::Stored(far)) => Some((far.id, self.root())),
            _ => None,
        }
    }

    /// RLP of the nodes from the root to `key`, or to the place where it is absent (EIP-1186).
    pub(super) fn prove(&self, nodes: &Nodes, key: &B256) -> Result<Vec<Vec<u8>>> {
        let key = Nibbles::unpack_array(&key.0);
        let (mut proof, mut depth) = (Vec::new(), 0);
        let mut link = self.0.clone();
        while let Some(child) = link {
            let node = child.load(nodes)?;
            // A node shorter than a hash is part of its parent and is not repeated.
            if proof.is_empty() || child.reference().is_hash() {
                proof.push(node.encode());
            }
            link = match &node.kind {
                Kind::Leaf { .. } => None,
                Kind::Extension { path, child } => {
                    let on_path = key.slice(depth..).starts_with(path);
                    depth += path.len();
                    on_path.then(|| child.clone())
                }
                Kind::Branch { children } => {
                    let child = key.get(depth).and_then(|nibble| children.get(nibble).cloned());
                    depth += 1;
                    child
                }
            };
        }
        Ok(proof)
    }
}

type Value = (Vec<u8>, Link);

fn near(kind: Kind) -> Child {
    Child::InMemory(Arc::new(kind.into()))
}

fn leaf(path: Nibbles, (value, below): Value) -> Child {
    near(Kind::Leaf { path, value, below })
}

/// `child` after `path`, merged with it where two paths meet.
fn behind(nodes: &Nodes, path: Nibbles, child: Child) -> Result<Child> {
    if path.is_empty() {
        return Ok(child);
    }
    Ok(near(match &child.load(nodes)?.kind {
        Kind::Leaf { path: rest, value, below } => {
            Kind::Leaf { path: path.join(rest), value: value.clone(), below: below.clone() }
        }
        Kind::Extension { path: rest, child } => {
            Kind::Extension { path: path.join(rest), child: child.clone() }
        }
        Kind::Branch { .. } => Kind::Extension { path, child },
    }))
}

/// A branch after the `common` first nibbles of two paths that differ at the next one.
fn fork(common: Nibbles, one: (u8, Child), other: (u8, Child)) -> Child {
    let mut children = Children::with_capacity(2);
    children.put(one.0, one.1);
    children.put(other.0, other.1);
    let branch = near(Kind::Branch { children });
    if common.is_empty() { branch } else { near(Kind::Extension { path: common, child: branch }) }
}

fn set(nodes: &Nodes, link: &mut Link, key: Nibbles, value: Value) -> Result<()> {
    match link {
        Some(child) => set_below(nodes, child, key, value),
        None => {
            *link = Some(leaf(key, value));
            Ok(())
        }
    }
}

fn set_below(nodes: &Nodes, at: &mut Child, key: Nibbles, new: Value) -> Result<()> {
    let replaced = match &mut at.edit(nodes)?.kind {
        Kind::Branch { children } => {
            let nibble = key.get_unchecked(0);
            return match children.get_mut(nibble) {
                Some(child) => set_below(nodes, child, key.slice(1..), new),
                None => {
                    children.put(nibble, leaf(key.slice(1..), new));
                    Ok(())
                }
            };
        }
        Kind::Leaf { path, value, below } if *path == key => {
            (*value, *below) = new;
            return Ok(());
        }
        Kind::Leaf { path, value, below } => {
            let common = path.common_prefix_length(&key);
            let old = leaf(path.slice(common + 1..), (std::mem::take(value), below.take()));
            let new = leaf(key.slice(common + 1..), new);
            let (old_at, new_at) = (path.get_unchecked(common), key.get_unchecked(common));
            fork(key.slice(..common), (old_at, old), (new_at, new))
        }
        Kind::Extension { path, child } => {
            let common = path.common_prefix_length(&key);
            if common == path.len() {
                return set_below(nodes, child, key.slice(common..), new);
            }
            let old = behind(nodes, path.slice(common + 1..), child.clone())?;
            let new = leaf(key.slice(common + 1..), new);
            let (old_at, new_at) = (path.get_unchecked(common), key.get_unchecked(common));
            fork(key.slice(..common), (old_at, old), (new_at, new))
        }
    };
    *at = replaced;
    Ok(())
}

/// Removes `key`, which is present.
fn remove(nodes: &Nodes, link: &mut Link, key: Nibbles) -> Result<()> {
    let Some(at) = link else { return Ok(()) };
    let left = match &mut at.edit(nodes)?.kind {
        Kind::Leaf { .. } => None,
        Kind::Extension { path, child } => {
            let (path, mut below) = (*path, Some(child.clone()));
            // Drops this node's reference first, so that the child is changed in place where it can be.
            *link = None;
            remove(nodes, &mut below, key.slice(path.len()..))?;
            match below {
                Some(child) => Some(behind(nodes, path, child)?),
                None => None,
            }
        }
        Kind::Branch { children } => {
            let nibble = key.get_unchecked(0);
            let mut below = children.take(nibble);
            remove(nodes, &mut below, key.slice(1..))?;
            if let Some(child) = below {
                children.put(nibble, child);
            }
            match children.take_only() {
                Some((nibble, child)) => Some(behind(nodes, Nibbles::from_nibbles([nibble]), child)?),
                None if children.len() > 1 => return Ok(()),
                None => None,
            }
        }
    };
    *link = left;
    Ok(())
}
