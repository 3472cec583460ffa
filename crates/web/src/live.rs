//! Live streams (Server-Sent Events): what happens now, to whoever may see it. The clinic decides at
//! every event and at every tick whether the stream may go on; when it may not, it says why and ends.

use crate::App;
use crate::forms::{Asked, At};
use crate::pages::alarms::what;
use crate::pages::bed::{name_of, steps};
use crate::pages::me::MeNowPart;
use crate::pages::patient::{NowPart, purpose};
use crate::quota::Hold;
use crate::session::Caller;
use crate::shell::{Answer, Message, sentence};
use crate::station::Following;
use crate::words;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use clinic::views::{AlarmPhase, AlarmView, LiveEvent};
use clinic::{ClinicError, Denied, Origin};
use futures::stream::{self, Stream};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior};
use vitals::PatientId;
use vitals::alarm::Priority;
use vitals::ledger::Purpose;
use vitals::metric::Sample;

/// How often a stream asks whether it may go on.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How often a quiet stream says that it is alive, in checks.
const BEAT_CHECKS: u32 = 5;

/// Readings of one envelope: `r` holds `[metric, at_ms, raw or null]`.
#[derive(Serialize)]
struct Values {
    p: String,
    index: u64,
    steps: u8,
    sealed: u64,
    now: u64,
    r: Vec<(u8, u64, Option<i32>)>,
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
    /// Said aloud at once; empty for all but new high alarms.
    shout: String,
}

#[derive(Serialize)]
struct Proof {
    anchored: u64,
    #[serde(rename = "final")]
    finalized: u64,
    height: u64,
}

#[derive(Serialize)]
struct Changed {
    p: String,
}

#[derive(Serialize)]
struct Beat {
    now: u64,
    stale: bool,
    tip: u64,
    height: u64,
    /// Of the newest block's header.
    digest: Option<String>,
}

#[derive(Serialize)]
struct Ended {
    why: String,
}

/// Which page follows.
enum Page {
    Wall,
    Patient,
    Own,
}

struct Flow {
    app: App,
    caller: Caller,
    page: Page,
    following: Box<dyn Following>,
    tick: Interval,
    ticks: u32,
    ready: VecDeque<Event>,
    ended: bool,
    closing: watch::Receiver<bool>,
    /// Held while the stream is open: bounds how many there are.
    _permit: OwnedSemaphorePermit,
    _of_session: Hold<[u8; 16]>,
    _to_place: Hold<Origin>,
}

impl Flow {
    fn push(&mut self, name: &str, data: &impl Serialize) {
        // Our own small structs always serialise; an event that did not would only be missed.
        if let Ok(event) = Event::default().event(name).json_data(data) {
            self.ready.push_back(event);
        }
    }

    fn beat(&mut self) {
        let now = self.app.now_ms();
        let health = self.app.station().health(now);
        let digest = health.tip.map(|digest| words::hex(&digest));
        let (stale, tip, height) = (health.stale, health.tip_ms, health.height);
        self.push("beat", &Beat { now, stale, tip, height, digest });
        self.push(
            "proof",
            &Proof { anchored: health.anchored_size, finalized: health.final_size, height: health.height },
        );
    }

    fn end(&mut self, why: &Denied) {
        // Somebody who may not know of a patient learns nothing from the reason either.
        let why = match why {
            Denied::SignedOut => "Your session has ended.".to_string(),
            Denied::Withdrawn => "The patient has withdrawn the consent.".into(),
            Denied::Ended { .. } => "The patient’s consent has ended.".into(),
            Denied::LedgerStale { .. } | Denied::LedgerDown => sentence(&why.to_string()),
            _ => "You may not see this any longer.".into(),
        };
        self.push("ended", &Ended { why });
        self.ended = true;
    }

    fn take(&mut self, event: &LiveEvent) {
        let now = self.app.now_ms();
        match event {
            LiveEvent::Readings { patient, readings, offset_ms, envelope, sealed_at_ms, .. } => {
                // The page tells ages: it needs the times of this node's clock.
                let here = |at_ms: u64| at_ms.saturating_add_signed(*offset_ms).min(now);
                let r = readings
                    .iter()
                    .map(|reading| {
                        let value = match reading.sample {
                            Sample::Measured(value) => Some(value),
                            Sample::Absent(_) => None,
                        };
                        (reading.metric.code(), here(reading.at_ms), value)
                    })
                    .collect();
                let values = Values {
                    p: patient.to_string(),
                    index: envelope.index,
                    steps: steps(envelope.proof),
                    sealed: here(*sealed_at_ms),
                    now,
                    r,
                };
                self.push("values", &values);
            }
            LiveEvent::Alarm(alarm) => {
                self.alarm(alarm, now);
                self.redraw(alarm.patient, now);
            }
            LiveEvent::Changed { patient } => {
                self.push("changed", &Changed { p: patient.to_string() });
                self.redraw(*patient, now);
            }
            LiveEvent::Access { patient } => self.push("access", &Changed { p: patient.to_string() }),
            LiveEvent::Proof { anchored_size, final_size, height } => {
                self.push(
                    "proof",
                    &Proof { anchored: *anchored_size, finalized: *final_size, height: *height },
                );
            }
        }
    }

    fn alarm(&mut self, alarm: &AlarmView, now: u64) {
        let Ok(tile) = self.following.tile(alarm.patient, now) else { return };
        let (name, bed) = name_of(&tile);
        let (text, place) = (what(alarm, &tile), format!("{bed} · {name}"));
        let phase = match alarm.phase {
            AlarmPhase::Active => "active",
            AlarmPhase::Acknowledged => "acknowledged",
            AlarmPhase::Recovered => "recovered",
            AlarmPhase::Closed => "closed",
        };
        let aloud = alarm.phase == AlarmPhase::Active && alarm.priority == Priority::High;
        let told = Alarm {
            p: alarm.patient.to_string(),
            condition: alarm.condition.code(),
            metric: alarm.condition.metric().map_or(0, vitals::Metric::code),
            priority: words::priority_style(alarm.priority),
            phase,
            raised: alarm.raised_at_ms,
            now,
            shout: if aloud { format!("High alarm. {text}. {place}") } else { String::new() },
            text,
            place,
        };
        self.push("alarm", &told);
    }

    /// Sends a patient's newest values and alarms as the page draws them.
    fn redraw(&mut self, patient: PatientId, now: u64) {
        let drawn = match self.page {
            Page::Wall => return,
            Page::Patient => self.following.tile(patient, now).ok().and_then(|tile| {
                NowPart::of(&tile, self.caller.csrf(), self.caller.session.role, now).render().ok()
            }),
            Page::Own => self
                .following
                .tile(patient, now)
                .ok()
                .and_then(|tile| MeNowPart::of(&tile, now).render().ok()),
        };
        if let Some(text) = drawn {
            self.ready.push_back(Event::default().event("now").data(text));
        }
    }

    async fn advance(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.ended {
                return None;
            }
            let clock = self.app.clock().clone();
            let mut closing = self.closing.clone();
            tokio::select! {
                next = self.following.next(&*clock) => match next {
                    Ok(event) => self.take(&event),
                    Err(why) => self.end(&why),
                },
                // The node stops: the browser will ask again, and say so until it is answered.
                _ = closing.wait_for(|closing| *closing) => return None,
                _ = self.tick.tick() => {
                    self.ticks += 1;
                    match self.following.check(self.app.now_ms()) {
                        Err(why) => self.end(&why),
                        Ok(()) if self.ticks.is_multiple_of(BEAT_CHECKS) => self.beat(),
                        Ok(()) => {}
                    }
                }
            }
        }
    }
}

fn events(flow: Flow) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(flow, Flow::advance)
}

fn flow(
    app: &App,
    caller: Caller,
    page: Page,
    answer: Option<Result<Box<dyn Following>, ClinicError>>,
) -> Answer {
    let following = app.granted(&caller, answer)?;
    let busy = || app.refusal(Some(&caller), &Message::too_many_streams());
    let of_session = app.streams_of().take(caller.session.id).ok_or_else(busy)?;
    let to_place = app.streams_to().take(caller.place).ok_or_else(busy)?;
    let permit = app.streams().clone().try_acquire_owned().map_err(|_| busy())?;
    let mut tick = tokio::time::interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flow = Flow {
        app: app.clone(),
        caller,
        page,
        following,
        tick,
        ticks: 0,
        ready: VecDeque::new(),
        ended: false,
        closing: app.closing(),
        _permit: permit,
        _of_session: of_session,
        _to_place: to_place,
    };
    flow.beat();
    let mut response = Sse::new(events(flow)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `/live`: the wall.
pub(crate) async fn wall(State(app): State<App>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let answer = app.ask(move |station, now_ms| station.follow_wall(&session, now_ms)).await;
    flow(&app, caller, Page::Wall, answer)
}

/// `/patients/{patient}/live`: one record, for the reason its page was opened for.
pub(crate) async fn patient(
    State(app): State<App>,
    At(patient): At<String>,
    asked: Asked,
    caller: Caller,
) -> Answer {
    let id = crate::pages::patient_id(&app, &caller, &patient)?;
    let purpose = purpose(&app, &caller, asked.field("for"))?;
    follow(&app, caller, id, purpose, Page::Patient).await
}

/// `/me/live`: the own record.
pub(crate) async fn own(State(app): State<App>, caller: Caller) -> Answer {
    let Some(id) = caller.session.patient else {
        return Err(app.refusal(Some(&caller), &Message::not_found()));
    };
    follow(&app, caller, id, Purpose::Own, Page::Own).await
}

async fn follow(app: &App, caller: Caller, id: PatientId, purpose: Purpose, page: Page) -> Answer {
    let session = caller.session.clone();
    let answer = app.ask(move |station, now_ms| station.follow_patient(&session, id, purpose, now_ms)).await;
    flow(app, caller, page, answer)
}
