//! Secrets in memory, derivation of keys from passwords (Argon2id) and the source of randomness.

use argon2::{Algorithm, Argon2, Params, Version};
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fills a slice with unpredictable bytes. Handed in by the process, so that tests can replay a run.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// 32 secret bytes: wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// The secret with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Fresh from `entropy`.
    #[must_use]
    pub fn random(entropy: &Entropy) -> Self {
        let mut secret = Self([0; 32]);
        entropy(&mut secret.0);
        secret
    }

    /// The bytes, to be used, never printed.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(secret)")
    }
}

/// What one guess at a secret costs (Argon2id, one lane).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

/// Most memory a vault file may ask for, KiB: a damaged or hostile file must not exhaust the host.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes a vault file may ask for.
const PASSES_MAX: u32 = 64;

/// The costs of a vault, chosen when it is made and kept in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// Of the organisation's passphrase, once per start.
    pub passphrase: Cost,
    /// Of a person's password, once per sign-in.
    pub password: Cost,
}

impl Costs {
    /// For real use: RFC 9106's second recommendation for the passphrase, OWASP's for sign-ins.
    pub const STANDARD: Self = Self {
        passphrase: Cost { memory_kib: 64 * 1024, passes: 3 },
        password: Cost { memory_kib: 19 * 1024, passes: 2 },
    };
    /// For tests and throw-away wards only: guessing costs nothing.
    pub const TEST_ONLY: Self =
        Self { passphrase: Cost { memory_kib: 8, passes: 1 }, password: Cost { memory_kib: 8, passes: 1 } };
}

impl Cost {
    /// Stretches `secret`; nothing if the cost is out of bounds.
    pub(crate) fn derive_key(self, secret: &[u8], salt: &[u8; 16]) -> Option<Secret32> {
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX {
            return None;
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).ok()?;
        let mut out = Secret32([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret, salt, out.expose_mut())
            .ok()?;
        Some(out)
    }
}
