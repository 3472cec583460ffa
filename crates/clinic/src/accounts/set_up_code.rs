//! The code with which the first administrator of a new node is made, by its hash. Owns its lock.

use parking_lot::Mutex;
use vitals::ids::{Hash, sha256};

/// Digits that are not mistaken for one another (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of a code: 100 bits.
const CODE_DIGITS: usize = 20;
/// After so many digits stands a dash.
const GROUP_DIGITS: usize = 5;
/// The code of this start; none before one is made, and once it is used.
#[derive(Default)]
pub(crate) struct SetUpCode(Mutex<Option<Hash>>);

/// The hash of a code however it is typed: small letters, dashes and blanks, `O` for `0`, `I` or `L` for `1`.
fn hash_of(code: &str) -> Hash {
    let typed = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let digits = typed.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    });
    sha256(&[b"aceso/set-up/v1", digits.collect::<String>().as_bytes()])
}

impl SetUpCode {
    /// A new code; the one before is none any more.
    pub(super) fn renew(&self, random: &[u8; CODE_DIGITS]) -> String {
        let digits: Vec<char> =
            random.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect();
        let groups: Vec<String> = digits.chunks(GROUP_DIGITS).map(|group| group.iter().collect()).collect();
        let code = groups.join("-");
        *self.0.lock() = Some(hash_of(&code));
        code
    }

    pub(super) fn is_right(&self, code: &str) -> bool {
        *self.0.lock() == Some(hash_of(code))
    }

    /// Used: no code is right any more.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        for typed in ["01ABC-DEFGH", "o1abc defgh", " OLABCDEFGH ", "0I-ABC-DEF-GH"] {
            assert_eq!(hash_of(typed), hash_of("01ABCDEFGH"), "{typed}");
        }
        assert_ne!(hash_of("01ABCDEFGJ"), hash_of("01ABCDEFGH"));
    }
}
