//! What a ward run amounts to, and whether it is a success.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Median and 99th percentile, milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) samples: u64,
}

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

/// Missing envelopes of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissingFigures {
    pub(crate) count: u64,
    /// Inclusive ranges of sequence numbers; the first few.
    pub(crate) seqs: Vec<(u64, u64)>,
    /// When the node noticed, milliseconds since 1970.
    pub(crate) since_ms: u64,
}

/// What the node counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NodeFigures {
    pub(crate) envelopes_admitted: u64,
    pub(crate) envelopes_duplicate: u64,
    pub(crate) envelopes_refused: u64,
    /// Refused ones among them that another hand wrote into a stream.
    #[serde(default)]
    pub(crate) second_hand_refused: u64,
    /// Patients with a stream that two hands write now.
    #[serde(default)]
    pub(crate) two_hands: u64,
    /// Per stream, what is missing now.
    #[serde(default)]
    pub(crate) missing: BTreeMap<String, MissingFigures>,
    /// How far each wrong bedside clock is off, milliseconds; positive when it is behind.
    #[serde(default)]
    pub(crate) clocks_off_ms: Vec<i64>,
    pub(crate) readings_admitted: u64,
    pub(crate) log_size: u64,
    pub(crate) anchors: u64,
    pub(crate) alarms: u64,
    pub(crate) height: u64,
    pub(crate) sealed_to_live_ms: Latency,
    pub(crate) sealed_to_final_ms: Latency,
    /// Per stream of a device, how many envelopes are stored; gaps make it smaller than the next number.
    pub(crate) streams: BTreeMap<String, u64>,
}

/// A process that was killed on purpose.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Kill {
    pub(crate) after_s: f64,
    pub(crate) role: &'static str,
    pub(crate) ready_again_ms: u64,
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
    pub(crate) gateway: GatewayFigures,
    pub(crate) node: NodeFigures,
}

impl Report {
    /// Every reading sampled was admitted, anchored and its proof checked; else why not.
    ///
    /// A killed process forgets its counters, so after kills the streams themselves are compared: each
    /// must be stored exactly as often as it was sealed.
    pub(crate) fn judge(&mut self) {
        let mut problems = self.lasting_problems();
        if self.kills.is_empty() {
            problems.extend(self.counted_problems());
        }
        self.complete = problems.is_empty();
        self.problems = problems;
    }

    fn lasting_problems(&self) -> Vec<String> {
        let (gateway, node) = (&self.gateway, &self.node);
        let mut problems = Problems::default();
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
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            genesis: String::new(),
            seconds: 1.0,
            patients: 1,
            complete: false,
            problems: Vec::new(),
            kills: Vec::new(),
            gateway: GatewayFigures {
                streams: BTreeMap::from([("ab".to_owned(), 2)]),
                readings_sampled: 10,
                readings_proven: 10,
                envelopes_sealed: 2,
                proofs_checked: 2,
                ..GatewayFigures::default()
            },
            node: NodeFigures {
                streams: BTreeMap::from([("ab".to_owned(), 2)]),
                envelopes_admitted: 2,
                readings_admitted: 10,
                anchors: 1,
                ..NodeFigures::default()
            },
        }
    }

    #[test]
    fn a_run_is_complete_only_when_every_reading_is_proven() {
        let mut report = good();
        report.judge();
        assert!(report.complete, "{:?}", report.problems);
        report.gateway.readings_proven = 9;
        report.judge();
        assert!(!report.complete);
        assert_eq!(report.problems, ["10 readings were sampled, 9 proven"]);
    }

    #[test]
    fn after_kills_the_streams_themselves_are_compared() {
        let mut report = good();
        report.kills.push(Kill { after_s: 1.0, role: "node", ready_again_ms: 5 });
        report.node.readings_admitted = 3;
        report.judge();
        assert!(report.complete, "{:?}", report.problems);
        report.node.streams.insert("ab".to_owned(), 1);
        report.judge();
        assert_eq!(report.problems, ["stream ab: 2 envelopes were sealed, 1 stored"]);
    }

    #[test]
    fn what_is_missing_and_what_another_hand_wrote_is_named() {
        let mut report = good();
        let missing = MissingFigures { count: 2, seqs: vec![(3, 4)], since_ms: 5 };
        report.node.missing.insert("ab".to_owned(), missing);
        report.node.second_hand_refused = 7;
        report.judge();
        assert_eq!(
            report.problems,
            [
                "stream ab: 2 envelopes are missing, (3, 4) first",
                "two hands wrote one stream: 7 envelopes of the second refused"
            ]
        );
    }

    #[test]
    fn a_refused_envelope_or_a_failed_proof_spoils_the_run() {
        let spoils: [fn(&mut Report); 4] = [
            |r| r.node.envelopes_refused = 1,
            |r| r.gateway.proofs_failed = 1,
            |r| r.gateway.taken_over = 1,
            |r| r.gateway.readings_lost = 1,
        ];
        for spoil in spoils {
            let mut report = good();
            spoil(&mut report);
            report.judge();
            assert!(!report.complete);
        }
    }
}
