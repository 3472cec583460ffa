//! Sums over the organisations of a ward.

use super::{GatewayFigures, HospitalFigures, Latency, NodeFigures, Report};

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
            node.add(&hospital.node);
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

impl Latency {
    /// Of samples in any order.
    pub(crate) fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |part: f64| {
            let last = samples.len().saturating_sub(1) as f64;
            samples
                .iter()
                .zip(0_u32..)
                .find(|(_, n)| f64::from(*n) >= last * part)
                .map_or(0.0, |(ms, _)| *ms as f64)
        };
        Self { p50: at(0.5), p99: at(0.99), samples: samples.len() as u64 }
    }

    fn add(&mut self, other: &Self) {
        self.p50 = self.p50.max(other.p50);
        self.p99 = self.p99.max(other.p99);
        self.samples += other.samples;
    }
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
        self.clock_wrong = self.clock_wrong.max(other.clock_wrong);
        self.receipts_checked += other.receipts_checked;
        self.proofs_checked += other.proofs_checked;
        self.proofs_failed += other.proofs_failed;
        self.alarms_raised += other.alarms_raised;
        self.sealed_to_proven_ms.add(&other.sealed_to_proven_ms);
        self.streams.extend(other.streams.iter().map(|(stream, count)| (stream.clone(), *count)));
    }
}

impl NodeFigures {
    fn add(&mut self, other: &Self) {
        self.envelopes_admitted += other.envelopes_admitted;
        self.envelopes_duplicate += other.envelopes_duplicate;
        self.envelopes_refused += other.envelopes_refused;
        self.second_hand_refused += other.second_hand_refused;
        self.two_hands += other.two_hands;
        self.missing.extend(other.missing.iter().map(|(stream, missing)| (stream.clone(), missing.clone())));
        self.clocks_off_ms.extend(&other.clocks_off_ms);
        self.readings_admitted += other.readings_admitted;
        self.log_size += other.log_size;
        self.anchors += other.anchors;
        self.alarms += other.alarms;
        self.height = self.height.max(other.height);
        self.sealed_to_live_ms.add(&other.sealed_to_live_ms);
        self.sealed_to_final_ms.add(&other.sealed_to_final_ms);
        self.streams.extend(other.streams.iter().map(|(stream, count)| (stream.clone(), *count)));
    }
}
