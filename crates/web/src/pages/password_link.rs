//! The page of a link to a new password, for whoever holds it: nobody is signed in here.

use crate::app::App;
use crate::caller::{self, Caller};
use crate::client_address;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{At, read_secret_form};
use crate::layout::Layout;
use crate::refusals::{self, Reason};
use crate::secret_address::PageMark;
use crate::time::Moment;
use crate::visit::Visit;
use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::{LinkRefused, Origin, SignInRefused};

#[derive(Template)]
#[template(path = "pages/password_link.html")]
struct PasswordPage {
    layout: Layout,
    login: String,
    until: Moment,
    mark: String,
    /// The field that does not fit, and why.
    problem: Option<(&'static str, String)>,
}

impl PasswordPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

fn from(app: &App, parts: &Parts) -> Origin {
    client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy)
}

async fn look(app: &App, parts: &Parts, secret: &str) -> Result<(String, u64), Error> {
    let (from, secret) = (from(app, parts), secret.to_string());
    let found = app.run(move |clinic, now_ms| clinic.open_password_link(from, &secret, now_ms)).await?;
    found.map_err(|why| Error::link(&why))
}

fn render(
    app: &App,
    parts: &Parts,
    (login, until_ms): (String, u64),
    problem: Option<(&'static str, String)>,
) -> Response {
    let PageMark { mark, cookie } = PageMark::of(app, &parts.headers);
    let layout = Layout::new(app, &Visit::of(parts), None, "/sign-in");
    let page = PasswordPage { layout, login, until: Moment(until_ms), mark, problem };
    (AppendHeaders([(header::SET_COOKIE, cookie)]), app.render(&page)).into_response()
}

/// `GET /passwords/{token}`.
pub(crate) async fn page(State(app): State<App>, At(secret): At<String>, parts: Parts) -> Answer {
    let of = look(&app, &parts, &secret).await?;
    Ok(render(&app, &parts, of, None))
}

/// Sets the password and signs its person in; all sessions before end.
pub(crate) async fn set(State(app): State<App>, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let At(secret) = At::<String>::from_request_parts(&mut parts, &app).await?;
    let form = ["password", "again", "page?"];
    let fields = read_secret_form(Request::from_parts(parts.clone(), body), &app, &form).await?;
    let of = look(&app, &parts, &secret).await?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let wrong = |field, why: String| {
        let page = render(&app, &parts, of.clone(), Some((field, why)));
        let mut response = refusals::mark(page, Reason::Wrong);
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    };
    if field("password") != field("again") {
        return Ok(wrong("again", "The two passwords differ. Type both again.".into()));
    }
    let origin = from(&app, &parts);
    let Some(permit) = app.sign_ins().take(origin).await else {
        return Err(Error::link(&LinkRefused::Later(SignInRefused::Busy)));
    };
    let password = field("password");
    let set = app.run(move |clinic, now_ms| {
        let _permit = permit;
        clinic.set_password_by_link(origin, &secret, &password, now_ms)
    });
    match set.await? {
        Ok((token, _)) => {
            if let Some(before) = Caller::of(&parts, &app).await {
                let _ended = app.run(move |clinic, _| clinic.sign_out(&before.token)).await;
            }
            let cookie = caller::cookie(token.expose(), app.settings().behind_tls);
            Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")).into_response())
        }
        Err(LinkRefused::Field { field, why }) => Ok(wrong(field, sentence(why))),
        Err(why) => Err(Error::link(&why)),
    }
}
