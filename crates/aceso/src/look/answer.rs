//! What a node answers to `aceso ledger`: the clinic's records as JSON, under the clinic's decision.

use super::Look;
use anyhow::{Context, Result};
use clinic::{Clinic, Session};
use hex::encode as hex;
use serde_json::{Value, json};
use vitals::OrgId;
use vitals::explorer::{
    Asked, Authority, BlockLine, Evidence, Governance, Proposal, Told, Transaction, ValidatorHealth,
};
use vitals::ledger::Outcome;

/// Answers for the person signed in.
pub(crate) fn answer(clinic: &Clinic, session: &Session, look: &Look, now_ms: u64) -> Result<Value> {
    match look {
        Look::Blocks { before, most, organisation } => {
            let org = organisation.as_deref().map(str::parse).transpose();
            let org = org.context("an organisation is named by 32 lower-case hexadecimal digits")?;
            let asked = Asked { before: *before, most: *most, org };
            let found = clinic.ledger_blocks(session, &asked, now_ms)?;
            Ok(json!({ "blocks": found.blocks.iter().map(line).collect::<Vec<_>>(), "next": found.next }))
        }
        Look::Block { height, first } => {
            let found = clinic.ledger_block(session, *height, *first, now_ms)?;
            let block = found.with_context(|| format!("no block is final here at height {height}"))?;
            let mut said = line(&block.line);
            said["digest"] = hex(block.digest).into();
            said["parent"] = hex(block.parent).into();
            said["state_root"] = hex(block.state_root).into();
            said["transactions_root"] = hex(block.transactions_root).into();
            said["receipts_root"] = hex(block.receipts_root).into();
            said["committee"] = block.committee.iter().map(hex).collect::<Vec<_>>().into();
            said["first"] = block.first.into();
            said["shown"] = block.transactions.iter().map(transaction).collect::<Vec<_>>().into();
            Ok(said)
        }
        Look::Tx { id } => {
            let mut name = [0; 32];
            hex::decode_to_slice(id.trim_start_matches("0x"), &mut name)
                .context("a transaction is named by 64 hexadecimal digits")?;
            let found = clinic.ledger_transaction(session, &name, now_ms)?;
            Ok(transaction(&found.context("no transaction of this name is known here")?))
        }
        Look::Authorities | Look::Evidence | Look::Health => {
            let found = clinic.ledger_governance(session, now_ms)?;
            Ok(match look {
                Look::Authorities => authorities(&found),
                Look::Evidence => {
                    json!({ "evidence": found.evidence.iter().map(evidence).collect::<Vec<_>>() })
                }
                _ => {
                    let tip = clinic.health(now_ms);
                    let one = |one: &ValidatorHealth| {
                        let org = found.authorities.org_of(&one.key);
                        health(one, org, tip.height, now_ms)
                    };
                    json!({
                        "height": tip.height,
                        "age_ms": tip.age_ms,
                        "halted": tip.stale,
                        "withdrawals_waiting": tip.withdrawals_waiting,
                        "withdrawals_late": tip.withdrawals_late,
                        "validators": found.health.iter().map(one).collect::<Vec<_>>(),
                        "warnings": found.warnings,
                    })
                }
            })
        }
    }
}

fn org(org: Option<OrgId>) -> Value {
    org.map_or(Value::Null, |org| org.to_string().into())
}

fn line(line: &BlockLine) -> Value {
    let told = |told: &Told| json!({ "organisation": org(told.org), "sender": hex(told.sender), "words": told.words });
    json!({
        "height": line.height,
        "time_ms": line.time_ms,
        "epoch": line.epoch,
        "view": line.view,
        "skipped": line.skipped,
        "leader": hex(line.leader),
        "leader_organisation": org(line.leader_org),
        "transactions": line.transactions,
        "told": line.told.iter().map(told).collect::<Vec<_>>(),
    })
}

fn transaction(one: &Transaction) -> Value {
    let (outcome, reason) = match &one.outcome {
        Outcome::Done { .. } => ("done", None),
        Outcome::Refused { reason } => ("refused", Some(reason.clone())),
        Outcome::Pending => ("waiting", None),
        Outcome::Unknown => ("unknown", None),
    };
    let particulars: serde_json::Map<String, Value> =
        one.deed.particulars().into_iter().map(|(label, text)| (label.into(), text.into())).collect();
    json!({
        "id": hex(one.id),
        "height": one.place.map(|at| at.height),
        "index": one.place.map(|at| at.index),
        "time_ms": one.place.map(|at| at.time_ms),
        "organisation": org(one.org),
        "sender": hex(one.sender),
        "to": one.to.map(hex),
        "contract": one.contract,
        "function": one.function,
        "words": one.deed.words(),
        "particulars": particulars,
        "outcome": outcome,
        "reason": reason,
        "nonce": one.nonce,
        "gas_limit": one.gas_limit,
        "gas_used": one.gas_used,
        "bytes": one.bytes,
    })
}

fn authorities(found: &Governance) -> Value {
    let known = &found.authorities;
    let keys = |keys: &[[u8; 32]]| keys.iter().map(hex).collect::<Vec<_>>();
    let authority = |one: &Authority| {
        json!({
            "key": hex(one.key),
            "organisation": org(one.org),
            "endpoint": one.endpoint,
            "since_epoch": one.since_epoch,
            "until_epoch": one.until_epoch,
            "seated": known.committee.contains(&one.key),
        })
    };
    json!({
        "epoch": known.epoch,
        "epoch_blocks": known.epoch_blocks,
        "quorum": known.quorum(),
        "committee": keys(&known.committee),
        "next": keys(&known.next),
        "validators": known.validators.iter().map(authority).collect::<Vec<_>>(),
        "proposals": found.proposals.iter().map(proposal).collect::<Vec<_>>(),
    })
}

fn proposal(one: &Proposal) -> Value {
    let orgs = |orgs: &[OrgId]| orgs.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "id": one.id,
        "words": one.words,
        "proposer": one.proposer.to_string(),
        "proposed_at_ms": one.proposed_at_ms,
        "until_ms": one.until_ms,
        "votes": orgs(&one.votes),
        "may_vote": orgs(&one.may_vote),
        "needed": one.needed,
        "acts_from_epoch": one.acts_from_epoch,
    })
}

fn evidence(one: &Evidence) -> Value {
    json!({
        "validator": hex(one.validator),
        "organisation": org(one.org),
        "epoch": one.epoch,
        "view": one.view,
        "words": one.conflict.words(),
        "votes": hex(one.votes),
    })
}

fn health(one: &ValidatorHealth, whose: Option<OrgId>, tip: u64, now_ms: u64) -> Value {
    json!({
        "key": hex(one.key),
        "organisation": org(whose),
        "own": one.own,
        "last_led": one.last_led,
        "led": one.led,
        "skipped": one.skipped,
        "height": one.height,
        "behind": one.lag(tip),
        "connected": one.connected(now_ms),
        "heard_at_ms": one.heard_at_ms,
        "voted_at_ms": one.voted_at_ms,
        "drops": one.drops,
        "dropped_at_ms": one.dropped_at_ms,
    })
}
