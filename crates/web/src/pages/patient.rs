//! A patient's page for those who treat them: everything now, and how it came to be.

use super::alarms::AlarmsPart;
use super::bed::{BedView, ProofMark, name_of};
use super::history::{HistoryLine, lines};
use super::limits::LimitsForm;
use super::trends::{Range, TrendsPart, range};
use super::wall::alarms_of;
use crate::App;
use crate::forms::{Asked, At, Fields, Posted};
use crate::session::{Caller, Ward};
use crate::shell::{Answer, Message, Refusal, Shell};
use crate::words::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{Chart, Tile};
use clinic::{ChartRequest, ClinicError, Denied};
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
    shell: Shell,
    now: NowPart,
    trends: TrendsPart,
    opening: OpeningView,
    limits: Vec<LimitsForm>,
    history: Vec<HistoryLine>,
    gaps: Vec<GapLine>,
    unreadable: u32,
    saved: Option<&'static str>,
    problem: Option<String>,
}

/// The purposes a role may read for, the usual one first.
#[must_use]
pub(crate) fn purposes(role: Role) -> &'static [Purpose] {
    match role {
        Role::Clinician => &[Purpose::Treatment, Purpose::Monitoring],
        Role::Family => &[Purpose::Family],
        Role::Auditor => &[Purpose::Audit],
        Role::Patient => &[Purpose::Own],
        Role::Administrator | Role::Other(_) => &[],
    }
}

/// A purpose in addresses.
pub(crate) fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Own => "own",
        other => other.word(),
    }
}

/// The purpose an address names, if the role may read for it; the usual one if it names none. Another is
/// never put in its place: the purpose stands in the access log.
pub(crate) fn purpose(app: &App, caller: &Caller, word: &str) -> Result<Purpose, Refusal> {
    let allowed = purposes(caller.session.role);
    let usual = allowed.first().ok_or_else(|| app.refusal(Some(caller), &Message::not_found()))?;
    if word.is_empty() {
        return Ok(*usual);
    }
    let named = allowed.iter().find(|purpose| purpose_word(**purpose) == word);
    let no_reason = Message::wrong("Accounts like yours do not open records for such a reason.");
    named.copied().ok_or_else(|| app.refusal(Some(caller), &no_reason))
}

/// Opens a record for a caller: the widest set of classes that is granted.
pub(crate) async fn open(
    app: &App,
    caller: &Caller,
    patient: PatientId,
    purpose: Purpose,
    range: Range,
) -> Result<Chart, Refusal> {
    let session = caller.session.clone();
    let answer = app
        .ask(move |station, now_ms| {
            let span_ms = (now_ms.saturating_sub(range.length_ms), now_ms);
            // A narrower consent opens a narrower page.
            let classes = CLASSES.to_vec();
            let request = ChartRequest { patient, purpose, classes, span_ms, make_do: true };
            let chart = station.open_chart(&session, &request, now_ms)?;
            // Somebody looks: the live stream of this page may go on from here.
            station.record_opened(&session, patient, now_ms)?;
            Ok(chart)
        })
        .await;
    if let Some(Err(ClinicError::Denied(why))) = &answer
        && of_consent(why)
        && let Some(refusal) = bed_of_the_wall(app, caller, patient).await
    {
        return Err(refusal);
    }
    app.granted(caller, answer)
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
            | Denied::PolicyRefuses { .. }
    )
}

/// What somebody is told who may not open a bed of their own wall: that it is there is no secret to them.
async fn bed_of_the_wall(app: &App, caller: &Caller, patient: PatientId) -> Option<Refusal> {
    let session = caller.session.clone();
    let watches = app.ask(move |station, now_ms| station.may_watch(&session, patient, now_ms)).await?;
    if !watches {
        return None;
    }
    let caller = caller.clone().with_ward(app).await;
    let Ward::Known(wall) = &caller.ward else { return None };
    let (name, place) = name_of(wall.tiles.iter().find(|tile| tile.patient == patient)?);
    let message = Message::record_closed(&format!("{place} · {name}"), patient);
    Some(app.refusal(Some(&caller), &message))
}

/// Somebody uses the open page: its live stream goes on. Says nothing of pages that are not open.
pub(crate) async fn stay(State(app): State<App>, At(patient): At<String>, posted: Posted) -> Answer {
    posted.fits(&app, &[])?;
    let id = super::patient_id(&app, &posted.caller, &patient)?;
    let session = posted.caller.session.clone();
    let answer = app
        .ask(move |station, now_ms| station.record_used(&session, id, now_ms).map_err(ClinicError::Denied))
        .await;
    app.granted(&posted.caller, answer)?;
    super::done(&posted, "/")
}

fn opening(chart: &Chart, role: Role) -> OpeningView {
    let scope = words::classes(&chart.classes);
    let sentence = match chart.purpose {
        Purpose::Own => format!("This is your own record: {scope}."),
        Purpose::Monitoring => format!(
            "The patient’s consent lets the ward see {scope} for monitoring: what is now, alarms, and the last two \
             hours. More needs the patient’s consent to treatment."
        ),
        purpose => format!("The patient’s consent lets you see {scope} {}.", words::purpose(purpose)),
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
                label: words::capital(words::purpose(*purpose)),
                current: *purpose == chart.purpose,
            };
            choices.iter().map(choice).collect()
        },
    }
}

/// The page of an opened record. `problem` and `entered` come from a form that did not fit.
pub(crate) fn render(
    app: &App,
    caller: &Caller,
    chart: &Chart,
    range: Range,
    saved: bool,
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
    let entered = problem.as_ref().map(|(_, fields)| fields);
    let changeable = role == Role::Clinician;
    let topic = crate::live::record(chart.now.patient, chart.purpose);
    let mut shell = Shell::of(app, caller, "").live(topic).beside(caller, chart.now.patient);
    shell.path = address;
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
                    n => format!("{} sealed records are missing", words::count(n)),
                },
                class: words::class(gap.class),
                from: Moment(gap.from_ms),
                until: Moment(gap.until_ms),
            })
            .collect(),
        unreadable: chart.unreadable,
        saved: saved.then_some("The new limits are in force on the ward, and written into the record."),
        problem: problem.map(|(text, _)| text),
        shell,
    };
    app.render(&page)
}

/// `/patients/{patient}`: the record, under the consent that covers it.
pub(crate) async fn page(
    State(app): State<App>,
    At(patient): At<String>,
    asked: Asked,
    caller: Caller,
) -> Answer {
    let id = super::patient_id(&app, &caller, &patient)?;
    let purpose = purpose(&app, &caller, asked.field("for"))?;
    let no_range = Message::wrong("There is no such span of time to choose.");
    let range = range(asked.field("range")).ok_or_else(|| app.refusal(Some(&caller), &no_range))?;
    let chart = open(&app, &caller, id, purpose, range).await?;
    // A fragment has no frame.
    let caller = if caller.visit.htmx.fragment { caller } else { caller.with_ward(&app).await };
    Ok(render(&app, &caller, &chart, range, asked.field("saved") == caller.done(), None))
}
