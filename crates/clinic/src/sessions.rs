//! Who is signed in. A token is 32 random bytes, known to the browser and stored only as a hash;
//! a session ends after idling or after a shift, whichever comes first.

use vitals::ledger::Role;
use vitals::{PatientId, PersonId};
use zeroize::Zeroize;

/// A session ends after this long without a request.
pub const IDLE_MS: u64 = 15 * 60_000;
/// A session ends after this long in any case.
pub const ABSOLUTE_MS: u64 = 12 * 3_600_000;
/// Most sessions at once; the one idle longest makes room.
pub const SESSIONS_MAX: usize = 4096;
/// Wrong passwords a login may try before it has to wait.
pub const TRIES_MAX: u32 = 5;
/// How long it waits after that, milliseconds; doubled with each further wrong password.
pub const WAIT_MS: u64 = 30_000;
/// The longest wait, milliseconds.
pub const WAIT_MAX_MS: u64 = 15 * 60_000;

/// What the browser holds: 64 hex digits. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl Token {
    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// A signed-in person.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session in access entries. Not the token.
    pub id: [u8; 16],
    /// The person on the ledger.
    pub person: PersonId,
    /// Sign-in name.
    pub login: String,
    /// Name, as it will stand in access entries.
    pub name: String,
    /// Role.
    pub role: Role,
    /// The own record, for a patient's session.
    pub patient: Option<PatientId>,
    /// Ends without a further request at this time, milliseconds.
    pub idle_until_ms: u64,
    /// Ends in any case at this time, milliseconds.
    pub until_ms: u64,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Session")
    }
}

/// Why nobody was signed in. It never tells whether the login exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefused {
    /// Wrong login or password.
    #[error("the login or the password is wrong")]
    Wrong,
    /// Too many wrong tries.
    #[error("too many wrong tries: wait {wait_s} s and try again")]
    Wait {
        /// Seconds to wait.
        wait_s: u64,
    },
    /// The vault could not be asked.
    #[error("signing in does not work right now: the vault does not answer")]
    Unavailable,
}
