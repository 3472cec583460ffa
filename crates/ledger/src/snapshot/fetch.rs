//! Fetches a snapshot for a node with an empty folder from the others, chunk by chunk, over the links between
//! validators.

use super::{Head, SnapshotError, SnapshotRequest};
use crate::Config;
use crate::machine::snapshot::{Import, SnapshotError as StateError};
use bytes::Bytes;
use consensus::{ProtocolViolation, RequestResponse};
use durable::{Disk as _, Os};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::{Finalized, Known, LedgerProof};

/// Requests in a row without a response, after which a newer snapshot is requested: a node serves each one
/// only for a while.
const MISSES_MAX: u32 = 8;
/// A progress line is logged after so many chunks.
const PROGRESS_CHUNKS: u64 = 64;

enum Stage {
    /// Requesting the head of a snapshot.
    Asking,
    /// Requesting its chunks.
    Taking { head: Box<Head>, import: Box<Import>, chunks: u64, misses: u32 },
    /// Complete or failed.
    Over(Option<Box<Result<Finalized, SnapshotError>>>),
}

/// The fetch of one snapshot.
pub(crate) struct SnapshotFetch {
    folder: PathBuf,
    document: GenesisDocument,
    known: Option<Known>,
    stage: Mutex<Stage>,
    over: watch::Sender<bool>,
}

impl SnapshotFetch {
    pub(crate) fn new(folder: PathBuf, document: GenesisDocument, known: Option<Known>) -> Self {
        Self { folder, document, known, stage: Mutex::new(Stage::Asking), over: watch::Sender::new(false) }
    }

    fn end(&self, stage: &mut Stage, how: Result<Finalized, SnapshotError>) {
        *stage = Stage::Over(Some(Box::new(how)));
        self.over.send_replace(true);
    }

    /// How it ended, once.
    pub(crate) fn outcome(&self) -> Option<Result<Finalized, SnapshotError>> {
        match &mut *self.stage.lock() {
            Stage::Over(how) => how.take().map(|how| *how),
            _ => None,
        }
    }

    fn choose(&self, stage: &mut Stage, answer: &[u8]) -> Result<(), ProtocolViolation> {
        let proof = LedgerProof::decode(answer).map_err(|why| ProtocolViolation(why.to_string()))?;
        // Older than the block the operator knows: the next peer may have a newer one.
        let head = Head::of(&self.document, self.known.as_ref(), proof)
            .map_err(|why| ProtocolViolation(why.to_string()))?;
        let height = head.header().height;
        match head.open_import(&self.folder, &self.document) {
            Ok(import) => {
                tracing::info!(height, "Taking the state after block {height} from the other validators");
                let (head, import) = (Box::new(head), Box::new(import));
                *stage = Stage::Taking { head, import, chunks: 0, misses: 0 };
                self.complete(stage);
            }
            Err(why) => self.end(stage, Err(why)),
        }
        Ok(())
    }

    fn push(&self, stage: &mut Stage, chunk: &[u8]) -> Result<(), ProtocolViolation> {
        let Stage::Taking { import, chunks, misses, .. } = stage else { return Ok(()) };
        match import.push(chunk) {
            Ok(()) => {
                (*chunks, *misses) = (*chunks + 1, 0);
                if chunks.is_multiple_of(PROGRESS_CHUNKS) {
                    tracing::info!(chunks, items = import.items(), "Taking the state: {chunks} chunks");
                }
                self.complete(stage);
                Ok(())
            }
            Err(why @ StateError::Refused { .. }) => Err(ProtocolViolation(why.to_string())),
            Err(why) => {
                self.end(stage, Err(why.into()));
                Ok(())
            }
        }
    }

    fn complete(&self, stage: &mut Stage) {
        if !matches!(stage, Stage::Taking { import, .. } if import.place().is_none()) {
            return;
        }
        if let Stage::Taking { head, import, .. } = std::mem::replace(stage, Stage::Asking) {
            let done = head.finish(&self.folder, &self.document, *import);
            self.end(stage, done.map(|()| head.finalized));
        }
    }
}

impl RequestResponse for SnapshotFetch {
    fn next_request(&self) -> Option<Bytes> {
        let question = match &*self.stage.lock() {
            Stage::Asking => SnapshotRequest::Head,
            Stage::Taking { head, import, .. } => {
                SnapshotRequest::Chunk { height: head.header().height, place: import.place()? }
            }
            Stage::Over(_) => return None,
        };
        Some(question.encode().into())
    }

    fn respond(&self, _question: &[u8]) -> Result<Option<Bytes>, ProtocolViolation> {
        Ok(None)
    }

    fn receive_response(&self, question: &[u8], answer: &[u8]) -> Result<(), ProtocolViolation> {
        let mut stage = self.stage.lock();
        match (&*stage, SnapshotRequest::decode(question)) {
            (Stage::Asking, Some(SnapshotRequest::Head)) => self.choose(&mut stage, answer),
            (Stage::Taking { .. }, Some(SnapshotRequest::Chunk { .. })) => self.push(&mut stage, answer),
            _ => Ok(()),
        }
    }

    fn request_failed(&self, _question: &[u8]) {
        let mut stage = self.stage.lock();
        if let Stage::Taking { misses, .. } = &mut *stage {
            *misses += 1;
            if *misses == MISSES_MAX {
                // The partial import stays, in case the same snapshot is offered again.
                *stage = Stage::Asking;
            }
        }
    }
}

/// Creates a ledger in the configured folder, which holds none, from a snapshot of the configured peers, which
/// must know this validator key already. `known` is a block that the operator knows to be final from a
/// checkpoint, if any. Asks until a peer has a snapshot; after a restart it continues. Blocking: call it
/// outside async threads.
///
/// # Errors
/// If the folder holds a ledger, the disk fails, or the configuration is wrong.
pub fn fetch(
    config: &Config,
    document: &GenesisDocument,
    validator: &[u8; 32],
    known: Option<&Known>,
) -> Result<Finalized, SnapshotError> {
    Os.make_folder(&config.folder)?;
    if crate::machine::snapshot::holds_a_ledger(&config.folder) {
        return Err(StateError::Occupied.into());
    }
    let fetch = Arc::new(SnapshotFetch::new(config.folder.clone(), document.clone(), known.cloned()));
    let mut over = fetch.over.subscribe();
    let done = async move {
        // It lives as long as its requests.
        let _ = over.wait_for(|over| *over).await;
    };
    consensus::fetch(&config.agreement, document, validator, fetch.clone(), done)?;
    fetch.outcome().unwrap_or(Err(SnapshotError::Ended))
}
