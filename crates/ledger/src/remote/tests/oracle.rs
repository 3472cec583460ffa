//! Random acts on three ledgers at once: the model in plain Rust, the EVM in this process, and anvil
//! behind [`RemoteChain`]'s own code. The same transactions, byte for byte, must have the same status, use
//! the same gas, say the same events and leave the same words in storage. (Words, not the storage root:
//! that of anvil 1.7.1 changes when an absent slot is merely read.)

use super::*;
use crate::account;
use crate::chain::tests::anvil::Anvil;
use crate::contracts::reason;
use crate::genesis::{DEPLOYER, creations};
use crate::machine::TX_GAS_MAX;
use crate::machine::tests::oracle::{
    EPOCH_BLOCKS, KEYS, ORGANISATIONS, PEOPLE, Step, World, act as act_of, compare, forty_leaves, key, model,
    step,
};
use crate::machine::tests::{FOUNDED_MS, Ward, org, person, secret};
use crate::remote::rpc::{bytes, fixed, hex_bytes, quantity};
use alloy_primitives::{B256, keccak256};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use tempfile::TempDir;
use testkit::model::LedgerModel;
use vitals::eip712::grant_id;
use vitals::log::MerkleLog;
use vitals::proof::genesis::Predeploy;

/// Operations of the short form, in `make test`.
const OPERATIONS: usize = 400;
/// Operations after which all three start anew: a small world is soon full.
const WORLD_OPERATIONS: usize = 100;
/// Most operations in one block.
const BLOCK_OPERATIONS: usize = 5;

/// What became of how many operations of each kind.
type Table = BTreeMap<(String, String), u32>;

/// One organisation's way to anvil.
struct Remote {
    inner: Inner,
    _folder: TempDir,
}

/// The three ledgers.
struct Three {
    ward: Ward,
    model: LedgerModel,
    anvil: Anvil,
    remotes: Vec<Remote>,
    log: MerkleLog,
    /// Every word ever written there, by contract and slot.
    slots: BTreeSet<(Address, B256)>,
    /// Every word ever written here; a trie has only the hashes of names.
    hashed: BTreeSet<(B256, B256)>,
}

impl Three {
    fn found() -> Self {
        let mut ward = Ward::with_epochs(ORGANISATIONS, EPOCH_BLOCKS);
        let founded_s = FOUNDED_MS / 1000;
        let anvil = Anvil::with(
            CHAIN_ID,
            &[
                "--no-mining",
                "--timestamp",
                &(founded_s - 1).to_string(),
                "--gas-limit",
                &(1u64 << 28).to_string(),
            ],
        );
        // The contracts at the same addresses, from the account of which nobody has the key.
        anvil.call("anvil_impersonateAccount", json!([hex_bytes(DEPLOYER)]));
        for (nonce, code) in (0u64..).zip(creations(&ward.document).unwrap().0) {
            anvil.call(
                "eth_sendTransaction",
                json!([{
                    "from": hex_bytes(DEPLOYER),
                    "nonce": hex_quantity(nonce),
                    "gas": hex_quantity(TX_GAS_MAX),
                    "maxFeePerGas": "0x0",
                    "maxPriorityFeePerGas": "0x0",
                    "input": hex_bytes(code),
                }]),
            );
        }
        mine(&anvil, founded_s);
        // There it took a block.
        ward.block(&[]);
        let network = Network { first_block: 1, ..anvil.network() };
        let remotes = (0..ORGANISATIONS).map(|number| {
            let folder = tempfile::tempdir().unwrap();
            let inner = Inner::new(folder.path(), network.clone(), &ward.document, &secret(number)).unwrap();
            anvil.runtime.block_on(inner.initial_sync(&ward.document)).unwrap();
            Remote { inner, _folder: folder }
        });
        let remotes = remotes.collect();
        let (model, log) = (model(&ward), forty_leaves());
        let (slots, hashed) = (BTreeSet::new(), BTreeSet::new());
        let mut three = Self { ward, model, anvil, remotes, log, slots, hashed };
        three.note_slots(1);
        three
    }

    /// One block of random operations on all three.
    fn block(&mut self, runner: &mut TestRunner, operations: usize, table: &mut Table) {
        let domain = self.ward.machine.domain();
        let mut steps = Vec::new();
        while steps.len() < operations {
            match (0..ORGANISATIONS, step()).new_tree(runner).unwrap().current() {
                (_, Step::Wait { hours }) => self.ward.now_ms += hours * 3_600_000,
                step => steps.push(step),
            }
        }
        let (time_ms, height) = (self.ward.now_ms + 1_001, self.ward.machine.tip().height + 1);
        let (mut txs, mut expected) = (Vec::new(), Vec::new());
        let parent = self.ward.machine.view();
        for (number, step) in steps {
            let word = format!("{step:?}").split([' ', '{']).next().unwrap().to_owned();
            let sender = account::address_of(&secret(number)).unwrap();
            let remote = &self.remotes[usize::from(number)].inner;
            let world = World {
                domain: &domain,
                now_ms: time_ms,
                anchored: self.model.anchors.get(&org(number)).map_or(0, |anchor| anchor.size),
                proposals: self.model.authorities.proposals.len() as u64,
                directory: self.ward.machine.contracts().directory.0.0,
                log: &self.log,
            };
            let act = act_of(&step, &world);
            if parent.sends_for(sender.into()).is_none() {
                // Removed: neither takes anything from it any more.
                assert!(matches!(remote.submit(&act), Err(LedgerError::Refused(_))));
                *table.entry((word, "(organisation removed)".to_owned())).or_default() += 1;
                continue;
            }
            let story = format!("height {height}, {step:?} of organisation {number}");
            let refusal = self.model.apply(sender, &act, height, time_ms).err();
            let id = remote.submit(&act).unwrap();
            let (nonce, sent) = remote.acts.lock().waiting().pop().unwrap();
            self.anvil.runtime.block_on(remote.send(0)).unwrap();
            let raw = self.ward.signed(number, nonce, &act);
            assert_eq!((sent.id, &sent.raw), (id, &raw), "the same transaction is sent to both");
            txs.push(raw);
            expected.push((number, word, story, refusal));
        }
        mine(&self.anvil, time_ms / 1000);
        let executed = self.ward.block(&txs);
        self.hashed.extend(executed.flat.slots.iter().map(|(account, slot, _)| (*account, *slot)));
        self.note_slots(height);
        for remote in &self.remotes {
            assert!(self.anvil.runtime.block_on(remote.inner.follow()).unwrap());
            assert_eq!(remote.inner.cache().tip.height, height);
            assert_eq!(remote.inner.cache().tip.time_ms, time_ms - time_ms % 1000);
        }
        let receipts = self.anvil.call("eth_getBlockReceipts", json!([hex_quantity(height)]));
        let receipts = receipts.as_array().unwrap();
        assert_eq!(receipts.len(), txs.len());
        for (at, (number, word, story, refusal)) in expected.into_iter().enumerate() {
            let (ours, theirs) = (&executed.receipts[at], &receipts[at]);
            let id = executed.transaction_hashes()[at];
            assert_eq!(fixed("", &theirs["transactionHash"]), Ok(id), "{story}");
            assert_eq!(ours.succeeded, refusal.is_none(), "{story}: {}", reason(&ours.revert));
            assert_eq!(crate::contracts::refusal(&ours.revert), refusal, "{story}");
            assert_eq!(quantity("", &theirs["status"]), Ok(ours.succeeded.into()), "{story}");
            assert_eq!(quantity("", &theirs["gasUsed"]), Ok(ours.gas), "{story}");
            assert_eq!(said(theirs), ours.logs, "{story}");
            let outcome = self.remotes[usize::from(number)].inner.acts.lock().outcome(&id);
            let expected = match refusal {
                None => Outcome::Done { height },
                Some(refusal) => Outcome::Refused { reason: refusal.to_string() },
            };
            assert_eq!(outcome, expected, "{story}");
            let status = refusal.map_or_else(|| "done".to_owned(), |refusal| format!("{refusal:?}"));
            *table.entry((word, status)).or_default() += 1;
        }
    }

    fn ask(&self, method: &str, questions: Vec<Value>) -> Vec<Value> {
        let answers = self.anvil.runtime.block_on(self.remotes[0].inner.rpc.calls(method, &questions));
        answers.unwrap().into_iter().map(Result::unwrap).collect()
    }

    /// Notes which words the transactions of a block wrote.
    fn note_slots(&mut self, height: u64) {
        let block = self.anvil.call("eth_getBlockByNumber", json!([hex_quantity(height), false]));
        let tracer = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
        let questions = block["transactions"].as_array().unwrap().iter().map(|id| json!([id, tracer]));
        for change in self.ask("debug_traceTransaction", questions.collect()) {
            for (contract, account) in
                ["pre", "post"].iter().flat_map(|side| change[side].as_object().unwrap())
            {
                let slots = account.get("storage").and_then(Value::as_object).into_iter().flatten();
                let contract: Address = contract.parse().unwrap();
                self.slots.extend(slots.map(|(slot, _)| (contract, slot.parse::<B256>().unwrap())));
            }
        }
    }

    /// All three hold the same records, and two of them the same storage.
    fn compare(&self) {
        let (view, model) = (self.ward.machine.view(), &self.model);
        for remote in &self.remotes {
            let cache = remote.inner.cache();
            for number in 0..ORGANISATIONS + 2 {
                let id = org(number);
                let anchor = model.anchors.get(&id).copied();
                assert_eq!(cache.anchor(id).unwrap(), anchor);
            }
            for (id, known) in &model.organisations {
                assert_eq!(cache.organisation(*id).unwrap().as_ref(), Some(known));
            }
            for number in 0..PEOPLE {
                let id = person(1 + number);
                let known = model.people.get(&id).cloned();
                assert_eq!(cache.person(id).unwrap(), known);
                for nonce in 0..3 {
                    let id = grant_id(id, &[nonce; 32]);
                    let known = model.grants.get(&id).cloned();
                    assert_eq!(cache.grant(id).unwrap(), known);
                }
            }
            for number in 0..KEYS {
                let id = DeviceId::of(&key(number));
                let known = model.devices.get(&id).cloned();
                assert_eq!(cache.device(id).unwrap(), known);
            }
        }
        compare(&self.ward, model).unwrap();
        let named = |(contract, slot): &(Address, B256)| (keccak256(contract), keccak256(slot));
        let there: BTreeSet<_> = self.slots.iter().map(named).collect();
        assert!(self.hashed.is_subset(&there), "a word is written here alone");
        let at = |(contract, slot): &(Address, B256)| json!([hex_bytes(contract), hex_bytes(slot), "latest"]);
        let theirs = self.ask("eth_getStorageAt", self.slots.iter().map(at).collect());
        for ((contract, slot), theirs) in self.slots.iter().zip(theirs) {
            assert_eq!(hex_bytes(view.word(*contract, &slot.0)), theirs, "{contract}, slot {slot:#x}");
        }
        let contracts = &self.ward.document.contracts;
        let code = |contract: &Predeploy| json!([hex_bytes(contract.address), "latest"]);
        let theirs = self.ask("eth_getCode", contracts.iter().map(code).collect());
        for (contract, theirs) in contracts.iter().zip(theirs) {
            assert_eq!(hex_bytes(view.code(contract.address.into())), theirs, "{}", contract.name);
        }
    }
}

fn mine(anvil: &Anvil, time_s: u64) {
    anvil.call("evm_setNextBlockTimestamp", json!([time_s]));
    anvil.call("evm_mine", json!([]));
}

/// The events of a JSON-RPC receipt.
fn said(receipt: &Value) -> Vec<alloy_primitives::Log> {
    let logs = receipt["logs"].as_array().unwrap().iter().map(|log| {
        let topics = log["topics"].as_array().unwrap();
        let topics = topics.iter().map(|topic| fixed::<32>("", topic).unwrap().into()).collect();
        let address = fixed::<20>("", &log["address"]).unwrap().into();
        alloy_primitives::Log::new(address, topics, bytes("", &log["data"]).unwrap().into()).unwrap()
    });
    logs.collect()
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn model_evm_and_anvil_agree_on_random_operations() {
    let seed = asked("ACESO_ORACLE_SEED").unwrap_or(4);
    let operations = asked("ACESO_ORACLE_OPERATIONS").map_or(OPERATIONS, |asked| asked.try_into().unwrap());
    println!("seed {seed}, {operations} operations");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &keccak256(seed.to_be_bytes()).0);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let (mut table, mut left, mut worlds, start) = (Table::new(), operations, 0, Instant::now());
    while left > 0 {
        let mut three = Three::found();
        let mut here = left.min(WORLD_OPERATIONS);
        left -= here;
        worlds += 1;
        while here > 0 {
            let size = (1..=BLOCK_OPERATIONS.min(here)).new_tree(&mut runner).unwrap().current();
            three.block(&mut runner, size, &mut table);
            here -= size;
        }
        three.compare();
    }
    for ((operation, outcome), count) in &table {
        println!("{operation:<16} {outcome:<26} {count:>6}");
    }
    println!("{operations} operations in {worlds} worlds, {:.1} s", start.elapsed().as_secs_f64());
    let done: u32 = table.iter().filter(|((_, outcome), _)| outcome == "done").map(|(_, count)| count).sum();
    assert!(done as usize > operations / 10, "too few of them get anywhere");
}
