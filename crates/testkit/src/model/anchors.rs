//! The rules of the contract `Anchors`.

use super::{LedgerModel, Refusal, refuse_if};
use vitals::ids::{Hash, OrgId};
use vitals::ledger::Anchor;
use vitals::log::verify_consistency;

impl LedgerModel {
    /// Replaces an organisation's log head by one that extends it. The same head again changes nothing.
    pub(super) fn anchor(&mut self, org: OrgId, new: Anchor, consistency: &[Hash]) -> Result<(), Refusal> {
        refuse_if(new.size == 0, Refusal::LogEmpty)?;
        if let Some(head) = self.anchors.get(&org) {
            refuse_if(new.size < head.size, Refusal::LogShrunk)?;
            if new.size == head.size {
                return refuse_if(new.root != head.root, Refusal::LogForked);
            }
            let extends = verify_consistency(head.size, &head.root, new.size, &new.root, consistency);
            refuse_if(!extends, Refusal::ConsistencyWrong)?;
        } else {
            refuse_if(!consistency.is_empty(), Refusal::ConsistencyWrong)?;
        }
        self.anchors.insert(org, new);
        Ok(())
    }
}
