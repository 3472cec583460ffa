//! Storage on a disk that others may read: sealed to the device's own X25519 key (HPKE base mode, as chain
//! keys are wrapped).

use super::Identity;
use alloc::vec::Vec;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use vitals::entropy::EntropyRng;

/// Length of an encapsulated key.
const ENCAPSULATED: usize = 32;

impl Identity {
    /// Seals bytes for this device alone; `info` says what for. None only for a key that has no shared
    /// secret, which no seed gives.
    pub fn seal_for_self(
        &self,
        info: &[u8],
        plain: &[u8],
        entropy: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Vec<u8>> {
        let to = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&self.keys.wrap_key).ok()?;
        let (encapsulated, sealed) =
            hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &to,
                info,
                plain,
                &[],
                &mut EntropyRng(entropy),
            )
            .ok()?;
        Some([encapsulated.to_bytes().as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal_for_self`] sealed for the same purpose.
    #[must_use]
    pub fn open_for_self(&self, info: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (encapsulated, sealed) = sealed.split_at_checked(ENCAPSULATED)?;
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*self.wrap_secret).ok()?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            info,
            sealed,
            &[],
        )
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_sealed_for_itself_opens_for_it_and_its_purpose_alone() {
        let (one, other) =
            (Identity::from_seeds(&[1; 32], &[2; 32]), Identity::from_seeds(&[1; 32], &[3; 32]));
        let mut drawn = 0u8;
        let mut entropy = |out: &mut [u8]| {
            for byte in out {
                drawn = drawn.wrapping_add(1);
                *byte = drawn;
            }
        };
        let sealed = one.seal_for_self(b"limits", b"140 bpm", &mut entropy).unwrap();
        let again = one.seal_for_self(b"limits", b"140 bpm", &mut entropy).unwrap();
        assert_ne!(sealed, again);
        assert!(!sealed.windows(3).any(|window| window == b"140"));
        assert_eq!(one.open_for_self(b"limits", &sealed).unwrap(), b"140 bpm");
        assert_eq!(other.open_for_self(b"limits", &sealed), None);
        assert_eq!(one.open_for_self(b"other", &sealed), None);
        assert_eq!(one.open_for_self(b"limits", &sealed[..31]), None);
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(one.open_for_self(b"limits", &bad), None, "byte {at}");
        }
    }
}
