//! The patient's own page: values in sentences, who read them, and what they allow.

use super::alarm_card::AlarmCard;
use super::asks::OwnAsk;
use super::bed::{BedView, Cell, ProofMark, Spark, spark};
use super::consent_lines::ConsentLine;
use super::monitoring_consent::WatchCard;
use super::patient_status::Status;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format;
use crate::forms::Query;
use crate::labels;
use crate::layout::Layout;
use crate::time::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::ACCESS_SHOWN_MAX;
use clinic::views::{AccessView, GrantState, OwnPage, Tile};
use vitals::alarm::Limits;
use vitals::ledger::{Purpose, Role};
use vitals::{Metric, PersonId};

/// The reader's name in the entries of the node's own alarm engine.
const ALARM_ENGINE: &str = "alarm engine";
/// Lines of the access log that are shown at first; entries that belong together are one line.
const LINES: usize = 20;
/// Entries of one reader for one reason this close together are one line.
const TOGETHER_MS: u64 = 10 * 60_000;
/// Newest lines that are searched for one to join.
const KINDS_MAX: usize = 16;

struct Card {
    cell: Cell,
    title: &'static str,
    unit: &'static str,
    sentence: String,
    main: bool,
    spark: Option<Spark>,
}

/// The values: what a live stream replaces.
#[derive(Template)]
#[template(path = "parts/me_now.html")]
pub(crate) struct MeNowPart {
    bed: BedView,
    lead: String,
    /// Does it say that all is well? Then it is shown only while the page is connected.
    well: bool,
    alarms: Vec<AlarmCard>,
    cards: Vec<Card>,
    /// Nobody watches, so nothing current is known here; that is not "nothing was ever sent".
    not_shown: bool,
}

impl HtmlSafe for MeNowPart {}

struct AccessLine {
    reader: String,
    what: String,
    why: String,
    at: Moment,
    first: Moment,
    times: usize,
    proof: ProofMark,
}

#[derive(Template)]
#[template(path = "pages/me.html")]
struct MePage {
    layout: Layout,
    now: MeNowPart,
    saved: Option<&'static str>,
    /// Who asks for a consent: those that are to be answered, and the others.
    asks: Vec<OwnAsk>,
    answered: Vec<OwnAsk>,
    watch: WatchCard,
    access: Vec<AccessLine>,
    more: usize,
    /// Some lines stand for several entries: each can be listed by itself.
    together: bool,
    /// There may be older entries than the node shows at once.
    older: bool,
    consents: Vec<ConsentLine>,
    /// The ledger is confirming one: the page does not hear of it by itself.
    confirming: bool,
    device: String,
    genesis: String,
}

impl MeNowPart {
    pub(crate) fn of(tile: &Tile, now_ms: u64) -> Self {
        let bed = BedView::for_page(tile, now_ms);
        let alarms: Vec<AlarmCard> = tile
            .alarms
            .iter()
            .map(|alarm| AlarmCard::of(alarm, tile, false, Role::Patient, now_ms))
            .collect();
        let mut cells = BedView::for_page(tile, now_ms).cells;
        cells.sort_by_key(|cell| cell.metric);
        let cards = cells.into_iter().map(|cell| card(cell, tile, now_ms)).collect();
        let status = Status::of(tile, now_ms);
        let not_shown = is_not_shown(tile);
        let well = status.is_well() && alarms.is_empty();
        Self { lead: lead(tile, &status), well, bed, alarms, cards, not_shown }
    }
}

fn is_not_shown(tile: &Tile) -> bool {
    tile.unwatched.is_some() && tile.technical.last_ms.is_none()
}

fn lead(tile: &Tile, status: &Status) -> String {
    if is_not_shown(tile) {
        return "While nobody watches you, this page shows no current values.".into();
    }
    let quiet = matches!(status, Status::Waiting | Status::NoData);
    match tile.alarms.first() {
        None => status.lead(),
        Some(_) if quiet => status.lead(),
        Some(worst) if worst.is_active() => {
            "Your device is working. Something needs attention; your care team sees it too.".into()
        }
        Some(_) => "Your device is working. An alarm is over; your care team will look at it.".into(),
    }
}

fn card(cell: Cell, tile: &Tile, now_ms: u64) -> Card {
    let limits = tile.limits.iter().find(|limits| limits.metric == cell.metric);
    let (title, unit) = match cell.metric {
        Metric::HeartRate => ("Heart rate", "beats a minute"),
        Metric::BodyTemperature => ("Body temperature", "°C"),
        Metric::AmbientTemperature => ("Room", "°C"),
        _ => (cell.label, cell.unit),
    };
    let main = matches!(cell.metric, Metric::HeartRate | Metric::BodyTemperature);
    let sentence = match cell.value {
        None => "Nothing could be measured just now.".into(),
        Some(_) if now_ms.saturating_sub(cell.at.0) >= tile.technical.stale_after_ms => {
            "This value is old.".into()
        }
        Some(value) => meaning(cell.metric, value, limits),
    };
    let spark = if cell.metric == Metric::HeartRate { spark(&tile.sparkline, limits, now_ms) } else { None };
    Card { title, unit, sentence, main, spark, cell }
}

/// What a value means, in words a patient uses.
fn meaning(metric: Metric, value: i32, limits: Option<&Limits>) -> String {
    let low = limits.and_then(|limits| limits.below.iter().flatten().max().copied());
    let high = limits.and_then(|limits| limits.above.iter().flatten().min().copied());
    let above = high.is_some_and(|high| value >= high);
    let below = low.is_some_and(|low| value <= low);
    match metric {
        Metric::HeartRate if above => "Faster than your limits allow.".into(),
        Metric::HeartRate if below => "Slower than your limits allow.".into(),
        Metric::HeartRate => match (low, high) {
            // A value at a limit rings already: the words name what lies between.
            (Some(low), Some(high)) => {
                let shown = format::value(metric, value);
                let (low, high) = (format::value(metric, low), format::value(metric, high));
                // A rounded value may look like its limit.
                let within = if shown == low || shown == high { "Just within" } else { "Within" };
                format!("{within} your limits (above {low} and below {high}).")
            }
            (Some(low), None) => format!("Within your limit (above {}).", format::value(metric, low)),
            (None, Some(high)) => format!("Within your limit (below {}).", format::value(metric, high)),
            (None, None) => "No limits are set for it.".into(),
        },
        Metric::BodyTemperature if above => "You have a raised temperature.".into(),
        Metric::BodyTemperature if below => "You are rather cool.".into(),
        Metric::BodyTemperature => "No fever.".into(),
        Metric::AmbientTemperature if above => "It is warm in your room.".into(),
        Metric::AmbientTemperature if below => "It is cold in your room.".into(),
        Metric::AmbientTemperature => "Comfortable.".into(),
        Metric::RelativeHumidity => match value {
            ..300 => "The air is dry.",
            300..=650 => "Comfortable.",
            _ => "The air is damp.",
        }
        .into(),
        Metric::Co2 => match value {
            ..1000 => "Fresh air.",
            1000..2000 => "A little stuffy; an open window helps.",
            _ => "Stuffy. Please ask for fresh air.",
        }
        .into(),
        Metric::Pm25 | Metric::Pm10 if above => "There is a lot of fine dust in the air.".into(),
        Metric::Pm25 | Metric::Pm10 => "Fine dust in the air.".into(),
        Metric::Tvoc => "Vapours in the air.".into(),
        Metric::Aqi => match value {
            ..=50 => "Good air.",
            51..=100 => "Acceptable air.",
            101..=150 => "Unhealthy for sensitive people.",
            _ => "Unhealthy air.",
        }
        .into(),
    }
}

/// Access entries as lines; what one person did in one session for one reason within minutes is one line.
fn access_lines(entries: &[AccessView], own: PersonId) -> Vec<AccessLine> {
    let mut lines: Vec<(&AccessView, AccessLine)> = Vec::new();
    for entry in entries {
        let same = |(last, line): &&mut (&AccessView, AccessLine)| {
            last.person == entry.person
                && last.session == entry.session
                && last.reader == entry.reader
                && last.purpose == entry.purpose
                && last.classes == entry.classes
                && line.first.0.saturating_sub(entry.at_ms) <= TOGETHER_MS
        };
        if let Some((_, line)) = lines.iter_mut().rev().take(KINDS_MAX).find(same) {
            line.first = Moment(entry.at_ms);
            line.times += 1;
            continue;
        }
        lines.push((entry, access_line(entry, own)));
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Who looked at what, as the patient reads it.
pub(super) fn looking(entry: &AccessView, own: PersonId) -> (String, String) {
    let mine = entry.person == own;
    let classes = labels::classes(&entry.classes);
    let what = match (mine, entry.purpose) {
        (true, _) => format!("looked at your own {classes}"),
        (false, Purpose::Monitoring) => format!("watched your {classes}"),
        (false, _) => format!("looked at your {classes}"),
    };
    let reader = match entry.reader.as_str() {
        _ if mine => "You".into(),
        ALARM_ENGINE => "The ward’s alarm system".into(),
        name => name.to_string(),
    };
    (reader, what)
}

/// Why somebody looked, as the patient reads it.
pub(super) fn reason(purpose: Purpose) -> String {
    match purpose {
        Purpose::Own => "your own record".into(),
        Purpose::Family => "to keep an eye on you, under your consent".into(),
        purpose => format!("{}, under your consent", labels::purpose(purpose)),
    }
}

fn access_line(entry: &AccessView, own: PersonId) -> AccessLine {
    let (reader, what) = looking(entry, own);
    AccessLine {
        reader,
        what,
        why: reason(entry.purpose),
        at: Moment(entry.at_ms),
        first: Moment(entry.at_ms),
        times: 1,
        proof: ProofMark::of(&entry.envelope),
    }
}

fn device(own: &OwnPage, watched: bool, now_ms: u64) -> String {
    if !watched {
        return "Your bedside device is paired. What it sends is sealed and kept, but nobody looks at it now.".into();
    }
    match own.now.technical.last_ms {
        None => "Your bedside device is paired and has not sent anything yet.".into(),
        Some(last_ms) if own.now.technical.stale => {
            format!(
                "Your bedside device was last heard {} ago. If this stays so, please tell the ward.",
                time::age(now_ms.saturating_sub(last_ms))
            )
        }
        Some(_) => {
            "Your bedside device is paired and working. What it seals only your hospital’s vault can open."
                .into()
        }
    }
}

/// `/me`: the own record. A caller who has none finds nothing here.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let (own, asks) = app
        .ask(move |clinic, now_ms| {
            let own = clinic.own_page(&session, now_ms)?;
            // Somebody is looking: the live stream of this page may go on.
            clinic.record_opened(&session, own.now.patient, now_ms)?;
            Ok((own, clinic.asks_of(&session, now_ms)?))
        })
        .await?;
    let now_ms = app.now_ms();
    let mut now = MeNowPart::of(&own.now, now_ms);
    let watch = WatchCard::of(&own, caller.csrf(), now_ms);
    if !watch.on {
        (now.lead, now.well) = (watch.title.into(), false);
    }
    if caller.visit.htmx.fragment && caller.visit.htmx.target == "now" {
        return Ok(app.render(&now));
    }
    let person = caller.session.person;
    let all = query.field("log") == "all";
    let mut access = if all {
        own.access.iter().map(|entry| access_line(entry, person)).collect()
    } else {
        access_lines(&own.access, person)
    };
    let more = if all { 0 } else { access.len().saturating_sub(LINES) };
    access.truncate(access.len() - more);
    let watch_on = watch.on;
    let done = |field: &str| caller.was_done(&app, query.field(field));
    let revoked = done("revoked");
    let saved = if done("given") {
        Some("Your consent is given. The ledger is confirming it; below you see how far it is.")
    } else if done("changed") {
        Some(
            "Your consent is changed. Until the ledger has confirmed it, only what the old and the new one both say can be seen.",
        )
    } else if done("paused") {
        Some("Paused at this hospital: nobody can open anything under that consent until you resume it.")
    } else if done("resumed") {
        Some("Resumed: what that consent says can be seen again.")
    } else if done("refused") {
        Some("Your answer is no. The one who asked sees it, and can open nothing more than before.")
    } else if done("again") {
        Some("This consent was given before. It stands below; nothing was given a second time.")
    } else if revoked && !watch.on {
        Some(
            "The consent is withdrawn. Nobody watches you now: nobody will be called when your values are bad.",
        )
    } else if revoked {
        Some("The consent is withdrawn. Nobody can open anything under it from now on.")
    } else {
        done("watched")
            .then_some("Your consent is given. Watching begins, or goes on, as soon as it has arrived.")
    };
    let (asks, answered): (Vec<OwnAsk>, Vec<OwnAsk>) = asks.iter().map(OwnAsk::of).partition(|ask| ask.open);
    let mut layout = Layout::of(&app, &caller, "/me").live(crate::live_topics::OWN.into());
    layout.path = "/me".into();
    Ok(app.render(&MePage {
        layout,
        now,
        saved,
        asks,
        answered,
        watch,
        together: access.iter().any(|line| line.times > 1),
        older: all && own.access.len() >= ACCESS_SHOWN_MAX,
        access,
        more,
        confirming: own.grants.iter().any(|grant| grant.state == GrantState::Pending),
        consents: own.grants.iter().map(ConsentLine::of).collect(),
        device: device(&own, watch_on, now_ms),
        genesis: app.clinic().genesis().to_string(),
    }))
}
