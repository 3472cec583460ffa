//! Who agrees on blocks: validators and how they are, proposals with their votes, evidence, epochs.

use super::{HERE, KeyMark, OrgMark};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format;
use crate::forms::Query;
use crate::layout::Layout;
use crate::ledger_text;
use crate::time::{self, Moment};
use askama::Template;
use axum::extract::State;
use vitals::explorer::{Authority, Evidence, Governance, Proposal, TURNS_BLOCKS_MAX, ValidatorHealth};
use vitals::ledger::Role;

struct ValidatorCard {
    mark: KeyMark,
    title: String,
    own: bool,
    seat: String,
    seated: bool,
    away: bool,
    facts: Vec<(&'static str, String)>,
}

struct ProposalCard {
    id: u64,
    words: String,
    particulars: Vec<(&'static str, String)>,
    proposer: OrgMark,
    at: Moment,
    until: Moment,
    open: bool,
    state: String,
    votes: Vec<OrgMark>,
    may_vote: Vec<OrgMark>,
    /// Our own organisation's vote is missing, and this person may give it.
    ours: bool,
    count: usize,
    needed: usize,
}

struct EvidenceLine {
    mark: KeyMark,
    words: &'static str,
    round: String,
    votes: String,
}

#[derive(Template)]
#[template(path = "pages/ledger_authorities.html")]
struct AuthoritiesPage {
    layout: Layout,
    epoch: String,
    ends: Option<String>,
    lead: String,
    next: Vec<String>,
    validators: Vec<ValidatorCard>,
    proposals: Vec<ProposalCard>,
    evidence: Vec<EvidenceLine>,
    /// Where a change can be proposed.
    governs: bool,
    own_org: String,
    saved: Option<&'static str>,
    warnings: Vec<String>,
    window: String,
}

fn seat(one: &Authority, governance: &Governance) -> String {
    let authorities = &governance.authorities;
    let seated = authorities.committee.contains(&one.key);
    match (seated, one.until_epoch) {
        (false, _) if one.since_epoch > authorities.epoch => {
            format!("joins in epoch {}", format::count(one.since_epoch))
        }
        (true, Some(until)) => format!("seated, leaves in epoch {}", format::count(until)),
        (true, None) => format!("seated since epoch {}", format::count(one.since_epoch)),
        (false, Some(until)) => format!("left in epoch {}", format::count(until)),
        (false, None) => "not seated".into(),
    }
}

fn health_facts(health: &ValidatorHealth, tip: u64, now_ms: u64) -> Vec<(&'static str, String)> {
    let ago = |at_ms: u64| time::ago(at_ms, now_ms);
    let mut facts =
        vec![("last block led", health.last_led.map_or_else(|| "none of the newest".into(), format::count))];
    let turns = health.led + health.skipped;
    facts.push((
        "skipped turns",
        if turns == 0 {
            "no turn yet".into()
        } else {
            format!("{} of {}", format::count(health.skipped), format::count(turns))
        },
    ));
    if let Some(lag) = health.lag(tip) {
        facts.push((
            "behind",
            match lag {
                0 => "no block".into(),
                1 => "1 block".into(),
                n => format!("{} blocks", format::count(n)),
            },
        ));
    }
    if !health.own {
        let word = match health.connected(now_ms) {
            Some(true) => "yes".into(),
            Some(false) => {
                let last_ms = health.heard_at_ms.max(health.voted_at_ms).unwrap_or(0);
                format!("no; heard {}", ago(last_ms))
            }
            None => "not heard since this node started".into(),
        };
        facts.push(("connected", word));
    }
    if let Some(at_ms) = health.voted_at_ms {
        facts.push(("last vote", ago(at_ms)));
    }
    if let Some(at_ms) = health.dropped_at_ms {
        let often = if health.drops == 1 {
            String::new()
        } else {
            format!("{} times, ", format::count(health.drops))
        };
        facts.push(("dropped for what no honest validator sends", format!("{often}{}", ago(at_ms))));
    }
    facts
}

fn card(app: &App, one: &Authority, governance: &Governance, tip: u64, now_ms: u64) -> ValidatorCard {
    let health = governance.health.iter().find(|health| health.key == one.key);
    let mark = KeyMark::of(app, &one.key, one.org);
    let title = mark.org.as_ref().map_or_else(|| "No organisation".into(), |org| format::capital(&org.name));
    let mut facts = vec![(
        "found at",
        if one.endpoint.is_empty() { "no address given".into() } else { one.endpoint.clone() },
    )];
    facts.extend(health.map(|health| health_facts(health, tip, now_ms)).unwrap_or_default());
    ValidatorCard {
        title,
        own: health.is_some_and(|health| health.own),
        seat: seat(one, governance),
        seated: governance.authorities.committee.contains(&one.key),
        away: health.is_some_and(|health| health.connected(now_ms) == Some(false)),
        facts,
        mark,
    }
}

fn proposal(app: &App, one: &Proposal, tip_ms: u64, governs: bool) -> ProposalCard {
    let marks = |orgs: &[vitals::OrgId]| orgs.iter().map(|org| OrgMark::of(app, *org)).collect();
    let open = one.is_open(tip_ms);
    let state = match one.acts_from_epoch {
        Some(epoch) => format!("accepted; acts from epoch {}", format::count(epoch)),
        None if open => "open".into(),
        None => "lapsed: too few votes in time".into(),
    };
    ProposalCard {
        id: one.id,
        words: format::capital(&ledger_text::motion(&one.motion)),
        particulars: ledger_text::motion_particulars(&one.motion),
        proposer: OrgMark::of(app, one.proposer),
        at: Moment(one.proposed_at_ms),
        until: Moment(one.until_ms),
        open,
        state,
        votes: marks(&one.votes),
        may_vote: marks(&one.may_vote),
        ours: governs && open && one.may_vote.contains(&app.clinic().org()),
        count: one.votes.len(),
        needed: one.needed,
    }
}

fn evidence(app: &App, one: &Evidence) -> EvidenceLine {
    EvidenceLine {
        mark: KeyMark::of(app, &one.validator, one.org),
        words: ledger_text::conflict(one.conflict),
        round: format!("epoch {}, view {}", format::count(one.epoch), format::count(one.view)),
        votes: format::hex(&one.votes),
    }
}

/// What the next epoch changes, in words.
fn next(app: &App, governance: &Governance) -> Vec<String> {
    let authorities = &governance.authorities;
    let name = |key: &[u8; 32]| {
        let key_word = format::short_hex(key);
        match authorities.org_of(key) {
            Some(org) => format!("{key_word} of {}", OrgMark::of(app, org).name),
            None => key_word,
        }
    };
    let joins = authorities.next.iter().filter(|key| !authorities.committee.contains(key));
    let leaves = authorities.committee.iter().filter(|key| !authorities.next.contains(key));
    let joins = joins.map(|key| format!("{} joins", name(key)));
    joins.chain(leaves.map(|key| format!("{} leaves", name(key)))).collect()
}

fn lead(governance: &Governance) -> String {
    let authorities = &governance.authorities;
    let n = authorities.committee.len();
    match (n, authorities.max_faulty()) {
        (0 | 1, _) => "One validator decides alone. Four or more survive one that fails or lies.".into(),
        (n, 0) => {
            format!(
                "{n} validators must all agree on each block. Four or more survive one that fails or lies."
            )
        }
        (n, f) => format!(
            "{} of {n} validators make a block final. {f} of them may fail or lie without harm.",
            authorities.quorum()
        ),
    }
}

/// `/ledger/authorities`.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let governance = app.ask(move |clinic, now_ms| clinic.ledger_governance(&session, now_ms)).await?;
    let now_ms = app.now_ms();
    let health = app.clinic().health(now_ms);
    let authorities = &governance.authorities;
    let cards = authorities.validators.iter();
    let governs = caller.session.role == Role::Administrator;
    let saved = caller
        .was_done(&app, query.field("sent"))
        .then_some("It is on its way to the ledger. Reload in a moment to see it.");
    Ok(app.render(&AuthoritiesPage {
        layout: Layout::of(&app, &caller, HERE),
        epoch: format::count(authorities.epoch),
        ends: authorities.epoch_ends().filter(|_| authorities.epoch_blocks < 1 << 32).map(|end| {
            format!("{}, in {} blocks", format::count(end), format::count(end.saturating_sub(health.height)))
        }),
        lead: lead(&governance),
        next: next(&app, &governance),
        validators: cards.map(|one| card(&app, one, &governance, health.height, now_ms)).collect(),
        proposals: governance
            .proposals
            .iter()
            .map(|one| proposal(&app, one, health.tip_ms, governs))
            .collect(),
        evidence: governance.evidence.iter().map(|one| evidence(&app, one)).collect(),
        governs,
        own_org: app.clinic().org().to_string(),
        saved,
        warnings: governance.warnings.iter().map(|one| format::capital(one)).collect(),
        window: format::count(TURNS_BLOCKS_MAX as u64),
    }))
}
