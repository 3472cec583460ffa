//! Changing a consent: a new one is given, and once the ledger holds it, the old one is withdrawn. Until then only what
//! both say is opened under the old one: a change never opens more than it says, and never interrupts what stays.

use super::giving::ConsentWish;
use super::grant_refusal::GrantRefusal;
use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use vault::{Patient, TermsRecord};
use vitals::GrantId;
use vitals::ledger::Purpose;

impl Clinic {
    /// A consent of the caller, with its terms. Looks at no session's end.
    pub(super) fn own_grant(
        &self,
        session: &Session,
        grant: GrantId,
    ) -> Result<(Patient, TermsRecord), Denied> {
        let id = session.patient.ok_or(Denied::NoSuchPatient)?;
        let patient = self.patient(id)?;
        let record = self.vault().terms(grant).filter(|record| record.patient == id);
        record.map(|record| (patient, record)).ok_or(Denied::NoSuchPatient)
    }

    /// May this consent be changed into the one that is wanted?
    pub(super) fn changeable(
        &self,
        session: &Session,
        grant: GrantId,
        wish: &ConsentWish,
        now_ms: u64,
    ) -> Result<(), ClinicError> {
        let (_, record) = self.own_grant(session, grant).map_err(|why| self.denied(why))?;
        if record.terms.purpose == Purpose::Monitoring || record.grantee != wish.grantee {
            return Err(GrantRefusal::OtherPerson.into());
        }
        let there = self.ledger().grant(grant)?;
        let in_force = |there: &vitals::ledger::Grant| there.revoked_at_ms == 0 && now_ms < there.until_ms;
        if self.vault().is_withdrawn(grant) || !there.as_ref().is_some_and(in_force) {
            return Err(GrantRefusal::NotInForce.into());
        }
        Ok(())
    }

    /// Withdraws consents whose place another one has taken on the ledger. The patient asked for that when they
    /// changed them.
    pub(crate) fn finish_replacements(&self, now_ms: u64) {
        for (grant, replacement) in self.vault().being_replaced() {
            if matches!(self.ledger().grant(replacement.by), Ok(Some(_))) {
                self.withdraw_replaced(grant, now_ms);
            }
        }
    }

    /// A consent is withdrawn: so are those whose place it was about to take. Nobody withdraws the narrower of two
    /// to keep the wider one.
    pub(super) fn withdraw_those_replaced_by(&self, grant: GrantId, now_ms: u64) {
        let all = self.vault().being_replaced().into_iter();
        all.filter(|(_, replacement)| replacement.by == grant)
            .for_each(|(old, _)| self.withdraw_replaced(old, now_ms));
    }

    fn withdraw_replaced(&self, grant: GrantId, now_ms: u64) {
        // Durable first. If the disk fails, what is restricted stays so, and the next tick tries again.
        match self.vault().put_withdrawal(grant) {
            Ok(()) => {
                self.withdraw_here(grant, now_ms);
                self.hand_in_withdrawal(grant, now_ms);
            }
            Err(why) => tracing::warn!(reason = %why, "A consent that another replaced is not withdrawn yet"),
        }
    }
}
