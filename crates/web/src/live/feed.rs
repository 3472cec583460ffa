//! The content of one stream: decides at every event and every beat whether it may go on, and renders what
//! changed. Runs on a thread that may wait for a lock.

use crate::app::App;
use crate::caller::Caller;
use crate::format;
use crate::format::sentence;
use crate::labels;
use crate::labels::name_and_place;
use crate::live_topics::{Topic, WALL};
use crate::pages::alarm_card::{self, what};
use crate::pages::alarms;
use crate::pages::bed::steps;
use crate::pages::me::MeNowPart;
use crate::pages::patient::NowPart;
use crate::pages::wall;
use askama::Template;
use axum::response::sse::Event;
use clinic::views::{AlarmPhase, AlarmView, HiddenAlarm, HiddenBed, LiveEvent, Tile, Wall};
use clinic::{Clinic, ClinicError, Denied, Subscription};
use futures::future::select_all;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use vitals::PatientId;
use vitals::alarm::Priority;
use vitals::ledger::{Purpose, Role};
use vitals::metric::Sample;

/// Beats after which everything is decided and rendered again: patients who have just consented appear.
const RENEW_BEATS: u32 = 20;

/// Readings of one envelope: `r` holds `[metric, at_ms, raw or null, why it is null or null]`, the reason
/// in the words that the page shows in the value's place.
#[derive(Serialize)]
struct Values<'a> {
    t: &'a str,
    p: String,
    index: u64,
    steps: u8,
    sealed: u64,
    now: u64,
    r: Vec<(u8, u64, Option<i32>, Option<&'static str>)>,
}

#[derive(Serialize)]
struct Alarm {
    p: String,
    condition: u16,
    metric: u8,
    priority: &'static str,
    phase: &'static str,
    raised: u64,
    now: u64,
    text: String,
    place: String,
    /// Announced by screen readers at once; empty for all but new high alarms.
    shout: String,
}

/// The alarms of all beds, as every clinician's page shows them.
#[derive(Serialize)]
struct Strip {
    now: u64,
    html: String,
    /// What stands before the page's title.
    title: String,
    counts: String,
}

/// A part of a page, rendered again.
#[derive(Serialize)]
struct Drawn<'a> {
    t: &'a str,
    now: u64,
    p: String,
    html: String,
}

#[derive(Serialize)]
struct Proof {
    anchored: u64,
    #[serde(rename = "final")]
    finalized: u64,
    height: u64,
}

#[derive(Serialize)]
struct Beat {
    now: u64,
    stale: bool,
    /// What is wrong with the clocks.
    clock: Option<String>,
    tip: u64,
    height: u64,
    /// Of the newest block's header.
    digest: Option<String>,
}

#[derive(Serialize)]
struct Closed<'a> {
    t: &'a str,
    why: String,
}

#[derive(Serialize)]
struct Ended<'a> {
    why: &'a str,
}

/// The result of one step.
#[derive(Default)]
pub(super) struct Step {
    pub(super) events: Vec<Event>,
    pub(super) ended: bool,
}

impl Step {
    fn push(&mut self, name: &str, data: &impl Serialize) {
        self.events.extend(event(name, data));
    }

    fn end(&mut self, why: &str) {
        self.events.push(ended(why));
        self.ended = true;
    }
}

fn event(name: &str, data: &impl Serialize) -> Option<Event> {
    // Our own small structs always serialise; an event that did not would be left out.
    Event::default().event(name).json_data(data).ok()
}

/// The last event of a stream.
pub(super) fn ended(why: &str) -> Event {
    event("ended", &Ended { why }).unwrap_or_default()
}

/// The reason as it is shown. It reveals nothing about a patient of whom the reader may not know.
fn reason(why: &Denied) -> String {
    match why {
        Denied::SignedOut => "Your session has ended.".into(),
        Denied::LeftAlone => "Nobody has used this page for 15 minutes.".into(),
        Denied::Withdrawn => "The patient has withdrawn the consent.".into(),
        Denied::ConsentPaused => "The patient has paused the consent.".into(),
        Denied::Ended { .. } => "The patient’s consent has ended.".into(),
        Denied::LedgerStale { .. } | Denied::LedgerDown | Denied::PolicySilent => sentence(&why.to_string()),
        Denied::PolicyRefuses { .. } => "The policy of the patient’s consent no longer agrees.".into(),
        _ => "You may not see this any longer.".into(),
    }
}

/// One subscription of the stream, under a decision of its own.
struct Source {
    following: Subscription,
    of: Of,
}

enum Of {
    /// The alarms of all beds; with their tiles while a wall is open.
    Ward { tiles: bool },
    /// One record.
    Record { topic: String, patient: PatientId, own: bool },
}

/// What one stream follows.
pub(super) struct Feed {
    app: App,
    caller: Caller,
    sources: Vec<Source>,
    /// Topics that were refused, with the reason; not sent yet.
    refused: Vec<(String, String)>,
    beats: u32,
}

impl Feed {
    /// Decides on everything that is asked for.
    ///
    /// # Errors
    /// When nothing is left to follow.
    pub(super) fn open(
        app: App,
        caller: Caller,
        clinic: &Arc<Clinic>,
        topics: Vec<Topic>,
        now_ms: u64,
    ) -> Result<Self, ClinicError> {
        let session = &caller.session;
        let (mut sources, mut refused, mut first) = (Vec::new(), Vec::new(), None);
        if session.role == Role::Clinician {
            let following = clinic.follow_wall(session, now_ms)?;
            sources.push(Source { following, of: Of::Ward { tiles: topics.contains(&Topic::Wall) } });
        }
        for topic in topics {
            let (patient, purpose, own) = match topic {
                Topic::Wall => continue,
                Topic::Record(patient, purpose) => (patient, purpose, false),
                Topic::Own(patient) => (patient, Purpose::Own, true),
            };
            match clinic.follow_patient(session, patient, purpose, now_ms) {
                Ok(following) => {
                    let of = Of::Record { topic: topic.name(), patient, own };
                    sources.push(Source { following, of });
                }
                Err(why) => {
                    let words = match &why {
                        ClinicError::Denied(why) => reason(why),
                        _ => "It could not be opened just now. Open it again.".into(),
                    };
                    refused.push((topic.name(), words));
                    first = first.or(Some(why));
                }
            }
        }
        match first {
            Some(why) if sources.is_empty() && !matches!(why, ClinicError::Denied(Denied::LeftAlone)) => {
                Err(why)
            }
            _ => Ok(Self { app, caller, sources, refused, beats: 0 }),
        }
    }

    /// Waits until something may have happened.
    pub(super) async fn wait(&mut self) {
        if self.sources.is_empty() {
            return core::future::pending().await;
        }
        select_all(self.sources.iter_mut().map(|source| Box::pin(source.following.wait()))).await;
    }

    /// Decides, and renders what changed.
    pub(super) fn step(&mut self, beats: bool) -> Step {
        let now_ms = self.app.now_ms();
        let mut step = Step::default();
        let renew = beats && self.beats.is_multiple_of(RENEW_BEATS);
        if beats {
            self.beats = self.beats.wrapping_add(1);
            self.beat(&mut step, now_ms);
        }
        for (topic, why) in self.refused.drain(..) {
            step.push("closed", &Closed { t: &topic, why });
        }
        let mut closed = Vec::new();
        let mut dirty = BTreeSet::new();
        let mut watching = false;
        for (at, source) in self.sources.iter_mut().enumerate() {
            match source.following.take(now_ms) {
                Ok(events) => {
                    for event in events {
                        watching |= matches!(&*event, LiveEvent::Watching { .. });
                        send(&mut step, source, at == 0, &event, &mut dirty, now_ms);
                    }
                }
                Err(why) => match &source.of {
                    Of::Record { topic, .. } if !of_session(&why) => {
                        step.push("closed", &Closed { t: topic, why: reason(&why) });
                        closed.push(at);
                    }
                    _ => {
                        step.end(&reason(&why));
                        return step;
                    }
                },
            }
        }
        for at in closed.into_iter().rev() {
            self.sources.remove(at);
        }
        // When watching of a bed begins or ends, the beds on the wall change.
        let renew = renew || watching;
        if renew {
            self.renew(&mut step, now_ms);
        }
        if renew || !dirty.is_empty() {
            for source in &self.sources {
                self.draw(&mut step, source, (!renew).then_some(&dirty), now_ms);
            }
        }
        if self.sources.is_empty() {
            step.end("This view has been closed.");
        }
        step
    }

    fn beat(&self, step: &mut Step, now: u64) {
        let health = self.app.clinic().health(now);
        let digest = health.tip.map(|digest| format::hex(&digest));
        let (stale, tip, height) = (health.stale, health.tip_ms, health.height);
        let clock = (!health.clocks.is_empty()).then(|| health.clocks.to_string());
        step.push("beat", &Beat { now, stale, clock, tip, height, digest });
        let (anchored, finalized) = (health.anchored_size, health.final_size);
        step.push("proof", &Proof { anchored, finalized, height });
    }

    /// Decides on the ward again. A wall that is looked at stays signed in, up to the session's absolute
    /// end; a page beside it does not keep the session.
    fn renew(&mut self, step: &mut Step, now_ms: u64) {
        let clinic = self.app.clinic().clone();
        for source in &mut self.sources {
            let Of::Ward { tiles } = source.of else { continue };
            let kept = if tiles { clinic.session(&self.caller.token, now_ms).map(drop) } else { Ok(()) };
            let again = kept.map_err(ClinicError::Denied);
            match again.and_then(|()| clinic.follow_wall(&self.caller.session, now_ms)) {
                Ok(following) => source.following = following,
                Err(ClinicError::Denied(why)) if of_session(&why) => step.end(&reason(&why)),
                // The earlier decision goes on: it is checked again at every beat.
                Err(_) => {}
            }
        }
    }

    /// Renders what concerns these patients, or everything.
    fn draw(&self, step: &mut Step, source: &Source, only: Option<&BTreeSet<PatientId>>, now: u64) {
        match &source.of {
            Of::Ward { tiles } => {
                let wall = source.following.wall(now);
                self.strip(step, &wall, now);
                if *tiles {
                    self.tiles(step, &wall, only, now);
                }
            }
            Of::Record { topic, patient, own } => {
                if only.is_some_and(|only| !only.contains(patient)) {
                    return;
                }
                let Ok(tile) = source.following.tile(*patient, now) else { return };
                if let Some(html) = self.now_part(&tile, *own, now) {
                    step.push("now", &Drawn { t: topic, now, p: patient.to_string(), html });
                }
            }
        }
    }

    fn strip(&self, step: &mut Step, wall: &Wall, now: u64) {
        let strip = alarms::strip(wall, &self.caller, None);
        let (title, counts) = (alarms::title(wall), wall::counts(wall));
        if let Ok(html) = strip.render() {
            step.push("strip", &Strip { now, html, title, counts });
        }
    }

    fn tiles(&self, step: &mut Step, wall: &Wall, only: Option<&BTreeSet<PatientId>>, now: u64) {
        let t = WALL;
        let shown = |patient: &PatientId| wall.tiles.iter().find(|tile| tile.patient == *patient);
        match only {
            // All of them are still on the wall: only their tiles.
            Some(only) if only.iter().all(|patient| shown(patient).is_some()) => {
                for tile in only.iter().filter_map(shown) {
                    if let Ok(html) = wall::tile(tile, now).render() {
                        step.push("tile", &Drawn { t, now, p: tile.patient.to_string(), html });
                    }
                }
            }
            _ => {
                if let Ok(html) = wall::ward(wall).render() {
                    step.push("ward", &Drawn { t, now, p: String::new(), html });
                }
            }
        }
    }

    fn now_part(&self, tile: &Tile, own: bool, now: u64) -> Option<String> {
        if own {
            MeNowPart::of(tile, now).render().ok()
        } else {
            NowPart::of(tile, self.caller.csrf(), self.caller.session.role, now).render().ok()
        }
    }
}

/// Does the reason end the whole session?
fn of_session(why: &Denied) -> bool {
    matches!(why, Denied::SignedOut | Denied::NotEnrolled)
}

/// Sends an event, and notes the patients to render again.
fn send(
    step: &mut Step,
    source: &Source,
    first: bool,
    event: &Arc<LiveEvent>,
    dirty: &mut BTreeSet<PatientId>,
    now: u64,
) {
    match &**event {
        LiveEvent::Readings { patient, readings, offset_ms, envelope, sealed_at_ms, .. } => {
            let t = match &source.of {
                Of::Ward { tiles: false } => return,
                Of::Ward { tiles: true } => WALL,
                Of::Record { topic, .. } => topic,
            };
            // The page shows ages: it needs times of this node's clock.
            let here = |at_ms: u64| at_ms.saturating_add_signed(*offset_ms).min(now);
            let value = |sample| match sample {
                Sample::Measured(value) => (Some(value), None),
                Sample::Absent(why) => (None, Some(labels::absence(why))),
            };
            let r = readings
                .iter()
                .map(|reading| {
                    let (value, why) = value(reading.sample);
                    (reading.metric.code(), here(reading.at_ms), value, why)
                })
                .collect();
            let (index, steps, sealed) = (envelope.index, steps(envelope.proof), here(*sealed_at_ms));
            step.push("values", &Values { t, p: patient.to_string(), index, steps, sealed, now, r });
        }
        LiveEvent::Alarm(alarm) => {
            dirty.insert(alarm.patient);
            if let Ok(tile) = source.following.tile(alarm.patient, now) {
                step.push("alarm", &alarm_of(alarm, &tile, now));
            }
        }
        LiveEvent::Hidden(bed) => {
            dirty.insert(bed.patient);
            if let Some(alarm) = bed.alarm {
                step.push("alarm", &hidden_alarm(bed, alarm, now));
            }
        }
        LiveEvent::Changed { patient } => {
            dirty.insert(*patient);
        }
        LiveEvent::Proof { anchored_size, final_size, height } if first => {
            let (anchored, finalized, height) = (*anchored_size, *final_size, *height);
            step.push("proof", &Proof { anchored, finalized, height });
        }
        LiveEvent::Proof { .. } | LiveEvent::Access { .. } | LiveEvent::Watching { .. } => {}
    }
}

/// The alarm of a bed that may not be shown: how urgent, and where.
fn hidden_alarm(bed: &HiddenBed, alarm: HiddenAlarm, now: u64) -> Alarm {
    let text = alarm_card::hidden_alarm(alarm).to_string();
    let place = alarm_card::hidden_place(bed);
    let aloud = alarm.rings && alarm.priority == Priority::High;
    Alarm {
        p: bed.patient.to_string(),
        condition: 0,
        metric: 0,
        priority: labels::priority_style(alarm.priority),
        phase: if alarm.rings { "active" } else { "acknowledged" },
        raised: alarm.raised_at_ms,
        now,
        shout: if aloud { format!("High alarm. {text}. {place}") } else { String::new() },
        text,
        place,
    }
}

fn alarm_of(alarm: &AlarmView, tile: &Tile, now: u64) -> Alarm {
    let (name, bed) = name_and_place(tile);
    let (text, place) = (what(alarm, tile), format!("{bed} · {name}"));
    let phase = match alarm.phase {
        AlarmPhase::Active => "active",
        AlarmPhase::Acknowledged => "acknowledged",
        AlarmPhase::Recovered => "recovered",
        AlarmPhase::Closed => "closed",
    };
    let aloud = alarm.phase == AlarmPhase::Active && alarm.priority == Priority::High;
    Alarm {
        p: alarm.patient.to_string(),
        condition: alarm.condition.code(),
        metric: alarm.condition.metric().map_or(0, vitals::Metric::code),
        priority: labels::priority_style(alarm.priority),
        phase,
        raised: alarm.raised_at_ms,
        now,
        shout: if aloud { format!("High alarm. {text}. {place}") } else { String::new() },
        text,
        place,
    }
}
