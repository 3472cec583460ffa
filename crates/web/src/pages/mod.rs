//! The content of each page; its form is in `templates/pages`.

pub(crate) mod admin;
pub(crate) mod alarm_card;
pub(crate) mod alarms;
pub(crate) mod asks;
pub(crate) mod bed;
pub(crate) mod consent_form;
pub(crate) mod consent_giving;
pub(crate) mod consent_lines;
pub(crate) mod consent_pauses;
pub(crate) mod gateways;
pub(crate) mod history;
pub(crate) mod invitation;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod limits_form;
pub(crate) mod me;
pub(crate) mod monitoring_consent;
pub(crate) mod orders;
pub(crate) mod password_link;
pub(crate) mod patient;
pub(crate) mod patient_status;
pub(crate) mod people;
pub(crate) mod person;
pub(crate) mod proof;
pub(crate) mod record;
pub(crate) mod seen_as;
pub(crate) mod set_up;
pub(crate) mod sign_in;
pub(crate) mod trends;
pub(crate) mod unwatched;
pub(crate) mod wall;

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::forms::Posted;
use crate::layout::Layout;
use crate::visit::Visit;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use std::str::FromStr;
use vitals::PatientId;
use vitals::alarm::Condition;

/// Redirects to the first page of the caller's role.
pub(crate) async fn home(State(app): State<App>, caller: Caller) -> Redirect {
    Redirect::to(app.navigation().home(caller.session.role))
}

/// Patients are listed on the wall.
pub(crate) async fn to_wall(_: Caller) -> Redirect {
    Redirect::to("/wall")
}

#[derive(Template)]
#[template(path = "pages/help.html")]
struct HelpPage {
    layout: Layout,
    /// The id of who is signed in, for patients who want to consent to them.
    id: Option<String>,
}

/// Short help, for everybody.
pub(crate) async fn help(State(app): State<App>, parts: Parts) -> Response {
    let caller = match Caller::of(&parts, &app).await {
        Some(caller) => Some(caller.with_ward(&app).await),
        None => None,
    };
    let id = caller.as_ref().map(|caller| caller.session.person.to_string());
    app.render(&HelpPage { layout: Layout::new(&app, &Visit::of(&parts), caller.as_ref(), "/help"), id })
}

/// What an address names, written as this site writes it: there is one address for one thing.
pub(crate) fn named<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|thing: &T| thing.to_string() == text)
}

/// A patient's id from an address; anything else is simply not found.
pub(crate) fn patient_id(text: &str) -> Result<PatientId, Error> {
    named(text).ok_or_else(Error::not_found)
}

/// A condition from an address.
pub(crate) fn condition(text: &str) -> Result<Condition, Error> {
    named(text).and_then(Condition::from_code).ok_or_else(Error::not_found)
}

/// The answer to a post: an empty one for htmx (the live stream shows the change), a redirect to the page it came
/// from for a plain browser.
pub(crate) fn done(posted: &Posted, otherwise: &str) -> Answer {
    if posted.caller.visit.htmx.fragment {
        return Ok((StatusCode::NO_CONTENT, [("hx-trigger", "ward:changed")]).into_response());
    }
    Ok(posted.back(otherwise))
}
