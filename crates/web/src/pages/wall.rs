//! The doctor's wall.

use super::alarms::{AlarmCard, AlarmsPart, sort};
use super::bed::BedView;
use crate::App;
use crate::session::Caller;
use crate::shell::{Answer, Shell};
use crate::words;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::Wall;
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

fn ward(wall: &Wall, caller: &Caller) -> WardPart {
    let mut strip = wall.strip.clone();
    sort(&mut strip);
    let role = caller.session.role;
    let card = |alarm: &clinic::views::AlarmView| {
        let tile = wall.tiles.iter().find(|tile| tile.patient == alarm.patient)?;
        Some(AlarmCard::of(alarm, tile, true, role, wall.at_ms))
    };
    let worst = |priority| {
        wall.tiles.iter().filter(|tile| tile.alarms.first().map(|alarm| alarm.priority) == priority).count()
    };
    let counts =
        [Some(Priority::High), Some(Priority::Medium), Some(Priority::Low), Some(Priority::Technical), None]
            .into_iter()
            .map(|priority| {
                (worst(priority), priority.map_or_else(|| "without alarm".into(), |p| p.word().to_string()))
            })
            .filter(|(count, _)| *count != 0)
            .collect();
    WardPart {
        beds: wall.tiles.iter().map(|tile| BedView::for_wall(tile, wall.at_ms)).collect(),
        alarms: AlarmsPart {
            alarms: strip.iter().filter_map(card).collect(),
            no_alarms: if wall.tiles.is_empty() { "Nobody is watched yet" } else { "No alarms" },
            csrf: caller.csrf(),
            back: "/wall".into(),
        },
        counts,
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
pub(crate) fn alarms_of(
    tile: &clinic::views::Tile,
    csrf: String,
    role: vitals::ledger::Role,
    now_ms: u64,
) -> AlarmsPart {
    let mut alarms = tile.alarms.clone();
    sort(&mut alarms);
    AlarmsPart {
        alarms: alarms.iter().map(|alarm| AlarmCard::of(alarm, tile, false, role, now_ms)).collect(),
        no_alarms: match (tile.technical.last_ms, tile.technical.stale) {
            (None, _) => "Waiting for the first value",
            (_, true) => "No alarm, and no fresh data",
            _ => "No alarm",
        },
        csrf,
        back: format!("/patients/{}", words::hex(&tile.patient.0)),
    }
}
