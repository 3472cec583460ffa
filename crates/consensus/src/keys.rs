//! Validator keys as bytes.

use crate::{PrivateKey, PublicKey};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::Signer as _;

/// The public key of the validator with this Ed25519 seed, as the genesis document names it.
#[must_use]
pub fn public_key(seed: &[u8; 32]) -> Option<[u8; 32]> {
    let key = PrivateKey::decode(Bytes::copy_from_slice(seed)).ok()?;
    key.public_key().as_ref().try_into().ok()
}

/// Are these bytes an Ed25519 public key?
#[must_use]
pub fn is_key(bytes: &[u8; 32]) -> bool {
    key(bytes).is_some()
}

/// The key with these bytes, if it is one.
pub(crate) fn key(bytes: &[u8; 32]) -> Option<PublicKey> {
    PublicKey::decode(Bytes::copy_from_slice(bytes)).ok()
}
