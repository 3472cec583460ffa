//! Requests for a consent: a clinician's page, where they ask and see the answers, and the patient's no.

use super::consent_form::{self, CLASSES, YES, classes};
use crate::app::App;
use crate::caller::{Caller, Ward};
use crate::error::{Answer, Error};
use crate::fields::Fields;
use crate::format::{self, sentence, short_hex};
use crate::forms::{At, Posted, Query};
use crate::labels::{self, name_and_place};
use crate::layout::Layout;
use crate::refusals::{self, Reason};
use crate::time::{self, Moment};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use clinic::views::{AskState, AskView};
use clinic::{AskForConsent, ClinicError};
use vitals::PatientId;

const HERE: &str = "/asks";
/// For how long a consent is asked: days, and the label.
const DAYS: [(u64, &str); 3] = [(1, "1 day"), (7, "7 days"), (30, "30 days")];
/// The one that is chosen unless another is.
const DAYS_USUAL: &str = "7";
const DAY_MS: u64 = 86_400_000;
/// What the form sends. A box that is not ticked sends nothing.
const FIELDS: [&str; 7] = ["patient", "vitals?", "environment?", "alarms?", "profile?", "reason", "days"];

struct Choice {
    name: String,
    label: String,
    chosen: bool,
}

/// One request, as its clinician sees it.
struct AskLine {
    whom: String,
    what: String,
    reason: String,
    asked: Moment,
    state: String,
    at: Option<Moment>,
    record: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/asks.html")]
struct AsksPage {
    layout: Layout,
    asked: bool,
    asks: Vec<AskLine>,
    patient: String,
    /// Who that is, where the caller's own wall says so.
    whom: Option<String>,
    classes: Vec<Choice>,
    reason: String,
    days: Vec<Choice>,
    problem: Option<String>,
}

/// Name and place of a patient, from the caller's own wall: nowhere else a name is told.
fn on_the_wall(caller: &Caller, patient: PatientId) -> Option<String> {
    let Ward::Known(wall) = &caller.ward else { return None };
    let (name, place) = name_and_place(wall.tiles.iter().find(|tile| tile.patient == patient)?);
    Some(format!("{place} · {name}"))
}

fn line(ask: &AskView, caller: &Caller) -> AskLine {
    let (state, at) = match ask.state {
        AskState::Open => ("Not answered yet. It ends", Some(Moment(ask.ends_ms))),
        AskState::Ended => ("Not answered in seven days. It is over.", None),
        AskState::Refused(at_ms) => ("The patient said no", Some(Moment(at_ms))),
        AskState::Given(at_ms, _) => {
            ("The patient gave you a consent, perhaps for less,", Some(Moment(at_ms)))
        }
    };
    AskLine {
        whom: on_the_wall(caller, ask.patient)
            .unwrap_or_else(|| format!("Patient {}", short_hex(&ask.patient.0))),
        what: format!("{}, for {}", labels::classes(&ask.classes), time::left(ask.for_ms)),
        reason: ask.reason.clone(),
        asked: Moment(ask.asked_at_ms),
        state: state.into(),
        at,
        record: matches!(ask.state, AskState::Given(..)).then(|| format!("/patients/{}", ask.patient)),
    }
}

/// The page with what was entered. `asks` were given out by the clinic: the caller is a clinician.
async fn show(
    app: &App,
    caller: Caller,
    asks: Vec<AskView>,
    entered: &Fields,
    problem: Option<String>,
    asked: bool,
) -> axum::response::Response {
    let caller = caller.with_ward(app).await;
    let field = |name: &str| entered.get(name).map_or("", String::as_str);
    let mut layout = Layout::of(app, &caller, HERE);
    layout.path = HERE.into();
    let chosen = if field("days").is_empty() { DAYS_USUAL } else { field("days") };
    let class = |(name, class, _)| Choice {
        name: str::to_owned(name),
        label: format::capital(labels::class(class)),
        chosen: field(name) == YES,
    };
    let length = |(days, label): (u64, &str)| {
        let name = days.to_string();
        Choice { chosen: name == chosen, name, label: label.into() }
    };
    let named: Option<PatientId> = super::named(field("patient").trim());
    app.render(&AsksPage {
        asked,
        asks: asks.iter().map(|ask| line(ask, &caller)).collect(),
        patient: field("patient").into(),
        whom: named.and_then(|id| on_the_wall(&caller, id)),
        classes: CLASSES.into_iter().map(class).collect(),
        reason: field("reason").into(),
        days: DAYS.into_iter().map(length).collect(),
        problem,
        layout,
    })
}

/// `GET /asks`: the caller's requests, and the form; `?patient=` fills in whom.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let asks = app.ask(move |clinic, now_ms| clinic.asks_by(&session, now_ms)).await?;
    let mut entered = consent_form::usual();
    entered.insert("patient".into(), query.field("patient").into());
    let asked = caller.was_done(&app, query.field("asked"));
    Ok(show(&app, caller, asks, &entered, None, asked).await)
}

/// What the form asks for, or why that cannot be.
fn wanted(fields: &Fields) -> Result<AskForConsent, String> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str).trim();
    let patient = super::named(field("patient"))
        .ok_or("A patient’s id has 32 digits, 0 to 9 and a to f. The patient’s own page shows it.")?;
    let classes = classes(fields).map_err(|problem| problem.sentence)?;
    let days = DAYS.iter().map(|(days, _)| *days).find(|days| days.to_string() == field("days"));
    let days = days.ok_or("There is no such number of days to choose.")?;
    Ok(AskForConsent { patient, classes, reason: field("reason").into(), for_ms: days * DAY_MS })
}

/// `POST /asks`: asks a patient. The answer is the same whether or not there is one.
pub(crate) async fn ask(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&FIELDS)?;
    let session = posted.caller.session.clone();
    let asks = app.ask(move |clinic, now_ms| clinic.asks_by(&session, now_ms)).await?;
    let problem = match wanted(&posted.fields) {
        Err(why) => why,
        Ok(wanted) => {
            let session = posted.caller.session.clone();
            let asking = move |clinic: &std::sync::Arc<clinic::Clinic>, now_ms| {
                clinic.ask_for_consent(&session, &wanted, now_ms)
            };
            match app.run(asking).await? {
                Err(ClinicError::Wrong(why)) => sentence(&why),
                answer => {
                    answer?;
                    let address = format!("{HERE}?asked={}", posted.caller.done(&app));
                    return Ok(Redirect::to(&address).into_response());
                }
            }
        }
    };
    let caller = posted.caller.clone();
    let mut response = show(&app, caller, asks, &posted.fields, Some(problem), false).await;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(refusals::mark(response, Reason::Wrong))
}

/// `POST /me/asks/{ask}/refuse`: the patient says no.
pub(crate) async fn refuse(State(app): State<App>, At(ask): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let id = consent_form::ask_id(&ask).ok().flatten().ok_or_else(Error::not_found)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.refuse_ask(&session, id, now_ms)).await?;
    Ok(Redirect::to(&format!("/me?refused={}", posted.caller.done(&app))).into_response())
}

/// One request, as the patient sees it.
pub(super) struct OwnAsk {
    /// Names it in addresses.
    pub(super) id: String,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) reason: String,
    pub(super) asked: Moment,
    pub(super) ends: Moment,
    /// Is it to be answered?
    pub(super) open: bool,
    pub(super) state: &'static str,
}

impl OwnAsk {
    pub(super) fn of(ask: &AskView) -> Self {
        Self {
            id: format::hex(&ask.id),
            who: format!("{}, {},", ask.name, ask.role.word()),
            what: format!("{} for {}", labels::classes(&ask.classes), time::left(ask.for_ms)),
            reason: ask.reason.clone(),
            asked: Moment(ask.asked_at_ms),
            ends: Moment(ask.ends_ms),
            open: ask.state == AskState::Open,
            state: match ask.state {
                AskState::Open => "Not answered yet",
                AskState::Ended => "Not answered; it is over",
                AskState::Refused(_) => "You said no",
                AskState::Given(..) => "You gave a consent",
            },
        }
    }
}
