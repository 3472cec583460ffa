//! The contract state after one block: what the EVM reads and what proofs are made from.

use super::node::{Child, Link, StoredNode};
use super::nodes::{NodeFault, Nodes};
use super::pins::Pin;
use super::trie::Trie;
use alloy_primitives::{Address, B256, U256, keccak256, map::HashMap};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use revm::database::states::changes::StateChangeset;
use revm::database_interface::DatabaseRef;
use revm::primitives::KECCAK_EMPTY;
use revm::state::{AccountInfo, Bytecode};
use std::convert::Infallible;
use std::sync::Arc;
use vitals::proof::{AccountProof, SlotProof};

/// One trie of accounts, with the storage tries beneath their leaves. A node that cannot be read leaves a
/// fault, which is checked before anything is decided or returned.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    accounts: Trie,
    nodes: Nodes,
    /// Codes created by blocks that are not final yet.
    codes: Arc<HashMap<B256, Bytecode>>,
    /// Keeps the nodes of the committed height this state builds on.
    _pin: Option<Arc<Pin>>,
}

/// An account without its storage, as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlatAccount {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
}

/// What a block changed, without any trie: keys are hashes, each list in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flat {
    pub(crate) accounts: Vec<(B256, Option<FlatAccount>)>,
    /// Accounts whose storage was emptied before the slots below were written.
    pub(crate) wiped: Vec<B256>,
    /// Zero is absence.
    pub(crate) slots: Vec<(B256, B256, U256)>,
    pub(crate) codes: Vec<(B256, Bytecode)>,
}

impl State {
    /// The state on disk whose root node has this number, if there is one.
    pub(super) fn stored(nodes: Nodes, root: Option<(u64, B256)>, pin: Option<Arc<Pin>>) -> Self {
        let far =
            |(id, hash): (u64, B256)| Child::Stored(StoredNode { id, reference: RlpNode::word_rlp(&hash) });
        Self { accounts: Trie(root.map(far)), nodes, codes: Arc::default(), _pin: pin }
    }

    pub(super) fn accounts(&self) -> &Trie {
        &self.accounts
    }

    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The store's fault, if there is one: nothing read since can be trusted.
    pub(crate) fn fault(&self) -> Option<&NodeFault> {
        self.nodes.fault()
    }

    pub(crate) fn root(&self) -> B256 {
        self.accounts.root()
    }

    pub(crate) fn storage_root(&self, address: &Address) -> B256 {
        self.account(address).map_or(EMPTY_ROOT_HASH, |account| account.storage_root)
    }

    /// The account's leaf, decoded.
    pub(crate) fn account(&self, address: &Address) -> Option<TrieAccount> {
        self.leaf(&keccak256(address)).map(|(account, _)| account)
    }

    fn leaf(&self, key: &B256) -> Option<(TrieAccount, Trie)> {
        let read = |leaf: &[u8], below: &Link| (decode_account(leaf), Trie(below.clone()));
        self.nodes.note(self.accounts.get(&self.nodes, key, read))?
    }

    pub(crate) fn nonce(&self, address: &Address) -> u64 {
        self.account(address).map_or(0, |account| account.nonce)
    }

    pub(crate) fn slot(&self, address: &Address, slot: &B256) -> U256 {
        let storage = |_: &[u8], below: &Link| Trie(below.clone());
        let storage = self.nodes.note(self.accounts.get(&self.nodes, &keccak256(address), storage));
        let Some(storage) = storage.flatten() else { return U256::ZERO };
        let value = storage.get(&self.nodes, &keccak256(slot), |leaf, _| decode_slot(leaf));
        self.nodes.note(value).flatten().unwrap_or_default()
    }

    /// A storage word in bytes.
    pub(crate) fn word(&self, address: &Address, slot: &[u8; 32]) -> [u8; 32] {
        self.slot(address, &B256::from(*slot)).to_be_bytes()
    }

    pub(crate) fn code(&self, address: &Address) -> Option<Bytecode> {
        let hash = self.account(address)?.code_hash;
        (hash != KECCAK_EMPTY).then(|| self.code_of(&hash))
    }

    fn code_of(&self, hash: &B256) -> Bytecode {
        match self.codes.get(hash) {
            Some(code) => code.clone(),
            None => self.nodes.note(self.nodes.code(hash)).unwrap_or_default(),
        }
    }

    /// Proof of an account and of slots in its storage.
    pub(crate) fn prove(&self, address: &Address, slots: &[[u8; 32]]) -> AccountProof {
        let key = keccak256(address);
        let storage = self.leaf(&key).map_or_else(Trie::default, |(_, storage)| storage);
        let nodes =
            |trie: &Trie, key: &B256| self.nodes.note(trie.prove(&self.nodes, key)).unwrap_or_default();
        let slot = |key: &[u8; 32]| SlotProof { key: *key, nodes: nodes(&storage, &keccak256(key)) };
        AccountProof {
            address: address.0.0,
            nodes: nodes(&self.accounts, &key),
            slots: slots.iter().map(slot).collect(),
        }
    }

    /// The state after a block's changes, and these without a trie.
    pub(crate) fn apply(&mut self, changes: &StateChangeset) -> Flat {
        let mut flat = Flat::default();
        if !changes.contracts.is_empty() {
            let codes = Arc::make_mut(&mut self.codes);
            codes.extend(changes.contracts.iter().map(|(hash, code)| (*hash, code.clone())));
            flat.codes.extend(changes.contracts.iter().cloned());
        }
        flat.accounts = (changes.accounts.iter())
            .map(|(address, info)| (keccak256(address), info.as_ref().map(FlatAccount::from)))
            .collect();
        for change in &changes.storage {
            let account = keccak256(change.address);
            if change.wipe_storage {
                flat.wiped.push(account);
            }
            let slots = change.storage.iter();
            flat.slots.extend(slots.map(|(slot, value)| (account, keccak256(B256::from(*slot)), *value)));
        }
        flat.accounts.sort_unstable_by_key(|(key, _)| *key);
        flat.slots.sort_unstable_by_key(|(account, slot, _)| (*account, *slot));
        flat.codes.sort_unstable_by_key(|(hash, _)| *hash);
        let nodes = self.nodes.clone();
        nodes.note(self.write(&flat));
        flat
    }

    fn write(&mut self, flat: &Flat) -> Result<(), NodeFault> {
        let mut storages: HashMap<B256, Trie> = HashMap::default();
        storages.extend(flat.wiped.iter().map(|account| (*account, Trie::default())));
        for slots in flat.slots.chunk_by(|one, other| one.0 == other.0) {
            let account = slots[0].0;
            let mut storage = match storages.remove(&account) {
                Some(wiped) => wiped,
                None => self.storage(&account)?,
            };
            for (_, slot, value) in slots {
                set_slot(&mut storage, &self.nodes, slot, value)?;
            }
            storages.insert(account, storage);
        }
        for (key, account) in &flat.accounts {
            match account {
                Some(account) => {
                    let storage = match storages.remove(key) {
                        Some(changed) => changed,
                        None => self.storage(key)?,
                    };
                    self.set_account(key, account, storage)?;
                }
                None => {
                    storages.remove(key);
                    self.accounts.remove(&self.nodes, key)?;
                }
            }
        }
        // Storage can change without its account: the leaf names the storage root.
        for (key, storage) in storages {
            let read = |leaf: &[u8], _: &Link| decode_account(leaf);
            if let Some(TrieAccount { nonce, balance, code_hash, .. }) =
                self.accounts.get(&self.nodes, &key, read)?
            {
                self.set_account(&key, &FlatAccount { nonce, balance, code_hash }, storage)?;
            }
        }
        Ok(())
    }

    fn storage(&self, account: &B256) -> Result<Trie, NodeFault> {
        let storage = self.accounts.get(&self.nodes, account, |_, below| Trie(below.clone()))?;
        Ok(storage.unwrap_or_default())
    }

    /// Puts an account with its storage into the state.
    pub(super) fn set_account(
        &mut self,
        key: &B256,
        account: &FlatAccount,
        storage: Trie,
    ) -> Result<(), NodeFault> {
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: storage.root(),
            code_hash: account.code_hash,
        };
        self.accounts.set(&self.nodes, key, alloy_rlp::encode(leaf), storage.0)
    }
}

/// Sets a slot by the hash of its key; zero removes it.
pub(super) fn set_slot(trie: &mut Trie, nodes: &Nodes, slot: &B256, value: &U256) -> Result<(), NodeFault> {
    if value.is_zero() {
        trie.remove(nodes, slot)
    } else {
        trie.set(nodes, slot, alloy_rlp::encode(value), None)
    }
}

fn decode_account(leaf: &[u8]) -> TrieAccount {
    alloy_rlp::decode_exact(leaf).expect("leaves are written by set_account alone, and hashed")
}

fn decode_slot(leaf: &[u8]) -> U256 {
    alloy_rlp::decode_exact(leaf).expect("leaves are written by set_slot alone, and hashed")
}

impl From<&AccountInfo> for FlatAccount {
    fn from(info: &AccountInfo) -> Self {
        Self { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash }
    }
}

/// What the EVM reads through.
impl DatabaseRef for State {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(&address).map(|account| AccountInfo {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            ..Default::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        Ok(self.code_of(&hash))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.slot(&address, &B256::from(slot)))
    }

    /// Zero: a speculative block does not know which of its ancestors will be final, so BLOCKHASH returns zero.
    fn block_hash_ref(&self, _height: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}
