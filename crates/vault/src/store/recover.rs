//! Making and opening a store: every byte is checked against its checksum, the log is rebuilt, and
//! what a crash may have left half written is told apart from damage.

use super::evidence::Evidence;
use super::segment::{
    FRAME_BYTES, HEADER_BYTES, Kind, Mark, SLOT_BYTES, SLOT_STEP, SegmentHeader, file_name, number_of, take_frame,
};
use super::{Bounds, Corruption, Disk, DiskFile, State, Store, StoreError, Tail, place};
use std::io;
use std::sync::{Arc, Mutex, RwLock};
use vitals::cbor::Reader;
use vitals::cose;
use vitals::envelope::{HEADER_BYTES_MAX, Header};
use vitals::ids::Genesis;

pub(crate) const MARK_FILE: &str = "durable";

/// Makes a file with its header, durably.
pub(super) fn new_file(disk: &dyn Disk, name: &str, header: &SegmentHeader) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    disk.sync_names()?;
    Ok(file)
}

/// Header of an encoded envelope, without looking at its ciphertext.
pub(super) fn header_of(envelope: &[u8]) -> Option<(Header, &[u8])> {
    let mut r = Reader::new(envelope);
    r.array(2).ok()?;
    let (header_bytes, _) = cose::read(&mut r, HEADER_BYTES_MAX).ok()?;
    Some((Header::decode(header_bytes).ok()?, header_bytes))
}

pub(super) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn read_mark(file: &dyn DiskFile) -> Option<Mark> {
    let slot = |at: u64| {
        let mut bytes = [0; SLOT_BYTES];
        file.read_at(&mut bytes, at).ok()?;
        Mark::decode(&bytes)
    };
    [slot(0), slot(SLOT_STEP)].into_iter().flatten().max_by_key(|mark| mark.counter)
}

/// One segment read.
struct Scanned {
    /// Bytes that hold whole frames.
    bytes: u64,
    /// What stands there instead of a frame, if the file is longer.
    broken: Option<&'static str>,
}

impl Store {
    /// [`Store::create`] on any disk.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create_on(disk: Box<dyn Disk>, genesis: Genesis, bounds: Bounds) -> Result<Self, StoreError> {
        let names = disk.list()?;
        if names.iter().any(|name| name == MARK_FILE) {
            return Err(StoreError::Exists);
        }
        // A crash while the first files were made leaves them without a mark: nothing was promised.
        for name in names.iter().filter(|name| *name == Evidence::FILE || **name == file_name(0)) {
            if disk.open(name)?.size()? > HEADER_BYTES as u64 {
                return Err(Corruption::at(MARK_FILE, 0, "the file is missing").into());
            }
            disk.remove(name)?;
        }
        let state = State::default();
        let header = SegmentHeader {
            kind: Kind::Envelope,
            number: 0,
            first_index: 0,
            genesis,
            root: state.log.root(),
        };
        let file = new_file(&*disk, &file_name(0), &header)?;
        let evidence = Evidence::create(&*disk, genesis)?;
        let mark_file = disk.create(MARK_FILE)?;
        let bytes = HEADER_BYTES as u64;
        let mark = Mark { counter: 0, segment: 0, bytes, size: 0, evidence_bytes: bytes };
        let mut slots = vec![0; SLOT_BYTES];
        slots.copy_from_slice(&mark.encode());
        mark_file.write_at(&slots, 0)?;
        mark_file.sync()?;
        disk.sync_names()?;
        let tail = Tail { file, number: 0, bytes, mark_file, mark, evidence, stopped: None };
        Ok(Self::of(disk, genesis, bounds, state, tail))
    }

    fn of(disk: Box<dyn Disk>, genesis: Genesis, bounds: Bounds, state: State, tail: Tail) -> Self {
        Self {
            disk,
            genesis,
            bounds,
            state: RwLock::new(state),
            tail: Mutex::new(tail),
            handles: Mutex::default(),
        }
    }

    /// [`Store::open`] on any disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(disk: Box<dyn Disk>, genesis: Genesis, bounds: Bounds) -> Result<Self, StoreError> {
        let names = disk.list()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        if !names.iter().any(|name| name == MARK_FILE) {
            let held = numbers.len() > 1
                || (numbers.len() == 1 && disk.open(&file_name(numbers[0]))?.size()? > HEADER_BYTES as u64);
            return Err(if held { Corruption::at(MARK_FILE, 0, "the file is missing").into() } else { StoreError::Missing });
        }
        let mark_file = disk.open(MARK_FILE)?;
        let mark = read_mark(&*mark_file).ok_or_else(|| Corruption::at(MARK_FILE, 0, "no slot has its checksum"))?;
        let mut last = numbers.last().copied().unwrap_or(0).max(mark.segment);
        for number in 0..=last {
            if numbers.binary_search(&number).is_err() {
                return Err(Corruption::at(file_name(number), 0, "the file is missing").into());
            }
        }
        if last > mark.segment && is_half_made(&*disk, last)? {
            disk.remove(&file_name(last))?;
            disk.sync_names()?;
            last -= 1;
        }
        let mut state = State::default();
        let mut open = None;
        for number in 0..=last {
            let file = disk.open(&file_name(number))?;
            let scanned = scan(&*file, number, genesis, &mut state)?;
            let damaged = |offset: u64, what: &str| Err(Corruption::at(file_name(number), offset, what).into());
            if number == mark.segment && scanned.bytes < mark.bytes {
                return damaged(scanned.bytes, scanned.broken.unwrap_or("the file ends before what it held"));
            }
            if let Some(what) = scanned.broken {
                // Only what no one was told about may be cut: the end of the last segment, after the mark.
                if number < last {
                    return damaged(scanned.bytes, what);
                }
                tracing::info!(segment = number, offset = scanned.bytes, "Cut the torn tail of the last segment");
                file.cut(scanned.bytes)?;
            }
            if number == last {
                // A whole frame may still be only in the page cache; it is served from now on.
                file.sync()?;
                open = Some((file, scanned.bytes));
            }
        }
        if state.log.size() < mark.size {
            return Err(Corruption::at(file_name(last), 0, "the log is shorter than it was").into());
        }
        let (file, bytes) = open.expect("the loop ends with the last segment");
        let evidence = Evidence::open(&*disk, genesis, mark.evidence_bytes)?;
        let size = state.log.size();
        let mut tail = Tail { file, number: last, bytes, mark_file, mark, evidence, stopped: None };
        tail.put_mark(size);
        Ok(Self::of(disk, genesis, bounds, state, tail))
    }
}

/// Did a crash interrupt the making of this segment? Then it holds no frame.
fn is_half_made(disk: &dyn Disk, number: u64) -> io::Result<bool> {
    let file = disk.open(&file_name(number))?;
    let size = file.size()?;
    if size > HEADER_BYTES as u64 {
        return Ok(false);
    }
    Ok(size < HEADER_BYTES as u64 || !SegmentHeader::is_whole(&read_all(file.as_ref())?))
}

fn scan(file: &dyn DiskFile, number: u64, genesis: Genesis, state: &mut State) -> Result<Scanned, StoreError> {
    let name = || file_name(number);
    let bytes = read_all(file)?;
    let wanted = SegmentHeader {
        kind: Kind::Envelope,
        number,
        first_index: state.log.size(),
        genesis,
        root: state.log.root(),
    };
    SegmentHeader::check(&bytes, &wanted).map_err(|what| Corruption::at(name(), 0, what))?;
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let offset = at as u64;
        let envelope = match take_frame(&bytes[at..], number, offset, Kind::Envelope) {
            Ok(envelope) => envelope,
            Err(what) => return Ok(Scanned { bytes: offset, broken: Some(what) }),
        };
        let (header, header_bytes) =
            header_of(envelope).ok_or_else(|| Corruption::at(name(), offset, "not an envelope"))?;
        if state.streams.get(&header.stream).is_some_and(|stream| stream.get(header.seq).is_some()) {
            return Err(Corruption::at(name(), offset, "a sequence number is stored twice").into());
        }
        state.add(&header, header_bytes, place(number, offset, envelope.len()));
        at += FRAME_BYTES + envelope.len();
    }
    Ok(Scanned { bytes: at as u64, broken: None })
}
