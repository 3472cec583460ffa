//! Accounts: who may sign in, who is signed in, and how often somebody may guess a password.

mod login_throttle;
mod people;
mod sessions;
mod sign_in;

pub(crate) use login_throttle::LoginThrottle;
pub use login_throttle::{PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX, SignInRefused};
pub use people::NewPerson;
pub(crate) use sessions::Sessions;
pub use sessions::{ABSOLUTE_MS, IDLE_MS, SESSIONS_MAX, Session, Token};
