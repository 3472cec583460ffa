//! Making and opening a store: every byte is checked against its checksum, the log is rebuilt, and
//! what a crash may have left half written is distinguished from damage.

use super::evidence::Evidence;
use super::segment::{
    FRAME_BYTES, HEADER_BYTES, HeaderFault, Kind, SegmentHeader, file_name, header_of, number_of, take_frame,
};
use super::segment_index::{self, Span, index_name};
use super::state::{State, place};
use super::watermark::{self, LogPosition, Watermark};
use super::{Bounds, Corruption, Store, StoreError, Tail};
use durable::{AppendFile, DiskFile, Folder};
use parking_lot::{Mutex, RwLock};
use std::io;
use std::sync::atomic::AtomicBool;
use vitals::ids::Genesis;
use vitals::log;

/// What a folder holds.
enum Found {
    Nothing,
    /// What a crash left of the making of a store: these files, none of which holds a frame.
    Unfinished(Vec<String>),
    /// Segments, but no watermark to say how much of them was acknowledged.
    NoWatermark(&'static str),
    Store {
        watermark: Watermark,
        /// Of the segments, ascending.
        numbers: Vec<u64>,
    },
}

impl Found {
    fn on(folder: &Folder) -> io::Result<Self> {
        let mut names = folder.names()?;
        names.retain(|name| name == watermark::FILE || name == Evidence::FILE || number_of(name).is_some());
        if names.is_empty() {
            return Ok(Self::Nothing);
        }
        let mut what = "the file is missing";
        if names.iter().any(|name| name == watermark::FILE) {
            if let Some(watermark) = Watermark::open(folder.disk(), &folder.path(watermark::FILE))? {
                let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
                numbers.sort_unstable();
                return Ok(Self::Store { watermark, numbers });
            }
            what = "no slot has its checksum";
        }
        for name in names.iter().filter(|name| *name != watermark::FILE) {
            if folder.open(name)?.size()? > HEADER_BYTES as u64 {
                return Ok(Self::NoWatermark(what));
            }
        }
        Ok(Self::Unfinished(names))
    }
}

/// One segment read.
struct Scanned {
    /// Bytes that hold whole frames.
    bytes: u64,
    /// What stands there instead of a frame, if the file is longer.
    broken: Option<&'static str>,
    /// It holds envelopes that did not come from its index.
    unindexed: bool,
}

impl Store {
    /// [`Store::create`] in a folder of any disk.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create_on(folder: Folder, genesis: Genesis, bounds: Bounds) -> Result<Self, StoreError> {
        match Found::on(&folder)? {
            Found::Nothing => {}
            Found::Unfinished(names) => {
                for name in names {
                    folder.remove(&name)?;
                }
                folder.sync()?;
            }
            Found::Store { .. } | Found::NoWatermark(_) => return Err(StoreError::Exists),
        }
        let mut state = State::default();
        state.begin_segment();
        let header = SegmentHeader {
            kind: Kind::Envelope,
            number: 0,
            first_index: 0,
            genesis,
            root: state.log.root(),
        };
        let segment = header.begin(&folder, &file_name(0))?;
        let evidence = Evidence::create(&folder, genesis)?;
        let bytes = HEADER_BYTES as u64;
        let first = LogPosition { segment: 0, bytes, size: 0, evidence_bytes: bytes };
        let watermark = Watermark::create(folder.disk(), &folder.path(watermark::FILE), first)?;
        let tail = Tail { segment, number: 0, watermark, evidence };
        Ok(Self::of(folder, genesis, bounds, state, tail))
    }

    fn of(folder: Folder, genesis: Genesis, bounds: Bounds, state: State, tail: Tail) -> Self {
        Self {
            folder,
            genesis,
            bounds,
            state: RwLock::new(state),
            tail: Mutex::new(tail),
            handles: Mutex::default(),
            blocks: Mutex::default(),
            is_refused: AtomicBool::new(false),
        }
    }

    /// [`Store::open`] in a folder of any disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(folder: Folder, genesis: Genesis, bounds: Bounds) -> Result<Self, StoreError> {
        // A file may have got its name without the folder being synced.
        folder.sync()?;
        let (mut watermark, numbers) = match Found::on(&folder)? {
            Found::Nothing | Found::Unfinished(_) => return Err(StoreError::Missing),
            Found::NoWatermark(what) => return Err(Corruption::at(watermark::FILE, 0, what).into()),
            Found::Store { watermark, numbers } => (watermark, numbers),
        };
        watermark.write_again()?;
        let durable = watermark.newest();
        let mut last = numbers.last().copied().unwrap_or(0).max(durable.segment);
        for number in 0..=last {
            if numbers.binary_search(&number).is_err() {
                return Err(Corruption::at(file_name(number), 0, "the file is missing").into());
            }
        }
        // A segment after the watermark that holds no frame was just being made; it is made again when needed.
        if last > durable.segment && folder.open(&file_name(last))?.size()? <= HEADER_BYTES as u64 {
            folder.remove(&file_name(last))?;
            folder.sync()?;
            last -= 1;
        }
        let state = RwLock::new(State::default());
        let mut open = None;
        for number in 0..=last {
            let file = folder.open(&file_name(number))?;
            if number == last {
                // What a killed process or a failed sync left in the page cache is served from now on.
                durable::write_again(&*file, if number == durable.segment { durable.bytes } else { 0 })?;
            }
            let scanned = {
                let mut state = state.write();
                let indexed =
                    if number < last { indexed(&folder, &*file, number, genesis, &mut state)? } else { None };
                match indexed {
                    Some(scanned) => scanned,
                    None => scan(&*file, number, genesis, &mut state)?,
                }
            };
            let damaged =
                |offset: u64, what: &str| Err(Corruption::at(file_name(number), offset, what).into());
            if number == durable.segment && scanned.bytes < durable.bytes {
                return damaged(scanned.bytes, scanned.broken.unwrap_or("the file ends before what it held"));
            }
            if let Some(what) = scanned.broken {
                // Only what was never acknowledged may be cut: the end of the last segment, after the watermark.
                if number < last {
                    return damaged(scanned.bytes, what);
                }
                tracing::info!(
                    segment = number,
                    offset = scanned.bytes,
                    "Cut the torn tail of the last segment"
                );
                file.cut(scanned.bytes)?;
                file.sync()?;
            }
            if number == last {
                open = Some(AppendFile::new(file, scanned.bytes));
            } else if scanned.unindexed {
                tracing::info!(segment = number, "Made the index of a full segment again");
                segment_index::seal(&folder, &*file, genesis, &state);
            }
        }
        let state = state.into_inner();
        if state.log.size() < durable.size {
            return Err(Corruption::at(file_name(last), 0, "the log is shorter than it was").into());
        }
        let segment = open.expect("the loop ends with the last segment");
        let evidence = Evidence::open(&folder, genesis, durable.evidence_bytes)?;
        let size = state.log.size();
        let mut tail = Tail { segment, number: last, watermark, evidence };
        tail.note_durable(size);
        Ok(Self::of(folder, genesis, bounds, state, tail))
    }
}

fn check_header(bytes: &[u8], number: u64, genesis: Genesis, state: &State) -> Result<(), Corruption> {
    let wanted = SegmentHeader {
        kind: Kind::Envelope,
        number,
        first_index: state.log.size(),
        genesis,
        root: state.log.root(),
    };
    SegmentHeader::check(bytes, &wanted).map_err(|fault| match fault {
        HeaderFault::BeforeIsShort if number > 0 => {
            Corruption::at(file_name(number - 1), 0, "the file ends before what it held")
        }
        HeaderFault::BeforeIsShort => {
            Corruption::at(file_name(number), 0, "the first segment does not begin the log")
        }
        HeaderFault::Here(what) => Corruption::at(file_name(number), 0, what),
    })
}

/// Takes a full segment from its index, if that is valid.
fn indexed(
    folder: &Folder,
    file: &dyn DiskFile,
    number: u64,
    genesis: Genesis,
    state: &mut State,
) -> Result<Option<Scanned>, StoreError> {
    let span =
        Span { number, first_index: state.log.size(), bytes: file.size()?, genesis, root: state.log.root() };
    let Some(index) = segment_index::read(folder, &span)? else { return Ok(None) };
    let mut header = vec![0; HEADER_BYTES];
    file.read_at(&mut header, 0)?;
    check_header(&header, number, genesis, state)?;
    let root = index.root;
    if !state.add_sealed(index, span.bytes) || state.log.root() != root {
        // Its checksum holds, so nobody but its writer can have made it so.
        return Err(Corruption::at(index_name(number), 0, "the index does not fit the log").into());
    }
    Ok(Some(Scanned { bytes: span.bytes, broken: None, unindexed: false }))
}

fn scan(
    file: &dyn DiskFile,
    number: u64,
    genesis: Genesis,
    state: &mut State,
) -> Result<Scanned, StoreError> {
    let name = || file_name(number);
    let bytes = durable::read_all(file)?;
    check_header(&bytes, number, genesis, state)?;
    state.begin_segment();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let offset = at as u64;
        let envelope = match take_frame(&bytes[at..], number, offset, Kind::Envelope) {
            Ok(envelope) => envelope,
            Err(what) => {
                return Ok(Scanned { bytes: offset, broken: Some(what), unindexed: at > HEADER_BYTES });
            }
        };
        let (header, header_bytes) =
            header_of(envelope).ok_or_else(|| Corruption::at(name(), offset, "not an envelope"))?;
        let place = place(number, offset, envelope.len());
        state
            .add(&header, header_bytes, log::leaf(header_bytes), place)
            .ok_or_else(|| Corruption::at(name(), offset, "a sequence number is stored twice"))?;
        state.forget_old_leaves();
        at += FRAME_BYTES + envelope.len();
    }
    Ok(Scanned { bytes: at as u64, broken: None, unindexed: at > HEADER_BYTES })
}
