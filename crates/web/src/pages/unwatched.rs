//! Beds that nobody watches: what the wall says of them, and how a clinician answers for one.

use super::alarm_card::AlarmCard;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format;
use crate::format::sentence;
use crate::forms::{At, Posted};
use crate::labels;
use crate::layout::Layout;
use crate::refusals;
use crate::refusals::Reason;
use crate::time::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use clinic::ClinicError;
use clinic::views::{AlarmPhase, AlarmView, UnwatchedBed};
use vitals::PatientId;
use vitals::alarm::Unwatched;

/// One bed that nobody watches.
pub(crate) struct UnwatchedCard {
    pub(crate) patient: String,
    pub(crate) place: String,
    pub(crate) why: &'static str,
    pub(crate) advice: &'static str,
    pub(crate) since: Moment,
    pub(crate) lasted: String,
    /// Who answered for it: name, when, reason.
    pub(crate) ended: Option<(String, Moment, String)>,
}

/// The section of the wall about them.
#[derive(Template)]
#[template(path = "parts/unwatched.html")]
pub(crate) struct UnwatchedPart {
    pub(crate) beds: Vec<UnwatchedCard>,
}

impl HtmlSafe for UnwatchedPart {}

fn place_of(bed: &UnwatchedBed) -> String {
    if bed.place.is_empty() {
        format!("Bed of patient {}", format::short_hex(&bed.patient.0))
    } else {
        bed.place.clone()
    }
}

/// What to do at the bed.
fn advice(why: Unwatched) -> &'static str {
    match why {
        Unwatched::Starting => "This takes a few seconds. If it lasts, tell the operator.",
        Unwatched::NoConsent | Unwatched::ConsentEnded => {
            "Look after the patient yourself, and ask whether the ward may watch: the patient's own page has the form."
        }
        Unwatched::Withdrawn => {
            "The patient does not want to be watched from here. Look after the patient as agreed, and note what was agreed."
        }
        Unwatched::Paused => {
            "Watching goes on by itself when the pause is over. Until then nobody is called."
        }
        Unwatched::Policy => "Look after the patient yourself, and ask the administrator about the policy.",
        Unwatched::LedgerDown | Unwatched::NotRecorded => {
            "Look after the patient yourself, and call the operator: this node needs help."
        }
    }
}

impl UnwatchedCard {
    fn of(bed: &UnwatchedBed, now_ms: u64) -> Self {
        Self {
            patient: bed.patient.to_string(),
            place: place_of(bed),
            why: labels::unwatched(bed.why),
            advice: advice(bed.why),
            since: Moment(bed.since_ms),
            lasted: time::age(now_ms.saturating_sub(bed.since_ms)),
            ended: bed.ended.clone().map(|(at_ms, name, reason)| (name, Moment(at_ms), reason)),
        }
    }
}

impl UnwatchedPart {
    pub(crate) fn of(beds: &[UnwatchedBed], now_ms: u64) -> Self {
        Self { beds: beds.iter().map(|bed| UnwatchedCard::of(bed, now_ms)).collect() }
    }
}

#[derive(Template)]
#[template(path = "pages/unwatched.html")]
struct UnwatchedPage {
    layout: Layout,
    bed: UnwatchedCard,
    csrf: String,
    /// Why the reason that was entered is not accepted.
    problem: Option<String>,
    entered: String,
}

async fn show(
    app: &App,
    caller: &Caller,
    id: PatientId,
    problem: Option<String>,
    entered: String,
) -> Result<Response, Error> {
    let session = caller.session.clone();
    let answer = app.ask(move |clinic, now_ms| {
        let watched = clinic.may_watch(&session, id, now_ms);
        clinic.unwatched_beds(&session, now_ms).map(|beds| (beds, watched))
    });
    let (beds, watched) = answer.await?;
    let Some(bed) = beds.iter().find(|bed| bed.patient == id) else {
        // Somebody watches it again: there is nothing to answer for.
        let wall = || Redirect::to("/wall").into_response();
        return watched.then(wall).ok_or_else(Error::not_found);
    };
    let caller = caller.clone().with_ward(app).await;
    let layout = Layout::of(app, &caller, "/wall");
    let bed = UnwatchedCard::of(bed, app.now_ms());
    Ok(app.render(&UnwatchedPage { layout, bed, csrf: caller.csrf(), problem, entered }))
}

/// `/patients/{patient}/unwatched`: the bed, and the form with which a clinician answers for it.
pub(crate) async fn page(State(app): State<App>, At(patient): At<String>, caller: Caller) -> Answer {
    let id = super::patient_id(&patient)?;
    show(&app, &caller, id, None, String::new()).await
}

impl AlarmCard {
    /// The alarm about a bed that nobody watches: it leads to the form that ends it.
    pub(crate) fn of_unwatched(bed: &UnwatchedBed, alarm: &AlarmView) -> Self {
        Self {
            active: alarm.phase == AlarmPhase::Active,
            silenced_until_ms: 0,
            action: String::new(),
            key: format!("alarm-{}-{}", alarm.patient, alarm.condition.code()),
            patient: alarm.patient.to_string(),
            code: alarm.condition.code(),
            style: labels::priority_style(alarm.priority),
            icon: labels::priority_icon(alarm.priority),
            stars: alarm.priority.stars(),
            word: format::capital(alarm.priority.word()),
            what: format!("Nobody watches: {}", labels::unwatched(bed.why)),
            place: place_of(bed),
            href: format!("/patients/{}/unwatched", alarm.patient),
            raised: Moment(alarm.raised_at_ms),
            seen: String::new(),
            owner: alarm.owner.clone(),
            silenced_until: None,
            note: "no alarm comes from this bed".into(),
            unanswered: alarm.phase == AlarmPhase::Active,
            over: false,
            answerable: false,
            silenceable: false,
            soundable: false,
        }
    }
}

/// A clinician says why nobody has to watch a bed.
pub(crate) async fn end(State(app): State<App>, At(patient): At<String>, posted: Posted) -> Answer {
    let id = super::patient_id(&patient)?;
    posted.fits(&["reason"])?;
    let (session, reason) = (posted.caller.session.clone(), posted.field("reason").to_owned());
    let given = reason.clone();
    let answer = app.run(move |clinic, now_ms| clinic.end_unwatched(&session, id, &given, now_ms)).await?;
    if let Err(ClinicError::Wrong(why)) = answer {
        let mut response = show(&app, &posted.caller, id, Some(sentence(&why)), reason).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(refusals::mark(response, Reason::Wrong));
    }
    answer?;
    Ok(Redirect::to("/wall").into_response())
}
