//! Reads the segments back when the journal is opened: what is not forgotten, where each stream stands,
//! and what a crash left unfinished.

use super::record::{self, Found, Unreadable};
use super::watermark::Watermark;
use super::{Backlog, Journal, JournalError, Kept, Place, Segment, length};
use durable::AppendFile;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use vitals::envelope::Envelope;
use vitals::ids::Hash;
use vitals::log;

/// One segment while it is read back.
struct Reading {
    path: PathBuf,
    number: u32,
    /// Is it the oldest, the newest?
    oldest: bool,
    newest: bool,
    /// How much of it was durable; not known of a journal from before there was a watermark.
    durable: Option<u64>,
    /// Its first record was read.
    begun: bool,
}

impl Reading {
    fn damaged(&self, offset: u64, what: &str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), offset, what: what.into() }
    }

    /// May what cannot be read from `offset` on be a write that a crash interrupted?
    fn may_be_torn(&self, why: Unreadable, offset: u64) -> bool {
        self.newest && self.durable.map_or(why == Unreadable::Torn, |durable| offset >= durable)
    }
}

impl Journal {
    /// Reads one segment back; they come in order.
    pub(super) fn recover(
        &mut self,
        number: u32,
        oldest: bool,
        newest: bool,
        kept: &mut Recovered,
    ) -> Result<(), JournalError> {
        let path = self.path(number);
        let io = |source| JournalError::Io { path: path.clone(), source };
        if !oldest && number != self.current + 1 {
            return Err(JournalError::Damaged {
                path: self.path(self.current + 1),
                offset: 0,
                what: "the segment is missing".into(),
            });
        }
        let file = self.disk.open(&path).map_err(io)?;
        let newest_durable = self.watermark.as_ref().map(Watermark::newest);
        let durable = newest_durable.map(|it| if it.segment == number { it.bytes } else { 0 });
        if newest {
            // What a killed process or a failed sync left in the page cache counts from now on. Older segments
            // were synced before the next one was begun.
            durable::write_again(&*file, durable.unwrap_or(0)).map_err(io)?;
        }
        let bytes = durable::read_all(&*file).map_err(io)?;
        let mut reading = Reading { path: path.clone(), number, oldest, newest, durable, begun: false };
        let mut at = 0;
        while at < bytes.len() {
            let offset = at as u64;
            match record::read(&bytes, &mut at) {
                Ok(found) => self.replay(found, offset, &mut reading, kept)?,
                Err(why) if reading.may_be_torn(why, offset) => {
                    tracing::warn!(offset, "Cut a torn write off the journal's end");
                    file.cut(offset).map_err(io)?;
                    break;
                }
                Err(why) => return Err(reading.damaged(offset, why.what())),
            }
        }
        let len = file.size().map_err(io)?;
        if durable.is_some_and(|durable| len < durable) {
            return Err(reading.damaged(len, "the file ends before what it held"));
        }
        if !reading.begun {
            return self.drop_unfinished(&reading);
        }
        self.segments.insert(number, Segment { path, file: AppendFile::new(file, len), live: 0 });
        self.current = number;
        Ok(())
    }

    /// Applies one record.
    fn replay(
        &mut self,
        found: Found<'_>,
        offset: u64,
        reading: &mut Reading,
        kept: &mut Recovered,
    ) -> Result<(), JournalError> {
        match found {
            Found::Begin { gateway, segment, heads } if !reading.begun => {
                reading.begun = true;
                if gateway != self.gateway {
                    return Err(reading.damaged(offset, "it belongs to another gateway"));
                }
                if segment != reading.number || !(reading.oldest || heads == self.heads) {
                    return Err(reading.damaged(offset, "it does not follow the segment before it"));
                }
                self.heads = heads;
            }
            Found::Envelope { alarm, sealed_at_ms, bytes } if reading.begun => {
                let place = Place { segment: reading.number, offset, len: length(bytes.len()) };
                let envelope =
                    Envelope::decode(bytes).map_err(|why| reading.damaged(offset, &why.to_string()))?;
                if !self.advance(&envelope) {
                    let what = "the envelope does not follow the one before it in its stream";
                    return Err(reading.damaged(offset, what));
                }
                kept.note(Kept::of(place, alarm, sealed_at_ms, &envelope));
            }
            Found::Receipted(hash) if reading.begun => kept.receipted(hash),
            Found::Forgotten(hash) if reading.begun => kept.forgotten(hash),
            _ => return Err(reading.damaged(offset, "a segment begins with where its streams stand, once")),
        }
        Ok(())
    }

    /// A crash came while the newest segment was begun: nothing was ever written after it.
    fn drop_unfinished(&mut self, reading: &Reading) -> Result<(), JournalError> {
        let path = &reading.path;
        let io = |source| JournalError::Io { path: path.clone(), source };
        if reading.newest && !reading.oldest {
            self.disk.remove(path).map_err(io)?;
            return self.disk.sync_folder(&self.dir).map_err(io);
        }
        if reading.newest && reading.number == 1 {
            return self.disk.remove(path).map_err(io);
        }
        Err(reading.damaged(0, "the segment is empty"))
    }
}

/// Most alarms of the journal that are known by themselves after a start; the others come in their turn.
const ALARMS_MAX: usize = 16_384;

/// The part of an envelope's hash by which it is told from the others of this journal.
type ShortHash = [u8; 12];

fn short(hash: &Hash) -> ShortHash {
    hash.first_chunk().copied().unwrap_or_default()
}

/// What recovery has found so far: of an envelope only where it is and a part of its hash, for there may be
/// millions.
#[derive(Default)]
pub(super) struct Recovered {
    /// Each envelope's segment, in their order.
    seen: Vec<(u32, ShortHash)>,
    forgotten: HashSet<Hash>,
    receipted: HashSet<Hash>,
    /// Alarms that are not forgotten, by hash.
    alarms: HashMap<Hash, Kept>,
}

impl Recovered {
    fn note(&mut self, kept: Kept) {
        self.seen.push((kept.place.segment, short(&kept.hash)));
        if kept.alarm && self.alarms.len() < ALARMS_MAX {
            self.alarms.insert(kept.hash, kept);
        }
    }

    fn receipted(&mut self, hash: Hash) {
        match self.alarms.get_mut(&hash) {
            Some(alarm) => alarm.receipted = true,
            None => drop(self.receipted.insert(hash)),
        }
    }

    fn forgotten(&mut self, hash: Hash) {
        self.alarms.remove(&hash);
        self.receipted.remove(&hash);
        self.forgotten.insert(hash);
    }

    /// What is to be read of the journal, which begins with this segment. Counts what each segment holds.
    pub(super) fn backlog(self, first: u32, mut holds: impl FnMut(u32)) -> Backlog {
        let by_short = |hashes: &HashSet<Hash>| -> HashMap<ShortHash, Hash> {
            hashes.iter().map(|hash| (short(hash), *hash)).collect()
        };
        let (gone, receipted) = (by_short(&self.forgotten), by_short(&self.receipted));
        let mut backlog = Backlog { next: (first, 0), ..Backlog::default() };
        // What was noted of envelopes whose segments are gone is of no use.
        for (segment, one) in self.seen {
            if let Some(hash) = gone.get(&one) {
                backlog.passed_over.insert(*hash);
                continue;
            }
            holds(segment);
            backlog.left += 1;
            backlog.receipted.extend(receipted.get(&one));
        }
        backlog.left -= self.alarms.len();
        backlog.passed_over.extend(self.alarms.keys());
        backlog.alarms = self.alarms.into_values().collect();
        backlog.alarms.sort_unstable_by_key(|alarm| (alarm.place.segment, alarm.place.offset));
        backlog
    }
}

impl Kept {
    pub(super) fn of(place: Place, alarm: bool, sealed_at_ms: u64, envelope: &Envelope) -> Self {
        Self {
            place,
            alarm,
            sealed_at_ms,
            hash: envelope.hash(),
            leaf: log::leaf(&envelope.header_bytes),
            class: envelope.header.class,
            count: envelope.header.count,
            receipted: false,
        }
    }
}
