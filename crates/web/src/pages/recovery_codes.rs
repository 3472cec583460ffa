//! Recovery codes, shown once.

use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::forms::Posted;
use crate::layout::Layout;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

const HERE: &str = "/account/recovery-codes";

#[derive(Template)]
#[template(path = "pages/recovery_codes.html")]
struct CodesPage {
    layout: Layout,
    login: String,
    codes: Vec<String>,
}

/// `GET /account/recovery-codes`. Where there is nothing left to show, the account.
pub(crate) async fn page(State(app): State<App>, caller: Caller) -> Response {
    let Some(codes) = app.unshown_codes().take(&caller.browser_mark()) else {
        return Redirect::to("/account").into_response();
    };
    let caller = caller.with_ward(&app).await;
    let mut layout = Layout::of(&app, &caller, "/account");
    layout.path = "/account".into();
    let codes = codes.each().map(ToString::to_string).collect();
    app.render(&CodesPage { layout, login: caller.session.login.clone(), codes })
}

/// Makes new ones; those before stop working.
pub(crate) async fn renew(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let session = posted.caller.session.clone();
    let codes = app.ask(move |clinic, now_ms| clinic.renew_recovery_codes(&session, now_ms)).await?;
    app.unshown_codes().put(posted.caller.browser_mark(), codes);
    Ok(Redirect::to(HERE).into_response())
}
