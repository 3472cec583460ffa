//! What surrounds a page's content, and the pages that say no.

use crate::App;
use crate::forms::Misread;
use crate::pages::alarms::{self, AlarmsPart};
use crate::refuse::Reason;
use crate::session::{Caller, Visit, Ward};
use crate::words::{self, Moment};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clinic::views::LedgerHealth;
use clinic::{ClinicError, Denied};
use std::borrow::Cow;
use vitals::PatientId;
use vitals::ledger::{LedgerError, Role};

/// A link of the main navigation.
pub struct Link {
    /// Where to.
    pub href: Cow<'static, str>,
    /// Its words.
    pub label: &'static str,
    /// The page one is on.
    pub current: bool,
}

/// Who is signed in, as the top bar says it.
pub struct Viewer {
    /// Name.
    pub name: String,
    /// Role.
    pub role: &'static str,
}

/// The frame of a page.
pub struct Shell {
    pub(crate) hospital: String,
    pub(crate) viewer: Option<Viewer>,
    pub(crate) nav: Vec<Link>,
    pub(crate) theme: Option<&'static str>,
    pub(crate) csrf: String,
    pub(crate) path: String,
    pub(crate) now: Moment,
    /// What the page follows live beside the alarm strip: names of topics.
    pub(crate) live: Option<String>,
    /// Names the session to the pages of one browser.
    pub(crate) mark: String,
    /// The alarms of all beds, on every page of a clinician.
    pub(crate) strip: Option<AlarmsPart>,
    /// They could not be told.
    pub(crate) blind: bool,
    /// What stands before the title while there are alarms.
    pub(crate) alarm_title: String,
    /// The wall itself: all alarms are shown, and it reloads without scripts.
    pub(crate) is_wall: bool,
    pub(crate) halt: Halt,
    /// What the browser is asked to remember; only of somebody signed in, at a node that keeps blocks.
    pub(crate) head: Option<Head>,
    /// Withdrawn consents that should have been on the ledger long ago.
    pub(crate) late: usize,
}

/// The newest block, for a browser that is its own witness.
pub(crate) struct Head {
    /// Of the genesis document: which ledger.
    pub(crate) ledger: String,
    pub(crate) height: u64,
    /// Of the block's header.
    pub(crate) digest: String,
}

/// Whether the ledger stands still.
pub(crate) struct Halt {
    /// It does.
    pub(crate) on: bool,
    /// Its newest block.
    pub(crate) since: Moment,
    /// How long ago that is.
    pub(crate) age: String,
    /// Withdrawn consents that wait for it.
    pub(crate) waiting: usize,
}

impl Halt {
    fn of(health: &LedgerHealth) -> Self {
        Self {
            on: health.stale,
            since: Moment(health.tip_ms),
            age: words::age(health.age_ms),
            waiting: health.withdrawals_waiting,
        }
    }
}

impl Shell {
    /// The frame of a page for this visit; `caller` when somebody is signed in.
    pub(crate) fn new(app: &App, visit: &Visit, caller: Option<&Caller>, here: &str) -> Self {
        let nav = caller.map_or_else(Vec::new, |caller| nav(caller.session.role, here));
        let health = app.station().health(app.now_ms());
        let ward = caller.and_then(|caller| match &caller.ward {
            Ward::Known(wall) => Some(&**wall),
            Ward::Unknown | Ward::NotAsked => None,
        });
        // Whose consent it is, is nobody else's business; that there is one, is the staff's.
        let staff = caller.is_some_and(|caller| {
            matches!(caller.session.role, Role::Administrator | Role::Auditor | Role::Clinician)
        });
        Self {
            hospital: app.settings().hospital.clone(),
            viewer: caller
                .map(|caller| Viewer { name: caller.session.name.clone(), role: caller.session.role.word() }),
            nav,
            theme: visit.theme,
            csrf: caller.map(Caller::csrf).unwrap_or_default(),
            path: visit.path.clone(),
            now: Moment(app.now_ms()),
            live: caller.filter(|caller| caller.session.role == Role::Clinician).map(|_| String::new()),
            mark: caller.map(Caller::mark).unwrap_or_default(),
            blind: caller.is_some_and(|caller| matches!(caller.ward, Ward::Unknown)),
            alarm_title: ward.map(alarms::title).unwrap_or_default(),
            strip: caller.and_then(|caller| match &caller.ward {
                Ward::Known(wall) => Some(alarms::strip(wall, caller, None)),
                Ward::NotAsked if caller.session.role == Role::Clinician => Some(alarms::not_asked()),
                Ward::NotAsked | Ward::Unknown => None,
            }),
            is_wall: false,
            halt: Halt::of(&health),
            head: caller.and(health.tip).map(|digest| Head {
                ledger: words::hex(&app.station().genesis().0),
                height: health.height,
                digest: words::hex(&digest),
            }),
            late: if staff { health.withdrawals_late } else { 0 },
        }
    }

    /// The frame of a signed-in caller's page.
    pub(crate) fn of(app: &App, caller: &Caller, here: &str) -> Self {
        Self::new(app, &caller.visit, Some(caller), here)
    }

    /// The frame of a page that follows something of its own.
    pub(crate) fn live(mut self, topic: String) -> Self {
        self.live = Some(topic);
        self
    }

    /// The frame of the wall.
    pub(crate) fn wall(self) -> Self {
        Self { is_wall: true, ..self.live(crate::live::WALL.into()) }
    }

    /// The frame of a page on which this patient's alarms have a place of their own.
    pub(crate) fn beside(mut self, caller: &Caller, patient: PatientId) -> Self {
        if let Ward::Known(wall) = &caller.ward {
            self.strip = Some(alarms::strip(wall, caller, Some(patient)));
        }
        self
    }

    pub(crate) fn signed_in(&self) -> bool {
        self.viewer.is_some()
    }

    pub(crate) fn theme_word(&self) -> &'static str {
        self.theme.unwrap_or("auto")
    }

    pub(crate) fn next_theme(&self) -> &'static str {
        match self.theme {
            None => "dark",
            Some("dark") => "light",
            Some(_) => "auto",
        }
    }
}

fn nav(role: Role, here: &str) -> Vec<Link> {
    let link = |href: &'static str, label| Link { href: href.into(), label, current: href == here };
    match role {
        Role::Clinician => vec![link("/wall", "Wall"), link("/help", "Help")],
        Role::Patient => vec![link("/me", "My values"), link("/help", "Help")],
        Role::Administrator => {
            vec![link("/admin", "Administration"), link("/ledger", "Ledger"), link("/help", "Help")]
        }
        Role::Auditor => vec![link("/ledger", "Ledger"), link("/help", "Help")],
        Role::Family | Role::Other(_) => vec![link("/help", "Help")],
    }
}

/// The first page of a role.
#[must_use]
pub fn home(role: Role) -> &'static str {
    match role {
        Role::Clinician => "/wall",
        Role::Patient => "/me",
        Role::Administrator => "/admin",
        Role::Auditor => "/ledger",
        Role::Family | Role::Other(_) => "/help",
    }
}

/// A page that says what happened, what still works and whose move it is.
pub struct Message {
    pub(crate) reason: Reason,
    pub(crate) status: StatusCode,
    /// Seconds after which to try again, if trying again may help.
    pub(crate) retry_s: Option<u64>,
    pub(crate) icon: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: String,
    /// Address and name of the page one came from, where that is not the first one.
    pub(crate) back: Option<(&'static str, &'static str)>,
    /// Further ways on.
    pub(crate) ways: Vec<(String, &'static str)>,
}

impl Message {
    fn new(
        reason: Reason,
        status: StatusCode,
        icon: &'static str,
        title: &'static str,
        text: impl Into<String>,
    ) -> Self {
        let (text, ways) = (text.into(), Vec::new());
        Self { reason, status, retry_s: None, icon, title, text, back: None, ways }
    }

    fn again_after(self, seconds: u64) -> Self {
        Self { retry_s: Some(seconds), ..self }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            Reason::NotFound,
            StatusCode::NOT_FOUND,
            "lock",
            "There is nothing here for you",
            "Either this page does not exist, or you may not see it. If you should, ask the patient for a consent.",
        )
    }

    /// A bed of this person's own wall, whose record they may not open.
    pub(crate) fn record_closed(place: &str, patient: PatientId) -> Self {
        let text = format!(
            "You may not open the record of {place}: no consent of this patient lets you read it. \
             Their alarms go on reaching you here and on the wall, and you can acknowledge them there. To read \
             the record, ask the patient for a consent in your name; the administrator knows how it is given \
             here. In an emergency go to the bed: opening a record without a consent is not possible yet."
        );
        let (status, title) = (StatusCode::FORBIDDEN, "This record is not open to you");
        let mut message = Self::new(Reason::NotFound, status, "lock", title, text);
        message.ways.push((format!("/patients/{patient}?for=monitoring"), "What monitoring shows"));
        message.back = Some(("/wall", "To the wall"));
        message
    }

    pub(crate) fn other_method() -> Self {
        Self::new(
            Reason::Method,
            StatusCode::METHOD_NOT_ALLOWED,
            "low",
            "Not done",
            "This address does not take requests of this kind (method). Nothing was changed.",
        )
    }

    pub(crate) fn signed_out() -> Self {
        Self::new(
            Reason::SignedOut,
            StatusCode::UNAUTHORIZED,
            "lock",
            "You are not signed in",
            "Your session has ended, or there was none. Sign in, and try again.",
        )
    }

    pub(crate) fn foreign() -> Self {
        Self::new(
            Reason::Foreign,
            StatusCode::FORBIDDEN,
            "lock",
            "Not done",
            "This request did not come from a page of this site, or your session has changed since the page was made. Nothing was changed. Go back, reload, and try again.",
        )
    }

    pub(crate) fn too_long() -> Self {
        Self::new(
            Reason::BodyTooLong,
            StatusCode::PAYLOAD_TOO_LARGE,
            "low",
            "Too much at once",
            "This form is longer than any of ours. Nothing was changed.",
        )
    }

    pub(crate) fn long_address() -> Self {
        Self::new(
            Reason::HeadTooLong,
            StatusCode::URI_TOO_LONG,
            "low",
            "Too much at once",
            "This address is longer than any of ours. Nothing was changed.",
        )
    }

    pub(crate) fn long_head() -> Self {
        Self::new(
            Reason::HeadTooLong,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "low",
            "Too much at once",
            "The headers of this request, cookies among them, are longer than we read. Nothing was changed.",
        )
    }

    pub(crate) fn slow_form() -> Self {
        Self::new(
            Reason::SlowBody,
            StatusCode::REQUEST_TIMEOUT,
            "stale",
            "The form did not arrive",
            "The connection was too slow to bring the whole form in time. Nothing was changed. Try again.",
        )
    }

    pub(crate) fn no_form() -> Self {
        Self::new(
            Reason::Form,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "low",
            "That does not fit",
            "What was sent is no form as pages send it (media type). Nothing was changed.",
        )
    }

    pub(crate) fn form(why: &Misread) -> Self {
        let text = format!("{why} Nothing was changed.");
        Self::new(Reason::Form, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    pub(crate) fn query(why: &Misread) -> Self {
        let text = format!("The address cannot be read. {why}");
        Self::new(Reason::Query, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    pub(crate) fn wrong(text: &str) -> Self {
        Self::new(Reason::Wrong, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    fn elsewhere(text: impl Into<String>) -> Self {
        let title = "The ledger is another network’s";
        Self::new(Reason::NotFound, StatusCode::NOT_FOUND, "inbox", title, text)
    }

    /// The same with a way back.
    pub(crate) fn back(mut self, href: &'static str, label: &'static str) -> Self {
        self.back = Some((href, label));
        self
    }

    pub(crate) fn too_often(wait_ms: u64) -> Self {
        Self::new(
            Reason::Requests,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Too many requests",
            "There are more requests from your place than we answer. Live pages go on. Wait a moment.",
        )
        .again_after(wait_ms.div_ceil(1000).max(1))
    }

    pub(crate) fn too_many_streams() -> Self {
        Self::new(
            Reason::Streams,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Too many live pages",
            "More live pages are open than we keep moving. Close one; this page shows values as they were when it was made.",
        )
        .again_after(5)
    }

    pub(crate) fn too_many_bundles() -> Self {
        Self::new(
            Reason::Bundles,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Your record is on its way already",
            "One download of your record at a time, and a few of all people. Wait until it is done, and try again.",
        )
        .again_after(10)
    }

    pub(crate) fn slow() -> Self {
        Self::new(
            Reason::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            "stale",
            "This takes too long",
            "Monitoring is not affected. Try again in a moment.",
        )
        .again_after(5)
    }

    pub(crate) fn failed() -> Self {
        Self::new(
            Reason::Failed,
            StatusCode::SERVICE_UNAVAILABLE,
            "low",
            "This page could not be made",
            "Bedside alarms go on ringing. Try again in a moment, and tell the administrator if it stays so.",
        )
        .again_after(5)
    }

    fn waiting(text: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(Reason::Unavailable, status, "stale", "Not possible right now", text).again_after(5)
    }
}

/// Marks a response as a refusal, for the counters.
pub(crate) fn refused(mut response: Response, reason: Reason) -> Response {
    response.extensions_mut().insert(reason);
    response
}

/// A page that says no, ready to be sent.
#[derive(Debug)]
pub struct Refusal(Box<Response>);

impl Refusal {
    pub(crate) fn new(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// What a handler gives.
pub(crate) type Answer = Result<Response, Refusal>;

#[derive(Template)]
#[template(path = "pages/message.html")]
struct MessagePage<'a> {
    shell: Shell,
    title: &'a str,
    text: &'a str,
    icon: &'a str,
    links: Vec<Link>,
}

impl App {
    /// Renders a page; a failing template is our fault and says so.
    pub(crate) fn render(&self, page: &impl Template) -> Response {
        self.count_page();
        match page.render() {
            Ok(text) => {
                let headers = [
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                    (header::VARY, HeaderValue::from_static("HX-Request, HX-Target, Cookie")),
                ];
                (headers, text).into_response()
            }
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.").into_response(),
        }
    }

    /// A page that says no.
    pub(crate) fn message(&self, caller: Option<&Caller>, message: &Message) -> Response {
        let visit = caller.map(|caller| caller.visit.clone()).unwrap_or_default();
        self.message_to(&visit, caller, message)
    }

    pub(crate) fn message_to(&self, visit: &Visit, caller: Option<&Caller>, message: &Message) -> Response {
        let mut shell = Shell::new(self, visit, caller, "");
        shell.path = "/".into();
        let (href, label) = message.back.unwrap_or(("/", "To my first page"));
        let link = |href: Cow<'static, str>, label| Link { href, label, current: false };
        let ways = message.ways.iter().map(|(href, label)| link(href.clone().into(), *label));
        let page = MessagePage {
            shell,
            title: message.title,
            text: &message.text,
            icon: message.icon,
            links: ways.chain([link(href.into(), label)]).collect(),
        };
        let mut response = refused(self.render(&page), message.reason);
        *response.status_mut() = message.status;
        if let Some(seconds) = message.retry_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    pub(crate) fn refusal(&self, caller: Option<&Caller>, message: &Message) -> Refusal {
        Refusal::new(self.message(caller, message))
    }

    /// Turns the clinic's no into a page. Unknown and not permitted look the same.
    pub(crate) fn no(&self, caller: &Caller, why: &ClinicError) -> Refusal {
        let message = match why {
            ClinicError::Denied(Denied::SignedOut) => {
                let to_sign_in = axum::response::Redirect::to("/sign-in").into_response();
                return Refusal::new(refused(to_sign_in, Reason::SignedOut));
            }
            ClinicError::Denied(
                why @ (Denied::LedgerStale { .. } | Denied::LedgerDown | Denied::PolicySilent),
            ) => Message::waiting(sentence(&why.to_string())),
            ClinicError::Denied(why @ (Denied::Span { .. } | Denied::MonitoringSpan)) => {
                Message::wrong(&sentence(&why.to_string()))
            }
            ClinicError::Denied(_) => Message::not_found(),
            ClinicError::Wrong(why) => Message::wrong(&sentence(why)),
            ClinicError::Elsewhere => Message::elsewhere(sentence(&why.to_string())),
            // Asking again would not help.
            ClinicError::Ledger(LedgerError::Refused(why)) => Message::wrong(&sentence(why)),
            ClinicError::Ledger(why) => Message::waiting(sentence(&why.to_string())),
            // The vault or the store failed: their words are for the operator's log.
            _ => Message::failed(),
        };
        self.refusal(Some(caller), &message)
    }

    /// The answer of [`App::ask`], or a page that says why there is none.
    pub(crate) fn granted<T>(
        &self,
        caller: &Caller,
        answer: Option<Result<T, ClinicError>>,
    ) -> Result<T, Refusal> {
        match answer {
            Some(Ok(value)) => Ok(value),
            Some(Err(why)) => Err(self.no(caller, &why)),
            None => Err(self.refusal(Some(caller), &Message::failed())),
        }
    }
}

/// A clinic's clause as a sentence.
#[must_use]
pub fn sentence(clause: &str) -> String {
    let mut text = words::capital(clause);
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}
