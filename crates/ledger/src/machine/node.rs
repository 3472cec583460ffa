//! The nodes of a Merkle-Patricia trie and their hashes.

mod children;

pub(super) use children::Children;

use alloy_rlp::{EMPTY_STRING_CODE, Header};
use alloy_trie::Nibbles;
use alloy_trie::nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode};
use std::sync::{Arc, OnceLock};

/// Places of a branch: sixteen children, and a value that keys of one length never have.
const BRANCH_PLACES: usize = 17;
/// Enough for the path and the lengths of a leaf or an extension.
const PATH_BYTES_MAX: usize = 48;

pub(super) type Link = Option<Child>;

/// A child of a node.
#[derive(Debug, Clone)]
pub(super) enum Child {
    /// Changed by a block that is not final yet; or a leaf, which is kept inside the branch above it.
    InMemory(Arc<Node>),
    /// On disk.
    Stored(StoredNode),
}

/// A node on disk.
#[derive(Debug, Clone)]
pub(super) struct StoredNode {
    /// Its number in this store; no two nodes that were ever written share one.
    pub(super) id: u64,
    /// Its hash, as its parent has it.
    pub(super) reference: RlpNode,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The node's reference in its parent, once computed; cleared by every change beneath.
    pub(super) reference: OnceLock<RlpNode>,
    /// Its number, once it is on disk.
    pub(super) id: OnceLock<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Leaf {
        path: Nibbles,
        value: Vec<u8>,
        /// The account's storage, whose root the value names. Nothing in a storage trie.
        below: Link,
    },
    Extension {
        path: Nibbles,
        child: Child,
    },
    Branch {
        children: Children,
    },
}

impl From<Kind> for Node {
    fn from(kind: Kind) -> Self {
        Self { kind, reference: OnceLock::new(), id: OnceLock::new() }
    }
}

/// A copy is made to be changed: it is no longer the node that was hashed and stored.
impl Clone for Node {
    fn clone(&self) -> Self {
        self.kind.clone().into()
    }
}

impl Child {
    pub(super) fn reference(&self) -> &RlpNode {
        match self {
            Self::InMemory(node) => node.reference(),
            Self::Stored(far) => &far.reference,
        }
    }
}

impl Node {
    pub(super) fn reference(&self) -> &RlpNode {
        self.reference.get_or_init(|| RlpNode::from_rlp(&self.encode()))
    }

    /// Clears the hash and the number: the node is about to be changed.
    pub(super) fn reset(&mut self) {
        self.reference.take();
        self.id.take();
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Leaf { path, value, .. } => {
                let mut rlp = Vec::with_capacity(PATH_BYTES_MAX + value.len());
                LeafNodeRef::new(path, value).rlp(&mut rlp);
                rlp
            }
            Kind::Extension { path, child } => {
                let child = child.reference().as_slice();
                let mut rlp = Vec::with_capacity(PATH_BYTES_MAX + child.len());
                ExtensionNodeRef::new(path, child).rlp(&mut rlp);
                rlp
            }
            Kind::Branch { children } => encode_branch(children),
        }
    }
}

/// References stand in a branch as they are; places without a child are empty strings.
fn encode_branch(children: &Children) -> Vec<u8> {
    let references: usize = children.values().map(|child| child.reference().as_slice().len()).sum();
    let header = Header { list: true, payload_length: references + BRANCH_PLACES - children.len() };
    let mut rlp = Vec::with_capacity(header.length() + header.payload_length);
    header.encode(&mut rlp);
    let mut next = 0;
    for (nibble, child) in children.iter() {
        rlp.resize(rlp.len() + usize::from(nibble - next), EMPTY_STRING_CODE);
        rlp.extend_from_slice(child.reference().as_slice());
        next = nibble + 1;
    }
    rlp.resize(header.length() + header.payload_length, EMPTY_STRING_CODE);
    rlp
}
