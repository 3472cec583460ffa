//! The rules of break-glass in `Consents`, and of the registry `Policies`.

use super::{LedgerModel, Refusal, refuse_if};
use vitals::break_glass::{
    AHEAD_MS_MAX, BREAK_GLASS_MS_MAX, BREAK_GLASS_PER_DAY_MAX, BreakGlass, BreakGlassEntry, POLICIES_MAX,
    Policy, ROLE_AGE_MS_MIN, Review, SignedBreakGlass, Verdict,
};
use vitals::eip712::break_glass_id;
use vitals::ids::{Hash, OrgId, PersonId};
use vitals::ledger::Role;

const DAY_MS: u64 = 86_400_000;

impl LedgerModel {
    pub(super) fn break_glass(
        &mut self,
        org: OrgId,
        signed: &SignedBreakGlass,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let m = &signed.message;
        let window_ok = m.until_ms > m.from_ms
            && m.until_ms - m.from_ms <= BREAK_GLASS_MS_MAX
            && m.from_ms <= now_ms + AHEAD_MS_MAX;
        refuse_if(!window_ok, Refusal::GlassWindowWrong)?;
        refuse_if(m.reason == [0; 32], Refusal::ReasonMissing)?;
        let id = break_glass_id(m);
        refuse_if(self.glass.contains_key(&id), Refusal::GlassRepeated)?;
        self.glass_people(org, m)?;
        let day = m.from_ms / DAY_MS;
        let same_day =
            |entry: &&BreakGlassEntry| entry.clinician == m.clinician && entry.from_ms / DAY_MS == day;
        let used = self.glass.values().filter(same_day).count();
        refuse_if(used >= BREAK_GLASS_PER_DAY_MAX as usize, Refusal::GlassQuotaUsed)?;
        let digest = self.domain.break_glass_digest(m);
        self.signed(m.clinician, digest, &signed.signature)?;
        if let Some(second) = m.second {
            self.signed(second, digest, &signed.second_signature)?;
        }
        self.glass.insert(
            id,
            BreakGlassEntry {
                patient: m.patient,
                clinician: m.clinician,
                second: m.second,
                reason: m.reason,
                from_ms: m.from_ms,
                until_ms: m.until_ms,
                given_at_ms: now_ms,
                review: None,
            },
        );
        Ok(())
    }

    fn glass_people(&self, org: OrgId, m: &BreakGlass) -> Result<(), Refusal> {
        let patient = self.people.get(&m.patient).is_some_and(|one| one.role == Role::Patient);
        refuse_if(!patient, Refusal::NotAPatient)?;
        let clinician = self.clinician(org, m.clinician).ok_or(Refusal::ClinicianUnknown)?;
        match m.second {
            None => refuse_if(m.from_ms < clinician + ROLE_AGE_MS_MIN, Refusal::RoleTooYoung),
            Some(second) => {
                let stands_by = second != m.clinician && self.clinician(org, second).is_some();
                refuse_if(!stands_by, Refusal::SecondClinicianWrong)
            }
        }
    }

    /// Since when this is a clinician of the organisation, not suspended.
    fn clinician(&self, org: OrgId, id: PersonId) -> Option<u64> {
        let one = self.people.get(&id)?;
        (one.role == Role::Clinician && one.org == org && one.suspended_at_ms == 0).then_some(one.since_ms)
    }

    pub(super) fn review(
        &mut self,
        id: Hash,
        auditor: PersonId,
        verdict: Verdict,
        remark: Hash,
        signature: &[u8],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let entry = self.glass.get(&id).ok_or(Refusal::EntryUnknown)?;
        refuse_if(entry.review.is_some(), Refusal::EntryReviewed)?;
        let known = self
            .people
            .get(&auditor)
            .is_some_and(|one| one.role == Role::Auditor && one.suspended_at_ms == 0);
        refuse_if(!known, Refusal::AuditorUnknown)?;
        self.signed(auditor, self.domain.review_digest(&id, auditor, verdict, &remark), signature)?;
        let review = Review { auditor, verdict, remark, at_ms: now_ms };
        self.glass.entry(id).and_modify(|entry| entry.review = Some(review));
        Ok(())
    }

    pub(super) fn add_policy(
        &mut self,
        org: OrgId,
        name: [u8; 32],
        contract: [u8; 20],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        refuse_if(name == [0; 32], Refusal::PolicyNameMissing)?;
        refuse_if(!self.code.contains(&contract), Refusal::PolicyWithoutCode)?;
        refuse_if(self.policies.contains_key(&contract), Refusal::PolicyKnown)?;
        refuse_if(self.policies.len() >= POLICIES_MAX, Refusal::PoliciesFull)?;
        let version = (1..).zip(self.policies.values().filter(|one| one.name == name)).map(|(n, _)| n).max();
        let version = version.map_or(1, |newest: u32| newest + 1);
        let policy = Policy { name, version, org, added_at_ms: now_ms, withdrawn_at_ms: 0 };
        self.policies.insert(contract, policy);
        Ok(())
    }

    pub(super) fn withdraw_policy(
        &mut self,
        org: OrgId,
        contract: [u8; 20],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let offered = self.policies.get_mut(&contract).filter(|policy| policy.withdrawn_at_ms == 0);
        let policy = offered.ok_or(Refusal::PolicyUnknown)?;
        refuse_if(policy.org != org, Refusal::NotTheHomeOrganisation)?;
        policy.withdrawn_at_ms = now_ms;
        Ok(())
    }
}
