//! What every page needs to know of a request, signed in or not: colours, address, how htmx asked; and cookies.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

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

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// The colours of this name.
#[must_use]
pub fn theme(name: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|known| *known == name)
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

/// The path, if it stays on this site.
#[must_use]
pub fn local_path(path: &str) -> Option<&str> {
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
        assert_eq!(local_path("/wall"), Some("/wall"));
        assert_eq!(local_path("/patients/ab?range=1h"), Some("/patients/ab?range=1h"));
        for wrong in ["", "wall", "//evil", "https://evil", "/\\evil", "/a\nb", "/ü"] {
            assert_eq!(local_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; aceso=xyz; b=2"));
        assert_eq!(read_cookie(&headers, "aceso"), Some("xyz"));
        assert_eq!(read_cookie(&headers, "ace"), None);
    }
}
