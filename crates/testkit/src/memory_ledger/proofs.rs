//! Proofs of the ledger in memory: the model's state as the contracts would store it, in tries.

use super::{MemoryLedger, State};
use crate::model::LedgerModel;
use crate::storage_words::{self, pack};
use crate::trie::{self, Trie};
use std::collections::HashMap;
use vitals::ledger::Fact;
use vitals::proof::certificate::{self, Certificate};
use vitals::proof::contracts::{self, Word};
use vitals::proof::header::BlockHeader;
use vitals::proof::{AccountProof, LedgerProof, SlotProof};

impl MemoryLedger {
    pub(super) fn prove_at(&self, state: &State, facts: &[Fact]) -> LedgerProof {
        let model = &state.model;
        let tries: HashMap<&str, Trie> =
            self.document.contracts.iter().map(|c| (c.name.as_str(), storage(model, &c.name))).collect();
        let mut accounts = Trie::default();
        for contract in &self.document.contracts {
            let root = tries[contract.name.as_str()].root();
            let account =
                [trie::string(&[1]), trie::string(&[]), trie::string(&root), trie::string(&contract.code)];
            accounts.insert(&contract.address, trie::list(&account));
        }
        let header = BlockHeader {
            epoch: 0,
            view: state.height + 2,
            leader: self.document.committee[0],
            parent_view: state.height + 1,
            parent: [1; 32],
            height: state.height,
            time_ms: state.time_ms,
            state_root: accounts.root(),
            transactions_root: [2; 32],
            receipts_root: [3; 32],
            extra: [0; 32],
            committee: vec![],
        };
        let genesis = self.document.hash();
        let message = certificate::message(genesis, 0, header.view, header.parent_view, &header.digest());
        let signature = self.validator.sign(&message).into();
        let signed = Certificate {
            epoch: 0,
            view: header.view,
            parent_view: header.parent_view,
            signatures: vec![(0, signature)],
        };
        let account = |fact: &Fact| {
            let name = contracts::contract_of(*fact);
            let address = self.document.address(name).unwrap();
            let slot = |key: Word| SlotProof { key, nodes: tries[name].prove(&key) };
            let slots = contracts::slots_of(*fact).into_iter().map(slot).collect();
            AccountProof { address, nodes: accounts.prove(&address), slots }
        };
        let accounts = facts.iter().map(account).collect();
        LedgerProof { changes: Some(vec![]), header: header.encode(), certificate: signed.encode(), accounts }
    }
}

fn storage(model: &LedgerModel, contract: &str) -> Trie {
    let mut storage = Trie::default();
    let mut put = |slots: &[Word], words: &[Word]| {
        for (slot, word) in slots.iter().zip(words).filter(|(_, word)| **word != [0; 32]) {
            storage.insert(slot, trie::integer(word));
        }
    };
    match contract {
        contracts::DIRECTORY => {
            for (id, org) in &model.organisations {
                let mut word = [0; 32];
                pack(&mut word, 0, &org.sender);
                pack(&mut word, 28, &[u8::from(org.active)]);
                put(&contracts::organisation_slots(*id), &[org.record_key, word]);
            }
        }
        contracts::DEVICES => {
            for (id, device) in &model.devices {
                put(&contracts::device_slots(*id), &storage_words::device(device));
            }
        }
        contracts::ANCHORS => {
            for (org, anchor) in &model.anchors {
                let mut word = [0; 32];
                pack(&mut word, 0, &anchor.size.to_be_bytes());
                pack(&mut word, 8, &anchor.height.to_be_bytes());
                put(&contracts::anchor_slots(*org), &[anchor.root, word]);
            }
        }
        _ => {}
    }
    storage
}
