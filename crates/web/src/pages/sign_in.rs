//! Signing in and out, and the choice of colours.

use crate::app::App;
use crate::caller::{self, Caller};
use crate::client_address;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{Posted, Query, read_form};
use crate::layout::Layout;
use crate::passkey_forms::{self, Answered, PasskeyForm};
use crate::refusals;
use crate::refusals::Reason;
use crate::secret_address::{self, PageMark};
use crate::step_cookie;
use crate::visit::{self, Visit, escaped, local_path};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::{LOGIN_BYTES_MAX, Origin, PASSWORD_BYTES_MAX, Session, SignInRefused, SignInStep};

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
    /// Passkeys, where browsers have them under this name.
    passkey: Option<PasskeyForm>,
}

/// Who looks at the page: the head of the request.
pub(super) struct Looker {
    visit: Visit,
    headers: HeaderMap,
}

impl Looker {
    pub(super) fn of(parts: &Parts) -> Self {
        Self { visit: Visit::of(parts), headers: parts.headers.clone() }
    }

    pub(super) fn visit(&self) -> &Visit {
        &self.visit
    }
}

fn page(app: &App, looker: &Looker, problem: Option<String>, login: &str, next: &str) -> Response {
    let mut layout = Layout::new(app, &looker.visit, None, "/sign-in");
    layout.path = "/sign-in".into();
    let next = local_path(next).unwrap_or("").to_string();
    let needs_set_up = app.clinic().needs_set_up();
    let PageMark { mark, cookie } = PageMark::of(app, &looker.headers);
    // A challenge is for this browser alone, which the cookie names.
    let passkey = passkey_forms::party(app, &looker.headers)
        .map(|party| PasskeyForm::new(app.clinic().passkey_sign_in_request(&mark, app.now_ms()), &party));
    let page = SignInPage { layout, problem, login: login.into(), next, needs_set_up, passkey };
    (AppendHeaders([(header::SET_COOKIE, cookie)]), app.render(&page)).into_response()
}

/// `/sign-in`.
pub(crate) async fn form(State(app): State<App>, query: Query, parts: Parts) -> Response {
    if Caller::of(&parts, &app).await.is_some() {
        return Redirect::to("/").into_response();
    }
    page(&app, &Looker::of(&parts), None, "", query.field("next"))
}

/// The page again, with why nobody was signed in.
pub(super) fn refuse(app: &App, looker: &Looker, why: &SignInRefused, login: &str, next: &str) -> Response {
    refused(page(app, looker, Some(sentence(&why.to_string())), login, next), why)
}

/// Marks a page as the refusal of a sign-in.
pub(super) fn refused(page: Response, why: &SignInRefused) -> Response {
    let (status, reason, retry_s) = match why {
        SignInRefused::Wrong
        | SignInRefused::PasskeyWrong
        | SignInRefused::PasskeyCopied
        | SignInRefused::CodeNeeded
        | SignInRefused::CodeWrong
        | SignInRefused::StepEnded => (StatusCode::UNAUTHORIZED, Reason::SignIn, None),
        SignInRefused::Suspended => (StatusCode::FORBIDDEN, Reason::SignIn, None),
        SignInRefused::Wait { wait_s } => (StatusCode::TOO_MANY_REQUESTS, Reason::SignInWait, Some(*wait_s)),
        SignInRefused::Busy => (StatusCode::SERVICE_UNAVAILABLE, Reason::SignInBusy, Some(BUSY_S)),
        SignInRefused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Reason::Unavailable, Some(BUSY_S)),
    };
    let mut response = refusals::mark(page, reason);
    *response.status_mut() = status;
    if let Some(seconds) = retry_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Where somebody goes who has just signed in: where they wanted to go, or to their first page.
pub(super) fn onward(app: &App, session: &Session, next: &str) -> String {
    let wanted = local_path(next).filter(|_| !next.starts_with("/sign-"));
    wanted.unwrap_or(app.navigation().home(session.role)).to_string()
}

/// Tries a login and a password.
pub(crate) async fn submit(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let looker = Looker::of(&parts);
    let from = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    let form = ["login", "password", "next?"];
    let fields = read_form(Request::from_parts(parts, body), &app, &form).await?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (login, password, next) = (field("login"), field("password"), field("next"));
    let behind_tls = app.settings().behind_tls;
    let why = if login.len() > LOGIN_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        SignInRefused::Wrong
    } else {
        match try_password(&app, from, login.clone(), password).await {
            Ok(Ok(SignInStep::Done(token, session))) => {
                let cookie = caller::cookie(token.expose(), behind_tls);
                let to = Redirect::to(&onward(&app, &session, &next));
                return Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response());
            }
            Ok(Ok(SignInStep::Code(token))) => {
                let cookie = step_cookie::cookie(token.expose(), behind_tls);
                let next = local_path(&next).unwrap_or("");
                let to = Redirect::to(&format!("/sign-in/code?next={}", escaped(next)));
                return Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response());
            }
            Ok(Err(why)) => why,
            Err(_) => SignInRefused::Unavailable,
        }
    };
    Ok(refuse(&app, &looker, &why, &login, &next))
}

/// Tries a passkey: whoever holds it is signed in, without a login.
pub(crate) async fn by_passkey(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let looker = Looker::of(&parts);
    let behind_tls = app.settings().behind_tls;
    let from = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    let form: Vec<&str> = passkey_forms::ANSWER.into_iter().chain(["next?"]).collect();
    let fields = read_form(Request::from_parts(parts, body), &app, &form).await?;
    let next = fields.get("next").cloned().unwrap_or_default();
    let party = passkey_forms::party(&app, &looker.headers);
    let browser = secret_address::own_mark(&looker.headers, behind_tls);
    let signed_in = match (party, browser, Answered::read(&fields)) {
        (Some(party), Some(browser), Some(answered)) => {
            let sign_in = app.run(move |clinic, now_ms| {
                clinic.sign_in_by_passkey(from, &party, &browser, &answered.answer(), now_ms)
            });
            sign_in.await.unwrap_or(Err(SignInRefused::Unavailable))
        }
        _ => Err(SignInRefused::PasskeyWrong),
    };
    match signed_in {
        Ok((token, session)) => {
            let cookie = caller::cookie(token.expose(), behind_tls);
            let to = Redirect::to(&onward(&app, &session, &next));
            Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response())
        }
        Err(why) => Ok(refuse(&app, &looker, &why, "", &next)),
    }
}

async fn try_password(
    app: &App,
    from: Origin,
    login: String,
    password: String,
) -> Result<Result<SignInStep, SignInRefused>, Error> {
    let Some(permit) = app.sign_ins().take(from).await else { return Ok(Err(SignInRefused::Busy)) };
    app.run(move |clinic, now_ms| {
        let _permit = permit;
        clinic.begin_sign_in(from, &login, &password, now_ms)
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
