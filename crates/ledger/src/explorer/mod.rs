//! The explorer: blocks, transactions as text, validators and their health.
//!
//! Everything is read from the committed state. Nothing waits for consensus, and every answer is bounded.

mod chain;
mod decode;

#[cfg(test)]
mod tests;

use crate::machine::{Machine, Receipt, View};
use crate::pool::Pool;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256};
use std::collections::BTreeMap;
use vitals::explorer::{
    Authorities, Authority, BLOCKS_MAX, Block, BlockLine, BlockQuery, Blocks, PROPOSALS_MAX, Place, Proposal,
    SCAN_BLOCKS_MAX, SCAN_TRANSACTIONS_MAX, SUMMARIES_MAX, TRANSACTIONS_MAX, TURNS_BLOCKS_MAX, Transaction,
    TransactionSummary, Turn, ValidatorHealth, turns,
};
use vitals::ids::{Hash, OrgId};
use vitals::ledger::{LedgerError, Outcome};
use vitals::proof::header::BlockHeader;
use vitals::proof::state::keccak256;

/// Reads at one height: answers stay consistent while the chain goes on.
pub(crate) struct ChainExplorer<'a> {
    machine: &'a Machine,
    pool: &'a Pool,
    view: View,
    epoch_blocks: u64,
}

fn down(why: impl std::fmt::Display) -> LedgerError {
    LedgerError::Down(format!("its blocks cannot be read: {why}"))
}

/// A decoded transaction.
struct Parsed {
    envelope: TxEnvelope,
    sender: Address,
}

fn parsed(raw: &[u8]) -> Result<Parsed, LedgerError> {
    let envelope = TxEnvelope::decode_2718(&mut &raw[..]).map_err(down)?;
    // Recovered from the signature: the cache of senders is for transactions that are not committed yet.
    let sender = envelope.recover_signer().map_err(down)?;
    Ok(Parsed { envelope, sender })
}

impl<'a> ChainExplorer<'a> {
    pub(crate) fn new(machine: &'a Machine, pool: &'a Pool, epoch_blocks: u64) -> Self {
        Self { machine, pool, view: machine.view(), epoch_blocks: epoch_blocks.max(1) }
    }

    fn tip(&self) -> u64 {
        self.view.tip().height
    }

    fn header(&self, height: u64) -> Result<Option<BlockHeader>, LedgerError> {
        if height == 0 {
            return Ok(Some(self.machine.genesis_header().clone()));
        }
        if height > self.tip() {
            return Ok(None);
        }
        let bytes = self.machine.header(height).map_err(down)?;
        bytes.map(|bytes| BlockHeader::decode(&bytes).map_err(down)).transpose()
    }

    /// Were there transactions in this block that are removed?
    fn is_pruned(&self, header: &BlockHeader, raws: &[Vec<u8>]) -> bool {
        raws.is_empty() && header.transactions_root != self.machine.genesis_header().transactions_root
    }

    fn raws(&self, height: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
        if height == 0 { Ok(Vec::new()) } else { self.machine.transactions(height).map_err(down) }
    }

    /// The organisation of each validator that the ledger still lists.
    fn operators(&self) -> Result<BTreeMap<[u8; 32], OrgId>, LedgerError> {
        Ok(self.view.validators()?.into_iter().map(|one| (one.key, one.org)).collect())
    }

    fn line(
        &self,
        header: &BlockHeader,
        transactions: usize,
        operators: &BTreeMap<[u8; 32], OrgId>,
    ) -> BlockLine {
        // The first block of an epoch has no earlier view in that epoch.
        let skipped = header.view.saturating_sub(header.parent_view.saturating_add(1));
        BlockLine {
            height: header.height,
            time_ms: header.time_ms,
            epoch: header.epoch,
            view: header.view,
            skipped: if header.height == 0 { 0 } else { skipped },
            leader: header.leader,
            leader_org: operators.get(&header.leader).copied(),
            transactions,
            pruned: false,
            summaries: Vec::new(),
        }
    }

    fn summary(&self, parsed: &Parsed) -> TransactionSummary {
        let contracts = self.view.contracts();
        let call = decode::decode_call(&contracts, parsed.envelope.to(), parsed.envelope.input());
        TransactionSummary {
            org: self.view.sends_for(parsed.sender),
            sender: parsed.sender.into(),
            action: call.action,
        }
    }

    pub(crate) fn blocks(&self, query: &BlockQuery) -> Result<Blocks, LedgerError> {
        let operators = self.operators()?;
        let most = query.most.clamp(1, BLOCKS_MAX);
        let mut found = Blocks::default();
        let mut next = match query.before {
            None => Some(self.tip()),
            Some(before) => before.checked_sub(1).map(|height| height.min(self.tip())),
        };
        let mut looked = 0;
        let mut scanned = 0;
        while let Some(height) = next {
            let full = found.blocks.len() == most;
            // Both bounds are needed: for empty blocks, and for blocks full of other organisations' acts.
            if full || looked == SCAN_BLOCKS_MAX || scanned > SCAN_TRANSACTIONS_MAX {
                found.next = Some(height + 1);
                break;
            }
            // Some of an epoch's last ones are left further down.
            let Some(header) = self.header(height)? else {
                found.pruned = true;
                break;
            };
            let raws = self.raws(height)?;
            let mut line = self.line(&header, raws.len(), &operators);
            line.pruned = self.is_pruned(&header, &raws);
            if line.pruned && query.org.is_some() {
                found.pruned = true;
                break;
            }
            for raw in &raws {
                let enough = line.summaries.len() == SUMMARIES_MAX;
                if enough || scanned > SCAN_TRANSACTIONS_MAX + crate::machine::BLOCK_TXS_MAX {
                    break;
                }
                scanned += 1;
                let summary = self.summary(&parsed(raw)?);
                if query.org.is_none() || summary.org == query.org {
                    line.summaries.push(summary);
                }
            }
            if query.org.is_none() || !line.summaries.is_empty() {
                found.blocks.push(line);
            }
            looked += 1;
            next = height.checked_sub(1);
        }
        Ok(found)
    }

    pub(crate) fn block(&self, height: u64, first: usize) -> Result<Option<Block>, LedgerError> {
        let Some(header) = self.header(height)? else {
            if height > self.tip() {
                return Ok(None);
            }
            let from = self.machine.kept().map_err(down)?.headers;
            return Err(LedgerError::Pruned { height, from });
        };
        let raws = self.raws(height)?;
        let mut transactions = Vec::new();
        for (index, raw) in raws.iter().enumerate().skip(first).take(TRANSACTIONS_MAX) {
            let place = Place { height, index, time_ms: header.time_ms };
            transactions.push(self.transaction_of(raw, Some(place))?);
        }
        let mut line = self.line(&header, raws.len(), &self.operators()?);
        line.pruned = self.is_pruned(&header, &raws);
        for raw in raws.iter().take(SUMMARIES_MAX) {
            line.summaries.push(self.summary(&parsed(raw)?));
        }
        Ok(Some(Block {
            line,
            digest: header.digest(),
            parent: header.parent,
            state_root: header.state_root,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            committee: header.committee,
            first,
            transactions,
        }))
    }

    fn transaction_of(&self, raw: &[u8], place: Option<Place>) -> Result<Transaction, LedgerError> {
        let id = keccak256(&[raw]);
        let Parsed { envelope, sender } = parsed(raw)?;
        let call = decode::decode_call(&self.view.contracts(), envelope.to(), envelope.input());
        let receipt: Option<Receipt> = match place {
            Some(_) => self.machine.receipt(&id).map_err(down)?.map(|(_, receipt)| receipt),
            None => None,
        };
        let outcome = match (place, &receipt) {
            (None, _) => Outcome::Pending,
            (Some(at), Some(receipt)) if receipt.succeeded => Outcome::Done { height: at.height },
            (Some(_), Some(receipt)) => {
                Outcome::Refused { reason: crate::contracts::reason(&receipt.revert) }
            }
            (Some(_), None) => Outcome::Unknown,
        };
        Ok(Transaction {
            id,
            place,
            sender: sender.into(),
            org: self.view.sends_for(sender),
            to: envelope.to().map(Into::into),
            contract: call.contract.map(str::to_owned),
            function: call.function.map(str::to_owned),
            nonce: envelope.nonce(),
            gas_limit: envelope.gas_limit(),
            gas_used: receipt.map(|receipt| receipt.gas),
            bytes: raw.len(),
            action: call.action,
            outcome,
        })
    }

    pub(crate) fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, LedgerError> {
        let height = self.machine.receipt(id).map_err(down)?.map(|(height, _)| height);
        let (raws, header) = match height {
            Some(height) => (self.raws(height)?, self.header(height)?),
            // Only transactions for the next block are searched, which bounds the work.
            None => {
                (self.pool.next_batch(&self.view.snapshot()).iter().map(|raw| raw.to_vec()).collect(), None)
            }
        };
        let named = |raw: &Vec<u8>| B256::from(keccak256(&[raw])) == B256::from(*id);
        let Some(index) = raws.iter().position(named) else { return Ok(None) };
        let place = header.map(|header| Place { height: header.height, index, time_ms: header.time_ms });
        self.transaction_of(&raws[index], place).map(Some)
    }

    pub(crate) fn authorities(&self) -> Result<Authorities, LedgerError> {
        let epoch = (self.tip() + 1) / self.epoch_blocks;
        Ok(Authorities {
            epoch,
            epoch_blocks: self.epoch_blocks,
            committee: self.view.committee(epoch)?,
            next: self.view.committee(epoch + 1)?,
            validators: self.view.validators()?.into_iter().map(Authority::from).collect(),
        })
    }

    pub(crate) fn proposals(&self) -> Result<Vec<Proposal>, LedgerError> {
        let validators = self.view.validators()?;
        let newest = self.view.proposals(PROPOSALS_MAX as u64)?;
        Ok(newest.iter().map(|one| Proposal::of(one, &validators)).collect())
    }

    /// Turns of the committee of the newest block's epoch, for every validator of `committee`.
    pub(crate) fn turns(&self, committee: &[[u8; 32]]) -> Result<Vec<ValidatorHealth>, LedgerError> {
        let tip = self.tip();
        let epoch = self.header(tip)?.map_or(0, |header| header.epoch);
        let mut headers = Vec::new();
        for height in (1..=tip).rev().take(TURNS_BLOCKS_MAX) {
            match self.header(height)? {
                Some(header) if header.epoch == epoch => headers.push(Turn {
                    epoch,
                    view: header.view,
                    parent_view: header.parent_view,
                    height,
                    leader: header.leader,
                }),
                _ => break,
            }
        }
        let counted = turns(epoch, &self.view.committee(epoch)?, headers);
        let fresh = turns(epoch, committee, []);
        let of = |one: ValidatorHealth| counted.iter().find(|two| two.key == one.key).cloned().unwrap_or(one);
        Ok(fresh.into_iter().map(of).collect())
    }
}
