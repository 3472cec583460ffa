//! Sums over the organisations of a ward.

use super::{GatewayFigures, HospitalFigures, Report};
use operator::{Latency, NodeFigures};

impl Report {
    /// A report of these organisations, not judged yet.
    pub(crate) fn of(
        genesis: String,
        seconds: f64,
        patients: usize,
        hospitals: Vec<HospitalFigures>,
    ) -> Self {
        let (mut gateway, mut node) = (GatewayFigures::default(), NodeFigures::default());
        for hospital in &hospitals {
            gateway.add(&hospital.gateway);
            add_node(&mut node, &hospital.node);
        }
        Self {
            genesis,
            seconds,
            patients,
            complete: false,
            problems: Vec::new(),
            kills: Vec::new(),
            gateway,
            node,
            ledger: None,
            story: Vec::new(),
            hospitals,
        }
    }
}

/// Median and 99th percentile of samples in any order, milliseconds.
pub(crate) fn latency_of(mut samples: Vec<u64>) -> Latency {
    samples.sort_unstable();
    let at = |part: f64| {
        let last = samples.len().saturating_sub(1) as f64;
        samples
            .iter()
            .zip(0_u32..)
            .find(|(_, n)| f64::from(*n) >= last * part)
            .map_or(0.0, |(ms, _)| *ms as f64)
    };
    Latency { p50: at(0.5), p99: at(0.99), samples: samples.len() as u64 }
}

/// The slower of both, over all samples.
fn add_latency(to: &mut Latency, other: &Latency) {
    to.p50 = to.p50.max(other.p50);
    to.p99 = to.p99.max(other.p99);
    to.samples += other.samples;
}

impl GatewayFigures {
    fn add(&mut self, other: &Self) {
        self.readings_sampled += other.readings_sampled;
        self.readings_proven += other.readings_proven;
        self.envelopes_sealed += other.envelopes_sealed;
        self.envelopes_refused += other.envelopes_refused;
        self.envelopes_pending += other.envelopes_pending;
        self.envelopes_aside += other.envelopes_aside;
        self.streams_closed += other.streams_closed;
        self.taken_over += other.taken_over;
        self.readings_lost += other.readings_lost;
        self.alarm_events_lost += other.alarm_events_lost;
        self.clock_wrong = self.clock_wrong.max(other.clock_wrong);
        self.receipts_checked += other.receipts_checked;
        self.proofs_checked += other.proofs_checked;
        self.proofs_failed += other.proofs_failed;
        self.alarms_raised += other.alarms_raised;
        add_latency(&mut self.sealed_to_proven_ms, &other.sealed_to_proven_ms);
        self.streams.extend(other.streams.iter().map(|(stream, count)| (stream.clone(), *count)));
    }
}

fn add_node(to: &mut NodeFigures, other: &NodeFigures) {
    to.envelopes_admitted += other.envelopes_admitted;
    to.envelopes_duplicate += other.envelopes_duplicate;
    to.envelopes_refused += other.envelopes_refused;
    to.second_hand_refused += other.second_hand_refused;
    to.two_hands += other.two_hands;
    to.missing.extend(other.missing.iter().map(|(stream, missing)| (stream.clone(), missing.clone())));
    to.clocks_off_ms.extend(&other.clocks_off_ms);
    to.readings_admitted += other.readings_admitted;
    to.log_size += other.log_size;
    to.anchors += other.anchors;
    to.alarms += other.alarms;
    to.height = to.height.max(other.height);
    add_latency(&mut to.sealed_to_live_ms, &other.sealed_to_live_ms);
    add_latency(&mut to.sealed_to_final_ms, &other.sealed_to_final_ms);
    to.streams.extend(other.streams.iter().map(|(stream, count)| (stream.clone(), *count)));
}
