//! The node as an author: accesses, profiles, limits, acknowledgements. Sealed like a device's, signed
//! by the record key, with a fresh run for every envelope, so that no nonce can repeat after a restore.

use crate::error::{VaultError, WriteError};
use crate::seal::{self, Plaintext};
use crate::store::{Appended, Store, StreamHead};
use crate::vault::Vault;
use crate::vault::streams::{NewStream, StreamRecord};
use std::collections::HashMap;
use vitals::body::Body;
use vitals::envelope::{ClockQuality, Header, TIME_MAX_MS};
use vitals::ids::{Class, Hash, PatientId, StreamId};
use vitals::keys::{ContentKey, epoch_of};

/// Something to be written into a patient's record by the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// About whom.
    pub patient: PatientId,
    /// In which class.
    pub class: Class,
    /// What.
    pub body: Body,
}

/// An envelope of the organisation's own, durable and in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Index of its leaf.
    pub index: u64,
    /// Its header.
    pub header: Header,
    /// Hash of its header.
    pub hash: Hash,
    /// The envelope.
    pub bytes: Vec<u8>,
}

struct Draft {
    record: StreamRecord,
    epoch: u32,
    key: ContentKey,
    count: u32,
    plaintext: Plaintext,
}

impl Vault {
    /// Seals entries, in order, and stores them as one group: durable when it returns. A patient's
    /// stream is made with the first entry of its class.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was stored.
    pub fn write(
        &self,
        store: &Store,
        entries: &[Entry],
        clock: ClockQuality,
        now_ms: u64,
    ) -> Result<Vec<Written>, WriteError> {
        let genesis = self.genesis()?;
        if store.genesis() != genesis {
            return Err(VaultError::OtherGenesis.into());
        }
        let drafts = entries.iter().map(|entry| self.draft(entry, now_ms)).collect::<Result<Vec<_>, _>>()?;
        let author = self.author();
        let written = store.append_with::<WriteError>(|head_of| {
            let mut ends: HashMap<StreamId, (u64, Hash)> = HashMap::new();
            let sealed = drafts.iter().map(|draft| {
                let stream = draft.record.stream;
                let before = ends.get(&stream).copied();
                let before = before.or_else(|| {
                    head_of(stream).map(|StreamHead { last_seq, last_hash, .. }| (last_seq, last_hash))
                });
                let (seq, prev) = before.map_or((0, [0; 32]), |(seq, hash)| (seq + 1, hash));
                let header = Header {
                    genesis,
                    stream,
                    class: draft.record.class,
                    author,
                    epoch: draft.epoch,
                    run: self.random(),
                    seq,
                    prev,
                    first_ms: draft.plaintext.span_ms.0,
                    last_ms: draft.plaintext.span_ms.1,
                    clock,
                    count: draft.count,
                    key_commitment: [0; 16],
                    ciphertext_hash: [0; 32],
                };
                let sealed = seal::seal(header, &draft.plaintext.bytes, &draft.key, |message| {
                    self.sign_record(message)
                });
                ends.insert(stream, (seq, sealed.0.hash()));
                sealed
            });
            Ok(sealed.collect())
        })?;
        let written = written.into_iter().map(|(envelope, bytes, answer)| match answer {
            Appended::Stored { index } => {
                Ok(Written { index, hash: envelope.hash(), header: envelope.header, bytes })
            }
            Appended::Duplicate { .. } | Appended::Conflict { .. } => Err(WriteError::Conflict),
        });
        written.collect()
    }

    fn draft(&self, entry: &Entry, now_ms: u64) -> Result<Draft, WriteError> {
        let plaintext = seal::plaintext(&entry.body, entry.class)?;
        if plaintext.span_ms.1 > TIME_MAX_MS {
            return Err(WriteError::Unfit);
        }
        let record = self.make_stream(NewStream {
            author: self.author(),
            patient: entry.patient,
            class: entry.class,
            first_epoch: epoch_of(now_ms),
            salt: self.random(),
        })?;
        // A clock that went back seals under the chain's first day.
        let epoch = epoch_of(now_ms).max(record.first_epoch);
        let key = self.chains.content(self, &record, epoch).map_err(|_| VaultError::Epoch)?;
        Ok(Draft { record, epoch, key, count: entry.body.count(), plaintext })
    }
}
