//! The alarm strip, and what one can do about an alarm.

use super::alarm_card::{AlarmCard, read_seen};
use super::gateways::{behind, cards};
use super::patient_status::Status;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format;
use crate::forms::{At, Posted};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{AlarmRef, Wall};
use vitals::PatientId;
use vitals::alarm::SILENCE_MAX_MS;

/// The strip of all beds on a clinician's page, or the alarms of one bed on its own.
#[derive(Template)]
#[template(path = "parts/alarms.html")]
pub(crate) struct AlarmsPart {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) alarms: Vec<AlarmCard>,
    /// The text while there is none.
    pub(crate) no_alarms: String,
    /// Is everything known to be in its limits?
    pub(crate) well: bool,
    pub(crate) csrf: String,
    pub(crate) back: String,
}

impl HtmlSafe for AlarmsPart {}

/// The strip of all beds, without those that have a place of their own on the page.
pub(crate) fn strip(wall: &Wall, caller: &Caller, except: Option<PatientId>) -> AlarmsPart {
    let mut alarms = cards(wall, caller.session.role);
    let own = except.map(|patient| patient.to_string());
    alarms.retain(|card| own.as_ref() != Some(&card.patient));
    let no_alarms = match (wall.tiles.is_empty(), except) {
        _ if !wall.unwatched.is_empty() => "No alarm from the beds that are watched",
        _ if !wall.hidden.is_empty() => "No alarm from the beds that are shown",
        (true, _) => "Nobody is watched yet",
        (false, None) => "No alarms",
        (false, Some(_)) => "No alarm at another bed",
    };
    AlarmsPart {
        id: "alarms",
        label: "Alarms of all beds, most urgent first",
        alarms,
        no_alarms: no_alarms.into(),
        well: !wall.tiles.is_empty()
            && wall.hidden.is_empty()
            && wall.unwatched.iter().all(|bed| bed.ended.is_some())
            && wall.tiles.iter().all(|tile| Status::of(tile, wall.at_ms).is_well()),
        csrf: caller.csrf(),
        back: "/wall".into(),
    }
}

/// The strip of a page that has not read the ward: the live stream fills it in.
pub(crate) fn not_asked() -> AlarmsPart {
    AlarmsPart {
        id: "alarms",
        label: "Alarms of all beds, most urgent first",
        alarms: Vec::new(),
        no_alarms: "Alarms are not shown here yet: look at the wall".into(),
        well: false,
        csrf: String::new(),
        back: String::new(),
    }
}

/// What stands before a page's title while there are alarms, so that they are seen on a tab in the background.
#[must_use]
pub(crate) fn title(wall: &Wall) -> String {
    let open = || wall.strip.iter().filter(|alarm| alarm.is_active());
    let hidden = || wall.hidden.iter().filter_map(|bed| bed.alarm.map(|alarm| alarm.priority));
    let worst = open().map(|alarm| alarm.priority).chain(hidden()).max();
    let Some(worst) = worst else { return String::new() };
    let alone = open().filter(|alarm| behind(alarm, &wall.gateways).is_none()).count();
    let count = alone + wall.gateways.len() + hidden().count();
    let alarms = if count == 1 { "alarm" } else { "alarms" };
    format!("{}, {count} {alarms}", format::capital(worst.word()))
}

/// What a clinician can do about an alarm.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AlarmAction {
    /// Takes care of it.
    Acknowledge,
    /// Turns its sound off for [`SILENCE_MAX_MS`].
    Silence,
    /// Turns its sound on again before that time is over.
    EndSilence,
}

/// `POST /patients/{patient}/alarms/{condition}/…`: does this about one alarm.
pub(crate) async fn submit(
    State(app): State<App>,
    At((patient, code)): At<(String, String)>,
    posted: Posted,
    action: AlarmAction,
) -> Answer {
    posted.fits(&["back?", "seen?"])?;
    let id = super::patient_id(&patient)?;
    let condition = super::condition(&code)?;
    let alarm = AlarmRef { condition, seen: read_seen(posted.field("seen")) };
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| match action {
        AlarmAction::Acknowledge => clinic.acknowledge(&session, id, alarm, now_ms),
        AlarmAction::Silence => clinic.silence(&session, id, alarm, SILENCE_MAX_MS, now_ms),
        AlarmAction::EndSilence => clinic.end_silence(&session, id, condition, now_ms),
    })
    .await?;
    super::done(&posted, "/wall")
}
