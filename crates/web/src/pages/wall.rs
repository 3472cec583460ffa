//! The doctor's wall.

use super::alarm_card::AlarmCard;
use super::alarms::AlarmsPart;
use super::bed::BedView;
use super::patient_status::Status;
use super::unwatched::UnwatchedPart;
use crate::app::App;
use crate::caller::{Caller, Ward};
use crate::error::Answer;
use crate::format;
use crate::layout::Layout;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{AlarmView, Tile, Wall};
use std::sync::Arc;
use vitals::alarm::Priority;

/// One bed's place on the wall.
#[derive(Template)]
#[template(path = "parts/tile.html")]
pub(crate) struct TilePart {
    bed: BedView,
}

impl HtmlSafe for TilePart {}

/// Everything on the wall but the alarm strip, which every page of a clinician has.
#[derive(Template)]
#[template(path = "parts/ward.html")]
pub(crate) struct WardPart {
    tiles: Vec<TilePart>,
    counts: String,
    unwatched: UnwatchedPart,
}

impl HtmlSafe for WardPart {}

#[derive(Template)]
#[template(path = "pages/wall.html")]
struct WallPage {
    layout: Layout,
    ward: WardPart,
}

/// How many beds have which alarm as their worst; alarms that are over are counted apart.
fn worst(tiles: &[Tile]) -> Vec<(usize, String)> {
    let beds = |wanted: &dyn Fn(Option<&AlarmView>) -> bool| {
        tiles.iter().filter(|tile| wanted(tile.alarms.first())).count()
    };
    let active = |priority| {
        let wanted = move |worst: Option<&AlarmView>| {
            worst.is_some_and(|worst| worst.is_active() && worst.priority == priority)
        };
        (beds(&wanted), priority.word().to_string())
    };
    [Priority::High, Priority::Medium, Priority::Low, Priority::Technical]
        .into_iter()
        .map(active)
        .chain([
            (beds(&|worst| worst.is_some_and(|worst| !worst.is_active())), "over, not acknowledged".into()),
            (beds(&|worst| worst.is_none()), "without alarm".into()),
        ])
        .filter(|(count, _)| *count != 0)
        .collect()
}

/// The tile of one bed.
pub(crate) fn tile(tile: &Tile, now_ms: u64) -> TilePart {
    TilePart { bed: BedView::for_wall(tile, now_ms) }
}

/// All beds.
pub(crate) fn ward(wall: &Wall) -> WardPart {
    WardPart {
        tiles: wall.tiles.iter().map(|bed| tile(bed, wall.at_ms)).collect(),
        counts: counts(wall),
        unwatched: UnwatchedPart::of(&wall.unwatched, wall.at_ms),
    }
}

/// How many patients, and how many of them with what alarm.
#[must_use]
pub(crate) fn counts(wall: &Wall) -> String {
    let patients = match wall.tiles.len() {
        1 => "1 patient".to_string(),
        n => format!("{n} patients"),
    };
    let worst = worst(&wall.tiles).into_iter().map(|(count, word)| format!("{count} {word}"));
    let alarming = wall.unwatched.iter().filter(|bed| bed.ended.is_none()).count();
    let unwatched = (alarming != 0).then(|| format!("{alarming} not watched"));
    let unmonitored = (wall.unmonitored != 0)
        .then(|| format!("{} not shown, without consent to monitoring", wall.unmonitored));
    let hidden = (!wall.hidden.is_empty()).then(|| format!("{} not shown", wall.hidden.len()));
    core::iter::once(patients)
        .chain(hidden)
        .chain(worst)
        .chain(unwatched)
        .chain(unmonitored)
        .collect::<Vec<_>>()
        .join(" · ")
}

/// `/wall`: all watched patients.
pub(crate) async fn page(State(app): State<App>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let wall = Arc::new(app.ask(move |clinic, now_ms| clinic.wall(&session, now_ms)).await?);
    let caller = Caller { ward: Ward::Known(wall.clone()), ..caller };
    let layout = Layout::of(&app, &caller, "/wall").wall();
    Ok(app.render(&WallPage { layout, ward: ward(&wall) }))
}

/// The alarms of one patient, for the patient's page.
pub(crate) fn alarms_of(tile: &Tile, csrf: String, role: vitals::ledger::Role, now_ms: u64) -> AlarmsPart {
    let status = Status::of(tile, now_ms);
    AlarmsPart {
        id: "bed-alarms",
        label: "Alarms of this bed, most urgent first",
        alarms: tile.alarms.iter().map(|alarm| AlarmCard::of(alarm, tile, false, role, now_ms)).collect(),
        no_alarms: status.no_alarm(),
        well: status.is_well(),
        csrf,
        back: format!("/patients/{}", format::hex(&tile.patient.0)),
    }
}
