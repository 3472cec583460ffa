//! Figures for a report.

use super::Operator;
use operator::{Latency, MissingFigures, NodeFigures, Tip};

impl Operator {
    pub(super) fn tip(&self) -> Tip {
        let tip = self.chain.tip();
        Tip { height: tip.height, time_ms: tip.time_ms, digest: hex::encode(tip.digest) }
    }

    pub(super) fn figures(&self) -> NodeFigures {
        let counters = self.clinic.counters();
        let store = self.clinic.store();
        let latency = |of: &clinic::Latency| Latency {
            p50: of.p50_ms as f64,
            p99: of.p99_ms as f64,
            samples: of.count,
        };
        let own = self.clinic.vault().author();
        let streams = store.streams().into_iter().filter_map(|id| {
            let record = self.clinic.vault().stream(id)?;
            let head = store.head(id)?;
            (record.author != own).then(|| (id.to_string(), head.count))
        });
        let equipment = self.clinic.equipment();
        let refused = |code| counters.refused.get(code).copied().unwrap_or(0);
        let missing = equipment.iter().flat_map(|row| &row.missing).map(|missing| {
            let (count, seqs, since_ms) = (missing.count, missing.seqs.clone(), missing.since_ms);
            (missing.stream.to_string(), MissingFigures { count, seqs, since_ms })
        });
        NodeFigures {
            second_hand_refused: refused("equivocation") + refused("prev_broken"),
            two_hands: equipment.iter().filter(|row| row.forked_since_ms.is_some()).count() as u64,
            missing: missing.collect(),
            clocks_off_ms: equipment.iter().filter_map(|row| row.clock_off_ms).collect(),
            envelopes_admitted: counters.admitted,
            envelopes_duplicate: counters.duplicate,
            envelopes_refused: counters.refused_total(),
            readings_admitted: counters.admitted_readings,
            log_size: store.size(),
            anchors: counters.anchors,
            alarms: counters.alarms_raised,
            height: self.chain.tip().height,
            sealed_to_live_ms: latency(&counters.seal_to_live),
            sealed_to_final_ms: latency(&counters.seal_to_final),
            streams: streams.collect(),
        }
    }
}
