//! How an account stands beside its login and password: suspended or not, the open link to a new password, when its
//! person signed in last; and the history of who changed it when.
//!
//! A change and its line in the history are written in one step. An account of a vault of an earlier build has no row
//! here: it stands as one that was never suspended, and its history begins with its next change.

use crate::error::VaultError;
use crate::sealed_tables::{Put, Table, Tables};
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, EventRecord, Made, read_made, write_made};
use std::collections::HashMap;
use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Hash, PersonId, sha256};
use zeroize::Zeroizing;

const VERSION: u64 = 1;
/// A sign-in is written down if the one written last is further away than this, milliseconds. In memory each counts.
const SIGN_IN_WRITTEN_EVERY_MS: u64 = 3_600_000;
/// Domain of the hash under which the vault knows a link.
pub const LINK_HASH_LABEL: &[u8] = b"aceso/link/v1";

/// The hash of a link's secret: all that is kept of it. A secret has 256 random bits, so that a plain hash hides it.
#[must_use]
pub fn link_hash(secret: &str) -> Hash {
    sha256(&[LINK_HASH_LABEL, secret.as_bytes()])
}

/// An account that is suspended at this organisation.
#[derive(Clone, PartialEq, Eq)]
pub struct Suspension {
    /// By whom, and since when.
    pub made: Made,
    /// Why.
    pub reason: String,
}

impl std::fmt::Debug for Suspension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suspension").field("made", &self.made).finish_non_exhaustive()
    }
}

/// A one-time link: the hash of its secret and its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// See [`link_hash`].
    pub hash: Hash,
    /// End (exclusive), milliseconds.
    pub until_ms: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("until_ms", &self.until_ms).finish_non_exhaustive()
    }
}

/// How an account stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Lines of its history.
    pub(crate) events: u64,
    pub(crate) suspended: Option<Suspension>,
    /// The link to a new password, while it is open.
    pub(crate) reset: Option<Link>,
}

impl Standing {
    fn encode(&self, person: PersonId) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION).bytes(&person.0).uint(self.events);
        match &self.suspended {
            None => {
                w.array(0);
            }
            Some(suspension) => {
                w.array(3);
                write_made(&mut w, suspension.made);
                w.text(&suspension.reason);
            }
        }
        match &self.reset {
            None => w.array(0),
            Some(link) => w.array(2).bytes(&link.hash).uint(link.until_ms),
        };
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8]) -> Result<(PersonId, Self), NotCanonical> {
        let mut r = Reader::new(row);
        r.array(5)?;
        r.exactly(VERSION)?;
        let (person, events) = (PersonId(r.fixed()?), r.uint()?);
        let suspended = match r.any_array()? {
            0 => None,
            3 => Some(Suspension { made: read_made(&mut r)?, reason: r.text(TEXT_BYTES_MAX)?.into() }),
            _ => return Err(NotCanonical::Unexpected),
        };
        let reset = match r.any_array()? {
            0 => None,
            2 => Some(Link { hash: r.fixed()?, until_ms: r.uint()? }),
            _ => return Err(NotCanonical::Unexpected),
        };
        r.end()?;
        Ok((person, Self { events, suspended, reset }))
    }
}

#[derive(Default)]
pub(crate) struct StandingBook {
    by_person: HashMap<PersonId, Standing>,
    by_reset: HashMap<Hash, PersonId>,
    signed_in_ms: HashMap<PersonId, u64>,
    sign_in_written_ms: HashMap<PersonId, u64>,
}

impl StandingBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        let damaged = |_| VaultError::Damaged("how an account stands is not readable".into());
        for row in tables.all(Table::Standings)? {
            let (person, standing) = Standing::read(&row).map_err(damaged)?;
            book.add(person, standing);
        }
        for row in tables.all(Table::SignIns)? {
            let (person, at_ms) = read_sign_in(&row).map_err(damaged)?;
            book.signed_in_ms.insert(person, at_ms);
            book.sign_in_written_ms.insert(person, at_ms);
        }
        Ok(book)
    }

    fn add(&mut self, person: PersonId, standing: Standing) {
        if let Some(before) = self.by_person.get(&person).and_then(|before| before.reset) {
            self.by_reset.remove(&before.hash);
        }
        if let Some(link) = standing.reset {
            self.by_reset.insert(link.hash, person);
        }
        self.by_person.insert(person, standing);
    }

    /// What was written stands.
    pub(crate) fn keep(&mut self, event: NotedEvent) {
        self.add(event.person, event.standing);
    }

    pub(crate) fn of(&self, person: PersonId) -> Standing {
        self.by_person.get(&person).cloned().unwrap_or_default()
    }

    /// Whose open link to a new password this is, whether or not it has ended.
    pub(crate) fn reset_by(&self, hash: &Hash) -> Option<(PersonId, Link)> {
        let person = *self.by_reset.get(hash)?;
        Some((person, self.by_person.get(&person)?.reset?))
    }
}

/// A change of how an account stands, with its line of history, to be written in one step.
pub(crate) struct NotedEvent {
    person: PersonId,
    standing: Standing,
    standing_row: Zeroizing<Vec<u8>>,
    event_id: [u8; 40],
    event_row: Zeroizing<Vec<u8>>,
}

impl NotedEvent {
    pub(crate) fn puts(&self) -> [Put<'_>; 2] {
        [
            (Table::Standings, &self.person.0, &self.standing_row),
            (Table::History, &self.event_id, &self.event_row),
        ]
    }
}

fn event_id(person: PersonId, number: u64) -> [u8; 40] {
    let mut id = [0; 40];
    id[..32].copy_from_slice(&person.0);
    id[32..].copy_from_slice(&number.to_be_bytes());
    id
}

fn read_sign_in(row: &[u8]) -> Result<(PersonId, u64), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(3)?;
    r.exactly(VERSION)?;
    let sign_in = (PersonId(r.fixed()?), r.uint()?);
    r.end()?;
    Ok(sign_in)
}

impl Vault {
    /// The next event of an account, and how it stands then. Call it under `changing`.
    pub(crate) fn event(
        &self,
        person: PersonId,
        event: AccountEvent,
        reason: &str,
        made: Made,
        change: impl FnOnce(&mut Standing),
    ) -> NotedEvent {
        let mut standing = self.books().standings.of(person);
        let event_id = event_id(person, standing.events);
        standing.events += 1;
        change(&mut standing);
        let record = EventRecord { made, event, reason: reason.into() };
        let (standing_row, event_row) = (standing.encode(person), record.encode());
        NotedEvent { person, standing, standing_row, event_id, event_row }
    }

    /// Writes an event that changes nothing but how the account stands. Call it under `changing`.
    pub(crate) fn put_event(&self, event: NotedEvent) -> Result<(), VaultError> {
        self.tables.put(&event.puts())?;
        self.books_mut().standings.keep(event);
        Ok(())
    }

    /// Refuses if the account's history is longer than the caller saw. Call it under `changing`.
    pub(crate) fn unchanged_since(&self, person: PersonId, seen: u64) -> Result<(), VaultError> {
        if self.events_len(person) == seen { Ok(()) } else { Err(VaultError::Stale) }
    }

    /// How many lines the history of an account has: grows with each change, so that a page can tell that it is old.
    #[must_use]
    pub fn events_len(&self, person: PersonId) -> u64 {
        self.books().standings.by_person.get(&person).map_or(0, |standing| standing.events)
    }

    /// The newest lines of an account's history, the newest first; `most` of them.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`].
    pub fn history_of(&self, person: PersonId, most: usize) -> Result<Vec<EventRecord>, VaultError> {
        let damaged = || VaultError::Damaged("the history of an account is not readable".into());
        let numbers = (0..self.events_len(person)).rev().take(most);
        let read = |number| {
            let row = self.tables.get(Table::History, &event_id(person, number))?.ok_or_else(damaged)?;
            EventRecord::read(&row).map_err(|_| damaged())
        };
        numbers.map(read).collect()
    }

    /// The account is suspended here, and why.
    #[must_use]
    pub fn suspension_of(&self, person: PersonId) -> Option<Suspension> {
        self.books().standings.by_person.get(&person)?.suspended.clone()
    }

    /// Is the account suspended here?
    #[must_use]
    pub fn is_suspended(&self, person: PersonId) -> bool {
        self.books().standings.by_person.get(&person).is_some_and(|one| one.suspended.is_some())
    }

    /// Notes that an administrator ended sessions.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] for nobody; [`VaultError::Database`].
    pub fn note_sessions_ended(&self, person: PersonId, made: Made) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.account_of(person).ok_or(VaultError::NoSigner)?;
        self.put_event(self.event(person, AccountEvent::SessionsEnded, "", made, |_| {}))
    }

    /// Notes when a person signed in. After a restart an earlier sign-in may stand, by an hour at most.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub fn note_sign_in(&self, person: PersonId, at_ms: u64) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.books_mut().standings.signed_in_ms.insert(person, at_ms);
        let written_ms = self.books().standings.sign_in_written_ms.get(&person).copied();
        if written_ms.is_some_and(|written_ms| at_ms.abs_diff(written_ms) < SIGN_IN_WRITTEN_EVERY_MS) {
            return Ok(());
        }
        let mut w = Writer::new();
        w.array(3).uint(VERSION).bytes(&person.0).uint(at_ms);
        self.tables.put(&[(Table::SignIns, &person.0, &w.finish())])?;
        self.books_mut().standings.sign_in_written_ms.insert(person, at_ms);
        Ok(())
    }

    /// When a person signed in last, milliseconds; none if that was before this was noted.
    #[must_use]
    pub fn signed_in_ms(&self, person: PersonId) -> Option<u64> {
        self.books().standings.signed_in_ms.get(&person).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in vaults in the field: a changed form is a new version beside these.
    #[test]
    fn the_forms_of_rows_are_those_of_version_1() {
        let person = PersonId([7; 32]);
        let made = Made { by: Some(PersonId([8; 32])), at_ms: 1_795_348_800_000 };
        let plain = Standing { events: 2, ..Standing::default() };
        let link = Link { hash: [9; 32], until_ms: 1_795_348_900_000 };
        let full = Standing {
            events: 3,
            suspended: Some(Suspension { made, reason: "left".into() }),
            reset: Some(link),
        };
        let of = |byte: u8| hex::encode([byte; 32]);
        let standings = [
            (plain, format!("8501 5820{} 02 80 80", of(7))),
            (
                full,
                format!(
                    "8501 5820{} 03 83 5820{} 1b000001a20320a200 646c656674 82 5820{} 1b000001a2032228a0",
                    of(7),
                    of(8),
                    of(9)
                ),
            ),
        ];
        for (standing, wanted) in standings {
            let row = standing.encode(person);
            assert_eq!(hex::encode(row.as_slice()), wanted.replace(' ', ""));
            assert_eq!(Standing::read(&row), Ok((person, standing)));
        }
    }
}
