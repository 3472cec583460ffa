//! The answers as text for a terminal.

use operator::{
    Block, BlockSummary, Blocks, EvidenceList, Governance, GovernanceProposal, Health, LedgerAnswer, Seat,
    Transaction, ValidatorHealth,
};
use std::fmt::Write;
use vitals::clock_fault::LEDGER_APART_MS_MAX;
use web::format::count;

/// The answer as lines.
pub(super) fn text(answer: &LedgerAnswer, now_ms: u64) -> String {
    let mut out = String::new();
    match answer {
        LedgerAnswer::Blocks(found) => blocks(&mut out, found, now_ms),
        LedgerAnswer::Block(found) => block(&mut out, found, now_ms),
        LedgerAnswer::Transaction(found) => transaction(&mut out, found, now_ms),
        LedgerAnswer::Governance(found) => governance(&mut out, found, now_ms),
        LedgerAnswer::Evidence(found) => evidence(&mut out, found),
        LedgerAnswer::Health(found) => health(&mut out, found, now_ms),
    }
    out
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "–".into(), count)
}

/// The two ends of a long word.
fn ends(word: &str) -> String {
    match word {
        "" => "–".into(),
        word if word.len() > 12 && word.is_ascii() => format!("{}…{}", &word[..6], &word[word.len() - 4..]),
        word => word.into(),
    }
}

fn ends_of(word: Option<&String>) -> String {
    ends(word.map_or("", String::as_str))
}

fn who(organisation: Option<&String>, sender: &str) -> String {
    match organisation {
        None => format!("account {}", ends(sender)),
        Some(org) => format!("organisation {}", ends(org)),
    }
}

fn ago(at_ms: Option<u64>, now_ms: u64) -> String {
    let Some(at_ms) = at_ms else { return "never".into() };
    let ahead_ms = at_ms.saturating_sub(now_ms);
    if ahead_ms > LEDGER_APART_MS_MAX {
        return format!("{} s in the future: a clock is wrong", ahead_ms / 1000);
    }
    match now_ms.saturating_sub(at_ms) / 1000 {
        s @ 0..=119 => format!("{s} s ago"),
        s @ 120..=7199 => format!("{} min ago", s / 60),
        s @ 7200..=172_799 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

fn heading(out: &mut String, block: &BlockSummary, now_ms: u64) {
    let skipped = match block.skipped {
        0 => String::new(),
        views => format!(", {views} skipped before it"),
    };
    let leader = block.leader_organisation.as_ref().unwrap_or(&block.leader);
    let transactions = if block.pruned { "pruned".to_owned() } else { count(block.transactions as u64) };
    let _ = writeln!(
        out,
        "{}  {}  led by {}{skipped}  transactions: {transactions}",
        count(block.height),
        ago(Some(block.time_ms), now_ms),
        ends(leader),
    );
}

fn blocks(out: &mut String, found: &Blocks, now_ms: u64) {
    for block in &found.blocks {
        heading(out, block, now_ms);
        for summary in &block.summaries {
            let _ = writeln!(
                out,
                "    {} {}",
                who(summary.organisation.as_ref(), &summary.sender),
                summary.words
            );
        }
    }
    match found.next {
        Some(next) => {
            let _ = writeln!(out, "Older blocks: --before {next}");
        }
        None if found.pruned => out.push_str("What is older is pruned at this node.\n"),
        None if out.is_empty() => out.push_str("No blocks.\n"),
        None => {}
    }
}

fn block(out: &mut String, found: &Block, now_ms: u64) {
    heading(out, &found.summary, now_ms);
    for (name, value) in [
        ("digest", &found.digest),
        ("parent", &found.parent),
        ("state_root", &found.state_root),
        ("transactions_root", &found.transactions_root),
        ("receipts_root", &found.receipts_root),
    ] {
        let _ = writeln!(out, "  {name:<18} {value}");
    }
    for key in &found.committee {
        let _ = writeln!(out, "  next committee     {key}");
    }
    for one in &found.shown {
        let _ = writeln!(
            out,
            "{:>4}  {} {}: {}\n      {}",
            number(one.index.map(|index| index as u64)),
            who(one.organisation.as_ref(), &one.sender),
            one.words,
            outcome(one),
            one.id
        );
    }
}

fn outcome(one: &Transaction) -> String {
    match &one.reason {
        Some(reason) => format!("{}, {reason}", one.outcome),
        None => one.outcome.clone(),
    }
}

fn transaction(out: &mut String, found: &Transaction, now_ms: u64) {
    let _ = writeln!(out, "{} {}", who(found.organisation.as_ref(), &found.sender), found.words);
    let place = match found.height {
        Some(height) => format!("block {}, {}", count(height), ago(found.time_ms, now_ms)),
        None => "no block yet".into(),
    };
    let called = match (&found.contract, &found.function) {
        (None, _) => found.to.clone().unwrap_or_default(),
        (Some(contract), None) => contract.clone(),
        (Some(contract), Some(function)) => format!("{contract}.{function}"),
    };
    let gas = format!("{} of at most {}", number(found.gas_used), count(found.gas_limit));
    for (label, value) in [
        ("name", found.id.clone()),
        ("outcome", outcome(found)),
        ("stands in", place),
        ("calls", called),
        ("sent from", found.sender.clone()),
        ("gas", gas),
    ] {
        let _ = writeln!(out, "  {label:<18} {value}");
    }
    for (label, value) in &found.particulars {
        let _ = writeln!(out, "  {label:<18} {value}");
    }
}

fn governance(out: &mut String, found: &Governance, now_ms: u64) {
    let _ = writeln!(
        out,
        "Epoch {} of {} blocks: {} validators, {} make a block final",
        count(found.epoch),
        count(found.epoch_blocks),
        found.committee.len(),
        count(found.quorum as u64)
    );
    for one in &found.validators {
        seat(out, one);
    }
    for one in &found.proposals {
        proposal(out, one, now_ms);
    }
}

fn seat(out: &mut String, one: &Seat) {
    let seat = match (one.seated, one.until_epoch) {
        (true, None) => format!("seated since epoch {}", count(one.since_epoch)),
        (true, Some(until)) => format!("seated, leaves in epoch {}", count(until)),
        (false, None) => format!("joins in epoch {}", count(one.since_epoch)),
        (false, Some(until)) => format!("left in epoch {}", count(until)),
    };
    let at = if one.endpoint.is_empty() { "no address" } else { &one.endpoint };
    let org = ends_of(one.organisation.as_ref());
    let _ = writeln!(out, "  {}\n    organisation {org}, {seat}, {at}", one.key);
}

fn proposal(out: &mut String, one: &GovernanceProposal, now_ms: u64) {
    let orgs = |orgs: &[String]| orgs.iter().map(|org| ends(org)).collect::<Vec<_>>().join(", ");
    let _ = writeln!(out, "Proposal {}: {}", count(one.id), one.words);
    let _ = match one.acts_from_epoch {
        Some(epoch) => writeln!(out, "  accepted; acts from epoch {}", count(epoch)),
        None => writeln!(
            out,
            "  proposed {} by {}; {} of {} votes ({}); may still vote: {}",
            ago(Some(one.proposed_at_ms), now_ms),
            ends(&one.proposer),
            one.votes.len(),
            count(one.needed as u64),
            orgs(&one.votes),
            orgs(&one.may_vote)
        ),
    };
}

fn evidence(out: &mut String, found: &EvidenceList) {
    for one in &found.evidence {
        let _ = writeln!(
            out,
            "organisation {} {} (epoch {}, view {})\n  validator {}\n  both votes {}",
            ends_of(one.organisation.as_ref()),
            one.words,
            count(one.epoch),
            count(one.view),
            one.validator,
            one.votes
        );
    }
    if out.is_empty() {
        out.push_str("No validator contradicted itself.\n");
    }
}

fn health(out: &mut String, found: &Health, now_ms: u64) {
    let moves = if found.halted { "the ledger stands still" } else { "the ledger moves" };
    let age_s = found.age_ms / 1000;
    let _ = writeln!(out, "Height {}, newest block {age_s} s old: {moves}", count(found.height));
    for one in &found.validators {
        validator(out, one, now_ms);
    }
    for warning in &found.warnings {
        let _ = writeln!(out, "Warning: {warning}");
    }
    if found.withdrawals_waiting != 0 {
        let (waiting, late) = (found.withdrawals_waiting, found.withdrawals_late);
        let _ = writeln!(out, "Withdrawn consents not on the ledger yet: {waiting}, of which late: {late}");
    }
}

fn validator(out: &mut String, one: &ValidatorHealth, now_ms: u64) {
    let connected = match (one.own, one.connected) {
        (true, _) => "this node".into(),
        (_, Some(true)) => "connected".into(),
        (_, Some(false)) => format!("away, heard {}", ago(one.heard_at_ms, now_ms)),
        _ => "not heard since this node started".to_owned(),
    };
    let _ = writeln!(
        out,
        "  {}\n    organisation {}: {connected}; last led {}; {} of {} turns skipped; {} blocks behind",
        one.key,
        ends_of(one.organisation.as_ref()),
        number(one.last_led),
        count(one.skipped),
        count(one.led + one.skipped),
        number(one.behind)
    );
    if one.dropped_at_ms.is_some() {
        let (times, ago) = (count(one.drops), ago(one.dropped_at_ms, now_ms));
        let _ = writeln!(out, "    sent what no honest validator sends: dropped {times} times, last {ago}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As a node writes it; the variant is found by what is in it.
    fn read(value: serde_json::Value) -> LedgerAnswer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_lies_in_the_future_is_named_and_not_taken_for_new() {
        assert_eq!(ago(Some(6_000), 0), "6 s in the future: a clock is wrong");
        assert_eq!(ago(Some(5_000), 0), "0 s ago", "clocks never show quite the same");
        assert_eq!(ago(Some(0), 7_000), "7 s ago");
    }

    #[test]
    fn blocks_and_validators_are_printed_as_lines() {
        let blocks = read(json!({ "blocks": [{
            "height": 1204, "time_ms": 1_000, "epoch": 9, "view": 1300, "skipped": 1, "leader": "aa".repeat(32),
            "leader_organisation": "0c".repeat(16), "transactions": 1,
            "told": [{ "organisation": "0c".repeat(16), "sender": "ee", "words": "anchored its log of 7 leaves" }],
        }], "next": 1204 }));
        assert_eq!(
            text(&blocks, 61_000),
            "1\u{202f}204  60 s ago  led by 0c0c0c…0c0c, 1 skipped before it  transactions: 1\n    \
             organisation 0c0c0c…0c0c anchored its log of 7 leaves\nOlder blocks: --before 1204\n"
        );
        let pruned = read(json!({ "blocks": [{
            "height": 7, "time_ms": 1_000, "epoch": 0, "view": 7, "skipped": 0, "leader": "aa".repeat(32),
            "leader_organisation": null, "transactions": 0, "pruned": true, "told": [],
        }], "next": null, "pruned": true }));
        let said = text(&pruned, 61_000);
        assert!(said.contains("transactions: pruned\nWhat is older is pruned at this node.\n"), "{said}");
        let none = text(&read(json!({ "evidence": [] })), 0);
        assert_eq!(none, "No validator contradicted itself.\n");
        let halted = text(
            &read(json!({ "height": 9, "age_ms": 90_000, "halted": true, "validators": [],
                "withdrawals_waiting": 2, "withdrawals_late": 1, "warnings": ["a certificate is missing"] })),
            0,
        );
        assert!(
            halted.contains("90 s old: the ledger stands still")
                && halted.contains("Warning: a certificate is missing\n")
                && halted.contains("yet: 2, of which late: 1")
        );
    }
}
