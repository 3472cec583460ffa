//! Anchors: the log's head put on the ledger at most once a second, noticed when final, and proven
//! to the gateways that wait to forget.

use super::state::{HANDED_MAX, InFlight, Owed, Sizes};
use super::views::FinalSince;
use crate::admission::{Arrival, Verdict};
use crate::clinic::Clinic;
use crate::monitoring::LiveEvent;
use std::collections::BTreeMap;
use vault::Edge;
use vitals::DeviceId;
use vitals::ids::{Hash, StreamId};
use vitals::ledger::{Act, Fact, Outcome};
use vitals::log::PATH_MAX;
use vitals::proof::header::BlockHeader;
use vitals::receipt::{Delivery, PROVEN_MAX, Proven};

/// Longest delivery made, bytes: well inside what a gateway's connection takes.
pub(crate) const DELIVERY_FILL_BYTES: usize = 64 * 1024;
/// Deliveries made for one gateway at a time: its connection takes no more at once, and what it does
/// not take is made again.
const DELIVERIES_AT_ONCE: usize = 4;

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
                self.anchoring.handed_in(Some(InFlight { act, size, since_ms: now_ms }), now_ms);
                self.tell_proof();
            }
            Err(why) => {
                self.anchoring.handed_in(None, now_ms);
                // A ledger that has ended says so once.
                if self.ledger().down().is_none() {
                    tracing::warn!(reason = %why, "An anchor was not taken");
                }
            }
        }
    }

    /// The anchored size the ledger knows and the size to anchor, if it is time.
    fn anchor_due(&self, now_ms: u64) -> Option<(u64, u64)> {
        if let Some(one) = self.anchoring.in_flight() {
            let outcome = self.ledger().outcome(one.act);
            if let Outcome::Refused { reason } = &outcome {
                tracing::warn!(%reason, "The ledger refused an anchor");
            }
            self.anchoring.heard_of(one, &outcome, now_ms);
        }
        self.anchoring.due(self.store().size(), now_ms)
    }

    /// Reads the finalized anchor, and sends an event if it moved.
    pub(crate) fn note_anchor(&self, now_ms: u64) {
        let Ok(Some(anchor)) = self.ledger().anchor(self.org()) else { return };
        let tip = self.ledger().tip();
        let time_ms = (tip.height == anchor.height).then_some(tip.time_ms);
        let block = FinalSince { height: anchor.height, time_ms };
        let Some(sealed_ms) = self.anchoring.finalized(anchor.size, block) else { return };
        self.stats.finalized(sealed_ms.into_iter().map(|sealed_ms| now_ms.saturating_sub(sealed_ms)));
        self.tell_proof();
    }

    fn tell_proof(&self) {
        let Sizes { anchored, finalized, height } = self.anchoring.sizes();
        self.publish(LiveEvent::Proof { anchored_size: anchored, final_size: finalized, height });
    }

    /// Remembers who is owed proofs of what was just admitted (or sent again).
    pub(crate) fn await_proofs(&self, arrivals: &[Arrival], settled: &[(Verdict, Option<(Hash, u64)>)]) {
        let owed = arrivals.iter().zip(settled).filter_map(|(arrival, (_, place))| {
            place.map(|(envelope, index)| (arrival.from, Owed { index, envelope }))
        });
        self.anchoring.owe(owed);
    }

    /// Proofs for gateways that are connected and carried what has become final, ready to send. One
    /// ledger proof serves all. What could not be sent goes back with [`Clinic::not_sent`].
    pub fn deliveries(&self, connected: &[DeviceId]) -> Vec<Outgoing> {
        self.deliveries_for(connected, usize::MAX)
    }

    /// The same for the first `gateways_max` of them that have something due: all at once would hold
    /// up acknowledgements.
    pub fn deliveries_for(&self, connected: &[DeviceId], gateways_max: usize) -> Vec<Outgoing> {
        let due = self.anchoring.due_for(connected, gateways_max);
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
        let owed = self.anchoring.take_owed(to, size, room * DELIVERIES_AT_ONCE);
        let deliveries = owed.chunks(room).map(|covers| {
            let proven = covers.iter().filter_map(|one| {
                let path = self.store().inclusion_at(one.index, edge)?;
                Some(Proven { envelope: one.envelope, index: one.index, path })
            });
            let delivery = Delivery { org: self.org(), ledger: ledger.to_vec(), proven: proven.collect() };
            Outgoing { to, bytes: delivery.encode(), covers: covers.to_vec() }
        });
        let deliveries: Vec<Outgoing> = deliveries.collect();
        self.anchoring.handed_over(to, owed);
        deliveries
    }

    /// The connection did not take it: it will be made again.
    pub fn not_sent(&self, outgoing: Outgoing) {
        self.anchoring.owe_again(outgoing.to, outgoing.covers);
    }

    /// A gateway connected (again). Waits for nothing; [`Clinic::attend_joined`] does the rest.
    pub fn connected(&self, gateway: DeviceId) {
        self.anchoring.joined(gateway);
    }

    /// Does a gateway that connected still wait for [`Clinic::attend_joined`]?
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.anchoring.has_joined()
    }

    /// Looks after one gateway that connected: it is told again what it has not answered, and is owed again
    /// what was handed over last. After a restart of this node, that is what its sensors sent last, which
    /// is read from the disk.
    pub fn attend_joined(&self) {
        let Some((gateway, first)) = self.anchoring.take_joined() else { return };
        self.orders_again(gateway);
        if first {
            let carried = self.carried.of(gateway, || self.streams_by_gateway());
            self.anchoring.owe_again(gateway, self.last_of(&carried));
        }
    }

    /// The streams in the record by the gateway that carries their author.
    fn streams_by_gateway(&self) -> BTreeMap<DeviceId, Vec<StreamId>> {
        let height = self.ledger().tip().height;
        let mut carried: BTreeMap<DeviceId, Vec<StreamId>> = BTreeMap::new();
        for stream in self.store().streams() {
            let Some(record) = self.stream(stream).filter(|record| record.author != self.vault().author())
            else {
                continue;
            };
            if let Ok(Some(device)) = self.registry.device(self.ledger(), height, record.author) {
                carried.entry(device.via).or_default().push(stream);
            }
        }
        carried
    }

    /// The newest envelopes of these streams, at most [`HANDED_MAX`] in all.
    fn last_of(&self, streams: &[StreamId]) -> Vec<Owed> {
        let each = HANDED_MAX / streams.len().max(1);
        let mut owed = Vec::new();
        for stream in streams {
            let Some(head) = self.store().head(*stream) else { continue };
            let first = head.last_seq.saturating_sub((each as u64).saturating_sub(1));
            for seq in first..=head.last_seq {
                if let (Some(located), Ok(Some(envelope))) =
                    (self.store().locate(*stream, seq), self.store().hash_at(*stream, seq))
                {
                    owed.push(Owed { index: located.index, envelope });
                }
            }
        }
        owed
    }
}
