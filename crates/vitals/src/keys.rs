//! The key schedule of a stream: a chain key stepped once a day, a content key per day, a message
//! key per author's run. HKDF-SHA-256 (RFC 5869); every label carries a domain. A chain key is random
//! and belongs to one stream of one ledger, whose names enter with the message key.

use crate::ids::{Genesis, StreamId};
use core::fmt;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Milliseconds in an epoch: one UTC day.
pub const EPOCH_MS: u64 = 86_400_000;
/// Most steps a chain key is taken forward at once: ten years of days.
pub const STEPS_MAX: u32 = 3_660;

/// The day number of a time.
#[must_use]
pub fn epoch_of(at_ms: u64) -> u32 {
    u32::try_from(at_ms / EPOCH_MS).unwrap_or(u32::MAX)
}

fn expand(key: &[u8; 32], salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(salt, key)
        .expand_multi_info(info, out)
        .expect("HKDF-SHA-256 gives up to 8,160 bytes and we ask for at most 48");
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key with these bytes.
            #[must_use]
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, to be sealed or used, never printed.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret!(
    /// A stream's chain key at the start of one epoch. Its holder can open that epoch and all
    /// later ones, and nothing before.
    ChainKey
);
secret!(
    /// Opens one epoch of one stream.
    ContentKey
);
secret!(
    /// AES-256-GCM key of one run in one epoch of one stream; the nonce is the sequence number.
    MessageKey
);

impl ChainKey {
    /// The chain key of the next epoch.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut out = [0; 32];
        expand(&self.0, None, &[b"aceso/chain/v1/next"], &mut out);
        Self(out)
    }

    /// The content key of this epoch.
    #[must_use]
    pub fn content(&self) -> ContentKey {
        let mut out = [0; 32];
        expand(&self.0, None, &[b"aceso/chain/v1/content"], &mut out);
        ContentKey(out)
    }

    /// The chain key `steps` epochs later; none beyond [`STEPS_MAX`].
    #[must_use]
    pub fn forward(&self, steps: u32) -> Option<Self> {
        (steps <= STEPS_MAX).then(|| (0..steps).fold(self.clone(), |key, _| key.next()))
    }

    /// Public commitment to this chain key, signed at pairing.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        let mut out = [0; 32];
        expand(&self.0, None, &[b"aceso/chain/v1/commit"], &mut out);
        out
    }
}

impl ContentKey {
    /// The message key of a run, and the commitment to it that the header carries.
    #[must_use]
    pub fn message(
        &self,
        genesis: Genesis,
        stream: StreamId,
        epoch: u32,
        run: &[u8; 16],
    ) -> (MessageKey, [u8; 16]) {
        let mut out = [0u8; 48];
        let info = [b"aceso/message/v1".as_slice(), &genesis.0, &stream.0, &epoch.to_be_bytes()];
        expand(&self.0, Some(run), &info, &mut out);
        let (mut key, mut commitment) = ([0; 32], [0; 16]);
        key.copy_from_slice(&out[..32]);
        commitment.copy_from_slice(&out[32..]);
        let message = MessageKey(key);
        out.zeroize();
        key.zeroize();
        (message, commitment)
    }
}
