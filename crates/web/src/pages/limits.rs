//! Changing a patient's alarm limits.

use super::limits_form;
use super::patient;
use super::trends::RANGES;
use crate::app::App;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{At, Posted};
use crate::labels::purpose_word;
use crate::refusals::{self, Reason};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use clinic::ClinicError;
use vitals::Metric;
use vitals::alarm::Limits;

/// New limits for one metric of one patient.
pub(crate) async fn submit(State(app): State<App>, At(patient): At<String>, posted: Posted) -> Answer {
    let caller = &posted.caller;
    posted.fits(&limits_form::FIELDS_OF_FORM)?;
    let id = super::patient_id(&patient)?;
    let purpose = patient::purpose(caller, posted.field("for"))?;
    let metric = Metric::from_name(posted.field("metric"));
    let before = metric.and_then(Limits::adult);
    let (Some(metric), Some(before)) = (metric, before) else {
        return Err(Error::wrong("There are no limits for this value."));
    };
    let problem = match limits_form::order(metric, &posted.fields, &before) {
        Ok(order) => {
            let session = caller.session.clone();
            match app.run(move |clinic, now_ms| clinic.set_limits(&session, id, &order, now_ms)).await? {
                Err(ClinicError::Wrong(why)) => sentence(&why),
                answer => {
                    let said = if answer? { "saved" } else { "unchanged" };
                    let word = purpose_word(purpose);
                    let address = format!("/patients/{id}?for={word}&{said}={}#limits", caller.done(&app));
                    return Ok(Redirect::to(&address).into_response());
                }
            }
        }
        Err(why) => why,
    };
    // The page again, with what was entered and why it does not fit.
    let chart = patient::open(&app, caller, id, purpose, RANGES[0]).await?;
    let problem = Some((problem, posted.fields.clone()));
    let mut response = patient::show(&app, caller.clone(), &chart, RANGES[0], None, problem).await;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(refusals::mark(response, Reason::Wrong))
}

/// The limits from before a change for a while, again at once.
pub(crate) async fn back(State(app): State<App>, At(patient): At<String>, posted: Posted) -> Answer {
    let caller = &posted.caller;
    posted.fits(&["metric", "for?"])?;
    let id = super::patient_id(&patient)?;
    let purpose = patient::purpose(caller, posted.field("for"))?;
    let Some(metric) = Metric::from_name(posted.field("metric")) else {
        return Err(Error::wrong("There are no limits for this value."));
    };
    let session = caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.limits_back(&session, id, metric, now_ms)).await?;
    let word = purpose_word(purpose);
    Ok(Redirect::to(&format!("/patients/{id}?for={word}&saved={}#limits", caller.done(&app))).into_response())
}
