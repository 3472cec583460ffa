//! Seals for a sensor of another maker that brings its own client instead of our boards and our
//! connection: with a gateway's keys, journal and checks.

use crate::counters::Counters;
use crate::journal::{Journal, JournalError};
use crate::keys::{self, KeyError, StreamState};
use crate::outbox::Outbox;
use crate::quarantine::{self, Quarantine};
use crate::sealers::sealers_of;
use crate::verifier::Verifier;
use crate::{Entropy, GatewayError};
use device::seal::SealError;
use device::{Sealed, Sealer};
use durable::{FolderLock, Os};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash};
use vitals::metric::Reading;
use vitals::{DeviceId, StreamId};

/// A journal segment is closed at this length, bytes.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Why nothing was sealed or settled.
#[derive(Debug, thiserror::Error)]
pub enum SealerError {
    /// The folder cannot be used.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// There is no such sensor.
    #[error("there is no sensor {asked} here: {held} are paired, counted from 0")]
    NoSensor {
        /// Asked for.
        asked: usize,
        /// Paired.
        held: usize,
    },
    /// The organisation gave no stream for this class.
    #[error("no stream was paired for class {}", .0.word())]
    NoStream(Class),
    /// The node holds another envelope for a number of this stream.
    #[error("another hand writes stream {0}: find the copy of this folder, then pair anew")]
    Closed(StreamId),
    /// Too much waits for its proof.
    #[error("too many envelopes wait for their proof: publish them again and settle what the node answers")]
    Full,
    /// The readings are wrong.
    #[error("the readings cannot be sealed: {0}")]
    Seal(SealError),
    /// A receipt or delivery does not hold.
    #[error("it does not check: {0}")]
    NotVerified(String),
    /// Claims of a delivery do not hold.
    #[error("{0} envelopes are not where the delivery claims they are proven")]
    WrongClaims(usize),
}

impl From<KeyError> for SealerError {
    fn from(why: KeyError) -> Self {
        Self::Gateway(why.into())
    }
}

impl From<JournalError> for SealerError {
    fn from(why: JournalError) -> Self {
        Self::Gateway(why.into())
    }
}

/// A paired gateway's folder, opened for sealing by hand. One at a time, and no [`crate::Gateway`]
/// beside it: the folder is locked.
pub struct ThirdPartySealer {
    dir: PathBuf,
    gateway: DeviceId,
    sensors: Vec<Vec<Sealer>>,
    streams: BTreeMap<StreamId, StreamState>,
    outbox: Outbox,
    verifier: Verifier,
    journal_newest: u32,
    _lock: FolderLock,
}

impl std::fmt::Debug for ThirdPartySealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ThirdPartySealer")
    }
}

impl ThirdPartySealer {
    /// Opens the folder. Every stream continues where the journal stands, under a fresh run.
    pub fn open(dir: &Path, entropy: &Entropy) -> Result<Self, SealerError> {
        // Before the lock: a mistyped path must not become a folder.
        keys::gateway_seed(dir)?;
        let lock = crate::lock(dir)?;
        let paired = keys::load(dir, 0)?;
        let (journal, backlog) =
            Journal::open(&dir.join("journal"), paired.gateway, paired.journal_newest, SEGMENT_BYTES)?;
        let path = dir.join(quarantine::FOLDER);
        let (folder, quarantined) =
            Quarantine::open(Arc::new(Os), &path).map_err(|source| GatewayError::Io { path, source })?;
        let sensors =
            paired.sensors.iter().map(|sensor| sealers_of(&paired, sensor, &journal, entropy)).collect();
        let verifier = Verifier::open(Arc::new(Os), dir, paired.document, paired.record_key)
            .map_err(|source| GatewayError::Io { path: dir.to_owned(), source })?;
        let mut author = Self {
            dir: dir.to_owned(),
            gateway: paired.gateway,
            sensors,
            streams: paired.streams,
            // Whoever seals by hand publishes all of it again, and may bring the proofs in any order.
            outbox: Outbox::new(journal, backlog, usize::MAX, Counters::default().into())
                .with_quarantine(folder, quarantined),
            verifier,
            journal_newest: paired.journal_newest,
            _lock: lock,
        };
        author.outbox.fill()?;
        author.remember()?;
        Ok(author)
    }

    /// The gateway, whose topics and certificate carry the envelopes.
    #[must_use]
    pub fn gateway(&self) -> DeviceId {
        self.gateway
    }

    /// Envelopes without a checked proof.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outbox.pending()
    }

    /// Seals readings of sensor `sensor` (counted from 0), one envelope per class. They are durable in
    /// the journal when this returns, and none of them is given away before.
    pub fn seal(
        &mut self,
        sensor: usize,
        readings: &[Reading],
        clock: ClockQuality,
        now_ms: u64,
    ) -> Result<Vec<Sealed>, SealerError> {
        let held = self.sensors.len();
        let sealers = self.sensors.get_mut(sensor).ok_or(SealerError::NoSensor { asked: sensor, held })?;
        if self.outbox.is_full() {
            return Err(SealerError::Full);
        }
        let mut bodies = Vec::new();
        for class in [Class::Vitals, Class::Environment] {
            let of_class: Vec<Reading> =
                readings.iter().filter(|reading| reading.metric.info().class == class).copied().collect();
            if of_class.is_empty() {
                continue;
            }
            let sealer = sealers.iter().position(|sealer| sealer.class() == class);
            let sealer = sealer.ok_or(SealerError::NoStream(class))?;
            let stream = sealers[sealer].stream();
            if self.outbox.is_closed(&stream) {
                return Err(SealerError::Closed(stream));
            }
            bodies.push((sealer, Body::Readings(of_class)));
        }
        if bodies.is_empty() {
            return Err(SealerError::Seal(SealError::Empty));
        }
        let (mut sealed, mut refused) = (Vec::new(), None);
        for (sealer, body) in bodies {
            match sealers[sealer].seal(&body, clock) {
                Ok(envelope) => sealed.push((false, envelope)),
                Err(why) => refused = Some(why),
            }
        }
        // Kept even when another class was refused: its number is used.
        self.outbox.keep(&sealed, now_ms)?;
        self.remember()?;
        match refused {
            None => Ok(sealed.into_iter().map(|(_, envelope)| envelope).collect()),
            Some(why) => Err(SealerError::Seal(why)),
        }
    }

    /// Everything without a checked proof, alarms first, to be published again.
    pub fn unproven(&mut self) -> Result<Vec<Vec<u8>>, SealerError> {
        let mut all = Vec::new();
        while let Some((_, _, bytes)) = self.outbox.next()? {
            all.push(bytes);
        }
        self.outbox.disconnected();
        Ok(all)
    }

    /// Checks a receipt against the pinned record key and the envelope in the journal. Gives the
    /// envelope's header hash; the envelope is kept until its proof.
    pub fn receipt(&mut self, bytes: &[u8], now_ms: u64) -> Result<Hash, SealerError> {
        let wrong = |why: String| SealerError::NotVerified(why);
        self.outbox.receipt(bytes, &self.verifier, now_ms, now_ms)?.map_err(|why| wrong(why.to_string()))?;
        let receipt = vitals::receipt::Receipt::decode(bytes).map_err(|why| wrong(why.to_string()))?;
        match self.outbox.knows(&receipt.envelope) {
            true => Ok(receipt.envelope),
            false => Err(wrong("it is about an envelope that is not in this journal (any more)".into())),
        }
    }

    /// Checks a delivery of proofs from the pinned genesis, and forgets the envelopes it proves. Gives
    /// how many those were.
    pub fn delivery(&mut self, bytes: &[u8], now_ms: u64) -> Result<usize, SealerError> {
        let before = self.pending();
        let wrong = self.outbox.delivery(bytes, &mut self.verifier, now_ms)?;
        match wrong.map_err(|why| SealerError::NotVerified(why.to_string()))? {
            0 => Ok(before - self.pending()),
            wrong => Err(SealerError::WrongClaims(wrong)),
        }
    }

    /// Makes durable what was settled.
    pub fn close(mut self) -> Result<(), SealerError> {
        self.outbox.close()?;
        self.remember()
    }

    fn remember(&mut self) -> Result<(), SealerError> {
        let newest = self.outbox.journal().newest();
        let stepped = keys::note_steps(&mut self.streams, self.sensors.iter().flatten());
        if stepped || newest != self.journal_newest {
            keys::write_streams(&Os, &self.dir, &self.streams, newest)?;
            self.journal_newest = newest;
        }
        Ok(())
    }
}

/// A gateway's TLS certificate and private key (PKCS#8), both DER, for clients that are not ours. They
/// are there from first boot on; the node admits them once the gateway is paired.
pub fn certificate(dir: &Path) -> Result<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>), SealerError> {
    let (certificate, key) =
        link::tls::self_signed(&*keys::gateway_seed(dir)?).map_err(GatewayError::from)?;
    Ok((certificate.to_vec(), key.secret_der().to_vec().into()))
}

/// TLS as the paired gateway in `dir` speaks it: with its certificate, and the node's key pinned.
pub fn tls(dir: &Path) -> Result<std::sync::Arc<link::tls::Config>, SealerError> {
    let paired = keys::load(dir, 0)?;
    let (certificate, key) = link::tls::self_signed(&paired.gateway_seed).map_err(GatewayError::from)?;
    let config = link::tls::client_config(certificate, key, paired.record_key).map_err(GatewayError::from)?;
    Ok(config.into())
}

/// The record key of the organisation that the gateway in `dir` is paired with.
pub fn record_key(dir: &Path) -> Result<[u8; 32], SealerError> {
    Ok(keys::load(dir, 0)?.record_key)
}

#[cfg(test)]
mod tests;
