//! Stepping streams' chain keys to the epoch of an envelope, with what was used last kept at hand.
//! Nothing here is public: content keys leave the vault in no form.

use crate::error::OpenError;
use crate::vault::Vault;
use crate::vault::streams::StreamRecord;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use vitals::envelope::Header;
use vitals::ids::StreamId;
use vitals::keys::{ChainKey, ContentKey, MessageKey};

/// Most streams whose keys are kept at hand.
const STREAMS_MAX: usize = 16_384;

struct Held {
    epoch: u32,
    chain: ChainKey,
    content: ContentKey,
    /// The run opened last: a device keeps one from start to start.
    message: Option<([u8; 16], MessageKey, [u8; 16])>,
}

/// Keys used last, per stream. Wiped when dropped.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<StreamId, Held>>);

impl KeyCache {
    fn held(&self) -> MutexGuard<'_, HashMap<StreamId, Held>> {
        self.0.lock()
    }

    fn get(&self, header: &Header) -> Option<(MessageKey, [u8; 16])> {
        let held = self.held();
        let held = held.get(&header.stream).filter(|held| held.epoch == header.epoch)?;
        match &held.message {
            Some((run, key, commitment)) if *run == header.run => Some((key.clone(), *commitment)),
            _ => None,
        }
    }

    /// The content key of the header's epoch in the stream `record`.
    pub(crate) fn content(
        &self,
        vault: &Vault,
        record: &StreamRecord,
        epoch: u32,
    ) -> Result<ContentKey, OpenError> {
        let start = self.held().get(&record.stream).filter(|held| held.epoch <= epoch).map(|held| {
            let content = (held.epoch == epoch).then(|| held.content.clone());
            (held.epoch, held.chain.clone(), content)
        });
        let (at, chain) = match start {
            Some((_, _, Some(content))) => return Ok(content),
            Some((at, chain, None)) => (at, chain),
            None if epoch < record.first_epoch => return Err(OpenError::Epoch),
            None => {
                let row = vault.chain_row(record.stream).map_err(|why| OpenError::Vault(why.to_string()))?;
                (record.first_epoch, row.first)
            }
        };
        let chain = chain.forward(epoch - at).ok_or(OpenError::Epoch)?;
        let content = chain.content();
        let mut held = self.held();
        if held.len() >= STREAMS_MAX && !held.contains_key(&record.stream) {
            held.clear();
        }
        held.insert(record.stream, Held { epoch, chain, content: content.clone(), message: None });
        Ok(content)
    }

    /// The message key of an envelope in the stream `record`, and the commitment its header must carry.
    pub(crate) fn message(
        &self,
        vault: &Vault,
        record: &StreamRecord,
        header: &Header,
    ) -> Result<(MessageKey, [u8; 16]), OpenError> {
        if let Some(found) = self.get(header) {
            return Ok(found);
        }
        let content = self.content(vault, record, header.epoch)?;
        let (key, commitment) = content.message(header.genesis, header.stream, header.epoch, &header.run);
        let mut held = self.held();
        if let Some(held) = held.get_mut(&header.stream).filter(|held| held.epoch == header.epoch) {
            held.message = Some((header.run, key.clone(), commitment));
        }
        Ok((key, commitment))
    }
}
