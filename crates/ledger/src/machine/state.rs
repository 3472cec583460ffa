//! The contract state after one block: what the EVM reads and what proofs are made from.

use super::trie::Trie;
use alloy_primitives::{Address, B256, U256, keccak256, map::HashMap};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use revm::database::states::changes::StateChangeset;
use revm::database_interface::DatabaseRef;
use revm::primitives::KECCAK_EMPTY;
use revm::state::{AccountInfo, Bytecode};
use std::convert::Infallible;
use std::sync::Arc;
use vitals::proof::{AccountProof, SlotProof};

/// Everything in memory, in tries that share nodes with the states before and after.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    accounts: Trie,
    /// Few: one for each contract that stores anything.
    storages: Arc<HashMap<Address, Trie>>,
    codes: Arc<HashMap<B256, Bytecode>>,
}

/// An account without its storage, as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlatAccount {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
}

impl State {
    pub(crate) fn root(&self) -> B256 {
        self.accounts.root()
    }

    pub(crate) fn storage_root(&self, address: &Address) -> B256 {
        self.storages.get(address).map_or(EMPTY_ROOT_HASH, Trie::root)
    }

    /// The account's leaf, decoded.
    pub(crate) fn account(&self, address: &Address) -> Option<TrieAccount> {
        let leaf = self.accounts.get(&keccak256(address))?;
        Some(alloy_rlp::decode_exact(leaf).expect("leaves are written by set_account alone"))
    }

    pub(crate) fn nonce(&self, address: &Address) -> u64 {
        self.account(address).map_or(0, |account| account.nonce)
    }

    pub(crate) fn slot(&self, address: &Address, slot: &B256) -> U256 {
        let Some(leaf) = self.storages.get(address).and_then(|trie| trie.get(&keccak256(slot))) else {
            return U256::ZERO;
        };
        alloy_rlp::decode_exact(leaf).expect("leaves are written by set_slot alone")
    }

    /// A storage word in bytes.
    pub(crate) fn word(&self, address: &Address, slot: &[u8; 32]) -> [u8; 32] {
        self.slot(address, &B256::from(*slot)).to_be_bytes()
    }

    pub(crate) fn code(&self, address: &Address) -> Option<Bytecode> {
        self.codes.get(&self.account(address)?.code_hash).cloned()
    }

    /// Proof of an account and of slots in its storage.
    pub(crate) fn prove(&self, address: &Address, slots: &[[u8; 32]]) -> AccountProof {
        let storage = self.storages.get(address);
        let slot = |key: &[u8; 32]| SlotProof {
            key: *key,
            nodes: storage.map_or_else(Vec::new, |trie| trie.prove(&keccak256(key))),
        };
        AccountProof {
            address: address.0.0,
            nodes: self.accounts.prove(&keccak256(address)),
            slots: slots.iter().map(slot).collect(),
        }
    }

    /// The state after a block's changes.
    pub(crate) fn apply(&mut self, changes: &StateChangeset) {
        let mut touched = Vec::with_capacity(changes.accounts.len() + changes.storage.len());
        if !changes.contracts.is_empty() {
            let codes = Arc::make_mut(&mut self.codes);
            codes.extend(changes.contracts.iter().map(|(hash, code)| (*hash, code.clone())));
        }
        if !changes.storage.is_empty() {
            let storages = Arc::make_mut(&mut self.storages);
            for change in &changes.storage {
                let trie = storages.entry(change.address).or_default();
                if change.wipe_storage {
                    *trie = Trie::default();
                }
                for (slot, value) in &change.storage {
                    set_slot(trie, &B256::from(*slot), value);
                }
                touched.push(change.address);
            }
        }
        for (address, account) in &changes.accounts {
            match account {
                Some(info) => self.set_account(address, &FlatAccount::from(info)),
                None => {
                    self.accounts.remove(&keccak256(address));
                    if self.storages.contains_key(address) {
                        Arc::make_mut(&mut self.storages).remove(address);
                    }
                }
            }
        }
        // Storage can change without its account: the leaf names the storage root.
        for address in touched {
            if let Some(account) = self.account(&address) {
                let TrieAccount { nonce, balance, code_hash, .. } = account;
                self.set_account(&address, &FlatAccount { nonce, balance, code_hash });
            }
        }
    }

    /// Puts a slot into a state that is being rebuilt; [`Self::set_account`] must follow.
    pub(crate) fn load_slot(&mut self, address: Address, slot: &B256, value: &U256) {
        set_slot(Arc::make_mut(&mut self.storages).entry(address).or_default(), slot, value);
    }

    /// Puts code into a state that is being rebuilt.
    pub(crate) fn load_code(&mut self, hash: B256, code: Bytecode) {
        Arc::make_mut(&mut self.codes).insert(hash, code);
    }

    pub(crate) fn set_account(&mut self, address: &Address, account: &FlatAccount) {
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: self.storage_root(address),
            code_hash: account.code_hash,
        };
        self.accounts.set(&keccak256(address), alloy_rlp::encode(leaf));
    }
}

fn set_slot(trie: &mut Trie, slot: &B256, value: &U256) {
    let key = keccak256(slot);
    if value.is_zero() { trie.remove(&key) } else { trie.set(&key, alloy_rlp::encode(value)) }
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
        Ok(self.codes.get(&hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.slot(&address, &B256::from(slot)))
    }

    /// Zero: a speculative block does not know which of its ancestors will be final, so BLOCKHASH tells nothing.
    fn block_hash_ref(&self, _height: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}
