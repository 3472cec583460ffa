//! The state at a final height, for a node that joins late. A snapshot is the state trie's nodes in order
//! (each before its children, an account's storage and code after it), cut into chunks.
//!
//! The importer begins with a certified header and always has the hash of the next item before it arrives:
//! the header names the root, every node its children, every account its storage and code. So a damaged,
//! truncated, misplaced or invented item is refused on arrival, and chunks may come from different nodes.
//! Every chunk is durable when it was taken. The file becomes a ledger only with the last one.

mod import;
mod item;

pub use import::{Import, forget, holds_a_ledger};
pub use item::Place;

use super::node::{Child, Node, StoredNode};
use super::nodes::Nodes;
use super::row;
use super::tables::StoreError;
use super::view::View;
use item::{Item, What};
use std::io;
use std::sync::Arc;

/// Longest chunk. Larger than the largest item: a contract's code.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Why a snapshot is not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder cannot be used.
    #[error("the snapshot's file cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The folder already holds a ledger.
    #[error("the folder holds a ledger already; a snapshot begins a new one")]
    Occupied,
    /// The document is not one this build can run.
    #[error(transparent)]
    Genesis(#[from] crate::genesis::GenesisError),
    /// The state has nothing at this place.
    #[error("the state has nothing at the place the snapshot is asked to go on from")]
    NoSuchPlace,
    /// The chunk is not what comes next in the certified state: ask another node.
    #[error("item {item} of the chunk {why}")]
    Refused {
        /// Its place in the chunk.
        item: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The last chunk has not come.
    #[error("the snapshot is not complete")]
    Incomplete,
}

/// The items of the state from `place` on, as many as fit into `bytes_max` (at most
/// [`CHUNK_BYTES_MAX`]). The same bytes on every node that keeps this height.
///
/// # Errors
/// If the state has nothing at that place, or the store fails.
pub fn export(view: &View, place: &Place, bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
    Ok(export_on(view, place, bytes_max)?.0)
}

/// [`export`], and the place after it; none at the end.
///
/// # Errors
/// As [`export`].
pub fn export_on(
    view: &View,
    place: &Place,
    bytes_max: usize,
) -> Result<(Vec<u8>, Option<Place>), SnapshotError> {
    let (state, bytes_max) = (view.state(), bytes_max.min(CHUNK_BYTES_MAX));
    let nodes = state.nodes();
    let mut left = match &state.accounts().0 {
        Some(Child::Stored(root)) => vec![Item::root(root.clone())],
        _ => return Err(SnapshotError::NoSuchPlace),
    };
    let (mut chunk, mut found, mut next) = (Vec::new(), false, None);
    while let Some(item) = left.pop() {
        found |= item.place == place.0;
        if !found && !place.0.starts_with(&item.place) {
            if item.place < place.0 {
                continue;
            }
            return Err(SnapshotError::NoSuchPlace);
        }
        let start = chunk.len();
        match &item.what {
            What::Node(far) => {
                let node = load(nodes, far)?;
                if found {
                    row::write_bare(&node.kind, &mut chunk);
                }
                let next = item.next(&node.kind).map_err(StoreError::Damaged)?;
                left.extend(next.into_iter().rev());
            }
            What::Code(hash) => {
                let code = nodes.code(hash).map_err(StoreError::from)?;
                let code = code.original_byte_slice();
                chunk.extend_from_slice(&u32::try_from(code.len()).unwrap_or(u32::MAX).to_be_bytes());
                chunk.extend_from_slice(code);
            }
        }
        if start > 0 && chunk.len() > bytes_max {
            chunk.truncate(start);
            next = Some(Place(item.place));
            break;
        }
    }
    if found { Ok((chunk, next)) } else { Err(SnapshotError::NoSuchPlace) }
}

fn load(nodes: &Nodes, far: &StoredNode) -> Result<Arc<Node>, StoreError> {
    Ok(nodes.load(far)?)
}
