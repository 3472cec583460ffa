//! Setting an authenticator app up: a key as a QR code and as text, confirmed by one code of the app.

use super::account;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format::sentence;
use crate::forms::Posted;
use crate::layout::Layout;
use crate::qr::Qr;
use crate::refusals::{self, Reason};
use crate::time::Moment;
use crate::visit::escaped;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use clinic::{AppSetUp, ClinicError};
use data_encoding::BASE32_NOPAD;

const HERE: &str = "/account/app";
/// After so many characters of the key stands a blank: it is typed by hand where no camera reads it.
const GROUP: usize = 4;
/// Longest name of the hospital in an app, characters.
const ISSUER_CHARS_MAX: usize = 40;

#[derive(Template)]
#[template(path = "pages/authenticator_app.html")]
struct AppPage {
    layout: Layout,
    login: String,
    issuer: String,
    /// None if it would be too long; the key as text is there in any case.
    qr: Option<Qr>,
    key: String,
    until: Moment,
    /// Why the code does not fit.
    problem: Option<String>,
}

/// The key's address as apps read it (`otpauth:`, by Google's description).
fn address_of(set_up: &AppSetUp, issuer: &str, login: &str) -> String {
    let (issuer, login, key) = (escaped(issuer), escaped(login), BASE32_NOPAD.encode(set_up.key.expose()));
    format!("otpauth://totp/{issuer}:{login}?secret={key}&issuer={issuer}&algorithm=SHA1&digits=6&period=30")
}

fn in_groups(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

async fn show(app: &App, caller: &Caller, problem: Option<String>) -> Answer {
    let session = caller.session.clone();
    let set_up = match app.run(move |clinic, now_ms| clinic.begin_app(&session, now_ms)).await? {
        Ok(set_up) => set_up,
        Err(ClinicError::NotFresh) => {
            return Ok(Redirect::to(&format!("/account/confirm?next={HERE}")).into_response());
        }
        Err(why) => return Err(why.into()),
    };
    let caller = caller.clone().with_ward(app).await;
    let mut layout = Layout::of(app, &caller, "/account");
    layout.path = HERE.into();
    let hospital: String = app.settings().hospital.chars().take(ISSUER_CHARS_MAX).collect();
    // A colon would end the issuer in the app.
    let issuer = if hospital.is_empty() { "Aceso".into() } else { hospital.replace(':', " ") };
    let login = caller.session.login.clone();
    Ok(app.render(&AppPage {
        layout,
        qr: Qr::of(&address_of(&set_up, &issuer, &login)),
        key: in_groups(&BASE32_NOPAD.encode(set_up.key.expose())),
        until: Moment(set_up.until_ms),
        login,
        issuer,
        problem,
    }))
}

/// `GET /account/app`.
pub(crate) async fn page(State(app): State<App>, caller: Caller) -> Answer {
    show(&app, &caller, None).await
}

/// Puts the key in force by a code of the app.
pub(crate) async fn confirm(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&["code"])?;
    let (session, code) = (posted.caller.session.clone(), posted.field("code").to_string());
    match app.run(move |clinic, now_ms| clinic.confirm_app(&session, &code, now_ms)).await? {
        Ok(codes) => {
            app.unshown_codes().put(posted.caller.browser_mark(), codes);
            Ok(Redirect::to("/account/recovery-codes").into_response())
        }
        Err(ClinicError::Field { why, .. }) => wrong(&app, &posted, why).await,
        // The key waited for too long: the page has another one.
        Err(ClinicError::Stale) => {
            let why = "the key on this page was too old: take the new one into the app";
            wrong(&app, &posted, why).await
        }
        Err(why) => Err(why.into()),
    }
}

async fn wrong(app: &App, posted: &Posted, why: &str) -> Answer {
    let page = show(app, &posted.caller, Some(sentence(why))).await?;
    let mut response = refusals::mark(page, Reason::Wrong);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// No code is asked for any more.
pub(crate) async fn remove(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.remove_app(&session, now_ms)).await?;
    account::done(&app, &posted, "app")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stands_in_its_address_as_apps_read_it() {
        let key = key_of_the_rfc();
        let set_up = AppSetUp { key, until_ms: 0 };
        assert_eq!(
            address_of(&set_up, "Test Hospital", "dr lee"),
            "otpauth://totp/Test%20Hospital:dr%20lee?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Test%20Hospital\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(in_groups("GEZDGNBVGY"), "GEZD GNBV GY");
    }

    /// The key of RFC 6238.
    fn key_of_the_rfc() -> clinic::TotpKey {
        clinic::TotpKey::new(*b"12345678901234567890")
    }
}
