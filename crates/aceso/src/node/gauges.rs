//! Figures of the process and its machine, for the metrics. Read when a scraper asks, so that no thread has to.

use admission_queue::Queue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use web::process_gauges::Gauge;

/// What the gauges look at.
pub(super) struct Sources {
    pub(super) data_dir: PathBuf,
    pub(super) queue: Arc<Queue>,
    pub(super) started_ms: u64,
    /// When the certificate that gateways see ends, seconds since 1970.
    pub(super) certificate_ends_s: Option<i64>,
}

/// The gauges of a node's process.
#[allow(clippy::cast_precision_loss, reason = "bytes and seconds are exact enough")]
pub(super) fn gauges(sources: Sources) -> Vec<Gauge> {
    let Sources { data_dir, queue, started_ms, certificate_ends_s } = sources;
    let size_of = data_dir.clone();
    vec![
        gauge(
            "aceso_disk_free_bytes",
            "Bytes that are free for this process on the disk of its data folder.",
            move || Some(disk(&data_dir)?.free as f64),
        ),
        gauge("aceso_disk_size_bytes", "Those, and the bytes that are used there.", move || {
            Some(disk(&size_of)?.size as f64)
        }),
        gauge("aceso_admission_waiting_envelopes", "Envelopes in the node's queue.", move || {
            Some(queue.waiting() as f64)
        }),
        gauge(
            "aceso_certificate_expiry_timestamp_seconds",
            "When the certificate that gateways see ends.",
            move || certificate_ends_s.map(|ends_s| ends_s as f64),
        ),
        gauge("process_start_time_seconds", "When this process began.", move || {
            Some(started_ms as f64 / 1000.0)
        }),
        gauge("process_resident_memory_bytes", "Resident memory.", || Some(resident()? as f64)),
        gauge("process_open_fds", "Open file descriptors.", || {
            Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
        }),
    ]
}

fn gauge(
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Gauge {
    Gauge { name, help, read: Arc::new(read) }
}

struct Disk {
    free: u64,
    size: u64,
}

/// The disk as this process finds it: what is set aside for root is neither free nor used.
fn disk(folder: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let free = bytes(found.f_bavail);
    Some(Disk { free, size: bytes(found.f_blocks.saturating_sub(found.f_bfree)) + free })
}

/// Bytes of this process in memory.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn disk_and_memory_are_read_from_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path()).unwrap();
        assert!(disk.size > 0 && disk.free <= disk.size, "{} of {}", disk.free, disk.size);
        let megabyte = 1 << 20;
        assert!((megabyte..1 << 40).contains(&resident().unwrap()));
        assert!(super::disk(&folder.path().join("nothing")).is_none());
    }

    #[test]
    fn names_are_those_of_the_rules_and_end_in_base_units() {
        let sources = Sources {
            data_dir: std::env::temp_dir(),
            queue: Arc::new(Queue::default()),
            started_ms: 1_500,
            certificate_ends_s: Some(7),
        };
        let read: Vec<(&str, f64)> =
            gauges(sources).iter().map(|one| (one.name, (one.read)().unwrap())).collect();
        assert!(read.contains(&("process_start_time_seconds", 1.5)));
        assert!(read.contains(&("aceso_certificate_expiry_timestamp_seconds", 7.0)));
        assert!(read.contains(&("aceso_admission_waiting_envelopes", 0.0)));
        assert_eq!(read.len(), 7);
    }
}
