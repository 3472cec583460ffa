//! Writes a trie in memory to rows of the store: new nodes get a number, and nodes that are no longer part of
//! the trie are listed, so that they are removed when their heights are no longer read at.

use super::node::{Child, Kind, Link, Node, StoredNode};
use super::nodes::{NodeFault, Nodes};
use super::row;
use super::trie::Trie;
use alloy_primitives::map::HashSet;
use std::sync::Arc;

/// What a commit adds to the store.
#[derive(Debug)]
pub(super) struct Written {
    /// Rows by number, ascending: they go to the end of their table.
    pub(super) rows: Vec<(u64, Vec<u8>)>,
    fresh: Vec<(u64, Arc<Node>)>,
    /// Rows of earlier commits directly beneath new ones.
    kept: HashSet<u64>,
    /// The number of the next node.
    pub(super) next: u64,
}

impl Written {
    pub(super) fn new(next: u64) -> Self {
        Self { rows: Vec::new(), fresh: Vec::new(), kept: HashSet::default(), next }
    }

    /// Gives every new node of the trie a number and a row. Returns the same trie with all nodes stored.
    pub(super) fn trie(&mut self, trie: &Trie) -> Trie {
        Trie(self.link(&trie.0))
    }

    fn link(&mut self, link: &Link) -> Link {
        link.as_ref().map(|child| self.far(child))
    }

    fn far(&mut self, child: &Child) -> Child {
        let node = match child {
            Child::Stored(far) => {
                self.kept.insert(far.id);
                return child.clone();
            }
            Child::InMemory(node) => node,
        };
        let reference = node.reference().clone();
        if let Some(id) = node.id.get() {
            // Written for the parent block, on whose trie this one was built before it was final.
            self.kept.insert(*id);
            return Child::Stored(StoredNode { id: *id, reference });
        }
        let settled = Node::from(self.kind(&node.kind));
        let id = self.next;
        self.next += 1;
        self.rows.push((id, row::write(&settled.kind)));
        let _ = settled.reference.set(reference.clone());
        for node in [&settled, node] {
            let _ = node.id.set(id);
        }
        self.fresh.push((id, Arc::new(settled)));
        Child::Stored(StoredNode { id, reference })
    }

    fn kind(&mut self, kind: &Kind) -> Kind {
        match kind {
            Kind::Leaf { path, value, below } => {
                Kind::Leaf { path: *path, value: value.clone(), below: self.link(below) }
            }
            Kind::Extension { path, child } => Kind::Extension { path: *path, child: self.far(child) },
            Kind::Branch { children } => Kind::Branch { children: children.map(|child| self.child(child)) },
        }
    }

    /// A leaf stays inside its branch.
    fn child(&mut self, child: &Child) -> Child {
        match child {
            Child::InMemory(node) => match &node.kind {
                Kind::Leaf { below: None, .. } => child.clone(),
                Kind::Leaf { below: Some(Child::Stored(storage)), .. } => {
                    self.kept.insert(storage.id);
                    child.clone()
                }
                Kind::Leaf { .. } => {
                    let leaf = Node::from(self.kind(&node.kind));
                    let _ = leaf.reference.set(node.reference().clone());
                    Child::InMemory(Arc::new(leaf))
                }
                _ => self.far(child),
            },
            Child::Stored(_) => self.far(child),
        }
    }

    /// Numbers of the nodes of `before`, which is on disk, that the new trie has no more.
    pub(super) fn stale(&self, nodes: &Nodes, before: &Trie) -> Result<Vec<u64>, NodeFault> {
        let mut stale = Vec::new();
        let mut left: Vec<Child> = before.0.iter().cloned().collect();
        while let Some(child) = left.pop() {
            let node = match &child {
                Child::InMemory(leaf) => leaf.clone(),
                Child::Stored(far) if self.kept.contains(&far.id) => continue,
                Child::Stored(far) => {
                    stale.push(far.id);
                    nodes.load(far)?
                }
            };
            match &node.kind {
                Kind::Leaf { below, .. } => left.extend(below.clone()),
                Kind::Extension { child, .. } => left.push(child.clone()),
                Kind::Branch { children } => {
                    // Most children are kept; only the others are copied.
                    let gone = |child: &&Child| match child {
                        Child::Stored(far) => !self.kept.contains(&far.id),
                        Child::InMemory(leaf) => matches!(&leaf.kind, Kind::Leaf { below: Some(_), .. }),
                    };
                    left.extend(children.values().filter(gone).cloned());
                }
            }
        }
        stale.sort_unstable();
        Ok(stale)
    }

    /// Caches the written nodes: they are read next.
    pub(super) fn remember(self, nodes: &Nodes) {
        for (id, node) in self.fresh {
            nodes.remember(id, node);
        }
    }
}

#[cfg(test)]
mod tests;
