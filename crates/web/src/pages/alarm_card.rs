//! One alarm as pages show it.

use crate::format;
use crate::labels::{self, name_and_place};
use crate::time::{self, Moment};
use clinic::views::{AlarmPhase, AlarmView, Hidden, HiddenAlarm, HiddenBed, SeenAlarm, Tile};
use vitals::Metric;
use vitals::alarm::{Condition, Limits, Priority};
use vitals::ledger::Role;

/// One alarm in the strip.
pub(crate) struct AlarmCard {
    /// Rings unless somebody has silenced it.
    pub(crate) active: bool,
    pub(crate) silenced_until_ms: u64,
    pub(crate) key: String,
    /// Address to which its buttons post; empty without buttons.
    pub(crate) action: String,
    pub(crate) patient: String,
    pub(crate) code: u16,
    pub(crate) style: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) stars: &'static str,
    pub(crate) word: String,
    pub(crate) what: String,
    pub(crate) place: String,
    /// Address behind the place; empty for none.
    pub(crate) href: String,
    /// Since when; zero where that is not known.
    pub(crate) raised: Moment,
    /// Priority and time shown here, sent with each action: a worse or later alarm is not answered by it.
    pub(crate) seen: String,
    pub(crate) owner: Option<String>,
    pub(crate) silenced_until: Option<Moment>,
    pub(crate) note: String,
    pub(crate) unanswered: bool,
    pub(crate) over: bool,
    pub(crate) answerable: bool,
    pub(crate) silenceable: bool,
    /// Is it silenced, and can that be ended?
    pub(crate) soundable: bool,
}

/// The threshold an alarm's value violates at its priority.
#[must_use]
pub(crate) fn limit_of(condition: Condition, priority: Priority, limits: &[Limits]) -> Option<i32> {
    let level = match priority {
        Priority::Technical => return None,
        Priority::Low => 0,
        Priority::Medium => 1,
        Priority::High => 2,
    };
    let limits = limits.iter().find(|limits| Some(limits.metric) == condition.metric())?;
    match condition {
        Condition::Above(_) => limits.above[level],
        Condition::Below(_) => limits.below[level],
        _ => None,
    }
}

/// An alarm in one line.
#[must_use]
pub(crate) fn what(alarm: &AlarmView, tile: &Tile) -> String {
    let technical = &tile.technical;
    let missing: u64 = technical.missing.iter().map(|missing| missing.count).sum();
    match (alarm.condition, technical.clock_off_ms) {
        (Condition::Clock, Some(off_ms)) => format!("The bedside’s clock is {}", time::off(off_ms)),
        (Condition::Gap, _) if missing == 1 => "1 record is missing".into(),
        (Condition::Gap, _) if missing > 1 => format!("{} records are missing", format::count(missing)),
        (condition, _) => {
            labels::alarm(condition, alarm.value, limit_of(condition, alarm.priority, &tile.limits))
        }
    }
}

impl AlarmCard {
    /// A bed that cannot be shown: no more than is needed to go there. It cannot be answered from here.
    pub(crate) fn of_hidden(bed: &HiddenBed) -> Self {
        let priority = bed.alarm.map_or(Priority::Technical, |alarm| alarm.priority);
        let (what, note) = match (bed.alarm, bed.watched) {
            (Some(alarm), _) => (hidden_alarm(alarm), ""),
            (None, true) => ("A bed cannot be shown", "no alarm there; look at the bedside"),
            (None, false) => ("A bed cannot be shown, and nobody watches it", "look after the patient"),
        };
        let reason = why_hidden(bed.why);
        Self {
            active: bed.alarm.map_or(!bed.watched, |alarm| alarm.rings),
            silenced_until_ms: bed.alarm.map_or(0, |alarm| alarm.silenced_until_ms),
            key: format!("hidden-{}", bed.patient),
            action: String::new(),
            patient: bed.patient.to_string(),
            code: 0,
            style: labels::priority_style(priority),
            icon: labels::priority_icon(priority),
            stars: priority.stars(),
            word: format::capital(priority.word()),
            what: what.into(),
            place: hidden_place(bed),
            href: String::new(),
            raised: Moment(bed.alarm.map_or(0, |alarm| alarm.raised_at_ms)),
            seen: String::new(),
            owner: None,
            silenced_until: None,
            note: if note.is_empty() { reason.into() } else { format!("{reason}; {note}") },
            unanswered: bed.alarm.is_some_and(|alarm| alarm.rings),
            over: false,
            answerable: false,
            silenceable: false,
            soundable: false,
        }
    }

    /// An alarm on the wall (`linked`) or on its patient's page.
    pub(crate) fn of(alarm: &AlarmView, tile: &Tile, linked: bool, role: Role, now_ms: u64) -> Self {
        let text = what(alarm, tile);
        let over = alarm.phase == AlarmPhase::Recovered;
        let (name, place) = name_and_place(tile);
        let silenced = now_ms < alarm.silenced_until_ms;
        let unanswered = alarm.phase != AlarmPhase::Acknowledged;
        let active = alarm.phase == AlarmPhase::Active;
        Self {
            active,
            silenced_until_ms: alarm.silenced_until_ms,
            key: format!("alarm-{}-{}", alarm.patient, alarm.condition.code()),
            action: format!("/patients/{}/alarms/{}", alarm.patient, alarm.condition.code()),
            patient: alarm.patient.to_string(),
            code: alarm.condition.code(),
            style: style(alarm),
            icon: if over { "low" } else { labels::priority_icon(alarm.priority) },
            stars: alarm.priority.stars(),
            word: if over { "Over".into() } else { format::capital(alarm.priority.word()) },
            what: if over { format!("Was: {}", labels::condition(alarm.condition)) } else { text },
            place: format!("{place} · {name}"),
            href: if linked { format!("/patients/{}", alarm.patient) } else { String::new() },
            raised: Moment(alarm.raised_at_ms),
            seen: seen(alarm),
            owner: alarm.owner.clone(),
            silenced_until: silenced.then_some(Moment(alarm.silenced_until_ms)),
            note: note(alarm).into(),
            unanswered,
            over,
            answerable: role == Role::Clinician,
            silenceable: alarm.is_active() && !silenced,
            soundable: alarm.is_active() && silenced,
        }
    }
}

/// Style of an alarm: its priority's, and the quietest once it is over.
pub(crate) fn style(alarm: &AlarmView) -> &'static str {
    match alarm.phase {
        AlarmPhase::Recovered | AlarmPhase::Closed => "low",
        AlarmPhase::Active | AlarmPhase::Acknowledged => labels::priority_style(alarm.priority),
    }
}

fn note(alarm: &AlarmView) -> &'static str {
    match (alarm.phase, alarm.priority, alarm.escalated) {
        (AlarmPhase::Recovered, ..) if !alarm.condition.judges_a_value() => {
            "over by itself, nobody has acknowledged it"
        }
        (AlarmPhase::Recovered, ..) => "back in limits, nobody has acknowledged it",
        _ if alarm.inhibited => "its sensor gives no usable signal now: look at the patient",
        (_, Priority::Technical, _) => match alarm.condition {
            Condition::Equivocation => {
                "check which one belongs to this bed; values of the second are refused and kept as evidence"
            }
            Condition::Gap => "curves have gaps there until the records arrive",
            Condition::Unwatched => "no alarm comes from this bed: look after the patient",
            Condition::WatchEnding => "ask the patient whether the ward may go on watching",
            Condition::Clock => "the record keeps the times it gave; alarms use the time of arrival",
            Condition::NotListening => {
                "it rang by its own limits; check the network between bedside and server"
            }
            Condition::LimitsEnded => "set the limits again if they are still wanted",
            // A pulse that stops looks like a sensor that came off, or like motion.
            Condition::SensorOff(Metric::HeartRate) => {
                "look at the patient first, then at the sensor: a pulse that stops looks the same"
            }
            Condition::PoorSignal(Metric::HeartRate) => {
                "look at the patient first, then keep the hand still: a pulse that stops looks the same"
            }
            Condition::PoorSignal(_) => "check how the sensor sits; no value until then",
            Condition::RateNotSupported(_) => {
                "nobody counts this pulse: set the board to 15 to 400 samples a second, or take another one"
            }
            _ => "no new alarm of vital signs until it is back",
        },
        _ if matches!(alarm.condition, Condition::Unsteady(_)) => {
            "the beats are seen but come unevenly: look at the patient, feel the pulse; no rate until then"
        }
        // This is only shown: nobody is called.
        (AlarmPhase::Active, Priority::High, 1) => "nobody has answered for 1 minute",
        (AlarmPhase::Active, Priority::High, 2) => "nobody has answered for 3 minutes",
        (AlarmPhase::Active, Priority::High, 3..) => "nobody has answered for 5 minutes",
        _ => "",
    }
}

/// What a form sends about the alarm that is seen.
fn seen(alarm: &AlarmView) -> String {
    let seen = alarm.seen();
    format!("{}.{}", seen.priority as u8, seen.active_since_ms)
}

/// Reads [`AlarmCard::seen`]; none for anything else.
pub(crate) fn read_seen(text: &str) -> Option<SeenAlarm> {
    let (priority, since) = text.split_once('.')?;
    let priority = Priority::from_code(priority.parse().ok()?)?;
    Some(SeenAlarm { priority, active_since_ms: since.parse().ok()? })
}

/// The text of an alarm at a bed that cannot be shown.
pub(crate) fn hidden_alarm(alarm: HiddenAlarm) -> &'static str {
    if alarm.rings {
        "Alarm at a bed that cannot be shown: go there now"
    } else {
        "Alarm at a bed that cannot be shown; somebody has answered it"
    }
}

fn why_hidden(why: Hidden) -> &'static str {
    match why {
        Hidden::PolicySilent => "a rule of its patient’s consent could not be checked",
        Hidden::NotRecorded => "the access log cannot be written: call the operator",
        Hidden::LedgerDown => "the ledger does not answer",
    }
}

/// Where a bed that cannot be shown is.
pub(crate) fn hidden_place(bed: &HiddenBed) -> String {
    if bed.place.is_empty() { "A bed".into() } else { bed.place.clone() }
}
