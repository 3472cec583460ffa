//! The ledger for administrators and auditors: blocks newest first, and what was searched for.

pub(crate) mod authorities;
pub(crate) mod block;
pub(crate) mod proposals;

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::Query;
use crate::layout::Layout;
use crate::ledger_text;
use crate::refusals;
use crate::refusals::Reason;
use crate::time::{self, Moment};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use clinic::views::LedgerHealth;
use vitals::OrgId;
use vitals::explorer::{BlockLine, BlockQuery, Governance, TransactionSummary};

/// Where the navigation points.
const HERE: &str = "/ledger";
/// Blocks on a page.
const BLOCKS: usize = 25;
/// Longest text searched for.
const FIND_CHARS_MAX: usize = 80;

/// An organisation as these pages name it: our own by its name, others by the ends of their id.
pub(crate) struct OrgMark {
    pub(crate) name: String,
    /// The whole id; empty for an account that is no organisation's.
    pub(crate) id: String,
}

impl OrgMark {
    fn of(app: &App, org: OrgId) -> Self {
        let own = org == app.clinic().org();
        let name = if own {
            app.settings().hospital.clone()
        } else {
            format!("organisation {}", format::short_hex(&org.0))
        };
        Self { name, id: org.to_string() }
    }

    fn sending(app: &App, org: Option<OrgId>, sender: &[u8; 20]) -> Self {
        org.map_or_else(
            || Self { name: format!("account {}", format::short_hex(sender)), id: String::new() },
            |org| Self::of(app, org),
        )
    }
}

/// A validator's key with whose it is.
pub(crate) struct KeyMark {
    pub(crate) short: String,
    pub(crate) key: String,
    pub(crate) org: Option<OrgMark>,
}

impl KeyMark {
    fn of(app: &App, key: &[u8; 32], org: Option<OrgId>) -> Self {
        let org = org.map(|org| OrgMark::of(app, org));
        Self { short: format::short_hex(key), key: format::hex(key), org }
    }
}

struct SummaryLine {
    org: OrgMark,
    words: String,
}

/// One block, or several without transactions.
struct Line {
    height: u64,
    shown: String,
    at: Moment,
    leader: KeyMark,
    skipped: Option<String>,
    summaries: Vec<SummaryLine>,
    more: usize,
    /// There were transactions, which are not kept any more.
    pruned: bool,
    /// How many blocks without transactions stand here, and the oldest of them.
    quiet: Option<(usize, u64, String)>,
}

struct Fact {
    label: &'static str,
    value: String,
    note: String,
}

#[derive(Template)]
#[template(path = "pages/ledger.html")]
struct LedgerPage {
    layout: Layout,
    facts: Vec<Fact>,
    lines: Vec<Line>,
    only: Option<OrgMark>,
    find: String,
    problem: Option<String>,
    older: Option<String>,
    /// What is older is not kept here.
    pruned: bool,
    newest: bool,
    genesis: String,
}

/// Views in which nothing was agreed, in words.
fn skipped(views: u64) -> Option<String> {
    match views {
        0 => None,
        1 => Some("after 1 skipped turn".into()),
        n => Some(format!("after {} skipped turns", format::count(n))),
    }
}

fn lines(app: &App, blocks: &[BlockLine]) -> Vec<Line> {
    let line = |summary: &TransactionSummary| SummaryLine {
        org: OrgMark::sending(app, summary.org, &summary.sender),
        words: ledger_text::action(&summary.action),
    };
    let mut lines: Vec<Line> = Vec::new();
    for block in blocks {
        let quiet = block.transactions == 0 && block.skipped == 0 && !block.pruned;
        let before = lines.last_mut().and_then(|line| line.quiet.as_mut());
        match before.filter(|_| quiet) {
            Some((count, oldest, shown)) => {
                (*count, *oldest, *shown) = (*count + 1, block.height, format::count(block.height));
            }
            None => lines.push(Line {
                height: block.height,
                shown: format::count(block.height),
                at: Moment(block.time_ms),
                leader: KeyMark::of(app, &block.leader, block.leader_org),
                skipped: skipped(block.skipped),
                summaries: block.summaries.iter().map(line).collect(),
                more: block.transactions.saturating_sub(block.summaries.len()),
                pruned: block.pruned,
                quiet: quiet.then(|| (1, block.height, format::count(block.height))),
            }),
        }
    }
    lines
}

fn facts(governance: &Governance, health: &LedgerHealth) -> Vec<Fact> {
    let fact = |label, value: String, note: String| Fact { label, value, note };
    let authorities = &governance.authorities;
    let open = governance.proposals.iter().filter(|one| one.is_open(health.tip_ms)).count();
    vec![
        fact(
            "Height",
            format::count(health.height),
            format!("newest block {} ago", time::age(health.age_ms)),
        ),
        fact(
            "Validators",
            authorities.committee.len().to_string(),
            format!(
                "{} a block final; {} may fail or lie",
                match authorities.quorum() {
                    1 => "1 makes".into(),
                    n => format!("{n} make"),
                },
                match authorities.max_faulty() {
                    0 => "none".into(),
                    n => n.to_string(),
                }
            ),
        ),
        fact(
            "Epoch",
            format::count(authorities.epoch),
            match authorities.epoch_ends().filter(|_| authorities.epoch_blocks < 1 << 32) {
                None => "it does not end".into(),
                Some(end) => format!("ends at height {}", format::count(end)),
            },
        ),
        fact("Open proposals", open.to_string(), if open == 0 { "none" } else { "see Authorities" }.into()),
        fact(
            "Evidence",
            governance.evidence.len().to_string(),
            if governance.evidence.is_empty() {
                "no validator contradicted itself"
            } else {
                "a validator contradicted itself"
            }
            .into(),
        ),
    ]
}

/// What a search names.
enum Found {
    Height(u64),
    Transaction([u8; 32]),
    Organisation(OrgId),
}

fn understood(find: &str) -> Option<Found> {
    let plain: String = find.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let digits = plain.strip_prefix("0x").unwrap_or(&plain);
    if digits.len() == 64 {
        let mut id = [0; 32];
        return hex::decode_to_slice(digits, &mut id).ok().map(|()| Found::Transaction(id));
    }
    if digits.len() == 32 {
        return digits.parse().ok().map(Found::Organisation);
    }
    let number = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| plain.parse().ok().map(Found::Height)).flatten()
}

/// Where a search leads, or a sentence and a status why it leads nowhere.
async fn search(
    app: &App,
    caller: &Caller,
    find: &str,
) -> Result<Result<String, (StatusCode, String)>, Error> {
    let session = caller.session.clone();
    let nowhere = |why: &str| Ok(Err((StatusCode::NOT_FOUND, why.to_string())));
    let found = if find.chars().count() > FIND_CHARS_MAX { None } else { understood(find) };
    match found {
        None => {
            // A caller who may not look is refused first.
            app.ask(move |clinic, now_ms| clinic.ledger_governance(&session, now_ms)).await?;
            let why = "Search for a height (digits), a transaction (64 hexadecimal digits) or an organisation (32).";
            Ok(Err((StatusCode::UNPROCESSABLE_ENTITY, why.into())))
        }
        Some(Found::Height(height)) => {
            match app.ask(move |clinic, now_ms| clinic.ledger_block(&session, height, 0, now_ms)).await? {
                Some(_) => Ok(Ok(format!("/ledger/blocks/{height}"))),
                None => nowhere("No block with this height is final here."),
            }
        }
        Some(Found::Transaction(id)) => {
            match app.ask(move |clinic, now_ms| clinic.ledger_transaction(&session, &id, now_ms)).await? {
                Some(_) => Ok(Ok(format!("/ledger/transactions/{}", format::hex(&id)))),
                None => {
                    nowhere("No transaction with this name is known here. Those of older blocks are pruned.")
                }
            }
        }
        Some(Found::Organisation(org)) => Ok(Ok(format!("/ledger?org={org}"))),
    }
}

fn wanted(query: &Query) -> Result<BlockQuery, Error> {
    let wrong = |what: &str| Error::wrong(&format!("The address names {what} that does not exist."));
    let before = match query.field("before") {
        "" => None,
        text => Some(super::named(text).ok_or_else(|| wrong("a height"))?),
    };
    let org = match query.field("org") {
        "" => None,
        text => Some(super::named(text).ok_or_else(|| wrong("an organisation"))?),
    };
    Ok(BlockQuery { before, most: BLOCKS, org })
}

/// `/ledger`: blocks, newest first, or those of one organisation; `?find=` leads to one thing.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let wanted = wanted(&query)?;
    let find = query.field("find").to_string();
    let mut problem = None;
    if !find.trim().is_empty() {
        match search(&app, &caller, &find).await? {
            Ok(there) => return Ok(Redirect::to(&there).into_response()),
            Err(why) => problem = Some(why),
        }
    }
    let session = caller.session.clone();
    let (blocks, governance) = app
        .ask(move |clinic, now_ms| {
            Ok((
                clinic.ledger_blocks(&session, &wanted, now_ms)?,
                clinic.ledger_governance(&session, now_ms)?,
            ))
        })
        .await?;
    let health = app.clinic().health(app.now_ms());
    let only = wanted.org.map(|org| format!("&org={org}")).unwrap_or_default();
    let response = app.render(&LedgerPage {
        facts: facts(&governance, &health),
        lines: lines(&app, &blocks.blocks),
        only: wanted.org.map(|org| OrgMark::of(&app, org)),
        find: find.chars().take(FIND_CHARS_MAX).collect(),
        problem: problem.as_ref().map(|(_, why)| why.clone()),
        older: blocks.next.map(|before| format!("/ledger?before={before}{only}")),
        pruned: blocks.pruned,
        newest: wanted.before.is_none(),
        genesis: app.clinic().genesis().to_string(),
        layout: Layout::of(&app, &caller, HERE),
    });
    Ok(match problem {
        None => response,
        Some((status, _)) => {
            let reason = if status == StatusCode::NOT_FOUND { Reason::NotFound } else { Reason::Wrong };
            let mut response = refusals::mark(response, reason);
            *response.status_mut() = status;
            response
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_understood_as_people_paste_it() {
        assert!(matches!(understood(" 1\u{202f}204 "), Some(Found::Height(1204))));
        assert!(matches!(understood(&"aB".repeat(32)), Some(Found::Transaction(id)) if id == [0xab; 32]));
        assert!(matches!(understood(&format!("0x{}", "01".repeat(32))), Some(Found::Transaction(_))));
        assert!(matches!(understood(&"0c".repeat(16)), Some(Found::Organisation(org)) if org.0 == [12; 16]));
        for nothing in ["", "-1", "1e3", "hello", "0x10", "99999999999999999999", &"g".repeat(64), "１２"] {
            assert!(understood(nothing).is_none(), "{nothing}");
        }
    }
}
