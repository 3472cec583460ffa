//! Streams: who writes about whom in which class, since when, and the sealed first chain key.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::secret::Secret32;
use crate::vault::Vault;
use std::collections::HashMap;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::envelope::EPOCH_MAX;
use vitals::ids::{Class, DeviceId, PatientId, StreamId};
use vitals::keys::ChainKey;
use zeroize::Zeroizing;

const VERSION: u64 = 1;

/// A stream to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewStream {
    /// Who writes.
    pub author: DeviceId,
    /// About whom.
    pub patient: PatientId,
    /// In which class.
    pub class: Class,
    /// First day of its key chain.
    pub first_epoch: u32,
    /// Salt of the author's binding to the patient ([`vitals::ids::binding`]).
    pub salt: [u8; 32],
}

/// A stream in the vault, without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRecord {
    /// The stream.
    pub stream: StreamId,
    /// Who writes.
    pub author: DeviceId,
    /// About whom.
    pub patient: PatientId,
    /// In which class.
    pub class: Class,
    /// First day of its key chain.
    pub first_epoch: u32,
    /// Salt of the author's binding to the patient.
    pub salt: [u8; 32],
}

#[derive(Default)]
pub(crate) struct StreamBook {
    by_id: HashMap<StreamId, StreamRecord>,
    by_patient: HashMap<PatientId, Vec<StreamId>>,
    by_author: HashMap<DeviceId, Vec<StreamId>>,
}

impl StreamBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Streams)? {
            book.add(
                StreamRecord::read(&row)
                    .map_err(|_| VaultError::Damaged("a stream is not readable".into()))?,
            );
        }
        for of_one in book.by_patient.values_mut().chain(book.by_author.values_mut()) {
            of_one.sort_unstable();
        }
        Ok(book)
    }

    fn add(&mut self, record: StreamRecord) {
        self.by_patient.entry(record.patient).or_default().push(record.stream);
        self.by_author.entry(record.author).or_default().push(record.stream);
        self.by_id.insert(record.stream, record);
    }
}

impl StreamRecord {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(7).uint(VERSION).bytes(&self.stream.0).bytes(&self.author.0).bytes(&self.patient.0);
        w.uint(u64::from(self.class.code())).uint(u64::from(self.first_epoch)).bytes(&self.salt);
        w.finish()
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(7)?;
        r.exactly(VERSION)?;
        let record = Self {
            stream: StreamId(r.fixed()?),
            author: DeviceId(r.fixed()?),
            patient: PatientId(r.fixed()?),
            class: Class::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            first_epoch: r.u32()?,
            salt: r.fixed()?,
        };
        r.end()?;
        Ok(record)
    }
}

/// The sealed row of a stream's key.
pub(crate) struct ChainRow {
    /// Chain key of the stream's first epoch.
    pub(crate) first: ChainKey,
    /// Latest epoch whose chain key was handed to the author; the first epoch before any was.
    pub(crate) given_epoch: u32,
}

impl ChainRow {
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(3).uint(VERSION).bytes(self.first.expose()).uint(u64::from(self.given_epoch));
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(3)?;
        r.exactly(VERSION)?;
        let row = Self { first: ChainKey::new(r.fixed()?), given_epoch: r.u32()? };
        r.end()?;
        Ok(row)
    }
}

impl Vault {
    /// Makes a stream with a fresh chain key. If the author has one about this patient in this class
    /// already, that one is returned unchanged.
    ///
    /// # Errors
    /// [`VaultError::NoPatient`], [`VaultError::NoGenesis`], [`VaultError::Epoch`].
    pub fn make_stream(&self, new: NewStream) -> Result<StreamRecord, VaultError> {
        self.known_patient(new.patient)?;
        if new.first_epoch > EPOCH_MAX {
            return Err(VaultError::Epoch);
        }
        let id = StreamId::of(self.genesis()?, new.author, new.patient, new.class);
        if let Some(held) = self.stream(id) {
            return Ok(held);
        }
        let _changing = self.changing();
        if let Some(held) = self.stream(id) {
            return Ok(held);
        }
        let NewStream { author, patient, class, first_epoch, salt } = new;
        let record = StreamRecord { stream: id, author, patient, class, first_epoch, salt };
        let first = ChainKey::new(*Secret32::random(&self.entropy).expose());
        let chain = ChainRow { first, given_epoch: first_epoch };
        self.tables
            .put(&[(Table::Streams, &id.0, &record.encode()), (Table::Chains, &id.0, &chain.encode())])?;
        self.books_mut().streams.add(record);
        Ok(record)
    }

    pub(crate) fn chain_row(&self, stream: StreamId) -> Result<ChainRow, VaultError> {
        let damaged = || VaultError::Damaged("a stream's key is not readable".into());
        let row = self.tables.get(Table::Chains, &stream.0)?.ok_or_else(damaged)?;
        ChainRow::read(&row).map_err(|_| damaged())
    }

    /// The stream with this id, from memory.
    #[must_use]
    pub fn stream(&self, id: StreamId) -> Option<StreamRecord> {
        self.books().streams.by_id.get(&id).copied()
    }

    /// All streams about a patient.
    #[must_use]
    pub fn streams_of(&self, patient: PatientId) -> Vec<StreamRecord> {
        let books = self.books();
        let ids = books.streams.by_patient.get(&patient).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| books.streams.by_id.get(id).copied()).collect()
    }

    /// All streams an author writes.
    #[must_use]
    pub fn streams_by(&self, author: DeviceId) -> Vec<StreamRecord> {
        let books = self.books();
        let ids = books.streams.by_author.get(&author).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| books.streams.by_id.get(id).copied()).collect()
    }
}
