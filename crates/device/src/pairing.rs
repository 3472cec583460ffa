//! Pairing at the device's side: its keys, the request it signs with them, and the unwrapping of the
//! chain keys its home organisation answers with.

mod sealed_storage;

use alloc::vec::Vec;
use core::fmt;
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR};
use vitals::keys::ChainKey;
use vitals::pairing::{BOARDS_MAX, DeviceKeys, PairingRequest, StreamKey, wrap_info};
use vitals::{DeviceId, Genesis};
use zeroize::Zeroizing;

/// A device's own keys, made once from 64 random bytes and never leaving it.
pub struct Identity {
    signing: SigningKey,
    wrap_secret: Zeroizing<[u8; 32]>,
    keys: DeviceKeys,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id())
    }
}

impl Identity {
    /// The identity of these two secret seeds: for Ed25519 and for X25519.
    #[must_use]
    pub fn from_seeds(signing_seed: &[u8; 32], wrap_seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from(*signing_seed);
        let wrap_key = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*wrap_seed));
        let keys =
            DeviceKeys { key: VerificationKeyBytes::from(&signing).into(), wrap_key: wrap_key.to_bytes() };
        Self { signing, wrap_secret: Zeroizing::new(*wrap_seed), keys }
    }

    /// The public halves.
    #[must_use]
    pub fn keys(&self) -> DeviceKeys {
        self.keys
    }

    /// The device's id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.keys.id()
    }

    /// The key that signs envelopes.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        self.signing
    }

    /// Signs bytes that already carry their domain (see [`vitals::cose::to_be_signed`]).
    #[must_use]
    pub fn sign(&self, to_be_signed: &[u8]) -> [u8; 64] {
        self.signing.sign(to_be_signed).into()
    }

    /// Unwraps the chain key of one of this device's streams and checks it against the commitment
    /// that the organisation signed.
    pub fn unwrap_chain(&self, key: &StreamKey, genesis: Genesis) -> Result<ChainKey, UnwrapError> {
        if key.author != self.id() {
            return Err(UnwrapError::Author);
        }
        unwrap_chain(key, &self.wrap_secret, genesis)
    }
}

/// Why a wrapped chain key is of no use. The answer is wrong, or for another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwrapError {
    /// It is for another device.
    Author,
    /// It does not open under this device's key, genesis, stream and epoch.
    Wrap,
    /// It opens to another key than the one committed to.
    Commitment,
}

impl fmt::Display for UnwrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Author => "the stream key is for another device",
            Self::Wrap => "the stream key does not open for this device, stream and ledger",
            Self::Commitment => "the stream key opens to another key than the organisation committed to",
        })
    }
}

impl core::error::Error for UnwrapError {}

/// The request for a gateway and its boards' sensors, in board order; none for more than
/// [`BOARDS_MAX`] boards. Every key signs the same payload.
#[must_use]
pub fn request(gateway: &Identity, sensors: &[Identity]) -> Option<PairingRequest> {
    request_every(gateway, sensors, None)
}

/// The same for sensors that send less often than every second: at least once in `interval_ms`.
#[must_use]
pub fn request_every(
    gateway: &Identity,
    sensors: &[Identity],
    interval_ms: Option<u64>,
) -> Option<PairingRequest> {
    if sensors.len() > BOARDS_MAX {
        return None;
    }
    let keys: Vec<DeviceKeys> = sensors.iter().map(Identity::keys).collect();
    let signed = PairingRequest::to_be_signed(&gateway.keys(), &keys, interval_ms);
    let signatures =
        core::iter::once(gateway).chain(sensors).map(|identity| identity.sign(&signed)).collect();
    Some(PairingRequest { gateway: gateway.keys(), sensors: keys, interval_ms, signatures })
}

/// Unwraps a chain key with an X25519 secret (HPKE base mode, DHKEM(X25519, HKDF-SHA256),
/// HKDF-SHA256, AES-256-GCM, no associated data) and checks its commitment.
pub fn unwrap_chain(
    key: &StreamKey,
    wrap_secret: &[u8; 32],
    genesis: Genesis,
) -> Result<ChainKey, UnwrapError> {
    type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
    type Encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey;
    let secret = PrivateKey::from_bytes(wrap_secret).map_err(|_| UnwrapError::Wrap)?;
    let encapsulated = Encapsulated::from_bytes(&key.encapsulated).map_err(|_| UnwrapError::Wrap)?;
    let info = wrap_info(genesis, key.stream, key.author, key.epoch);
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        &info,
        &key.wrapped,
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| UnwrapError::Wrap)?;
    let bytes: [u8; 32] = opened.as_slice().try_into().map_err(|_| UnwrapError::Wrap)?;
    let chain = ChainKey::new(bytes);
    if chain.commitment() == key.commitment { Ok(chain) } else { Err(UnwrapError::Commitment) }
}

#[cfg(test)]
mod tests;
