//! Where the log stands on the ledger, and which gateways are owed proofs. Owns its lock: neither the ledger
//! nor the store is asked while it is held.

use super::views::{FinalSince, ProofState};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use vitals::DeviceId;
use vitals::ids::Hash;
use vitals::ledger::{ActId, Outcome};

/// At most one anchor is handed to the ledger in this time.
pub(crate) const ANCHOR_EVERY_MS: u64 = 1_000;
/// An anchor that has not become final after this long is handed in again.
pub(crate) const ANCHOR_PATIENCE_MS: u64 = 20_000;
/// Most envelopes one gateway's proofs are owed for; a gateway that was away longer sends again.
pub(crate) const AWAITED_MAX: usize = 65_536;
/// Envelopes whose proofs were handed over and are handed over again when the gateway reconnects.
pub(crate) const HANDED_MAX: usize = 4_096;
/// Anchors remembered with their blocks; older ones are looked up on the ledger.
const HEIGHTS_MAX: usize = 4_096;
/// Seal times kept to measure how long they take to become final.
const UNFINAL_MAX: usize = 65_536;

/// An envelope whose proof a gateway is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owed {
    pub(super) index: u64,
    pub(super) envelope: Hash,
}

#[derive(Debug, Default)]
struct Gateway {
    owed: BTreeSet<Owed>,
    handed: VecDeque<Owed>,
    /// It connected since this node started.
    met: bool,
}

/// An anchor that was handed to the ledger and is not final.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) act: ActId,
    pub(super) size: u64,
    pub(super) since_ms: u64,
}

/// An anchor that became final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    size: u64,
    block: FinalSince,
}

#[derive(Debug, Default)]
struct State {
    in_flight: Option<InFlight>,
    last_ms: Option<u64>,
    final_size: u64,
    /// Anchors seen since the start, ascending.
    heights: VecDeque<Noted>,
    unfinal: VecDeque<(u64, u64)>,
    gateways: BTreeMap<DeviceId, Gateway>,
    /// Gateways that connected, and that nobody has looked after yet.
    joined: BTreeSet<DeviceId>,
}

impl State {
    /// The first anchor in memory that covers the leaf, and whether it was the first of all: before the
    /// oldest in memory there were others.
    fn noted(&self, index: u64) -> Option<(FinalSince, bool)> {
        let at = self.heights.partition_point(|noted| noted.size <= index);
        self.heights.get(at).map(|noted| (noted.block, at > 0))
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            anchored: self.in_flight.map_or(self.final_size, |one| one.size.max(self.final_size)),
            finalized: self.final_size,
            height: self.heights.back().map_or(0, |noted| noted.block.height),
        }
    }
}

/// How far the log is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Leaves covered by anchors handed to the ledger.
    pub(crate) anchored: u64,
    /// Leaves covered by the finalized anchor.
    pub(crate) finalized: u64,
    /// Ledger height of that anchor.
    pub(crate) height: u64,
}

/// Where the log stands on the ledger.
#[derive(Debug, Default)]
pub(crate) struct Anchoring(Mutex<State>);

impl Anchoring {
    /// How far a leaf is vouched for.
    pub(crate) fn proof_state(&self, index: u64) -> ProofState {
        let state = self.0.lock();
        if index < state.final_size {
            let height = state.noted(index).map_or(0, |(block, _)| block.height);
            ProofState::Final { height }
        } else if state.in_flight.is_some_and(|one| index < one.size) {
            ProofState::Anchored
        } else {
            ProofState::Received
        }
    }

    /// The first anchor in memory that covers the leaf, and whether it was the first of all.
    pub(crate) fn noted(&self, index: u64) -> Option<(FinalSince, bool)> {
        self.0.lock().noted(index)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.0.lock().sizes()
    }

    /// Seal times of envelopes, by log index, ascending.
    pub(crate) fn sealed(&self, sealed: impl IntoIterator<Item = (u64, u64)>) {
        let mut state = self.0.lock();
        for one in sealed {
            if state.unfinal.len() == UNFINAL_MAX {
                state.unfinal.pop_front();
            }
            state.unfinal.push_back(one);
        }
    }

    pub(super) fn in_flight(&self) -> Option<InFlight> {
        self.0.lock().in_flight
    }

    /// What the ledger says of the anchor in flight. One that failed, or is not final after
    /// [`ANCHOR_PATIENCE_MS`], is given up.
    pub(super) fn heard_of(&self, one: InFlight, outcome: &Outcome, now_ms: u64) {
        let waited_ms = now_ms.saturating_sub(one.since_ms);
        let given_up = match outcome {
            // Done, and the view above did not cover it yet: it will.
            Outcome::Pending | Outcome::Done { .. } => waited_ms >= ANCHOR_PATIENCE_MS,
            Outcome::Refused { .. } | Outcome::Unknown => true,
        };
        if given_up {
            let mut state = self.0.lock();
            if state.in_flight.is_some_and(|now| now.act == one.act) {
                state.in_flight = None;
            }
        }
    }

    /// The anchored size the ledger knows and the size to anchor, if it is time.
    pub(super) fn due(&self, size: u64, now_ms: u64) -> Option<(u64, u64)> {
        let state = self.0.lock();
        if state.in_flight.is_some() {
            return None;
        }
        let rested = state.last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= ANCHOR_EVERY_MS);
        (rested && size > state.final_size).then_some((state.final_size, size))
    }

    /// An anchor was handed to the ledger; none if it did not take it.
    pub(super) fn handed_in(&self, one: Option<InFlight>, now_ms: u64) {
        let mut state = self.0.lock();
        state.last_ms = Some(now_ms);
        if one.is_some() {
            state.in_flight = one;
        }
    }

    /// An anchor is final. Gives when the envelopes were sealed that it covers first; nothing if it is not news.
    pub(super) fn finalized(&self, size: u64, block: FinalSince) -> Option<Vec<u64>> {
        let mut state = self.0.lock();
        if size <= state.final_size {
            return None;
        }
        state.final_size = size;
        if state.heights.len() == HEIGHTS_MAX {
            state.heights.pop_front();
        }
        state.heights.push_back(Noted { size, block });
        if state.in_flight.is_some_and(|one| one.size <= size) {
            state.in_flight = None;
        }
        let covered = state.unfinal.partition_point(|(index, _)| *index < size);
        Some(state.unfinal.drain(..covered).map(|(_, sealed_ms)| sealed_ms).collect())
    }

    /// Gateways are owed proofs of these.
    pub(super) fn owe(&self, owed: impl IntoIterator<Item = (DeviceId, Owed)>) {
        let mut state = self.0.lock();
        for (gateway, one) in owed {
            let owed = &mut state.gateways.entry(gateway).or_default().owed;
            if owed.len() < AWAITED_MAX {
                owed.insert(one);
            }
        }
    }

    /// Those of the gateways that are owed proofs of what is final, `most` of them.
    pub(super) fn due_for(&self, connected: &[DeviceId], most: usize) -> Vec<DeviceId> {
        let state = self.0.lock();
        let has_due = |id: &&DeviceId| {
            let first = state.gateways.get(id).and_then(|one| one.owed.first());
            first.is_some_and(|owed| owed.index < state.final_size)
        };
        connected.iter().filter(has_due).take(most).copied().collect()
    }

    /// Takes what is owed to a gateway below this size of the log, `most` of it.
    pub(super) fn take_owed(&self, gateway: DeviceId, size: u64, most: usize) -> Vec<Owed> {
        let mut state = self.0.lock();
        let Some(gateway) = state.gateways.get_mut(&gateway) else { return Vec::new() };
        let due = gateway.owed.range(..Owed { index: size, envelope: [0; 32] });
        let owed: Vec<Owed> = due.take(most).copied().collect();
        for one in &owed {
            gateway.owed.remove(one);
        }
        owed
    }

    /// Proofs of these were handed over to a gateway.
    pub(super) fn handed_over(&self, gateway: DeviceId, owed: Vec<Owed>) {
        let mut state = self.0.lock();
        let gateway = state.gateways.entry(gateway).or_default();
        for one in owed {
            if gateway.handed.len() == HANDED_MAX {
                gateway.handed.pop_front();
            }
            gateway.handed.push_back(one);
        }
    }

    /// These could not be sent, or are not known to have arrived: they are owed again.
    pub(super) fn owe_again(&self, gateway: DeviceId, owed: Vec<Owed>) {
        self.0.lock().gateways.entry(gateway).or_default().owed.extend(owed);
    }

    /// A gateway connected. Costs nothing: who calls this must not wait.
    pub(super) fn joined(&self, gateway: DeviceId) {
        self.0.lock().joined.insert(gateway);
    }

    /// Is a gateway waiting to be looked after?
    pub(crate) fn has_joined(&self) -> bool {
        !self.0.lock().joined.is_empty()
    }

    /// Takes a gateway that connected, and whether it did for the first time since the start. What was
    /// handed over to it last may have been lost on the way: it is owed again.
    pub(super) fn take_joined(&self) -> Option<(DeviceId, bool)> {
        let mut state = self.0.lock();
        let id = state.joined.pop_first()?;
        let gateway = state.gateways.entry(id).or_default();
        let handed: Vec<Owed> = gateway.handed.drain(..).collect();
        gateway.owed.extend(handed);
        Some((id, !core::mem::replace(&mut gateway.met, true)))
    }
}
