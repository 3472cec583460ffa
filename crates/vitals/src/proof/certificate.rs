//! The finality certificate: enough validators of one committee signed that one header is final.
//!
//! The bytes are our own, so that a stranger can read them; the signed message is the one the
//! consensus engine signs, so that no validator signs twice. Integers are big-endian:
//!
//! ```text
//! version      1  = 1
//! epoch        8
//! view         8  the view that finalized the block
//! parent_view  8  the view of the block it was proposed on
//! count        2  signatures that follow
//! count × { index 2, signature 64 }   index = place in the committee, strictly ascending
//! ```
//!
//! Every signature is Ed25519 (ZIP-215) over [`message`]. The committee's order is the byte order
//! of its public keys.

use super::header::COMMITTEE_MAX;
use crate::ids::{Genesis, Hash};
use alloc::vec::Vec;
use core::fmt;
use ed25519_zebra::{Signature, VerificationKey};

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 1 + 3 * 8 + 2;
const ENTRY_BYTES: usize = 2 + 64;
/// Longest certificate.
pub const CERTIFICATE_BYTES_MAX: usize = FIXED_BYTES + ENTRY_BYTES * COMMITTEE_MAX;
/// What consensus signatures of one ledger are bound to: this, then the genesis hash.
pub const NAMESPACE_PREFIX: &[u8] = b"aceso/ledger/v1";
const FINALIZE: &[u8] = b"_FINALIZE";

/// Signatures of a quorum for one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Consensus epoch.
    pub epoch: u64,
    /// View in which the block was finalized.
    pub view: u64,
    /// View of the parent it was proposed on.
    pub parent_view: u64,
    /// (place in the committee, signature), ascending by place.
    pub signatures: Vec<(u16, [u8; 64])>,
}

/// Why bytes are not a certificate, or do not certify a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenCertificate {
    /// Too short, too long, or the count does not fit.
    Length,
    /// Unknown version byte.
    Version,
    /// Places are not strictly ascending.
    Order,
    /// The committee is empty, too large or not in order.
    Committee,
    /// A place is not in the committee.
    Stranger {
        /// The place.
        index: u16,
    },
    /// Fewer signatures than a quorum.
    Quorum {
        /// Signatures found.
        found: usize,
        /// Signatures needed.
        needed: usize,
    },
    /// The signature at this place is not that validator's over this header.
    Signature {
        /// The place.
        index: u16,
    },
}

impl fmt::Display for BrokenCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the certificate has the wrong length"),
            Self::Version => f.write_str("the certificate has an unknown version"),
            Self::Order => f.write_str("the certificate's signers are out of order or repeat"),
            Self::Committee => f.write_str("the committee is empty, too large or out of order"),
            Self::Stranger { index } => {
                write!(f, "the certificate names validator {index}, whom the committee does not have")
            }
            Self::Quorum { found, needed } => {
                write!(f, "the certificate has {found} signatures, a quorum needs {needed}")
            }
            Self::Signature { index } => {
                write!(f, "the signature of validator {index} is not over this header")
            }
        }
    }
}

impl core::error::Error for BrokenCertificate {}

/// Signatures that make a quorum of `validators`: all but the third that may lie.
#[must_use]
pub fn quorum(validators: usize) -> usize {
    validators - validators.saturating_sub(1) / 3
}

/// The namespace of every consensus signature on the ledger `genesis`.
#[must_use]
pub fn namespace(genesis: Genesis) -> Vec<u8> {
    [NAMESPACE_PREFIX, &genesis.0].concat()
}

/// What a validator signs to make a header final:
/// length of the namespace ‖ namespace ‖ "_FINALIZE" ‖ epoch ‖ view ‖ parent view ‖ header digest,
/// where numbers are unsigned LEB128 and the length counts namespace and suffix.
#[must_use]
pub fn message(genesis: Genesis, epoch: u64, view: u64, parent_view: u64, digest: &Hash) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + NAMESPACE_PREFIX.len() + 32 + FINALIZE.len() + 30 + 32);
    leb128(&mut out, (NAMESPACE_PREFIX.len() + genesis.0.len() + FINALIZE.len()) as u64);
    out.extend_from_slice(NAMESPACE_PREFIX);
    out.extend_from_slice(&genesis.0);
    out.extend_from_slice(FINALIZE);
    leb128(&mut out, epoch);
    leb128(&mut out, view);
    leb128(&mut out, parent_view);
    out.extend_from_slice(digest);
    out
}

fn leb128(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

impl Certificate {
    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + ENTRY_BYTES * self.signatures.len());
        out.push(VERSION);
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.view.to_be_bytes());
        out.extend(self.parent_view.to_be_bytes());
        out.extend(u16::try_from(self.signatures.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (index, signature) in &self.signatures {
            out.extend(index.to_be_bytes());
            out.extend(signature);
        }
        out
    }

    /// Reads the wire form; only the exact bytes of [`Self::encode`] are accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, BrokenCertificate> {
        if bytes.len() > CERTIFICATE_BYTES_MAX {
            return Err(BrokenCertificate::Length);
        }
        let mut rest = bytes;
        if take::<1>(&mut rest)? != [VERSION] {
            return Err(BrokenCertificate::Version);
        }
        let epoch = u64::from_be_bytes(take(&mut rest)?);
        let view = u64::from_be_bytes(take(&mut rest)?);
        let parent_view = u64::from_be_bytes(take(&mut rest)?);
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if rest.len() != ENTRY_BYTES * count {
            return Err(BrokenCertificate::Length);
        }
        let mut signatures = Vec::with_capacity(count);
        for _ in 0..count {
            signatures.push((u16::from_be_bytes(take(&mut rest)?), take(&mut rest)?));
        }
        if !signatures.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(BrokenCertificate::Order);
        }
        Ok(Self { epoch, view, parent_view, signatures })
    }

    /// Checks that a quorum of `committee` (public keys, ascending) on the ledger `genesis` made
    /// the header with this `digest` final. Every signature present must be good.
    pub fn verify(
        &self,
        digest: &Hash,
        genesis: Genesis,
        committee: &[[u8; 32]],
    ) -> Result<(), BrokenCertificate> {
        let in_order = committee.is_sorted_by(|a, b| a < b);
        if committee.is_empty() || committee.len() > COMMITTEE_MAX || !in_order {
            return Err(BrokenCertificate::Committee);
        }
        if !self.signatures.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(BrokenCertificate::Order);
        }
        let needed = quorum(committee.len());
        if self.signatures.len() < needed {
            return Err(BrokenCertificate::Quorum { found: self.signatures.len(), needed });
        }
        let message = message(genesis, self.epoch, self.view, self.parent_view, digest);
        for (index, signature) in &self.signatures {
            let index = *index;
            let key = committee.get(usize::from(index)).ok_or(BrokenCertificate::Stranger { index })?;
            VerificationKey::try_from(*key)
                .and_then(|key| key.verify(&Signature::from(*signature), &message))
                .map_err(|_| BrokenCertificate::Signature { index })?;
        }
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BrokenCertificate> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(BrokenCertificate::Length)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use alloc::vec;
    use ed25519_zebra::SigningKey;

    const GENESIS: Genesis = Genesis([7; 32]);
    const DIGEST: Hash = [9; 32];

    fn committee(n: u8) -> (Vec<SigningKey>, Vec<[u8; 32]>) {
        let mut keys: Vec<SigningKey> = (1..=n).map(|i| SigningKey::from([i; 32])).collect();
        keys.sort_by_key(|key| <[u8; 32]>::from(VerificationKey::from(key)));
        let public = keys.iter().map(|key| VerificationKey::from(key).into()).collect();
        (keys, public)
    }

    fn certificate(keys: &[SigningKey], signers: &[u16]) -> Certificate {
        let message = message(GENESIS, 0, 300, 299, &DIGEST);
        let sign = |i: u16| (i, keys[usize::from(i)].sign(&message).to_bytes());
        Certificate {
            epoch: 0,
            view: 300,
            parent_view: 299,
            signatures: signers.iter().map(|i| sign(*i)).collect(),
        }
    }

    #[test]
    fn quorum_is_all_but_the_third_that_may_be_faulty() {
        for (n, q) in [(1, 1), (2, 2), (3, 3), (4, 3), (6, 5), (7, 5), (10, 7), (100, 67)] {
            assert_eq!(quorum(n), q, "of {n}");
        }
    }

    #[test]
    fn a_quorum_certifies_and_reads_back() {
        let (keys, committee) = committee(4);
        let certificate = certificate(&keys, &[0, 2, 3]);
        assert_eq!(certificate.verify(&DIGEST, GENESIS, &committee), Ok(()));
        assert_eq!(Certificate::decode(&certificate.encode()), Ok(certificate));
    }

    #[test]
    fn every_changed_byte_breaks_it() {
        let (keys, committee) = committee(4);
        let good = certificate(&keys, &[0, 1, 3]).encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let verdict = Certificate::decode(&bad).and_then(|c| c.verify(&DIGEST, GENESIS, &committee));
            assert!(verdict.is_err(), "byte {at}");
        }
        for len in 0..good.len() {
            assert!(Certificate::decode(&good[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_certificate_says_what_is_wrong() {
        let (keys, committee) = committee(4);
        let check = |c: &Certificate, digest: &Hash, genesis| c.verify(digest, genesis, &committee);
        let few = certificate(&keys, &[0, 1]);
        assert_eq!(check(&few, &DIGEST, GENESIS), Err(BrokenCertificate::Quorum { found: 2, needed: 3 }));
        let mut twice = certificate(&keys, &[0, 1, 2]);
        twice.signatures[1] = twice.signatures[0];
        assert_eq!(check(&twice, &DIGEST, GENESIS), Err(BrokenCertificate::Order));
        let mut stranger = certificate(&keys, &[0, 1, 2]);
        stranger.signatures[2].0 = 4;
        assert_eq!(check(&stranger, &DIGEST, GENESIS), Err(BrokenCertificate::Stranger { index: 4 }));
        let good = certificate(&keys, &[0, 1, 2]);
        let wrong = Err(BrokenCertificate::Signature { index: 0 });
        assert_eq!(check(&good, &[8; 32], GENESIS), wrong, "another header");
        assert_eq!(check(&good, &DIGEST, Genesis([8; 32])), wrong, "another ledger");
        let unordered: Vec<_> = committee.iter().rev().copied().collect();
        assert_eq!(good.verify(&DIGEST, GENESIS, &unordered), Err(BrokenCertificate::Committee));
        assert_eq!(good.verify(&DIGEST, GENESIS, &[]), Err(BrokenCertificate::Committee));
    }

    #[test]
    fn numbers_are_leb128() {
        let mut out = vec![];
        for value in [0, 127, 128, 300, u64::MAX] {
            leb128(&mut out, value);
        }
        let mut expected = vec![0, 127, 0x80, 1, 0xac, 2];
        expected.extend([0xff; 9]);
        expected.push(1);
        assert_eq!(out, expected);
    }
}
