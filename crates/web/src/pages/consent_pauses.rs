//! Pausing a consent to a person, and resuming it.

use crate::app::App;
use crate::error::{Answer, Error};
use crate::forms::{At, Posted};
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use vitals::GrantId;

/// `POST /me/consents/{grant}/pause`.
pub(crate) async fn pause(State(app): State<App>, At(grant): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let grant: GrantId = super::named(&grant).ok_or_else(Error::not_found)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.pause_consent(&session, grant, now_ms)).await?;
    Ok(Redirect::to(&format!("/me?paused={}#consent-{grant}", posted.caller.done(&app))).into_response())
}

/// `POST /me/consents/{grant}/resume`.
pub(crate) async fn resume(State(app): State<App>, At(grant): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let grant: GrantId = super::named(&grant).ok_or_else(Error::not_found)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.resume_consent(&session, grant, now_ms)).await?;
    Ok(Redirect::to(&format!("/me?resumed={}#consent-{grant}", posted.caller.done(&app))).into_response())
}
