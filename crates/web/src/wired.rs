//! The real clinic as the pages' station: every answer is the clinic's own.

use crate::station::{Following, Station};
use crate::{App, Clock, Settings};
use clinic::views::{
    AccessView, AdminPage, AlarmRef, AlarmView, Chart, EnvelopeProof, GrantView, LedgerHealth, LiveEvent,
    OwnPage, Tile, UnwatchedBed, Wall,
};
use clinic::{
    ChartRequest, Clinic, ClinicError, Counters, Denied, LimitsOrder, Origin, Scope, Session, SignInRefused,
    Subscription, Ticket,
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

/// A clinic behind pages.
struct Wired(Arc<Clinic>);

impl App {
    /// The pages of this clinic.
    #[must_use]
    pub fn of_clinic(clinic: Arc<Clinic>, clock: Clock, settings: Settings) -> Self {
        Self::new(Arc::new(Wired(clinic)), clock, settings)
    }
}

impl Station for Wired {
    fn genesis(&self) -> Genesis {
        self.0.genesis()
    }

    fn org(&self) -> OrgId {
        self.0.org()
    }

    fn sign_in(
        &self,
        from: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(String, Session), SignInRefused> {
        let (token, session) = self.0.sign_in_from(from, login, password, now_ms)?;
        Ok((token.expose().to_string(), session))
    }

    fn sign_out(&self, token: &str) {
        self.0.sign_out(token);
    }

    fn session(&self, token: &str, now_ms: u64) -> Result<Session, Denied> {
        self.0.session(token, now_ms)
    }

    fn record_opened(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        self.0.record_opened(session, patient, now_ms)
    }

    fn record_used(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        self.0.record_used(session, patient, now_ms)
    }

    fn may_watch(&self, session: &Session, patient: PatientId, now_ms: u64) -> bool {
        self.0.may_watch(session, patient, now_ms)
    }

    fn wall(&self, session: &Session, now_ms: u64) -> Result<Wall, ClinicError> {
        self.0.wall(session, now_ms)
    }

    fn open_chart(
        &self,
        session: &Session,
        request: &ChartRequest,
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        self.0.open_chart(session, request, now_ms)
    }

    fn own_page(&self, session: &Session, now_ms: u64) -> Result<OwnPage, ClinicError> {
        self.0.own_page(session, now_ms)
    }

    fn own_chart(
        &self,
        session: &Session,
        classes: &[Class],
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        self.0.own_chart(session, classes, span_ms, now_ms)
    }

    fn access_log(&self, session: &Session, now_ms: u64) -> Result<Vec<AccessView>, ClinicError> {
        self.0.access_log(session, now_ms)
    }

    fn proof_page(&self, session: &Session, index: u64, now_ms: u64) -> Result<EnvelopeProof, ClinicError> {
        self.0.proof_page(session, index, now_ms)
    }

    fn admin_page(&self, session: &Session, now_ms: u64) -> Result<AdminPage, ClinicError> {
        self.0.admin_page(session, now_ms)
    }

    fn ledger_blocks(
        &self,
        session: &Session,
        asked: &BlockQuery,
        now_ms: u64,
    ) -> Result<Blocks, ClinicError> {
        self.0.ledger_blocks(session, asked, now_ms)
    }

    fn ledger_block(
        &self,
        session: &Session,
        height: u64,
        first: usize,
        now_ms: u64,
    ) -> Result<Option<Block>, ClinicError> {
        self.0.ledger_block(session, height, first, now_ms)
    }

    fn ledger_transaction(
        &self,
        session: &Session,
        id: &Hash,
        now_ms: u64,
    ) -> Result<Option<Transaction>, ClinicError> {
        self.0.ledger_transaction(session, id, now_ms)
    }

    fn ledger_head(&self, session: &Session, height: u64, now_ms: u64) -> Result<Option<Hash>, ClinicError> {
        self.0.ledger_head(session, height, now_ms)
    }

    fn ledger_governance(&self, session: &Session, now_ms: u64) -> Result<Governance, ClinicError> {
        self.0.ledger_governance(session, now_ms)
    }

    fn may_govern(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.0.may_govern(session, now_ms)
    }

    fn propose(&self, session: &Session, motion: Motion, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.0.propose(session, motion, now_ms)
    }

    fn vote(&self, session: &Session, proposal: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.0.vote(session, proposal, now_ms)
    }

    fn health(&self, now_ms: u64) -> LedgerHealth {
        self.0.health(now_ms)
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }

    fn acknowledge(
        &self,
        session: &Session,
        patient: PatientId,
        alarm: AlarmRef,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.0.acknowledge(session, patient, alarm, now_ms)
    }

    fn acknowledge_gateway(
        &self,
        session: &Session,
        gateway: DeviceId,
        now_ms: u64,
    ) -> Result<usize, ClinicError> {
        self.0.acknowledge_gateway(session, gateway, now_ms)
    }

    fn silence(
        &self,
        session: &Session,
        patient: PatientId,
        alarm: AlarmRef,
        for_ms: u64,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.0.silence(session, patient, alarm, for_ms, now_ms)
    }

    fn end_silence(
        &self,
        session: &Session,
        patient: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.0.end_silence(session, patient, condition, now_ms)
    }

    fn set_limits(
        &self,
        session: &Session,
        patient: PatientId,
        order: &LimitsOrder,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.0.set_limits(session, patient, order, now_ms)
    }

    fn limits_back(
        &self,
        session: &Session,
        patient: PatientId,
        metric: Metric,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.0.limits_back(session, patient, metric, now_ms)
    }

    fn unwatched_beds(&self, session: &Session, now_ms: u64) -> Result<Vec<UnwatchedBed>, ClinicError> {
        self.0.unwatched_beds(session, now_ms)
    }

    fn end_unwatched(
        &self,
        session: &Session,
        patient: PatientId,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        self.0.end_unwatched(session, patient, reason, now_ms)
    }

    fn export_own(
        &self,
        session: &Session,
        now_ms: u64,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ClinicError> {
        let own = session.patient.ok_or(Denied::Role { role: session.role })?;
        self.0.export(session, Scope::Patient(own), now_ms, sink)?;
        Ok(())
    }

    fn revoke_grant(&self, session: &Session, grant: GrantId, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.0.revoke_grant(session, grant, now_ms)
    }

    fn own_consents(&self, session: &Session, now_ms: u64) -> Result<Vec<GrantView>, ClinicError> {
        self.0.own_consents(session, now_ms)
    }

    fn pause_watching(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<(), ClinicError> {
        self.0.pause_watching(session, for_ms, now_ms)
    }

    fn resume_watching(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.0.resume_watching(session, now_ms)
    }

    fn let_ward_watch(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.0.let_ward_watch(session, for_ms, now_ms)
    }

    fn follow_wall(&self, session: &Session, now_ms: u64) -> Result<Box<dyn Following>, ClinicError> {
        Ok(Box::new(self.0.follow_wall(session, now_ms)?))
    }

    fn follow_patient(
        &self,
        session: &Session,
        patient: PatientId,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<Box<dyn Following>, ClinicError> {
        Ok(Box::new(self.0.follow_patient(session, patient, purpose, now_ms)?))
    }
}

impl Following for Subscription {
    fn wait(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Self::wait(self))
    }

    fn take(&mut self, now_ms: u64) -> Result<Vec<Arc<LiveEvent>>, Denied> {
        Self::take(self, now_ms)
    }

    fn tile(&self, patient: PatientId, now_ms: u64) -> Result<Tile, Denied> {
        Self::tile(self, patient, now_ms)
    }

    fn wall(&self, now_ms: u64) -> Wall {
        Self::wall(self, now_ms)
    }
}
