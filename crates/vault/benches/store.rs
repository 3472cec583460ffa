//! The record store beside its alternatives, in one run on one disk: durable groups through our own
//! segments, through redb (one commit per group), and through a bare loop of append and sync that
//! keeps no index, no log and no checksum. Then how fast a store opens and reads.
//!
//! `cargo bench -p vault --bench store --profile release` prints the tables; every figure is a median
//! over groups that the candidates append in turn. The second table runs in memory (`/dev/shm`), where
//! a sync costs nothing and only the work shows. `-- 500000` sets how many envelopes are opened,
//! `BENCH_DIR` the folder of the first table.
//!
//! `-- growth 100000 1000000` prints only how opening and memory grow with history: each store is
//! opened by a process of its own, from the page cache.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints"
)]

use redb::{Database, TableDefinition};
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::unopened;
use vault::{Admitted, Store};
use vitals::envelope::{Envelope, Header};
use vitals::ids::{DeviceId, Genesis, StreamId, sha256};

const GENESIS: Genesis = Genesis([7; 32]);
const STREAMS: u64 = 9;
/// Ciphertext of one second of a bedside board, about.
const CIPHERTEXT_BYTES: usize = 60;
const GROUPS: [usize; 5] = [1, 16, 64, 256, 1024];
/// Groups per candidate and size, after a few to warm up.
const ROUNDS: usize = 101;
const WARM_UP: usize = 5;
const OPENED_ENVELOPES: u64 = 300_000;

type Item = (Envelope, Vec<u8>);

fn item(number: u64) -> Item {
    let (stream, seq) = (number % STREAMS, number / STREAMS);
    let ciphertext: Vec<u8> =
        sha256(&[&number.to_be_bytes()]).into_iter().cycle().take(CIPHERTEXT_BYTES).collect();
    let id = u8::try_from(stream).unwrap();
    let prev = if seq == 0 { [0; 32] } else { sha256(&[&seq.to_be_bytes()]) };
    let (author, stream) = (DeviceId([id; 16]), StreamId([id; 16]));
    let header = unopened::header(GENESIS, author, stream, seq, prev, seq * 1000);
    unopened::envelope(Header { last_ms: seq * 1000 + 999, count: 4, ..header }, ciphertext)
}

trait Candidate {
    fn append(&mut self, group: &[Item]);
}

struct Segments(Store);

impl Candidate for Segments {
    fn append(&mut self, group: &[Item]) {
        let group: Vec<_> = group.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
        black_box(self.0.append(&group).unwrap());
    }
}

struct Redb(Database, u64);

const ENVELOPES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("envelopes");
const BY_STREAM: TableDefinition<'static, (&[u8], u64), u64> = TableDefinition::new("by stream");

impl Candidate for Redb {
    fn append(&mut self, group: &[Item]) {
        let write = self.0.begin_write().unwrap();
        {
            let mut envelopes = write.open_table(ENVELOPES).unwrap();
            let mut by_stream = write.open_table(BY_STREAM).unwrap();
            for (envelope, bytes) in group {
                envelopes.insert(self.1, bytes.as_slice()).unwrap();
                by_stream.insert((envelope.header.stream.0.as_slice(), envelope.header.seq), self.1).unwrap();
                self.1 += 1;
            }
        }
        write.commit().unwrap();
    }
}

struct Bare(File);

impl Candidate for Bare {
    fn append(&mut self, group: &[Item]) {
        let mut buffer = Vec::new();
        group.iter().for_each(|(_, bytes)| buffer.extend_from_slice(bytes));
        self.0.write_all(&buffer).unwrap();
        self.0.sync_data().unwrap();
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn appending(what: &str, folder: &Path) {
    println!(
        "Durable groups {what}: envelopes per second, and time of one group beside the others (medians of {ROUNDS})"
    );
    println!(
        "{:>6} {:>12} {:>12} {:>12} {:>16} {:>14}",
        "group", "segments/s", "redb/s", "bare/s", "segments/bare", "redb/segments"
    );
    for group_len in GROUPS {
        let at = folder.join(format!("group-{group_len}"));
        std::fs::create_dir_all(&at).unwrap();
        let bare = OpenOptions::new().append(true).create(true).open(at.join("bare")).unwrap();
        let mut candidates: Vec<Box<dyn Candidate>> = vec![
            Box::new(Segments(Store::create(&at.join("segments"), GENESIS).unwrap())),
            Box::new(Redb(Database::create(at.join("redb")).unwrap(), 0)),
            Box::new(Bare(bare)),
        ];
        let mut times = vec![Vec::new(); candidates.len()];
        for round in 0..WARM_UP + ROUNDS {
            let first = (round * group_len) as u64;
            let group: Vec<_> = (first..).take(group_len).map(item).collect();
            // Taking turns at who comes first: the disk is not the same from one moment to the next.
            for turn in 0..candidates.len() {
                let which = (round + turn) % candidates.len();
                let started = Instant::now();
                candidates[which].append(&group);
                if round >= WARM_UP {
                    times[which].push(started.elapsed());
                }
            }
        }
        let medians: Vec<_> = times.iter_mut().map(|times| median(times).as_secs_f64()).collect();
        let rate = |which: usize| group_len as f64 / medians[which];
        println!(
            "{group_len:>6} {:>12.0} {:>12.0} {:>12.0} {:>16.2} {:>14.2}",
            rate(0),
            rate(1),
            rate(2),
            medians[0] / medians[2],
            medians[1] / medians[0],
        );
    }
}

/// A store of so many envelopes, and the bytes of all of them.
fn filled(at: &Path, envelopes: u64) -> (Store, usize) {
    let store = Store::create(at, GENESIS).unwrap();
    let mut bytes = 0;
    for from in (0..envelopes).step_by(4096) {
        let items: Vec<_> = (from..envelopes.min(from + 4096)).map(item).collect();
        bytes += items.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let group: Vec<_> = items.iter().map(|(envelope, bytes)| Admitted::new(envelope, bytes)).collect();
        store.append(&group).unwrap();
    }
    (store, bytes)
}

fn opening(folder: &Path, envelopes: u64) {
    let at = folder.join("opened");
    let (store, bytes) = filled(&at, envelopes);
    let head = store.log_head();
    drop(store);
    let mut times: Vec<_> = (0..3)
        .map(|_| {
            let started = Instant::now();
            let store = Store::open(&at, GENESIS).unwrap();
            assert_eq!(store.log_head(), head);
            started.elapsed()
        })
        .collect();
    let time = median(&mut times).as_secs_f64();
    let per_100k = time * 1e5 / envelopes as f64;
    println!(
        "\nOpening {envelopes} envelopes of {} bytes: {time:.3} s, {:.0} ms per 100,000",
        bytes as u64 / envelopes,
        per_100k * 1e3
    );

    let store = Store::open(&at, GENESIS).unwrap();
    let stream = StreamId([0; 16]);
    let started = Instant::now();
    let read =
        store.scan(stream, 0, u64::MAX).map(|item| item.unwrap().1.len()).filter(|len| *len > 0).count();
    let each = started.elapsed().as_secs_f64() / read as f64;
    println!("Reading a stream in order: {:.2} µs each, checksum included ({:.0}/s)", each * 1e6, 1.0 / each);
    let last_ms = envelopes / STREAMS * 1000;
    let started = Instant::now();
    for _ in 0..1000 {
        black_box(store.find(stream, last_ms - 60_000, last_ms));
    }
    println!("Finding the last minute of a stream: {:.2} µs", started.elapsed().as_secs_f64() * 1e3);
}

/// Names the store that a child process of [`growth`] opens.
const CHILD: &str = "ACESO_BENCH_STORE";

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn open_and_tell(at: &Path) {
    let before = resident_bytes();
    let started = Instant::now();
    let store = Store::open(at, GENESIS).unwrap();
    let time = started.elapsed();
    let memory = resident_bytes() - before;
    let size = store.size();
    let each = |what: &dyn Fn(u64)| {
        let started = Instant::now();
        (0..1000).for_each(what);
        started.elapsed().as_secs_f64() * 1e3
    };
    let fresh = each(&|n| {
        black_box(store.inclusion(size - 1 - n, size).unwrap());
    });
    let old = each(&|n| {
        black_box(store.inclusion(n * 7919 % size, size).unwrap());
    });
    let read = each(&|n| {
        black_box(store.read_index(n * 7919 % size).unwrap().unwrap());
    });
    println!(
        "{size:>10} {:>9.3} {:>9.0} {:>10.1} {:>9.1} {fresh:>9.2} {old:>9.2} {read:>9.2}",
        time.as_secs_f64(),
        time.as_secs_f64() * 1e9 / size as f64,
        memory as f64 / f64::from(1 << 20),
        memory as f64 / size as f64,
    );
}

fn growth(folder: &Path, sizes: &[u64]) {
    println!(
        "{:>10} {:>9} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "envelopes", "open s", "ns each", "memory MiB", "B each", "fresh µs", "old µs", "read µs"
    );
    for size in sizes {
        let at = folder.join(size.to_string());
        drop(filled(&at, *size));
        let child = std::process::Command::new(std::env::current_exe().unwrap()).env(CHILD, &at).status();
        assert!(child.unwrap().success());
        std::fs::remove_dir_all(at).unwrap();
    }
}

fn main() {
    if let Some(at) = std::env::var_os(CHILD) {
        return open_and_tell(Path::new(&at));
    }
    if std::env::args().any(|arg| arg == "growth") {
        let sizes: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
        let folder =
            tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or("/dev/shm".into())).unwrap();
        return growth(folder.path(), if sizes.is_empty() { &[100_000, 1_000_000] } else { &sizes });
    }
    let envelopes = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(OPENED_ENVELOPES);
    let base = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(base).unwrap();
    appending("on the disk", folder.path());
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        println!();
        appending("in memory", tempfile::tempdir_in(memory).unwrap().path());
    }
    opening(folder.path(), envelopes);
}
