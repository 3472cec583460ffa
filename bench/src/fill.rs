//! What a gap costs: a stream that is filled in another order than the one it was sealed in, beside the
//! same stream in order. In memory, where no disk hides the work.

use crate::clock;
use crate::table::Row;
use crate::unopened;
use anyhow::Result;
use std::path::Path;
use vault::{Admitted, Store};
use vitals::envelope::Envelope;
use vitals::ids::{DeviceId, Genesis, StreamId};

const ENVELOPES: u64 = 100_000;
/// As many at once as a busy gateway sends.
const GROUP: usize = 64;
/// Runs of each order; the quickest counts.
const RUNS: usize = 5;
/// Times the cost of filling in order.
const GOAL: f64 = 1.5;
const GENESIS: Genesis = Genesis([7; 32]);

type Sealed = (Envelope, Vec<u8>);

/// Seconds that a new store takes for these.
fn fill(base: &Path, sealed: &[&Sealed]) -> Result<f64> {
    let folder = tempfile::Builder::new().prefix("aceso-bench-").tempdir_in(base)?;
    let store = Store::create(folder.path(), GENESIS)?;
    let began = clock::instant();
    for group in sealed.chunks(GROUP) {
        let group: Vec<_> = group.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
        store.append(&group)?;
    }
    let took_s = began.elapsed().as_secs_f64();
    let gaps = store.gaps(StreamId([1; 16]), 1);
    anyhow::ensure!(store.size() == ENVELOPES && gaps.is_empty(), "not everything was stored: {gaps:?}");
    Ok(took_s)
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
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..RUNS {
            best = (best.0.min(fill(&base, &in_order)?), best.1.min(fill(&base, &order)?));
        }
        let ratio = best.1 / best.0;
        let row =
            Row::new(format!("100,000 envelopes of one stream stored: {name}"), format!("{:.3} s", best.1));
        let row = row.beside(format!("in order: {:.3} s", best.0), ratio);
        rows.push(row.goal(format!("≤ {GOAL}"), ratio <= GOAL));
    }
    Ok(rows)
}
