//! Passkeys of accounts: which there are, whose, and how often each has signed. Public keys only; whoever verifies a
//! signature is not the vault's business.
//!
//! One row holds all passkeys of a person, so that one that is removed is gone. An account without a row, as of a vault
//! of an earlier build, has none.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use crate::vault::accounts::Account;
use std::collections::HashMap;
use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::PersonId;
use zeroize::Zeroizing;

const VERSION: u64 = 1;
/// Most passkeys of one account.
pub const PASSKEYS_MAX: usize = 10;
/// Longest id of a credential, bytes (Web Authentication, section 4).
const ID_BYTES_MAX: usize = 1023;
/// Longest public key as COSE, bytes: RSA of 4,096 bits.
const KEY_BYTES_MAX: usize = 528;
/// Longest name of a host, bytes.
const RP_ID_BYTES_MAX: usize = 253;
/// A use that counted nothing is written down if the one written last is further away than this, milliseconds. In
/// memory each counts.
const USE_WRITTEN_EVERY_MS: u64 = 3_600_000;
const BACKUP_ELIGIBLE: u64 = 1;
const BACKED_UP: u64 = 2;

/// A passkey of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Id of the credential, chosen by the authenticator.
    pub id: Vec<u8>,
    /// The name of this site that it belongs to; it cannot be used under another one.
    pub rp_id: String,
    /// Public key as COSE.
    pub key: Vec<u8>,
    /// The authenticator's count of signatures when it was used last; 0 where it keeps none.
    pub sign_count: u32,
    /// Can it be copied to other devices? That never changes.
    pub backup_eligible: bool,
    /// Was it, when it was used last?
    pub backed_up: bool,
    /// What its person calls it.
    pub name: String,
    /// When it was added, milliseconds.
    pub added_ms: u64,
    /// When it was used last, milliseconds; after a restart an earlier use may stand, by an hour at most.
    pub used_ms: Option<u64>,
}

/// Names stay out of logs.
impl std::fmt::Debug for Passkey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passkey").field("sign_count", &self.sign_count).finish_non_exhaustive()
    }
}

/// What a use of a passkey says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasskeyUse {
    /// The authenticator's count of signatures.
    pub sign_count: u32,
    /// Is there a copy elsewhere?
    pub backed_up: bool,
    /// When, milliseconds.
    pub at_ms: u64,
}

fn encode(person: PersonId, passkeys: &[Passkey]) -> Zeroizing<Vec<u8>> {
    let mut w = Writer::new();
    w.array(3).uint(VERSION).bytes(&person.0).array(passkeys.len());
    for one in passkeys {
        let flags = u64::from(one.backup_eligible) * BACKUP_ELIGIBLE + u64::from(one.backed_up) * BACKED_UP;
        w.array(8).bytes(&one.id).text(&one.rp_id).bytes(&one.key).uint(one.sign_count.into()).uint(flags);
        w.text(&one.name).uint(one.added_ms);
        match one.used_ms {
            None => w.array(0),
            Some(used_ms) => w.array(1).uint(used_ms),
        };
    }
    Zeroizing::new(w.finish())
}

fn read(row: &[u8]) -> Result<(PersonId, Vec<Passkey>), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(3)?;
    r.exactly(VERSION)?;
    let person = PersonId(r.fixed()?);
    let passkeys = r.list(PASSKEYS_MAX, read_one)?;
    r.end()?;
    Ok((person, passkeys))
}

fn read_one(r: &mut Reader<'_>) -> Result<Passkey, NotCanonical> {
    r.array(8)?;
    let (id, rp_id) = (r.bytes(ID_BYTES_MAX)?.into(), r.text(RP_ID_BYTES_MAX)?.into());
    let (key, sign_count) = (r.bytes(KEY_BYTES_MAX)?.into(), r.u32()?);
    let flags = r.uint_max(BACKUP_ELIGIBLE | BACKED_UP)?;
    let (name, added_ms) = (r.text(TEXT_BYTES_MAX)?.into(), r.uint()?);
    let used_ms = match r.any_array()? {
        0 => None,
        1 => Some(r.uint()?),
        _ => return Err(NotCanonical::Unexpected),
    };
    let (backup_eligible, backed_up) = (flags & BACKUP_ELIGIBLE != 0, flags & BACKED_UP != 0);
    Ok(Passkey { id, rp_id, key, sign_count, backup_eligible, backed_up, name, added_ms, used_ms })
}

/// The row of an account without passkeys.
pub(crate) fn no_passkeys(person: PersonId) -> Zeroizing<Vec<u8>> {
    encode(person, &[])
}

#[derive(Default)]
pub(crate) struct PasskeyBook {
    by_person: HashMap<PersonId, Vec<Passkey>>,
    by_id: HashMap<Vec<u8>, PersonId>,
    written_ms: HashMap<Vec<u8>, u64>,
}

impl PasskeyBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Passkeys)? {
            let damaged = |_| VaultError::Damaged("the passkeys of an account are not readable".into());
            let (person, passkeys) = read(&row).map_err(damaged)?;
            book.set(person, passkeys);
        }
        Ok(book)
    }

    /// What was written of a person stands.
    pub(crate) fn set(&mut self, person: PersonId, passkeys: Vec<Passkey>) {
        for one in self.by_person.remove(&person).unwrap_or_default() {
            self.by_id.remove(&one.id);
            self.written_ms.remove(&one.id);
        }
        for one in &passkeys {
            self.by_id.insert(one.id.clone(), person);
            self.written_ms.insert(one.id.clone(), one.used_ms.unwrap_or(0));
        }
        self.by_person.insert(person, passkeys);
    }

    pub(crate) fn of(&self, person: PersonId) -> &[Passkey] {
        self.by_person.get(&person).map_or(&[], Vec::as_slice)
    }
}

impl Vault {
    /// The passkeys of a person, in the order in which they were added.
    #[must_use]
    pub fn passkeys_of(&self, person: PersonId) -> Vec<Passkey> {
        self.books().passkeys.of(person).to_vec()
    }

    /// What authenticators know an account by: the same for all its passkeys, and nothing that anybody else knows.
    #[must_use]
    pub fn passkey_handle(&self, person: PersonId) -> [u8; 32] {
        self.tables.pseudonym(Table::Passkeys, &person.0)
    }

    /// Whose passkey this is, and it.
    #[must_use]
    pub fn passkey(&self, id: &[u8]) -> Option<(Account, Passkey)> {
        let (person, passkey) = {
            let books = self.books();
            let person = *books.passkeys.by_id.get(id)?;
            (person, books.passkeys.of(person).iter().find(|one| one.id == id)?.clone())
        };
        Some((self.account_of(person)?, passkey))
    }

    fn put_passkeys(
        &self,
        person: PersonId,
        passkeys: Vec<Passkey>,
        event: Option<(AccountEvent, &str, u64)>,
    ) -> Result<(), VaultError> {
        let row = encode(person, &passkeys);
        let put = (Table::Passkeys, person.0.as_slice(), row.as_slice());
        let event = event.map(|(event, name, at_ms)| {
            self.event(person, event, name, Made { by: Some(person), at_ms }, |_| {})
        });
        let mut puts = vec![put];
        puts.extend(event.iter().flat_map(|event| event.puts()));
        self.tables.put(&puts)?;
        let mut books = self.books_mut();
        if let Some(event) = event {
            books.standings.keep(event);
        }
        books.passkeys.set(person, passkeys);
        Ok(())
    }

    /// Keeps a passkey that its person made.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] for nobody; [`VaultError::PasskeyTaken`] for one that an account has already;
    /// [`VaultError::Unfit`] beyond [`PASSKEYS_MAX`], or for what is over its bound.
    pub fn add_passkey(&self, person: PersonId, passkey: Passkey) -> Result<(), VaultError> {
        check_name(&passkey.name)?;
        let is_sized = (1..=ID_BYTES_MAX).contains(&passkey.id.len())
            && passkey.key.len() <= KEY_BYTES_MAX
            && passkey.rp_id.len() <= RP_ID_BYTES_MAX;
        if !is_sized {
            return Err(VaultError::Unfit("the passkey is larger than any that the standard knows"));
        }
        let _changing = self.changing();
        self.account_of(person).ok_or(VaultError::NoSigner)?;
        let mut held = self.passkeys_of(person);
        if self.books().passkeys.by_id.contains_key(&passkey.id) {
            return Err(VaultError::PasskeyTaken);
        }
        if held.len() >= PASSKEYS_MAX {
            return Err(VaultError::Unfit("an account has ten passkeys at most: remove one first"));
        }
        let (name, at_ms) = (passkey.name.clone(), passkey.added_ms);
        held.push(passkey);
        self.put_passkeys(person, held, Some((AccountEvent::PasskeyAdded, &name, at_ms)))
    }

    /// Removes a passkey of a person.
    ///
    /// # Errors
    /// [`VaultError::NotSo`] if the person has no such passkey.
    pub fn remove_passkey(&self, person: PersonId, id: &[u8], at_ms: u64) -> Result<(), VaultError> {
        let _changing = self.changing();
        let mut held = self.passkeys_of(person);
        let at = held.iter().position(|one| one.id == id).ok_or(VaultError::NotSo)?;
        let name = held.remove(at).name;
        self.put_passkeys(person, held, Some((AccountEvent::PasskeyRemoved, &name, at_ms)))
    }

    /// Gives a passkey of a person another name.
    ///
    /// # Errors
    /// [`VaultError::NotSo`] if the person has no such passkey; [`VaultError::Unfit`] for a name that is none.
    pub fn rename_passkey(&self, person: PersonId, id: &[u8], name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        let _changing = self.changing();
        let mut held = self.passkeys_of(person);
        let one = held.iter_mut().find(|one| one.id == id).ok_or(VaultError::NotSo)?;
        one.name = name.into();
        self.put_passkeys(person, held, None)
    }

    /// Notes that a passkey was used, if its count of signatures went on: two that count on from the same number are
    /// copies of one another. Where neither count is above 0, the authenticator keeps none.
    ///
    /// # Errors
    /// [`VaultError::CountWentBack`], which the history says; [`VaultError::NotSo`] if the person has no such passkey.
    pub fn use_passkey(&self, person: PersonId, id: &[u8], used: PasskeyUse) -> Result<(), VaultError> {
        let _changing = self.changing();
        let mut held = self.passkeys_of(person);
        let written_ms = self.books().passkeys.written_ms.get(id).copied().unwrap_or(0);
        let one = held.iter_mut().find(|one| one.id == id).ok_or(VaultError::NotSo)?;
        if (used.sign_count != 0 || one.sign_count != 0) && used.sign_count <= one.sign_count {
            let (name, at_ms) = (one.name.clone(), used.at_ms);
            self.put_passkeys(person, held, Some((AccountEvent::PasskeyRefused, &name, at_ms)))?;
            return Err(VaultError::CountWentBack);
        }
        let changes = used.sign_count != one.sign_count || used.backed_up != one.backed_up;
        one.used_ms = Some(used.at_ms);
        (one.sign_count, one.backed_up) = (used.sign_count, used.backed_up);
        if changes || used.at_ms.abs_diff(written_ms) >= USE_WRITTEN_EVERY_MS {
            return self.put_passkeys(person, held, None);
        }
        // In memory only: what was written last stays the time to measure from.
        if let Some(of) = self.books_mut().passkeys.by_person.get_mut(&person) {
            *of = held;
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), VaultError> {
    if name.is_empty() {
        return Err(VaultError::Unfit("the passkey has no name"));
    }
    if name.len() > TEXT_BYTES_MAX {
        return Err(VaultError::Unfit("the name is longer than 256 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in vaults in the field: a changed form is a new version beside this one.
    #[test]
    fn the_form_of_passkeys_is_that_of_version_1() {
        let person = PersonId([7; 32]);
        let passkey = Passkey {
            id: vec![1, 2],
            rp_id: "ward".into(),
            key: vec![3],
            sign_count: 24,
            backup_eligible: true,
            backed_up: false,
            name: "Phone".into(),
            added_ms: 25,
            used_ms: None,
        };
        let used = Passkey { backed_up: true, used_ms: Some(26), ..passkey.clone() };
        let of = hex::encode([7; 32]);
        let one = "88 420102 6477617264 4103 1818 01 6550686f6e65 1819 80";
        let other = "88 420102 6477617264 4103 1818 03 6550686f6e65 1819 81181a";
        for (passkeys, wanted) in [
            (vec![], format!("8301 5820{of} 80")),
            (vec![passkey.clone(), used], format!("8301 5820{of} 82 {one} {other}")),
        ] {
            let row = encode(person, &passkeys);
            assert_eq!(hex::encode(row.as_slice()), wanted.replace(' ', ""));
            assert_eq!(read(&row), Ok((person, passkeys)));
        }
        assert_eq!(no_passkeys(person), encode(person, &[]));
    }
}
