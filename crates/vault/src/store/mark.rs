//! The file `durable`: how far everything is known to be on the disk.

use super::segment::{Mark, SLOT_BYTES, SLOT_STEP};
use super::{Disk, DiskFile};
use std::io;
use std::sync::Arc;

pub(super) struct MarkFile {
    file: Arc<dyn DiskFile>,
    newest: Mark,
    /// The slot to write; the other one is durable and left alone.
    slot: u64,
    written: bool,
}

fn read_slot(file: &dyn DiskFile, slot: u64) -> Option<Mark> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_at(&mut bytes, slot * SLOT_STEP).ok()?;
    let mark = Mark::decode(&bytes);
    if mark.is_none() && bytes != [0; SLOT_BYTES] {
        tracing::warn!(
            file = MarkFile::NAME,
            slot,
            "A slot of the record store's mark is torn or damaged; the other one counts"
        );
    }
    mark
}

impl MarkFile {
    pub(super) const NAME: &'static str = "durable";

    pub(super) fn create(disk: &dyn Disk, first: Mark) -> io::Result<Self> {
        let file = disk.create(Self::NAME)?;
        file.write_at(&first.encode(), 0)?;
        file.sync()?;
        disk.sync_names()?;
        Ok(Self { file, newest: first, slot: 1, written: false })
    }

    /// The newest mark that was read whole; nothing if there is none.
    pub(super) fn open(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let file = disk.open(Self::NAME)?;
        let slots = [0, 1].map(|slot| read_slot(&*file, slot).map(|mark| (mark, slot)));
        let newest = slots.into_iter().flatten().max_by_key(|(mark, _)| mark.counter);
        Ok(newest.map(|(newest, slot)| Self { file, newest, slot: 1 - slot, written: false }))
    }

    pub(super) fn newest(&self) -> Mark {
        self.newest
    }

    /// Writes how far everything is durable. Not synced, and allowed to fail: a mark that lags only
    /// makes the next start more forgiving of a torn tail.
    pub(super) fn put(&mut self, segment: u64, bytes: u64, size: u64, evidence_bytes: u64) {
        self.newest = Mark { counter: self.newest.counter + 1, segment, bytes, size, evidence_bytes };
        self.written = true;
        if self.file.write_at(&self.newest.encode(), self.slot * SLOT_STEP).is_err() {
            tracing::warn!("The record store could not note how far it is durable");
        }
    }

    /// Makes the newest mark durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if self.written {
            self.slot = 1 - self.slot;
            self.written = false;
        }
        Ok(())
    }
}
