//! Sealing and opening one envelope.

use crate::error::{OpenError, WriteError};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use vitals::body::{BODY_BYTES_MAX, Body};
use vitals::envelope::{COUNT_MAX, Envelope, Header};
use vitals::ids::{Class, sha256};
use vitals::keys::{ContentKey, MessageKey};
use zeroize::Zeroizing;

/// Opens an envelope with the content key of its epoch, and holds the body against its header.
///
/// The signature is not checked: admission has done that, and a stored envelope is what was admitted.
///
/// # Errors
/// Names what does not fit: key, ciphertext, encoding, class, count or times.
pub fn open_body(envelope: &Envelope, key: &ContentKey) -> Result<Body, OpenError> {
    let header = &envelope.header;
    let (key, commitment) = key.message(header.genesis, header.stream, header.epoch, &header.run);
    open_with(envelope, &key, &commitment)
}

pub(crate) fn open_with(
    envelope: &Envelope,
    key: &MessageKey,
    commitment: &[u8; 16],
) -> Result<Body, OpenError> {
    let header = &envelope.header;
    if header.key_commitment != *commitment {
        return Err(OpenError::Key);
    }
    let payload = Payload { msg: &envelope.ciphertext, aad: &header.associated_data() };
    let plaintext = Aes256Gcm::new(key.expose().into())
        .decrypt(&Nonce::from(header.nonce()), payload)
        .map_err(|_| OpenError::Altered)?;
    let plaintext = Zeroizing::new(plaintext);
    let body = Body::decode(&plaintext, header.first_ms).map_err(OpenError::Body)?;
    if !body.fits(header.class) {
        return Err(OpenError::Class);
    }
    if body.count() != header.count {
        return Err(OpenError::Count);
    }
    if body.span_ms() != Some((header.first_ms, header.last_ms)) {
        return Err(OpenError::Span);
    }
    Ok(body)
}

/// An encoded body, wiped when dropped.
pub(crate) struct Plaintext {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Earliest and latest time in it, milliseconds.
    pub(crate) span_ms: (u64, u64),
}

/// The plaintext of a body, if it may stand in an envelope of this class.
pub(crate) fn plaintext(body: &Body, class: Class) -> Result<Plaintext, WriteError> {
    let span_ms = body.span_ms().ok_or(WriteError::Unfit)?;
    let bytes = Zeroizing::new(body.encode(span_ms.0));
    let fits = body.fits(class)
        && (1..=COUNT_MAX).contains(&body.count())
        && bytes.len() <= BODY_BYTES_MAX
        // What cannot be read back must not be written: texts over their bound, for one.
        && Body::decode(&bytes, span_ms.0).is_ok_and(|read| read.count() == body.count());
    if fits { Ok(Plaintext { bytes, span_ms }) } else { Err(WriteError::Unfit) }
}

/// Seals `plaintext` under `key`. Fills in the header's commitment and ciphertext hash and signs it.
pub(crate) fn seal(
    mut header: Header,
    plaintext: &[u8],
    key: &ContentKey,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> (Envelope, Vec<u8>) {
    let (key, commitment) = key.message(header.genesis, header.stream, header.epoch, &header.run);
    header.key_commitment = commitment;
    let payload = Payload { msg: plaintext, aad: &header.associated_data() };
    let ciphertext = Aes256Gcm::new(key.expose().into())
        .encrypt(&Nonce::from(header.nonce()), payload)
        .expect("AES-GCM seals up to 64 GiB");
    header.ciphertext_hash = sha256(&[&ciphertext]);
    let header_bytes = header.encode();
    let mut envelope = Envelope { header, header_bytes, signature: [0; 64], ciphertext };
    envelope.signature = sign(&envelope.to_be_signed());
    let bytes = envelope.encode();
    (envelope, bytes)
}
