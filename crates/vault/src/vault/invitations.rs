//! Invitations: who may make an account here by a one-time link. An account comes into being when its person takes
//! the invitation up; until then nobody signs in, and nothing of it is on the ledger.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use crate::vault::accounts::{Account, NAME_BYTES_MAX, NewAccount};
use crate::vault::beds::{self, BedRecord};
use crate::vault::patients::Patient;
use crate::vault::standings::Link;
use std::collections::HashMap;
use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Hash, PatientId, PersonId};
use vitals::ledger::Role;
use zeroize::Zeroizing;

const VERSION: u64 = 1;

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    /// Its link works until its end.
    Open,
    /// An administrator withdrew it.
    Withdrawn,
    /// There is an account now.
    Accepted,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Who it is going to be on the ledger.
    pub person: PersonId,
    /// In which role.
    pub role: Role,
    /// The name that was suggested; the person may write another.
    pub name: String,
    /// Where a patient's bed stands; empty for everybody else.
    pub bed: String,
    /// Who made the link that stands now, and when.
    pub made: Made,
    /// The link, by its hash.
    pub link: Link,
    /// Where it stands.
    pub state: InvitationState,
    /// Names the form it was made with: the same form sent twice makes one invitation.
    form: [u8; 16],
}

/// Names stay out of logs.
impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation")
            .field("person", &self.person)
            .field("role", &self.role)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// An invitation to be made.
#[derive(Clone, Copy)]
pub struct NewInvitation<'a> {
    /// Who it is going to be on the ledger: random.
    pub person: PersonId,
    /// In which role.
    pub role: Role,
    /// The suggested name; may be empty.
    pub name: &'a str,
    /// Where a patient's bed stands; empty for everybody else.
    pub bed: &'a str,
    /// Random, of the form that asks for it.
    pub form: [u8; 16],
    /// The link.
    pub link: Link,
}

/// What became of a form that invites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invited {
    /// An invitation was made.
    Now,
    /// The same form made this one before: nothing was changed.
    Before(PersonId),
}

/// What an invited person chose.
#[derive(Clone, Copy)]
pub struct Acceptance<'a> {
    /// What is typed to sign in.
    pub login: &'a str,
    /// What is shown.
    pub name: &'a str,
    /// What proves it.
    pub password: &'a str,
    /// The id of the record, should it be a patient.
    pub patient: PatientId,
}

fn state_code(state: InvitationState) -> u64 {
    match state {
        InvitationState::Open => 1,
        InvitationState::Withdrawn => 2,
        InvitationState::Accepted => 3,
    }
}

impl Invitation {
    /// May it still be taken up?
    #[must_use]
    pub fn is_open(&self, now_ms: u64) -> bool {
        self.state == InvitationState::Open && now_ms < self.link.until_ms
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(11).uint(VERSION).bytes(&self.person.0).uint(self.role.code().into());
        w.text(&self.name).text(&self.bed);
        w.bytes(&self.made.by.map_or([0; 32], |by| by.0)).uint(self.made.at_ms);
        w.bytes(&self.link.hash).uint(self.link.until_ms).bytes(&self.form).uint(state_code(self.state));
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(11)?;
        r.exactly(VERSION)?;
        let person = PersonId(r.fixed()?);
        let role = Role::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?;
        let (name, bed) = (r.text(NAME_BYTES_MAX)?.into(), r.text(TEXT_BYTES_MAX)?.into());
        let by = r.fixed()?;
        let made = Made { by: (by != [0; 32]).then_some(PersonId(by)), at_ms: r.uint()? };
        let link = Link { hash: r.fixed()?, until_ms: r.uint()? };
        let form = r.fixed()?;
        let state = match r.u8()? {
            1 => InvitationState::Open,
            2 => InvitationState::Withdrawn,
            3 => InvitationState::Accepted,
            _ => return Err(NotCanonical::Unexpected),
        };
        r.end()?;
        Ok(Self { person, role, name, bed, made, link, state, form })
    }
}

#[derive(Default)]
pub(crate) struct InvitationBook {
    by_person: HashMap<PersonId, Invitation>,
    by_link: HashMap<Hash, PersonId>,
    by_form: HashMap<[u8; 16], PersonId>,
}

impl InvitationBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Invitations)? {
            let damaged = |_| VaultError::Damaged("an invitation is not readable".into());
            book.add(Invitation::read(&row).map_err(damaged)?);
        }
        Ok(book)
    }

    fn add(&mut self, invitation: Invitation) {
        if let Some(before) = self.by_person.get(&invitation.person) {
            self.by_link.remove(&before.link.hash);
        }
        if invitation.state == InvitationState::Open {
            self.by_link.insert(invitation.link.hash, invitation.person);
        }
        self.by_form.insert(invitation.form, invitation.person);
        self.by_person.insert(invitation.person, invitation);
    }
}

impl Vault {
    /// Keeps an invitation. A form that made one before makes no second.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] for a text over its bound, or a patient without a bed; [`VaultError::PersonTaken`].
    pub fn put_invitation(&self, new: NewInvitation<'_>, made: Made) -> Result<Invited, VaultError> {
        if new.name.len() > NAME_BYTES_MAX {
            return Err(VaultError::Unfit("the name is longer than 256 bytes"));
        }
        if new.bed.len() > TEXT_BYTES_MAX {
            return Err(VaultError::Unfit("the bed is longer than 256 bytes"));
        }
        if (new.role == Role::Patient) == new.bed.trim().is_empty() {
            return Err(VaultError::Unfit("a patient has a bed, and nobody else has one"));
        }
        let _changing = self.changing();
        {
            let books = self.books();
            if let Some(person) = books.invitations.by_form.get(&new.form) {
                return Ok(Invited::Before(*person));
            }
            if books.invitations.by_person.contains_key(&new.person) {
                return Err(VaultError::PersonTaken);
            }
        }
        if self.account_of(new.person).is_some() {
            return Err(VaultError::PersonTaken);
        }
        let NewInvitation { person, role, name, bed, form, link } = new;
        let (name, bed, state) = (name.into(), bed.into(), InvitationState::Open);
        self.change(
            Invitation { person, role, name, bed, made, link, state, form },
            AccountEvent::Invited,
            made,
        )?;
        Ok(Invited::Now)
    }

    /// A new link for an invitation that nobody has taken up; the one before stops working. One that ended or was
    /// withdrawn is open again.
    ///
    /// # Errors
    /// [`VaultError::Stale`] if it has changed since `seen` ([`Vault::events_len`]); [`VaultError::NotSo`] where
    /// there is an account already, or no invitation.
    pub fn renew_invitation(
        &self,
        person: PersonId,
        seen: u64,
        link: Link,
        made: Made,
    ) -> Result<(), VaultError> {
        let _changing = self.changing();
        let held = self.invitation_to_change(person, seen)?;
        let renewed = Invitation { link, made, state: InvitationState::Open, ..held };
        self.change(renewed, AccountEvent::LinkRenewed, made)
    }

    /// Ends an invitation.
    ///
    /// # Errors
    /// As [`Vault::renew_invitation`]; [`VaultError::NotSo`] for one that was withdrawn before.
    pub fn withdraw_invitation(&self, person: PersonId, seen: u64, made: Made) -> Result<(), VaultError> {
        let _changing = self.changing();
        let held = self.invitation_to_change(person, seen)?;
        if held.state == InvitationState::Withdrawn {
            return Err(VaultError::NotSo);
        }
        self.change(
            Invitation { state: InvitationState::Withdrawn, ..held },
            AccountEvent::InvitationWithdrawn,
            made,
        )
    }

    fn invitation_to_change(&self, person: PersonId, seen: u64) -> Result<Invitation, VaultError> {
        let held = self.invitation_of(person).ok_or(VaultError::NotSo)?;
        self.unchanged_since(person, seen)?;
        if held.state == InvitationState::Accepted { Err(VaultError::NotSo) } else { Ok(held) }
    }

    fn change(&self, now: Invitation, event: AccountEvent, made: Made) -> Result<(), VaultError> {
        let event = self.event(now.person, event, "", made, |_| {});
        let row = now.encode();
        let invitation = (Table::Invitations, now.person.0.as_slice(), row.as_slice());
        self.tables.put(&[[invitation].as_slice(), event.puts().as_slice()].concat())?;
        let mut books = self.books_mut();
        books.standings.keep(event);
        books.invitations.add(now);
        Ok(())
    }

    /// The invitation to this person.
    #[must_use]
    pub fn invitation_of(&self, person: PersonId) -> Option<Invitation> {
        self.books().invitations.by_person.get(&person).cloned()
    }

    /// Invitations that nobody has taken up: open, ended and withdrawn.
    #[must_use]
    pub fn invitations(&self) -> Vec<Invitation> {
        let books = self.books();
        let all = books.invitations.by_person.values();
        all.filter(|one| one.state != InvitationState::Accepted).cloned().collect()
    }

    /// The invitation a link stands for, while it works.
    #[must_use]
    pub fn invitation_by_link(&self, hash: &Hash, now_ms: u64) -> Option<Invitation> {
        let books = self.books();
        let held = books.invitations.by_person.get(books.invitations.by_link.get(hash)?)?;
        held.is_open(now_ms).then(|| held.clone())
    }

    /// Takes an invitation up: the account, for a patient the record's id and the bed, and the history, in one step.
    ///
    /// # Errors
    /// [`VaultError::NoLink`] unless the link works; [`VaultError::LoginTaken`], [`VaultError::Unfit`]: the link
    /// still works then.
    pub fn accept_invitation(
        &self,
        hash: &Hash,
        chosen: &Acceptance<'_>,
        at_ms: u64,
    ) -> Result<Account, VaultError> {
        // Hashed only for a link that works, and held against it once more under the lock.
        let held = self.invitation_by_link(hash, at_ms).ok_or(VaultError::NoLink)?;
        let Acceptance { login, name, password, patient } = *chosen;
        let made = Made { by: Some(held.person), at_ms };
        let new = NewAccount { login, name, role: held.role, person: held.person, password, made };
        let rows = self.account_rows(&new)?;
        let _changing = self.changing();
        let held = self.invitation_by_link(hash, at_ms).ok_or(VaultError::NoLink)?;
        self.account_is_free(login, held.person)?;
        let is_patient = held.role == Role::Patient;
        let record = Patient { id: patient, person: held.person, since_ms: at_ms };
        let bed = BedRecord { place: held.bed.clone(), ended: None };
        // What stands in the account and the profile from now on stands here no more.
        let accepted = Invitation {
            name: String::new(),
            bed: String::new(),
            state: InvitationState::Accepted,
            ..held.clone()
        };
        let event = self.event(held.person, AccountEvent::Accepted, "", made, |_| {});
        let (invitation_row, patient_row, bed_row) =
            (accepted.encode(), record.encode(), beds::encode(patient, &bed));
        let mut puts = [rows.puts().as_slice(), event.puts().as_slice()].concat();
        puts.push((Table::Invitations, &held.person.0, &invitation_row));
        if is_patient {
            puts.push((Table::Patients, &patient.0, &patient_row));
            puts.push((Table::Beds, &patient.0, &bed_row));
        }
        self.tables.put(&puts)?;
        let mut books = self.books_mut();
        books.standings.keep(event);
        books.invitations.add(accepted);
        books.people.add(rows.account.clone());
        if is_patient {
            books.patients.add(record);
            books.beds.insert(patient, bed);
        }
        Ok(rows.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in vaults in the field: a changed form is a new version beside this one.
    #[test]
    fn the_form_of_an_invitation_is_that_of_version_1() {
        let of = |byte: u8| hex::encode([byte; 32]);
        for (state, code) in
            [(InvitationState::Open, 1), (InvitationState::Withdrawn, 2), (InvitationState::Accepted, 3)]
        {
            let invitation = Invitation {
                person: PersonId([7; 32]),
                role: Role::Patient,
                name: "Ada".into(),
                bed: "bed 7".into(),
                made: Made { by: Some(PersonId([8; 32])), at_ms: 24 },
                link: Link { hash: [9; 32], until_ms: 25 },
                state,
                form: [1; 16],
            };
            let wanted = format!(
                "8b01 5820{} 01 63416461 656265642037 5820{} 1818 5820{} 1819 50{} {code:02x}",
                of(7),
                of(8),
                of(9),
                "01".repeat(16)
            );
            let row = invitation.encode();
            assert_eq!(hex::encode(row.as_slice()), wanted.replace(' ', ""));
            assert_eq!(Invitation::read(&row), Ok(invitation));
        }
    }
}
