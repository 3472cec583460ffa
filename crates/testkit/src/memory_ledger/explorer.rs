//! The explorer of the ledger in memory: one validator, one organisation, its acts as transactions.

use super::{MemoryBlock, MemoryLedger, SENDER, State};
use parking_lot::MutexGuard;
use vitals::explorer::{
    Authorities, Authority, BLOCKS_MAX, Block, BlockLine, BlockQuery, Blocks, Explorer, Governance, Place,
    Proposal, SUMMARIES_MAX, TRANSACTIONS_MAX, Transaction, TransactionSummary, TxAction, ValidatorHealth,
};
use vitals::ids::{Hash, OrgId};
use vitals::ledger::{Act, LedgerError, Outcome};

impl MemoryLedger {
    fn org(&self) -> OrgId {
        self.document.founders[0].org()
    }

    fn line(&self, block: &MemoryBlock) -> BlockLine {
        let told = |(_, act): &(Hash, Act)| TransactionSummary {
            org: Some(self.org()),
            sender: SENDER,
            action: TxAction::Act(act.clone()),
        };
        BlockLine {
            height: block.height,
            time_ms: block.time_ms,
            epoch: 0,
            view: block.height,
            skipped: 0,
            leader: self.document.committee[0],
            leader_org: Some(self.org()),
            transactions: block.acts.len(),
            pruned: block.pruned,
            summaries: block.acts.iter().take(SUMMARIES_MAX).map(told).collect(),
        }
    }

    fn transaction_of(&self, state: &State, id: &Hash, act: &Act, place: Option<Place>) -> Transaction {
        Transaction {
            id: *id,
            place,
            sender: SENDER,
            org: Some(self.org()),
            to: Some([4; 20]),
            contract: Some("Paper".into()),
            function: None,
            nonce: 0,
            gas_limit: 1 << 24,
            gas_used: place.map(|_| 21_000),
            bytes: 180,
            action: TxAction::Act(act.clone()),
            outcome: state.outcomes.get(id).cloned().unwrap_or(Outcome::Unknown),
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, LedgerError> {
        let state = self.state();
        if state.down { Err(LedgerError::Down("unplugged".into())) } else { Ok(state) }
    }
}

impl Explorer for MemoryLedger {
    fn blocks(&self, asked: &BlockQuery) -> Result<Blocks, LedgerError> {
        let state = self.open()?;
        let ours = asked.org.is_none_or(|org| org == self.org());
        let most = asked.most.min(BLOCKS_MAX);
        let mut found = Blocks::default();
        let older = |block: &&MemoryBlock| asked.before.is_none_or(|before| block.height < before);
        for block in state.blocks.iter().rev().filter(older) {
            if found.blocks.len() == most {
                found.next = found.blocks.last().map(|block| block.height);
                return Ok(found);
            }
            if asked.org.is_some() && block.pruned {
                found.pruned = true;
                return Ok(found);
            }
            if asked.org.is_none() || (ours && !block.acts.is_empty()) {
                found.blocks.push(self.line(block));
            }
        }
        found.pruned = state.blocks.first().is_some_and(|oldest| oldest.height > 1);
        Ok(found)
    }

    fn block(&self, height: u64, first: usize) -> Result<Option<Block>, LedgerError> {
        let state = self.open()?;
        let from = state.blocks.first().map_or(0, |oldest| oldest.height);
        if (1..from).contains(&height) {
            return Err(LedgerError::Pruned { height, from });
        }
        let Some(block) = state.blocks.iter().find(|block| block.height == height) else { return Ok(None) };
        let transactions = block.acts.iter().enumerate().skip(first).take(TRANSACTIONS_MAX);
        let transactions = transactions.map(|(index, (id, act))| {
            let place = Place { height, index, time_ms: block.time_ms };
            self.transaction_of(&state, id, act, Some(place))
        });
        Ok(Some(Block {
            line: self.line(block),
            digest: super::digest_of(height),
            parent: [2; 32],
            state_root: [3; 32],
            transactions_root: [4; 32],
            receipts_root: [5; 32],
            committee: Vec::new(),
            first,
            transactions: transactions.collect(),
        }))
    }

    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, LedgerError> {
        let state = self.open()?;
        for block in &state.blocks {
            for (index, (known, act)) in block.acts.iter().enumerate() {
                if known == id {
                    let place = Place { height: block.height, index, time_ms: block.time_ms };
                    return Ok(Some(self.transaction_of(&state, id, act, Some(place))));
                }
            }
        }
        let waiting = state.pool.iter().find(|(known, _)| known == id);
        Ok(waiting.map(|(id, act)| self.transaction_of(&state, id, act, None)))
    }

    fn governance(&self) -> Result<Governance, LedgerError> {
        let state = self.open()?;
        let key = self.document.committee[0];
        let model = &state.model.authorities;
        let epoch = (state.height + 1) / model.epoch_blocks;
        let authorities = Authorities {
            epoch,
            epoch_blocks: model.epoch_blocks,
            committee: model.committee(epoch),
            next: model.committee(epoch + 1),
            validators: model.validators.iter().cloned().map(Authority::from).collect(),
        };
        let proposals =
            model.proposals.iter().rev().map(|one| Proposal::of(one, &model.validators)).collect();
        let health = ValidatorHealth {
            key,
            own: true,
            last_led: Some(state.height),
            led: state.height,
            skipped: 0,
            height: Some(state.height),
            heard_at_ms: None,
            voted_at_ms: None,
            drops: 0,
            dropped_at_ms: None,
        };
        Ok(Governance {
            authorities,
            proposals,
            evidence: Vec::new(),
            health: vec![health],
            warnings: Vec::new(),
        })
    }
}
