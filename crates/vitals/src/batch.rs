//! Many Ed25519 signatures at once (ZIP-215): all of a group by one equation, one by one only where that does
//! not hold.
//!
//! The equation is that of ed25519-zebra's batch (with the cofactor), which also decides alone whenever a
//! batch does not hold. It is written out here because a node sees the same authors again and again: their keys
//! are decompressed once, which is a fifth of a signature's work. Chance comes in as an argument.

use crate::cose::verify_raw;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

/// Below this many, checking one by one is as fast.
const BATCH_LEN_MIN: usize = 4;
/// Most decompressed keys kept; each takes about 200 bytes.
const KEYS_MAX: usize = 65_536;
/// Random bytes of one signature's coefficient.
const COEFFICIENT_BYTES: usize = 16;

/// Public keys as points of the curve.
#[derive(Debug, Default)]
struct DecompressedKeys(BTreeMap<[u8; 32], EdwardsPoint>);

impl DecompressedKeys {
    fn of(&mut self, key: &[u8; 32]) -> Option<EdwardsPoint> {
        if let Some(point) = self.0.get(key) {
            return Some(*point);
        }
        let point = CompressedEdwardsY(*key).decompress()?;
        if self.0.len() >= KEYS_MAX {
            self.0.clear();
        }
        self.0.insert(*key, point);
        Some(point)
    }
}

/// A signature to check: key, message and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The public key.
    pub key: [u8; 32],
    /// The signature.
    pub signature: [u8; 64],
    /// The message.
    pub message: Vec<u8>,
}

/// Fills a slice with bytes that nobody who signs can foresee.
pub type Random<'a> = &'a dyn Fn(&mut [u8]);

/// Checks signatures in groups, and keeps the keys it has seen (at most 65,536).
#[derive(Debug, Default)]
pub struct BatchVerifier(DecompressedKeys);

impl BatchVerifier {
    /// Which of these signatures hold, in the order given: the same answers as [`verify_raw`] for each.
    pub fn check(&mut self, claims: &[Claim], random: Random<'_>) -> Vec<bool> {
        judge(claims, &mut self.0, random)
    }
}

fn judge(claims: &[Claim], keys: &mut DecompressedKeys, random: Random<'_>) -> Vec<bool> {
    if claims.len() >= BATCH_LEN_MIN && all_hold(claims, keys, random) == Some(true) {
        return vec![true; claims.len()];
    }
    claims.iter().map(|claim| verify_raw(&claim.key, &claim.message, &claim.signature)).collect()
}

/// Do all hold? With random 128-bit `z`: `8·(Σ z·k·A + Σ z·R − (Σ z·s)·B) = 0`, the terms of one key
/// taken together. Nothing if a key, an `R` or an `s` is none.
fn all_hold(claims: &[Claim], keys: &mut DecompressedKeys, random: Random<'_>) -> Option<bool> {
    let mut coefficients = vec![0; claims.len() * COEFFICIENT_BYTES];
    random(&mut coefficients);
    let mut scalars = Vec::with_capacity(2 * claims.len() + 1);
    let mut terms = Vec::with_capacity(2 * claims.len() + 1);
    let mut of_keys: BTreeMap<&[u8; 32], usize> = BTreeMap::new();
    let mut base = Scalar::ZERO;
    for (claim, coefficient) in claims.iter().zip(coefficients.chunks_exact(COEFFICIENT_BYTES)) {
        let (r, s) = claim.signature.split_at(32);
        let (r, s): ([u8; 32], [u8; 32]) = (r.try_into().ok()?, s.try_into().ok()?);
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s))?;
        let digest = Sha512::new().chain_update(r).chain_update(claim.key).chain_update(&claim.message);
        let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
        let z = Scalar::from(u128::from_le_bytes(coefficient.try_into().ok()?));
        base -= z * s;
        match of_keys.get(&claim.key) {
            Some(at) => scalars[*at] += z * k,
            None => {
                of_keys.insert(&claim.key, scalars.len());
                terms.push(keys.of(&claim.key)?);
                scalars.push(z * k);
            }
        }
        terms.push(CompressedEdwardsY(r).decompress()?);
        scalars.push(z);
    }
    terms.push(ED25519_BASEPOINT_POINT);
    scalars.push(base);
    Some(EdwardsPoint::vartime_multiscalar_mul(scalars, terms).mul_by_cofactor().is_identity())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::ids::sha256;
    use core::sync::atomic::{AtomicU64, Ordering};
    use curve25519_dalek::constants::EIGHT_TORSION;
    use ed25519_zebra::{SigningKey, VerificationKeyBytes};

    /// Every byte another, and the same in every run.
    fn random() -> impl Fn(&mut [u8]) {
        let drawn = AtomicU64::new(0);
        move |out: &mut [u8]| {
            for chunk in out.chunks_mut(32) {
                let block = sha256(&[&drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        }
    }

    fn signed(author: u8, text: u8) -> Claim {
        let signing = SigningKey::from([author; 32]);
        let message = vec![text; 40];
        let signature = signing.sign(&message).into();
        Claim { key: VerificationKeyBytes::from(&signing).into(), signature, message }
    }

    fn answers(claims: &[Claim]) -> Vec<bool> {
        judge(claims, &mut DecompressedKeys::default(), &random())
    }

    #[test]
    fn group_of_valid_signatures_verifies_with_repeated_signers() {
        let claims: Vec<Claim> = (0..200).map(|text| signed(text % 7, text)).collect();
        let mut keys = DecompressedKeys::default();
        for _ in 0..2 {
            assert_eq!(all_hold(&claims, &mut keys, &random()), Some(true));
            assert_eq!(keys.0.len(), 7, "each key is decompressed once");
        }
    }

    #[test]
    fn one_wrong_signature_is_found_and_the_others_hold() {
        for (what, spoil) in [
            ("the message", (|claim: &mut Claim| claim.message[3] ^= 1) as fn(&mut Claim)),
            ("R", |claim| claim.signature[1] ^= 1),
            ("s", |claim| claim.signature[40] ^= 1),
            ("s beyond the group order", |claim| claim.signature[32..].fill(0xff)),
            ("the key", |claim| claim.key = signed(99, 0).key),
            ("a key that is no point", |claim| claim.key = no_point()),
        ] {
            let mut claims: Vec<Claim> = (0..20).map(|text| signed(text % 3, text)).collect();
            spoil(&mut claims[11]);
            let expected: Vec<bool> = (0..20).map(|at| at != 11).collect();
            assert_eq!(answers(&claims), expected, "{what}");
        }
    }

    fn no_point() -> [u8; 32] {
        let candidates = (0..=255).map(|first| {
            let mut bytes = [0x11; 32];
            bytes[0] = first;
            bytes
        });
        let mut none = candidates.filter(|bytes| CompressedEdwardsY(*bytes).decompress().is_none());
        none.next().unwrap()
    }

    #[test]
    fn a_signature_by_another_key_that_cancels_out_does_not_pass() {
        // The two messages change places: without independent coefficients the sums would agree.
        let mut claims: Vec<Claim> = (0..6).map(|text| signed(text, text)).collect();
        let first = claims[0].signature;
        claims[0].signature = claims[1].signature;
        claims[1].signature = first;
        assert_eq!(answers(&claims), [false, false, true, true, true, true]);
    }

    #[test]
    fn batch_and_single_agree_on_points_of_small_order() {
        // ZIP-215 takes all of these (s = 0); nodes that differ here would not agree.
        let torsion: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().0).collect();
        let mut claims = Vec::new();
        for key in &torsion {
            for r in &torsion {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(r);
                claims.push(Claim { key: *key, signature, message: b"anything".to_vec() });
            }
        }
        assert!(claims.iter().all(|claim| verify_raw(&claim.key, &claim.message, &claim.signature)));
        assert_eq!(all_hold(&claims, &mut DecompressedKeys::default(), &random()), Some(true));
        // The same points written in another way than the shortest: y + p, where there is room.
        let mut noncanonical = [0xff; 32];
        (noncanonical[0], noncanonical[31]) = (0xee, 0x7f);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&noncanonical);
        let odd = || Claim { key: noncanonical, signature, message: b"anything".to_vec() };
        let claims = [odd(), odd(), odd(), odd(), odd()];
        let single = claims.iter().all(|claim| verify_raw(&claim.key, &claim.message, &claim.signature));
        assert_eq!(all_hold(&claims, &mut DecompressedKeys::default(), &random()), Some(single));
        assert!(single);
    }
}
