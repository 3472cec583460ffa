//! The page of an invitation, for whoever holds its link: nobody is signed in here.

use crate::app::App;
use crate::caller::{self, Caller};
use crate::client_address;
use crate::error::{Answer, Error};
use crate::fields::Fields;
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
use clinic::views::InvitationView;
use clinic::{Chosen, LinkRefused, Origin, SignInRefused, Token};

#[derive(Template)]
#[template(path = "pages/invitation.html")]
struct InvitationPage {
    layout: Layout,
    phrase: &'static str,
    bed: String,
    until: Moment,
    mark: String,
    name: String,
    login: String,
    /// The field that does not fit (none for all of it), and why.
    problem: Option<(&'static str, String)>,
}

impl InvitationPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

fn from(app: &App, parts: &Parts) -> Origin {
    client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy)
}

async fn look(app: &App, parts: &Parts, secret: &str) -> Result<InvitationView, Error> {
    let (from, secret) = (from(app, parts), secret.to_string());
    let found = app.run(move |clinic, now_ms| clinic.open_invitation(from, &secret, now_ms)).await?;
    found.map_err(|why| Error::link(&why))
}

fn render(
    app: &App,
    parts: &Parts,
    view: InvitationView,
    entered: Option<&Fields>,
    problem: Option<(&'static str, String)>,
) -> Response {
    let PageMark { mark, cookie } = PageMark::of(app, &parts.headers);
    let entered_in = |name: &str| entered.and_then(|fields| fields.get(name)).cloned();
    let page = InvitationPage {
        layout: Layout::new(app, &Visit::of(parts), None, "/sign-in"),
        phrase: view.role.phrase(),
        bed: view.bed,
        until: Moment(view.until_ms),
        mark,
        name: entered_in("name").unwrap_or(view.name),
        login: entered_in("login").unwrap_or_default(),
        problem,
    };
    (AppendHeaders([(header::SET_COOKIE, cookie)]), app.render(&page)).into_response()
}

/// `GET /invitations/{token}`.
pub(crate) async fn page(State(app): State<App>, At(secret): At<String>, parts: Parts) -> Answer {
    let view = look(&app, &parts, &secret).await?;
    Ok(render(&app, &parts, view, None, None))
}

/// Makes the account and signs its person in.
pub(crate) async fn accept(State(app): State<App>, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let At(secret) = At::<String>::from_request_parts(&mut parts, &app).await?;
    let form = ["name", "login", "password", "again", "page?"];
    let fields = read_secret_form(Request::from_parts(parts.clone(), body), &app, &form).await?;
    let view = look(&app, &parts, &secret).await?;
    let wrong =
        |field, why: String| refused(render(&app, &parts, view.clone(), Some(&fields), Some((field, why))));
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if field("password") != field("again") {
        return Ok(wrong("again", "The two passwords differ. Type both again.".into()));
    }
    let origin = from(&app, &parts);
    let Some(permit) = app.sign_ins().take(origin).await else {
        return Err(Error::link(&LinkRefused::Later(SignInRefused::Busy)));
    };
    let (name, login, password) = (field("name"), field("login"), field("password"));
    let accepted = app.run(move |clinic, now_ms| {
        let _permit = permit;
        let chosen = Chosen { login: &login, name: &name, password: &password };
        clinic.accept_invitation(origin, &secret, &chosen, now_ms)
    });
    match accepted.await? {
        Ok((token, _)) => Ok(signed_in(&app, &parts, &token).await),
        Err(LinkRefused::Field { field, why }) => Ok(wrong(field, sentence(why))),
        Err(why) => Err(Error::link(&why)),
    }
}

fn refused(page: Response) -> Response {
    let mut response = refusals::mark(page, Reason::Wrong);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

/// Leads to the first page in the new session; one that the browser had before ends.
async fn signed_in(app: &App, parts: &Parts, token: &Token) -> Response {
    if let Some(before) = Caller::of(parts, app).await {
        let _ended = app.run(move |clinic, _| clinic.sign_out(&before.token)).await;
    }
    let cookie = caller::cookie(token.expose(), app.settings().behind_tls);
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")).into_response()
}
