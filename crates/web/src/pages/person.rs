//! One of the people of this organisation, for its administrators: how they stand, open sessions, history, and what an
//! administrator may do.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{At, Posted, Query};
use crate::layout::Layout;
use crate::people_text::{self, StateText};
use crate::refusals::{self, Reason};
use crate::time::Moment;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use clinic::views::{EventLine, PersonPage as View, PersonState, SessionView};
use clinic::{ClinicError, Token};
use vitals::PersonId;
use vitals::ledger::Role;

const LIST: &str = "/admin/people";

struct SessionRow {
    id: String,
    since: Moment,
    used: Moment,
    place: &'static str,
}

struct HistoryRow {
    at: Moment,
    who: String,
    what: &'static str,
    reason: String,
}

/// A link that is shown this once.
struct ShownLink {
    address: String,
    until: Moment,
    /// What whoever has it can do.
    power: &'static str,
}

/// A form of this page that did not fit: which, what was typed, and why.
struct Refused {
    form: &'static str,
    reason: String,
    why: String,
}

#[derive(Template)]
#[template(path = "pages/person.html")]
struct PersonPage {
    layout: Layout,
    /// Address of this page.
    here: String,
    name: String,
    login: String,
    role: &'static str,
    bed: String,
    state: StateText,
    is_invitation: bool,
    is_withdrawn: bool,
    /// What is true of the state, beyond its words.
    note: &'static str,
    signed_in: Option<Moment>,
    vault_kept: bool,
    sessions: Vec<SessionRow>,
    history: Vec<HistoryRow>,
    seen: u64,
    link: Option<ShownLink>,
    saved: Option<&'static str>,
    refused: Option<Refused>,
    /// Is it the account of whoever looks?
    is_self: bool,
    /// Why the account is suspended.
    suspended_for: Option<String>,
    /// The account exists and is not suspended.
    can_be_suspended: bool,
    is_patient: bool,
    password_link_until: Option<Moment>,
}

impl PersonPage {
    /// Why a form does not fit.
    fn fault(&self, form: &str) -> Option<&str> {
        self.refused.as_ref().filter(|one| one.form == form).map(|one| one.why.as_str())
    }

    /// What was typed into a form.
    fn typed(&self, form: &str) -> &str {
        self.refused.as_ref().filter(|one| one.form == form).map_or("", |one| one.reason.as_str())
    }
}

fn note(state: &PersonState) -> &'static str {
    match state {
        PersonState::Invited { .. } => {
            "Nobody has made this account yet. If the link is lost, make a new one: the old one stops working."
        }
        PersonState::InvitationEnded { .. } => {
            "The link was not used in time. Make a new one if it is still wanted."
        }
        PersonState::InvitationWithdrawn => "No link works. A new one opens the invitation again.",
        PersonState::Unconfirmed => {
            "The account is made, and its enrolment is on the way. Until the ledger confirms it, this person can sign in and do nothing."
        }
        PersonState::Active => "",
        PersonState::Suspended(_) => {
            "This person cannot sign in, and nothing opens for them. Consents that patients gave them stay as they are and open nothing until the account is reinstated. The ledger, which only knows suspensions for good, still names this person."
        }
        PersonState::EndedOnLedger => {
            "The ledger ended this enrolment for good. The person can do nothing here."
        }
    }
}

fn session_row(one: &SessionView) -> SessionRow {
    SessionRow {
        id: hex::encode(one.id),
        since: Moment(one.since_ms),
        used: Moment(one.used_ms),
        place: if one.is_here {
            "the operator’s tools on the node"
        } else {
            "a browser or program over the network"
        },
    }
}

fn history_row(one: EventLine) -> HistoryRow {
    let who = match one.by {
        _ if one.by_self => "This person".into(),
        Some(name) => name,
        None => "The operator of the node".into(),
    };
    HistoryRow { at: Moment(one.at_ms), who, what: people_text::event(one.event), reason: one.reason }
}

/// The person an address names; anybody else is not found.
fn person_id(text: &str) -> Result<PersonId, Error> {
    super::named(text).ok_or_else(Error::not_found)
}

/// The link as it is handed over, from the address under which this administrator reaches the node.
fn address_of(app: &App, headers: &HeaderMap, path: &str, secret: &Token) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let scheme = if app.settings().behind_tls { "https" } else { "http" };
    format!("{scheme}://{host}{path}{}", secret.expose())
}

/// The link that this administrator made for this person and has not seen.
fn unshown(app: &App, caller: &Caller, headers: &HeaderMap, view: &View) -> Option<ShownLink> {
    let (path, until_ms, power) = match (&view.line.state, view.password_link_until_ms) {
        (PersonState::Invited { until_ms }, _) => ("/invitations/", *until_ms, "makes this account"),
        (_, Some(until_ms)) => ("/passwords/", until_ms, "can sign in as this person"),
        _ => return None,
    };
    let secret = app.unshown_links().take(&caller.browser_mark(), view.line.person)?;
    Some(ShownLink { address: address_of(app, headers, path, &secret), until: Moment(until_ms), power })
}

async fn show(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    id: PersonId,
    saved: Option<&'static str>,
    refused: Option<Refused>,
) -> Answer {
    let session = caller.session.clone();
    let view: View = app.ask(move |clinic, now_ms| clinic.person_page(&session, id, now_ms)).await?;
    let link = unshown(app, caller, headers, &view);
    let state = &view.line.state;
    let is_invitation = matches!(
        state,
        PersonState::Invited { .. } | PersonState::InvitationEnded { .. } | PersonState::InvitationWithdrawn
    );
    let suspended_for = match state {
        PersonState::Suspended(one) => Some(one.reason.clone()),
        _ => None,
    };
    let mut layout = Layout::of(app, caller, LIST);
    layout.path = format!("{LIST}/{id}");
    Ok(app.render(&PersonPage {
        layout,
        here: format!("{LIST}/{id}"),
        name: if view.line.name.is_empty() { "No name yet".into() } else { view.line.name.clone() },
        login: view.line.login.clone(),
        role: view.line.role.word(),
        bed: view.bed.clone(),
        state: people_text::state(state),
        is_invitation,
        is_withdrawn: *state == PersonState::InvitationWithdrawn,
        note: note(state),
        signed_in: view.line.signed_in_ms.map(Moment),
        vault_kept: view.line.vault_kept,
        sessions: view.sessions.iter().map(session_row).collect(),
        seen: view.seen,
        link,
        saved,
        refused,
        is_self: view.is_self,
        can_be_suspended: matches!(state, PersonState::Active | PersonState::Unconfirmed),
        suspended_for,
        is_patient: view.line.role == Role::Patient,
        password_link_until: view.password_link_until_ms.map(Moment),
        history: view.history.into_iter().map(history_row).collect(),
    }))
}

/// What a query says was done, in words; only this server can make a page say so.
const DONE: [(&str, &str); 4] = [
    ("withdrawn", "The invitation is withdrawn. Its link does not work any more."),
    ("suspended", "The account is suspended. Its sessions and live pages have ended."),
    ("reinstated", "The account is reinstated. The person can sign in again."),
    ("ended", "The sessions have ended."),
];

/// `/admin/people/{person}`.
pub(crate) async fn page(
    State(app): State<App>,
    At(person): At<String>,
    query: Query,
    headers: HeaderMap,
    caller: Caller,
) -> Answer {
    let id = person_id(&person)?;
    let session = caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let saved = DONE.iter().find(|(name, _)| caller.was_done(&app, query.field(name))).map(|(_, text)| *text);
    show(&app, &caller, &headers, id, saved, None).await
}

/// How often the account had been changed when the page was made that this form is on.
fn seen(posted: &Posted, person: PersonId) -> Result<u64, Error> {
    let wrong = || {
        Error::wrong("This form is not one of ours. Nothing was changed.")
            .way(format!("{LIST}/{person}"), "To the person")
    };
    super::named(posted.field("seen")).ok_or_else(wrong)
}

/// A refusal that leads back to the person's page.
fn back_to(person: PersonId) -> impl Fn(Error) -> Error {
    move |error| error.way(format!("{LIST}/{person}"), "Look at this account")
}

/// A new link for an invitation.
pub(crate) async fn renew_invitation(
    State(app): State<App>,
    At(person): At<String>,
    posted: Posted,
) -> Answer {
    posted.fits(&["seen"])?;
    let id = person_id(&person)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let (session, seen) = (posted.caller.session.clone(), seen(&posted, id)?);
    let renewed = app.ask(move |clinic, now_ms| clinic.renew_invitation(&session, id, seen, now_ms)).await;
    app.unshown_links().put(posted.caller.browser_mark(), id, renewed.map_err(back_to(id))?);
    Ok(Redirect::to(&format!("{LIST}/{id}")).into_response())
}

/// Ends an invitation.
pub(crate) async fn withdraw_invitation(
    State(app): State<App>,
    At(person): At<String>,
    posted: Posted,
) -> Answer {
    posted.fits(&["seen"])?;
    let id = person_id(&person)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let (session, seen) = (posted.caller.session.clone(), seen(&posted, id)?);
    let done = app.ask(move |clinic, now_ms| clinic.withdraw_invitation(&session, id, seen, now_ms)).await;
    done.map_err(back_to(id))?;
    let mark = posted.caller.done(&app);
    Ok(Redirect::to(&format!("{LIST}/{id}?withdrawn={mark}")).into_response())
}

/// Suspends an account, with a reason.
pub(crate) async fn suspend(
    State(app): State<App>,
    At(person): At<String>,
    headers: HeaderMap,
    posted: Posted,
) -> Answer {
    change(&app, &person, &headers, &posted, "suspended").await
}

/// Ends a suspension, with a reason.
pub(crate) async fn reinstate(
    State(app): State<App>,
    At(person): At<String>,
    headers: HeaderMap,
    posted: Posted,
) -> Answer {
    change(&app, &person, &headers, &posted, "reinstated").await
}

/// Both forms have the same fields and the same ways to go wrong.
async fn change(app: &App, person: &str, headers: &HeaderMap, posted: &Posted, form: &'static str) -> Answer {
    posted.fits(&["seen", "reason"])?;
    let id = person_id(person)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let (session, seen, reason) =
        (posted.caller.session.clone(), seen(posted, id)?, posted.field("reason").to_string());
    let typed = reason.clone();
    let outcome = app.run(move |clinic, now_ms| match form {
        "suspended" => clinic.suspend(&session, id, seen, &reason, now_ms),
        _ => clinic.reinstate(&session, id, seen, &reason, now_ms),
    });
    match outcome.await? {
        Ok(()) => {
            let mark = posted.caller.done(app);
            Ok(Redirect::to(&format!("{LIST}/{id}?{form}={mark}")).into_response())
        }
        Err(ClinicError::Field { why, .. }) => {
            let refused = Refused { form, reason: typed, why: sentence(why) };
            let page = show(app, &posted.caller, headers, id, None, Some(refused)).await?;
            let mut response = refusals::mark(page, Reason::Wrong);
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(why) => Err(back_to(id)(why.into())),
    }
}

/// A link to a new password.
pub(crate) async fn offer_password(State(app): State<App>, At(person): At<String>, posted: Posted) -> Answer {
    posted.fits(&["seen"])?;
    let id = person_id(&person)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let (session, seen) = (posted.caller.session.clone(), seen(&posted, id)?);
    let made = app.ask(move |clinic, now_ms| clinic.offer_password(&session, id, seen, now_ms)).await;
    app.unshown_links().put(posted.caller.browser_mark(), id, made.map_err(back_to(id))?);
    Ok(Redirect::to(&format!("{LIST}/{id}")).into_response())
}

/// Ends all sessions of a person.
pub(crate) async fn end_sessions(State(app): State<App>, At(person): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    end(&app, &posted, person_id(&person)?, None).await
}

/// Ends one of them. One that has ended already is no fault.
pub(crate) async fn end_session(
    State(app): State<App>,
    At((person, session)): At<(String, String)>,
    posted: Posted,
) -> Answer {
    posted.fits(&[])?;
    let id = person_id(&person)?;
    let mut only = [0; 16];
    hex::decode_to_slice(&session, &mut only).map_err(|_| Error::not_found())?;
    if hex::encode(only) != session {
        return Err(Error::not_found());
    }
    end(&app, &posted, id, Some(only)).await
}

async fn end(app: &App, posted: &Posted, id: PersonId, only: Option<[u8; 16]>) -> Answer {
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.end_sessions(&session, id, only, now_ms)).await?;
    let mark = posted.caller.done(app);
    Ok(Redirect::to(&format!("{LIST}/{id}?ended={mark}")).into_response())
}
