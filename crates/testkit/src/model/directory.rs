//! The rules of the contract `Directory`: organisations and people.

use super::{LedgerModel, Refusal, refuse_if};
use vitals::ids::{OrgId, PersonId};
use vitals::ledger::{Organisation, Person, SIGNER_BYTES_MAX, SIGNER_BYTES_MIN};

impl LedgerModel {
    /// The active organisation that sends from this account.
    pub(super) fn sending(&self, sender: [u8; 20]) -> Result<OrgId, Refusal> {
        let sends = |org: &Organisation| org.active && org.sender == sender;
        let found = self.organisations.iter().find(|(_, org)| sends(org));
        found.map(|(id, _)| *id).ok_or(Refusal::SenderNotAnOrganisation)
    }

    pub(super) fn enrol(&mut self, id: PersonId, person: Person) -> Result<(), Refusal> {
        refuse_if(id.is_organisation(), Refusal::PersonIdReserved)?;
        refuse_if(!person.role.is_founding(), Refusal::RoleUnknown)?;
        let length_ok = (SIGNER_BYTES_MIN..=SIGNER_BYTES_MAX).contains(&person.signer.len());
        refuse_if(!length_ok, Refusal::SignerLengthWrong)?;
        refuse_if(self.people.contains_key(&id), Refusal::PersonAlreadyEnrolled)?;
        self.people.insert(id, person);
        Ok(())
    }

    pub(super) fn suspend(&mut self, org: OrgId, person: PersonId, now_ms: u64) -> Result<(), Refusal> {
        let one = self.people.get_mut(&person).ok_or(Refusal::PersonUnknown)?;
        refuse_if(one.org != org, Refusal::NotTheHomeOrganisation)?;
        if one.suspended_at_ms == 0 {
            one.suspended_at_ms = now_ms;
        }
        Ok(())
    }

    /// Can a consent name this person or organisation?
    pub(super) fn is_grantee(&self, id: PersonId) -> bool {
        if id.is_organisation() {
            return self
                .organisations
                .iter()
                .any(|(org, known)| known.active && PersonId::of_organisation(*org) == id);
        }
        self.people.get(&id).is_some_and(|one| one.suspended_at_ms == 0)
    }
}
