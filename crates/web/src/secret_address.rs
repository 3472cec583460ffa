//! Addresses that hold the secret of a one-time link. No page sends such an address on to anybody, as a `Referer` or
//! otherwise, and nothing logs it.
//!
//! A page with `Referrer-Policy: no-referrer` posts its form with `Origin: null`, as a page of another site may. So it
//! proves with a cookie that it is ours: no other site can make a browser send that (`SameSite=Strict`), or read it.

use crate::app::App;
use crate::visit::read_cookie;
use axum::http::HeaderMap;
use subtle::ConstantTimeEq;

/// How these addresses begin.
const PREFIXES: [&str; 2] = ["/invitations/", "/passwords/"];
/// Hex digits of the cookie.
const DIGITS: usize = 32;

/// Does the address hold a secret?
pub(crate) fn holds_secret(path: &str) -> bool {
    PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

fn cookie_name(behind_tls: bool) -> &'static str {
    if behind_tls { "__Host-aceso_page" } else { "aceso_page" }
}

fn held(headers: &HeaderMap, behind_tls: bool) -> Option<&str> {
    let value = read_cookie(headers, cookie_name(behind_tls))?;
    (value.len() == DIGITS && value.bytes().all(|c| c.is_ascii_hexdigit())).then_some(value)
}

fn mark_of(value: &str) -> String {
    hex::encode(vitals::ids::sha256(&[b"aceso/page/v1/link", value.as_bytes()]))
}

/// What the form of such a page carries, and the cookie to be set with it.
pub(crate) struct PageMark {
    pub(crate) mark: String,
    pub(crate) cookie: String,
}

impl PageMark {
    /// The browser's own, or a fresh one.
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Self {
        let behind_tls = app.settings().behind_tls;
        let value = match held(headers, behind_tls) {
            Some(value) => value.to_string(),
            None => hex::encode(app.clinic().vault().random::<{ DIGITS / 2 }>()),
        };
        let secure = if behind_tls { "; Secure" } else { "" };
        let cookie =
            format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}", cookie_name(behind_tls));
        Self { mark: mark_of(&value), cookie }
    }
}

/// Was this mark on a page of ours that this browser was given?
pub(crate) fn is_own_mark(headers: &HeaderMap, behind_tls: bool, mark: &str) -> bool {
    held(headers, behind_tls).is_some_and(|value| mark_of(value).as_bytes().ct_eq(mark.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::headers;

    #[test]
    fn a_mark_belongs_to_the_cookie_it_was_made_of() {
        let (one, two) = ("1".repeat(DIGITS), "2".repeat(DIGITS));
        let with = |value: &str| headers(&[("cookie", &format!("aceso_page={value}"))]);
        assert!(is_own_mark(&with(&one), false, &mark_of(&one)));
        assert!(!is_own_mark(&with(&two), false, &mark_of(&one)));
        assert!(!is_own_mark(&with(&one), true, &mark_of(&one)), "over TLS it has another name");
        assert!(
            !is_own_mark(&headers(&[]), false, &mark_of("")) && !is_own_mark(&with(""), false, &mark_of(""))
        );
    }
}
