//! Consents: what a patient allows, and the one decision that every exit passes.

mod asking;
mod closed;
mod consent_pauses;
mod decide;
mod given;
mod giving;
mod grant_refusal;
mod grants;
mod pauses;
mod pausing;
pub(crate) mod policy;
mod policy_answers;
mod policy_calls;
mod replacing;
mod request;
mod seen_as;
mod views;
mod withdrawals;
mod withdrawing;

pub use asking::{ASK_AGAIN_MS, ASK_FOR_MS_MAX, AskForConsent, AskState, AskView};
pub(crate) use closed::OpenConsents;
pub(crate) use given::GivenConsents;
pub use giving::{ConsentPreview, ConsentWish, Given};
pub use grant_refusal::{GRANTS_OPEN_MAX, GrantField, GrantRefusal};
pub use grants::{GRANT_MS_MAX, GrantRequest, RELAY_MS};
pub(crate) use pauses::Pauses;
pub use pauses::{PAUSE_MS_MAX, PauseView};
pub use pausing::PAUSE_MS_MIN;
pub(crate) use policy_answers::PolicyBook;
pub use policy_answers::{POLICY_ANSWER_MS_MAX, POLICY_ASKED_EVERY_MS, POLICY_RETRY_MS};
pub use request::MONITORED;
pub(crate) use request::{AccessRequest, Allowed, each_once};
pub use seen_as::{Reach, SeenAs, SeenClass};
pub use views::{GrantState, GrantView};
pub use withdrawals::LATE_BLOCKS;
pub(crate) use withdrawals::Withdrawals;
