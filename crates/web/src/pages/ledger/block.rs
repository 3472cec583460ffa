//! One block with its transactions, and one transaction.

use super::{HERE, KeyMark, OrgMark, skipped};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::{At, Query};
use crate::layout::Layout;
use crate::ledger_text;
use crate::time::{self, Moment};
use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use vitals::explorer::{TRANSACTIONS_MAX, Transaction};
use vitals::ledger::Outcome;

/// What became of a transaction: icon, word, sentence.
struct Verdict {
    icon: &'static str,
    word: &'static str,
    text: String,
}

impl Verdict {
    fn of(outcome: &Outcome) -> Self {
        let (icon, word, text) = match outcome {
            Outcome::Done { .. } => ("check", "Done", "It is final, and cannot be taken back.".into()),
            Outcome::Refused { reason } => {
                ("x", "Refused", format!("The contract refused it: {reason}. It changed nothing."))
            }
            Outcome::Pending => ("stale", "Waiting", "It waits for a block.".into()),
            Outcome::Unknown => ("stale", "Unknown", "This node does not know what became of it.".into()),
        };
        Self { icon, word, text }
    }
}

struct TransactionLine {
    id: String,
    short: String,
    org: OrgMark,
    words: String,
    verdict: Verdict,
}

impl TransactionLine {
    fn of(app: &App, one: &Transaction) -> Self {
        Self {
            id: format::hex(&one.id),
            short: format::short_hex(&one.id),
            org: OrgMark::sending(app, one.org, &one.sender),
            words: ledger_text::action(&one.action),
            verdict: Verdict::of(&one.outcome),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/ledger_block.html")]
struct BlockPage {
    layout: Layout,
    height: u64,
    shown: String,
    at: Moment,
    age: String,
    leader: KeyMark,
    genesis_block: bool,
    skipped: Option<String>,
    newer: Option<u64>,
    transactions: Vec<TransactionLine>,
    count: usize,
    pruned: bool,
    from: usize,
    earlier: Option<usize>,
    later: Option<usize>,
    committee: Vec<String>,
    facts: Vec<(&'static str, String)>,
}

/// `/ledger/blocks/{height}`.
pub(crate) async fn page(
    State(app): State<App>,
    At(height): At<String>,
    query: Query,
    caller: Caller,
) -> Answer {
    let nothing = Error::not_found;
    let height: u64 = crate::pages::named(&height).ok_or_else(nothing)?;
    let first: usize = match query.field("first") {
        "" => 0,
        text => crate::pages::named(text)
            .ok_or_else(|| Error::wrong("The address names a place that cannot be."))?,
    };
    let session = caller.session.clone();
    let block = app
        .ask(move |clinic, now_ms| clinic.ledger_block(&session, height, first, now_ms))
        .await?
        .ok_or_else(nothing)?;
    let (line, now_ms) = (&block.line, app.now_ms());
    let end = block.first.saturating_add(block.transactions.len());
    Ok(app.render(&BlockPage {
        layout: Layout::of(&app, &caller, HERE),
        height,
        shown: format::count(height),
        at: Moment(line.time_ms),
        age: time::ago(line.time_ms, now_ms),
        leader: KeyMark::of(&app, &line.leader, line.leader_org),
        genesis_block: height == 0,
        skipped: skipped(line.skipped),
        newer: (height < app.clinic().health(now_ms).height).then(|| height + 1),
        transactions: block.transactions.iter().map(|one| TransactionLine::of(&app, one)).collect(),
        count: line.transactions,
        pruned: line.pruned,
        from: block.first + 1,
        earlier: (block.first != 0).then(|| block.first.saturating_sub(TRANSACTIONS_MAX)),
        later: (end < line.transactions && !block.transactions.is_empty()).then_some(end),
        committee: block.committee.iter().map(|key| format::hex(key)).collect(),
        facts: vec![
            ("digest", format::hex(&block.digest)),
            ("parent", format::hex(&block.parent)),
            ("epoch, view", format!("{}, {}", format::count(line.epoch), format::count(line.view))),
            ("state root", format::hex(&block.state_root)),
            ("transactions root", format::hex(&block.transactions_root)),
            ("receipts root", format::hex(&block.receipts_root)),
        ],
    }))
}

#[derive(Serialize)]
struct Seen {
    height: u64,
    /// Of the block's header; nothing if there is none at this height.
    digest: Option<String>,
}

/// The largest height a page can remember: the largest integer that JavaScript represents exactly.
const HEIGHT_MAX: u64 = (1 << 53) - 1;

/// `/ledger/heads/{height}`: for a page that remembers this height and compares it with what it saw.
pub(crate) async fn head(State(app): State<App>, At(height): At<String>, caller: Caller) -> Answer {
    let height =
        crate::pages::named(&height).filter(|height| *height <= HEIGHT_MAX).ok_or_else(Error::not_found)?;
    let session = caller.session.clone();
    let digest = app
        .ask(move |clinic, now_ms| clinic.ledger_head(&session, height, now_ms))
        .await?
        .map(|digest| format::hex(&digest));
    Ok(Json(Seen { height, digest }).into_response())
}

#[derive(Template)]
#[template(path = "pages/ledger_transaction.html")]
struct TransactionPage {
    layout: Layout,
    org: OrgMark,
    words: String,
    verdict: Verdict,
    place: Option<(u64, String, Moment)>,
    particulars: Vec<(&'static str, String)>,
    facts: Vec<(&'static str, String)>,
}

/// `/ledger/transactions/{transaction}`.
pub(crate) async fn transaction(State(app): State<App>, At(id): At<String>, caller: Caller) -> Answer {
    let nothing = Error::not_found;
    let mut name = [0; 32];
    hex::decode_to_slice(&id, &mut name).map_err(|_| nothing())?;
    if format::hex(&name) != id {
        return Err(nothing());
    }
    let session = caller.session.clone();
    let one = app
        .ask(move |clinic, now_ms| clinic.ledger_transaction(&session, &name, now_ms))
        .await?
        .ok_or_else(nothing)?;
    let account = |bytes: &[u8; 20]| format!("0x{}", format::hex(bytes));
    let called = match (&one.contract, &one.function) {
        (Some(contract), Some(function)) => format!("{contract}.{function}"),
        (Some(contract), None) => contract.clone(),
        (None, _) => one.to.as_ref().map_or_else(|| "a new contract".into(), account),
    };
    let gas = match one.gas_used {
        Some(used) => format!("{} of at most {}", format::count(used), format::count(one.gas_limit)),
        None => format!("at most {}", format::count(one.gas_limit)),
    };
    let mut org = OrgMark::sending(&app, one.org, &one.sender);
    // It begins the heading.
    org.name = format::capital(&org.name);
    Ok(app.render(&TransactionPage {
        layout: Layout::of(&app, &caller, HERE),
        org,
        words: ledger_text::action(&one.action),
        verdict: Verdict::of(&one.outcome),
        place: one.place.map(|at| (at.height, format::count(at.height), Moment(at.time_ms))),
        particulars: ledger_text::action_particulars(&one.action),
        facts: vec![
            ("name", format::hex(&one.id)),
            ("calls", called),
            ("sent from", account(&one.sender)),
            ("number of its sender", format::count(one.nonce)),
            ("gas", gas),
            ("bytes", format::count(one.bytes as u64)),
        ],
    }))
}
