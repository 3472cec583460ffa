//! The second step of a sign-in: the code of an authenticator app, or a recovery code. Nobody is signed in here.

use super::sign_in;
use crate::app::App;
use crate::caller::{self, Caller};
use crate::client_address;
use crate::error::{Answer, Error};
use crate::fields::FieldError;
use crate::format::sentence;
use crate::forms::{Query, read_form};
use crate::layout::Layout;
use crate::step_cookie;
use crate::visit::{Visit, local_path};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use clinic::{SecondProof, SignInRefused};

/// Longest code that is looked at, bytes.
const CODE_BYTES_MAX: usize = 100;

#[derive(Template)]
#[template(path = "pages/second_step.html")]
struct SecondStepPage {
    layout: Layout,
    next: String,
    /// The field that does not fit, and why.
    problem: Option<(&'static str, String)>,
}

impl SecondStepPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

fn render(app: &App, visit: &Visit, next: &str, problem: Option<(&'static str, String)>) -> Response {
    let mut layout = Layout::new(app, visit, None, "/sign-in");
    layout.path = "/sign-in/code".into();
    app.render(&SecondStepPage { layout, next: local_path(next).unwrap_or("").to_string(), problem })
}

/// `GET /sign-in/code`. Where no sign-in waits for a code, signing in begins.
pub(crate) async fn page(State(app): State<App>, query: Query, parts: Parts) -> Response {
    if Caller::of(&parts, &app).await.is_some() {
        return Redirect::to("/").into_response();
    }
    let token = step_cookie::token(&parts.headers, app.settings().behind_tls);
    if !token.is_some_and(|token| app.clinic().waits_for_code(&token, app.now_ms())) {
        return Redirect::to("/sign-in").into_response();
    }
    render(&app, &Visit::of(&parts), query.field("next"), None)
}

/// Tries a code. One of the two fields is there.
pub(crate) async fn submit(State(app): State<App>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let looker = sign_in::Looker::of(&parts);
    let behind_tls = app.settings().behind_tls;
    let token = step_cookie::token(&parts.headers, behind_tls);
    let from = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    let form = ["code?", "recovery?", "next?"];
    let fields = read_form(Request::from_parts(parts, body), &app, &form).await?;
    let next = fields.get("next").cloned().unwrap_or_default();
    let (name, typed) = match (fields.get("code"), fields.get("recovery")) {
        (Some(code), None) => ("code", code.clone()),
        (None, Some(code)) => ("recovery", code.clone()),
        (None, None) => return Err(Error::form(&FieldError::Missing("code"))),
        (Some(_), Some(_)) => return Err(Error::form(&FieldError::Twice("code".into()))),
    };
    let gone = (header::SET_COOKIE, step_cookie::none(behind_tls));
    let completed = app.run(move |clinic, now_ms| {
        let token = token.ok_or(SignInRefused::StepEnded)?;
        if typed.len() > CODE_BYTES_MAX {
            return Err(SignInRefused::CodeWrong);
        }
        let proof = match name {
            "code" => SecondProof::AppCode(&typed),
            _ => SecondProof::RecoveryCode(&typed),
        };
        clinic.complete_sign_in(from, &token, proof, now_ms)
    });
    match completed.await.unwrap_or(Err(SignInRefused::Unavailable)) {
        Ok((token, session)) => {
            let cookie = (header::SET_COOKIE, caller::cookie(token.expose(), behind_tls));
            // Whoever lost the app sets another one up.
            let to = if name == "code" { sign_in::onward(&app, &session, &next) } else { "/account".into() };
            Ok((AppendHeaders([cookie, gone]), Redirect::to(&to)).into_response())
        }
        Err(why @ (SignInRefused::StepEnded | SignInRefused::Suspended)) => {
            let page = sign_in::refuse(&app, &looker, &why, "", &next);
            Ok((AppendHeaders([gone]), page).into_response())
        }
        Err(why) => {
            let page = render(&app, looker.visit(), &next, Some((name, sentence(&why.to_string()))));
            Ok(sign_in::refused(page, &why))
        }
    }
}
