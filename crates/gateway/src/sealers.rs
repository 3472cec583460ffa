//! A sensor's sealers, as they stand when the gateway starts.

use crate::Entropy;
use crate::journal::Journal;
use crate::keys::Loaded;
use device::pairing::Identity;
use device::{Sealer, SealerState};

/// One sealer per stream of `sensor`, each continuing where the journal stands, under a run of its own.
pub(crate) fn sealers_of(
    paired: &Loaded,
    sensor: &Identity,
    journal: &Journal,
    entropy: &Entropy,
) -> Vec<Sealer> {
    let genesis = paired.document.hash();
    let own = paired.streams.iter().filter(|(_, state)| state.author == sensor.id());
    own.map(|(stream, state)| {
        let head = journal.head(*stream);
        let mut run = [0; 16];
        entropy(&mut run);
        let (chain, epoch) = (state.chain.clone(), state.epoch);
        let from = SealerState { chain, epoch, next_seq: head.next_seq, prev: head.prev };
        Sealer::new(genesis, sensor.signing_key(), *stream, state.class, run, from)
    })
    .collect()
}
