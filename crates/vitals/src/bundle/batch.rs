//! Signatures in batches: half the work of one by one, and the same answer (ZIP-215).

use super::Broken;
use crate::entropy::EntropyRng;
use crate::ids::{Hash, sha256};
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
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
        if together.verify(coefficients(seed)).is_ok() {
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
fn coefficients(seed: Hash) -> EntropyRng<impl FnMut(&mut [u8])> {
    let mut count = 0u64;
    EntropyRng(move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[b"aceso/batch/v1", &seed, &count.to_be_bytes()]);
            count += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    })
}
