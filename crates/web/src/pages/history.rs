//! The alarm history of a chart: as episodes on the time axis, and as lines to read.

use super::alarm_card::limit_of;
use super::bed::ProofMark;
use crate::format;
use crate::labels;
use crate::time::Moment;
use clinic::views::{AlarmMark, AlarmSource, Chart, LimitsMark};
use vitals::Metric;
use vitals::alarm::{AlarmEventKind, Condition, Limits, Priority, Side};

/// Most lines of history on a page; the newest are shown.
const LINES_MAX: usize = 40;

/// One stretch of time in which something was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Episode {
    /// What was wrong.
    pub(crate) condition: Condition,
    /// The worst it came to.
    pub(crate) priority: Priority,
    /// The value that decided the worst, raw units.
    pub(crate) value: i32,
    /// From, milliseconds.
    pub(crate) from_ms: u64,
    /// Until, milliseconds.
    pub(crate) until_ms: u64,
}

impl Episode {
    /// Code of the metric concerned; 0 for none.
    #[must_use]
    pub(crate) fn metric_code(&self) -> u8 {
        self.condition.metric().map_or(0, vitals::Metric::code)
    }

    /// Stars and value: `***134`.
    #[must_use]
    pub(crate) fn label(&self) -> String {
        let value = match self.condition {
            Condition::Above(metric) | Condition::Below(metric) => format::value(metric, self.value),
            _ => "off".into(),
        };
        format!("{}{value}", self.priority.stars())
    }
}

/// The episodes of a chart. Bedside and node alarm on their own; where they speak of the same
/// condition at the same time, it is one episode.
#[must_use]
pub(crate) fn episodes(chart: &Chart) -> Vec<Episode> {
    let mut found: Vec<Episode> = Vec::new();
    let mut open: Vec<(AlarmSource, Episode)> = Vec::new();
    for mark in &chart.alarms {
        let event = mark.event;
        let known = open
            .iter()
            .position(|(source, episode)| *source == mark.source && episode.condition == event.condition);
        match (event.kind, known) {
            (AlarmEventKind::Closed | AlarmEventKind::Recovered, Some(at)) => {
                let (_, mut episode) = open.swap_remove(at);
                episode.until_ms = event.at_ms;
                found.push(episode);
            }
            (AlarmEventKind::Closed | AlarmEventKind::Recovered, None) => {}
            (_, Some(at)) if event.priority > open[at].1.priority => {
                open[at].1.priority = event.priority;
                open[at].1.value = event.value;
            }
            (_, Some(_)) => {}
            (AlarmEventKind::Raised | AlarmEventKind::Returned | AlarmEventKind::Worsened, None) => {
                let until_ms = chart.span_ms.1;
                open.push((
                    mark.source,
                    Episode {
                        condition: event.condition,
                        priority: event.priority,
                        value: event.value,
                        from_ms: event.at_ms,
                        until_ms,
                    },
                ));
            }
            (_, None) => {}
        }
    }
    found.extend(open.into_iter().map(|(_, episode)| episode));
    merge(found)
}

fn merge(mut episodes: Vec<Episode>) -> Vec<Episode> {
    episodes.sort_by_key(|episode| (episode.condition, episode.from_ms));
    let mut merged: Vec<Episode> = Vec::new();
    for episode in episodes {
        match merged.last_mut() {
            Some(last) if last.condition == episode.condition && episode.from_ms <= last.until_ms => {
                last.until_ms = last.until_ms.max(episode.until_ms);
                if episode.priority > last.priority {
                    last.priority = episode.priority;
                    last.value = episode.value;
                }
            }
            _ => merged.push(episode),
        }
    }
    merged
}

/// One line of history.
pub(crate) struct HistoryLine {
    pub(crate) style: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) stars: &'static str,
    pub(crate) word: String,
    pub(crate) at: Moment,
    pub(crate) what: String,
    pub(crate) by: String,
    pub(crate) proof: ProofMark,
}

/// The history to read, newest first: alarms, and changes of limits among them.
pub(crate) fn lines(chart: &Chart) -> Vec<HistoryLine> {
    let alarms = chart.alarms.iter().map(|mark| alarm_line(mark, chart));
    let mut lines: Vec<HistoryLine> = alarms.chain(chart.limits.iter().map(limits_line)).collect();
    lines.sort_by_key(|line| line.at);
    lines.reverse();
    lines.truncate(LINES_MAX);
    lines
}

/// The limits of a metric that were in force at a time of the chart, from the record: what the next
/// change replaced, or what the last one set. None where an old record does not say.
fn limits_at(chart: &Chart, metric: Metric, at_ms: u64) -> Option<&Limits> {
    let changes = || chart.limits.iter().map(|mark| &mark.change).filter(|c| c.limits.metric == metric);
    let next = changes().find(|change| change.at_ms > at_ms);
    let last = changes().rfind(|change| change.at_ms <= at_ms).map(|change| &change.limits);
    match next {
        Some(next) => next.details.as_ref().map(|details| &details.before).or(last),
        // The charts of pages end now.
        None => last.or_else(|| chart.now.limits.iter().find(|limits| limits.metric == metric)),
    }
}

/// An alarm with the limit that its value was beyond at that time.
fn with_limit(mark: &AlarmMark, chart: &Chart) -> String {
    let event = mark.event;
    let side = match event.condition {
        Condition::Above(_) => Side::Above,
        Condition::Below(_) => Side::Below,
        _ => return labels::alarm(event.condition, event.value, None),
    };
    let limits = event.condition.metric().and_then(|metric| limits_at(chart, metric, event.at_ms));
    let beyond = limits.and_then(|limits| Some((limits, limits.violated(side, event.value)?)));
    match beyond {
        Some((limits, priority)) => {
            let limit = limit_of(event.condition, priority, core::slice::from_ref(limits));
            labels::alarm(event.condition, event.value, limit)
        }
        // The bedside rings by limits of its own until it has those of the ward.
        None if mark.source == AlarmSource::Bedside => {
            format!("{}, by the bedside’s own limit", labels::alarm(event.condition, event.value, None))
        }
        None => labels::alarm(event.condition, event.value, None),
    }
}

fn alarm_line(mark: &AlarmMark, chart: &Chart) -> HistoryLine {
    let event = mark.event;
    HistoryLine {
        style: labels::priority_style(event.priority),
        icon: labels::priority_icon(event.priority),
        stars: event.priority.stars(),
        word: format::capital(event.priority.word()),
        at: Moment(event.at_ms),
        what: match event.kind {
            AlarmEventKind::Raised | AlarmEventKind::Returned | AlarmEventKind::Worsened => {
                format!("{}: {}.", event_words(event.kind), with_limit(mark, chart))
            }
            AlarmEventKind::Escalated => {
                let what = format::capital(&labels::condition(event.condition));
                format!("{what}: nobody answered{}.", labels::unanswered(event.value))
            }
            _ => format!("{}: {}.", event_words(event.kind), labels::condition(event.condition)),
        },
        by: match (&mark.by, mark.source) {
            (Some(name), _) => format!("by {name}"),
            (None, AlarmSource::Bedside) => "at the bedside".into(),
            (None, AlarmSource::Node) => "on the ward".into(),
        },
        proof: ProofMark::of(&mark.envelope),
    }
}

fn limits_line(mark: &LimitsMark) -> HistoryLine {
    let change = &mark.change;
    let metric = change.limits.metric;
    let off: Vec<Side> = change.limits.turned_off().collect();
    let head = if off.is_empty() {
        format!("Limits of {} changed", labels::inside(metric))
    } else {
        format!("Alarm turned off: {}", labels::turned_off(metric, &off))
    };
    let what = match &change.details {
        None => format!(
            "{head}. In force from then on: {}.",
            labels::limits_range(&change.limits).unwrap_or_else(|| "no alarm".into())
        ),
        Some(details) => {
            let until =
                details.until_ms.map_or_else(String::new, |ms| format!(", until {}", Moment(ms).full()));
            let changed = labels::limits_changed(&details.before, &change.limits);
            format!("{head}{until}: {changed}. Reason: {}.", details.reason.trim_end_matches('.'))
        }
    };
    HistoryLine {
        style: "flag",
        icon: if off.is_empty() { "bell" } else { "mute" },
        stars: "",
        word: "Limits".into(),
        at: Moment(change.at_ms),
        what,
        by: mark.by.as_ref().map_or_else(|| "by itself".into(), |name| format!("by {name}")),
        proof: ProofMark::of(&mark.envelope),
    }
}

fn event_words(kind: AlarmEventKind) -> &'static str {
    match kind {
        AlarmEventKind::Raised => "Raised",
        AlarmEventKind::Worsened => "Got worse",
        AlarmEventKind::Acknowledged => "Acknowledged",
        AlarmEventKind::Silenced => "Sound off for a while",
        AlarmEventKind::SilenceEnded => "Sound on again",
        AlarmEventKind::Recovered => "Back in limits",
        AlarmEventKind::Returned => "Came back",
        AlarmEventKind::Closed => "Over",
        AlarmEventKind::Escalated => "Not answered",
    }
}
