//! The live stream (Server-Sent Events): what happens now, for those who may see it. One address, `/live`,
//! carries everything that the pages of one browser show: the alarm strip of all beds to every
//! clinician, the wall's tiles, and the records whose pages are open. A browser holds one of them,
//! however many pages it has (`assets/line.js`).
//!
//! Everything that is shown or sounded is in the event itself, rendered for this session: nothing depends
//! on a second request. [`feed`] decides and renders, on a thread that may wait; this file waits.

mod feed;

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::forms::Query;
use crate::live_topics::{OWN, Topic, WALL};
use crate::pages::patient::purpose;
use crate::quota::Permit;
use crate::refusals::{self, Reason};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use clinic::Origin;
use feed::{Feed, Step};
use futures::stream::{self, Stream};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior};
use vitals::ledger::Role;

/// The address.
pub(crate) const ADDRESS: &str = "/live";
/// How often a stream sends a beat and checks that it may go on. A page that gets nothing for two seconds says
/// that its connection is lost (`assets/rules.js`), so three beats in a row must fail.
pub const BEAT_EVERY: Duration = Duration::from_millis(500);
/// Most records that one stream follows.
pub const TOPICS_MAX: usize = 24;

/// Reads `wall,me,PATIENT-PURPOSE,…`.
fn topics(caller: &Caller, text: &str) -> Result<Vec<Topic>, Error> {
    let wrong = || Error::wrong("There is nothing of this kind to follow.");
    let mut topics = Vec::new();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let topic = if name == WALL {
            Topic::Wall
        } else if name == OWN {
            Topic::Own(caller.session.patient.ok_or_else(Error::not_found)?)
        } else {
            let (patient, word) = name.split_once('-').ok_or_else(wrong)?;
            let patient = crate::pages::named(patient).ok_or_else(wrong)?;
            if word.is_empty() {
                return Err(wrong());
            }
            Topic::Record(patient, purpose(caller, word)?)
        };
        if topics.len() == TOPICS_MAX || topics.contains(&topic) {
            return Err(wrong());
        }
        topics.push(topic);
    }
    Ok(topics)
}

struct Flow {
    /// None while it works on another thread.
    feed: Option<Box<Feed>>,
    tick: Interval,
    ready: VecDeque<Event>,
    ended: bool,
    closing: watch::Receiver<bool>,
    /// Held while the stream is open: bounds how many there are.
    _permit: OwnedSemaphorePermit,
    _of_session: Permit<[u8; 16]>,
    _to_network: Permit<Origin>,
}

impl Flow {
    async fn advance(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.ended {
                return None;
            }
            let mut feed = self.feed.take()?;
            let mut closing = self.closing.clone();
            let ticked = tokio::select! {
                () = feed.wait() => false,
                _ = self.tick.tick() => true,
                // The node stops: the browser connects again, and shows a lost connection until then.
                _ = closing.wait_for(|closing| *closing) => return None,
            };
            // Deciding and rendering take locks: never on a thread that serves others.
            let work = tokio::task::spawn_blocking(move || {
                let step = feed.step(ticked);
                (feed, step)
            });
            // If a step panics, the stream ends and the browser connects again.
            let (feed, step) = work.await.ok()?;
            self.feed = Some(feed);
            let Step { events, ended } = step;
            self.ready.extend(events);
            self.ended = ended;
        }
    }
}

fn events(flow: Flow) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(flow, Flow::advance)
}

fn unbuffered(response: Response) -> Response {
    let mut response = response;
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a stream without a session: an event, for scripts cannot read the status of a refused stream.
pub(crate) fn signed_out() -> Response {
    let ended = stream::iter([Ok::<_, Infallible>(feed::ended("Your session has ended."))]);
    refusals::mark(unbuffered(Sse::new(ended).into_response()), Reason::SignedOut)
}

/// `/live?with=TOPIC,…`: what this caller's open pages show.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let topics = topics(&caller, query.field("with"))?;
    if caller.session.role != Role::Clinician && topics.iter().all(|topic| *topic == Topic::Wall) {
        return Err(Error::not_found());
    }
    let (feed_app, feed_caller) = (app.clone(), caller.clone());
    let feed = app
        .ask(move |clinic, now_ms| Feed::open(feed_app, feed_caller, clinic, topics, now_ms).map(Box::new))
        .await?;
    let busy = Error::too_many_streams;
    let of_session = app.streams_of().take(caller.session.id).ok_or_else(busy)?;
    let to_network = app.streams_to().take(caller.origin).ok_or_else(busy)?;
    let permit = app.streams().clone().try_acquire_owned().map_err(|_| busy())?;
    // The first tick comes at once: it renders everything that may have changed since the page was made.
    let mut tick = tokio::time::interval(BEAT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let flow = Flow {
        feed: Some(feed),
        tick,
        ready: VecDeque::new(),
        ended: false,
        closing: app.closing(),
        _permit: permit,
        _of_session: of_session,
        _to_network: to_network,
    };
    Ok(unbuffered(Sse::new(events(flow)).into_response()))
}
