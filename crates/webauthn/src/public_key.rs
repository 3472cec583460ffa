//! Public keys of passkeys (COSE, RFC 9053) in the one encoding that authenticators may use (section 6.5.1): so that a
//! key is read by comparing bytes.

use crate::Refused;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// COSE numbers of the algorithms a page asks for, the preferred one first: ES256, and RS256, which is all that some
/// Windows computers have.
pub const ALGORITHMS: [i64; 2] = [-7, -257];
/// Longest encoded key, bytes: RSA of 4,096 bits.
pub const PUBLIC_KEY_BYTES_MAX: usize = 528;

/// `{1: 2, 3: -7, -1: 1, -2: `, then the 32 bytes of x.
const ES256_HEAD: [u8; 10] = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
/// `-3: `, then the 32 bytes of y.
const ES256_Y: [u8; 3] = [0x22, 0x58, 0x20];
/// `{1: 3, 3: -257, -1: `, then the modulus with its length in two bytes.
const RS256_HEAD: [u8; 9] = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59];
/// `-2: 65537}`.
const RS256_TAIL: [u8; 5] = [0x21, 0x43, 0x01, 0x00, 0x01];
/// Lengths of an RSA modulus, bytes.
const MODULUS_BYTES: [usize; 3] = [256, 384, 512];

/// Checks the signatures of a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// ECDSA on P-256 with SHA-256: x ‖ y.
    Es256([u8; 64]),
    /// RSA PKCS#1 v1.5 with SHA-256 and the exponent 65,537: the modulus.
    Rs256(Vec<u8>),
}

impl PublicKey {
    /// The key at the head of `bytes`, and what follows it.
    pub(crate) fn split_from(bytes: &[u8]) -> Result<(Self, &[u8]), Refused> {
        Self::es256(bytes).or_else(|| Self::rs256(bytes)).ok_or(Refused::Key)
    }

    fn es256(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (x, rest) = bytes.strip_prefix(&ES256_HEAD)?.split_first_chunk::<32>()?;
        let (y, rest) = rest.strip_prefix(&ES256_Y)?.split_first_chunk::<32>()?;
        let mut point = [0; 64];
        point[..32].copy_from_slice(x);
        point[32..].copy_from_slice(y);
        Some((Self::Es256(point), rest))
    }

    fn rs256(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (len, rest) = bytes.strip_prefix(&RS256_HEAD)?.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        if !MODULUS_BYTES.contains(&len) {
            return None;
        }
        let (modulus, rest) = rest.split_at_checked(len)?;
        // A number of this many bits, and no longer one written short.
        if modulus[0] & 0x80 == 0 {
            return None;
        }
        Some((Self::Rs256(modulus.to_vec()), rest.strip_prefix(&RS256_TAIL)?))
    }

    /// Reads what [`PublicKey::encode`] wrote.
    ///
    /// # Errors
    /// [`Refused::Key`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        match Self::split_from(bytes)? {
            (key, []) => Ok(key),
            _ => Err(Refused::Key),
        }
    }

    /// The key as authenticators write it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Es256(point) => [&ES256_HEAD, &point[..32], &ES256_Y, &point[32..]].concat(),
            Self::Rs256(modulus) => {
                let len = u16::try_from(modulus.len()).unwrap_or(u16::MAX).to_be_bytes();
                [&RS256_HEAD, &len[..], modulus, &RS256_TAIL].concat()
            }
        }
    }

    /// Is this the key's signature of `message`?
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(point) => {
                let point = [&[4], &point[..]].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
            }
            Self::Rs256(modulus) => {
                let key = RsaPublicKeyComponents { n: &modulus[..], e: &[1_u8, 0, 1][..] };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}
