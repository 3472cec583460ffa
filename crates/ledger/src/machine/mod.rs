//! The state machine beneath consensus: executes blocks speculatively, commits final ones, and answers reads
//! from the committed tip without waiting for an execution.

pub(crate) mod execute;
mod node;
mod nodes;
mod persist;
mod pins;
mod policy_call;
mod prune;
mod reads;
mod rebuild;
mod receipt;
mod row;
pub mod snapshot;
mod state;
mod store;
mod tables;
mod trie;
mod view;
mod write_buffer;

#[cfg(test)]
pub(crate) mod tests;

pub use consensus::block::{BLOCK_BYTES_MAX, BLOCK_TXS_MAX, TX_BYTES_MAX, list_root};
pub use execute::{BLOCK_GAS_MAX, BlockEnv, CheckedTx, Executed, Invalid, InvalidTx, Snapshot, TX_GAS_MAX};
pub use nodes::{NODE_CACHE_BYTES, NodeFault};
pub use reads::{Call, Called};
pub use receipt::{REVERT_BYTES_MAX, Receipt};
pub(crate) use state::{Flat, State};
pub use store::{FinalBlock, FoundHeights, Kept, Summary};
pub use tables::StoreError;
pub use view::View;

use crate::contracts::Contracts;
use crate::genesis::{self, GenesisError};
use alloy_primitives::Address;
use execute::{Rules, Senders};
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use store::Store;
use vitals::eip712::ConsentDomain;
use vitals::ids::{Genesis, Hash};
use vitals::ledger::{Outcome, Tip};
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;

/// Why the machine does not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The genesis document is not one this build can run.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The store fails or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Consensus delivered a block that does not follow the tip. This must not happen, so the node halts.
    #[error("block {height} does not fit: {why}")]
    Misfit {
        /// Its height.
        height: u64,
        /// What does not fit.
        why: &'static str,
    },
}

/// What is kept, and in how much memory. It never changes what a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Number of latest heights whose state can be read and proven; at least one.
    pub keep_states: u64,
    /// Number of latest heights whose transactions and receipts are kept; `None` keeps all.
    pub keep_bodies: Option<u64>,
    /// Number of latest heights whose headers are kept, at least as many as bodies and states; `None` keeps all.
    /// The headers of epochs' last blocks are kept for ever.
    pub keep_headers: Option<u64>,
    /// Memory for trie nodes.
    pub node_cache_bytes: usize,
    /// Most changed slots and accounts in the write buffer before they are written to the flat state.
    pub write_buffer_changes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_states: KEEP_STATES,
            keep_bodies: None,
            keep_headers: None,
            node_cache_bytes: NODE_CACHE_BYTES,
            write_buffer_changes_max: WRITE_BUFFER_CHANGES_MAX,
        }
    }
}

/// Default of [`Config::write_buffer_changes_max`]: about three megabytes.
pub const WRITE_BUFFER_CHANGES_MAX: usize = 32 * 1024;

/// Default of [`Config::keep_states`].
pub const KEEP_STATES: u64 = 256;

/// The state machine. Clones share everything.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    genesis: Genesis,
    genesis_header: BlockHeader,
    domain: ConsentDomain,
    rules: Rules,
    store: Store,
    keep_states: u64,
    /// Replaced by a commit, which is the only writer and holds the lock only for the replacement.
    view: RwLock<View>,
    committing: Mutex<()>,
}

impl Machine {
    /// Opens the ledger in `dir`, which the caller has locked; a new one is created from `document`.
    /// The root of the state trie must be the one the newest header names; a damaged trie is rebuilt from the
    /// flat state.
    ///
    /// # Errors
    /// If the document is another build's or another ledger's, or the store fails or is damaged.
    pub fn open(dir: &Path, document: &GenesisDocument) -> Result<Self, MachineError> {
        Self::open_with(dir, document, &Config::default())
    }

    /// [`Self::open`] with a configuration.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, document: &GenesisDocument, config: &Config) -> Result<Self, MachineError> {
        Self::on(Store::open(dir, config)?, document, config)
    }

    fn on(store: Store, document: &GenesisDocument, config: &Config) -> Result<Self, MachineError> {
        let genesis = document.hash();
        let (state, flat, contracts) = genesis::state(document)?;
        let domain = ConsentDomain::of(document).ok_or(GenesisError::ContractsMissing)?;
        let genesis_header = genesis::header(document, state.root().0);
        let (state, header) = match store.load(genesis)? {
            Some(stored) => stored,
            None => (store.create_genesis(genesis, &genesis_header, &state, &flat)?, genesis_header.clone()),
        };
        let rules = Rules { chain_id: document.chain_id, contracts, senders: Senders::default() };
        let view = RwLock::new(View::new(tip_of(&header), state, contracts));
        let committing = Mutex::new(());
        let keep_states = config.keep_states;
        Ok(Self(Arc::new(Shared {
            genesis,
            genesis_header,
            domain,
            rules,
            store,
            keep_states,
            view,
            committing,
        })))
    }

    /// The hash of the genesis document, which identifies the ledger.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        self.0.genesis
    }

    /// The header of height 0: its digest is the parent of height 1, its committee the first.
    #[must_use]
    pub fn genesis_header(&self) -> &BlockHeader {
        &self.0.genesis_header
    }

    /// EVM chain id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.0.rules.chain_id
    }

    /// The addresses of the genesis contracts.
    #[must_use]
    pub fn contracts(&self) -> Contracts {
        self.0.rules.contracts
    }

    /// What patients of this ledger sign.
    #[must_use]
    pub fn domain(&self) -> ConsentDomain {
        self.0.domain
    }

    /// The committed tip and its state: a consistent, cheap snapshot to read from.
    #[must_use]
    pub fn view(&self) -> View {
        self.0.view.read().clone()
    }

    /// The committed tip.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.view().tip()
    }

    /// Checks a transaction's form and signature, not its sender's rights or nonce.
    ///
    /// # Errors
    /// If it is invalid, in every state.
    pub fn check(&self, raw: &[u8]) -> Result<CheckedTx, InvalidTx> {
        self.0.rules.check(raw)
    }

    /// Does an active organisation send from this account, in this state?
    #[must_use]
    pub fn may_send(&self, state: &Snapshot, sender: Address) -> bool {
        self.0.rules.may_send(&state.state, sender)
    }

    /// Executes a block on the state of its parent: [`View::snapshot`] of the committed tip, or
    /// [`Executed::snapshot`] of a block that is not final yet. Changes nothing.
    ///
    /// # Errors
    /// If the block is invalid or this node's state damaged: it must not be voted for.
    pub fn execute(
        &self,
        parent: &Snapshot,
        env: BlockEnv,
        txs: &[impl AsRef<[u8]>],
    ) -> Result<Executed, Invalid> {
        self.0.rules.execute(parent, env, txs)
    }

    /// Makes a final block the tip: durable first, then visible. A block already committed is left alone.
    ///
    /// # Errors
    /// If the block does not follow the tip, does not match its execution, or the store fails. After
    /// an error the node must stop: it can no longer follow the chain.
    pub fn commit(
        &self,
        header: &BlockHeader,
        txs: &[impl AsRef<[u8]>],
        executed: &Executed,
    ) -> Result<(), MachineError> {
        self.commit_all(&[FinalBlock { header, transactions: txs, executed }])
    }

    /// Makes final blocks that follow each other part of the chain, in one durable transaction: all of
    /// them or none. A node that catches up pays for one write to disk instead of many. The states
    /// between them cannot be read at afterwards.
    ///
    /// # Errors
    /// As [`Self::commit`]; then none of them is committed.
    pub fn commit_all<T: AsRef<[u8]>>(&self, blocks: &[FinalBlock<'_, T>]) -> Result<(), MachineError> {
        let _one_at_a_time = self.0.committing.lock();
        let mut blocks = blocks;
        while let Some((first, rest)) = blocks.split_first()
            && self.is_committed(first.header.height, &first.header.digest())?
        {
            blocks = rest;
        }
        let Some(last) = blocks.last() else { return Ok(()) };
        let view = self.view();
        let mut tip = view.tip();
        for block in blocks {
            fits(&tip, block).map_err(|why| MachineError::Misfit { height: block.header.height, why })?;
            tip = tip_of(block.header);
        }
        let state = self.0.store.append(blocks, view.state())?;
        let next = view.after(tip_of(last.header), state);
        *self.0.view.write() = next;
        let hashes = blocks.iter().flat_map(|block| block.executed.hashes.iter().copied());
        self.0.rules.senders.forget(hashes);
        Ok(())
    }

    /// The state after one of the latest heights ([`Config::keep_states`]), for as long as the view lives.
    ///
    /// # Errors
    /// If that height's state is not kept, or the store fails.
    pub fn view_at(&self, height: u64) -> Result<View, StoreError> {
        let view = self.view();
        if view.tip().height == height {
            return Ok(view);
        }
        let not_kept = StoreError::NotKept { height, kept: self.0.keep_states };
        // Locked so that nothing is pruned between the read and the pin.
        let _no_commit = self.0.committing.lock();
        let Some(header) = self.header(height)? else { return Err(not_kept) };
        let header = BlockHeader::decode(&header).map_err(|_| StoreError::Damaged("a header"))?;
        let state = self.0.store.state_at(height, header.state_root)?.ok_or(not_kept)?;
        Ok(View::new(tip_of(&header), state, self.0.rules.contracts))
    }

    /// The damage found in the state, if any: nothing read since can be trusted. The next start repairs it.
    #[must_use]
    pub fn fault(&self) -> Option<NodeFault> {
        self.0.store.nodes.fault().cloned()
    }

    /// Memory that trie nodes take, in bytes, and how many were read from disk since the start.
    #[must_use]
    pub fn node_memory(&self) -> (usize, u64) {
        (self.0.store.nodes.bytes(), self.0.store.nodes.reads())
    }

    /// Is this block committed? After a restart consensus may deliver blocks again.
    ///
    /// # Errors
    /// If another block is committed at this height, or the store fails.
    pub fn is_committed(&self, height: u64, digest: &Hash) -> Result<bool, MachineError> {
        if height > self.tip().height {
            return Ok(false);
        }
        match self.0.store.digest(height)? {
            Some(committed) if committed == *digest => Ok(true),
            Some(_) => Err(MachineError::Misfit { height, why: "another block is committed at this height" }),
            // Pruned, or from before the snapshot this ledger began with: final long ago.
            None if height < self.0.store.kept()?.headers => Ok(true),
            None => Err(StoreError::Damaged("a header is missing").into()),
        }
    }

    /// The height of the snapshot this ledger began with here; zero if it began with genesis. This
    /// node never had the blocks up to it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn base(&self) -> Result<u64, StoreError> {
        self.0.store.base()
    }

    /// What is kept of past blocks here.
    ///
    /// # Errors
    /// If the store fails.
    pub fn kept(&self) -> Result<Kept, StoreError> {
        self.0.store.kept()
    }

    /// Header bytes of a committed height; none if it is pruned, or from before the snapshot.
    ///
    /// # Errors
    /// If the store fails.
    pub fn header(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.store.header(height)
    }

    /// Transactions of a committed height, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn transactions(&self, height: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.0.store.transactions(height)
    }

    /// Height and receipt of a committed transaction.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn receipt(&self, transaction: &Hash) -> Result<Option<(u64, Receipt)>, StoreError> {
        self.0.store.receipt(transaction)
    }

    /// The outcome of a committed transaction; `None` if it is not committed.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn outcome(&self, transaction: &Hash) -> Result<Option<Outcome>, StoreError> {
        Ok(self.receipt(transaction)?.map(|(height, receipt)| {
            if receipt.succeeded {
                Outcome::Done { height }
            } else {
                Outcome::Refused { reason: crate::contracts::reason(&receipt.revert) }
            }
        }))
    }
}

/// Does the block follow the tip, and match its execution?
fn fits<T>(tip: &Tip, block: &FinalBlock<'_, T>) -> Result<(), &'static str> {
    let FinalBlock { header, transactions, executed } = block;
    if header.height != tip.height + 1 {
        return Err("it does not follow the tip");
    }
    if header.parent != tip.digest {
        return Err("its parent is not the tip");
    }
    if executed.parent_root != tip.state_root || executed.after.height != header.height {
        return Err("it was executed on another parent");
    }
    let roots = (header.state_root, header.transactions_root, header.receipts_root);
    if roots != (executed.state_root, executed.transactions_root, executed.receipts_root) {
        return Err("its header names other roots than its execution gave");
    }
    if header.time_ms != executed.after.time_ms || transactions.len() != executed.hashes.len() {
        return Err("it was executed with another time or other transactions");
    }
    Ok(())
}

fn tip_of(header: &BlockHeader) -> Tip {
    Tip {
        height: header.height,
        time_ms: header.time_ms,
        digest: header.digest(),
        state_root: header.state_root,
    }
}
