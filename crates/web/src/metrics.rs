//! Health, and metrics in the OpenMetrics text format. No names, no values, no ids.

use crate::app::App;
use crate::client_address::is_from_this_machine;
use crate::error::Error;
use crate::process_gauges::ProcessGauges;
use crate::rpc::Rpc;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clinic::views::{GatewayCounts, LedgerHealth};
use clinic::{Counters, LATENCY_CLASSES_MS, Latency};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::fmt;
use vitals::alarm::Priority;

/// The label values of alarms.
const PRIORITIES: [Priority; 4] = [Priority::High, Priority::Medium, Priority::Low, Priority::Technical];

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Content type of the older text format, which every scraper and `promtool` read.
const PLAIN_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One counter of the clinic.
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
        line("records_opened", "Records opened", counters.charts_opened),
        line(
            "withdrawals_overdue",
            "Withdrawn consents not on the ledger in time",
            counters.withdrawals_late,
        ),
        line("requests_denied", "Requests denied by policy", counters.denied),
        line(
            "looks_not_recorded",
            "Looks at a bed of a wall refused for want of an entry",
            counters.looks_not_recorded,
        ),
    ]
}

/// Everything that is counted, as it is when a scraper asks.
struct Snapshot {
    app: App,
    now_ms: u64,
    counters: Counters,
    health: LedgerHealth,
    gateways: GatewayCounts,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

/// One metric without labels.
fn single(
    encoder: &mut DescriptorEncoder,
    name: &str,
    unit: Option<&Unit>,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    single(encoder, name, None, help, &ConstCounter::new(value))
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    single(encoder, name, None, help, &ConstGauge::new(value))
}

fn gauge_s(encoder: &mut DescriptorEncoder, name: &str, help: &str, value_s: f64) -> fmt::Result {
    single(encoder, name, Some(&Unit::Seconds), help, &ConstGauge::new(value_s))
}

/// One metric for each value of a label.
fn by_label<'a, V: Default, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    unit: Option<&Unit>,
    help: &str,
    metric: fn(V) -> M,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, V)>,
) -> fmt::Result {
    let kind = metric(V::default()).metric_type();
    let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
    for (word, value) in values {
        metric(value).encode(family.encode_family(&[(label, word)])?)?;
    }
    Ok(())
}

/// A histogram in seconds.
fn latency(encoder: &mut DescriptorEncoder, name: &str, help: &str, latency: &Latency) -> fmt::Result {
    let upper_s = LATENCY_CLASSES_MS.iter().map(|ms| seconds(*ms)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = upper_s.zip(latency.in_class).collect();
    let unit = Unit::Seconds;
    let mut family = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
    family.encode_histogram::<NoLabelSet>(seconds(latency.sum_ms), latency.count, &buckets, None)
}

#[allow(clippy::cast_precision_loss, reason = "a sum that long is exact enough")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (app, counters, health) = (&self.app, &self.counters, &self.health);
        let encoder = &mut encoder;
        for line in counter_lines(counters) {
            let help = format!("{}.", line.words);
            counter(encoder, line.name, &help, line.value)?;
        }
        let refused = counters.refused.iter().map(|(code, count)| (*code, *count));
        let help = "Envelopes refused, by reason.";
        by_label(encoder, "refused", None, help, ConstCounter::new, "code", refused)?;
        let turned_away = counters.turned_away.iter().map(|(code, count)| (*code, *count));
        let help = "Refused or held back at the link, by reason.";
        by_label(encoder, "link_refused", None, help, ConstCounter::new, "reason", turned_away)?;
        let gauges = [
            ("ledger_height", "Height of the last finalized block.", health.height),
            (
                "ledger_stale",
                "1 when the ledger view is too old to decide anything new.",
                u64::from(health.stale),
            ),
            (
                "ledger_down",
                "1 when the ledger has ended in this process: a full disk, or a fault.",
                u64::from(health.down),
            ),
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
            (
                "record_refused",
                "1 when the disk refused what was last to be stored: nothing that bedsides send is recorded.",
                u64::from(health.record_refused),
            ),
            ("log_size", "Leaves in the organisation's log.", health.log_size),
            ("log_anchored", "Leaves covered by anchors handed to the ledger.", health.anchored_size),
            ("log_final", "Leaves covered by the finalized anchor.", health.final_size),
            ("envelopes_missing", "Envelopes missing in all streams now.", counters.missing_now),
            ("clocks_wrong", "Patients whose bedside clock is wrong now.", counters.clocks_wrong_now),
            (
                "two_hands",
                "Patients with a stream that two devices write under one identity now.",
                counters.forked_streams_now,
            ),
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
            ("gateways", "Gateways that are registered and trusted.", self.gateways.trusted),
            (
                "gateways_silent",
                "Those of them that brought nothing for a minute, or nothing since the start.",
                self.gateways.silent,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(encoder, name, help, value)?;
        }
        self.times(encoder)?;
        let clocks = [("node", health.clocks.node.is_some()), ("ledger", health.clocks.ledger.is_some())];
        let help = "1 while the clock of this node's machine was set (node), or the ledger's time is not this node's \
                    (ledger).";
        let clocks = clocks.map(|(clock, on)| (clock, u64::from(on)));
        by_label(encoder, "clock_fault", None, help, ConstGauge::new, "clock", clocks)?;
        counter(encoder, "pages", "Pages served.", app.pages_served())?;
        let refusals = app.refusals().map(|(reason, count)| (reason.word(), count));
        let help = "Requests and connections refused, by reason.";
        by_label(encoder, "requests_refused", None, help, ConstCounter::new, "reason", refusals)?;
        latency(encoder, "seal_to_live", "From sealing to the live view.", &counters.seal_to_live)?;
        let help = "From sealing to the finalized anchor.";
        latency(encoder, "seal_to_final", help, &counters.seal_to_final)
    }
}

impl Snapshot {
    /// Ages and moments, seconds.
    fn times(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "Time of the last finalized block.";
        gauge_s(encoder, "ledger_tip_timestamp", help, seconds(self.health.tip_ms))?;
        gauge_s(encoder, "ledger_age", "Time since that block.", seconds(self.health.age_ms))?;
        if let Some(ends_ms) = self.counters.consent_ends_first_ms {
            let help = "When the first consent ends under which a bed is watched.";
            gauge_s(encoder, "consent_expiry_timestamp", help, seconds(ends_ms))?;
        }
        let unanswered = |priority: Priority| self.counters.unanswered_now.get(priority.word());
        let help = "Alarms that nobody answered, by priority.";
        let counts =
            PRIORITIES.map(|priority| (priority.word(), unanswered(priority).map_or(0, |waits| waits.count)));
        by_label(encoder, "alarms_unanswered", None, help, ConstGauge::new, "priority", counts)?;
        let help = "How long the oldest of them waits.";
        let waits = PRIORITIES.map(|priority| {
            let since_ms = unanswered(priority).map_or(self.now_ms, |waits| waits.since_ms);
            (priority.word(), seconds(self.now_ms.saturating_sub(since_ms)))
        });
        let (name, unit) = ("alarm_unanswered_oldest", Some(&Unit::Seconds));
        by_label(encoder, name, unit, help, ConstGauge::new, "priority", waits)
    }
}

/// What the JSON-RPC port did.
#[derive(Debug)]
pub(crate) struct RpcCollector(pub(crate) Rpc);

impl Collector for RpcCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        counter(&mut encoder, "rpc_answered", "JSON-RPC requests answered.", self.0.answered())?;
        let refusals = self.0.refusals().map(|(reason, count)| (reason.word(), count));
        let help = "JSON-RPC requests and connections refused, by reason.";
        by_label(&mut encoder, "rpc_refused", None, help, ConstCounter::new, "reason", refusals)
    }
}

/// The metrics as text.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub(crate) fn encode(app: &App) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("aceso");
    let help = "From a request's head to the beginning of its answer";
    registry.register("request_duration_seconds", help, app.request_durations().clone());
    let (clinic, now_ms) = (app.clinic(), app.now_ms());
    let (counters, health) = (clinic.counters(), clinic.health(now_ms));
    let gateways = clinic.gateway_counts(now_ms);
    registry.register_collector(Box::new(Snapshot { app: app.clone(), now_ms, counters, health, gateways }));
    if let Some(rpc) = &app.settings().rpc {
        registry.register_collector(Box::new(RpcCollector(rpc.clone())));
    }
    let mut process = Registry::default();
    process.register_collector(Box::new(ProcessGauges(app.settings().gauges.clone())));
    let mut out = String::new();
    text::encode_registry(&mut out, &registry)?;
    text::encode_registry(&mut out, &process)?;
    text::encode_eof(&mut out)?;
    Ok(out)
}

/// The same in the older text format: there a counter's family is named like its samples, and there are no units and
/// no end.
fn plain(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let head = ["# HELP ", "# TYPE "].into_iter().find_map(|head| Some((head, line.strip_prefix(head)?)));
        match head {
            Some((head, rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let total = if counters.contains(name) { "_total" } else { "" };
                out.push_str(&format!("{head}{name}{total} {rest}\n"));
            }
            None if line.starts_with("# ") => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// `/metrics`, for this machine only: a scraper runs beside the node, and what a proxy brings from
/// elsewhere finds nothing here.
pub(crate) async fn metrics(State(app): State<App>, parts: Parts) -> Response {
    if !is_from_this_machine(&parts.extensions, &parts.headers) {
        return Error::not_found().into_response();
    }
    let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_open = accepted.contains("application/openmetrics-text");
    let asked = app.clone();
    // Ledger, disk and process are asked.
    match app.run(move |_, _| encode(&asked)).await {
        Ok(Ok(text)) if is_open => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, PLAIN_MEDIA_TYPE)], plain(&text)).into_response(),
        _ => Error::failed().into_response(),
    }
}

/// `/healthz`: 200 while the ledger moves at the right time and the record takes entries; 503 when nothing new
/// can be decided, recorded or shown. A step of the machine's clock is told with 200: the node keeps its time; so is a
/// certificate of the pages that ends soon or cannot be renewed. Monitoring goes on either way.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let health = app.clinic().health(app.now_ms());
    if health.record_refused {
        let why = "the record cannot be written: bedsides keep what they measure, monitoring goes on\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    } else if health.looks_not_recorded {
        let why = "the access log cannot be written: monitoring goes on, new walls show no values\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    } else if health.down {
        let why = "the ledger has ended in this process: monitoring goes on, nothing new can be decided; the node \
                   starts again once its disk takes writes\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    } else if health.stale {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger has not moved: monitoring goes on, nothing new can be decided\n",
        )
            .into_response()
    } else if health.clocks.ledger.is_some() {
        let why = format!("clock fault: {}; monitoring goes on\n", health.clocks);
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    } else if health.clocks.node.is_some() {
        format!("well, but clock fault: {}\n", health.clocks).into_response()
    } else if let Some(complaint) = app.certificate().and_then(|held| held.complaint(app.now_ms())) {
        format!("well, but {complaint}\n").into_response()
    } else {
        "well\n".into_response()
    }
}
