//! Signing in and out, and the choice of colours.

use crate::app::App;
use crate::caller::{self, Caller};
use crate::client_address;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{Posted, Query, read_form};
use crate::layout::Layout;
use crate::refusals;
use crate::refusals::Reason;
use crate::visit::{self, Visit, local_path};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::{LOGIN_BYTES_MAX, Origin, PASSWORD_BYTES_MAX, Session, SignInRefused};

/// When to try again if too many people are signing in, seconds.
const BUSY_S: u64 = 2;
/// How long a choice of colours is kept, seconds.
const THEME_S: u32 = 31_536_000;

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage {
    layout: Layout,
    problem: Option<String>,
    login: String,
    next: String,
    /// Nobody has an account here yet.
    needs_set_up: bool,
}

fn page(app: &App, visit: &Visit, problem: Option<String>, login: &str, next: &str) -> Response {
    let mut layout = Layout::new(app, visit, None, "/sign-in");
    layout.path = "/sign-in".into();
    let next = local_path(next).unwrap_or("").to_string();
    let needs_set_up = app.clinic().needs_set_up();
    app.render(&SignInPage { layout, problem, login: login.into(), next, needs_set_up })
}

/// `/sign-in`.
pub(crate) async fn form(State(app): State<App>, query: Query, parts: Parts) -> Response {
    if Caller::of(&parts, &app).await.is_some() {
        return Redirect::to("/").into_response();
    }
    page(&app, &Visit::of(&parts), None, "", query.field("next"))
}

/// Tries a login and a password.
pub(crate) async fn submit(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(&parts);
    let from = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    let form = ["login", "password", "next?"];
    let fields = read_form(Request::from_parts(parts, body), &app, &form).await?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (login, password, next) = (field("login"), field("password"), field("next"));
    let refused = if login.len() > LOGIN_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        SignInRefused::Wrong
    } else {
        match try_password(&app, from, login.clone(), password).await {
            Ok(Ok((token, session))) => {
                let to = local_path(&next)
                    .filter(|_| !next.starts_with("/sign-"))
                    .unwrap_or(app.navigation().home(session.role))
                    .to_string();
                let cookie = caller::cookie(&token, app.settings().behind_tls);
                return Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&to)).into_response());
            }
            Ok(Err(why)) => why,
            Err(_) => SignInRefused::Unavailable,
        }
    };
    let (status, reason, retry_s) = match refused {
        SignInRefused::Wrong => (StatusCode::UNAUTHORIZED, Reason::SignIn, None),
        SignInRefused::Suspended => (StatusCode::FORBIDDEN, Reason::SignIn, None),
        SignInRefused::Wait { wait_s } => (StatusCode::TOO_MANY_REQUESTS, Reason::SignInWait, Some(wait_s)),
        SignInRefused::Busy => (StatusCode::SERVICE_UNAVAILABLE, Reason::SignInBusy, Some(BUSY_S)),
        SignInRefused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Reason::Unavailable, Some(BUSY_S)),
    };
    let mut response =
        refusals::mark(page(&app, &visit, Some(sentence(&refused.to_string())), &login, &next), reason);
    *response.status_mut() = status;
    if let Some(seconds) = retry_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Tries them when it is their turn.
async fn try_password(
    app: &App,
    from: Origin,
    login: String,
    password: String,
) -> Result<Result<(String, Session), SignInRefused>, Error> {
    let Some(permit) = app.sign_ins().take(from).await else { return Ok(Err(SignInRefused::Busy)) };
    app.run(move |clinic, now_ms| {
        let _permit = permit;
        let (token, session) = clinic.sign_in_from(from, &login, &password, now_ms)?;
        Ok::<_, SignInRefused>((token.expose().to_string(), session))
    })
    .await
}

/// Ends the session.
pub(crate) async fn leave(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let token = posted.caller.token.clone();
    // The cookie goes in any case; a session that could not be ended now ends by itself.
    let _ended = app.run(move |clinic, _| clinic.sign_out(&token)).await;
    let cookie = caller::no_cookie(app.settings().behind_tls);
    let clear = (header::HeaderName::from_static("clear-site-data"), "\"cache\"".to_string());
    Ok((AppendHeaders([(header::SET_COOKIE, cookie), clear]), Redirect::to("/sign-in")).into_response())
}

/// Chooses colours, signed in or not.
pub(crate) async fn theme(State(app): State<App>, request: Request) -> Answer {
    let fields = read_form(request, &app, &["theme", "back?"]).await?;
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let secure = if app.settings().behind_tls { "; Secure" } else { "" };
    let cookie = match visit::theme(field("theme")) {
        Some(theme) => format!("aceso_theme={theme}; Path=/; SameSite=Lax; Max-Age={THEME_S}{secure}"),
        None if field("theme") == "auto" => format!("aceso_theme=; Path=/; SameSite=Lax; Max-Age=0{secure}"),
        None => {
            return Err(Error::wrong("There are no such colours. Nothing was changed."));
        }
    };
    let back = local_path(field("back")).unwrap_or("/").to_string();
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&back)).into_response())
}
