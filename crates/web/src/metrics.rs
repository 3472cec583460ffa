//! Health, and counters in the Prometheus text format. No names, no values, no ids.

use crate::App;
use crate::guard;
use crate::shell::Message;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clinic::{Counters, Latency};
use std::fmt::Write;

/// One counter.
pub(crate) struct CounterLine {
    /// Name after `aceso_`, before `_total`.
    pub(crate) name: &'static str,
    /// What it counts, for people.
    pub(crate) words: &'static str,
    pub(crate) value: u64,
}

/// All counters of the clinic.
pub(crate) fn counter_lines(counters: &Counters) -> Vec<CounterLine> {
    let line = |name, words, value| CounterLine { name, words, value };
    vec![
        line("envelopes_admitted", "Envelopes admitted", counters.admitted),
        line("readings_admitted", "Readings in them", counters.admitted_readings),
        line("envelopes_duplicate", "Envelopes acknowledged again", counters.duplicate),
        line("envelopes_refused", "Envelopes refused", counters.refused_total()),
        line("envelopes_quarantined", "Envelopes of stolen devices kept apart", counters.quarantined),
        line("envelopes_authored", "Envelopes this node wrote itself", counters.authored),
        line("envelopes_unreadable", "Envelopes that did not open under their key", counters.unreadable),
        line("envelopes_live_skipped", "Envelopes too fast for the live view", counters.live_skipped),
        line("anchors_final", "Anchors that became final", counters.anchors),
        line("alarms_raised", "Alarms raised", counters.alarms_raised),
        line("clock_leaps", "Leaps of bedside clocks", counters.clock_leaps),
        line(
            "looks_not_recorded",
            "Looks at a bed of a wall refused for want of an entry",
            counters.looks_not_recorded,
        ),
        line("records_opened", "Records opened", counters.charts_opened),
        line("withdrawals_late", "Withdrawn consents not on the ledger in time", counters.withdrawals_late),
        line("requests_denied", "Requests denied by policy", counters.denied),
    ]
}

fn latency(out: &mut String, name: &str, help: &str, latency: Latency) {
    let milliseconds = [("0.5", latency.p50_ms), ("0.99", latency.p99_ms), ("1", latency.max_ms)];
    let _ =
        writeln!(out, "# HELP aceso_{name}_milliseconds {help}\n# TYPE aceso_{name}_milliseconds summary");
    for (quantile, value) in milliseconds {
        let _ = writeln!(out, "aceso_{name}_milliseconds{{quantile=\"{quantile}\"}} {value}");
    }
    let _ = writeln!(out, "aceso_{name}_milliseconds_count {}", latency.count);
}

/// What the JSON-RPC port did.
pub(crate) fn rpc_lines(out: &mut String, rpc: &crate::rpc::Rpc) {
    let _ = writeln!(
        out,
        "# HELP aceso_rpc_answered_total JSON-RPC requests answered.\n# TYPE aceso_rpc_answered_total counter\naceso_rpc_answered_total {}",
        rpc.answered()
    );
    let _ = writeln!(
        out,
        "# HELP aceso_rpc_refused_total JSON-RPC requests and connections refused, by reason.\n# TYPE aceso_rpc_refused_total counter"
    );
    for (reason, count) in rpc.refusals() {
        let _ = writeln!(out, "aceso_rpc_refused_total{{reason=\"{}\"}} {count}", reason.word());
    }
}

/// The metrics as text.
pub(crate) fn text(app: &App) -> String {
    let (counters, health) = (app.station().counters(), app.station().health(app.now_ms()));
    let mut out = String::new();
    for line in counter_lines(&counters) {
        let _ = writeln!(
            out,
            "# HELP aceso_{0}_total {1}.\n# TYPE aceso_{0}_total counter\naceso_{0}_total {2}",
            line.name, line.words, line.value
        );
    }
    let _ = writeln!(
        out,
        "# HELP aceso_refused_total Envelopes refused, by reason.\n# TYPE aceso_refused_total counter"
    );
    for (code, count) in &counters.refused {
        let _ = writeln!(out, "aceso_refused_total{{code=\"{code}\"}} {count}");
    }
    let _ = writeln!(
        out,
        "# HELP aceso_link_refused_total Refused or held back at the link, by reason.\n# TYPE aceso_link_refused_total counter"
    );
    for (code, count) in &counters.turned_away {
        let _ = writeln!(out, "aceso_link_refused_total{{reason=\"{code}\"}} {count}");
    }
    let gauges = [
        ("ledger_height", "Height of the last finalized block.", health.height),
        ("ledger_tip_milliseconds", "Time of that block, milliseconds since 1970.", health.tip_ms),
        (
            "ledger_stale",
            "1 when the ledger view is too old to decide anything new.",
            u64::from(health.stale),
        ),
        ("ledger_age_milliseconds", "Milliseconds since that block.", health.age_ms),
        (
            "withdrawals_waiting",
            "Withdrawn consents the ledger does not hold yet.",
            health.withdrawals_waiting as u64,
        ),
        (
            "withdrawals_late",
            "Those of them that should be there long since.",
            health.withdrawals_late as u64,
        ),
        (
            "policies_silent",
            "Policies of consents that are needed now and could not be asked.",
            health.policies_silent as u64,
        ),
        (
            "access_log_failing",
            "1 when the last entry of the access log for a wall could not be written: beds are hidden.",
            u64::from(health.looks_not_recorded),
        ),
        ("log_size", "Leaves in the organisation's log.", health.log_size),
        ("log_anchored", "Leaves covered by anchors handed to the ledger.", health.anchored_size),
        ("log_final", "Leaves covered by the finalized anchor.", health.final_size),
        ("envelopes_missing", "Envelopes missing in all streams now.", counters.missing_now),
        ("clocks_wrong", "Patients whose bedside clock is wrong now.", counters.clocks_wrong_now),
        ("two_hands", "Patients with a stream that two hands write now.", counters.forked_streams_now),
        (
            "beds_unwatched",
            "Beds that send data, that nobody watches and that nobody answered for.",
            counters.unwatched_now,
        ),
        (
            "alarm_events_unwritten",
            "Alarm events that wait for the disk.",
            counters.alarm_events_unwritten_now,
        ),
        ("alarm_events_lost", "Alarm events given up for want of a disk.", counters.alarm_events_lost),
        ("live_streams", "Open live pages.", app.streams_open() as u64),
    ];
    for (name, help, value) in gauges {
        let _ = writeln!(out, "# HELP aceso_{name} {help}\n# TYPE aceso_{name} gauge\naceso_{name} {value}");
    }
    let _ = writeln!(
        out,
        "# HELP aceso_pages_total Pages served.\n# TYPE aceso_pages_total counter\naceso_pages_total {}",
        app.pages_served()
    );
    let _ = writeln!(
        out,
        "# HELP aceso_requests_refused_total Requests and connections refused, by reason.\n# TYPE aceso_requests_refused_total counter"
    );
    for (reason, count) in app.refusals() {
        let _ = writeln!(out, "aceso_requests_refused_total{{reason=\"{}\"}} {count}", reason.word());
    }
    if let Some(rpc) = &app.settings().rpc {
        rpc_lines(&mut out, rpc);
    }
    latency(&mut out, "seal_to_live", "From sealing to the live view.", counters.seal_to_live);
    latency(&mut out, "seal_to_final", "From sealing to the finalized anchor.", counters.seal_to_final);
    out
}

/// `/metrics`, for this machine only: a scraper runs beside the node, and what a proxy brings from
/// elsewhere finds nothing here.
pub(crate) async fn metrics(State(app): State<App>, parts: Parts) -> Response {
    if !guard::from_this_machine(&parts.extensions, &parts.headers) {
        return app.message(None, &Message::not_found());
    }
    let media = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (media, text(&app)).into_response()
}

/// `/healthz`: 200 while the ledger moves and the access log takes entries; 503 when nothing new can be decided
/// or shown. Monitoring goes on either way.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let health = app.station().health(app.now_ms());
    if health.looks_not_recorded {
        let why = "the record of who looks cannot be written: monitoring goes on, new walls show no values\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    } else if health.stale {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger has not moved: monitoring goes on, nothing new can be decided\n",
        )
            .into_response()
    } else {
        "well\n".into_response()
    }
}
