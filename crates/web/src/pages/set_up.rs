//! The page on which the first administrator of a new node is made, with the code that the node printed.

use crate::app::App;
use crate::caller;
use crate::client_address;
use crate::error::{Answer, Error};
use crate::fields::Fields;
use crate::format::sentence;
use crate::forms::read_form;
use crate::layout::Layout;
use crate::refusals::{self, Reason};
use crate::visit::Visit;
use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::{Chosen, LinkRefused, SignInRefused};

#[derive(Template)]
#[template(path = "pages/set_up.html")]
struct SetUpPage {
    layout: Layout,
    name: String,
    login: String,
    /// The field that does not fit, and why.
    problem: Option<(&'static str, String)>,
}

impl SetUpPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

fn render(app: &App, visit: &Visit, entered: &Fields, problem: Option<(&'static str, String)>) -> Response {
    let field = |name: &str| entered.get(name).cloned().unwrap_or_default();
    let mut layout = Layout::new(app, visit, None, "/set-up");
    layout.path = "/set-up".into();
    app.render(&SetUpPage { layout, name: field("name"), login: field("login"), problem })
}

/// `GET /set-up`. A node that has accounts is set up.
pub(crate) async fn page(State(app): State<App>, parts: Parts) -> Response {
    if app.clinic().needs_set_up() {
        render(&app, &Visit::of(&parts), &Fields::new(), None)
    } else {
        Redirect::to("/sign-in").into_response()
    }
}

/// Makes the administrator and signs them in.
pub(crate) async fn submit(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let origin = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    let visit = Visit::of(&parts);
    let form = ["code", "name", "login", "password", "again"];
    let fields = read_form(Request::from_parts(parts, body), &app, &form).await?;
    if !app.clinic().needs_set_up() {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let wrong = |field: &'static str, why: String| {
        let reason = if field == "code" { Reason::Link } else { Reason::Wrong };
        let page = render(&app, &visit, &fields, Some((field, why)));
        let mut response = refusals::mark(page, reason);
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    };
    if field("password") != field("again") {
        return Ok(wrong("again", "The two passwords differ. Type both again.".into()));
    }
    let Some(permit) = app.sign_ins().take(origin).await else {
        return Err(Error::link(&LinkRefused::Later(SignInRefused::Busy)));
    };
    let (code, name, login, password) = (field("code"), field("name"), field("login"), field("password"));
    let made = app.run(move |clinic, now_ms| {
        let _permit = permit;
        let chosen = Chosen { login: &login, name: &name, password: &password };
        clinic.set_up(origin, &code, &chosen, now_ms)
    });
    match made.await? {
        Ok((token, _)) => {
            let cookie = caller::cookie(token.expose(), app.settings().behind_tls);
            Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")).into_response())
        }
        Err(LinkRefused::Field { field, why }) => Ok(wrong(field, sentence(why))),
        Err(why) => Err(Error::link(&why)),
    }
}
