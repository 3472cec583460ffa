//! The doctor's wall.

use super::alarms::{AlarmCard, AlarmsPart};
use super::bed::BedView;
use super::gateways::cards;
use super::status::Status;
use crate::App;
use crate::session::Caller;
use crate::shell::{Answer, Shell};
use crate::words;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{AlarmView, Tile, Wall};
use vitals::alarm::Priority;

#[derive(Template)]
#[template(path = "parts/ward.html")]
struct WardPart {
    beds: Vec<BedView>,
    alarms: AlarmsPart,
    counts: Vec<(usize, String)>,
    unmonitored: usize,
}

impl HtmlSafe for WardPart {}

#[derive(Template)]
#[template(path = "pages/wall.html")]
struct WallPage {
    shell: Shell,
    ward: WardPart,
}

/// How many beds have which alarm as their worst; what is over counts apart.
fn counts(tiles: &[Tile]) -> Vec<(usize, String)> {
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

fn ward(wall: &Wall, caller: &Caller) -> WardPart {
    let role = caller.session.role;
    WardPart {
        beds: wall.tiles.iter().map(|tile| BedView::for_wall(tile, wall.at_ms)).collect(),
        alarms: AlarmsPart {
            alarms: cards(wall, role),
            no_alarms: if wall.tiles.is_empty() { "Nobody is watched yet" } else { "No alarms" }.into(),
            well: wall.tiles.iter().all(|tile| Status::of(tile, wall.at_ms).is_well()),
            csrf: caller.csrf(),
            back: "/wall".into(),
        },
        counts: counts(&wall.tiles),
        unmonitored: wall.unmonitored,
    }
}

/// `/wall`: all watched patients; to htmx, the part that changes.
pub(crate) async fn page(State(app): State<App>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let answer = app.ask(move |station, now_ms| station.wall(&session, now_ms)).await;
    let wall = app.granted(&caller, answer)?;
    let ward = ward(&wall, &caller);
    if caller.visit.htmx.fragment && caller.visit.htmx.target == "ward" {
        return Ok(app.render(&ward));
    }
    let shell = Shell::of(&app, &caller, "/wall").live("/live".into(), true);
    Ok(app.render(&WallPage { shell, ward }))
}

/// The alarms of one patient, for the patient's page.
pub(crate) fn alarms_of(tile: &Tile, csrf: String, role: vitals::ledger::Role, now_ms: u64) -> AlarmsPart {
    let status = Status::of(tile, now_ms);
    AlarmsPart {
        alarms: tile.alarms.iter().map(|alarm| AlarmCard::of(alarm, tile, false, role, now_ms)).collect(),
        no_alarms: status.no_alarm(),
        well: status.is_well(),
        csrf,
        back: format!("/patients/{}", words::hex(&tile.patient.0)),
    }
}
