//! Admission end to end: a real node process, TLS 1.3 with client certificates, many connections,
//! envelopes sealed beforehand; then the same without TLS, beside bare disk and beside the peers.

use crate::bedside::{self, Gateway};
use crate::generator::{self, Line, Pace, Run};
use crate::hospital::Ward;
use crate::node::Node;
use crate::peers::{self, Peers};
use crate::plain::Plain;
use crate::primitives::{self, Floor};
use crate::table::{Row, thousands};
use crate::{Scale, clock};
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use vitals::bundle::Verifier;

/// Envelopes on the way per connection; a node allows 64.
const WINDOW: usize = 16;
/// Time for receipts and proofs that come after the last acknowledgement.
const AFTER: Duration = Duration::from_millis(2_500);
/// Envelopes of one group of the bare loop.
const BARE_GROUP: usize = 512;
/// A node writes the bundle once the ledger has finalized the last anchor.
const EXPORT_WITHIN: Duration = Duration::from_secs(30);

/// What the runs of one kind came to.
struct Measured {
    rate: f64,
    cpu_us: f64,
    /// CPU of the process by thread name, microseconds per envelope, largest first.
    threads: String,
}

async fn connect(node: &Node, gateways: &[Gateway]) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(gateways.len());
    for gateway in gateways {
        let line = Line::tls(&node.mqtt, &gateway.seed(), gateway.identity.id(), node.record_key).await?;
        lines.push(line);
    }
    Ok(lines)
}

fn packets(lines: &mut [Line], gateways: &mut [Gateway], each: usize) -> Result<Vec<Vec<Vec<u8>>>> {
    let envelopes = bedside::seal_all(gateways, each)?;
    lines.iter_mut().zip(envelopes).map(|(line, own)| line.packets(own)).collect()
}

fn all_taken(run: &Run) -> Result<()> {
    ensure!(run.refused == 0, "{} envelopes were refused", run.refused);
    Ok(())
}

/// Runs as fast as acknowledgements come back, several times.
fn flat_out(
    runtime: &Runtime,
    lines: &mut Vec<Line>,
    gateways: &mut [Gateway],
    scale: Scale,
    pid: u32,
) -> Result<Measured> {
    let (mut rates, mut costs, mut threads) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..scale.runs {
        let packets = packets(lines, gateways, scale.envelopes / gateways.len())?;
        let before = clock::process_cpu_s(pid)?;
        let by_thread = clock::threads_cpu_s(pid);
        let held = std::mem::take(lines);
        let (held, run) = runtime.block_on(generator::run(held, packets, Pace::Window(WINDOW)))?;
        // What follows the acknowledgement (live view, proofs) is the envelope's cost all the same.
        let (held, _, _) = runtime.block_on(generator::drain(held, AFTER))?;
        *lines = held;
        all_taken(&run)?;
        let count = run.acknowledged as f64;
        rates.push(count / run.wall_s);
        costs.push((clock::process_cpu_s(pid)? - before) * 1e6 / count);
        let mut used: Vec<(String, f64)> = clock::threads_cpu_s(pid)
            .into_iter()
            .map(|(name, s)| {
                let us = (s - by_thread.get(&name).copied().unwrap_or(0.0)) * 1e6 / count;
                (name, us)
            })
            .filter(|(_, us)| *us >= 0.1)
            .collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        threads = used.iter().map(|(name, us)| format!("{name} {us:.1}")).collect::<Vec<_>>().join(", ");
    }
    Ok(Measured { rate: clock::median(&mut rates), cpu_us: clock::median(&mut costs), threads })
}

/// One envelope of each sensor of some gateways, with its author's key.
fn samples(gateways: &mut [Gateway]) -> Result<Vec<(Vec<u8>, [u8; 32])>> {
    let mut all = Vec::new();
    for gateway in gateways {
        for _ in 0..gateway.sensors.len() {
            let sealed = gateway.seal(1)?;
            let key = gateway.last_author();
            all.extend(sealed.into_iter().map(|bytes| (bytes, key)));
        }
    }
    Ok(all)
}

fn floor_rows(floor: &Floor) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((len, us), (_, rate)) in floor.signature.iter().zip(&floor.on_all_cores) {
        let row = Row::new(
            format!("Ed25519, batches of {len} different authors"),
            format!("{us:.1} µs each; all cores {}/s", thousands(*rate)),
        );
        rows.push(row.beside(format!("one by one {:.1} µs", floor.single), floor.single / us));
    }
    let sum = floor.sum(true);
    let parts = format!(
        "TLS records {:.1}, hashes {:.1}, opening {:.1}, the rest is the signature",
        floor.tls, floor.hashes, floor.opening
    );
    rows.push(Row::new("sum of the primitives, per envelope", format!("{sum:.1} µs")).note(parts));
    rows
}

/// Appends the same bytes in groups to a file and syncs, in one thread: envelopes a second.
fn bare(folder: &Path, envelopes: &[Vec<u8>], count: usize) -> Result<f64> {
    let mut file = std::fs::File::create(folder.join("bare"))?;
    let began = clock::instant();
    let mut written = 0;
    let mut turn = envelopes.iter().cycle();
    while written < count {
        let group: Vec<u8> = turn.by_ref().take(BARE_GROUP).flatten().copied().collect();
        file.write_all(&group)?;
        file.sync_data()?;
        written += BARE_GROUP;
    }
    Ok(written as f64 / began.elapsed().as_secs_f64())
}

/// Exports everything and verifies it in this thread: envelopes, and seconds of CPU.
fn audit(node: &Node, folder: &Path) -> Result<(u64, f64)> {
    let file = folder.join("bundle");
    let began = clock::instant();
    let said = loop {
        let token = node.sign_in()?;
        let asked = serde_json::json!({"do": "bundle", "token": token, "file": file});
        match node.ask(&asked) {
            Ok(said) => break said,
            Err(why) if began.elapsed() > EXPORT_WITHIN => return Err(why),
            Err(_) => clock::pause(Duration::from_millis(200)),
        }
    };
    let envelopes = said["envelopes"].as_u64().context("an export counts its envelopes")?;
    let bundle = std::fs::read(&file)?;
    let genesis = node.genesis.parse().map_err(|_| anyhow::anyhow!("the node's genesis"))?;
    let before = clock::thread_cpu_s();
    let mut verifier = Verifier::new(Some(genesis));
    for chunk in bundle.chunks(256 * 1024) {
        verifier.push(chunk).map_err(|why| anyhow::anyhow!("{why}"))?;
    }
    let report = verifier.finish().map_err(|why| anyhow::anyhow!("{why}"))?;
    ensure!(report.pinned, "the bundle is proven under the genesis");
    Ok((envelopes, clock::thread_cpu_s() - before))
}

/// Without TLS, in this process: rate, and what the threads used.
fn plain(folder: &Path, scale: Scale) -> Result<Measured> {
    let start_ms = clock::now_ms();
    let gateway = |at| Gateway::new(10_000 + at, scale.sensors, start_ms);
    let mut gateways: Vec<Gateway> = (0..scale.gateways).map(gateway).collect();
    let ward = Ward::new(folder)?;
    ward.furnish(scale.patients, &mut gateways, |_, _, _| Ok((0, [0; 32])))?;
    // Two runtimes, so that the generator's threads are not counted as the node's.
    let served = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("served")
        .enable_all()
        .build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("generator")
        .enable_all()
        .build()?;
    let plain = Plain::start(&served, &ward)?;
    let mut lines = runtime.block_on(plain.connect(&gateways))?;
    let pid = std::process::id();
    let before = clock::threads_cpu_s(pid);
    let mut measured = flat_out(&runtime, &mut lines, &mut gateways, scale, pid)?;
    let count = (scale.envelopes / gateways.len() * gateways.len() * scale.runs) as f64;
    let mut node_us = 0.0;
    let mut threads = Vec::new();
    for (name, s) in clock::threads_cpu_s(pid) {
        let us = (s - before.get(&name).copied().unwrap_or(0.0)) * 1e6 / count;
        if ["served", "admission", "maintenance"].contains(&name.as_str()) {
            node_us += us;
            threads.push(format!("{name} {us:.1}"));
        }
    }
    measured.cpu_us = node_us;
    measured.threads = threads.join(", ");
    drop(lines);
    plain.end();
    Ok(measured)
}

pub(crate) fn measure(binary: &Path, folder: &Path, scale: Scale) -> Result<Vec<Row>> {
    let start_ms = clock::now_ms();
    let mut gateways: Vec<Gateway> =
        (0..scale.gateways).map(|at| Gateway::new(at, scale.sensors, start_ms)).collect();
    let node = Node::start(binary, &folder.join("admission"))?;
    node.furnish(scale.patients, &mut gateways)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let before = clock::resident_bytes(node.pid());
    let mut lines = runtime.block_on(connect(&node, &gateways))?;
    let connected = clock::resident_bytes(node.pid()).saturating_sub(before) as f64 / lines.len() as f64;

    let some = samples(&mut gateways)?;
    let bytes = some.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() / some.len();
    let floor = primitives::measure(&some)?;
    let samples: Vec<Vec<u8>> = some.into_iter().map(|(bytes, _)| bytes).collect();

    // The samples were never sent: sent now, so that the streams go on without gaps.
    let each = samples.len() / gateways.len();
    let first: Vec<Vec<Vec<u8>>> = samples.chunks(each).map(<[Vec<u8>]>::to_vec).collect();
    let first =
        lines.iter_mut().zip(first).map(|(line, own)| line.packets(own)).collect::<Result<Vec<_>>>()?;
    let (held, run) = runtime.block_on(generator::run(lines, first, Pace::Window(WINDOW)))?;
    all_taken(&run)?;
    lines = held;

    let tls = flat_out(&runtime, &mut lines, &mut gateways, scale, node.pid())?;
    let half_s = if scale.quick { 3.0 } else { 8.0 };
    let gap = Duration::from_secs_f64(gateways.len() as f64 / (tls.rate / 2.0));
    let each = usize::try_from(Duration::from_secs_f64(half_s).as_nanos() / gap.as_nanos().max(1))?;
    let paced = packets(&mut lines, &mut gateways, each)?;
    let (lines, half) = runtime.block_on(generator::run(lines, paced, Pace::Every(gap)))?;
    all_taken(&half)?;
    let held = clock::resident_bytes(node.pid());
    let (envelopes, audit_s) = audit(&node, folder)?;
    drop(lines);
    node.stop()?;

    let plain = plain(&folder.join("plain"), scale)?;
    let bare = bare(folder, &samples, scale.envelopes)?;
    let wanted_peers = peers::measure(folder, &mut gateways, scale);

    let figures = Figures {
        bytes,
        floor,
        tls,
        plain,
        bare,
        peers: wanted_peers,
        half,
        connected,
        held,
        envelopes,
        audit_s,
    };
    Ok(rows(figures, scale))
}

/// All that was measured.
struct Figures {
    /// Mean length of an envelope.
    bytes: usize,
    floor: Floor,
    tls: Measured,
    plain: Measured,
    /// Envelopes a second that are only appended and synced.
    bare: f64,
    peers: Result<Peers>,
    /// The run at half load.
    half: Run,
    /// Bytes per connection.
    connected: f64,
    /// Bytes of the node after all of it.
    held: u64,
    /// Envelopes in the bundle, and seconds of one core that verifying it took.
    envelopes: u64,
    audit_s: f64,
}

/// The rows of the table.
fn rows(figures: Figures, scale: Scale) -> Vec<Row> {
    let Figures { bytes, floor, tls, plain, bare, peers, half, connected, held, envelopes, audit_s } =
        figures;
    let mut rows = floor_rows(&floor);
    let (sum, plain_sum) = (floor.sum(true), floor.sum(false));
    let kind =
        format!("{} connections, {} authors, {bytes} bytes", scale.gateways, scale.gateways * scale.sensors);
    rows.push(
        Row::new(
            format!("**admission over TLS 1.3 with client certificates** ({kind})"),
            format!("{}/s", thousands(tls.rate)),
        )
        .goal("≥ 22,000/s", tls.rate >= 22_000.0),
    );
    rows.push(
        Row::new(format!("node's CPU per envelope, TLS ({})", tls.threads), format!("{:.1} µs", tls.cpu_us))
            .beside(format!("primitives {sum:.1} µs"), tls.cpu_us / sum)
            .goal("≤ 1.5", tls.cpu_us <= 1.5 * sum),
    );
    rows.push(
        Row::new("**admission without TLS** (in-process harness)", format!("{}/s", thousands(plain.rate)))
            .goal("≥ 30,000/s", plain.rate >= 30_000.0),
    );
    rows.push(
        Row::new(
            format!("node's CPU per envelope, without TLS ({})", plain.threads),
            format!("{:.1} µs", plain.cpu_us),
        )
        .beside(format!("primitives without TLS {plain_sum:.1} µs"), plain.cpu_us / plain_sum),
    );
    rows.push(
        Row::new(
            "admission over TLS beside bare append + fdatasync of the same bytes",
            format!("{}/s", thousands(tls.rate)),
        )
        .beside(format!("bare, groups of {BARE_GROUP}: {}/s", thousands(bare)), tls.rate / bare),
    );
    peer_rows(&mut rows, &tls, peers);
    let (p50, p99) = (clock::quantile(&half.latencies_ms, 0.5), clock::quantile(&half.latencies_ms, 0.99));
    rows.push(
        Row::new(
            format!("acknowledgement at half load ({}/s)", thousands(half.acknowledged as f64 / half.wall_s)),
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        )
        .goal("p99 < 20 ms", p99 < 20.0),
    );
    let per_core = envelopes as f64 / audit_s;
    rows.push(
        Row::new(
            format!("offline audit of {} envelopes, one core", thousands(envelopes as f64)),
            format!("{}/s", thousands(per_core)),
        )
        .beside("a signature each, in batches of 256", per_core * floor.sum(false) / 1e6)
        .goal("≥ 40,000/s", per_core >= 40_000.0),
    );
    rows.push(Row::new("memory per connection", format!("{:.1} kB", connected / 1e3)));
    rows.push(Row::new("memory of the node after all of it", format!("{:.0} MB", held as f64 / 1e6)));
    rows
}

/// The same envelopes through a broker into a database.
fn peer_rows(rows: &mut Vec<Row>, tls: &Measured, measured: Result<Peers>) {
    match measured {
        Ok(peers) => {
            let ratio = tls.rate / peers.row_by_row;
            rows.push(
                Row::new(
                    "admission over TLS beside mosquitto → PostgreSQL, a commit per row",
                    format!("{}/s", thousands(tls.rate)),
                )
                .beside(format!("{}/s, nothing verified", thousands(peers.row_by_row)), ratio)
                .goal("≥ 50", ratio >= 50.0),
            );
            let ratio = tls.rate / peers.batched;
            rows.push(
                Row::new(
                    format!(
                        "admission over TLS beside mosquitto → PostgreSQL, commits of ≤ {} rows",
                        peers::BATCH_ROWS
                    ),
                    format!("{}/s", thousands(tls.rate)),
                )
                .beside(format!("{}/s, nothing verified", thousands(peers.batched)), ratio)
                .goal("≥ 2.3", ratio >= 2.3),
            );
        }
        Err(why) => rows.push(Row::new("mosquitto → PostgreSQL", "not measured").note(format!("{why:#}"))),
    }
}
