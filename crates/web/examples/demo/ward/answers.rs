//! What the demo answers to the pages.

use super::flow::Flow;
use super::*;

impl Demo {
    fn looker(session: &Session) -> Result<(), ClinicError> {
        match session.role {
            Role::Administrator | Role::Auditor => Ok(()),
            role => Err(Denied::Role { role }.into()),
        }
    }

    pub(super) fn wall_of(&self, now_ms: u64) -> Wall {
        let shown = if self.memory().revoked { 0 } else { BEDS.len() };
        let tiles: Vec<Tile> = (0..shown).map(|number| self.tile_of(number, now_ms)).collect();
        let mut strip: Vec<AlarmView> = tiles.iter().flat_map(|tile| tile.alarms.clone()).collect();
        let unwatched = self.unwatched(now_ms);
        strip.extend(unwatched.iter().filter_map(|bed| bed.alarm.clone()));
        strip.sort_by_key(AlarmView::urgency);
        let gateways = self.silent_gateways(&tiles);
        let (ledger, hidden) = (self.health(now_ms), Vec::new());
        Wall { tiles, strip, gateways, unwatched, hidden, unmonitored: 0, ledger, at_ms: now_ms }
    }

    fn halted(&self) -> bool {
        let file = self.alarm.as_ref().map(|file| file.with_extension("halt"));
        file.is_some_and(|file| file.exists())
    }
}

impl Station for Demo {
    fn genesis(&self) -> Genesis {
        Genesis(sha256(&[b"demo genesis"]))
    }

    fn org(&self) -> vitals::OrgId {
        super::ledger::org(0)
    }

    fn sign_in(
        &self,
        _: Origin,
        login: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<(String, Session), SignInRefused> {
        let mut memory = self.memory();
        if memory.tries >= 5 {
            return Err(SignInRefused::Wait { wait_s: 30 });
        }
        let Some((login, name, role)) =
            PEOPLE.iter().find(|person| person.0 == login && password == PASSWORD)
        else {
            memory.tries += 1;
            return Err(SignInRefused::Wrong);
        };
        let token = hex::encode(sha256(&[
            login.as_bytes(),
            &now_ms.to_be_bytes(),
            &memory.sessions.len().to_be_bytes(),
        ]));
        let session = Session {
            id: [1; 16],
            person: person(login),
            login: (*login).into(),
            name: (*name).into(),
            role: *role,
            patient: (*role == Role::Patient).then(|| patient(0)),
            idle_until_ms: now_ms + 900_000,
            until_ms: now_ms + 43_200_000,
        };
        memory.sessions.insert(token.clone(), session.clone());
        Ok((token, session))
    }

    fn sign_out(&self, token: &str) {
        self.memory().sessions.remove(token);
    }

    fn session(&self, token: &str, _: u64) -> Result<Session, Denied> {
        self.memory().sessions.get(token).cloned().ok_or(Denied::SignedOut)
    }

    fn wall(&self, session: &Session, now_ms: u64) -> Result<Wall, ClinicError> {
        Self::clinician(session)?;
        Ok(self.wall_of(now_ms))
    }

    fn may_watch(&self, session: &Session, wanted: PatientId, _: u64) -> bool {
        session.role == Role::Clinician && (0..BEDS.len()).any(|number| patient(number) == wanted)
    }

    fn record_opened(&self, session: &Session, wanted: PatientId, _: u64) -> Result<(), Denied> {
        let known = (0..BEDS.len()).any(|number| patient(number) == wanted);
        if known || session.patient == Some(wanted) { Ok(()) } else { Err(Denied::NoSuchPatient) }
    }

    fn record_used(&self, session: &Session, wanted: PatientId, now_ms: u64) -> Result<(), Denied> {
        self.record_opened(session, wanted, now_ms)
    }

    fn open_chart(
        &self,
        session: &Session,
        request: &ChartRequest,
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        let revoked = self.memory().revoked;
        let number = Self::number(session, request.patient, revoked)?;
        // One bed of the wall whose record this doctor may not open.
        if BEDS[number].1 == Mood::Medium && request.purpose == Purpose::Treatment {
            return Err(Denied::NoConsent.into());
        }
        Ok(self.record(number, request, session, now_ms))
    }

    fn own_page(&self, session: &Session, now_ms: u64) -> Result<OwnPage, ClinicError> {
        let Some(_) = session.patient else { return Err(Denied::Role { role: session.role }.into()) };
        let revoked = self.memory().revoked;
        let grant_to = |grantee: &str, purpose, classes: &[Class], id, state| GrantView {
            grant: id,
            grantee: grantee.into(),
            person: PersonId([7; 32]),
            purpose,
            classes: classes.to_vec(),
            from_ms: self.start_ms - 86_400_000,
            until_ms: self.start_ms + 90 * 86_400_000,
            state,
            late: false,
            vault_kept: true,
        };
        let watched = self.memory().watched_until_ms;
        let watch_state = if watched.is_some() { GrantState::Live } else { GrantState::Withdrawn };
        let state = if revoked { GrantState::Withdrawn } else { GrantState::Live };
        let care = [Class::Vitals, Class::Environment, Class::Alarms, Class::Profile];
        Ok(OwnPage {
            now: self.tile_of(0, now_ms),
            grants: vec![
                grant_to("Dr Lee Demo", Purpose::Treatment, &care, grant(), state),
                GrantView {
                    until_ms: watched.unwrap_or(self.start_ms),
                    ..grant_to("the ward's monitoring", Purpose::Monitoring, &care, watching(), watch_state)
                },
                grant_to("Sam Demo", Purpose::Family, &[Class::Vitals], GrantId([8; 32]), GrantState::Ended),
            ],
            pause: self.memory().pause,
            access: self.memory().access.clone(),
            trace: self.envelope(now_ms, now_ms),
            ledger: self.health(now_ms),
        })
    }

    fn own_chart(
        &self,
        session: &Session,
        classes: &[Class],
        span_ms: (u64, u64),
        now_ms: u64,
    ) -> Result<Chart, ClinicError> {
        let Some(own) = session.patient else { return Err(Denied::Role { role: session.role }.into()) };
        let request = ChartRequest {
            patient: own,
            purpose: Purpose::Own,
            classes: classes.to_vec(),
            span_ms,
            make_do: false,
        };
        self.open_chart(session, &request, now_ms)
    }

    fn access_log(&self, session: &Session, now_ms: u64) -> Result<Vec<AccessView>, ClinicError> {
        Ok(self.own_page(session, now_ms)?.access)
    }

    fn proof_page(&self, session: &Session, index: u64, now_ms: u64) -> Result<EnvelopeProof, ClinicError> {
        if session.role == Role::Administrator || index > self.index(now_ms) {
            return Err(Denied::NoSuchPatient.into());
        }
        let at_ms = self.start_ms.saturating_sub(86_400_000) + index / 4 * 1000;
        let envelope = self.envelope(at_ms, now_ms);
        Ok(EnvelopeProof {
            hash: envelope.hash,
            index,
            proof: envelope.proof,
            class: Class::Vitals,
            author: DeviceId([0x9c; 16]),
            seq: index / 4,
            span_ms: (at_ms, at_ms + 999),
            count: 2,
            bytes: 389,
            clock: ClockQuality::Synced,
            anchored: matches!(envelope.proof, ProofState::Final { .. }).then(|| AnchoredProof {
                size: index + 40,
                root: sha256(&[b"root"]),
                path: vec![[0; 32]; 17],
                height: 88_412,
                block: sha256(&[b"block"]),
                block_time_ms: now_ms - now_ms % 1000,
                since: Some(FinalSince { height: 88_398, time_ms: Some(at_ms + 2500) }),
                signers: vec![0],
            }),
            access: None,
        })
    }

    fn admin_page(&self, session: &Session, now_ms: u64) -> Result<AdminPage, ClinicError> {
        if session.role != Role::Administrator {
            return Err(Denied::Role { role: session.role }.into());
        }
        let device = |byte: u8, kind| DeviceRow {
            device: DeviceId([byte; 16]),
            kind,
            via: DeviceId([1; 16]),
            patient: None,
            since_ms: self.start_ms - 86_400_000,
            revoked: None,
            last_seen_ms: Some(now_ms - 800),
        };
        Ok(AdminPage {
            devices: vec![
                device(1, DeviceKind::Gateway),
                device(2, DeviceKind::Sensor),
                device(3, DeviceKind::Sensor),
            ],
            people: PEOPLE
                .iter()
                .map(|(login, name, role)| PersonRow {
                    person: person(login),
                    login: (*login).into(),
                    name: if *login == "amira" { self.name.clone() } else { (*name).into() },
                    role: *role,
                    enrolled: true,
                    vault_kept: true,
                })
                .collect(),
            ledger: self.health(now_ms),
            pending: vec![PendingAct {
                act: [0; 32],
                what: "anchor",
                since_ms: now_ms - 700,
                outcome: Outcome::Pending,
            }],
            counters: self.counters(),
        })
    }

    fn ledger_blocks(
        &self,
        session: &Session,
        asked: &vitals::explorer::Asked,
        now_ms: u64,
    ) -> Result<vitals::explorer::Blocks, ClinicError> {
        Self::looker(session)?;
        Ok(super::ledger::blocks(asked, super::ledger::tip(now_ms)))
    }

    fn ledger_block(
        &self,
        session: &Session,
        height: u64,
        first: usize,
        now_ms: u64,
    ) -> Result<Option<vitals::explorer::Block>, ClinicError> {
        Self::looker(session)?;
        Ok(super::ledger::block(height, first, super::ledger::tip(now_ms)))
    }

    fn ledger_transaction(
        &self,
        session: &Session,
        id: &vitals::ids::Hash,
        now_ms: u64,
    ) -> Result<Option<vitals::explorer::Transaction>, ClinicError> {
        Self::looker(session)?;
        Ok(super::ledger::find(id, super::ledger::tip(now_ms)))
    }

    fn ledger_head(&self, _: &Session, _: u64, _: u64) -> Result<Option<vitals::ids::Hash>, ClinicError> {
        Ok(None)
    }

    fn ledger_governance(
        &self,
        session: &Session,
        now_ms: u64,
    ) -> Result<vitals::explorer::Governance, ClinicError> {
        Self::looker(session)?;
        Ok(super::ledger::governance(super::ledger::tip(now_ms), now_ms))
    }

    fn may_govern(&self, session: &Session, _: u64) -> Result<(), ClinicError> {
        match session.role {
            Role::Administrator => Ok(()),
            role => Err(Denied::Role { role }.into()),
        }
    }

    fn propose(
        &self,
        session: &Session,
        _: vitals::governance::Motion,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        self.may_govern(session, now_ms)?;
        Ok(Ticket { act: [0; 32], what: "proposal" })
    }

    fn vote(&self, session: &Session, _: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.may_govern(session, now_ms)?;
        Ok(Ticket { act: [0; 32], what: "vote" })
    }

    fn health(&self, now_ms: u64) -> LedgerHealth {
        let halted = self.halted();
        LedgerHealth {
            height: super::ledger::tip(now_ms),
            tip: None,
            tip_ms: now_ms / 1000 * 1000 - if halted { 240_000 } else { 0 },
            stale: halted,
            age_ms: if halted { 240_000 } else { now_ms % 1000 },
            withdrawals_waiting: usize::from(halted),
            withdrawals_late: usize::from(halted),
            log_size: self.index(now_ms) + 4,
            anchored_size: self.index(now_ms.saturating_sub(2000)) + 4,
            final_size: self.index(now_ms.saturating_sub(4000)) + 4,
        }
    }

    fn counters(&self) -> Counters {
        let latency = |p50_ms| Latency { count: 1000, p50_ms, p99_ms: p50_ms * 3, max_ms: p50_ms * 5 };
        Counters {
            admitted: 12_345,
            admitted_readings: 98_765,
            seal_to_live: latency(6),
            seal_to_final: latency(640),
            ..Counters::default()
        }
    }

    fn acknowledge(
        &self,
        session: &Session,
        wanted: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        Self::clinician(session)?;
        let number = Self::number(session, wanted, self.memory().revoked)?;
        self.memory().acknowledged.insert((wanted, condition.code()), session.name.clone());
        self.alarms(number, now_ms)
            .first()
            .cloned()
            .ok_or_else(|| ClinicError::Wrong("there is no such alarm".into()))
    }

    fn silence(
        &self,
        session: &Session,
        wanted: PatientId,
        condition: Condition,
        for_ms: u64,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        Self::clinician(session)?;
        let number = Self::number(session, wanted, self.memory().revoked)?;
        self.memory().silenced.insert((wanted, condition.code()), now_ms + for_ms);
        self.alarms(number, now_ms)
            .first()
            .cloned()
            .ok_or_else(|| ClinicError::Wrong("there is no such alarm".into()))
    }

    fn acknowledge_gateway(&self, session: &Session, _: DeviceId, now_ms: u64) -> Result<usize, ClinicError> {
        let silent = self.wall(session, now_ms)?.gateways;
        let alarms: Vec<AlarmView> = silent.into_iter().flat_map(|one| one.alarms).collect();
        for alarm in &alarms {
            self.acknowledge(session, alarm.patient, alarm.condition, now_ms)?;
        }
        Ok(alarms.len())
    }

    fn unwatched_beds(&self, session: &Session, now_ms: u64) -> Result<Vec<UnwatchedBed>, ClinicError> {
        Self::clinician(session)?;
        Ok(self.unwatched(now_ms))
    }

    fn end_unwatched(
        &self,
        session: &Session,
        _: PatientId,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        Self::clinician(session)?;
        self.memory().unwatched_ended = Some((now_ms, session.name.clone(), reason.to_owned()));
        Ok(())
    }

    fn set_limits(
        &self,
        session: &Session,
        wanted: PatientId,
        order: &LimitsOrder,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        Self::clinician(session)?;
        Self::number(session, wanted, self.memory().revoked)?;
        let limits = order.limits;
        if order.for_ms.is_none() && limits.turned_off().next().is_some() {
            return Err(ClinicError::Wrong("an alarm is turned off for a while only".into()));
        }
        let key = (wanted, limits.metric.code());
        let mut memory = self.memory();
        memory.limits.insert(key, limits);
        match order.for_ms {
            None => memory.temporary.remove(&key),
            Some(for_ms) => memory.temporary.insert(
                key,
                TemporaryLimits {
                    metric: limits.metric,
                    off: limits.turned_off().collect(),
                    by: session.name.clone(),
                    reason: order.reason.clone(),
                    since_ms: now_ms,
                    until_ms: now_ms + for_ms,
                    back: Limits::adult(limits.metric).unwrap_or(limits),
                },
            ),
        };
        Ok(())
    }

    fn limits_back(
        &self,
        session: &Session,
        wanted: PatientId,
        metric: Metric,
        _: u64,
    ) -> Result<(), ClinicError> {
        Self::clinician(session)?;
        Self::number(session, wanted, self.memory().revoked)?;
        let mut memory = self.memory();
        memory.limits.remove(&(wanted, metric.code()));
        memory.temporary.remove(&(wanted, metric.code()));
        Ok(())
    }

    fn end_silence(
        &self,
        session: &Session,
        wanted: PatientId,
        condition: Condition,
        now_ms: u64,
    ) -> Result<AlarmView, ClinicError> {
        self.silence(session, wanted, condition, 0, now_ms)
    }

    fn export_own(
        &self,
        session: &Session,
        _: u64,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ClinicError> {
        session.patient.ok_or(Denied::Role { role: session.role })?;
        sink(b"made up").map_err(|why| ClinicError::Wrong(why.to_string()))
    }

    fn revoke_grant(&self, session: &Session, wanted: GrantId, _: u64) -> Result<Ticket, ClinicError> {
        if session.role != Role::Patient || (wanted != grant() && wanted != watching()) {
            return Err(Denied::NoConsent.into());
        }
        if wanted == watching() {
            self.memory().watched_until_ms = None;
            return Ok(Ticket { act: [0; 32], what: "revocation" });
        }
        self.revoke_everything();
        Ok(Ticket { act: [0; 32], what: "revocation" })
    }

    fn own_consents(&self, session: &Session, now_ms: u64) -> Result<Vec<GrantView>, ClinicError> {
        Ok(self.own_page(session, now_ms)?.grants)
    }

    fn pause_watching(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<(), ClinicError> {
        session.patient.ok_or(Denied::Role { role: session.role })?;
        self.memory().pause = Some(PauseView::Until { until_ms: now_ms + for_ms });
        Ok(())
    }

    fn resume_watching(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        session.patient.ok_or(Denied::Role { role: session.role })?;
        self.memory().pause = Some(PauseView::OverSince { at_ms: now_ms });
        Ok(())
    }

    fn let_ward_watch(&self, session: &Session, for_ms: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        session.patient.ok_or(Denied::Role { role: session.role })?;
        self.memory().watched_until_ms = Some(now_ms + for_ms);
        Ok(Ticket { act: [0; 32], what: "consent" })
    }

    fn follow_wall(&self, session: &Session, now_ms: u64) -> Result<Box<dyn Following>, ClinicError> {
        Self::clinician(session)?;
        Ok(Box::new(Flow {
            demo: self.copy(),
            session: session.clone(),
            only: None,
            next_ms: now_ms,
            ready: VecDeque::new(),
            rings: None,
        }))
    }

    fn follow_patient(
        &self,
        session: &Session,
        wanted: PatientId,
        _: Purpose,
        now_ms: u64,
    ) -> Result<Box<dyn Following>, ClinicError> {
        let number = Self::number(session, wanted, self.memory().revoked)?;
        Ok(Box::new(Flow {
            demo: self.copy(),
            session: session.clone(),
            only: Some(number),
            next_ms: now_ms,
            ready: VecDeque::new(),
            rings: None,
        }))
    }
}
