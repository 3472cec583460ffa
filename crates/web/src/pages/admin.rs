//! The administrator's page: devices, ledger, counters. Nothing clinical.

use crate::app::App;
use crate::caller::Caller;
use crate::error::Answer;
use crate::format;
use crate::layout::Layout;
use crate::metrics::counter_lines;
use crate::time::{self, Moment};
use askama::Template;
use axum::extract::State;
use clinic::views::{AdminPage as View, DeviceRow};
use vitals::ledger::{DeviceKind, Outcome, RevokeReason};

struct Fact {
    label: &'static str,
    value: String,
    note: String,
}

struct DeviceLine {
    id: String,
    short: String,
    kind: &'static str,
    via: String,
    since: Moment,
    seen: Option<Moment>,
    seen_age: String,
    trust: String,
}

struct PendingLine {
    what: String,
    since: Moment,
    outcome: String,
}

#[derive(Template)]
#[template(path = "pages/admin.html")]
struct AdminPage {
    layout: Layout,
    facts: Vec<Fact>,
    devices: Vec<DeviceLine>,
    pending: Vec<PendingLine>,
    counters: Vec<(&'static str, String)>,
    genesis: String,
}

/// How long something took: milliseconds while they matter.
fn latency(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { time::age(ms) }
}

fn facts(view: &View, app: &App, now_ms: u64) -> Vec<Fact> {
    let ledger = view.ledger;
    let behind = ledger.log_size.saturating_sub(ledger.final_size);
    let fact = |label, value: String, note: String| Fact { label, value, note };
    let certificate = app.certificate().map(|held| {
        let complaint = held.complaint(now_ms).map(|why| format!(": {why}")).unwrap_or_default();
        let end = Moment(u64::try_from(held.ends_s).unwrap_or(0).saturating_mul(1000));
        let value = match held.days_left(now_ms) {
            ..0 => "ended".into(),
            days => format!("{} days", format::count(days.unsigned_abs())),
        };
        fact("Certificate of the pages", value, format!("until {}{complaint}", end.date()))
    });
    let mut facts = vec![
        fact(
            "Ledger height",
            format::count(ledger.height),
            format!(
                "newest block {}{}",
                time::ago(ledger.tip_ms, now_ms),
                if ledger.stale { ": too old to decide anything new" } else { "" }
            ),
        ),
        fact(
            "Log",
            format::count(ledger.log_size),
            match behind {
                0 => "all of it final".into(),
                n => format!("{} not final yet", format::count(n)),
            },
        ),
        fact(
            "Sealed to live",
            latency(view.counters.seal_to_live.p50_ms),
            format!("half of all; 99 of 100 within {}", latency(view.counters.seal_to_live.p99_ms)),
        ),
        fact(
            "Sealed to final",
            latency(view.counters.seal_to_final.p50_ms),
            format!("half of all; 99 of 100 within {}", latency(view.counters.seal_to_final.p99_ms)),
        ),
        fact(
            "Open live pages",
            app.streams_open().to_string(),
            format!("{} pages served", format::count(app.pages_served())),
        ),
    ];
    facts.extend(certificate);
    facts
}

fn device(row: &DeviceRow, now_ms: u64) -> DeviceLine {
    DeviceLine {
        id: row.device.to_string(),
        short: format::short_hex(&row.device.0),
        kind: match row.kind {
            DeviceKind::Sensor => "sensor",
            DeviceKind::Gateway => "gateway",
        },
        via: if row.via == row.device { "itself".into() } else { format::short_hex(&row.via.0) },
        since: Moment(row.since_ms),
        seen: row.last_seen_ms.map(Moment),
        seen_age: row.last_seen_ms.map_or_else(String::new, |at| time::age(now_ms.saturating_sub(at))),
        trust: match row.revoked {
            None => "trusted".into(),
            Some(end) => match end.reason {
                RevokeReason::Retired => format!("retired on {}", Moment(end.at_ms).date()),
                RevokeReason::Stolen => format!("stolen; ended on {}", Moment(end.at_ms).date()),
            },
        },
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pending => "waiting for a block".into(),
        Outcome::Done { height } => format!("final at height {}", format::count(*height)),
        Outcome::Refused { reason } => format!("refused by the contract: {reason}"),
        Outcome::Unknown => "not known to the ledger; it will be handed in again".into(),
    }
}

/// `/admin`.
pub(crate) async fn page(State(app): State<App>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let view = app.ask(move |clinic, now_ms| clinic.admin_page(&session, now_ms)).await?;
    let now_ms = app.now_ms();
    Ok(app.render(&AdminPage {
        layout: Layout::of(&app, &caller, "/admin"),
        facts: facts(&view, &app, now_ms),
        devices: view.devices.iter().map(|row| device(row, now_ms)).collect(),
        pending: view
            .pending
            .iter()
            .map(|act| PendingLine {
                what: format::capital(act.what),
                since: Moment(act.since_ms),
                outcome: outcome(&act.outcome),
            })
            .collect(),
        counters: counter_lines(&view.counters)
            .into_iter()
            .map(|line| (line.words, format::count(line.value)))
            .collect(),
        genesis: app.clinic().genesis().to_string(),
    }))
}
