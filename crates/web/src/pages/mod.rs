//! What each page says. Templates in `templates/pages` say how.

pub(crate) mod admin;
pub(crate) mod alarms;
pub(crate) mod bed;
pub(crate) mod gateways;
pub(crate) mod history;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod me;
pub(crate) mod orders;
pub(crate) mod patient;
pub(crate) mod proof;
pub(crate) mod record;
pub(crate) mod sign_in;
pub(crate) mod status;
pub(crate) mod trends;
pub(crate) mod unwatched;
pub(crate) mod wall;
pub(crate) mod watch;

use crate::App;
use crate::session::{Caller, Visit};
use crate::shell::{Answer, Message, Refusal, Shell, home as home_of};
use askama::Template;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use std::str::FromStr;
use vitals::PatientId;
use vitals::alarm::Condition;

/// Sends everybody to their own first page.
pub(crate) async fn home(caller: Caller) -> Redirect {
    Redirect::to(home_of(caller.session.role))
}

/// Patients are listed on the wall.
pub(crate) async fn to_wall(_: Caller) -> Redirect {
    Redirect::to("/wall")
}

#[derive(Template)]
#[template(path = "pages/help.html")]
struct HelpPage {
    shell: Shell,
}

/// Short help, for everybody.
pub(crate) async fn help(State(app): State<App>, parts: Parts) -> Response {
    let caller = crate::session::caller(&parts, &app).await;
    let caller = match caller {
        Some(caller) => Some(caller.with_ward(&app).await),
        None => None,
    };
    let visit = Visit::of(&parts);
    app.render(&HelpPage { shell: Shell::new(&app, &visit, caller.as_ref(), "/help") })
}

/// What is not there.
pub(crate) async fn not_found(State(app): State<App>, parts: Parts) -> Response {
    let caller = crate::session::caller(&parts, &app).await;
    app.message_to(&Visit::of(&parts), caller.as_ref(), &Message::not_found())
}

/// What is there, but not for this method.
pub(crate) async fn other_method(State(app): State<App>, parts: Parts) -> Response {
    let caller = crate::session::caller(&parts, &app).await;
    app.message_to(&Visit::of(&parts), caller.as_ref(), &Message::other_method())
}

/// What an address names, written as we write it: there is one address for one thing.
pub(crate) fn named<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|thing: &T| thing.to_string() == text)
}

/// A patient's id from an address; anything else is simply not found.
pub(crate) fn patient_id(app: &App, caller: &Caller, text: &str) -> Result<PatientId, Refusal> {
    named(text).ok_or_else(|| app.refusal(Some(caller), &Message::not_found()))
}

/// A condition from an address.
pub(crate) fn condition(app: &App, caller: &Caller, text: &str) -> Result<Condition, Refusal> {
    let known = named(text).and_then(Condition::from_code);
    known.ok_or_else(|| app.refusal(Some(caller), &Message::not_found()))
}

/// What a post gives to htmx (a sign that the page should look again) or to a plain browser (the
/// page it came from).
pub(crate) fn done(posted: &crate::forms::Posted, otherwise: &str) -> Answer {
    if posted.caller.visit.htmx.fragment {
        return Ok((axum::http::StatusCode::NO_CONTENT, [("hx-trigger", "ward:changed")]).into_response());
    }
    Ok(posted.back(otherwise))
}
