//! The nurses' station: everything the pages may ask of the clinic.
//!
//! The pages know no other way to a record. [`clinic::Clinic`] answers in a node; the made-up ward of
//! `examples/demo` answers from memory. Every question names the session, and
//! each answer is decided anew: a consent withdrawn a moment ago hides the record. Calls may wait
//! for a disk, so handlers make them off the event loop.

use clinic::views::{
    AccessView, AdminPage, AlarmRef, AlarmView, Chart, EnvelopeProof, GrantView, LedgerHealth, LiveEvent,
    OwnPage, Tile, UnwatchedBed, Wall,
};
use clinic::{
    ChartRequest, ClinicError, Counters, Denied, LimitsOrder, Origin, Session, SignInRefused, Ticket,
};
use futures::future::BoxFuture;
use std::sync::Arc;
use vitals::alarm::Condition;
use vitals::explorer::{Block, BlockQuery, Blocks, Governance, Transaction};
use vitals::governance::Motion;
use vitals::ids::{Class, Hash};
use vitals::ledger::Purpose;
use vitals::metric::Metric;
use vitals::{DeviceId, Genesis, GrantId, OrgId, PatientId};

/// What the pages may ask; each method is the clinic's of the same name.
pub trait Station: Send + Sync + 'static {
    /// The name of the ledger this node belongs to.
    fn genesis(&self) -> Genesis;
    /// The organisation this node belongs to.
    fn org(&self) -> OrgId;
    /// Starts a session and gives its token, 64 hex digits. Slow on purpose.
    fn sign_in(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(String, Session), SignInRefused>;
    /// Ends a session; an unknown token is fine.
    fn sign_out(&self, token: &str);
    /// The living session of a token; renews its idle time.
    fn session(&self, token: &str, now_ms: u64) -> Result<Session, Denied>;
    /// Somebody opened a patient's page.
    fn record_opened(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied>;
    /// Somebody uses a patient's open page: its live stream goes on.
    fn record_used(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied>;
    /// The wall, after one access entry per patient and session.
    fn wall(&self, session: &Session, now_ms: u64) -> Result<Wall, ClinicError>;
    /// Does this patient stand on the session's wall? Shows nothing, and leaves no entry.
    fn may_watch(&self, session: &Session, patient: PatientId, now_ms: u64) -> bool;
    /// Opens a record; its access entry is durable first.
    fn open_chart(
        &self,
        session: &Session,
        request: &ChartRequest,
        now_ms: u64,
    ) -> Result<Chart, ClinicError>;
    /// The patient's own page.
    fn own_page(&self, session: &Session, now_ms: u64) -> Result<OwnPage, ClinicError>;
    /// The patient's own record.
    fn own_chart(
        &self,
        session: &Session,
        classes: &[Class],
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> Result<Chart, ClinicError>;
    /// Who read the patient's own record.
    fn access_log(&self, session: &Session, now_ms: u64) -> Result<Vec<AccessView>, ClinicError>;
    /// What is proven about the envelope with this index in the log.
    fn proof_page(&self, session: &Session, index: u64, now_ms: u64) -> Result<EnvelopeProof, ClinicError>;
    /// The administrator's page.
    fn admin_page(&self, session: &Session, now_ms: u64) -> Result<AdminPage, ClinicError>;
    /// Blocks of the ledger, newest first.
    fn ledger_blocks(
        &self,
        session: &Session,
        asked: &BlockQuery,
        now_ms: u64,
    ) -> Result<Blocks, ClinicError>;
    /// One block with its transactions from the `first` on.
    fn ledger_block(
        &self,
        session: &Session,
        height: u64,
        first: usize,
        now_ms: u64,
    ) -> Result<Option<Block>, ClinicError>;
    /// One transaction of the ledger.
    fn ledger_transaction(
        &self,
        session: &Session,
        id: &Hash,
        now_ms: u64,
    ) -> Result<Option<Transaction>, ClinicError>;
    /// The digest of the header at a height.
    fn ledger_head(&self, session: &Session, height: u64, now_ms: u64) -> Result<Option<Hash>, ClinicError>;
    /// Who agrees on blocks.
    fn ledger_governance(&self, session: &Session, now_ms: u64) -> Result<Governance, ClinicError>;
    /// May this session propose changes of validators and vote on them?
    fn may_govern(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError>;
    /// Proposes a change of validators.
    fn propose(&self, session: &Session, motion: Motion, now_ms: u64) -> Result<Ticket, ClinicError>;
    /// Votes for a proposal.
    fn vote(&self, session: &Session, proposal: u64, now_ms: u64) -> Result<Ticket, ClinicError>;
    /// The node's view of the ledger.
    fn health(&self, now_ms: u64) -> LedgerHealth;
    /// What was counted since the node started.
    fn counters(&self) -> Counters;
    /// Answers an alarm.
    fn acknowledge(
        &self,
        session: &Session,
        patient: PatientId,
        alarm: AlarmRef,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError>;
    /// Answers for all silent beds behind a gateway.
    fn acknowledge_gateway(
        &self,
        session: &Session,
        gateway: DeviceId,
        now_ms: u64,
    ) -> Result<usize, ClinicError>;
    /// Turns an alarm's sound off for a while.
    fn silence(
        &self,
        session: &Session,
        patient: PatientId,
        alarm: AlarmRef,
        for_ms: u64,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError>;
    /// Turns an alarm's sound on again before its silence is over.
    fn end_silence(
        &self,
        session: &Session,
        patient: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError>;
    /// The beds that send data and that nobody watches.
    fn unwatched_beds(&self, session: &Session, now_ms: u64) -> Result<Vec<UnwatchedBed>, ClinicError>;
    /// Answers for a bed that nobody watches, with a reason.
    fn end_unwatched(
        &self,
        session: &Session,
        patient: PatientId,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError>;
    /// Changes the limits of one metric.
    fn set_limits(
        &self,
        session: &Session,
        patient: PatientId,
        order: &LimitsOrder,
        now_ms: u64,
    ) -> Result<(), ClinicError>;
    /// Ends a change of limits for a while before its time.
    fn limits_back(
        &self,
        session: &Session,
        patient: PatientId,
        metric: Metric,
        now_ms: u64,
    ) -> Result<(), ClinicError>;
    /// Writes a bundle of the patient's own record, for checking offline.
    fn export_own(
        &self,
        session: &Session,
        now_ms: u64,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ClinicError>;
    /// Withdraws one of the patient's own consents.
    fn revoke_grant(&self, session: &Session, grant: GrantId, now_ms: u64) -> Result<Ticket, ClinicError>;
    /// The patient's own consents; opens nothing of the record.
    fn own_consents(&self, session: &Session, now_ms: u64) -> Result<Vec<GrantView>, ClinicError>;
    /// Nobody watches the patient for so long, milliseconds.
    fn pause_watching(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<(), ClinicError>;
    /// Ends a pause before its time.
    fn resume_watching(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError>;
    /// Lets the ward watch the patient for so long from now on, milliseconds.
    fn let_ward_watch(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<Ticket, ClinicError>;
    /// Follows the wall.
    fn follow_wall(&self, session: &Session, now_ms: u64) -> Result<Box<dyn Following>, ClinicError>;
    /// Follows one record.
    fn follow_patient(
        &self,
        session: &Session,
        patient: PatientId,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<Box<dyn Following>, ClinicError>;
}

/// A live stream that hands out only what its session may see, decided whenever something is taken.
pub trait Following: Send {
    /// Waits until something may have happened. Decides nothing, takes no lock; may be given up.
    fn wait(&mut self) -> BoxFuture<'_, ()>;
    /// What happened since; an error means: say why, and close.
    fn take(&mut self, now_ms: u64) -> Result<Vec<Arc<LiveEvent>>, Denied>;
    /// A patient's tile as it is now.
    fn tile(&self, patient: PatientId, now_ms: u64) -> Result<Tile, Denied>;
    /// Everybody this stream shows, as they are now.
    fn wall(&self, now_ms: u64) -> Wall;
}
