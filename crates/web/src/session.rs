//! Who is asking. Every page but sign-in, help and health takes a [`Caller`], so that a handler
//! cannot forget to ask.

use crate::App;
use crate::guard;
use crate::refuse::Reason;
use crate::shell::{Message, Refusal, refused};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use clinic::views::Wall;
use clinic::{Origin, Session};
use std::sync::Arc;
use vitals::ledger::Role;

/// Hex digits that say that something was done.
const DONE_DIGITS: usize = 16;
/// Hex digits of a session's token.
const TOKEN_DIGITS: usize = 64;

/// Name of the session's cookie.
#[must_use]
pub fn cookie_name(behind_tls: bool) -> &'static str {
    if behind_tls { "__Host-aceso" } else { "aceso" }
}

/// The session's cookie. It lives as long as the browser's window; the clinic ends it earlier.
#[must_use]
pub fn cookie(token: &str, behind_tls: bool) -> String {
    let secure = if behind_tls { "; Secure" } else { "" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}", cookie_name(behind_tls))
}

/// Takes the session's cookie away.
#[must_use]
pub fn no_cookie(behind_tls: bool) -> String {
    format!("{}; Max-Age=0", cookie("", behind_tls))
}

/// The value of a cookie.
#[must_use]
pub fn read_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// How htmx asked, if it did.
#[derive(Debug, Clone, Default)]
pub struct Htmx {
    /// Is this a request for a fragment? (Not when the browser restores its history.)
    pub fragment: bool,
    /// Id of the element that will be replaced.
    pub target: String,
}

/// What every page needs to know of a request, signed in or not.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// Chosen colours, if any: `light` or `dark`.
    pub theme: Option<&'static str>,
    /// Path and query.
    pub path: String,
    /// htmx.
    pub htmx: Htmx,
}

impl Visit {
    /// Reads a request's head.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        let is = |name: &str| parts.headers.get(name).is_some_and(|value| value == "true");
        let target = parts.headers.get("hx-target").and_then(|value| value.to_str().ok());
        Self {
            theme: theme(read_cookie(&parts.headers, "aceso_theme").unwrap_or("")),
            path: parts.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
            htmx: Htmx {
                fragment: is("hx-request") && !is("hx-history-restore-request"),
                target: target.unwrap_or("").into(),
            },
        }
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// The colours of this name.
#[must_use]
pub fn theme(name: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|known| *known == name)
}

/// What the frame of a page knows of the ward.
#[derive(Clone)]
pub(crate) enum Ward {
    /// Nobody has asked: a page that refuses something reads nothing, and the stream brings the alarms.
    NotAsked,
    /// It could not be told: the page says so.
    Unknown,
    /// As it was when the request came.
    Known(Arc<Wall>),
}

/// A signed-in caller.
#[derive(Clone)]
pub struct Caller {
    /// The clinic's session.
    pub session: Session,
    /// Its token.
    pub token: String,
    /// The request.
    pub visit: Visit,
    /// The alarms of all beds, for a clinician's page.
    pub(crate) ward: Ward,
    /// Where the request comes from.
    pub(crate) place: Origin,
}

impl Caller {
    /// The same caller with the ward as it is now, for the frame of a page: another bed's alarm stands on
    /// every page of a clinician. Leaves the session's one entry for each patient.
    pub(crate) async fn with_ward(mut self, app: &App) -> Self {
        if self.session.role == Role::Clinician {
            let session = self.session.clone();
            let answer = app.ask(move |station, now_ms| station.wall(&session, now_ms)).await;
            self.ward = answer.and_then(Result::ok).map_or(Ward::Unknown, |wall| Ward::Known(Arc::new(wall)));
        }
        self
    }

    /// What forms of this session carry: derived from the token, which no page can read.
    #[must_use]
    pub fn csrf(&self) -> String {
        self.derived(b"aceso/page/v1/csrf")
    }

    /// What an address carries after something was done, so that only we can make a page say so.
    #[must_use]
    pub(crate) fn done(&self) -> String {
        let mut mark = self.derived(b"aceso/page/v1/done");
        mark.truncate(DONE_DIGITS);
        mark
    }

    /// Names the session to the pages of its browser, which share one stream and one sound.
    #[must_use]
    pub(crate) fn mark(&self) -> String {
        let mut mark = self.derived(b"aceso/page/v1/browser");
        mark.truncate(DONE_DIGITS);
        mark
    }

    fn derived(&self, label: &[u8]) -> String {
        hex::encode(vitals::ids::sha256(&[label, self.token.as_bytes()]))
    }
}

/// The session of a request, if it is alive.
pub(crate) async fn caller(parts: &Parts, app: &App) -> Option<Caller> {
    let token = read_cookie(&parts.headers, cookie_name(app.settings().behind_tls))?;
    if token.len() != TOKEN_DIGITS || !token.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let token = token.to_string();
    let asked = token.clone();
    let session = app.ask(move |station, now_ms| station.session(&asked, now_ms)).await?.ok()?;
    let (visit, ward) = (Visit::of(parts), Ward::NotAsked);
    let place = guard::place(&parts.extensions, &parts.headers, app.settings().behind_proxy);
    Some(Caller { session, token, visit, ward, place })
}

fn asks_for_stream(parts: &Parts) -> bool {
    parts.headers.get(header::ACCEPT).is_some_and(|value| value == "text/event-stream")
}

/// Sends somebody without a session to sign in, and back afterwards.
fn sign_in_first(app: &App, parts: &Parts) -> Response {
    let visit = Visit::of(parts);
    if parts.uri.path() == "/live" && asks_for_stream(parts) {
        return crate::live::signed_out();
    }
    if visit.htmx.fragment || asks_for_stream(parts) {
        let mut response = app.message_to(&visit, None, &Message::signed_out());
        response.headers_mut().insert("hx-redirect", HeaderValue::from_static("/sign-in"));
        return response;
    }
    let next: String = visit.path.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let short = next.len() <= guard::ADDRESS_BYTES_MAX / 2;
    let address = if parts.method == axum::http::Method::GET && short {
        format!("/sign-in?next={next}")
    } else {
        "/sign-in".into()
    };
    refused(Redirect::to(&address).into_response(), Reason::SignedOut)
}

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        match caller(parts, app).await {
            Some(caller) => Ok(caller),
            None => Err(Refusal::new(sign_in_first(app, parts))),
        }
    }
}

/// The path, if it stays on this site.
#[must_use]
pub fn local(path: &str) -> Option<&str> {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    (plain && HeaderValue::from_str(path).is_ok()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_followed() {
        assert_eq!(local("/wall"), Some("/wall"));
        assert_eq!(local("/patients/ab?range=1h"), Some("/patients/ab?range=1h"));
        for wrong in ["", "wall", "//evil", "https://evil", "/\\evil", "/a\nb", "/ü"] {
            assert_eq!(local(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; aceso=xyz; b=2"));
        assert_eq!(read_cookie(&headers, "aceso"), Some("xyz"));
        assert_eq!(read_cookie(&headers, "ace"), None);
    }

    #[test]
    fn the_cookie_stays_out_of_reach_of_scripts_and_other_sites() {
        assert_eq!(cookie("t", false), "aceso=t; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(cookie("t", true), "__Host-aceso=t; Path=/; HttpOnly; SameSite=Strict; Secure");
    }
}
