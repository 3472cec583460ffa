//! What a ward run amounts to, and whether it is a success.

mod totals;

pub(crate) use totals::latency_of;

use operator::{Latency, LedgerFigures, NodeFigures};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the gateway counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GatewayFigures {
    pub(crate) readings_sampled: u64,
    pub(crate) readings_proven: u64,
    pub(crate) envelopes_sealed: u64,
    pub(crate) envelopes_refused: u64,
    pub(crate) envelopes_pending: u64,
    /// Refused envelopes that are kept aside.
    #[serde(default)]
    pub(crate) envelopes_aside: u64,
    /// Streams into which nothing is sealed any more.
    #[serde(default)]
    pub(crate) streams_closed: u64,
    /// Times another device took over the connection with the gateway's key.
    #[serde(default)]
    pub(crate) taken_over: u64,
    /// Readings that could not be stored.
    #[serde(default)]
    pub(crate) readings_lost: u64,
    /// Alarm events that could not be stored.
    #[serde(default)]
    pub(crate) alarm_events_lost: u64,
    /// 1 while the gateway's clock is far from the node's.
    #[serde(default)]
    pub(crate) clock_wrong: u64,
    pub(crate) receipts_checked: u64,
    pub(crate) proofs_checked: u64,
    pub(crate) proofs_failed: u64,
    pub(crate) alarms_raised: u64,
    pub(crate) sealed_to_proven_ms: Latency,
    /// Per stream, the next sequence number: how many envelopes its author has sealed in all.
    pub(crate) streams: BTreeMap<String, u64>,
}

/// What a node's ledger came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ChainFigures {
    pub(crate) height: u64,
    /// Blocks and transactions since the node was started.
    pub(crate) blocks: u64,
    pub(crate) transactions: u64,
    pub(crate) epoch: u64,
    /// Validator keys of the committee of that epoch.
    pub(crate) committee: Vec<String>,
    /// From a block's time to its state being durable at this node; the last blocks only.
    #[serde(skip)]
    pub(crate) finality_samples_ms: Vec<u64>,
}

impl From<LedgerFigures> for ChainFigures {
    fn from(figures: LedgerFigures) -> Self {
        let LedgerFigures { height, blocks, transactions, epoch, committee, finality_samples_ms } = figures;
        Self { height, blocks, transactions, epoch, committee, finality_samples_ms }
    }
}

/// What happened in a story, and when.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StoryLine {
    pub(crate) at_s: f64,
    pub(crate) height: u64,
    pub(crate) what: String,
}

/// Nodes that were killed on purpose.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Kill {
    pub(crate) after_s: f64,
    pub(crate) nodes: Vec<String>,
    /// From the kill to the start.
    pub(crate) away_ms: u64,
    /// From the start to serving.
    pub(crate) ready_again_ms: u64,
    /// From the start to standing where the others stand; after a kill of all, to the first new block.
    pub(crate) caught_up_ms: Option<u64>,
    /// Highest block when they were killed.
    pub(crate) height: u64,
    /// Blocks the others made before the killed were started again.
    pub(crate) blocks_meanwhile: u64,
    /// Longest time without a new block anywhere, from the kill to having caught up.
    pub(crate) without_block_ms: u64,
}

/// Whether all nodes hold one history, looked at once all gateways had stopped.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Agreement {
    /// Every node's headers up to here were compared.
    pub(crate) height: u64,
    /// Nodes whose every header is the same as the first node's.
    pub(crate) same_headers: usize,
    /// Nodes that hold the same anchor of every organisation as the first node.
    pub(crate) same_anchors: usize,
    /// Nodes that reached this height.
    pub(crate) reached: usize,
}

/// The ledger of a ward of several organisations.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ConsortiumFigures {
    pub(crate) height: u64,
    pub(crate) epoch: u64,
    pub(crate) authorities: usize,
    pub(crate) blocks_per_s: f64,
    /// From a block's time to its state being durable, over all nodes' last blocks.
    pub(crate) finality_ms: Latency,
    pub(crate) agreement: Agreement,
}

/// One organisation of a ward.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct HospitalFigures {
    pub(crate) name: String,
    pub(crate) org: String,
    pub(crate) validator: String,
    /// Its node was killed on purpose, or a process of it ended on its own: counters began anew.
    pub(crate) killed: bool,
    /// What ended on its own, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<String>,
    pub(crate) gateway: GatewayFigures,
    pub(crate) node: NodeFigures,
    pub(crate) ledger: ChainFigures,
}

/// The report of one run of a ward.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) genesis: String,
    pub(crate) seconds: f64,
    pub(crate) patients: usize,
    pub(crate) complete: bool,
    pub(crate) problems: Vec<String>,
    pub(crate) kills: Vec<Kill>,
    /// Of all organisations together; latencies are those of the slowest.
    pub(crate) gateway: GatewayFigures,
    /// Likewise.
    pub(crate) node: NodeFigures,
    /// Only with several organisations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<ConsortiumFigures>,
    /// What was voted, in order; only in a story about authorities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) story: Vec<StoryLine>,
    #[serde(skip_serializing_if = "fewer_than_two")]
    pub(crate) hospitals: Vec<HospitalFigures>,
}

fn fewer_than_two(hospitals: &[HospitalFigures]) -> bool {
    hospitals.len() < 2
}

impl Report {
    /// Every reading sampled was admitted, anchored and its proof checked; else why not.
    ///
    /// A killed process forgets its counters, so after kills the streams themselves are compared: each
    /// must be stored exactly as often as it was sealed.
    pub(crate) fn judge(&mut self) {
        let mut problems = Vec::new();
        for hospital in &self.hospitals {
            let mut own = hospital.lasting_problems();
            if !hospital.killed {
                own.extend(hospital.counted_problems());
            }
            let several = self.hospitals.len() > 1;
            problems.extend(
                own.into_iter().map(|why| if several { format!("{}: {why}", hospital.name) } else { why }),
            );
        }
        problems.extend(self.ledger_problems());
        self.complete = problems.is_empty();
        self.problems = problems;
    }

    fn ledger_problems(&self) -> Vec<String> {
        let mut problems = Problems::default();
        if let Some(ConsortiumFigures { agreement, .. }) = &self.ledger {
            let all = self.hospitals.len();
            problems.unless(agreement.reached == all, || {
                format!("only {} of {all} nodes reached height {}", agreement.reached, agreement.height)
            });
            problems.unless(agreement.height > 0, || "the ledger has no block".to_owned());
            problems.unless(agreement.same_headers == all, || {
                format!("only {} of {all} nodes hold the same headers", agreement.same_headers)
            });
            problems.unless(agreement.same_anchors == all, || {
                format!("only {} of {all} nodes hold the same anchors", agreement.same_anchors)
            });
        }
        for kill in &self.kills {
            problems.unless(kill.caught_up_ms.is_some(), || {
                format!("{} did not catch up after being killed", kill.nodes.join(", "))
            });
        }
        problems.0
    }
}

impl HospitalFigures {
    fn lasting_problems(&self) -> Vec<String> {
        let (gateway, node) = (&self.gateway, &self.node);
        let mut problems = Problems(self.ended.clone());
        problems.unless(!gateway.streams.is_empty(), || "the gateway has no stream".to_owned());
        for (stream, sealed) in &gateway.streams {
            let stored = node.streams.get(stream).copied().unwrap_or(0);
            problems.unless(stored == *sealed, || {
                format!("stream {stream}: {sealed} envelopes were sealed, {stored} stored")
            });
        }
        problems.unless(gateway.envelopes_pending == 0, || {
            format!("{} envelopes still wait for their proof", gateway.envelopes_pending)
        });
        for (stream, missing) in &node.missing {
            problems.0.push(format!(
                "stream {stream}: {} envelopes are missing, {:?} first",
                missing.count,
                missing.seqs.first().copied().unwrap_or_default()
            ));
        }
        problems.unless(node.second_hand_refused == 0, || {
            format!(
                "two hands wrote one stream: {} envelopes of the second refused",
                node.second_hand_refused
            )
        });
        problems.unless(gateway.taken_over == 0, || {
            format!("another device took over the gateway's connection {} times", gateway.taken_over)
        });
        problems.unless(gateway.readings_lost == 0, || {
            format!("{} readings could not be stored at the bed", gateway.readings_lost)
        });
        problems.unless(gateway.alarm_events_lost == 0, || {
            format!("{} alarm events could not be stored at the bed", gateway.alarm_events_lost)
        });
        problems.unless(gateway.envelopes_refused + node.envelopes_refused == 0, || {
            format!("{} envelopes were refused", gateway.envelopes_refused.max(node.envelopes_refused))
        });
        problems
            .unless(gateway.proofs_failed == 0, || format!("{} proofs did not check", gateway.proofs_failed));
        problems.unless(node.anchors > 0, || "the ledger holds no anchor".to_owned());
        problems.0
    }

    fn counted_problems(&self) -> Vec<String> {
        let (gateway, node) = (&self.gateway, &self.node);
        let mut problems = Problems::default();
        problems.unless(gateway.readings_sampled > 0, || "no reading was sampled".to_owned());
        problems.unless(gateway.readings_proven == gateway.readings_sampled, || {
            format!("{} readings were sampled, {} proven", gateway.readings_sampled, gateway.readings_proven)
        });
        problems.unless(node.readings_admitted == gateway.readings_sampled, || {
            format!("{} readings were sampled, {} admitted", gateway.readings_sampled, node.readings_admitted)
        });
        problems.unless(gateway.proofs_checked == gateway.envelopes_sealed, || {
            format!(
                "{} envelopes were sealed, {} proofs checked",
                gateway.envelopes_sealed, gateway.proofs_checked
            )
        });
        problems.unless(node.envelopes_admitted == gateway.envelopes_sealed, || {
            format!(
                "{} envelopes were sealed, {} admitted",
                gateway.envelopes_sealed, node.envelopes_admitted
            )
        });
        problems.0
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn unless(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.0.push(sentence());
        }
    }
}

#[cfg(test)]
mod tests;
