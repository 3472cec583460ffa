//! The queues behind the pool: by sender and nonce, with every bound on them.

use super::{POOL_BYTES_MAX, POOL_TXS_MAX, PoolError, SENDER_BYTES_MAX, SENDER_TXS_MAX};
use crate::machine::{BLOCK_BYTES_MAX, BLOCK_GAS_MAX, BLOCK_TXS_MAX, CheckedTx};
use alloy_primitives::Address;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use vitals::ids::Hash;
use vitals::ledger::Tip;

/// The share of a whole block.
const WHOLE: u64 = 1 << 32;

/// Whether a transaction was sent to the other validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handover {
    /// It came from one of them.
    FromOthers,
    /// Submitted here, not sent yet.
    Not,
    /// Submitted here, and not yet where a restart finds it.
    Held,
    /// Sent since the last round.
    Lately,
    /// Sent before the last round, and still not final.
    LongAgo,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) raw: Vec<u8>,
    hash: Hash,
    gas: u64,
    /// Its number in the order of arrival.
    arrival: u64,
    /// The tip when it arrived.
    pub(super) since: Tip,
    handed: Handover,
}

impl Waiting {
    /// The part of a block it takes: of its bytes, its gas or its number, whichever is most.
    fn share(&self) -> u64 {
        let bytes = self.raw.len() as u64 * WHOLE / BLOCK_BYTES_MAX as u64;
        let gas = u64::try_from(u128::from(self.gas) * u128::from(WHOLE) / u128::from(BLOCK_GAS_MAX));
        bytes.max(gas.unwrap_or(WHOLE)).max(WHOLE / BLOCK_TXS_MAX as u64)
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    senders: HashMap<Address, Queue>,
    places: HashMap<Hash, (Address, u64)>,
    bytes: usize,
    arrivals: u64,
}

impl Queues {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.places.contains_key(hash)
    }

    pub(super) fn find(&self, hash: &Hash) -> Option<&Waiting> {
        let (sender, nonce) = self.places.get(hash)?;
        self.senders.get(sender)?.waiting.get(nonce)
    }

    pub(super) fn take(
        &mut self,
        tx: &CheckedTx,
        raw: Vec<u8>,
        next: u64,
        handed: Handover,
        since: Tip,
    ) -> Result<(), PoolError> {
        let nonce = tx.nonce();
        if let Some((sender, nonce)) = self.places.get(&tx.hash) {
            // A transaction from a peer that is also submitted here is sent on from here.
            let waiting = self.senders.get_mut(sender).and_then(|queue| queue.waiting.get_mut(nonce));
            if let Some(waiting) = waiting
                && waiting.handed == Handover::FromOthers
                && handed != Handover::Held
            {
                waiting.handed = handed;
            }
            return Ok(());
        }
        if nonce < next {
            return Err(PoolError::NonceUsed { nonce, next });
        }
        if usize::try_from(nonce - next).map_or(true, |ahead| ahead >= SENDER_TXS_MAX) {
            return Err(PoolError::NonceTooFar { nonce, next });
        }
        let (waiting, bytes) = match self.senders.get(&tx.sender) {
            Some(queue) if queue.waiting.contains_key(&nonce) => return Err(PoolError::NonceTaken { nonce }),
            Some(queue) => (queue.waiting.len(), queue.bytes),
            None => (0, 0),
        };
        if waiting >= SENDER_TXS_MAX || bytes + raw.len() > SENDER_BYTES_MAX {
            return Err(PoolError::SenderFull { waiting, bytes });
        }
        self.make_room(bytes + raw.len(), raw.len())?;
        self.arrivals += 1;
        self.bytes += raw.len();
        self.places.insert(tx.hash, (tx.sender, nonce));
        let queue = self.senders.entry(tx.sender).or_default();
        queue.bytes += raw.len();
        let (hash, gas, arrival) = (tx.hash, tx.gas_limit(), self.arrivals);
        queue.waiting.insert(nonce, Waiting { raw, hash, gas, arrival, since, handed });
        Ok(())
    }

    /// Makes room for `len` bytes of a sender that then has `bytes`: the sender with the largest part of the
    /// pool loses its last transactions while it has more than that. Transactions submitted here stay.
    fn make_room(&mut self, bytes: usize, len: usize) -> Result<(), PoolError> {
        while self.bytes + len > POOL_BYTES_MAX || self.places.len() >= POOL_TXS_MAX {
            let most = self.senders.iter().max_by_key(|(sender, queue)| (queue.bytes, **sender));
            let Some((sender, nonce)) =
                most.filter(|(_, queue)| queue.bytes > bytes).and_then(|(sender, queue)| {
                    let last =
                        queue.waiting.iter().rfind(|(_, waiting)| waiting.handed == Handover::FromOthers)?;
                    Some((*sender, *last.0))
                })
            else {
                return Err(PoolError::Full);
            };
            self.remove(&sender, nonce);
        }
        Ok(())
    }

    fn remove(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.senders.get_mut(sender) else { return };
        let Some(gone) = queue.waiting.remove(&nonce) else { return };
        queue.bytes -= gone.raw.len();
        self.bytes -= gone.raw.len();
        self.places.remove(&gone.hash);
        if queue.waiting.is_empty() {
            self.senders.remove(sender);
        }
    }

    pub(super) fn release(&mut self, hash: &Hash) {
        let Some((sender, nonce)) = self.places.get(hash) else { return };
        let waiting = self.senders.get_mut(sender).and_then(|queue| queue.waiting.get_mut(nonce));
        // It may be here from another validator already: from now on it is sent on from here.
        if let Some(waiting) = waiting
            && matches!(waiting.handed, Handover::Held | Handover::FromOthers)
        {
            waiting.handed = Handover::Not;
        }
    }

    pub(super) fn drop_held(&mut self, tx: &CheckedTx) {
        if self.find(&tx.hash).is_some_and(|waiting| waiting.handed == Handover::Held) {
            self.discard(tx);
        }
    }

    pub(super) fn accepted_of(&self, sender: &Address) -> Vec<Vec<u8>> {
        let waiting = self.senders.get(sender).into_iter().flat_map(|queue| queue.waiting.values());
        waiting
            .filter(|waiting| waiting.handed != Handover::Held)
            .map(|waiting| waiting.raw.clone())
            .collect()
    }

    pub(super) fn discard(&mut self, tx: &CheckedTx) {
        if let Some((sender, nonce)) = self.places.get(&tx.hash).copied() {
            self.remove(&sender, nonce);
        }
    }

    /// The block: always the next transaction of the sender with the smallest share so far; among equals, the
    /// one whose transaction arrived first.
    pub(super) fn batch(
        &self,
        nonce: impl Fn(&Address) -> u64,
        may_send: impl Fn(&Address) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut next = BinaryHeap::new();
        for (sender, queue) in &self.senders {
            let nonce = nonce(sender);
            if let Some(waiting) = queue.waiting.get(&nonce)
                && waiting.handed != Handover::Held
                && may_send(sender)
            {
                next.push(Reverse((0, waiting.arrival, *sender, nonce)));
            }
        }
        let (mut batch, mut bytes, mut gas) = (Vec::new(), 0, 0);
        while let Some(Reverse((share, _, sender, nonce))) = next.pop() {
            if batch.len() == BLOCK_TXS_MAX {
                break;
            }
            let queue = &self.senders[&sender].waiting;
            let waiting = &queue[&nonce];
            if bytes + waiting.raw.len() > BLOCK_BYTES_MAX || gas + waiting.gas > BLOCK_GAS_MAX {
                // Left for the next block; other senders may have smaller transactions.
                continue;
            }
            bytes += waiting.raw.len();
            gas += waiting.gas;
            batch.push(waiting.raw.clone());
            let following = queue.get(&(nonce + 1));
            if let Some(following) = following.filter(|following| following.handed != Handover::Held) {
                next.push(Reverse((share + waiting.share(), following.arrival, sender, nonce + 1)));
            }
        }
        batch
    }

    /// Removes what is below each sender's `next` nonce, everything of a sender without one, and what came
    /// from others before `since_ms`. Gives those that were submitted here.
    pub(super) fn settle(&mut self, next: impl Fn(&Address) -> Option<u64>, since_ms: u64) -> Vec<Hash> {
        let mut settled = Vec::new();
        let Self { senders, places, bytes, .. } = self;
        senders.retain(|sender, queue| {
            let next = next(sender);
            let late = |waiting: &Waiting| {
                waiting.handed == Handover::FromOthers && waiting.since.time_ms < since_ms
            };
            // Usually a few at the front, so the rest is not examined one by one.
            let mut gone: Vec<u64> = match next {
                Some(next) => queue.waiting.range(..next).map(|(nonce, _)| *nonce).collect(),
                None => queue.waiting.keys().copied().collect(),
            };
            if queue.waiting.values().next_back().is_some_and(late)
                || queue.waiting.values().next().is_some_and(late)
            {
                gone.extend(
                    queue.waiting.iter().filter(|(_, waiting)| late(waiting)).map(|(nonce, _)| *nonce),
                );
            }
            for nonce in gone {
                let Some(gone) = queue.waiting.remove(&nonce) else { continue };
                places.remove(&gone.hash);
                queue.bytes -= gone.raw.len();
                *bytes -= gone.raw.len();
                if gone.handed != Handover::FromOthers {
                    settled.push(gone.hash);
                }
            }
            !queue.waiting.is_empty()
        });
        settled
    }

    pub(super) fn next_nonce(&self, sender: &Address, committed: u64) -> u64 {
        let Some(queue) = self.senders.get(sender) else { return committed };
        let mut waiting = queue.waiting.range(committed..);
        match (waiting.next(), waiting.next_back()) {
            (Some((first, _)), last) if *first == committed => {
                let last = last.map_or(*first, |(last, _)| *last);
                // The usual case without a gap: nothing to search.
                if usize::try_from(last - first).is_ok_and(|gap| gap < queue.waiting.len())
                    && queue.waiting.range(..committed).next().is_none()
                {
                    return last + 1;
                }
                let mut nonce = committed;
                for (waiting, _) in queue.waiting.range(committed..) {
                    if *waiting != nonce {
                        break;
                    }
                    nonce += 1;
                }
                nonce
            }
            _ => committed,
        }
    }

    /// The oldest transactions with this handover, up to `bytes_max` and at least one; marks them as sent.
    pub(super) fn take_outgoing(&mut self, bytes_max: usize, which: Handover) -> Vec<Vec<u8>> {
        let waiting = self.senders.values_mut().flat_map(|queue| queue.waiting.values_mut());
        let mut due: Vec<&mut Waiting> = waiting.filter(|waiting| waiting.handed == which).collect();
        due.sort_unstable_by_key(|waiting| waiting.arrival);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for waiting in due {
            bytes += waiting.raw.len();
            if batch.len() == BLOCK_TXS_MAX || (bytes > bytes_max && !batch.is_empty()) {
                break;
            }
            waiting.handed = Handover::Lately;
            batch.push(waiting.raw.clone());
        }
        batch
    }

    /// A round has passed: what was sent since the last one was sent before it.
    pub(super) fn age(&mut self) {
        for waiting in self.senders.values_mut().flat_map(|queue| queue.waiting.values_mut()) {
            if waiting.handed == Handover::Lately {
                waiting.handed = Handover::LongAgo;
            }
        }
    }
}
