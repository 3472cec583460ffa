//! Passkeys of the own account: added, renamed, removed.

use super::account;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{At, Posted};
use crate::layout::Layout;
use crate::passkey_forms::{self, PasskeyForm, bytes_of, issued_ms};
use crate::refusals::{self, Reason};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use clinic::{ClinicError, NewPasskey, PasskeyId};
use data_encoding::BASE64URL_NOPAD;
use webauthn::{ALGORITHMS, AUTHENTICATOR_DATA_BYTES_MAX, CLIENT_DATA_BYTES_MAX};

const HERE: &str = "/account/passkeys/new";

#[derive(Template)]
#[template(path = "pages/passkey_new.html")]
struct NewPasskeyPage {
    layout: Layout,
    login: String,
    name: String,
    form: PasskeyForm,
    /// What authenticators know the account by, and what they show of it.
    handle: String,
    shown: String,
    algorithms: String,
    /// Credentials that are there already.
    known: String,
    /// What the passkey is called.
    called: String,
    problem: Option<(&'static str, String)>,
}

impl NewPasskeyPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

async fn show(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    called: Option<&str>,
    problem: Option<(&'static str, String)>,
) -> Answer {
    let party = passkey_forms::party(app, headers).ok_or_else(no_passkeys_here)?;
    let session = caller.session.clone();
    let begun = app.run(move |clinic, now_ms| {
        let (request, handle) = clinic.begin_passkey(&session, now_ms)?;
        Ok::<_, ClinicError>((request, handle, clinic.own_account(&session, now_ms)?.passkeys))
    });
    let (request, handle, held) = match begun.await? {
        Ok(begun) => begun,
        Err(ClinicError::NotFresh) => {
            return Ok(Redirect::to(&format!("/account/confirm?next={HERE}")).into_response());
        }
        Err(why) => return Err(why.into()),
    };
    let caller = caller.clone().with_ward(app).await;
    let mut layout = Layout::of(app, &caller, "/account");
    layout.path = HERE.into();
    let known: Vec<String> = held.iter().map(|one| BASE64URL_NOPAD.encode(&one.credential)).collect();
    let (login, name) = (caller.session.login.clone(), caller.session.name.clone());
    Ok(app.render(&NewPasskeyPage {
        layout,
        shown: format!("{login} · {}", app.settings().hospital),
        login,
        name,
        form: PasskeyForm::new(request, &party),
        handle: BASE64URL_NOPAD.encode(&handle),
        algorithms: ALGORITHMS.map(|one| one.to_string()).join(" "),
        known: known.join(" "),
        called: called.map_or_else(|| format!("Passkey {}", held.len() + 1), ToString::to_string),
        problem,
    }))
}

/// Browsers have no passkeys under the name by which this page was reached.
fn no_passkeys_here() -> Error {
    Error::wrong(
        "Passkeys need an encrypted connection (https) to a name: they do not work under this address. \
         Open this site by its name, or ask its operator for one.",
    )
    .back("/account", "To my account")
}

/// `GET /account/passkeys/new`.
pub(crate) async fn new(State(app): State<App>, headers: HeaderMap, caller: Caller) -> Answer {
    if passkey_forms::party(&app, &headers).is_none() {
        // It says why there are none.
        return Ok(Redirect::to("/account").into_response());
    }
    show(&app, &caller, &headers, None, None).await
}

/// Keeps a passkey that was made.
pub(crate) async fn add(State(app): State<App>, headers: HeaderMap, posted: Posted) -> Answer {
    posted.fits(&["name", "issued", "client_data", "authenticator_data"])?;
    let party = passkey_forms::party(&app, &headers).ok_or_else(no_passkeys_here)?;
    let (session, name) = (posted.caller.session.clone(), posted.field("name").to_string());
    let read = |name, max| bytes_of(&posted.fields, name, max);
    let parts = issued_ms(&posted.fields)
        .zip(read("client_data", CLIENT_DATA_BYTES_MAX))
        .zip(read("authenticator_data", AUTHENTICATOR_DATA_BYTES_MAX));
    let added = match parts {
        None => {
            let why = "the browser sent nothing that could be read: does this page’s script run?";
            Err(ClinicError::Field { field: "passkey", why })
        }
        Some(((issued_ms, client_data), authenticator_data)) => {
            let name = name.clone();
            app.run(move |clinic, now_ms| {
                let (client_data, authenticator_data) = (&client_data[..], &authenticator_data[..]);
                let new = NewPasskey { issued_ms, name: &name, client_data, authenticator_data };
                clinic.add_passkey(&session, &party, &new, now_ms)
            })
            .await?
        }
    };
    match added {
        Ok(()) => account::done(&app, &posted, "added"),
        Err(ClinicError::Field { field, why }) => {
            let problem = Some((field, sentence(why)));
            let page = show(&app, &posted.caller, &headers, Some(&name), problem).await?;
            let mut response = refusals::mark(page, Reason::Wrong);
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(why) => Err(why.into()),
    }
}

/// The passkey an address names; anything else is not found.
fn passkey_id(text: &str) -> Result<PasskeyId, Error> {
    let mut id = PasskeyId::default();
    hex::decode_to_slice(text, &mut id).map_err(|_| Error::not_found())?;
    if hex::encode(id) == text { Ok(id) } else { Err(Error::not_found()) }
}

/// Removes a passkey.
pub(crate) async fn remove(State(app): State<App>, At(passkey): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let (id, session) = (passkey_id(&passkey)?, posted.caller.session.clone());
    app.ask(move |clinic, now_ms| clinic.remove_passkey(&session, id, now_ms)).await?;
    account::done(&app, &posted, "removed")
}

/// Calls a passkey something else.
pub(crate) async fn rename(State(app): State<App>, At(passkey): At<String>, posted: Posted) -> Answer {
    posted.fits(&["name"])?;
    let (id, session) = (passkey_id(&passkey)?, posted.caller.session.clone());
    let name = posted.field("name").to_string();
    app.ask(move |clinic, now_ms| clinic.rename_passkey(&session, id, &name, now_ms)).await?;
    account::done(&app, &posted, "renamed")
}
