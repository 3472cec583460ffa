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
//! ledger_blocks(&self, &Session, &BlockQuery, now_ms) -> Result<Blocks, ClinicError>     and ledger_block, ledger_transaction, ledger_governance
//! health(&self, now_ms) -> LedgerHealth
//! counters(&self) -> Counters
//!
//! follow_wall(&self: &Arc<Self>, &Session, now_ms) -> Result<Follow, ClinicError>
//! follow_patient(&self: &Arc<Self>, &Session, PatientId, Purpose, now_ms) -> Result<Follow, ClinicError>
//! Follow::wait(&mut self)                                                           (async, cancel safe) something may have happened
//! Follow::take(&mut self, now_ms) -> Result<Vec<Arc<LiveEvent>>, Denied>            then, and at every heartbeat; Err: say so and close the stream
//! Follow::tile(&self, PatientId, now_ms) -> Result<Tile, Denied>                    after Changed, or to draw; Follow::wall for all
//! record_opened(&self, &Session, PatientId, now_ms) -> Result<(), Denied>                    somebody opened the patient's page; record_used: still uses it
//!
//! acknowledge(&self, &Session, PatientId, Condition, now_ms) -> Result<AlarmView, ClinicError>
//! acknowledge_gateway(&self, &Session, DeviceId, now_ms) -> Result<usize, ClinicError>    all silent beds behind it
//! silence(&self, &Session, PatientId, Condition, for_ms, now_ms) -> Result<AlarmView, ClinicError>
//! end_silence(&self, &Session, PatientId, Condition, now_ms) -> Result<AlarmView, ClinicError>
//! set_limits(&self, &Session, PatientId, LimitsOrder, now_ms) -> Result<(), ClinicError>
//! limits_back(&self, &Session, PatientId, Metric, now_ms) -> Result<(), ClinicError>  an alarm is on again before its time
//! grant(&self, &Session, &Wish, now_ms) -> Result<Ticket, ClinicError>              the patient's own consent
//! revoke_grant(&self, &Session, GrantId, now_ms) -> Result<Ticket, ClinicError>
//! colleagues(&self, &Session, now_ms) -> Result<Vec<(PersonId, String, Role)>, ClinicError>   whom a patient may consent to
//! own_consents(&self, &Session, now_ms) -> Result<Vec<GrantView>, ClinicError>
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

mod access;
pub mod admit;
pub mod anchors;
mod authorities;
pub mod charts;
mod clinic;
pub mod errors;
mod explorer;
pub mod export;
mod final_since;
mod follow;
mod monitoring;
mod observer;
mod office;
pub mod pairing;
mod pauses;
pub mod people;
pub mod policy;
pub mod policy_answers;
pub mod refusal;
mod registry;
pub mod sessions;
mod signatures;
pub mod stats;
pub mod tries;
pub mod views;
mod withdrawals;

pub use access::MONITORED;
pub use admit::{Answer, Arrival, Halted, Verdict};
pub use anchors::Outgoing;
pub use charts::ChartRequest;
pub use clinic::Clinic;
pub use errors::{ClinicError, Denied};
pub use export::{Exported, Scope};
pub use follow::Follow;
pub use monitoring::{
    ANNOUNCE_MS, About, LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LeasePlan, LimitsOrder, REASON_BYTES_MIN,
    RECENT_MS, STALE_MS,
};
pub use observer::Observer;
pub use pairing::{Paired, WATCH_ENDS_SOON_MS};
pub use pauses::{PAUSE_MS_MAX, PAUSE_MS_MIN};
pub use people::{NewPerson, Ticket, Wish};
pub use refusal::{MqttClass, Refusal};
pub use registry::StrongKeys;
pub use sessions::{IDLE_MS, Session, SignInRefused, Token};
pub use stats::{Counters, Latency};
pub use vault::{Entropy, MONITORING_BACK_MS};
pub use vitals::origin::Origin;
pub use withdrawals::LATE_BLOCKS;
