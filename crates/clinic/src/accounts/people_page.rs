//! The people of this organisation as its administrators see them: accounts and invitations, how each stands, open
//! sessions, history. Nothing clinical.

use super::sessions::{Session, SessionView};
use crate::clinic::Clinic;
use crate::errors::{ClinicError, Denied};
use std::collections::HashMap;
use vault::{Account, AccountEvent, Invitation, InvitationState, Suspension};
use vitals::PersonId;
use vitals::ledger::Role;

silent_debug!(PersonLine, PersonPage, EventLine);

/// Most lines of an account's history that its page shows.
const EVENTS_SHOWN_MAX: usize = 100;

/// How somebody stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonState {
    /// Invited; the link works until then.
    Invited {
        /// End of the link, milliseconds.
        until_ms: u64,
    },
    /// Invited; the link has ended unused.
    InvitationEnded {
        /// When, milliseconds.
        at_ms: u64,
    },
    /// The invitation was withdrawn.
    InvitationWithdrawn,
    /// The account is made, and the ledger has not confirmed it yet.
    Unconfirmed,
    /// May sign in and act.
    Active,
    /// Suspended at this organisation.
    Suspended(Suspension),
    /// Suspended on the ledger, which is for good.
    EndedOnLedger,
}

/// One of the people.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonLine {
    /// On the ledger.
    pub person: PersonId,
    /// Name; of somebody invited the suggested one.
    pub name: String,
    /// Login; empty for somebody invited.
    pub login: String,
    /// Role.
    pub role: Role,
    /// How they stand.
    pub state: PersonState,
    /// Open sessions.
    pub sessions: usize,
    /// When they signed in last, milliseconds, as far as it was noted.
    pub signed_in_ms: Option<u64>,
    /// Does the vault keep the signing key?
    pub vault_kept: bool,
}

/// One line of an account's history.
#[derive(Clone, PartialEq, Eq)]
pub struct EventLine {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Who, by name; none for the operator of the node.
    pub by: Option<String>,
    /// The person did it.
    pub by_self: bool,
    /// What.
    pub event: AccountEvent,
    /// Why; empty where no reason is asked for.
    pub reason: String,
}

/// One of the people, with what an administrator may do.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonPage {
    /// The line of the list.
    pub line: PersonLine,
    /// A patient's bed.
    pub bed: String,
    /// How often the account was changed: what is done on a page that is older than that is refused.
    pub seen: u64,
    /// Is it the administrator who looks?
    pub is_self: bool,
    /// Until when a link to a new password works, milliseconds; none if none does.
    pub password_link_until_ms: Option<u64>,
    /// Open sessions, the newest first.
    pub sessions: Vec<SessionView>,
    /// History, the newest first.
    pub history: Vec<EventLine>,
}

impl Clinic {
    /// May this session change accounts?
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators.
    pub fn may_administer(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.administering(session, now_ms).map(drop)
    }

    /// Everybody with an account here, and everybody invited, by name.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators.
    pub fn people(&self, session: &Session, now_ms: u64) -> Result<Vec<PersonLine>, ClinicError> {
        self.administering(session, now_ms)?;
        let sessions = self.sessions.counts(now_ms);
        let accounts = self.vault().accounts().into_iter();
        let mut lines: Vec<PersonLine> =
            accounts.map(|account| self.account_line(account, &sessions)).collect();
        lines.extend(self.vault().invitations().into_iter().map(|one| invitation_line(one, now_ms)));
        lines.sort_by_cached_key(|line| (line.name.to_lowercase(), line.login.clone(), line.person));
        Ok(lines)
    }

    fn account_line(&self, account: Account, sessions: &HashMap<PersonId, usize>) -> PersonLine {
        let on_ledger = self.ledger().person(account.person).ok().flatten();
        let state = match (self.vault().suspension_of(account.person), &on_ledger) {
            (_, Some(one)) if one.suspended_at_ms != 0 => PersonState::EndedOnLedger,
            (Some(suspension), _) => PersonState::Suspended(suspension),
            (None, None) => PersonState::Unconfirmed,
            (None, Some(_)) => PersonState::Active,
        };
        PersonLine {
            person: account.person,
            sessions: sessions.get(&account.person).copied().unwrap_or(0),
            signed_in_ms: self.vault().signed_in_ms(account.person),
            name: account.name,
            login: account.login,
            role: account.role,
            state,
            vault_kept: on_ledger.is_none_or(|one| one.vault_kept),
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators, and for an id that is nobody's.
    pub fn person_page(
        &self,
        session: &Session,
        person: PersonId,
        now_ms: u64,
    ) -> Result<PersonPage, ClinicError> {
        self.administering(session, now_ms)?;
        // First, so that what is shown is not newer than the number that stands for it.
        let seen = self.vault().events_len(person);
        let sessions = self.sessions.of(person, now_ms);
        let (line, bed) = match (self.vault().account_of(person), self.vault().invitation_of(person)) {
            (Some(account), _) => {
                let patient = self.vault().patient_of(person);
                let bed = patient.map(|patient| self.vault().bed(patient.id).place).unwrap_or_default();
                (self.account_line(account, &HashMap::from([(person, sessions.len())])), bed)
            }
            (None, Some(one)) => (invitation_line(one.clone(), now_ms), one.bed),
            (None, None) => return Err(self.denied(Denied::NoSuchAccount)),
        };
        let name_of = |by: PersonId| self.vault().account_of(by).map(|account| account.name);
        let events = self.vault().history_of(person, EVENTS_SHOWN_MAX)?.into_iter();
        let history = events.map(|one| EventLine {
            at_ms: one.made.at_ms,
            by: one.made.by.and_then(name_of),
            by_self: one.made.by == Some(person),
            event: one.event,
            reason: one.reason,
        });
        let history = history.collect();
        let password_link_until_ms =
            self.vault().password_link_until_ms(person).filter(|until_ms| now_ms < *until_ms);
        let is_self = session.person == person;
        Ok(PersonPage { line, bed, seen, is_self, password_link_until_ms, sessions, history })
    }
}

fn invitation_line(one: Invitation, now_ms: u64) -> PersonLine {
    let state = match one.state {
        InvitationState::Withdrawn => PersonState::InvitationWithdrawn,
        InvitationState::Open | InvitationState::Accepted if now_ms < one.link.until_ms => {
            PersonState::Invited { until_ms: one.link.until_ms }
        }
        InvitationState::Open | InvitationState::Accepted => {
            PersonState::InvitationEnded { at_ms: one.link.until_ms }
        }
    };
    PersonLine {
        person: one.person,
        name: one.name,
        login: String::new(),
        role: one.role,
        state,
        sessions: 0,
        signed_in_ms: None,
        vault_kept: true,
    }
}
