//! Accounts: who may sign in, who is signed in, and how often somebody may guess a password.

mod app_set_ups;
mod authenticator_app;
mod challenges;
mod invitations;
mod login_throttle;
mod own_account;
mod passkeys;
mod people;
mod people_page;
mod second_step;
mod second_steps;
mod sessions;
mod set_up;
mod set_up_code;
mod sign_in;
mod suspensions;
mod typed_code;

pub(crate) use app_set_ups::AppSetUps;
pub use app_set_ups::{APP_SET_UP_MS, AppSetUp};
pub use authenticator_app::RecoveryCodes;
pub use challenges::CHALLENGE_MS;
pub(crate) use challenges::Challenges;
pub use invitations::{
    Chosen, INVITATION_MS, InvitationView, InviteOutcome, InviteRequest, LOGIN_BYTES_MAX, LinkRefused,
    PASSWORD_BYTES_MAX,
};
pub(crate) use login_throttle::LoginThrottle;
pub use login_throttle::{PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX, SignInRefused};
pub use own_account::OwnAccount;
pub use passkeys::{NewPasskey, PasskeyAnswer, PasskeyId, PasskeyLine, PasskeyRequest};
pub use people::NewPerson;
pub use people_page::{EventLine, PersonLine, PersonPage, PersonState};
pub use second_step::{SecondProof, SignInStep};
pub use second_steps::SECOND_STEP_MS;
pub(crate) use second_steps::SecondSteps;
pub(crate) use sessions::Sessions;
pub use sessions::{ABSOLUTE_MS, FRESH_MS, IDLE_MS, SESSIONS_MAX, Session, SessionView, Token};
pub(crate) use set_up_code::SetUpCode;
pub use suspensions::PASSWORD_LINK_MS;
