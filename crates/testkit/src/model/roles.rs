//! Roles beyond the first five: defined by vote, assigned before a person is enrolled.

use super::{LedgerModel, Refusal, refuse_if};
use std::collections::BTreeMap;
use vitals::ids::{OrgId, PersonId};
use vitals::ledger::{Person, Role};
use vitals::proof::contracts::{ROLES, ROLES_VERSION, address_book_key};

/// The state of the contract `Roles`.
#[derive(Debug, Clone, Default)]
pub struct RolesModel {
    /// Name and base of each defined role, by code.
    pub defined: BTreeMap<u8, ([u8; 32], Role)>,
    /// Who voted for a definition.
    supporters: BTreeMap<(u8, [u8; 32], u8), Vec<OrgId>>,
    /// What an organisation assigned to a person it was going to enrol.
    assignments: BTreeMap<(OrgId, PersonId), u8>,
}

impl LedgerModel {
    /// The person with the role that counts: the one the home organisation assigned, if its base is the role
    /// the person was enrolled under.
    #[must_use]
    pub fn person(&self, id: PersonId) -> Option<Person> {
        let person = self.people.get(&id)?.clone();
        let assigned = self.roles.assignments.get(&(person.org, id));
        let counts = assigned
            .filter(|role| self.roles.defined.get(role).is_some_and(|(_, base)| *base == person.role));
        let role = counts.and_then(|role| Role::from_code(*role)).unwrap_or(person.role);
        Some(Person { role, ..person })
    }

    pub(super) fn support_role(
        &mut self,
        org: OrgId,
        role: u8,
        name: [u8; 32],
        base: Role,
    ) -> Result<(), Refusal> {
        let seated = self.authorities.seated();
        refuse_if(!seated.contains(&org), Refusal::NotSeated)?;
        refuse_if(role <= Role::FOUNDING_MAX, Refusal::RoleReserved)?;
        refuse_if(!base.is_founding(), Refusal::BaseUnknown)?;
        refuse_if(name == [0; 32], Refusal::RoleNameMissing)?;
        refuse_if(self.roles.defined.contains_key(&role), Refusal::RoleKnown)?;
        let votes = self.roles.supporters.entry((role, name, base.code())).or_default();
        refuse_if(votes.contains(&org), Refusal::VoteRepeated)?;
        votes.push(org);
        let count = votes.iter().filter(|org| seated.contains(*org)).count();
        if 2 * count > seated.len() {
            self.roles.defined.insert(role, (name, base));
        }
        Ok(())
    }

    pub(super) fn assign_role(
        &mut self,
        sender: [u8; 20],
        person: PersonId,
        role: u8,
    ) -> Result<(), Refusal> {
        let entry = OrgId::of(&address_book_key(ROLES, ROLES_VERSION));
        let held = self.organisations.get(&entry).is_some_and(|entry| entry.active);
        refuse_if(!held, Refusal::SenderNotAnOrganisation)?;
        let org = self.sending(sender)?;
        refuse_if(!self.roles.defined.contains_key(&role), Refusal::RoleUnknown)?;
        refuse_if(self.people.contains_key(&person), Refusal::PersonAlreadyEnrolled)?;
        refuse_if(self.roles.assignments.contains_key(&(org, person)), Refusal::RoleAlreadyAssigned)?;
        self.roles.assignments.insert((org, person), role);
        Ok(())
    }
}
