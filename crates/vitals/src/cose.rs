//! COSE_Sign1 (RFC 9052) with Ed25519 (algorithm -19, RFC 9864), in its one accepted form:
//! `18([h'A10132', {}, payload, signature])`. The external data carries a domain and the genesis
//! hash, so that no signature can be taken for another.

use crate::cbor::{NotCanonical, Reader, Writer};
use crate::ids::Genesis;
use alloc::vec::Vec;

/// {1: -19}: algorithm Ed25519.
pub const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x32];

/// What the signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// An envelope's header.
    Envelope,
    /// A tree head.
    Head,
    /// A pairing request, signed by the new device.
    PairingRequest,
    /// A pairing answer, signed by the home organisation.
    PairingAnswer,
    /// A checkpoint, signed by an organisation.
    Checkpoint,
    /// A command to a bedside, signed by its home organisation.
    Command,
}

impl Domain {
    /// The label signed with the payload.
    #[must_use]
    pub fn label(self) -> &'static [u8] {
        match self {
            Self::Envelope => b"aceso/envelope/v1",
            Self::Head => b"aceso/head/v1",
            Self::PairingRequest => b"aceso/pairing-request/v1",
            Self::PairingAnswer => b"aceso/pairing-answer/v1",
            Self::Checkpoint => b"aceso/checkpoint/v1",
            Self::Command => b"aceso/command/v1",
        }
    }
}

/// The bytes that are signed: `["Signature1", protected, label ‖ genesis, payload]`.
#[must_use]
pub fn to_be_signed(domain: Domain, genesis: Genesis, payload: &[u8]) -> Vec<u8> {
    let external = [domain.label(), &genesis.0].concat();
    // Heads of the array and its four strings, and "Signature1", take less than 32.
    let mut w = Writer::with_capacity(32 + PROTECTED.len() + external.len() + payload.len());
    w.array(4).text("Signature1").bytes(&PROTECTED).bytes(&external).bytes(payload);
    w.finish()
}

/// Writes a COSE_Sign1.
pub fn write(w: &mut Writer, payload: &[u8], signature: &[u8; 64]) {
    w.tag(18).array(4).bytes(&PROTECTED).map(0).bytes(payload).bytes(signature);
}

/// Reads a COSE_Sign1 whose payload is at most `payload_max` bytes long.
pub fn read<'a>(r: &mut Reader<'a>, payload_max: usize) -> Result<(&'a [u8], [u8; 64]), NotCanonical> {
    r.tag(18)?;
    r.array(4)?;
    if r.bytes(PROTECTED.len())? != PROTECTED {
        return Err(NotCanonical::Unexpected);
    }
    r.map(0)?;
    Ok((r.bytes(payload_max)?, r.fixed()?))
}

/// Decides a signature by ZIP-215, as every node does, so that all agree.
#[must_use]
pub fn verify(
    key: &[u8; 32],
    domain: Domain,
    genesis: Genesis,
    payload: &[u8],
    signature: &[u8; 64],
) -> bool {
    verify_raw(key, &to_be_signed(domain, genesis, payload), signature)
}

/// ZIP-215 verification of `signature` over `message`.
#[must_use]
pub fn verify_raw(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    use ed25519_zebra::{Signature, VerificationKey};
    VerificationKey::try_from(*key).is_ok_and(|key| key.verify(&Signature::from(*signature), message).is_ok())
}

/// Is this an Ed25519 key worth trusting: in its one encoding, of large order and without a
/// small-order part? Under any other key some signatures fit several messages or several keys, so
/// pairing, registration and proofs refuse it.
#[must_use]
pub fn is_strong(key: &[u8; 32]) -> bool {
    use curve25519_dalek::edwards::CompressedEdwardsY;
    CompressedEdwardsY(*key)
        .decompress()
        .is_some_and(|point| point.compress().0 == *key && !point.is_small_order() && point.is_torsion_free())
}
