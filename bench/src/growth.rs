//! What becomes of admission, start-up and memory when a hospital has ten and a hundred times the
//! patients and the history. Each size in a process of its own, so that memory is that size's alone.

use crate::bedside::{self, Gateway};
use crate::clock;
use crate::hospital::{self, Ward};
use crate::table::{Row, thousands};
use crate::unopened;
use anyhow::{Context, Result};
use clinic::{Arrival, Verdict};
use std::path::Path;
use std::process::Command;
use vault::{Admitted, Store};
use vitals::envelope::Envelope;
use vitals::ids::{DeviceId, Genesis, Hash, StreamId};

/// Patients and stored envelopes at 1×.
const PATIENTS: usize = 64;
const HISTORY: usize = 50_000;
/// Sensors of one gateway.
const SENSORS: usize = 64;
/// Envelopes admitted to measure, in groups of as many authors at every size.
const ADMITTED: usize = 16_384;
const GROUP: usize = 64;
const APPENDED_AT_ONCE: usize = 4_096;

/// Envelopes as old as `days`, with the links of a real stream and junk for a body: nobody opens them.
fn history(
    store: &Store,
    genesis: Genesis,
    author: DeviceId,
    stream: StreamId,
    count: usize,
) -> Result<(u64, Hash)> {
    let begin_ms = clock::now_ms() - 40 * 86_400_000;
    let mut prev = [0; 32];
    let mut waiting: Vec<(Envelope, Vec<u8>)> = Vec::with_capacity(APPENDED_AT_ONCE);
    for seq in 0..count as u64 {
        let (envelope, bytes) =
            unopened::envelope(genesis, author, stream, seq, prev, begin_ms + seq * 10_000);
        prev = envelope.hash();
        waiting.push((envelope, bytes));
        if waiting.len() == APPENDED_AT_ONCE || seq + 1 == count as u64 {
            let group: Vec<_> =
                waiting.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
            store.append(&group)?;
            waiting.clear();
        }
    }
    Ok((count as u64, prev))
}

/// One size, measured in this process; prints its figures for the parent.
#[allow(clippy::print_stdout, reason = "standard output is how a child answers")]
pub(crate) fn child(patients: usize, envelopes: usize) -> Result<()> {
    // In memory if possible: what grows is work and memory, and a disk would hide it.
    let base = Some(Path::new("/dev/shm")).filter(|memory| memory.is_dir());
    let base = base.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let folder = tempfile::Builder::new().prefix("aceso-bench-").tempdir_in(base)?;
    let ward = Ward::new(folder.path())?;
    let start_ms = clock::now_ms();
    let mut gateways: Vec<Gateway> =
        (0..patients.div_ceil(SENSORS)).map(|at| Gateway::new(at, SENSORS, start_ms)).collect();
    let store = ward.clinic.store().clone();
    let each = envelopes / patients;
    ward.furnish(patients, &mut gateways, |genesis, author, stream| {
        history(&store, genesis, author, stream, each)
    })?;
    drop(store);
    let (ward, open_s) = ward.reopened(folder.path())?;
    ward.clinic.tick(clock::now_ms());
    let resident = clock::resident_bytes(std::process::id());
    // The first envelope of each author after a start is dearer: its key is looked at and taken apart,
    // its chain key stepped from the day of pairing. Measured apart.
    let per_gateway = SENSORS + ADMITTED.div_ceil(gateways.len());
    let mut arrivals = Vec::with_capacity(per_gateway * gateways.len());
    let sealed = bedside::seal_all(&mut gateways, per_gateway)?;
    // One envelope of each gateway in turn, as they would come in.
    for turn in 0..per_gateway {
        for (gateway, own) in gateways.iter().zip(&sealed) {
            arrivals.push(Arrival { from: gateway.identity.id(), bytes: own[turn].clone() });
        }
    }
    let (first, rest) = arrivals.split_at(SENSORS * gateways.len());
    let (_, first_us) = admit(&ward, first)?;
    let (rate, cpu_us) = admit(&ward, rest)?;
    let began = clock::instant();
    ward.clinic.tick(clock::now_ms());
    let tick_ms = began.elapsed().as_secs_f64() * 1e3;
    hospital::block(&ward.ledger, clock::now_ms());
    let began = clock::instant();
    ward.clinic.tick(clock::now_ms());
    let block_tick_ms = began.elapsed().as_secs_f64() * 1e3;
    println!("{open_s} {resident} {rate} {cpu_us} {first_us} {tick_ms} {block_tick_ms}");
    Ok(())
}

/// Admits and looks at all of these; envelopes per second, and CPU of one in microseconds.
fn admit(ward: &Ward, arrivals: &[Arrival]) -> Result<(f64, f64)> {
    let began = clock::instant();
    let cpu = clock::process_cpu_s(std::process::id())?;
    for group in arrivals.chunks(GROUP) {
        let answers = ward.clinic.admit(group, clock::now_ms())?;
        let all = answers.iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. }));
        anyhow::ensure!(
            all,
            "not admitted: {:?}",
            answers.iter().find(|a| a.receipt.is_none()).map(|a| &a.verdict)
        );
        ward.clinic.attend(clock::now_ms());
    }
    let count = arrivals.len() as f64;
    let cpu_us = (clock::process_cpu_s(std::process::id())? - cpu) * 1e6 / count;
    Ok((count / began.elapsed().as_secs_f64(), cpu_us))
}

struct Size {
    patients: usize,
    envelopes: usize,
    open_s: f64,
    resident: f64,
    rate: f64,
    cpu_us: f64,
    first_us: f64,
    tick_ms: f64,
    block_tick_ms: f64,
}

fn sized(patients: usize, envelopes: usize) -> Result<Size> {
    let output = Command::new(std::env::current_exe()?)
        .args(["growth-child", &patients.to_string(), &envelopes.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let [open_s, resident, rate, cpu_us, first_us, tick_ms, block_tick_ms] =
        figures.try_into().ok().with_context(|| format!("{patients} patients were too many"))?;
    Ok(Size { patients, envelopes, open_s, resident, rate, cpu_us, first_us, tick_ms, block_tick_ms })
}

pub(crate) fn measure(quick: bool) -> Result<Vec<Row>> {
    let once = sized(PATIENTS, HISTORY)?;
    let peopled = sized(PATIENTS * 10, HISTORY)?;
    let ten = sized(PATIENTS * 10, HISTORY * 10)?;
    let mut sizes = vec![(1, &once), (10, &ten)];
    let hundred = if quick { None } else { Some(sized(PATIENTS * 100, HISTORY * 100)?) };
    sizes.extend(hundred.iter().map(|size| (100, size)));
    let mut rows = Vec::new();
    for (times, size) in &sizes {
        let Size { patients, envelopes, .. } = size;
        let what = format!(
            "{times}× ({} patients, {} envelopes)",
            thousands(*patients as f64),
            thousands(*envelopes as f64)
        );
        // A few dozen are less than the kernel's account of a process can tell.
        let first = match size.patients {
            PATIENTS => String::new(),
            _ => format!("; the first of each author {:.0} µs", size.first_us),
        };
        let row = Row::new(
            format!("admission and live view in one thread at {what}"),
            format!("{:.1} µs, {}/s{first}", size.cpu_us, thousands(size.rate)),
        );
        rows.push(row.beside(format!("1×: {:.1} µs", once.cpu_us), size.cpu_us / once.cpu_us));
        let row = Row::new(format!("start-up at {times}×"), format!("{:.2} s", size.open_s));
        rows.push(row.beside(format!("1×: {:.2} s", once.open_s), size.open_s / once.open_s));
        let row = Row::new(format!("memory at {times}×"), format!("{:.0} MB", size.resident / 1e6));
        rows.push(row.beside(format!("1×: {:.0} MB", once.resident / 1e6), size.resident / once.resident));
        let row = Row::new(
            format!("one tick of all beds at {times}×, and one after a block"),
            format!("{:.1} ms, {:.1} ms", size.tick_ms, size.block_tick_ms),
        );
        rows.push(
            row.beside(format!("1×: {:.1} ms", once.block_tick_ms), size.block_tick_ms / once.block_tick_ms),
        );
    }
    let per_patient = (peopled.resident - once.resident) / (peopled.patients - once.patients) as f64;
    let per_envelope = (ten.resident - peopled.resident) / (ten.envelopes - peopled.envelopes) as f64;
    rows.push(Row::new("memory per patient", format!("{:.1} kB", per_patient / 1e3)));
    rows.push(Row::new("memory per stored envelope", format!("{per_envelope:.0} bytes")));
    Ok(rows)
}
