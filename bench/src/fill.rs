//! What a gap costs: a stream that is filled in another order than the one it was sealed in, beside the
//! same stream in order. In memory, where no disk hides the work. The clock runs while the store works on
//! a group, which is copied before: a node stores what it has just received, and a group drawn from all
//! over the memory of this bench would measure the bench's own cache misses.

use crate::clock;
use crate::table::Row;
use crate::unopened;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;
use vault::{Admitted, Store};
use vitals::envelope::Envelope;
use vitals::ids::{DeviceId, Genesis, StreamId};

const ENVELOPES: u64 = 100_000;
/// As many at once as a busy gateway sends.
const GROUP: usize = 64;
/// Runs of each order; the quickest counts, for each group.
const RUNS: usize = 5;
/// Times the cost of filling in order.
const GOAL: f64 = 1.5;
const GENESIS: Genesis = Genesis([7; 32]);

type Sealed = (Envelope, Vec<u8>);

/// What a new store takes for each group of these.
fn fill(base: &Path, sealed: &[&Sealed]) -> Result<Vec<Duration>> {
    let folder = tempfile::Builder::new().prefix("aceso-bench-").tempdir_in(base)?;
    let store = Store::create(folder.path(), GENESIS)?;
    let mut took = Vec::with_capacity(sealed.len().div_ceil(GROUP));
    for group in sealed.chunks(GROUP) {
        let received: Vec<Sealed> = group.iter().map(|sealed| (*sealed).clone()).collect();
        let group: Vec<_> = received.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
        let began = clock::instant();
        store.append(&group)?;
        took.push(began.elapsed());
    }
    let gaps = store.gaps(StreamId([1; 16]), 1);
    anyhow::ensure!(store.size() == ENVELOPES && gaps.is_empty(), "not everything was stored: {gaps:?}");
    Ok(took)
}

/// The quickest of some runs, group by group: what else runs on the machine delays a few groups of each.
#[derive(Default)]
struct Quickest(Vec<Duration>);

impl Quickest {
    fn take(&mut self, run: Vec<Duration>) {
        if self.0.is_empty() {
            self.0 = run;
        } else {
            self.0.iter_mut().zip(run).for_each(|(best, took)| *best = took.min(*best));
        }
    }

    fn sum_s(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64()
    }
}

/// Every place below `len` once, in no order that means anything.
fn shuffled(len: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    let mut state = 1_u64;
    for at in (1..len).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(at, (state >> 33) as usize % (at + 1));
    }
    order
}

pub(crate) fn measure() -> Result<Vec<Row>> {
    let base = Some(Path::new("/dev/shm")).filter(|memory| memory.is_dir());
    let base = base.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let (author, stream) = (DeviceId([1; 16]), StreamId([1; 16]));
    let sealed: Vec<Sealed> = (0..ENVELOPES)
        .map(|seq| unopened::envelope(GENESIS, author, stream, seq, [9; 32], seq * 10_000))
        .collect();
    let len = sealed.len();
    let orders: [(&str, Vec<usize>); 4] = [
        ("newest first", (0..len).rev().collect()),
        ("a gap of 1,000 at the front, filled backwards", (1_000..len).chain((0..1_000).rev()).collect()),
        ("every other one, then the rest", (0..len).step_by(2).chain((1..len).step_by(2)).collect()),
        ("shuffled", shuffled(len)),
    ];
    let in_order: Vec<&Sealed> = sealed.iter().collect();
    let mut rows = Vec::new();
    for (name, order) in orders {
        let order: Vec<&Sealed> = order.into_iter().map(|at| &sealed[at]).collect();
        // In turns: the machine is not the same from one moment to the next.
        let (mut usual, mut this) = (Quickest::default(), Quickest::default());
        for _ in 0..RUNS {
            usual.take(fill(&base, &in_order)?);
            this.take(fill(&base, &order)?);
        }
        let (usual_s, this_s) = (usual.sum_s(), this.sum_s());
        let ratio = this_s / usual_s;
        let row =
            Row::new(format!("100,000 envelopes of one stream stored: {name}"), format!("{this_s:.3} s"));
        let row = row.beside(format!("in order: {usual_s:.3} s"), ratio);
        rows.push(row.goal(format!("≤ {GOAL}"), ratio <= GOAL));
    }
    Ok(rows)
}
