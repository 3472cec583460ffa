//! Somebody who is signed in confirms that it is them, before they change how they sign in.

use super::account;
use super::sign_in;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format::sentence;
use crate::forms::{Posted, Query};
use crate::layout::Layout;
use crate::passkey_forms::{self, Answered, PasskeyForm};
use crate::visit::local_path;
use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use clinic::{PASSWORD_BYTES_MAX, SignInRefused};

#[derive(Template)]
#[template(path = "pages/confirm.html")]
struct ConfirmPage {
    layout: Layout,
    login: String,
    next: String,
    problem: Option<String>,
    /// A passkey does as well, where the account has one of this name.
    passkey: Option<PasskeyForm>,
}

async fn render(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    next: &str,
    problem: Option<String>,
) -> Response {
    let party = passkey_forms::party(app, headers);
    let held = app.clinic().vault().passkeys_of(caller.session.person);
    let has_passkey = held.iter().any(|one| party.as_ref().is_some_and(|party| party.id() == one.rp_id));
    let passkey = PasskeyForm::confirming(app, party.as_ref(), &caller.session, has_passkey);
    let caller = caller.clone().with_ward(app).await;
    let mut layout = Layout::of(app, &caller, "/account");
    layout.path = "/account/confirm".into();
    let next = local_path(next).filter(|next| next.starts_with("/account")).unwrap_or("").to_string();
    app.render(&ConfirmPage { layout, login: caller.session.login.clone(), next, problem, passkey })
}

/// `GET /account/confirm`.
pub(crate) async fn page(
    State(app): State<App>,
    query: Query,
    headers: HeaderMap,
    caller: Caller,
) -> Response {
    render(&app, &caller, &headers, query.field("next"), None).await
}

/// By the password.
pub(crate) async fn by_password(State(app): State<App>, headers: HeaderMap, posted: Posted) -> Answer {
    posted.fits(&["password", "next?"])?;
    let (from, session) = (posted.caller.origin, posted.caller.session.clone());
    let password = posted.field("password").to_string();
    let confirmed = match app.sign_ins().take(from).await {
        _ if password.len() > PASSWORD_BYTES_MAX => Err(SignInRefused::Wrong),
        None => Err(SignInRefused::Busy),
        Some(permit) => {
            app.run(move |clinic, now_ms| {
                let _permit = permit;
                clinic.confirm_by_password(from, &session, &password, now_ms)
            })
            .await?
        }
    };
    answered(&app, &headers, &posted, confirmed).await
}

/// By a passkey of the account.
pub(crate) async fn by_passkey(State(app): State<App>, headers: HeaderMap, posted: Posted) -> Answer {
    let form: Vec<&str> = passkey_forms::ANSWER.into_iter().chain(["next?"]).collect();
    posted.fits(&form)?;
    let (from, session) = (posted.caller.origin, posted.caller.session.clone());
    let confirmed = match (passkey_forms::party(&app, &headers), Answered::read(&posted.fields)) {
        (Some(party), Some(answered)) => {
            app.run(move |clinic, now_ms| {
                clinic.confirm_by_passkey(from, &party, &session, &answered.answer(), now_ms)
            })
            .await?
        }
        _ => Err(SignInRefused::PasskeyWrong),
    };
    answered(&app, &headers, &posted, confirmed).await
}

async fn answered(
    app: &App,
    headers: &HeaderMap,
    posted: &Posted,
    confirmed: Result<(), SignInRefused>,
) -> Answer {
    let next = posted.field("next");
    match confirmed {
        Ok(()) => match local_path(next).filter(|next| next.starts_with("/account/")) {
            Some(next) => Ok(Redirect::to(next).into_response()),
            None => account::done(app, posted, "confirmed"),
        },
        Err(why) => {
            let said = match why {
                SignInRefused::Wrong => "This is not your password.".into(),
                SignInRefused::PasskeyWrong => "This passkey did not confirm that it is you.".into(),
                _ => sentence(&why.to_string()),
            };
            let page = render(app, &posted.caller, headers, next, Some(said)).await;
            Ok(sign_in::refused(page, &why))
        }
    }
}
