//! Proposing a change of validators, and voting for one. Each is asked twice: the first post shows what it
//! would do, the second does it.

use super::HERE;
use crate::app::App;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::{At, Posted};
use crate::layout::Layout;
use crate::ledger_text;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use vitals::governance::{Motion, is_endpoint};

/// What the second post says.
const YES: &str = "yes";
/// When a change acts.
const EFFECT: &str = "Organisations that run validators have one vote each. Once more than half of them have voted for it, it acts two epochs later. A proposal without enough votes lapses after a week.";

#[derive(Template)]
#[template(path = "pages/ledger_confirm.html")]
struct ConfirmPage {
    layout: Layout,
    question: &'static str,
    sentence: String,
    particulars: Vec<(&'static str, String)>,
    effect: &'static str,
    action: String,
    fields: Vec<(&'static str, String)>,
    button: &'static str,
}

/// Asks the clinic whether this person may decide here at all, before anything else is shown.
async fn may_govern(app: &App, posted: &Posted) -> Result<(), Error> {
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_govern(&session, now_ms)).await
}

fn is_confirmed(posted: &Posted) -> Result<bool, Error> {
    match posted.field("confirm") {
        "" => Ok(false),
        YES => Ok(true),
        _ => Err(wrong("The field “confirm” says something else than yes.")),
    }
}

fn wrong(why: &str) -> Error {
    let message = Error::wrong(&format!("{why} Nothing was changed."));
    message.back("/ledger/authorities", "Back to Authorities")
}

fn sent(app: &App, posted: &Posted) -> Answer {
    let there = format!("/ledger/authorities?sent={}", posted.caller.done(app));
    Ok(Redirect::to(&there).into_response())
}

/// The change a form asks for, or what is wrong with it.
fn wanted(posted: &Posted) -> Result<Motion, &'static str> {
    let mut key = [0; 32];
    hex::decode_to_slice(posted.field("key").trim(), &mut key)
        .map_err(|_| "A validator’s key has 64 hexadecimal digits.")?;
    let org = posted.field("organisation").trim().parse();
    let org = org.map_err(|_| "An organisation’s id has 32 hexadecimal digits, in lower case.")?;
    let endpoint = posted.field("endpoint").trim().to_string();
    if !is_endpoint(&endpoint) {
        return Err("A validator is found at host:port, for example ledger.hospital.example:9000.");
    }
    match posted.field("change") {
        "unseat" => Ok(Motion::RemoveValidator { key }),
        "seat" => Ok(Motion::AddValidator { key, org, endpoint }),
        _ => Err("A proposal seats a validator or unseats one."),
    }
}

/// `POST /ledger/proposals`.
pub(crate) async fn propose(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&["change", "key", "organisation", "endpoint", "confirm?"])?;
    may_govern(&app, &posted).await?;
    let wanted = wanted(&posted).map_err(wrong)?;
    if is_confirmed(&posted)? {
        let session = posted.caller.session.clone();
        app.ask(move |clinic, now_ms| clinic.propose(&session, wanted, now_ms)).await?;
        return sent(&app, &posted);
    }
    let field = |name| (name, posted.field(name).trim().to_string());
    Ok(app.render(&ConfirmPage {
        layout: layout(&app, &posted),
        question: "Propose this change?",
        sentence: format!("{}.", format::capital(&ledger_text::motion(&wanted))),
        particulars: ledger_text::motion_particulars(&wanted),
        effect: EFFECT,
        action: "/ledger/proposals".into(),
        fields: ["change", "key", "organisation", "endpoint"].map(field).into(),
        button: "Propose it",
    }))
}

/// `POST /ledger/proposals/{proposal}/vote`.
pub(crate) async fn vote(State(app): State<App>, At(id): At<String>, posted: Posted) -> Answer {
    posted.fits(&["confirm?"])?;
    may_govern(&app, &posted).await?;
    let nothing = Error::not_found;
    let id: u64 = crate::pages::named(&id).ok_or_else(nothing)?;
    let session = posted.caller.session.clone();
    let governance = app.ask(move |clinic, now_ms| clinic.ledger_governance(&session, now_ms)).await?;
    let proposal = governance.proposals.into_iter().find(|one| one.id == id).ok_or_else(nothing)?;
    if !proposal.is_open(app.now_ms()) {
        return Err(wrong("This proposal takes no more votes."));
    }
    if is_confirmed(&posted)? {
        let session = posted.caller.session.clone();
        app.ask(move |clinic, now_ms| clinic.vote(&session, id, now_ms)).await?;
        return sent(&app, &posted);
    }
    Ok(app.render(&ConfirmPage {
        layout: layout(&app, &posted),
        question: "Vote for this proposal?",
        sentence: format!("{}.", format::capital(&ledger_text::motion(&proposal.motion))),
        particulars: ledger_text::motion_particulars(&proposal.motion),
        effect: EFFECT,
        action: format!("/ledger/proposals/{id}/vote"),
        fields: Vec::new(),
        button: "Vote for it",
    }))
}

fn layout(app: &App, posted: &Posted) -> Layout {
    let mut layout = Layout::of(app, &posted.caller, HERE);
    // The answer to a post has no address to go back to.
    layout.path = "/ledger/authorities".into();
    layout
}
