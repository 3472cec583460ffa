//! The cookie of a sign-in that waits for its code. It is no session, and no page but `/sign-in/code` reads it.

use crate::visit::read_cookie;
use axum::http::HeaderMap;

/// Hex digits of its token.
const DIGITS: usize = 64;

fn name(behind_tls: bool) -> &'static str {
    if behind_tls { "__Host-aceso_step" } else { "aceso_step" }
}

/// The cookie, to be set. The clinic ends what it names after five minutes.
pub(crate) fn cookie(token: &str, behind_tls: bool) -> String {
    let secure = if behind_tls { "; Secure" } else { "" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}", name(behind_tls))
}

/// Takes it away.
pub(crate) fn none(behind_tls: bool) -> String {
    format!("{}; Max-Age=0", cookie("", behind_tls))
}

/// The token of the request, if it has one.
pub(crate) fn token(headers: &HeaderMap, behind_tls: bool) -> Option<String> {
    let value = read_cookie(headers, name(behind_tls))?;
    (value.len() == DIGITS && value.bytes().all(|c| c.is_ascii_hexdigit())).then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::headers;

    #[test]
    fn it_stays_out_of_reach_of_scripts_and_other_sites_and_is_read_back() {
        assert_eq!(cookie("t", false), "aceso_step=t; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(cookie("t", true), "__Host-aceso_step=t; Path=/; HttpOnly; SameSite=Strict; Secure");
        let held = "1".repeat(DIGITS);
        let with = |text: &str| headers(&[("cookie", text)]);
        assert_eq!(token(&with(&format!("aceso_step={held}")), false), Some(held.clone()));
        assert_eq!(token(&with(&format!("aceso_step={held}")), true), None);
        assert_eq!(token(&with("aceso_step="), false), None);
    }
}
