//! The answers as text for a terminal.

use super::Look;
use serde_json::Value;
use std::fmt::Write;
use vitals::explorer::count;

/// The answer to this question, as lines.
pub(super) fn told(look: &Look, said: &Value, now_ms: u64) -> String {
    let mut out = String::new();
    match look {
        Look::Blocks { .. } => blocks(&mut out, said, now_ms),
        Look::Block { .. } => block(&mut out, said, now_ms),
        Look::Tx { .. } => transaction(&mut out, said, now_ms),
        Look::Authorities => authorities(&mut out, said, now_ms),
        Look::Evidence => evidence(&mut out, said),
        Look::Health => health(&mut out, said, now_ms),
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".into(), count)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The two ends of a long word.
fn ends(value: &Value) -> String {
    match text(value) {
        "" => "–".into(),
        word if word.len() > 12 && word.is_ascii() => format!("{}…{}", &word[..6], &word[word.len() - 4..]),
        word => word.into(),
    }
}

fn who(told: &Value) -> String {
    match &told["organisation"] {
        Value::Null => format!("account {}", ends(&told["sender"])),
        org => format!("organisation {}", ends(org)),
    }
}

fn ago(at_ms: &Value, now_ms: u64) -> String {
    let Some(at_ms) = at_ms.as_u64() else { return "never".into() };
    match now_ms.saturating_sub(at_ms) / 1000 {
        s @ 0..=119 => format!("{s} s ago"),
        s @ 120..=7199 => format!("{} min ago", s / 60),
        s @ 7200..=172_799 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

fn head(out: &mut String, line: &Value, now_ms: u64) {
    let skipped = match line["skipped"].as_u64() {
        None | Some(0) => String::new(),
        Some(turns) => format!(", {turns} skipped before it"),
    };
    let leader =
        if line["leader_organisation"].is_null() { &line["leader"] } else { &line["leader_organisation"] };
    let _ = writeln!(
        out,
        "{}  {}  led by {}{skipped}  transactions: {}",
        number(&line["height"]),
        ago(&line["time_ms"], now_ms),
        ends(leader),
        number(&line["transactions"]),
    );
}

fn blocks(out: &mut String, said: &Value, now_ms: u64) {
    for line in list(&said["blocks"]) {
        head(out, line, now_ms);
        for told in list(&line["told"]) {
            let _ = writeln!(out, "    {} {}", who(told), text(&told["words"]));
        }
    }
    match said["next"].as_u64() {
        Some(next) => {
            let _ = writeln!(out, "Older blocks: --before {next}");
        }
        None if out.is_empty() => out.push_str("No blocks.\n"),
        None => {}
    }
}

fn block(out: &mut String, said: &Value, now_ms: u64) {
    head(out, said, now_ms);
    for name in ["digest", "parent", "state_root", "transactions_root", "receipts_root"] {
        let _ = writeln!(out, "  {name:<18} {}", text(&said[name]));
    }
    for key in list(&said["committee"]) {
        let _ = writeln!(out, "  next committee     {}", text(key));
    }
    for one in list(&said["shown"]) {
        let _ = writeln!(
            out,
            "{:>4}  {} {}: {}\n      {}",
            number(&one["index"]),
            who(one),
            text(&one["words"]),
            outcome(one),
            text(&one["id"])
        );
    }
}

fn outcome(one: &Value) -> String {
    match one["reason"].as_str() {
        Some(reason) => format!("{}, {reason}", text(&one["outcome"])),
        None => text(&one["outcome"]).into(),
    }
}

fn transaction(out: &mut String, said: &Value, now_ms: u64) {
    let _ = writeln!(out, "{} {}", who(said), text(&said["words"]));
    let place = match said["height"].as_u64() {
        Some(height) => format!("block {}, {}", count(height), ago(&said["time_ms"], now_ms)),
        None => "no block yet".into(),
    };
    let called = match (text(&said["contract"]), text(&said["function"])) {
        ("", _) => text(&said["to"]).to_owned(),
        (contract, "") => contract.into(),
        (contract, function) => format!("{contract}.{function}"),
    };
    let gas = format!("{} of at most {}", number(&said["gas_used"]), number(&said["gas_limit"]));
    for (label, value) in [
        ("name", text(&said["id"]).into()),
        ("outcome", outcome(said)),
        ("stands in", place),
        ("calls", called),
        ("sent from", text(&said["sender"]).into()),
        ("gas", gas),
    ] {
        let _ = writeln!(out, "  {label:<18} {value}");
    }
    for (label, value) in said["particulars"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "  {label:<18} {}", text(value));
    }
}

fn authorities(out: &mut String, said: &Value, now_ms: u64) {
    let committee = list(&said["committee"]).count();
    let _ = writeln!(
        out,
        "Epoch {} of {} blocks: {committee} validators, {} make a block final",
        number(&said["epoch"]),
        number(&said["epoch_blocks"]),
        number(&said["quorum"])
    );
    for one in list(&said["validators"]) {
        let seat = match (one["seated"] == true, one["until_epoch"].as_u64()) {
            (true, None) => format!("seated since epoch {}", number(&one["since_epoch"])),
            (true, Some(until)) => format!("seated, leaves in epoch {}", count(until)),
            (false, None) => format!("joins in epoch {}", number(&one["since_epoch"])),
            (false, Some(until)) => format!("left in epoch {}", count(until)),
        };
        let at = if text(&one["endpoint"]).is_empty() { "no address" } else { text(&one["endpoint"]) };
        let _ = writeln!(
            out,
            "  {}\n    organisation {}, {seat}, {at}",
            text(&one["key"]),
            ends(&one["organisation"])
        );
    }
    for one in list(&said["proposals"]) {
        let orgs = |name: &str| list(&one[name]).map(ends).collect::<Vec<_>>().join(", ");
        let votes = list(&one["votes"]).count();
        let _ = writeln!(out, "Proposal {}: {}", number(&one["id"]), text(&one["words"]));
        let _ = match one["acts_from_epoch"].as_u64() {
            Some(epoch) => writeln!(out, "  accepted; acts from epoch {}", count(epoch)),
            None => writeln!(
                out,
                "  proposed {} by {}; {votes} of {} votes ({}); may still vote: {}",
                ago(&one["proposed_at_ms"], now_ms),
                ends(&one["proposer"]),
                number(&one["needed"]),
                orgs("votes"),
                orgs("may_vote")
            ),
        };
    }
}

fn evidence(out: &mut String, said: &Value) {
    for one in list(&said["evidence"]) {
        let _ = writeln!(
            out,
            "organisation {} {} (epoch {}, view {})\n  validator {}\n  both votes {}",
            ends(&one["organisation"]),
            text(&one["words"]),
            number(&one["epoch"]),
            number(&one["view"]),
            text(&one["validator"]),
            text(&one["votes"])
        );
    }
    if out.is_empty() {
        out.push_str("No validator contradicted itself.\n");
    }
}

fn health(out: &mut String, said: &Value, now_ms: u64) {
    let moves = if said["halted"] == true { "the ledger stands still" } else { "the ledger moves" };
    let age_s = said["age_ms"].as_u64().unwrap_or(0) / 1000;
    let _ = writeln!(out, "Height {}, newest block {age_s} s old: {moves}", number(&said["height"]));
    for one in list(&said["validators"]) {
        let turns = one["led"].as_u64().unwrap_or(0) + one["skipped"].as_u64().unwrap_or(0);
        let connected = match (&one["own"], &one["connected"]) {
            (Value::Bool(true), _) => "this node".into(),
            (_, Value::Bool(true)) => "connected".into(),
            (_, Value::Bool(false)) => format!("away, heard {}", ago(&one["heard_at_ms"], now_ms)),
            _ => "not heard since this node started".to_owned(),
        };
        let _ = writeln!(
            out,
            "  {}\n    organisation {}: {connected}; last led {}; {} of {} turns skipped; {} blocks behind",
            text(&one["key"]),
            ends(&one["organisation"]),
            number(&one["last_led"]),
            number(&one["skipped"]),
            count(turns),
            number(&one["behind"])
        );
        if one["dropped_at_ms"].is_u64() {
            let (times, ago) = (number(&one["drops"]), ago(&one["dropped_at_ms"], now_ms));
            let _ =
                writeln!(out, "    sent what no honest validator sends: dropped {times} times, last {ago}");
        }
    }
    for warning in list(&said["warnings"]) {
        let _ = writeln!(out, "Warning: {}", text(warning));
    }
    match (said["withdrawals_waiting"].as_u64(), said["withdrawals_late"].as_u64()) {
        (Some(waiting), Some(late)) if waiting != 0 => {
            let _ =
                writeln!(out, "Withdrawn consents not on the ledger yet: {waiting}, of which late: {late}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_and_validators_are_told_in_lines() {
        let said = json!({ "blocks": [{
            "height": 1204, "time_ms": 1_000, "skipped": 1, "leader": "aa".repeat(32),
            "leader_organisation": "0c".repeat(16), "transactions": 1,
            "told": [{ "organisation": "0c".repeat(16), "sender": "ee", "words": "anchored its log of 7 leaves" }],
        }], "next": 1204 });
        let look = Look::Blocks { before: None, most: 1, organisation: None };
        assert_eq!(
            told(&look, &said, 61_000),
            "1\u{202f}204  60 s ago  led by 0c0c0c…0c0c, 1 skipped before it  transactions: 1\n    \
             organisation 0c0c0c…0c0c anchored its log of 7 leaves\nOlder blocks: --before 1204\n"
        );
        let none = told(&Look::Evidence, &json!({ "evidence": [] }), 0);
        assert_eq!(none, "No validator contradicted itself.\n");
        let halted = json!({ "height": 9, "age_ms": 90_000, "halted": true, "validators": [],
            "withdrawals_waiting": 2, "withdrawals_late": 1, "warnings": ["a certificate is missing"] });
        let halted = told(&Look::Health, &halted, 0);
        assert!(
            halted.contains("90 s old: the ledger stands still")
                && halted.contains("Warning: a certificate is missing\n")
                && halted.contains("yet: 2, of which late: 1")
        );
    }
}
