//! Giving a consent: the form, the same in one sentence before it is signed, and the signing.

use super::consent_form::{self, CLASSES, ConsentForm, FIELDS, Problem, YES};
use super::patient;
use super::seen_as::{self, SeenTable};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::fields::Fields;
use crate::format;
use crate::forms::{At, Posted, Query};
use crate::labels;
use crate::layout::Layout;
use crate::refusals::{self, Reason};
use crate::time::Moment;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use clinic::views::{AskState, AskView, ConsentPreview, GrantState, GrantView};
use clinic::{ClinicError, ConsentWish};
use vitals::GrantId;
use vitals::ids::{Class, Hash};
use vitals::ledger::Purpose;

/// What was shown, as the second form hands it back: the moments to the millisecond, and the one-time token.
const SIGNED: [&str; 3] = ["from_ms", "until_ms", "once"];

/// A consent in one sentence, before it is signed.
#[derive(Template)]
#[template(path = "pages/consent_preview.html")]
struct PreviewPage {
    layout: Layout,
    name: String,
    role: &'static str,
    ours: bool,
    id: String,
    classes: String,
    purpose: &'static str,
    from: Option<Moment>,
    until: Moment,
    /// What is not opened.
    closed: String,
    /// Does it take the place of another one?
    changes: bool,
    table: SeenTable,
    fields: Vec<(String, String)>,
}

impl PreviewPage {
    fn of(layout: Layout, preview: &ConsentPreview, wish: &ConsentWish, entered: &Fields) -> Self {
        let ConsentPreview { request, before, after, once } = preview;
        let closed: Vec<Class> =
            Class::ALL.into_iter().filter(|class| !request.classes.contains(class)).collect();
        let kept = entered.iter().filter(|(name, _)| *name != "csrf" && !SIGNED.contains(&name.as_str()));
        let signed = [
            wish.from_ms.map_or_else(String::new, |ms| ms.to_string()),
            wish.until_ms.to_string(),
            format::hex(once),
        ];
        let signed = SIGNED.map(str::to_owned).into_iter().zip(signed);
        Self {
            layout,
            name: seen_as::name(after),
            role: after.role.word(),
            ours: after.ours,
            id: request.grantee.to_string(),
            classes: labels::classes(&request.classes),
            purpose: purpose(request.purpose),
            from: wish.from_ms.map(Moment),
            until: Moment(request.until_ms),
            closed: labels::classes(&closed),
            changes: wish.replaces.is_some(),
            table: seen_as::table(before, Some(after)),
            fields: kept.map(|(name, value)| (name.clone(), value.clone())).chain(signed).collect(),
        }
    }
}

/// Is it a consent to a person, and on the ledger? Before that it is not changed.
pub(super) fn is_changeable(grant: &GrantView) -> bool {
    grant.purpose != Purpose::Monitoring && matches!(grant.state, GrantState::Live | GrantState::Future)
}

/// For what, to stand after what may be seen of the reader's own record.
pub(super) fn purpose(purpose: Purpose) -> &'static str {
    if purpose == Purpose::Family { "to keep an eye on you" } else { labels::purpose(purpose) }
}

async fn form(app: &App, caller: &Caller, entered: &Fields, problem: Option<Problem>) -> Answer {
    let session = caller.session.clone();
    let people = app.ask(move |clinic, now_ms| clinic.colleagues(&session, now_ms)).await?;
    let mut layout = Layout::of(app, caller, "/me");
    // The answer to a post has no address to go back to.
    layout.path = "/me/consents/new".into();
    let is_wrong = problem.is_some();
    let mut response = app.render(&ConsentForm::of(layout, &people, entered, problem));
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(refusals::mark(response, Reason::Wrong));
    }
    Ok(response)
}

/// `GET /me/consents/new`: empty, or filled with what a request asks for.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let (asks, own) = app
        .ask(move |clinic, now_ms| {
            Ok((clinic.asks_of(&session, now_ms)?, clinic.own_consents(&session, now_ms)?))
        })
        .await?;
    let entered = match consent_form::ask_id(query.field("ask")) {
        Ok(None) => consent_form::usual(),
        Ok(Some(id)) => {
            let open = |ask: &&AskView| ask.id == id && ask.state == AskState::Open;
            let ask = asks.iter().find(open).ok_or_else(Error::not_found)?;
            // Who has a consent already is given more by changing that one.
            let held = own.iter().find(|one| one.person == ask.clinician && is_changeable(one));
            consent_form::of_ask(ask, held)
        }
        Err(()) => return Err(Error::not_found()),
    };
    form(&app, &caller, &entered, None).await
}

/// `GET /me/consents/{grant}/change`: the form with what a consent says now.
pub(crate) async fn change(State(app): State<App>, At(grant): At<String>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let own: Vec<GrantView> = app.ask(move |clinic, now_ms| clinic.own_consents(&session, now_ms)).await?;
    let id: GrantId = super::named(&grant).ok_or_else(Error::not_found)?;
    let found = own.iter().find(|one| one.grant == id && is_changeable(one)).ok_or_else(Error::not_found)?;
    form(&app, &caller, &consent_form::of_grant(found), None).await
}

/// `POST /me/consents/preview`: what the form would mean, or the form again with what does not fit. Signs nothing.
pub(crate) async fn preview(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&FIELDS)?;
    let (caller, session) = (&posted.caller, posted.caller.session.clone());
    // Who may not give consents learns nothing of the form.
    let reads = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.own_consents(&reads, now_ms).map(drop)).await?;
    let wish = match consent_form::wish(&posted.fields, app.now_ms()) {
        Ok(wish) => wish,
        Err(problem) => return form(&app, caller, &posted.fields, Some(problem)).await,
    };
    let wanted = wish.clone();
    let answer = app
        .run(move |clinic, now_ms| clinic.preview_consent(&session, &wanted, &patient::CLASSES, now_ms))
        .await?;
    match answer {
        Err(ClinicError::Grant(why)) => form(&app, caller, &posted.fields, Some(why.into())).await,
        answer => {
            let mut layout = Layout::of(&app, caller, "/me");
            layout.path = "/me/consents/new".into();
            Ok(app.render(&PreviewPage::of(layout, &answer?, &wish, &posted.fields)))
        }
    }
}

/// What the second form hands back. It was made by this server: anything else is no form of ours.
fn signed(fields: &Fields) -> Option<(ConsentWish, Hash)> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let id = if field("who").is_empty() { field("other").trim() } else { field("who") };
    let from_ms = match field("from_ms") {
        "" => None,
        ms => Some(super::named(ms)?),
    };
    let mut once = [0; 32];
    hex::decode_to_slice(field("once"), &mut once).ok()?;
    let mut classes = Vec::new();
    for (name, class, _) in CLASSES {
        match fields.get(name).map(String::as_str) {
            None => {}
            Some(YES) => classes.push(class),
            Some(_) => return None,
        }
    }
    let wish = ConsentWish {
        grantee: super::named(id)?,
        classes,
        from_ms,
        until_ms: super::named(field("until_ms"))?,
        replaces: match field("replaces") {
            "" => None,
            id => Some(super::named(id)?),
        },
        answers: consent_form::ask_id(field("answers")).ok()?,
    };
    Some((wish, once))
}

/// `POST /me/consents`: gives what was shown. However often it arrives, it is given once.
pub(crate) async fn give(State(app): State<App>, posted: Posted) -> Answer {
    let all: Vec<&'static str> = FIELDS.into_iter().chain(SIGNED).collect();
    posted.fits(&all)?;
    let (caller, session) = (&posted.caller, posted.caller.session.clone());
    let reads = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.own_consents(&reads, now_ms).map(drop)).await?;
    let Some((wish, once)) = signed(&posted.fields) else {
        let message = Error::wrong("This is not the consent that was shown. Nothing was given.");
        return Err(message.back("/me/consents/new", "To the form"));
    };
    let changes = wish.replaces.is_some();
    let answer = app.run(move |clinic, now_ms| clinic.give_consent(&session, &wish, once, now_ms)).await?;
    match answer {
        // What was shown does not fit any more: the page was open for too long, or another page was quicker.
        Err(ClinicError::Grant(why)) => form(&app, caller, &posted.fields, Some(why.into())).await,
        answer => {
            let given = answer?;
            let word = match (given.again, changes) {
                (true, _) => "again",
                (false, true) => "changed",
                (false, false) => "given",
            };
            let address = format!("/me?{word}={}#consent-{}", caller.done(&app), given.grant);
            Ok(Redirect::to(&address).into_response())
        }
    }
}
