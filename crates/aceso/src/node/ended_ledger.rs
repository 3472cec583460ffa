//! What a node does when its ledger has ended, for want of disk space or by a fault: alarms and admission go on, and
//! once the disk takes writes again the process ends, so that its supervisor starts it with the ledger afresh. A
//! node that ended at once could not start on a full disk, and nobody would watch the beds.

use durable::{Disk as _, Os};
use ledger::Status;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the disk is tried.
const LOOK: Duration = Duration::from_secs(1);
/// A process does not end for its ledger before it has run this long: a ledger that ends at every start must not take
/// the alarms with it each time.
const UPTIME_MIN: Duration = Duration::from_secs(60);
/// Free space that a start needs at least, bytes.
const PROBE_BYTES: usize = 4 << 20;
/// The file with which the disk is tried.
const PROBE: &str = ".disk-probe";

/// Waits until the ledger has ended and a new start has a chance: why.
pub(super) async fn wait(
    mut status: watch::Receiver<Status>,
    folder: &Path,
    began: Instant,
) -> anyhow::Error {
    let why = until_down(&mut status).await;
    let path = folder.join(PROBE);
    let writes = || {
        let written = durable::write(&Os, &path, &vec![0x5a; PROBE_BYTES]).map(drop);
        // Nothing to remove if it could not even be made.
        let _ = Os.remove(&path);
        written
    };
    until_writable(writes, LOOK).await;
    tokio::time::sleep_until((began + UPTIME_MIN).into()).await;
    anyhow::anyhow!(
        "the ledger stopped ({why}); the disk takes writes, so this process ends for its supervisor to start it again"
    )
}

/// Why the ledger ended by itself. One that was stopped is none of ours.
async fn until_down(status: &mut watch::Receiver<Status>) -> String {
    loop {
        if let Status::Down(why) = &*status.borrow_and_update() {
            return why.clone();
        }
        if status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn until_writable(writes: impl Fn() -> io::Result<()>, look: Duration) {
    let mut said = false;
    while let Err(why) = writes() {
        if !said {
            said = true;
            tracing::error!(
                %why,
                "The ledger has ended and the disk takes no writes: {why}. Alarms go on. Make room; the node then \
                 starts again by itself"
            );
        }
        tokio::time::sleep(look).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_node_whose_ledger_ended_waits_for_the_disk_and_then_ends_with_a_sentence() {
        let full_for = Cell::new(3);
        let writes = || match full_for.get() {
            0 => Ok(()),
            left => {
                full_for.set(left - 1);
                Err(io::ErrorKind::StorageFull.into())
            }
        };
        until_writable(writes, Duration::ZERO).await;
        assert_eq!(full_for.get(), 0, "tried until it was not full");

        let folder = tempfile::tempdir().unwrap();
        let (say, status) = watch::channel(Status::Running);
        let began = host::clock::instant().checked_sub(UPTIME_MIN).unwrap();
        let ended = wait(status, folder.path(), began);
        tokio::pin!(ended);
        assert!(futures_util::FutureExt::now_or_never(&mut ended).is_none(), "it runs");
        say.send_replace(Status::Down("its engine panicked: no space left on device".into()));
        let why = ended.await.to_string();
        assert!(why.contains("no space left on device") && why.contains("supervisor"), "{why}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");

        let (_say, status) = watch::channel(Status::Down("its engine panicked".into()));
        let ended = wait(status, folder.path(), host::clock::instant());
        tokio::pin!(ended);
        assert!(
            futures_util::FutureExt::now_or_never(&mut ended).is_none(),
            "a young process goes on with its alarms"
        );
    }

    #[tokio::test]
    async fn a_ledger_that_was_stopped_ends_no_node() {
        let (say, mut status) = watch::channel(Status::Running);
        say.send_replace(Status::Stopped);
        drop(say);
        assert!(futures_util::FutureExt::now_or_never(until_down(&mut status)).is_none());
    }
}
