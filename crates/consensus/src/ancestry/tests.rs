#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    ProtocolViolation, RequestResponse,
    block::list_root,
    machine::{BoxFuture, Evidence, NotCommitted},
};
use bytes::Bytes;
use commonware_parallel::Sequential;
use futures::{FutureExt as _, Stream};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, VecDeque},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};
use vitals::proof::{certificate::Certificate, header::BlockHeader};

/// A state machine that executes every block on its tip or on an executed block.
#[derive(Clone)]
struct TestMachine(Arc<Mutex<(u64, Hash, BTreeSet<Hash>)>>);

impl TestMachine {
    fn at(block: &Digested<Block>) -> Self {
        let machine_under_test = Self(Arc::default());
        machine_under_test.finalize(block);
        machine_under_test
    }

    fn finalize(&self, block: &Digested<Block>) {
        *self.0.lock() = (block.inner().header().height, block.digest().0, BTreeSet::new());
    }
}

impl RequestResponse for TestMachine {
    fn next_request(&self) -> Option<Bytes> {
        None
    }

    fn respond(&self, _: &[u8]) -> Result<Option<Bytes>, ProtocolViolation> {
        Ok(None)
    }

    fn receive_response(&self, _: &[u8], _: &[u8]) -> Result<(), ProtocolViolation> {
        Ok(())
    }
}

impl StateMachine for TestMachine {
    fn genesis_header(&self) -> &BlockHeader {
        unreachable!("nobody asks")
    }

    fn committed(&self) -> (u64, Hash) {
        let state = self.0.lock();
        (state.0, state.1)
    }

    fn committed_ms(&self) -> u64 {
        0
    }

    fn has_executed(&self, digest: &Hash) -> bool {
        self.0.lock().2.contains(digest)
    }

    fn check(&self, block: &Block, digest: Hash) -> Result<(), NotExecuted> {
        let mut state = self.0.lock();
        let parent = block.header().parent;
        if parent != state.1 && !state.2.contains(&parent) {
            return Err(NotExecuted::Orphan);
        }
        state.2.insert(digest);
        Ok(())
    }

    fn next_batch(&self, _: &Hash) -> Vec<Bytes> {
        Vec::new()
    }

    fn transactions_available(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn build(&self, _: BlockHeader, _: Vec<Bytes>) -> Option<Block> {
        None
    }

    fn commit(&self, _: &Block, _: Hash, _: Option<&Certificate>, _: u64) -> Result<(), NotCommitted> {
        Ok(())
    }

    fn store_certificate(&self, _: &BlockHeader, _: Hash, _: Option<&Certificate>) {}

    fn committee(&self, _: &Hash, _: u64) -> Option<Vec<[u8; 32]>> {
        Some(Vec::new())
    }

    fn endpoints(&self) -> Vec<([u8; 32], String)> {
        Vec::new()
    }

    fn record_evidence(&self, _: Evidence) {}

    fn outgoing(&self) -> BoxFuture<'_, Vec<Bytes>> {
        Box::pin(std::future::pending())
    }

    fn unconfirmed(&self) -> Vec<Bytes> {
        Vec::new()
    }

    fn incoming(&self, _: Vec<Bytes>) -> Result<(), ProtocolViolation> {
        Ok(())
    }
}

/// `length` blocks above `parent`, lowest first.
fn above(parent: Option<&Digested<Block>>, length: u64, time_ms: u64) -> Vec<Digested<Block>> {
    let leader = crate::public_key(&[7; 32]).unwrap();
    let mut chain: Vec<Digested<Block>> = Vec::new();
    for _ in 0..length {
        let parent = chain.last().or(parent);
        let height = parent.map_or(0, |parent| parent.inner().header().height + 1);
        let header = BlockHeader {
            epoch: 0,
            view: height,
            leader,
            parent_view: height.saturating_sub(1),
            parent: parent.map_or([0; 32], |parent| parent.digest().0),
            height,
            time_ms,
            state_root: [0; 32],
            transactions_root: list_root(std::iter::empty()),
            receipts_root: [0; 32],
            extra: [0; 32],
            committee: Vec::new(),
        };
        let block = Block::new(header, Vec::new()).unwrap();
        chain.push(Digested::compute(block, &Sequential).now_or_never().unwrap());
    }
    chain
}

/// An ancestry whose older blocks take a while: `meanwhile` runs before the block at height `late`.
#[derive(Clone)]
struct Slow {
    blocks: VecDeque<Digested<Block>>,
    late: u64,
    meanwhile: Arc<dyn Fn() + Send + Sync>,
}

impl Stream for Slow {
    type Item = Digested<Block>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.blocks.pop_front();
        if next.as_ref().is_some_and(|block| block.inner().header().height == self.late) {
            (self.meanwhile)();
        }
        Poll::Ready(next)
    }
}

impl Ancestry<Block> for Slow {
    fn peek(&self) -> Option<&Digested<Block>> {
        self.blocks.front()
    }
}

/// Executes the ancestry of the last block of `chain`; `committed` becomes final before the ancestor at
/// height `late` arrives.
fn execute(
    machine_under_test: &TestMachine,
    chain: &[Digested<Block>],
    late: u64,
    committed: &Digested<Block>,
) -> AncestryStatus {
    let (tip, machine) = (committed.clone(), machine_under_test.clone());
    let mut ancestry = Slow {
        blocks: chain.iter().rev().cloned().collect(),
        late,
        meanwhile: Arc::new(move || machine.finalize(&tip)),
    };
    let epocher = FixedEpocher::new(NonZeroU64::new(1000).unwrap());
    execute_ancestry(machine_under_test, &epocher, &mut ancestry).now_or_never().unwrap()
}

#[test]
fn a_block_on_an_unchanged_chain_is_valid() {
    let chain = above(None, 7, 1);
    let machine_under_test = TestMachine::at(&chain[2]);
    assert_eq!(execute(&machine_under_test, &chain, 2, &chain[2]), AncestryStatus::Valid);
    assert!(machine_under_test.has_executed(&chain[6].digest().0));
}

#[test]
fn a_block_stays_valid_while_its_ancestors_become_final_during_the_fetch() {
    let chain = above(None, 7, 1);
    for (tip, late) in (2..6).flat_map(|tip| (1..=5).map(move |late| (tip, late))) {
        let machine_under_test = TestMachine::at(&chain[1]);
        assert_eq!(
            execute(&machine_under_test, &chain, late, &chain[tip]),
            AncestryStatus::Valid,
            "tip {tip}, late {late}"
        );
        assert!(machine_under_test.has_executed(&chain[6].digest().0), "tip {tip}, late {late}");
    }
}

#[test]
fn a_block_that_became_final_meanwhile_is_stale() {
    let chain = above(None, 9, 1);
    for tip in [7, 8] {
        let machine_under_test = TestMachine::at(&chain[1]);
        let status = execute(&machine_under_test, &chain[..7], 3, &chain[tip]);
        assert_eq!(status, AncestryStatus::Stale, "tip {tip}");
    }
}

#[test]
fn a_block_beside_the_final_chain_is_invalid_however_late_that_is_seen() {
    let chain = above(None, 4, 1);
    let mine = above(chain.last(), 3, 1);
    let others = above(chain.last(), 3, 2);
    let branch: Vec<_> = chain.iter().chain(&others).cloned().collect();
    for (tip, late) in (0..2).flat_map(|tip| (3..=5).map(move |late| (tip, late))) {
        let machine_under_test = TestMachine::at(&chain[2]);
        assert_eq!(
            execute(&machine_under_test, &branch, late, &mine[tip]),
            AncestryStatus::Invalid,
            "tip {tip}, late {late}"
        );
    }
    let machine_under_test = TestMachine::at(&mine[0]);
    assert_eq!(execute(&machine_under_test, &branch, 9, &mine[0]), AncestryStatus::Invalid);
}

#[test]
fn a_block_without_ancestors_is_unavailable() {
    let chain = above(None, 7, 1);
    let machine_under_test = TestMachine::at(&chain[2]);
    assert_eq!(execute(&machine_under_test, &chain[4..], 9, &chain[2]), AncestryStatus::Unavailable);
}
