//! Codes of an authenticator app: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds, which is what such
//! apps do whatever a key's address says.

use crate::secret::Entropy;
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a key: as many as SHA-1 gives (RFC 4226, section 4).
pub const TOTP_KEY_BYTES: usize = 20;
/// Length of a step, milliseconds.
const STEP_MS: u64 = 30_000;
/// Steps that a phone's clock may be early or late.
const STEPS_OFF_MAX: u64 = 1;
const DIGITS: usize = 6;

/// The key that an authenticator app and the vault share.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct TotpKey([u8; TOTP_KEY_BYTES]);

impl std::fmt::Debug for TotpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpKey(secret)")
    }
}

impl TotpKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; TOTP_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A random key.
    #[must_use]
    pub fn random(entropy: &Entropy) -> Self {
        let mut key = [0; TOTP_KEY_BYTES];
        entropy(&mut key);
        Self(key)
    }

    /// The bytes, to be shown to their owner or sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; TOTP_KEY_BYTES] {
        &self.0
    }

    /// RFC 4226, section 5.3, with this many digits (nine at most).
    fn digits_at(&self, step: u64, digits: usize) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[TOTP_KEY_BYTES - 1] & 15);
        let four = tag.as_ref()[at..at + 4].try_into().expect("at is 15 at most, and the tag has 20 bytes");
        let number =
            (u32::from_be_bytes(four) & 0x7fff_ffff) % 10_u32.pow(u32::try_from(digits).unwrap_or(9));
        format!("{number:0digits$}")
    }

    /// What an app shows at this time, milliseconds since 1970.
    #[must_use]
    pub fn code_at(&self, at_ms: u64) -> String {
        self.digits_at(at_ms / STEP_MS, DIGITS)
    }

    /// The step whose code this is, of those near `now_ms` and after `used`, the step of the last code that was taken:
    /// no code is taken twice (RFC 6238, section 5.2). Blanks in what was typed do not count.
    #[must_use]
    pub fn step_of(&self, typed: &str, used: Option<u64>, now_ms: u64) -> Option<u64> {
        let code: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
        let now = now_ms / STEP_MS;
        let mut found = None;
        // Every step is looked at, whichever fits.
        for step in now.saturating_sub(STEPS_OFF_MAX)..=now + STEPS_OFF_MAX {
            let fits: bool = self.digits_at(step, DIGITS).as_bytes().ct_eq(code.as_bytes()).into();
            if fits && used.is_none_or(|used| step > used) {
                found = Some(step);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_010_000;

    fn key() -> TotpKey {
        TotpKey::new(*b"12345678901234567890")
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, the lines of SHA-1.
        for (at_s, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(key().digits_at(at_s / 30, 8), code, "{at_s}");
            assert_eq!(key().code_at(at_s * 1000), code[2..], "{at_s}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_or_late_and_no_further() {
        let of = |ms: u64| key().step_of(&key().code_at(ms), None, NOW_MS);
        let now = NOW_MS / STEP_MS;
        assert_eq!(of(NOW_MS), Some(now));
        assert_eq!(of(NOW_MS - STEP_MS), Some(now - 1));
        assert_eq!(of(NOW_MS + STEP_MS), Some(now + 1));
        assert_eq!((of(NOW_MS - 2 * STEP_MS), of(NOW_MS + 2 * STEP_MS)), (None, None));
    }

    #[test]
    fn no_code_is_taken_twice_and_none_from_before_the_last_one() {
        let now = NOW_MS / STEP_MS;
        let with = |used| key().step_of(&key().code_at(NOW_MS), Some(used), NOW_MS);
        assert_eq!(with(now - 1), Some(now));
        assert_eq!((with(now), with(now + 1)), (None, None));
    }

    #[test]
    fn blanks_do_not_count_and_anything_else_is_wrong() {
        let code = key().code_at(NOW_MS);
        let spaced = format!(" {} {} ", &code[..3], &code[3..]);
        assert!(key().step_of(&spaced, None, NOW_MS).is_some());
        for wrong in ["", &code[..5], &format!("{code}0"), "abcdef", "٠٠٠٠٠٠"] {
            assert_eq!(key().step_of(wrong, None, NOW_MS), None, "{wrong}");
        }
        // At the beginning of time there is no step before.
        assert_eq!(key().step_of(&key().code_at(0), None, 0), Some(0));
    }
}
