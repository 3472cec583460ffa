//! Anchors: the log's head put on the ledger at most once a second, noticed when final, and proven
//! to the gateways that wait to forget.

use crate::admit::{Arrival, Verdict};
use crate::clinic::{Clinic, lock};
use crate::views::{FinalSince, LiveEvent, ProofState};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use vault::Edge;
use vitals::DeviceId;
use vitals::ids::Hash;
use vitals::ledger::{Act, ActId, Fact, Outcome};
use vitals::log::PATH_MAX;
use vitals::proof::header::BlockHeader;
use vitals::receipt::{Delivery, PROVEN_MAX, Proven};

/// At most one anchor is handed to the ledger in this time.
pub const ANCHOR_EVERY_MS: u64 = 1_000;
/// An anchor that has not become final after this long is handed in again.
pub const ANCHOR_PATIENCE_MS: u64 = 20_000;
/// Most envelopes one gateway's proofs are owed for; a gateway that was away longer sends again.
pub const AWAITED_MAX: usize = 65_536;
/// Envelopes whose proofs were handed over and are handed over again when the gateway reconnects.
pub const HANDED_MAX: usize = 4_096;
/// Longest delivery made, bytes: well inside what a gateway's connection takes.
pub const DELIVERY_FILL_BYTES: usize = 64 * 1024;
/// Deliveries made for one gateway at a time: its connection takes no more at once, and what it does
/// not take is made anew.
const DELIVERIES_AT_ONCE: usize = 4;
/// Anchors remembered with their blocks; older ones are looked up on the ledger.
const HEIGHTS_MAX: usize = 4_096;
/// Seal times kept to measure how long they take to become final.
const UNFINAL_MAX: usize = 65_536;

/// An envelope whose proof a gateway is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Owed {
    index: u64,
    envelope: Hash,
}

#[derive(Debug, Default)]
struct Gateway {
    owed: BTreeSet<Owed>,
    handed: VecDeque<Owed>,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    act: ActId,
    size: u64,
    since_ms: u64,
}

/// An anchor that became final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    size: u64,
    block: FinalSince,
}

/// Where the log stands on the ledger.
#[derive(Debug, Default)]
pub(crate) struct Anchoring {
    in_flight: Option<InFlight>,
    last_ms: Option<u64>,
    final_size: u64,
    /// Anchors seen since the start, ascending.
    heights: VecDeque<Noted>,
    unfinal: VecDeque<(u64, u64)>,
    gateways: BTreeMap<DeviceId, Gateway>,
}

impl Anchoring {
    pub(crate) fn proof_state(&self, index: u64) -> ProofState {
        if index < self.final_size {
            let height = self.noted(index).map_or(0, |(block, _)| block.height);
            ProofState::Final { height }
        } else if self.in_flight.is_some_and(|one| index < one.size) {
            ProofState::Anchored
        } else {
            ProofState::Received
        }
    }

    /// The first anchor in memory that covers the leaf, and whether it was the first of all: before the
    /// oldest in memory there were others.
    pub(crate) fn noted(&self, index: u64) -> Option<(FinalSince, bool)> {
        let at = self.heights.partition_point(|noted| noted.size <= index);
        self.heights.get(at).map(|noted| (noted.block, at > 0))
    }

    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.in_flight.map_or(self.final_size, |one| one.size.max(self.final_size)), self.final_size)
    }

    /// Seal times of envelopes, by log index, ascending.
    pub(crate) fn sealed(&mut self, index: u64, sealed_at_ms: u64) {
        if self.unfinal.len() == UNFINAL_MAX {
            self.unfinal.pop_front();
        }
        self.unfinal.push_back((index, sealed_at_ms));
    }
}

/// A proof on its way to a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: DeviceId,
    /// Encoded [`Delivery`].
    pub bytes: Vec<u8>,
    covers: Vec<Owed>,
}

impl Outgoing {
    /// How many envelopes it proves.
    #[must_use]
    pub fn proves(&self) -> usize {
        self.covers.len()
    }
}

impl Clinic {
    /// Notices what became final, and hands the log's head to the ledger when one is due. Call it
    /// when the ledger's view moves, and a few times a second.
    pub fn tend_anchors(&self, now_ms: u64) {
        self.note_anchor(now_ms);
        let Some((known, size)) = self.anchor_due(now_ms) else { return };
        let (Some(root), Some(consistency)) =
            (self.store().root_at(size), self.store().consistency(known, size))
        else {
            tracing::error!("The ledger holds a longer log of this organisation than its record store");
            return;
        };
        match self.ledger().submit(Act::Anchor { size, root, consistency }) {
            Ok(act) => {
                let sizes = {
                    let mut anchoring = lock(&self.anchoring);
                    anchoring.last_ms = Some(now_ms);
                    anchoring.in_flight = Some(InFlight { act, size, since_ms: now_ms });
                    anchoring.sizes()
                };
                self.tell_proof(sizes);
            }
            Err(why) => {
                lock(&self.anchoring).last_ms = Some(now_ms);
                tracing::warn!(reason = %why, "An anchor was not taken");
            }
        }
    }

    /// The anchored size the ledger knows and the size to anchor, if it is time.
    fn anchor_due(&self, now_ms: u64) -> Option<(u64, u64)> {
        let mut anchoring = lock(&self.anchoring);
        if let Some(one) = anchoring.in_flight {
            let waited_ms = now_ms.saturating_sub(one.since_ms);
            let given_up = match self.ledger().outcome(one.act) {
                // Done, and the view above did not cover it yet: it will.
                Outcome::Pending | Outcome::Done { .. } => waited_ms >= ANCHOR_PATIENCE_MS,
                Outcome::Refused { reason } => {
                    tracing::warn!(%reason, "The ledger refused an anchor");
                    true
                }
                Outcome::Unknown => true,
            };
            if !given_up {
                return None;
            }
            anchoring.in_flight = None;
        }
        let rested =
            anchoring.last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= ANCHOR_EVERY_MS);
        let size = self.store().size();
        (rested && size > anchoring.final_size).then_some((anchoring.final_size, size))
    }

    /// Reads the finalized anchor and tells everybody if it moved.
    pub(crate) fn note_anchor(&self, now_ms: u64) {
        let Ok(Some(anchor)) = self.ledger().anchor(self.org()) else { return };
        let tip = self.ledger().tip();
        let time_ms = (tip.height == anchor.height).then_some(tip.time_ms);
        let (sizes, latencies) = {
            let mut anchoring = lock(&self.anchoring);
            if anchor.size <= anchoring.final_size {
                return;
            }
            anchoring.final_size = anchor.size;
            if anchoring.heights.len() == HEIGHTS_MAX {
                anchoring.heights.pop_front();
            }
            let block = FinalSince { height: anchor.height, time_ms };
            anchoring.heights.push_back(Noted { size: anchor.size, block });
            if anchoring.in_flight.is_some_and(|one| one.size <= anchor.size) {
                anchoring.in_flight = None;
            }
            let covered = anchoring.unfinal.partition_point(|(index, _)| *index < anchor.size);
            let latencies: Vec<u64> =
                anchoring.unfinal.drain(..covered).map(|(_, sealed)| now_ms.saturating_sub(sealed)).collect();
            (anchoring.sizes(), latencies)
        };
        {
            let mut stats = lock(&self.stats);
            stats.counters.anchors += 1;
            latencies.into_iter().for_each(|latency_ms| stats.seal_to_final.add(latency_ms));
        }
        self.tell_proof(sizes);
    }

    fn tell_proof(&self, (anchored_size, final_size): (u64, u64)) {
        let height = lock(&self.anchoring).heights.back().map_or(0, |noted| noted.block.height);
        self.tell(LiveEvent::Proof { anchored_size, final_size, height });
    }

    /// Remembers who is owed proofs of what was just admitted (or sent again).
    pub(crate) fn await_proofs(&self, arrivals: &[Arrival], settled: &[(Verdict, Option<(Hash, u64)>)]) {
        let mut anchoring = lock(&self.anchoring);
        for (arrival, (_, place)) in arrivals.iter().zip(settled) {
            if let Some((envelope, index)) = *place {
                let owed = &mut anchoring.gateways.entry(arrival.from).or_default().owed;
                if owed.len() < AWAITED_MAX {
                    owed.insert(Owed { index, envelope });
                }
            }
        }
    }

    /// Proofs for gateways that are connected and carried what has become final, ready to send. One
    /// ledger proof serves all. What could not be sent goes back with [`Clinic::not_sent`].
    pub fn deliveries(&self, connected: &[DeviceId]) -> Vec<Outgoing> {
        self.deliveries_for(connected, usize::MAX)
    }

    /// The same for the first `gateways_max` of them that have something due: all at once would hold
    /// up acknowledgements.
    pub fn deliveries_for(&self, connected: &[DeviceId], gateways_max: usize) -> Vec<Outgoing> {
        let due: Vec<DeviceId> = {
            let anchoring = lock(&self.anchoring);
            let has_due = |id: &&DeviceId| {
                anchoring
                    .gateways
                    .get(id)
                    .and_then(|one| one.owed.first())
                    .is_some_and(|o| o.index < anchoring.final_size)
            };
            connected.iter().filter(has_due).take(gateways_max).copied().collect()
        };
        if due.is_empty() {
            return Vec::new();
        }
        let Some((ledger, size)) = self.anchor_proof() else { return Vec::new() };
        let Some(edge) = self.store().edge(size) else { return Vec::new() };
        due.into_iter().flat_map(|to| self.fill(to, &ledger, &edge)).collect()
    }

    /// A proof of the anchored head, and the log size it shows.
    fn anchor_proof(&self) -> Option<(Vec<u8>, u64)> {
        let before = self.ledger().anchor(self.org()).ok()??;
        let proof = match self.ledger().prove(&[Fact::Anchor(self.org())]) {
            Ok(proof) => proof,
            Err(why) => {
                tracing::debug!(reason = %why, "No proof of the anchor yet");
                return None;
            }
        };
        let after = self.ledger().anchor(self.org()).ok()??;
        let header = BlockHeader::decode(&proof.header).ok()?;
        // The same anchor before and after, written no later than the proven block: the one shown.
        (before == after && header.height >= before.height).then(|| (proof.encode(), before.size))
    }

    fn fill(&self, to: DeviceId, ledger: &[u8], edge: &Edge) -> Vec<Outgoing> {
        let size = edge.size();
        let path_len = usize::try_from(size.max(2).ilog2() + 1).unwrap_or(PATH_MAX);
        let each_bytes = 48 + 34 * path_len;
        let room = DELIVERY_FILL_BYTES.saturating_sub(ledger.len() + 64) / each_bytes;
        let room = room.clamp(1, PROVEN_MAX);
        let owed: Vec<Owed> = {
            let mut anchoring = lock(&self.anchoring);
            let Some(gateway) = anchoring.gateways.get_mut(&to) else { return Vec::new() };
            let due = gateway.owed.range(..Owed { index: size, envelope: [0; 32] });
            let owed: Vec<Owed> = due.take(room * DELIVERIES_AT_ONCE).copied().collect();
            for one in &owed {
                gateway.owed.remove(one);
            }
            owed
        };
        let deliveries = owed.chunks(room).map(|covers| {
            let proven = covers.iter().filter_map(|one| {
                let path = self.store().inclusion_at(one.index, edge)?;
                Some(Proven { envelope: one.envelope, index: one.index, path })
            });
            let delivery = Delivery { org: self.org(), ledger: ledger.to_vec(), proven: proven.collect() };
            Outgoing { to, bytes: delivery.encode(), covers: covers.to_vec() }
        });
        let deliveries: Vec<Outgoing> = deliveries.collect();
        let mut anchoring = lock(&self.anchoring);
        let gateway = anchoring.gateways.entry(to).or_default();
        for one in owed {
            if gateway.handed.len() == HANDED_MAX {
                gateway.handed.pop_front();
            }
            gateway.handed.push_back(one);
        }
        deliveries
    }

    /// The connection did not take it: it will be made again.
    pub fn not_sent(&self, outgoing: Outgoing) {
        let mut anchoring = lock(&self.anchoring);
        anchoring.gateways.entry(outgoing.to).or_default().owed.extend(outgoing.covers);
    }

    /// A gateway connected (again): what was handed over last may have been lost on the way and is
    /// owed again. After a restart of this node, that is what its sensors sent last.
    pub fn connected(&self, gateway: DeviceId) {
        self.orders_again(gateway);
        let known = {
            let mut anchoring = lock(&self.anchoring);
            let known = anchoring.gateways.contains_key(&gateway);
            let one = anchoring.gateways.entry(gateway).or_default();
            let handed: Vec<Owed> = one.handed.drain(..).collect();
            one.owed.extend(handed);
            known
        };
        if !known {
            let last = self.last_carried(gateway);
            lock(&self.anchoring).gateways.entry(gateway).or_default().owed.extend(last);
        }
    }

    /// The newest envelopes of a gateway's sensors, at most [`HANDED_MAX`] in all.
    fn last_carried(&self, gateway: DeviceId) -> Vec<Owed> {
        let streams: Vec<_> = self.store().streams().into_iter().filter_map(|id| self.stream(id)).collect();
        let height = self.ledger().tip().height;
        let carried: Vec<_> = {
            let mut registry = lock(&self.registry);
            let mut via =
                |author| registry.device(self.ledger(), height, author).ok().flatten().map(|d| d.via);
            streams.into_iter().filter(|record| via(record.author) == Some(gateway)).collect()
        };
        let each = HANDED_MAX / carried.len().max(1);
        let mut owed = Vec::new();
        for record in carried {
            let Some(head) = self.store().head(record.stream) else { continue };
            let first = (head.last_seq + 1).saturating_sub(each as u64);
            for seq in first..=head.last_seq {
                let located = self.store().locate(record.stream, seq);
                if let (Some(located), Ok(Some(envelope))) =
                    (located, self.store().hash_at(record.stream, seq))
                {
                    owed.push(Owed { index: located.index, envelope });
                }
            }
        }
        owed
    }
}
