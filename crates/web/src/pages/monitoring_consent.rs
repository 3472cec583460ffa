//! Whether the ward watches a patient: what the patient sees of it, how to end it, and how to begin again.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::forms::{At, Posted};
use crate::layout::Layout;
use crate::time::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use clinic::WATCH_ENDS;
use clinic::views::{GrantState, GrantView, OwnPage, PauseView};
use vitals::GrantId;
use vitals::ledger::Purpose;

/// The value of the field that confirms.
const YES: &str = "yes";
/// For how long the ward may watch: days, and the label.
const DAYS: [(u64, &str); 3] = [(7, "7 days"), (30, "30 days"), (90, "90 days")];
/// The one that is chosen unless another is.
const DAYS_USUAL: u64 = 30;
const DAY_MS: u64 = 86_400_000;
/// How long a pause may be, minutes.
const MINUTES: [u64; 4] = [10, 20, 30, 60];

/// Whether the ward watches, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// It does, and the consent ends then.
    Until(u64),
    /// A consent is on its way to the ledger.
    Coming,
    /// The patient paused it until then.
    Paused(u64),
    /// It does not.
    No,
}

fn is_monitoring(grant: &&GrantView) -> bool {
    grant.purpose == Purpose::Monitoring
}

fn watched(own: &OwnPage) -> Watched {
    let monitoring = || own.grants.iter().filter(is_monitoring);
    let live = monitoring().filter(|grant| grant.state == GrantState::Live);
    match (live.map(|grant| grant.until_ms).max(), own.pause) {
        (Some(_), Some(PauseView::Until { until_ms })) => Watched::Paused(until_ms),
        (Some(until_ms), _) => Watched::Until(until_ms),
        (None, _)
            if monitoring().any(|grant| {
                matches!(grant.state, GrantState::Pending | GrantState::Future | GrantState::Unknown)
            }) =>
        {
            Watched::Coming
        }
        (None, _) => Watched::No,
    }
}

/// One choice of how long.
pub(crate) struct Days {
    pub(crate) days: u64,
    pub(crate) label: &'static str,
    pub(crate) chosen: bool,
}

/// The card on the patient's own page.
#[derive(Template)]
#[template(path = "parts/watch.html")]
pub(crate) struct WatchCard {
    csrf: String,
    pub(crate) on: bool,
    pub(crate) title: &'static str,
    pub(crate) sentence: String,
    /// A moment that ends the sentence.
    pub(crate) at: Option<Moment>,
    /// Is there something to do about it? Then the card stands out.
    pub(crate) urgent: bool,
    /// The choices of how long, where the patient can let the ward watch (on).
    pub(crate) days: Vec<Days>,
    pub(crate) button: &'static str,
    /// Set while the patient's pause lasts.
    pub(crate) paused: bool,
}

impl HtmlSafe for WatchCard {}

impl WatchCard {
    pub(crate) fn of(own: &OwnPage, csrf: String, now_ms: u64) -> Self {
        let days = || {
            let choice =
                |(days, label): (u64, &'static str)| Days { days, label, chosen: days == DAYS_USUAL };
            DAYS.into_iter().map(choice).collect()
        };
        match watched(own) {
            Watched::Until(until_ms) => {
                let left_ms = until_ms.saturating_sub(now_ms);
                let soon = left_ms <= WATCH_ENDS.to_the_patient_ms;
                let date = Moment(until_ms).date();
                let (went_on, at) = match own.pause {
                    Some(PauseView::OverSince { at_ms }) if !soon => {
                        (" Your pause is over: watching went on at", Some(Moment(at_ms)))
                    }
                    _ => ("", None),
                };
                Self {
                    csrf,
                    on: true,
                    title: if soon { "Watching ends soon" } else { "Your ward watches you" },
                    sentence: if soon {
                        format!(
                            "Your consent to watching ends on {date}, in {}. From then on nobody will be called when your values are bad.",
                            time::left(left_ms)
                        )
                    } else {
                        format!("Your ward gets an alarm when a value is beyond its limits. Your consent lasts until {date}.{went_on}")
                    },
                    at,
                    urgent: soon,
                    days: if soon { days() } else { Vec::new() },
                    button: "Go on watching me",
                    paused: false,
                }
            }
            Watched::Coming => Self {
                csrf,
                on: false,
                title: "Watching is about to begin",
                sentence: "Your consent is on its way. Until then nobody is called when your values are bad.".into(),
                at: None,
                urgent: false,
                days: Vec::new(),
                button: "",
                paused: false,
            },
            Watched::Paused(until_ms) => Self {
                csrf,
                on: false,
                title: "Watching is paused",
                sentence: "Nobody will be called when your values are bad. Your ward watches you again by itself at".into(),
                at: Some(Moment(until_ms)),
                urgent: true,
                days: Vec::new(),
                button: "",
                paused: true,
            },
            Watched::No => Self {
                csrf,
                on: false,
                title: "Nobody is watching you",
                sentence: "Your ward may not see your values now. Nobody will be called when they are bad; only the device at your bed may still ring.".into(),
                at: None,
                urgent: true,
                days: days(),
                button: "Let the ward watch me again",
                paused: false,
            },
        }
    }
}

/// The question before a consent is withdrawn.
#[derive(Template)]
#[template(path = "pages/revoke.html")]
struct RevokePage {
    layout: Layout,
    grant: String,
    grantee: String,
    /// Is it the one under which the ward watches?
    watching: bool,
    /// And the last of them?
    last: bool,
    minutes: [u64; 4],
}

fn grant_id(text: &str) -> Result<GrantId, Error> {
    super::named(text).ok_or_else(Error::not_found)
}

/// `GET /me/consents/{grant}/revoke`: says what withdrawing one would mean, and asks.
pub(crate) async fn ask(State(app): State<App>, At(grant): At<String>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let own: Vec<GrantView> = app.ask(move |clinic, now_ms| clinic.own_consents(&session, now_ms)).await?;
    let id = grant_id(&grant)?;
    let found = own.iter().find(|grant| grant.grant == id && grant.state.is_open());
    let Some(found) = found else { return Err(Error::not_found()) };
    let others = own.iter().filter(is_monitoring).filter(|grant| grant.grant != id);
    Ok(app.render(&RevokePage {
        grant: id.to_string(),
        grantee: found.grantee.clone(),
        watching: is_monitoring(&found),
        minutes: MINUTES,
        last: !others.clone().any(|grant| grant.state == GrantState::Live),
        layout: Layout::of(&app, &caller, "/me"),
    }))
}

/// Withdraws one of the caller's own consents, after the question was confirmed.
pub(crate) async fn revoke(State(app): State<App>, At(grant): At<String>, posted: Posted) -> Answer {
    posted.fits(&["confirm"])?;
    let grant = grant_id(&grant)?;
    if posted.field("confirm") != YES {
        let message = Error::wrong("The field “confirm” says something else than yes. Nothing was changed.");
        return Err(message.back("/me", "Back to your values"));
    }
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.revoke_grant(&session, grant, now_ms)).await?;
    Ok(Redirect::to(&format!("/me?revoked={}", posted.caller.done(&app))).into_response())
}

/// Begins watching again, or renews it: a new consent to be watched.
pub(crate) async fn begin(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&["days"])?;
    let days = DAYS.iter().map(|(days, _)| *days).find(|days| days.to_string() == posted.field("days"));
    let Some(days) = days else {
        let message = Error::wrong("There is no such number of days to choose. Nothing was changed.");
        return Err(message.back("/me", "Back to your values"));
    };
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.let_ward_watch(&session, days * DAY_MS, now_ms)).await?;
    Ok(Redirect::to(&format!("/me?watched={}", posted.caller.done(&app))).into_response())
}

/// Instead of an end: nobody watches for a while, and then watching goes on by itself.
pub(crate) async fn pause(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&["minutes"])?;
    let minutes = MINUTES.into_iter().find(|minutes| minutes.to_string() == posted.field("minutes"));
    let Some(minutes) = minutes else {
        let message = Error::wrong("There is no such length of time to choose. Nothing was changed.");
        return Err(message.back("/me", "Back to your values"));
    };
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.pause_watching(&session, minutes * 60_000, now_ms)).await?;
    Ok(Redirect::to("/me").into_response())
}

/// A pause ends before its time.
pub(crate) async fn resume(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&[])?;
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.resume_watching(&session, now_ms)).await?;
    Ok(Redirect::to("/me").into_response())
}
