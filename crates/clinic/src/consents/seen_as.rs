//! A patient's record as somebody else sees it: what the decision that this person's page passes would open, now or
//! under a consent that is not given yet. It is that very decision, asked on behalf of the patient: nothing is
//! opened, and nothing is written as if the other had looked.

use super::grants::GrantRequest;
use super::policy::{Consent, Reader, Restricted, may_read_for, purposes};
use super::request::AccessRequest;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{MONITORING_BACK_MS, Patient};
use vitals::ids::Class;
use vitals::ledger::{Grant, Purpose, Role, Terms};
use vitals::{GrantId, PersonId};

silent_debug!(SeenAs);

/// How much of a class somebody can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing.
    Nothing,
    /// What is not older than this, milliseconds.
    Back(u64),
    /// All of it, from whenever it is.
    Whole,
}

/// One class of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenClass {
    /// The class.
    pub class: Class,
    /// How much of it can be opened.
    pub reach: Reach,
    /// For what, if it can be opened.
    pub purpose: Option<Purpose>,
    /// Sealed records of it that can be opened now.
    pub opened: u64,
    /// Sealed records of it that there are.
    pub kept: u64,
    /// The earliest time that they tell of, milliseconds, if that is known.
    pub first_ms: Option<u64>,
    /// The latest.
    pub last_ms: Option<u64>,
}

/// A record as somebody sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct SeenAs {
    /// Who.
    pub person: PersonId,
    /// Their name; none if this organisation does not know it.
    pub name: Option<String>,
    /// Their role.
    pub role: Role,
    /// Are they of this organisation? Others open nothing here.
    pub ours: bool,
    /// The classes that were asked about, ascending.
    pub classes: Vec<SeenClass>,
}

impl Clinic {
    /// The caller's own record as `person` sees it now: of these classes, which that person's page asks for.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but patients, and for a person whom nobody knows.
    pub fn seen_as(
        &self,
        session: &Session,
        person: PersonId,
        classes: &[Class],
        now_ms: u64,
    ) -> Result<SeenAs, ClinicError> {
        self.require(session, &[Role::Patient], now_ms).map_err(|why| self.denied(why))?;
        let id = session.patient.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let patient = self.patient(id).map_err(|why| self.denied(why))?;
        self.seen_by(&patient, person, classes, None, now_ms)
    }

    /// The same, and as if a consent had been given, in the place of another if one is named: at the moment it begins.
    pub(super) fn seen_by(
        &self,
        patient: &Patient,
        person: PersonId,
        classes: &[Class],
        supposed: Option<(&GrantRequest, Option<GrantId>)>,
        now_ms: u64,
    ) -> Result<SeenAs, ClinicError> {
        let on_ledger = self.enrolment(person).map_err(|why| self.denied(why))?;
        let on_ledger = on_ledger.ok_or_else(|| self.denied(Denied::NoSuchPatient))?;
        let account = self.vault().account_of(person);
        let ours = on_ledger.org == self.org();
        let role = account.as_ref().map_or(on_ledger.role, |account| account.role);
        let reader = Reader::Person { person, role, org: on_ledger.org };
        let at_ms = supposed.map_or(now_ms, |(request, _)| request.from_ms.max(now_ms));
        let gone = supposed.and_then(|(_, gone)| gone);
        let consent = supposed.map(|(request, _)| self.as_if_given(patient, request, gone));
        let mut rows: Vec<SeenClass> = classes.iter().map(|class| self.kept_of(patient, *class)).collect();
        let read_for = purposes(role).iter().filter(|purpose| may_read_for(role, **purpose));
        for purpose in read_for.filter(|_| ours) {
            let (reach, from_ms) = match purpose {
                Purpose::Monitoring => {
                    (Reach::Back(MONITORING_BACK_MS), at_ms.saturating_sub(MONITORING_BACK_MS))
                }
                _ => (Reach::Whole, 0),
            };
            let ask = AccessRequest { reader, patient, purpose: *purpose, classes, from_ms };
            // What is refused opens nothing; why, is the other's business.
            let Ok(allowed) = self.decide_most_supposing(&ask, (consent.as_slice(), gone), at_ms) else {
                continue;
            };
            for row in rows.iter_mut().filter(|row| allowed.classes.contains(&row.class)) {
                if reach > row.reach {
                    (row.reach, row.purpose) = (reach, Some(*purpose));
                    row.opened = self.opened_of(patient, row, now_ms);
                }
            }
        }
        Ok(SeenAs { person, name: account.map(|account| account.name), role, ours, classes: rows })
    }

    /// The consent as the ledger would hold it. Its id and its salt decide nothing. It is paused if the one is whose
    /// place it takes.
    fn as_if_given(&self, patient: &Patient, request: &GrantRequest, gone: Option<GrantId>) -> Consent {
        let paused = gone.is_some_and(|gone| self.vault().restriction(gone).paused_since_ms.is_some());
        let terms = Terms { classes: request.classes.clone(), purpose: request.purpose, salt: [0; 32] };
        let grant = Grant {
            patient: patient.person,
            grantee: request.grantee,
            terms: terms.commitment(self.genesis()),
            from_ms: request.from_ms,
            until_ms: request.until_ms,
            revoked_at_ms: 0,
            policy: None,
        };
        Consent {
            id: GrantId([0xff; 32]),
            grant,
            terms: Some(terms),
            withdrawn_here: false,
            restricted: Restricted { paused, within: None },
        }
    }

    /// What there is of a class, by the index: nothing is opened for it.
    fn kept_of(&self, patient: &Patient, class: Class) -> SeenClass {
        let mut row = SeenClass {
            class,
            reach: Reach::Nothing,
            purpose: None,
            opened: 0,
            kept: 0,
            first_ms: None,
            last_ms: None,
        };
        for record in self.vault().streams_of(patient.id).into_iter().filter(|one| one.class == class) {
            let Some(head) = self.store().head(record.stream) else { continue };
            row.kept += head.count;
            row.last_ms = row.last_ms.max(Some(head.latest_ms));
            if let Some(first) = self.store().locate(record.stream, 0) {
                row.first_ms = Some(row.first_ms.map_or(first.first_ms, |ms| ms.min(first.first_ms)));
            }
        }
        row
    }

    fn opened_of(&self, patient: &Patient, row: &SeenClass, now_ms: u64) -> u64 {
        let Reach::Back(back_ms) = row.reach else { return row.kept };
        let streams = self.vault().streams_of(patient.id).into_iter().filter(|one| one.class == row.class);
        let from_ms = now_ms.saturating_sub(back_ms);
        streams.map(|record| self.store().find(record.stream, from_ms, now_ms).len() as u64).sum()
    }
}
