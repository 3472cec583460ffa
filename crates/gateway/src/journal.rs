//! The journal: append-only segments that hold every sealed envelope until it is proven.
//!
//! Nothing is sent before [`Journal::sync`] has returned, so a sequence number that may have left the
//! gateway is never sealed again with other content. Each segment begins with where every stream
//! stood, so that older segments can go once all they hold is proven.
//!
//! A record is `length u32 | kind u8 | crc32c of those 5 bytes | body | crc32c of the body`,
//! little-endian. A crash can leave what was not synced short, full of holes or not there: such a tail,
//! behind what [`watermark`] says is durable, is cut. Anything else that does not read back is damage, named
//! by file and offset, and nothing is sealed until a technician has looked: going on would seal a sequence
//! number twice.

mod backlog;
mod record;
mod recovery;
mod watermark;

pub use backlog::Backlog;
use durable::{AppendFile, Disk, Os};
use record::{Found, HEAD_BYTES, Head};
pub use record::{Kept, Record};
use recovery::Recovered;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::envelope::Envelope;
use vitals::ids::Hash;
use vitals::{DeviceId, StreamId};
use watermark::{JournalPosition, Watermark};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed or is full.
    #[error("journal {path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not read back as it was written.
    #[error("journal {path} is damaged at byte {offset}: {what}; keep the folder and call a technician")]
    Damaged {
        /// File.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A write failed earlier; what is on disk is unknown until the gateway starts again.
    #[error("the journal failed earlier and takes nothing more until the gateway starts again")]
    Broken,
}

/// Where an envelope stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    segment: u32,
    offset: u64,
    len: u32,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: AppendFile,
    /// Envelopes in it that are not forgotten.
    live: u64,
}

/// The journal of one gateway.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    gateway: DeviceId,
    segment_bytes_max: u64,
    segments: BTreeMap<u32, Segment>,
    current: u32,
    heads: BTreeMap<StreamId, Head>,
    /// None only while a folder without one is opened.
    watermark: Option<Watermark>,
    dirty: bool,
    broken: bool,
}

/// Where a stream continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamHead {
    /// Sequence number of the next envelope.
    pub next_seq: u64,
    /// Header hash of the last one; zero when there is none.
    pub prev: Hash,
}

impl Journal {
    /// Opens or creates the journal in `dir`, cuts a torn tail, and gives what is not forgotten, to be read
    /// with [`Self::read_on`]. `newest_at_least` is the number of a segment known to have existed
    /// (0: none): a journal that ends before it has lost its end.
    pub fn open(
        dir: &Path,
        gateway: DeviceId,
        newest_at_least: u32,
        segment_bytes_max: u64,
    ) -> Result<(Self, Backlog), JournalError> {
        Self::open_on(Arc::new(Os), dir, gateway, newest_at_least, segment_bytes_max)
    }

    /// [`Self::open`] on any disk.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        gateway: DeviceId,
        newest_at_least: u32,
        segment_bytes_max: u64,
    ) -> Result<(Self, Backlog), JournalError> {
        let io = |source| JournalError::Io { path: dir.to_owned(), source };
        disk.make_folder(dir).map_err(io)?;
        // A file may have got its name without the folder being synced.
        disk.sync_folder(dir).map_err(io)?;
        let mut watermark = watermark::open(&*disk, dir).map_err(io)?;
        let durable = watermark.as_ref().map(Watermark::newest);
        let newest_at_least = newest_at_least.max(durable.map_or(0, |durable| durable.segment));
        if let Some(watermark) = &mut watermark {
            watermark.write_again().map_err(io)?;
        }
        let mut journal = Self {
            disk,
            dir: dir.to_owned(),
            gateway,
            segment_bytes_max,
            segments: BTreeMap::new(),
            current: 0,
            heads: BTreeMap::new(),
            watermark,
            dirty: false,
            broken: false,
        };
        let mut kept = Recovered::default();
        let numbers = journal.numbers()?;
        for (at, number) in numbers.iter().copied().enumerate() {
            journal.recover(number, at == 0, at + 1 == numbers.len(), &mut kept)?;
        }
        if journal.current < newest_at_least {
            return Err(JournalError::Damaged {
                path: journal.path(newest_at_least),
                offset: 0,
                what: "the segment is missing".into(),
            });
        }
        let first = journal.segments.first_key_value().map_or(0, |(first, _)| *first);
        let backlog = kept.backlog(first, |number| {
            if let Some(segment) = journal.segments.get_mut(&number) {
                segment.live += 1;
            }
        });
        if journal.segments.is_empty() {
            if journal.watermark.is_none() {
                // Before the first segment, so that one half made is known for what it is.
                journal.watermark = Some(watermark::create(&*journal.disk, dir, 0, 0).map_err(io)?);
            }
            journal.begin_segment(1)?;
        }
        // A torn tail may have been cut.
        journal.dirty = true;
        journal.sync()?;
        if journal.watermark.is_none() {
            let bytes = journal.segments.get(&journal.current).map_or(0, |segment| segment.file.bytes());
            journal.watermark =
                Some(watermark::create(&*journal.disk, dir, journal.current, bytes).map_err(io)?);
        }
        Ok((journal, backlog))
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:08}.journal"))
    }

    fn numbers(&self) -> Result<Vec<u32>, JournalError> {
        let io = |source| JournalError::Io { path: self.dir.clone(), source };
        let mut numbers = Vec::new();
        for name in self.disk.names(&self.dir).map_err(io)? {
            numbers.extend(name.strip_suffix(".journal").and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Moves the stream's head over `envelope`; false if it does not follow.
    fn advance(&mut self, envelope: &Envelope) -> bool {
        let head = self.heads.entry(envelope.header.stream).or_default();
        let follows = head.next_seq == envelope.header.seq && head.prev == envelope.header.prev;
        if follows {
            *head = Head { next_seq: head.next_seq.saturating_add(1), prev: envelope.hash() };
        }
        follows
    }

    /// Where a stream continues.
    #[must_use]
    pub fn head(&self, stream: StreamId) -> StreamHead {
        let head = self.heads.get(&stream).copied().unwrap_or_default();
        StreamHead { next_seq: head.next_seq, prev: head.prev }
    }

    /// Number of the newest segment: for [`Self::open`] at the next start.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.current
    }

    /// Segments on disk.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    fn begin_segment(&mut self, number: u32) -> Result<(), JournalError> {
        let path = self.path(number);
        let io = |source| JournalError::Io { path: path.clone(), source };
        let begin = record::begin(self.gateway, number, &self.heads);
        let file = durable::write(&*self.disk, &path, &begin).map_err(io)?;
        let bytes = begin.len() as u64;
        if let Some(watermark) = &mut self.watermark {
            watermark.put(JournalPosition { segment: number, bytes });
            watermark.sync().map_err(io)?;
        }
        self.segments.insert(number, Segment { path, file: AppendFile::new(file, bytes), live: 0 });
        self.current = number;
        Ok(())
    }

    /// Appends records in one write; durable after [`Self::sync`]. Gives the places of the envelopes
    /// among them. Envelopes must follow their streams' heads.
    pub fn append(&mut self, records: &[Record<'_>]) -> Result<Vec<Place>, JournalError> {
        if self.broken {
            return Err(JournalError::Broken);
        }
        let outcome = self.try_append(records);
        // After a failed write the file's end is unknown; the next start finds out.
        self.broken = outcome.is_err();
        outcome
    }

    fn try_append(&mut self, records: &[Record<'_>]) -> Result<Vec<Place>, JournalError> {
        if self
            .segments
            .get(&self.current)
            .is_some_and(|segment| segment.file.bytes() >= self.segment_bytes_max)
        {
            self.sync()?;
            self.begin_segment(self.current + 1)?;
        }
        let number = self.current;
        let start = self.segments.get(&number).map_or(0, |segment| segment.file.bytes());
        let path = self.path(number);
        let (mut out, mut places) = (Vec::new(), Vec::new());
        for record in records {
            let offset = start + out.len() as u64;
            record.write(&mut out);
            if let Record::Envelope { bytes, .. } = record {
                let damaged =
                    |what: &str| JournalError::Damaged { path: path.clone(), offset, what: what.into() };
                let envelope = Envelope::decode(bytes).map_err(|why| damaged(&why.to_string()))?;
                if !self.advance(&envelope) {
                    return Err(damaged(
                        "refused an envelope that does not follow the one before it in its stream",
                    ));
                }
                places.push(Place { segment: number, offset, len: length(bytes.len()) });
            }
        }
        let Some(segment) = self.segments.get_mut(&number) else { return Err(JournalError::Broken) };
        segment
            .file
            .append(&out)
            .map_err(|why| JournalError::Io { path: segment.path.clone(), source: why.into() })?;
        segment.live += places.len() as u64;
        self.dirty = true;
        Ok(places)
    }

    /// Makes everything appended durable.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if self.broken {
            return Err(JournalError::Broken);
        }
        let Some(segment) = self.segments.get_mut(&self.current).filter(|_| self.dirty) else {
            return Ok(());
        };
        match segment.file.sync() {
            Ok(()) => {
                self.dirty = false;
                if let Some(watermark) = &mut self.watermark {
                    watermark.put(JournalPosition { segment: self.current, bytes: segment.file.bytes() });
                }
                Ok(())
            }
            Err(why) => {
                let path = segment.path.clone();
                self.broken = true;
                Err(JournalError::Io { path, source: why.into() })
            }
        }
    }

    /// The envelope at a place, checked again.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, JournalError> {
        let segment = self.segments.get(&place.segment).ok_or(JournalError::Broken)?;
        let mut bytes = vec![0; HEAD_BYTES + record::ENVELOPE_HEAD_BYTES + place.len as usize + 4];
        segment
            .file
            .file()
            .read_at(&mut bytes, place.offset)
            .map_err(|source| JournalError::Io { path: segment.path.clone(), source })?;
        match record::read(&bytes, &mut 0) {
            Ok(Found::Envelope { bytes, .. }) => Ok(bytes.to_vec()),
            Ok(_) | Err(_) => Err(JournalError::Damaged {
                path: segment.path.clone(),
                offset: place.offset,
                what: "the envelope does not read back".into(),
            }),
        }
    }

    /// Notes that the envelope at `place` is forgotten; removes the oldest segments that hold nothing
    /// else any more. The caller has appended [`Record::Forgotten`].
    pub fn forget(&mut self, place: Place) -> Result<(), JournalError> {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
        while let Some((number, segment)) = self.segments.first_key_value()
            && *number != self.current
            && segment.live == 0
        {
            let (number, path) = (*number, segment.path.clone());
            self.disk.remove(&path).map_err(|source| JournalError::Io { path, source })?;
            self.segments.remove(&number);
            // One by one: after a crash a folder may have lost the later of two names and not the
            // earlier, and a hole among the segments is damage.
            let dir = &self.dir;
            self.disk.sync_folder(dir).map_err(|source| JournalError::Io { path: dir.clone(), source })?;
        }
        Ok(())
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
