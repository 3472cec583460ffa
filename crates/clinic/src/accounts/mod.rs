//! Accounts: who may sign in, who is signed in, and how often somebody may guess a password.

mod invitations;
mod login_throttle;
mod people;
mod people_page;
mod sessions;
mod set_up;
mod set_up_code;
mod sign_in;
mod suspensions;

pub use invitations::{
    Chosen, INVITATION_MS, InvitationView, InviteOutcome, InviteRequest, LOGIN_BYTES_MAX, LinkRefused,
    PASSWORD_BYTES_MAX,
};
pub(crate) use login_throttle::LoginThrottle;
pub use login_throttle::{PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX, SignInRefused};
pub use people::NewPerson;
pub use people_page::{EventLine, PersonLine, PersonPage, PersonState};
pub(crate) use sessions::Sessions;
pub use sessions::{ABSOLUTE_MS, IDLE_MS, SESSIONS_MAX, Session, SessionView, Token};
pub(crate) use set_up_code::SetUpCode;
pub use suspensions::PASSWORD_LINK_MS;
