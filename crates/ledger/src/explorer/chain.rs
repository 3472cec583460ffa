//! The explorer of a running chain: its blocks, and what it observes of the other validators.

use super::ChainExplorer;
use crate::EmbeddedChain;
use consensus::{Conflict, Evidence};
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
        let warnings = warnings.into_iter().collect();
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
