//! Who is asking: the one extractor of callers. A browser names its session by a cookie, a program by
//! `Authorization: Bearer TOKEN`. Every page but sign-in, help and health takes a [`Caller`], so that a handler
//! cannot forget to ask.

use crate::app::App;
use crate::client_address;
use crate::error::Error;
use crate::visit::{Visit, read_cookie};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
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

/// How a request names its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Sent by a browser with every request, also with one that another site caused: a post needs a token as well.
    Cookie,
    /// Sent by a program on purpose.
    Bearer,
}

/// The token of a request's session, and how it came. A bearer token counts alone: where it is wrong, a cookie
/// beside it is not tried.
fn token(headers: &HeaderMap, behind_tls: bool) -> Option<(Credential, &str)> {
    let authorization =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (scheme, said) = authorization.split_once(' ').unwrap_or_default();
    let (credential, token) = if scheme.eq_ignore_ascii_case("Bearer") {
        (Credential::Bearer, said.trim())
    } else {
        (Credential::Cookie, read_cookie(headers, cookie_name(behind_tls))?)
    };
    let is_token = token.len() == TOKEN_DIGITS && token.bytes().all(|c| c.is_ascii_hexdigit());
    is_token.then_some((credential, token))
}

/// What the layout of a page knows of the ward.
#[derive(Clone)]
pub(crate) enum Ward {
    /// Not read: a page that shows nothing but a refusal reads nothing, and the live stream brings the alarms.
    NotAsked,
    /// It could not be read: the page says so.
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
    pub(crate) credential: Credential,
    /// The alarms of all beds, for a clinician's page.
    pub(crate) ward: Ward,
    /// The network the request comes from.
    pub(crate) origin: Origin,
}

impl Caller {
    /// The living session of a request, if there is one. Renews its idle time.
    pub(crate) async fn of(parts: &Parts, app: &App) -> Option<Self> {
        let (credential, token) = token(&parts.headers, app.settings().behind_tls)?;
        let (token, asked) = (token.to_string(), token.to_string());
        let session = app.run(move |clinic, now_ms| clinic.session(&asked, now_ms)).await.ok()?.ok()?;
        let origin = client_address::origin(&parts.extensions, &parts.headers, app.settings().behind_proxy);
        Some(Self { session, token, visit: Visit::of(parts), credential, ward: Ward::NotAsked, origin })
    }

    /// The same caller with the ward as it is now, for the layout of a page: another bed's alarm stands on
    /// every page of a clinician. Leaves the session's one access entry for each patient.
    pub(crate) async fn with_ward(mut self, app: &App) -> Self {
        if self.session.role == Role::Clinician {
            let session = self.session.clone();
            let wall = app.ask(move |clinic, now_ms| clinic.wall(&session, now_ms)).await;
            self.ward = wall.map_or(Ward::Unknown, |wall| Ward::Known(Arc::new(wall)));
        }
        self
    }

    /// What forms of this session carry: derived from the token, which no page can read.
    #[must_use]
    pub fn csrf(&self) -> String {
        self.derived(b"aceso/page/v1/csrf")
    }

    /// What the address carries that the caller is sent to after something was done: only this server can make a page
    /// say so, and only once.
    #[must_use]
    pub(crate) fn done(&self, app: &App) -> String {
        let number = app.notices().number().to_be_bytes();
        let mut mark = self.derived(&[b"aceso/page/v1/done/".as_slice(), &number].concat());
        mark.truncate(DONE_DIGITS);
        app.notices().put(self.browser_mark(), mark.clone());
        mark
    }

    /// Does this mark stand for something that was done, and that no page has said yet?
    #[must_use]
    pub(crate) fn was_done(&self, app: &App, mark: &str) -> bool {
        app.notices().take(&self.browser_mark(), mark)
    }

    /// Names the session for the pages of its browser, which share one stream and one sound.
    #[must_use]
    pub(crate) fn browser_mark(&self) -> String {
        let mut mark = self.derived(b"aceso/page/v1/browser");
        mark.truncate(DONE_DIGITS);
        mark
    }

    fn derived(&self, label: &[u8]) -> String {
        hex::encode(vitals::ids::sha256(&[label, self.token.as_bytes()]))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Self::of(parts, app).await.ok_or_else(Error::signed_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_cookie_stays_out_of_reach_of_scripts_and_other_sites() {
        assert_eq!(cookie("t", false), "aceso=t; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(cookie("t", true), "__Host-aceso=t; Path=/; HttpOnly; SameSite=Strict; Secure");
    }

    #[test]
    fn a_bearer_token_counts_alone_and_other_schemes_leave_the_cookie() {
        let (one, two) = ("1".repeat(TOKEN_DIGITS), "2".repeat(TOKEN_DIGITS));
        let named = |authorization: &str| {
            let mut headers = HeaderMap::new();
            let cookie = HeaderValue::from_str(&format!("aceso={two}")).expect("plain text");
            headers.insert(header::COOKIE, cookie);
            if !authorization.is_empty() {
                let value = HeaderValue::from_str(authorization).expect("plain text");
                headers.insert(header::AUTHORIZATION, value);
            }
            token(&headers, false).map(|(credential, token)| (credential, token.to_string()))
        };
        assert_eq!(named(""), Some((Credential::Cookie, two.clone())));
        assert_eq!(named(&format!("bearer {one}")), Some((Credential::Bearer, one)));
        assert_eq!(named("Bearer wrong"), None);
        assert_eq!(named("Basic bGVlOnNlY3JldA=="), Some((Credential::Cookie, two)));
    }
}
