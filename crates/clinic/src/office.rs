//! Pages without clinical content: the proof of one envelope, and the administrator's overview.

use crate::access::Ask;
use crate::clinic::{Clinic, lock};
use crate::errors::{ClinicError, Denied};
use crate::sessions::Session;
use crate::views::{AdminPage, AnchoredProof, DeviceRow, EnvelopeProof, PersonRow, ProofState};
use std::collections::BTreeMap;
use vitals::ids::Class;
use vitals::ledger::{Fact, Purpose, Role};
use vitals::proof::certificate::Certificate;
use vitals::proof::header::BlockHeader;
use vitals::{DeviceId, PatientId};

impl Clinic {
    /// The proof of the envelope that is leaf `index` of the log. Shown to whoever may read it, and
    /// to auditors and administrators, for it holds no content.
    ///
    /// # Errors
    /// [`ClinicError::Denied`]; also for a leaf that is not there.
    pub fn proof_page(
        &self,
        session: &Session,
        index: u64,
        now_ms: u64,
    ) -> Result<EnvelopeProof, ClinicError> {
        let everybody = [Role::Patient, Role::Clinician, Role::Administrator, Role::Family, Role::Auditor];
        self.require(session, &everybody, now_ms).map_err(|why| self.denied(why))?;
        let nothing = || self.denied(Denied::NoSuchPatient);
        let bytes = self.store().read_index(index)?.ok_or_else(nothing)?;
        let envelope = self.envelope(index)?.ok_or_else(nothing)?;
        let header = &envelope.header;
        let record = self.stream(header.stream).ok_or_else(nothing)?;
        if !matches!(session.role, Role::Auditor | Role::Administrator) {
            // A profile is what is now, however long ago it was written.
            let from_ms = if header.class == Class::Profile { now_ms } else { header.last_ms };
            self.may_see(session, record.patient, header.class, from_ms, now_ms)
                .map_err(|why| self.denied(why))?;
        }
        let access = match (session.role, header.class) {
            (Role::Patient, Class::Access) => self.own_entry(session, &envelope, index, now_ms)?,
            _ => None,
        };
        let proof = self.proof_state(index);
        let anchored = match proof {
            ProofState::Final { .. } => self.anchored_proof(index),
            _ => None,
        };
        Ok(EnvelopeProof {
            hash: envelope.hash(),
            index,
            proof,
            class: header.class,
            author: header.author,
            seq: header.seq,
            span_ms: (header.first_ms, header.last_ms),
            count: header.count,
            bytes: bytes.len(),
            clock: header.clock,
            anchored,
            access,
        })
    }

    fn may_see(
        &self,
        session: &Session,
        patient: PatientId,
        class: Class,
        from_ms: u64,
        now_ms: u64,
    ) -> Result<(), Denied> {
        let patient = self.patient(patient)?;
        let purposes: &[Purpose] = match session.role {
            Role::Patient => &[Purpose::Own],
            Role::Clinician => &[Purpose::Treatment, Purpose::Monitoring],
            Role::Family => &[Purpose::Family],
            Role::Administrator | Role::Auditor | Role::Other(_) => &[],
        };
        let purpose = purposes.first().copied().ok_or(Denied::NoConsent)?;
        let classes = &[class];
        let ask = Ask { reader: self.reader(session), patient: &patient, purpose, classes, from_ms };
        self.decide_any(&ask, purposes, now_ms).map(drop)
    }

    /// The finalized head that covers the leaf, and who certified it; nothing while the ledger has
    /// no certificate at hand.
    fn anchored_proof(&self, index: u64) -> Option<AnchoredProof> {
        let anchor = self.ledger().anchor(self.org()).ok()??;
        let proof = self.ledger().prove(&[Fact::Anchor(self.org())]).ok()?;
        let header = BlockHeader::decode(&proof.header).ok()?;
        let certificate = Certificate::decode(&proof.certificate).ok()?;
        Some(AnchoredProof {
            size: anchor.size,
            root: anchor.root,
            path: self.store().inclusion(index, anchor.size)?,
            height: header.height,
            block: header.digest(),
            block_time_ms: header.time_ms,
            since: self.final_since(index),
            signers: certificate.signatures.iter().map(|(at, _)| u32::from(*at)).collect(),
        })
    }

    /// The administrator's page.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators.
    pub fn admin_page(&self, session: &Session, now_ms: u64) -> Result<AdminPage, ClinicError> {
        self.require(session, &[Role::Administrator], now_ms).map_err(|why| self.denied(why))?;
        let people = self.vault().accounts().into_iter().map(|account| {
            let person = self.ledger().person(account.person).ok().flatten();
            PersonRow {
                person: account.person,
                login: account.login,
                name: account.name,
                role: account.role,
                enrolled: person.is_some(),
                vault_kept: person.is_none_or(|person| person.vault_kept),
            }
        });
        Ok(AdminPage {
            people: people.collect(),
            devices: self.devices(),
            ledger: self.health(now_ms),
            pending: self.acts_under_way(),
            counters: self.counters(),
        })
    }

    /// Devices that streams were made for, and the gateways that carry them.
    fn devices(&self) -> Vec<DeviceRow> {
        let own = self.vault().author();
        let mut known: BTreeMap<DeviceId, Option<PatientId>> = BTreeMap::new();
        for patient in self.vault().patients() {
            for record in self.vault().streams_of(patient.id) {
                if record.author != own {
                    known.insert(record.author, Some(patient.id));
                }
            }
        }
        let height = self.ledger().tip().height;
        let mut registry = lock(&self.registry);
        let mut device = |id| registry.device(self.ledger(), height, id).ok().flatten();
        let gateways: Vec<DeviceId> = known.keys().filter_map(|id| device(*id).map(|one| one.via)).collect();
        known.extend(gateways.into_iter().map(|id| (id, None)));
        let mut rows: Vec<DeviceRow> = Vec::new();
        for (id, patient) in known {
            if let Some(one) = device(id) {
                rows.push(DeviceRow {
                    device: id,
                    kind: one.kind,
                    via: one.via,
                    patient,
                    since_ms: one.since_ms,
                    revoked: one.revoked,
                    last_seen_ms: lock(&self.seen).get(&id).copied(),
                });
            }
        }
        rows
    }
}
