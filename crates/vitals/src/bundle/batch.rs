//! Signatures in batches: half the work of one by one, and the same answer (ZIP-215).

use super::Broken;
use core::convert::Infallible;
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

/// Signatures checked together. More gains little and holds more in memory.
const BATCH_MAX: usize = 256;

/// Signatures to be checked, each with what to say if it is not good.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pending: alloc::vec::Vec<(batch::Item, Broken)>,
    transcript: Sha256,
}

impl Batch {
    /// Adds a signature; checks all once there are enough.
    pub(super) fn push(
        &mut self,
        key: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
        otherwise: Broken,
    ) -> Result<(), Broken> {
        for part in [key.as_slice(), signature, &(message.len() as u64).to_be_bytes(), message] {
            self.transcript.update(part);
        }
        let item = (VerificationKeyBytes::from(*key), Signature::from(*signature), message);
        self.pending.push((batch::Item::from(item), otherwise));
        if self.pending.len() < BATCH_MAX { Ok(()) } else { self.flush() }
    }

    /// Checks all that wait, and names the first that is not good.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        let pending = core::mem::take(&mut self.pending);
        let seed = core::mem::take(&mut self.transcript).finalize().into();
        let mut together = batch::Verifier::new();
        for (item, _) in &pending {
            together.queue(item.clone());
        }
        if together.verify(Coefficients { seed, count: 0 }).is_ok() {
            return Ok(());
        }
        match pending.into_iter().find(|(item, _)| item.clone().verify_single().is_err()) {
            Some((_, broken)) => Err(broken),
            None => Ok(()),
        }
    }

    /// What to say: an earlier bad signature before `later`, so that the first broken link is named.
    pub(super) fn first(&mut self, later: Broken) -> Broken {
        self.flush().err().unwrap_or(later)
    }
}

/// The batch's coefficients: a hash of everything in the batch, so that nobody can choose signatures
/// after knowing them, and no randomness is needed.
struct Coefficients {
    seed: [u8; 32],
    count: u64,
}

impl TryRng for Coefficients {
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
        for chunk in out.chunks_mut(32) {
            let block = crate::ids::sha256(&[b"aceso/batch/v1", &self.seed, &self.count.to_be_bytes()]);
            self.count += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}
