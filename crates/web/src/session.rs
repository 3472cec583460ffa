//! Who is asking. Every page but sign-in, help and health takes a [`Caller`], so that a handler
//! cannot forget to ask.

use crate::App;
use crate::guard;
use crate::shell::{Message, Refusal};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use clinic::Session;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

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

/// A signed-in caller.
#[derive(Clone)]
pub struct Caller {
    /// The clinic's session.
    pub session: Session,
    /// Its token.
    pub token: String,
    /// The request.
    pub visit: Visit,
}

impl Caller {
    /// What forms of this session carry: derived from the token, which no page can read.
    #[must_use]
    pub fn csrf(&self) -> String {
        csrf(&self.token)
    }
}

fn csrf(token: &str) -> String {
    hex::encode(vitals::ids::sha256(&[b"aceso/page/v1/csrf", token.as_bytes()]))
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
    Some(Caller { session, token, visit: Visit::of(parts) })
}

/// Sends somebody without a session to sign in, and back afterwards.
fn sign_in_first(parts: &Parts) -> Response {
    let visit = Visit::of(parts);
    let streams = parts.headers.get(header::ACCEPT).is_some_and(|value| value == "text/event-stream");
    if streams {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if visit.htmx.fragment {
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", "/sign-in")]).into_response();
    }
    let next: String = visit.path.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let address = if parts.method == axum::http::Method::GET {
        format!("/sign-in?next={next}")
    } else {
        "/sign-in".into()
    };
    Redirect::to(&address).into_response()
}

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        match caller(parts, app).await {
            Some(caller) => Ok(caller),
            None => Err(Refusal::new(sign_in_first(parts))),
        }
    }
}

/// Fields of a posted form; the last one of a name wins.
pub type Fields = BTreeMap<String, String>;

/// Reads a form after making sure that one of our pages sent it.
pub(crate) async fn read_form(request: Request, app: &App) -> Result<Fields, Refusal> {
    if !guard::from_our_pages(request.headers()) {
        return Err(app.refusal(None, &Message::foreign()));
    }
    match axum::extract::Form::<Fields>::from_request(request, app).await {
        Ok(form) => Ok(form.0),
        Err(why) if why.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(app.refusal(None, &Message::too_long()))
        }
        Err(_) => {
            Err(app.refusal(None, &Message::wrong("This form could not be read. Nothing was changed.")))
        }
    }
}

/// A form posted by a signed-in caller from one of our own pages.
pub struct Posted {
    /// Who.
    pub caller: Caller,
    /// What.
    pub fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let fields = read_form(Request::from_parts(parts, body), app).await?;
        let sent = fields.get("csrf").map_or("", String::as_str);
        let wanted = caller.csrf();
        if sent.len() != wanted.len() || !bool::from(sent.as_bytes().ct_eq(wanted.as_bytes())) {
            return Err(app.refusal(Some(&caller), &Message::foreign()));
        }
        Ok(Self { caller, fields })
    }
}

impl Posted {
    /// A field, or nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Where to go afterwards: a path of ours that the form named, or `otherwise`.
    #[must_use]
    pub fn back(&self, otherwise: &str) -> Response {
        Redirect::to(local(self.field("back")).unwrap_or(otherwise)).into_response()
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
