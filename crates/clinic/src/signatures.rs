//! Who really signed: a whole group at once, one by one only when somebody did not.

use crate::Entropy;
use core::convert::Infallible;
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, VerificationKeyBytes};
use rand_core::{TryCryptoRng, TryRng};
use vitals::envelope::Envelope;

/// Below this many, checking one by one is as fast.
const BATCH_LEN_MIN: usize = 4;
/// Randomness asked for at a time: a batch draws 16 bytes per signature.
const POOL_BYTES: usize = 1024;

/// Checks each envelope against its author's key, by ZIP-215. Answers stand in the order given.
pub(crate) fn check(items: &[(&Envelope, [u8; 32])], entropy: &Entropy) -> Vec<bool> {
    let prepared: Vec<Item> = items
        .iter()
        .map(|(envelope, key)| {
            let signed = envelope.to_be_signed();
            Item::from((VerificationKeyBytes::from(*key), Signature::from(envelope.signature), &signed))
        })
        .collect();
    if prepared.len() >= BATCH_LEN_MIN {
        let mut verifier = Verifier::new();
        prepared.iter().cloned().for_each(|item| verifier.queue(item));
        if verifier.verify(Pool::new(entropy)).is_ok() {
            return vec![true; items.len()];
        }
    }
    prepared.into_iter().map(|item| item.verify_single().is_ok()).collect()
}

/// The handed-in entropy, drawn in larger portions.
struct Pool<'a> {
    entropy: &'a Entropy,
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl<'a> Pool<'a> {
    fn new(entropy: &'a Entropy) -> Self {
        Self { entropy, bytes: [0; POOL_BYTES], used: POOL_BYTES }
    }
}

impl TryRng for Pool<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            if self.used == POOL_BYTES {
                (self.entropy)(&mut self.bytes);
                self.used = 0;
            }
            *byte = self.bytes[self.used];
            self.used += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Pool<'_> {}
