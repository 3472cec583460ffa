//! The signatures of a group of envelopes, checked together. Owns its lock.

use parking_lot::Mutex;
use vault::Entropy;
use vitals::batch::{BatchVerifier, Claim};
use vitals::envelope::Envelope;

/// Checks signatures in groups.
#[derive(Default)]
pub(crate) struct Signatures(Mutex<BatchVerifier>);

impl Signatures {
    /// Checks each envelope against its author's key, by ZIP-215. Answers stand in the order given.
    pub(crate) fn check(&self, items: &[(&Envelope, [u8; 32])], entropy: &Entropy) -> Vec<bool> {
        let claims: Vec<Claim> = items
            .iter()
            .map(|(envelope, key)| {
                let (signature, message) = (envelope.signature, envelope.to_be_signed());
                Claim { key: *key, signature, message }
            })
            .collect();
        self.0.lock().check(&claims, &|out| entropy(out))
    }
}
