//! Who really signed: a whole group at once, one by one only when somebody did not.
//!
//! The equation is that of ed25519-zebra's batch (ZIP-215, with the cofactor), which also decides
//! alone whenever a batch does not hold. It is written out here because a node sees the same authors
//! again and again: their keys are taken apart once, which is a fifth of a signature's work.

use crate::Entropy;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};
use std::collections::HashMap;
use vitals::cose::verify_raw;
use vitals::envelope::Envelope;

/// Below this many, checking one by one is as fast.
const BATCH_LEN_MIN: usize = 4;
/// Most keys kept taken apart; each takes about 200 bytes.
const POINTS_MAX: usize = 65_536;
/// Random bytes of one signature's coefficient.
const COEFFICIENT_BYTES: usize = 16;

/// Authors' keys as points of the curve.
#[derive(Default)]
pub(crate) struct Points(HashMap<[u8; 32], EdwardsPoint>);

impl Points {
    fn of(&mut self, key: &[u8; 32]) -> Option<EdwardsPoint> {
        if let Some(point) = self.0.get(key) {
            return Some(*point);
        }
        let point = CompressedEdwardsY(*key).decompress()?;
        if self.0.len() >= POINTS_MAX {
            self.0.clear();
        }
        self.0.insert(*key, point);
        Some(point)
    }
}

/// What somebody is said to have signed.
struct Claim {
    key: [u8; 32],
    signature: [u8; 64],
    message: Vec<u8>,
}

/// Checks each envelope against its author's key, by ZIP-215. Answers stand in the order given.
pub(crate) fn check(items: &[(&Envelope, [u8; 32])], points: &mut Points, entropy: &Entropy) -> Vec<bool> {
    let claims: Vec<Claim> = items
        .iter()
        .map(|(envelope, key)| {
            let (signature, message) = (envelope.signature, envelope.to_be_signed());
            Claim { key: *key, signature, message }
        })
        .collect();
    judge(&claims, points, entropy)
}

fn judge(claims: &[Claim], points: &mut Points, entropy: &Entropy) -> Vec<bool> {
    if claims.len() >= BATCH_LEN_MIN && all_hold(claims, points, entropy) == Some(true) {
        return vec![true; claims.len()];
    }
    claims.iter().map(|claim| verify_raw(&claim.key, &claim.message, &claim.signature)).collect()
}

/// Do all hold? With random 128-bit `z`: `8·(Σ z·k·A + Σ z·R − (Σ z·s)·B) = 0`, the terms of one key
/// taken together. Nothing if a key, an `R` or an `s` is none.
fn all_hold(claims: &[Claim], points: &mut Points, entropy: &Entropy) -> Option<bool> {
    let mut random = vec![0; claims.len() * COEFFICIENT_BYTES];
    entropy(&mut random);
    let mut scalars = Vec::with_capacity(2 * claims.len() + 1);
    let mut terms = Vec::with_capacity(2 * claims.len() + 1);
    let mut of_keys: HashMap<&[u8; 32], usize> = HashMap::with_capacity(claims.len());
    let mut base = Scalar::ZERO;
    for (claim, random) in claims.iter().zip(random.chunks_exact(COEFFICIENT_BYTES)) {
        let (r, s) = claim.signature.split_at(32);
        let (r, s): ([u8; 32], [u8; 32]) = (r.try_into().ok()?, s.try_into().ok()?);
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s))?;
        let digest = Sha512::new().chain_update(r).chain_update(claim.key).chain_update(&claim.message);
        let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
        let z = Scalar::from(u128::from_le_bytes(random.try_into().ok()?));
        base -= z * s;
        match of_keys.get(&claim.key) {
            Some(at) => scalars[*at] += z * k,
            None => {
                of_keys.insert(&claim.key, scalars.len());
                terms.push(points.of(&claim.key)?);
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

    use curve25519_dalek::constants::EIGHT_TORSION;
    use ed25519_zebra::{SigningKey, VerificationKeyBytes};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use vitals::ids::sha256;

    /// Every byte another, and the same in every run.
    fn entropy() -> Entropy {
        let drawn = AtomicU64::new(0);
        Arc::new(move |out: &mut [u8]| {
            for chunk in out.chunks_mut(32) {
                let block = sha256(&[&drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        })
    }

    fn signed(author: u8, text: u8) -> Claim {
        let signing = SigningKey::from([author; 32]);
        let message = vec![text; 40];
        let signature = signing.sign(&message).into();
        Claim { key: VerificationKeyBytes::from(&signing).into(), signature, message }
    }

    fn answers(claims: &[Claim]) -> Vec<bool> {
        judge(claims, &mut Points::default(), &entropy())
    }

    #[test]
    fn a_group_of_good_signatures_holds_whoever_signed_how_often() {
        let claims: Vec<Claim> = (0..200).map(|text| signed(text % 7, text)).collect();
        let mut points = Points::default();
        for _ in 0..2 {
            assert_eq!(all_hold(&claims, &mut points, &entropy()), Some(true));
            assert_eq!(points.0.len(), 7, "each key is taken apart once");
        }
    }

    #[test]
    fn one_wrong_signature_stands_out_and_spoils_no_other() {
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
        assert_eq!(all_hold(&claims, &mut Points::default(), &entropy()), Some(true));
        // The same points written in another way than the shortest: y + p, where there is room.
        let mut noncanonical = [0xff; 32];
        (noncanonical[0], noncanonical[31]) = (0xee, 0x7f);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&noncanonical);
        let odd = || Claim { key: noncanonical, signature, message: b"anything".to_vec() };
        let claims = [odd(), odd(), odd(), odd(), odd()];
        let single = claims.iter().all(|claim| verify_raw(&claim.key, &claim.message, &claim.signature));
        assert_eq!(all_hold(&claims, &mut Points::default(), &entropy()), Some(single));
        assert!(single);
    }
}
