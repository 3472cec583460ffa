//! Signing in and out, and the choice of colours.

use crate::App;
use crate::session::{self, Posted, Visit, local, read_form};
use crate::shell::{Answer, Shell, home, sentence};
use askama::Template;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::SignInRefused;
use std::collections::BTreeMap;

/// Longest login and password, bytes; longer ones belong to nobody.
const LOGIN_BYTES_MAX: usize = 200;
const PASSWORD_BYTES_MAX: usize = 1000;
/// How long a choice of colours is kept, seconds.
const THEME_S: u32 = 31_536_000;

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage {
    shell: Shell,
    problem: Option<String>,
    login: String,
    next: String,
}

fn page(app: &App, visit: &Visit, problem: Option<String>, login: &str, next: &str) -> Response {
    let mut shell = Shell::new(app, visit, None, "/sign-in");
    shell.path = "/sign-in".into();
    let next = local(next).unwrap_or("").to_string();
    app.render(&SignInPage { shell, problem, login: login.into(), next })
}

/// `/sign-in`.
pub(crate) async fn form(
    State(app): State<App>,
    Query(query): Query<BTreeMap<String, String>>,
    parts: Parts,
) -> Response {
    if session::caller(&parts, &app).await.is_some() {
        return Redirect::to("/").into_response();
    }
    page(&app, &Visit::of(&parts), None, "", query.get("next").map_or("", String::as_str))
}

/// Tries a login and a password.
pub(crate) async fn submit(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(&parts);
    let fields = read_form(Request::from_parts(parts, body), &app).await?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (login, password, next) = (field("login"), field("password"), field("next"));
    let refused = if login.len() > LOGIN_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        SignInRefused::Wrong
    } else {
        let asked = login.clone();
        match app.ask(move |station, now_ms| station.sign_in(&asked, &password, now_ms)).await {
            Some(Ok((token, session))) => {
                let to = local(&next)
                    .filter(|_| !next.starts_with("/sign-"))
                    .unwrap_or(home(session.role))
                    .to_string();
                let cookie = session::cookie(&token, app.settings().behind_tls);
                return Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&to)).into_response());
            }
            Some(Err(why)) => why,
            None => SignInRefused::Unavailable,
        }
    };
    let status = match refused {
        SignInRefused::Wrong => StatusCode::UNAUTHORIZED,
        SignInRefused::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
        SignInRefused::Busy | SignInRefused::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = page(&app, &visit, Some(sentence(&refused.to_string())), &login, &next);
    *response.status_mut() = status;
    if let SignInRefused::Wait { wait_s } = refused {
        response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    }
    Ok(response)
}

/// Ends the session.
pub(crate) async fn leave(State(app): State<App>, posted: Posted) -> Response {
    let token = posted.caller.token.clone();
    // The cookie goes in any case; a session that could not be ended now ends by itself.
    let _ended = app.ask(move |station, _| station.sign_out(&token)).await;
    let cookie = session::no_cookie(app.settings().behind_tls);
    let clear = (header::HeaderName::from_static("clear-site-data"), "\"cache\"".to_string());
    (AppendHeaders([(header::SET_COOKIE, cookie), clear]), Redirect::to("/sign-in")).into_response()
}

/// Chooses colours, signed in or not.
pub(crate) async fn theme(State(app): State<App>, request: Request) -> Answer {
    let fields = read_form(request, &app).await?;
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let cookie = match session::theme(field("theme")) {
        Some(theme) => format!("aceso_theme={theme}; Path=/; SameSite=Lax; Max-Age={THEME_S}"),
        None => "aceso_theme=; Path=/; SameSite=Lax; Max-Age=0".into(),
    };
    let back = local(field("back")).unwrap_or("/").to_string();
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&back)).into_response())
}
