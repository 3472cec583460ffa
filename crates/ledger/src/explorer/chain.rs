//! The explorer of a running chain: its blocks, and what it observes of the other validators.

use super::ChainExplorer;
use crate::EmbeddedChain;
use consensus::{Conflict, Evidence, KEEP_BLOCKS};
use std::collections::BTreeMap;
use vitals::explorer::{
    self, Authorities, Block, BlockQuery, Blocks, EVIDENCE_MAX, Explorer, Governance, Transaction,
};
use vitals::ids::{Hash, sha256};
use vitals::ledger::LedgerError;

impl EmbeddedChain {
    fn chain_explorer(&self) -> ChainExplorer<'_> {
        ChainExplorer::new(self.machine(), self.pool(), self.epoch_blocks)
    }

    /// A sentence if most of the others are further ahead than nodes keep blocks for others: then this one waits for
    /// blocks that nobody has any more.
    #[must_use]
    pub fn left_behind(&self) -> Option<String> {
        let heights = self.peer_statuses().all().into_values().filter(|peer| peer.heard_at_ms > 0);
        left_behind(self.machine().tip().height, heights.map(|peer| peer.height).collect())
    }
}

fn left_behind(own: u64, mut heights: Vec<u64>) -> Option<String> {
    heights.sort_unstable();
    // One that lies does not make it.
    let median = *heights.get(heights.len() / 2)?;
    let behind = median.checked_sub(own).filter(|behind| *behind > KEEP_BLOCKS)?;
    Some(format!(
        "this node is {behind} blocks behind the others, and they keep the latest {KEEP_BLOCKS} for it: it cannot follow \
         unless one of them keeps all blocks. Renew its validator key and begin with a snapshot"
    ))
}

impl Explorer for EmbeddedChain {
    fn blocks(&self, query: &BlockQuery) -> Result<Blocks, LedgerError> {
        self.chain_explorer().blocks(query)
    }

    fn block(&self, height: u64, first: usize) -> Result<Option<Block>, LedgerError> {
        self.chain_explorer().block(height, first)
    }

    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, LedgerError> {
        self.chain_explorer().transaction(id)
    }

    fn governance(&self) -> Result<Governance, LedgerError> {
        let explorer = self.chain_explorer();
        let authorities = explorer.authorities()?;
        let seen: BTreeMap<[u8; 32], _> = self.peer_statuses().all().into_iter().collect();
        let mut health = explorer.turns(&authorities.committee)?;
        for one in &mut health {
            let at = |ms: u64| (ms != 0).then_some(ms);
            one.own = one.key == self.me;
            if one.own {
                one.height = Some(self.machine().tip().height);
            }
            if let Some(seen) = seen.get(&one.key) {
                one.heard_at_ms = at(seen.heard_at_ms);
                one.voted_at_ms = at(seen.voted_at_ms);
                (one.drops, one.dropped_at_ms) = (seen.drops, at(seen.dropped_at_ms));
                one.height = one.height.or_else(|| one.heard_at_ms.map(|_| seen.height));
            }
        }
        let newest = self.evidence().into_iter().rev().take(EVIDENCE_MAX);
        let evidence = newest.map(|one| evidence_summary(&one, &authorities)).collect();
        let warnings = self.gap().map(|height| {
            format!(
                "the certificate of block {height}, which changed the committee, is missing at this node: its proofs \
                 do not reach beyond that block; the other validators are asked for it"
            )
        });
        let warnings = warnings.into_iter().chain(self.left_behind()).collect();
        Ok(Governance { proposals: explorer.proposals()?, evidence, health, authorities, warnings })
    }
}

fn evidence_summary(one: &Evidence, authorities: &Authorities) -> explorer::Evidence {
    explorer::Evidence {
        validator: one.validator,
        org: authorities.org_of(&one.validator),
        epoch: one.epoch,
        view: one.view,
        conflict: match one.conflict {
            Conflict::Notarize => explorer::Conflict::Notarize,
            Conflict::Finalize => explorer::Conflict::Finalize,
            Conflict::NullifyFinalize => explorer::Conflict::NullifyFinalize,
        },
        votes: sha256(&[&one.votes]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_waits_for_blocks_nobody_keeps_says_so() {
        assert_eq!(left_behind(10, Vec::new()), None, "nobody is heard");
        assert_eq!(left_behind(10, vec![KEEP_BLOCKS + 10; 3]), None, "they just keep what it needs");
        let said = left_behind(10, vec![KEEP_BLOCKS + 11; 3]).unwrap_or_default();
        assert!(said.contains("524289 blocks behind") && said.contains("begin with a snapshot"), "{said}");
        assert_eq!(left_behind(10, vec![11, 12, u64::MAX]), None, "one of three exaggerates");
        assert_eq!(left_behind(KEEP_BLOCKS, vec![3; 3]), None, "it is ahead");
    }
}
