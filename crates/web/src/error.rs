//! Why a request is refused: one type for every handler. It says what happened, what still works and what to do
//! next; [`crate::error_response`] renders it as a page, a problem (RFC 9457) or a FHIR `OperationOutcome`,
//! by what was asked for.

use crate::fields::FieldError;
use crate::format::sentence;
use crate::refusals::Reason;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clinic::{ClinicError, Denied, LinkRefused, SignInRefused};
use vitals::PatientId;
use vitals::ledger::LedgerError;

/// A refusal, to be rendered once the whole answer is known to be one.
#[derive(Debug, Clone)]
pub struct Error(Box<Details>);

/// What a refusal says.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) reason: Reason,
    pub(crate) status: StatusCode,
    /// Seconds after which to try again, if trying again may help.
    pub(crate) retry_s: Option<u64>,
    pub(crate) icon: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: String,
    /// Address and name of the page one came from, where that is not the first one.
    pub(crate) back: Option<(&'static str, &'static str)>,
    /// Further links.
    pub(crate) ways: Vec<(String, &'static str)>,
    /// The page shows the alarms of the ward, which leaves an access entry.
    pub(crate) with_ward: bool,
}

/// What a handler returns.
pub(crate) type Answer = Result<Response, Error>;

impl Error {
    fn new(
        reason: Reason,
        status: StatusCode,
        icon: &'static str,
        title: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self(Box::new(Details {
            reason,
            status,
            retry_s: None,
            icon,
            title,
            text: text.into(),
            back: None,
            ways: Vec::new(),
            with_ward: false,
        }))
    }

    /// What it says.
    pub(crate) fn details(&self) -> &Details {
        &self.0
    }

    /// May help if tried again after so many seconds.
    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_s = Some(seconds);
        self
    }

    /// The same with a link back.
    pub(crate) fn back(mut self, href: &'static str, label: &'static str) -> Self {
        self.0.back = Some((href, label));
        self
    }

    /// Not there, or the caller may not know of it: both look the same.
    pub(crate) fn not_found() -> Self {
        Self::new(
            Reason::NotFound,
            StatusCode::NOT_FOUND,
            "lock",
            "There is nothing here for you",
            "Either this page does not exist, or you may not see it. \
             If you should see it, ask the patient for a consent: clinicians do that under Requests.",
        )
    }

    /// A one-time link that did nothing. One that was guessed, used, replaced or withdrawn, or has ended, always looks
    /// the same.
    pub(crate) fn link(why: &LinkRefused) -> Self {
        let text = sentence(&why.to_string());
        let later = |reason, status, wait_s| {
            Self::new(reason, status, "stale", "Not possible right now", text.clone()).retry_after(wait_s)
        };
        match why {
            LinkRefused::Later(SignInRefused::Wait { wait_s }) => {
                later(Reason::SignInWait, StatusCode::TOO_MANY_REQUESTS, *wait_s)
            }
            LinkRefused::Later(_) => later(Reason::SignInBusy, StatusCode::SERVICE_UNAVAILABLE, 2),
            LinkRefused::Dead | LinkRefused::Field { .. } => {
                Self::new(Reason::Link, StatusCode::NOT_FOUND, "key", "This link does not work", text)
                    .back("/sign-in", "To sign-in")
            }
        }
    }

    /// Done on a page that shows an older state than there is.
    fn stale(text: impl Into<String>) -> Self {
        Self::new(Reason::Wrong, StatusCode::CONFLICT, "stale", "This has changed meanwhile", text)
    }

    /// The same with one more link.
    pub(crate) fn way(mut self, href: String, label: &'static str) -> Self {
        self.0.ways.push((href, label));
        self
    }

    /// A bed on this person's own wall, whose record they may not open.
    pub(crate) fn record_closed(place: &str, patient: PatientId) -> Self {
        let text = format!(
            "You may not open the record of {place}: no consent of this patient lets you read it. \
             Their alarms still reach you here and on the wall, and you can acknowledge them there. \
             To read the record, ask the patient for a consent in your name: the request stands on their page. In an emergency go to the bed: opening a record without a consent is not possible yet."
        );
        let (status, title) = (StatusCode::FORBIDDEN, "This record is not open to you");
        let mut error = Self::new(Reason::NotFound, status, "lock", title, text);
        error.0.ways.push((format!("/asks?patient={patient}"), "Ask for a consent"));
        error.0.ways.push((format!("/patients/{patient}?for=monitoring"), "What monitoring shows"));
        error.0.with_ward = true;
        error.back("/wall", "To the wall")
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

    /// A post that did not come from one of our pages of this session.
    pub(crate) fn cross_site() -> Self {
        Self::new(
            Reason::Foreign,
            StatusCode::FORBIDDEN,
            "lock",
            "Not done",
            "This request did not come from a page of this site, or your session has changed since the page was \
             loaded. Nothing was changed. Go back, reload, and try again.",
        )
    }

    pub(crate) fn form_too_long() -> Self {
        Self::new(
            Reason::BodyTooLong,
            StatusCode::PAYLOAD_TOO_LARGE,
            "low",
            "Too much at once",
            "This form is longer than any form of this site. Nothing was changed.",
        )
    }

    pub(crate) fn address_too_long() -> Self {
        Self::new(
            Reason::HeadTooLong,
            StatusCode::URI_TOO_LONG,
            "low",
            "Too much at once",
            "This address is longer than any address of this site. Nothing was changed.",
        )
    }

    pub(crate) fn headers_too_long() -> Self {
        Self::new(
            Reason::HeadTooLong,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "low",
            "Too much at once",
            "The headers of this request, cookies among them, are too long. Nothing was changed.",
        )
    }

    pub(crate) fn form_too_slow() -> Self {
        Self::new(
            Reason::SlowBody,
            StatusCode::REQUEST_TIMEOUT,
            "stale",
            "The form did not arrive",
            "The connection was too slow to bring the whole form in time. Nothing was changed. Try again.",
        )
    }

    pub(crate) fn not_a_form() -> Self {
        Self::new(
            Reason::Form,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "low",
            "That does not fit",
            "What was sent is not a form as pages send it (media type). Nothing was changed.",
        )
    }

    /// A form whose fields do not fit.
    pub(crate) fn form(why: &FieldError) -> Self {
        let text = format!("{why} Nothing was changed.");
        Self::new(Reason::Form, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    /// The query of an address that cannot be read.
    pub(crate) fn query(why: &FieldError) -> Self {
        let text = format!("The address cannot be read. {why}");
        Self::new(Reason::Query, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    /// What was asked for makes no sense; `text` says why, in whole sentences.
    pub(crate) fn wrong(text: &str) -> Self {
        Self::new(Reason::Wrong, StatusCode::BAD_REQUEST, "low", "That does not fit", text)
    }

    fn other_ledger(text: impl Into<String>) -> Self {
        let title = "The ledger is another network’s";
        Self::new(Reason::NotFound, StatusCode::NOT_FOUND, "inbox", title, text)
    }

    pub(crate) fn too_many_requests(wait_ms: u64) -> Self {
        Self::new(
            Reason::Requests,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Too many requests",
            "More requests come from your network address than this server answers. \
             Pages that are already open stay live. Wait a moment.",
        )
        .retry_after(wait_ms.div_ceil(1000).max(1))
    }

    pub(crate) fn too_many_streams() -> Self {
        Self::new(
            Reason::Streams,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Too many live pages",
            "Too many live pages are open. Close one; this page shows values as they were when it was loaded.",
        )
        .retry_after(5)
    }

    pub(crate) fn too_many_bundles() -> Self {
        Self::new(
            Reason::Bundles,
            StatusCode::TOO_MANY_REQUESTS,
            "stale",
            "Your record is on its way already",
            "You can have one download of your record at a time, and only a few run at once for all patients. \
             Wait until it is done, and try again.",
        )
        .retry_after(10)
    }

    /// The answer took longer than it may.
    pub(crate) fn timeout() -> Self {
        Self::new(
            Reason::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            "stale",
            "This takes too long",
            "Monitoring is not affected. Try again in a moment.",
        )
        .retry_after(5)
    }

    /// The server failed; the cause is in the operator's log, never on a page.
    pub(crate) fn failed() -> Self {
        Self::new(
            Reason::Failed,
            StatusCode::SERVICE_UNAVAILABLE,
            "low",
            "This page could not be shown",
            "Bedside alarms keep ringing. Try again in a moment, and tell the administrator if it stays so.",
        )
        .retry_after(5)
    }

    /// It was here, and is removed.
    fn pruned(text: impl Into<String>) -> Self {
        Self::new(Reason::NotFound, StatusCode::GONE, "inbox", "This is pruned", text)
    }

    fn waiting(text: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(Reason::Unavailable, status, "stale", "Not possible right now", text).retry_after(5)
    }
}

impl From<Denied> for Error {
    fn from(why: Denied) -> Self {
        match why {
            Denied::SignedOut => Self::signed_out(),
            Denied::LedgerStale { .. }
            | Denied::LedgerDown
            | Denied::PolicySilent
            | Denied::EnrolmentPending => Self::waiting(sentence(&why.to_string())),
            Denied::Span { .. } | Denied::MonitoringSpan => Self::wrong(&sentence(&why.to_string())),
            _ => Self::not_found(),
        }
    }
}

impl From<ClinicError> for Error {
    fn from(why: ClinicError) -> Self {
        match why {
            ClinicError::Denied(why) => why.into(),
            ClinicError::Wrong(why) => Self::wrong(&sentence(&why)),
            ClinicError::Grant(why) => Self::wrong(&sentence(&why.to_string())),
            ClinicError::Field { why, .. } => Self::wrong(&sentence(why)),
            ClinicError::Stale => Self::stale(format!("{} Nothing was changed.", sentence(&why.to_string()))),
            ClinicError::Elsewhere => Self::other_ledger(sentence(&why.to_string())),
            // Trying again would not help.
            ClinicError::Ledger(LedgerError::Refused(why)) => Self::wrong(&sentence(&why)),
            ClinicError::Ledger(why @ LedgerError::Pruned { .. }) => Self::pruned(sentence(&why.to_string())),
            ClinicError::Ledger(why) => Self::waiting(sentence(&why.to_string())),
            // The vault or the store failed: the details are for the operator's log.
            _ => Self::failed(),
        }
    }
}

/// An answer without a body that carries the refusal: [`crate::error_response`] renders it.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self.0.reason);
        response.extensions_mut().insert(self);
        response
    }
}
