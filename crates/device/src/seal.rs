//! Sealing: one [`Sealer`] per stream turns bodies into signed and encrypted envelopes.
//!
//! The message key is derived from the content key of the epoch with the run's 128 random bits as
//! salt, and the nonce is the sequence number, which only grows within a run. A pair of key and nonce
//! can therefore not come back: not after a crash, a restored disk, a cloned device or a clock that
//! leaps, as long as each start draws a fresh run.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use alloc::vec::Vec;
use core::fmt;
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use vitals::body::{BODY_BYTES_MAX, Body};
use vitals::cose::{self, Domain};
use vitals::envelope::{COUNT_MAX, ClockQuality, Envelope, Header, TIME_MAX_MS, header_hash};
use vitals::ids::{Class, Hash, sha256};
use vitals::keys::{ChainKey, epoch_of};
use vitals::{DeviceId, Genesis, StreamId};

/// What a stream needs to go on after a restart. Secret: it holds the chain key.
#[derive(Debug, Clone)]
pub struct SealerState {
    /// Chain key at the start of [`Self::epoch`]; nothing before it can be opened with it.
    pub chain: ChainKey,
    /// Day number of the chain key.
    pub epoch: u32,
    /// Sequence number of the next envelope.
    pub next_seq: u64,
    /// Header hash of the last envelope; zero when there is none.
    pub prev: Hash,
}

/// A sealed envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The envelope as it is stored and sent.
    pub bytes: Vec<u8>,
    /// Its header.
    pub header: Header,
    /// Its header hash: what the next envelope's `prev` names, and what receipts speak of.
    pub hash: Hash,
}

/// Why a body cannot be sealed. The caller is wrong; the stream is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The body holds no reading and no event.
    Empty,
    /// More than [`COUNT_MAX`] readings or events.
    TooMany,
    /// The body is longer than [`BODY_BYTES_MAX`].
    TooLong,
    /// The body is of another class than the stream.
    Class,
    /// A time is beyond the year 2200.
    Time,
    /// The stream's last sequence number is used up.
    Exhausted,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the body is empty"),
            Self::TooMany => write!(f, "the body holds more than {COUNT_MAX} readings or events"),
            Self::TooLong => write!(f, "the body is longer than {BODY_BYTES_MAX} bytes"),
            Self::Class => f.write_str("the body is of another class than the stream"),
            Self::Time => f.write_str("a time in the body is beyond the year 2200"),
            Self::Exhausted => f.write_str("the stream's sequence numbers are used up"),
        }
    }
}

impl core::error::Error for SealError {}

/// The cipher of one run in one epoch. Dropping it wipes its key schedule.
struct Cipher {
    epoch: u32,
    aead: Aes256Gcm,
    commitment: [u8; 16],
}

/// Seals the envelopes of one stream, in order. Not `Clone`: two sealers of one run would use a nonce
/// twice.
pub struct Sealer {
    genesis: Genesis,
    author: SigningKey,
    author_id: DeviceId,
    stream: StreamId,
    class: Class,
    run: [u8; 16],
    state: SealerState,
    cipher: Cipher,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer that continues from `state`. `run` must be 128 fresh random bits at every start.
    #[must_use]
    pub fn new(
        genesis: Genesis,
        author: SigningKey,
        stream: StreamId,
        class: Class,
        run: [u8; 16],
        state: SealerState,
    ) -> Self {
        let author_id = DeviceId::of(&VerificationKeyBytes::from(&author).into());
        let cipher = cipher(genesis, stream, &run, &state);
        Self { genesis, author, author_id, stream, class, run, state, cipher }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What to persist with each envelope, so that the next start continues after it.
    #[must_use]
    pub fn state(&self) -> &SealerState {
        &self.state
    }

    /// Seals `body` as the stream's next envelope.
    ///
    /// The epoch is the day of the body's first time, but never before the chain key's (a clock that
    /// went back seals under the current key) and never more steps ahead than a chain key is taken (a
    /// clock that leapt that far is broken; its times are marked, and the envelope is sealed all the
    /// same). When the day changes the chain key steps, and what is behind it is wiped.
    pub fn seal(&mut self, body: &Body, clock: ClockQuality) -> Result<Sealed, SealError> {
        let (first_ms, last_ms) = body.span_ms().ok_or(SealError::Empty)?;
        if body.count() > COUNT_MAX {
            return Err(SealError::TooMany);
        }
        if last_ms > TIME_MAX_MS {
            return Err(SealError::Time);
        }
        if !body.fits(self.class) {
            return Err(SealError::Class);
        }
        let plaintext = body.encode(first_ms);
        if plaintext.len() > BODY_BYTES_MAX {
            return Err(SealError::TooLong);
        }
        let next_seq = self.state.next_seq.checked_add(1).ok_or(SealError::Exhausted)?;
        self.step_to(epoch_of(first_ms));

        let mut header = Header {
            genesis: self.genesis,
            stream: self.stream,
            class: self.class,
            author: self.author_id,
            epoch: self.state.epoch,
            run: self.run,
            seq: self.state.next_seq,
            prev: self.state.prev,
            first_ms,
            last_ms,
            clock,
            count: body.count(),
            key_commitment: self.cipher.commitment,
            ciphertext_hash: [0; 32],
        };
        let ciphertext = self
            .cipher
            .aead
            .encrypt(
                &Nonce::from(header.nonce()),
                Payload { msg: &plaintext, aad: &header.associated_data() },
            )
            .map_err(|_| SealError::TooLong)?;
        header.ciphertext_hash = sha256(&[&ciphertext]);
        let header_bytes = header.encode();
        let signed = cose::to_be_signed(Domain::Envelope, self.genesis, &header_bytes);
        let signature: [u8; 64] = self.author.sign(&signed).into();
        let hash = header_hash(&header_bytes);
        self.state.next_seq = next_seq;
        self.state.prev = hash;
        Ok(Sealed { bytes: Envelope::encode_parts(&header_bytes, &signature, &ciphertext), header, hash })
    }

    fn step_to(&mut self, epoch: u32) {
        let steps = epoch.saturating_sub(self.state.epoch);
        if steps > 0
            && let Some(chain) = self.state.chain.forward(steps)
        {
            self.state.chain = chain;
            self.state.epoch = epoch;
        }
        if self.cipher.epoch != self.state.epoch {
            self.cipher = cipher(self.genesis, self.stream, &self.run, &self.state);
        }
    }
}

fn cipher(genesis: Genesis, stream: StreamId, run: &[u8; 16], state: &SealerState) -> Cipher {
    let (key, commitment) = state.chain.content().message(genesis, stream, state.epoch, run);
    Cipher { epoch: state.epoch, aead: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose())), commitment }
}

#[cfg(test)]
mod tests;
