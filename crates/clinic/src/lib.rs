//! The rules of Aceso, without sockets: what is admitted, who may open what, when an alarm is an
//! alarm. It sees the ledger only as [`vitals::ledger::Ledger`] and keys only through `vault`.
//!
//! Time is an argument (`now_ms`, milliseconds since 1970) everywhere.
//!
//! # How a page talks to the clinic
//!
//! ```text
//! sign_in(&self, login: &str, password: &str, now_ms) -> Result<(Token, Session), SignInRefused>   (slow on purpose: off the async threads)
//! sign_in_from(&self, from: Origin, login, password, now_ms) -> …                   the same from elsewhere: wrong tries make that place wait
//! session(&self, token: &str, now_ms) -> Result<Session, Denied>                    every request; renews the idle time
//! sign_out(&self, token: &str)
//!
//! wall(&self, &Session, now_ms) -> Result<Wall, ClinicError>
//! open_chart(&self, &Session, &ChartRequest, now_ms) -> Result<Chart, ClinicError>
//! own_page(&self, &Session, now_ms) -> Result<OwnPage, ClinicError>
//! own_chart(&self, &Session, classes: &[Class], span_ms: (u64, u64), now_ms) -> Result<Chart, ClinicError>
//! access_log(&self, &Session, now_ms) -> Result<Vec<AccessView>, ClinicError>       the patient's own
//! proof_page(&self, &Session, index: u64, now_ms) -> Result<EnvelopeProof, ClinicError>
//! admin_page(&self, &Session, now_ms) -> Result<AdminPage, ClinicError>
//! people(&self, &Session, now_ms) -> Result<Vec<PersonLine>, ClinicError>           and person_page for one of them
//! invite(&self, &Session, &InviteRequest, now_ms) -> Result<InviteOutcome, ClinicError>   a link, shown once; renew_invitation, withdraw_invitation
//! suspend(&self, &Session, PersonId, seen: u64, reason: &str, now_ms) -> Result<(), ClinicError>     and reinstate, offer_password, end_sessions
//! needs_set_up(&self) -> bool                                                        offer_set_up gives a new node's code, set_up takes it
//! open_invitation(&self, from: Origin, secret: &str, now_ms) -> Result<InvitationView, LinkRefused>     then accept_invitation, which signs in
//! ledger_blocks(&self, &Session, &BlockQuery, now_ms) -> Result<Blocks, ClinicError>     and ledger_block, ledger_transaction, ledger_governance
//! health(&self, now_ms) -> LedgerHealth
//! counters(&self) -> Counters
//!
//! follow_wall(&self: &Arc<Self>, &Session, now_ms) -> Result<Subscription, ClinicError>
//! follow_patient(&self: &Arc<Self>, &Session, PatientId, Purpose, now_ms) -> Result<Subscription, ClinicError>
//! Subscription::wait(&mut self)                                                           (async, cancel safe) something may have happened
//! Subscription::take(&mut self, now_ms) -> Result<Vec<Arc<LiveEvent>>, Denied>            then, and at every heartbeat; Err: say so and close the stream
//! Subscription::tile(&self, PatientId, now_ms) -> Result<Tile, Denied>                    after Changed, or to draw; Subscription::wall for all
//! record_opened(&self, &Session, PatientId, now_ms) -> Result<(), Denied>                    somebody opened the patient's page; record_used: still uses it
//!
//! acknowledge(&self, &Session, PatientId, Condition, now_ms) -> Result<AlarmView, ClinicError>
//! acknowledge_gateway(&self, &Session, DeviceId, now_ms) -> Result<usize, ClinicError>    all silent beds behind it
//! silence(&self, &Session, PatientId, Condition, for_ms, now_ms) -> Result<AlarmView, ClinicError>
//! end_silence(&self, &Session, PatientId, Condition, now_ms) -> Result<AlarmView, ClinicError>
//! set_limits(&self, &Session, PatientId, LimitsOrder, now_ms) -> Result<bool, ClinicError>    false: they were in force
//! limits_back(&self, &Session, PatientId, Metric, now_ms) -> Result<(), ClinicError>  an alarm is on again before its time
//! grant(&self, &Session, &GrantRequest, now_ms) -> Result<Ticket, ClinicError>              the patient's own consent
//! preview_consent(&self, &Session, &ConsentWish, classes: &[Class], now_ms) -> Result<ConsentPreview, ClinicError>   what it would mean
//! give_consent(&self, &Session, &ConsentWish, once: Hash, now_ms) -> Result<Given, ClinicError>    once, however often the form arrives
//! seen_as(&self, &Session, PersonId, classes: &[Class], now_ms) -> Result<SeenAs, ClinicError>     the own record as another sees it
//! ask_for_consent(&self, &Session, &AskForConsent, now_ms) -> Result<(), ClinicError>     a clinician asks; asks_by, asks_of, refuse_ask
//! revoke_grant(&self, &Session, GrantId, now_ms) -> Result<Ticket, ClinicError>
//! colleagues(&self, &Session, now_ms) -> Result<Vec<(PersonId, String, Role)>, ClinicError>   whom a patient may consent to
//! own_consents(&self, &Session, now_ms) -> Result<Vec<GrantView>, ClinicError>
//! pause_consent(&self, &Session, GrantId, now_ms) -> Result<(), ClinicError>              and resume_consent: at this organisation, at once
//! pause_watching(&self, &Session, for_ms, now_ms) -> Result<(), ClinicError>              and resume_watching(&self, &Session, now_ms)
//! let_ward_watch(&self, &Session, for_ms, now_ms) -> Result<Ticket, ClinicError>     the way back to being watched
//! settle(&self, &Ticket) -> Outcome
//! export(&self, &Session, Scope, now_ms, sink) -> Result<Exported, ClinicError>      a bundle for offline verification
//! ```
//!
//! # How a node drives it
//!
//! One thread calls [`Clinic::admit`] with a group of arrivals, sends answers and receipts, and wakes
//! another, which calls [`Clinic::attend`], [`Clinic::tick`] about four times a second and
//! [`Clinic::tend_anchors`] whenever the ledger's view moves, and sends what
//! [`Clinic::deliveries`] and [`Clinic::orders_due`] give. A third calls [`Clinic::refresh_policies`] about
//! once a second, which may wait for the ledger. [`Clinic::connected`] is told of every gateway that connects.

#[macro_use]
mod silent_debug;

mod access_traces;
mod accounts;
mod acts;
mod admin_page;
mod admission;
mod alarm_actions;
mod anchoring;
mod charts;
mod clinic;
mod consents;
mod errors;
mod export;
mod health;
mod ledger_clock;
mod ledger_queries;
mod monitoring;
mod observer;
mod pairing;
mod proof_page;
mod proposals;
mod stats;

/// What pages draw: plain read models, already decided upon. A view that exists has passed the decision on
/// consents and left its trace; nothing here reaches back into the record.
///
/// Views hold names and clinical values, so their `Debug` prints the type's name alone.
pub mod views {
    pub use crate::accounts::{EventLine, InvitationView, PersonLine, PersonPage, PersonState, SessionView};
    pub use crate::acts::PendingAct;
    pub use crate::admin_page::{AdminPage, DeviceRow, GATEWAY_SILENT_MS, GatewayCounts};
    pub use crate::anchoring::{EnvelopeRef, FinalSince, ProofState};
    pub use crate::charts::views::*;
    pub use crate::consents::{
        AskState, AskView, ConsentPreview, GrantState, GrantView, PauseView, Reach, SeenAs, SeenClass,
    };
    pub use crate::health::LedgerHealth;
    pub use crate::monitoring::LiveEvent;
    pub use crate::monitoring::views::*;
    pub use crate::proof_page::{AnchoredProof, EnvelopeProof};
}

pub use accounts::{
    ABSOLUTE_MS, Chosen, IDLE_MS, INVITATION_MS, InviteOutcome, InviteRequest, LOGIN_BYTES_MAX, LinkRefused,
    NewPerson, PASSWORD_BYTES_MAX, PASSWORD_HASHES_MAX, PASSWORD_HASHES_PER_ORIGIN_MAX, PASSWORD_LINK_MS,
    SESSIONS_MAX, Session, SignInRefused, Token,
};
pub use acts::{ACTS_MAX, Ticket};
pub use admission::{Answer, Arrival, Halted, MqttClass, Refusal, StrongKeys, Verdict};
pub use anchoring::Outgoing;
pub use charts::{ACCESS_SHOWN_MAX, ChartRequest, POINTS_MAX, SPAN_MAX_MS};
pub use clinic::Clinic;
pub use consents::policy::{CLOCK_SLACK_MS, VIEW_AGE_MAX_MS, purposes};
pub use consents::{
    ASK_AGAIN_MS, ASK_FOR_MS_MAX, AskForConsent, ConsentWish, GRANT_MS_MAX, GRANTS_OPEN_MAX, Given,
    GrantField, GrantRefusal, GrantRequest, LATE_BLOCKS, MONITORED, PAUSE_MS_MAX, PAUSE_MS_MIN,
    POLICY_ANSWER_MS_MAX, POLICY_ASKED_EVERY_MS, POLICY_RETRY_MS, RELAY_MS,
};
pub use errors::{ClinicError, Denied};
pub use export::{Exported, Scope};
pub use monitoring::{
    About, Announcements, LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LeasePlan, LimitsOrder, REASON_BYTES_MIN,
    RECENT_MS, STALE_MS, Subscription, WATCH_ENDS,
};
pub use observer::Observer;
pub use pairing::{MONITORING_GRANT_MS, Paired};
pub use stats::{Counters, LATENCY_CLASSES_MS, Latency, Unanswered};
pub use vault::{
    ASK_MS, ASKS_PER_CLINICIAN_MAX, AccountEvent, AskId, Entropy, MONITORING_BACK_MS, PASSWORD_CHARS_MIN,
};
pub use vitals::origin::Origin;
