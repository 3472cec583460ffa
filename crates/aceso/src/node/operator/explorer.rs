//! The ledger's explorer for operators: the clinic's records as answers, under the clinic's decision.

use super::Operator;
use anyhow::{Context, Result};
use clinic::{Clinic, Session};
use hex::encode as hex;
use operator::{
    Block, BlockSummary, Blocks, Evidence, EvidenceList, Governance, GovernanceProposal, Health,
    LedgerAnswer, LedgerQuery, QueryLedger, Seat, Summary, Transaction, ValidatorHealth,
};
use vitals::OrgId;
use vitals::explorer;
use vitals::ledger::Outcome;
use web::ledger_text;

impl Operator {
    pub(super) fn query_ledger(&self, call: &QueryLedger, now_ms: u64) -> Result<LedgerAnswer> {
        find(&self.clinic, &self.session(&call.token, now_ms)?, &call.query, now_ms)
    }
}

fn find(clinic: &Clinic, session: &Session, query: &LedgerQuery, now_ms: u64) -> Result<LedgerAnswer> {
    Ok(match query {
        LedgerQuery::Blocks { before, most, organisation } => {
            let org = organisation.as_deref().map(str::parse).transpose();
            let org = org.context("an organisation is named by 32 lower-case hexadecimal digits")?;
            let asked = explorer::BlockQuery { before: *before, most: *most, org };
            let found = clinic.ledger_blocks(session, &asked, now_ms)?;
            LedgerAnswer::Blocks(Blocks {
                blocks: found.blocks.iter().map(summary).collect(),
                next: found.next,
                pruned: found.pruned,
            })
        }
        LedgerQuery::Block { height, first } => {
            let found = clinic.ledger_block(session, *height, *first, now_ms)?;
            let found = found.with_context(|| format!("no block is final here at height {height}"))?;
            LedgerAnswer::Block(Box::new(block(&found)))
        }
        LedgerQuery::Tx { id } => {
            let mut hash = [0; 32];
            hex::decode_to_slice(id.trim_start_matches("0x"), &mut hash)
                .context("a transaction is named by 64 hexadecimal digits")?;
            let found = clinic.ledger_transaction(session, &hash, now_ms)?;
            let found = found
                .context("no transaction of this name is known here; those of older blocks are pruned")?;
            LedgerAnswer::Transaction(Box::new(transaction(&found)))
        }
        LedgerQuery::Authorities => {
            LedgerAnswer::Governance(governance(&clinic.ledger_governance(session, now_ms)?))
        }
        LedgerQuery::Evidence => {
            let found = clinic.ledger_governance(session, now_ms)?;
            LedgerAnswer::Evidence(EvidenceList { evidence: found.evidence.iter().map(evidence).collect() })
        }
        LedgerQuery::Health => {
            LedgerAnswer::Health(health(clinic, &clinic.ledger_governance(session, now_ms)?, now_ms))
        }
    })
}

fn org(org: Option<OrgId>) -> Option<String> {
    org.map(|org| org.to_string())
}

fn summary(line: &explorer::BlockLine) -> BlockSummary {
    let summary = |one: &explorer::TransactionSummary| Summary {
        organisation: org(one.org),
        sender: hex(one.sender),
        words: ledger_text::action(&one.action),
    };
    BlockSummary {
        height: line.height,
        time_ms: line.time_ms,
        epoch: line.epoch,
        view: line.view,
        skipped: line.skipped,
        leader: hex(line.leader),
        leader_organisation: org(line.leader_org),
        transactions: line.transactions,
        pruned: line.pruned,
        summaries: line.summaries.iter().map(summary).collect(),
    }
}

fn block(block: &explorer::Block) -> Block {
    Block {
        summary: summary(&block.line),
        digest: hex(block.digest),
        parent: hex(block.parent),
        state_root: hex(block.state_root),
        transactions_root: hex(block.transactions_root),
        receipts_root: hex(block.receipts_root),
        committee: block.committee.iter().map(hex).collect(),
        first: block.first,
        shown: block.transactions.iter().map(transaction).collect(),
    }
}

fn transaction(one: &explorer::Transaction) -> Transaction {
    let (outcome, reason) = match &one.outcome {
        Outcome::Done { .. } => ("done", None),
        Outcome::Refused { reason } => ("refused", Some(reason.clone())),
        Outcome::Pending => ("waiting", None),
        Outcome::Unknown => ("unknown", None),
    };
    let particulars = ledger_text::action_particulars(&one.action).into_iter();
    Transaction {
        id: hex(one.id),
        height: one.place.map(|at| at.height),
        index: one.place.map(|at| at.index),
        time_ms: one.place.map(|at| at.time_ms),
        organisation: org(one.org),
        sender: hex(one.sender),
        to: one.to.map(hex),
        contract: one.contract.clone(),
        function: one.function.clone(),
        words: ledger_text::action(&one.action),
        particulars: particulars.map(|(label, text)| (label.to_owned(), text)).collect(),
        outcome: outcome.to_owned(),
        reason,
        nonce: one.nonce,
        gas_limit: one.gas_limit,
        gas_used: one.gas_used,
        bytes: one.bytes,
    }
}

fn governance(found: &explorer::Governance) -> Governance {
    let known = &found.authorities;
    let keys = |keys: &[[u8; 32]]| keys.iter().map(hex).collect();
    let seat = |one: &explorer::Authority| Seat {
        key: hex(one.key),
        organisation: org(one.org),
        endpoint: one.endpoint.clone(),
        since_epoch: one.since_epoch,
        until_epoch: one.until_epoch,
        seated: known.committee.contains(&one.key),
    };
    Governance {
        epoch: known.epoch,
        epoch_blocks: known.epoch_blocks,
        quorum: known.quorum(),
        committee: keys(&known.committee),
        next: keys(&known.next),
        validators: known.validators.iter().map(seat).collect(),
        proposals: found.proposals.iter().map(proposal).collect(),
    }
}

fn proposal(one: &explorer::Proposal) -> GovernanceProposal {
    let orgs = |orgs: &[OrgId]| orgs.iter().map(ToString::to_string).collect();
    GovernanceProposal {
        id: one.id,
        words: ledger_text::motion(&one.motion),
        proposer: one.proposer.to_string(),
        proposed_at_ms: one.proposed_at_ms,
        until_ms: one.until_ms,
        votes: orgs(&one.votes),
        may_vote: orgs(&one.may_vote),
        needed: one.needed,
        acts_from_epoch: one.acts_from_epoch,
    }
}

fn evidence(one: &explorer::Evidence) -> Evidence {
    Evidence {
        validator: hex(one.validator),
        organisation: org(one.org),
        epoch: one.epoch,
        view: one.view,
        words: ledger_text::conflict(one.conflict).to_owned(),
        votes: hex(one.votes),
    }
}

fn clock_warning(health: &clinic::views::LedgerHealth) -> Option<String> {
    (!health.clocks.is_empty()).then(|| format!("clock fault: {}", health.clocks))
}

fn health(clinic: &Clinic, found: &explorer::Governance, now_ms: u64) -> Health {
    let tip = clinic.health(now_ms);
    let validator = |one: &explorer::ValidatorHealth| ValidatorHealth {
        key: hex(one.key),
        organisation: org(found.authorities.org_of(&one.key)),
        own: one.own,
        last_led: one.last_led,
        led: one.led,
        skipped: one.skipped,
        height: one.height,
        behind: one.lag(tip.height),
        connected: one.connected(now_ms),
        heard_at_ms: one.heard_at_ms,
        voted_at_ms: one.voted_at_ms,
        drops: one.drops,
        dropped_at_ms: one.dropped_at_ms,
    };
    Health {
        height: tip.height,
        age_ms: tip.age_ms,
        halted: tip.stale,
        withdrawals_waiting: tip.withdrawals_waiting,
        withdrawals_late: tip.withdrawals_late,
        validators: found.health.iter().map(validator).collect(),
        warnings: clock_warning(&tip).into_iter().chain(found.warnings.iter().cloned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testward::Ward;
    use vitals::held_clock::ClockStep;

    #[test]
    fn health_warns_of_a_clock_fault() {
        let ward = Ward::new();
        let warnings = || match find(&ward.clinic, &ward.now_as("admin"), &LedgerQuery::Health, ward.now_ms) {
            Ok(LedgerAnswer::Health(health)) => health.warnings,
            other => panic!("no health: {other:?}"),
        };
        assert!(!warnings().iter().any(|warning| warning.contains("clock")), "{:?}", warnings());
        let step = Some(ClockStep { by_ms: -90_000, believed: false });
        ward.clinic.tend_clocks(step, ward.now_ms);
        let told = warnings();
        let first = told.first().expect("there is one");
        assert!(first.starts_with("clock fault: ") && first.contains("set back by 90 s"), "{told:?}");
    }
}
