//! Reading: the log's heads and paths, what the index knows, and envelopes as they arrived. Readers
//! see only what is durable, and never wait for the disk that the writer waits for.

use super::segment::{FRAME_BYTES, Kind, file_name, header_of, take_frame};
use super::state::located;
use super::stream_index::{GAPS_MAX, StreamIndex};
use super::{Corruption, Edge, Located, Store, StoreError, StreamHead};
use durable::DiskFile;
use std::sync::Arc;
use vitals::envelope::header_hash;
use vitals::ids::{Genesis, Hash, StreamId};

/// Most segments held open for reading.
const HANDLES_MAX: usize = 64;

impl Store {
    /// The ledger whose envelopes this holds.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        self.genesis
    }

    /// Leaves in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state().log.size()
    }

    /// Size and root of the log, read together.
    #[must_use]
    pub fn log_head(&self) -> (u64, Hash) {
        let state = self.state();
        (state.log.size(), state.log.root())
    }

    /// Root over the first `size` leaves. Nothing, and an error in the log, if old leaves were needed
    /// and the disk no longer holds them; so too for the paths below.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        logged(self.with_blocks(|log, blocks| log.root_at(size, blocks)))
    }

    /// The leaf at `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        logged(self.try_leaf(index))
    }

    pub(super) fn try_leaf(&self, index: u64) -> Result<Option<Hash>, StoreError> {
        self.with_blocks(|log, blocks| log.leaf(index, blocks))
    }

    /// Inclusion path of leaf `index` in the first `size` leaves.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        logged(self.with_blocks(|log, blocks| log.inclusion(index, size, blocks)))
    }

    /// The right edge of the first `size` leaves: what paths to many of them share.
    #[must_use]
    pub fn edge(&self, size: u64) -> Option<Edge> {
        logged(self.with_blocks(|log, blocks| log.edge(size, blocks)))
    }

    /// As [`Self::inclusion`], in the leaves that `edge` is the edge of.
    #[must_use]
    pub fn inclusion_at(&self, index: u64, edge: &Edge) -> Option<Vec<Hash>> {
        logged(self.with_blocks(|log, blocks| log.inclusion_at(index, edge, blocks)))
    }

    /// Consistency proof from the first `old` to the first `new` leaves.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        logged(self.with_blocks(|log, blocks| log.consistency(old, new, blocks)))
    }

    /// The end of a stream; nothing for a stream without envelopes.
    #[must_use]
    pub fn head(&self, stream: StreamId) -> Option<StreamHead> {
        self.state().head(stream)
    }

    /// Envelopes of a stream.
    #[must_use]
    pub fn len_of(&self, stream: StreamId) -> u64 {
        self.state().streams.get(&stream).map_or(0, |index| index.count)
    }

    /// Missing sequence numbers below the highest one, as inclusive ranges; the first `most`, and never
    /// more than [`GAPS_MAX`]. Costs what is told.
    #[must_use]
    pub fn gaps(&self, stream: StreamId, most: usize) -> Vec<(u64, u64)> {
        let state = self.state();
        let gaps = state.streams.get(&stream).map(StreamIndex::gaps);
        gaps.into_iter().flatten().take(most.min(GAPS_MAX)).collect()
    }

    /// All streams that hold an envelope.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        self.state().streams.keys().copied().collect()
    }

    /// What the index knows about an envelope.
    #[must_use]
    pub fn locate(&self, stream: StreamId, seq: u64) -> Option<Located> {
        let state = self.state();
        Some(located(seq, state.streams.get(&stream)?.get(seq)?))
    }

    /// Envelopes of a stream whose times touch `from_ms..=to_ms`, in sequence order.
    #[must_use]
    pub fn find(&self, stream: StreamId, from_ms: u64, to_ms: u64) -> Vec<Located> {
        let state = self.state();
        let Some(index) = state.streams.get(&stream) else { return Vec::new() };
        index.touching(from_ms, to_ms).into_iter().map(|(seq, entry)| located(seq, entry)).collect()
    }

    /// Envelopes of a stream that are leaf `first` of the log or a later one, in sequence order.
    #[must_use]
    pub fn find_since(&self, stream: StreamId, first: u64) -> Vec<Located> {
        let state = self.state();
        let since = state.streams.get(&stream).map(|index| index.since(first));
        since.into_iter().flatten().map(|(seq, entry)| located(seq, entry)).collect()
    }

    /// Reads what [`Self::find`] finds, one by one, without holding up the writer.
    pub fn scan(
        &self,
        stream: StreamId,
        from_ms: u64,
        to_ms: u64,
    ) -> impl Iterator<Item = Result<(Located, Vec<u8>), StoreError>> + use<'_> {
        self.find(stream, from_ms, to_ms).into_iter().map(|located| {
            let bytes = self.read_index(located.index)?;
            Ok((located, bytes.expect("what the index located has a place")))
        })
    }

    /// An envelope, as it arrived.
    ///
    /// # Errors
    /// [`StoreError::Halt`] if the disk no longer holds what was stored.
    pub fn read(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.locate(stream, seq) {
            Some(located) => self.read_index(located.index),
            None => Ok(None),
        }
    }

    /// The envelope that is leaf `index`, as it arrived.
    ///
    /// # Errors
    /// [`StoreError::Halt`] if the disk no longer holds what was stored.
    pub fn read_index(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(place) = self.state().place(index) else { return Ok(None) };
        let number = u64::from(place.segment);
        let damaged = |what: &str| Corruption::at(file_name(number), u64::from(place.offset), what);
        let file = self.handle(&file_name(number)).map_err(|_| damaged("the file cannot be opened"))?;
        let mut frame = vec![0; FRAME_BYTES + place.len as usize];
        file.read_at(&mut frame, u64::from(place.offset)).map_err(|_| damaged("a frame cannot be read"))?;
        let envelope = take_frame(&frame, number, u64::from(place.offset), Kind::Envelope);
        if let Err(what) = envelope.map(<[u8]>::len) {
            return Err(damaged(what).into());
        }
        frame.drain(..FRAME_BYTES);
        Ok(Some(frame))
    }

    /// Header hash of an envelope: from memory for the last of its stream, else read from the disk.
    ///
    /// # Errors
    /// [`StoreError::Halt`] if the disk no longer holds what was stored.
    pub fn hash_at(&self, stream: StreamId, seq: u64) -> Result<Option<Hash>, StoreError> {
        if let Some(head) = self.head(stream)
            && head.last_seq == seq
        {
            return Ok(Some(head.last_hash));
        }
        let Some(located) = self.locate(stream, seq) else { return Ok(None) };
        let bytes = self.read_index(located.index)?.expect("what the index located has a place");
        let header = header_of(&bytes);
        let hash = header.map(|(_, header_bytes)| header_hash(header_bytes));
        hash.map(Some).ok_or_else(|| {
            let place = self.state().place(located.index).expect("located above");
            Corruption::at(file_name(u64::from(place.segment)), u64::from(place.offset), "not an envelope")
                .into()
        })
    }

    pub(super) fn handle(&self, name: &str) -> std::io::Result<Arc<dyn DiskFile>> {
        let mut handles = self.handles.lock();
        if let Some(at) = handles.iter().position(|(held, _)| held == name) {
            // The one used last stands last, so that the front is the one to drop.
            let held = handles.remove(at);
            let file = Arc::clone(&held.1);
            handles.push(held);
            return Ok(file);
        }
        let file = self.folder.open(name)?;
        if handles.len() == HANDLES_MAX {
            handles.remove(0);
        }
        handles.push((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }
}

/// The answer; an error is logged and gives none.
fn logged<T>(answer: Result<Option<T>, StoreError>) -> Option<T> {
    answer.unwrap_or_else(|why| {
        tracing::error!(%why, "The log's old leaves cannot be read: {why}");
        None
    })
}
