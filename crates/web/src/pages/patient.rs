//! A patient's page for those who treat them: everything now, and how it came to be.

use super::alarms::AlarmsPart;
use super::bed::{BedView, ProofMark};
use super::history::{HistoryLine, lines};
use super::limits_form::LimitsForm;
use super::trends::{Range, TrendsPart, range};
use super::wall::alarms_of;
use crate::app::App;
use crate::caller::{Caller, Ward};
use crate::error::{Answer, Error};
use crate::fields::Fields;
use crate::format;
use crate::forms::{At, Posted, Query};
use crate::labels::{self, name_and_place, purpose_word};
use crate::layout::Layout;
use crate::time::Moment;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{Chart, Tile};
use clinic::{ChartRequest, ClinicError, Denied, purposes};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

/// What a page of this kind shows, ascending.
pub(crate) const CLASSES: [Class; 4] = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];

/// The alarms and newest values: what a live stream replaces.
#[derive(Template)]
#[template(path = "parts/now.html")]
pub(crate) struct NowPart {
    bed: BedView,
    alarms: AlarmsPart,
}

impl HtmlSafe for NowPart {}

impl NowPart {
    pub(crate) fn of(tile: &Tile, csrf: String, role: Role, now_ms: u64) -> Self {
        Self { bed: BedView::for_page(tile, now_ms), alarms: alarms_of(tile, csrf, role, now_ms) }
    }
}

struct Reason {
    word: &'static str,
    label: String,
    current: bool,
}

struct OpeningView {
    sentence: String,
    word: &'static str,
    trace: ProofMark,
    others: Vec<Reason>,
}

struct GapLine {
    count: String,
    class: &'static str,
    from: Moment,
    until: Moment,
}

#[derive(Template)]
#[template(path = "pages/patient.html")]
struct PatientPage {
    layout: Layout,
    now: NowPart,
    trends: TrendsPart,
    opening: OpeningView,
    limits: Vec<LimitsForm>,
    history: Vec<HistoryLine>,
    gaps: Vec<GapLine>,
    unreadable: u32,
    saved: Option<&'static str>,
}

/// The purpose an address names, if the role may read for it; the usual one if it names none. Another is
/// never put in its place: the purpose stands in the access log.
pub(crate) fn purpose(caller: &Caller, word: &str) -> Result<Purpose, Error> {
    let allowed = purposes(caller.session.role);
    let usual = allowed.first().ok_or_else(Error::not_found)?;
    if word.is_empty() {
        return Ok(*usual);
    }
    let named = allowed.iter().find(|purpose| purpose_word(**purpose) == word);
    let no_reason = Error::wrong("Accounts like yours do not open records for such a reason.");
    named.copied().ok_or(no_reason)
}

/// Opens a record for a caller: the widest set of classes that is granted.
pub(crate) async fn open(
    app: &App,
    caller: &Caller,
    patient: PatientId,
    purpose: Purpose,
    range: Range,
) -> Result<Chart, Error> {
    let session = caller.session.clone();
    let answer = app
        .run(move |clinic, now_ms| {
            let span_ms = (now_ms.saturating_sub(range.length_ms), now_ms);
            // A narrower consent opens a narrower page.
            let classes = CLASSES.to_vec();
            let request = ChartRequest { patient, purpose, classes, span_ms, make_do: true };
            let chart = clinic.open_chart(&session, &request, now_ms)?;
            // Somebody is looking: the live stream of this page may go on.
            clinic.record_opened(&session, patient, now_ms)?;
            Ok::<_, ClinicError>(chart)
        })
        .await?;
    if let Err(ClinicError::Denied(why)) = &answer
        && of_consent(why)
        && let Some(refusal) = bed_of_the_wall(app, caller, patient).await
    {
        return Err(refusal);
    }
    Ok(answer?)
}

/// Could a consent change this answer?
fn of_consent(why: &Denied) -> bool {
    matches!(
        why,
        Denied::NoConsent
            | Denied::ClassNotCovered { .. }
            | Denied::NotYet { .. }
            | Denied::Ended { .. }
            | Denied::Withdrawn
            | Denied::ConsentPaused
            | Denied::PolicyRefuses { .. }
    )
}

/// The refusal for a bed on the caller's own wall whose record they may not open: they know that it is there.
async fn bed_of_the_wall(app: &App, caller: &Caller, patient: PatientId) -> Option<Error> {
    let session = caller.session.clone();
    let watches = app.run(move |clinic, now_ms| clinic.may_watch(&session, patient, now_ms)).await.ok()?;
    if !watches {
        return None;
    }
    let caller = caller.clone().with_ward(app).await;
    let Ward::Known(wall) = &caller.ward else { return None };
    let (name, place) = name_and_place(wall.tiles.iter().find(|tile| tile.patient == patient)?);
    Some(Error::record_closed(&format!("{place} · {name}"), patient))
}

/// Somebody uses the open page: its live stream goes on. Has no effect on pages that are not open.
pub(crate) async fn stay(State(app): State<App>, At(patient): At<String>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let id = super::patient_id(&patient)?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.record_used(&session, id, now_ms).map_err(ClinicError::Denied))
        .await?;
    super::done(&posted, "/")
}

fn opening(chart: &Chart, role: Role) -> OpeningView {
    let scope = labels::classes(&chart.classes);
    let sentence = match chart.purpose {
        Purpose::Own => format!("This is your own record: {scope}."),
        Purpose::Monitoring => format!(
            "The patient’s consent lets the ward see {scope} for monitoring: what is now, alarms, and the last two \
             hours. More needs the patient’s consent to treatment."
        ),
        purpose => format!("The patient’s consent lets you see {scope} {}.", labels::purpose(purpose)),
    };
    let choices = purposes(role);
    OpeningView {
        sentence,
        word: purpose_word(chart.purpose),
        trace: ProofMark::of(&chart.trace),
        others: if choices.len() < 2 {
            Vec::new()
        } else {
            let choice = |purpose: &Purpose| Reason {
                word: purpose_word(*purpose),
                label: format::capital(labels::purpose(*purpose)),
                current: *purpose == chart.purpose,
            };
            choices.iter().map(choice).collect()
        },
    }
}

/// What is said once about a form of limits that was sent, by the field of the address that says so.
const SAID_ONCE: [(&str, &str); 2] = [
    ("saved", "The new limits are in force on the ward, and written into the record."),
    ("unchanged", "Nothing was changed: these limits are in force already."),
];

/// The page of an opened record, with the alarms of the ward around it. `problem` is why a form did not fit, and
/// what was entered.
pub(crate) async fn show(
    app: &App,
    caller: Caller,
    chart: &Chart,
    range: Range,
    saved: Option<&'static str>,
    problem: Option<(String, Fields)>,
) -> axum::response::Response {
    let now_ms = app.now_ms();
    let role = caller.session.role;
    let word = purpose_word(chart.purpose);
    let address = format!("/patients/{}?for={word}", chart.now.patient);
    let trends = TrendsPart::of(chart, range, &address);
    if caller.visit.htmx.fragment && caller.visit.htmx.target == "trends" {
        return app.render(&trends);
    }
    // A fragment has no frame.
    let caller = if caller.visit.htmx.fragment { caller } else { caller.with_ward(app).await };
    let entered = problem.as_ref().map(|(why, fields)| (why.as_str(), fields));
    let changeable = role == Role::Clinician;
    let topic = crate::live_topics::record(chart.now.patient, chart.purpose);
    let mut layout = Layout::of(app, &caller, "").live(topic).beside(&caller, chart.now.patient);
    layout.path = address;
    let page = PatientPage {
        now: NowPart::of(&chart.now, caller.csrf(), role, now_ms),
        trends,
        opening: opening(chart, role),
        limits: chart
            .now
            .limits
            .iter()
            .map(|limits| LimitsForm::of(limits, &chart.now, changeable, entered))
            .collect(),
        history: lines(chart),
        gaps: chart
            .gaps
            .iter()
            .map(|gap| GapLine {
                count: match gap.until_seq.saturating_sub(gap.from_seq) {
                    1 => "1 sealed record is missing".into(),
                    n => format!("{} sealed records are missing", format::count(n)),
                },
                class: labels::class(gap.class),
                from: Moment(gap.from_ms),
                until: Moment(gap.until_ms),
            })
            .collect(),
        unreadable: chart.unreadable,
        saved,
        layout,
    };
    app.render(&page)
}

/// `/patients/{patient}`: the record, under the consent that covers it.
pub(crate) async fn page(
    State(app): State<App>,
    At(patient): At<String>,
    query: Query,
    caller: Caller,
) -> Answer {
    let id = super::patient_id(&patient)?;
    let purpose = purpose(&caller, query.field("for"))?;
    let no_range = Error::wrong("There is no such span of time to choose.");
    let range = range(query.field("range")).ok_or(no_range)?;
    let chart = open(&app, &caller, id, purpose, range).await?;
    let said = |(field, text)| caller.was_done(&app, query.field(field)).then_some(text);
    let saved = if caller.visit.htmx.fragment { None } else { SAID_ONCE.into_iter().find_map(said) };
    Ok(show(&app, caller, &chart, range, saved, None).await)
}
