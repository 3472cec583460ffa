//! What an account signs in with beside its password: an authenticator app, and recovery codes for when the app is lost.
//!
//! One row holds both, so that they change in one step. It is read from the file when it is needed: no key of an app
//! stays in memory. An account without a row, as of a vault of an earlier build, has neither.

use crate::error::VaultError;
use crate::sealed_tables::{Put, Table};
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use crate::vault::passkeys::no_passkeys;
use crate::vault::totp::TotpKey;
use subtle::ConstantTimeEq;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Hash, PersonId, sha256};
use zeroize::Zeroizing;

const VERSION: u64 = 1;
/// Recovery codes that are made at a time.
pub const RECOVERY_CODES: usize = 10;
/// Domain of the hash under which the vault knows a recovery code.
pub const RECOVERY_HASH_LABEL: &[u8] = b"aceso/recovery/v1";

/// The hash of a recovery code: all that is kept of it. A code has 80 random bits, so that a plain hash hides it.
#[must_use]
pub fn recovery_hash(person: PersonId, code: &str) -> Hash {
    sha256(&[RECOVERY_HASH_LABEL, &person.0, code.as_bytes()])
}

/// What an account has beside its password, without any secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecondFactors {
    /// Since when an authenticator app is asked for at sign-in, milliseconds; none if none is.
    pub app_since_ms: Option<u64>,
    /// Recovery codes that were not used yet.
    pub codes_left: usize,
    /// When they were made, milliseconds.
    pub codes_made_ms: u64,
}

#[derive(Clone, PartialEq, Eq)]
struct App {
    key: TotpKey,
    since_ms: u64,
    /// Step of the last code that was taken.
    used_step: u64,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Row {
    app: Option<App>,
    codes_made_ms: u64,
    /// Hashes of those that were not used.
    codes: Vec<Hash>,
}

impl Row {
    fn encode(&self, person: PersonId) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION).bytes(&person.0);
        match &self.app {
            None => w.array(0),
            Some(app) => w.array(3).bytes(app.key.expose()).uint(app.since_ms).uint(app.used_step),
        };
        w.uint(self.codes_made_ms).array(self.codes.len());
        for code in &self.codes {
            w.bytes(code);
        }
        Zeroizing::new(w.finish())
    }

    fn read(row: &[u8], person: PersonId) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(5)?;
        r.exactly(VERSION)?;
        if r.fixed()? != person.0 {
            return Err(NotCanonical::Unexpected);
        }
        let app = match r.any_array()? {
            0 => None,
            3 => Some(App { key: TotpKey::new(r.fixed()?), since_ms: r.uint()?, used_step: r.uint()? }),
            _ => return Err(NotCanonical::Unexpected),
        };
        let codes_made_ms = r.uint()?;
        let codes = r.list(RECOVERY_CODES, Reader::fixed)?;
        r.end()?;
        Ok(Self { app, codes_made_ms, codes })
    }

    fn view(&self) -> SecondFactors {
        SecondFactors {
            app_since_ms: self.app.as_ref().map(|app| app.since_ms),
            codes_left: self.codes.len(),
            codes_made_ms: self.codes_made_ms,
        }
    }
}

/// Rows that leave an account nothing but its password.
pub(crate) struct FactorsReset {
    person: PersonId,
    second: Zeroizing<Vec<u8>>,
    passkeys: Zeroizing<Vec<u8>>,
}

impl FactorsReset {
    pub(crate) fn puts(&self) -> [Put<'_>; 2] {
        let id = &self.person.0;
        [(Table::SecondFactors, id, &self.second), (Table::Passkeys, id, &self.passkeys)]
    }
}

impl Vault {
    fn second_factors_row(&self, person: PersonId) -> Result<Row, VaultError> {
        let Some(row) = self.tables.get(Table::SecondFactors, &person.0)? else { return Ok(Row::default()) };
        let damaged = |_| VaultError::Damaged("the second factors of an account are not readable".into());
        Row::read(&row, person).map_err(damaged)
    }

    /// Writes the row, with a line of history if there is one. Call it under `changing`.
    fn put_second_factors(
        &self,
        person: PersonId,
        row: &Row,
        event: Option<(AccountEvent, Made)>,
    ) -> Result<(), VaultError> {
        let row = row.encode(person);
        let put = (Table::SecondFactors, person.0.as_slice(), row.as_slice());
        let Some((event, made)) = event else { return self.tables.put(&[put]) };
        let event = self.event(person, event, "", made, |_| {});
        self.tables.put(&[[put].as_slice(), event.puts().as_slice()].concat())?;
        self.books_mut().standings.keep(event);
        Ok(())
    }

    /// What an account has beside its password.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`].
    pub fn second_factors(&self, person: PersonId) -> Result<SecondFactors, VaultError> {
        Ok(self.second_factors_row(person)?.view())
    }

    /// An authenticator app is asked for from now on, in place of one before, and these are the recovery codes, in
    /// place of those before. `used_step` is that of the code which showed that the app has the key.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] for nobody; [`VaultError::Database`].
    pub fn put_app(
        &self,
        person: PersonId,
        key: &TotpKey,
        used_step: u64,
        codes: &[Hash; RECOVERY_CODES],
        at_ms: u64,
    ) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.account_of(person).ok_or(VaultError::NoSigner)?;
        let app = Some(App { key: key.clone(), since_ms: at_ms, used_step });
        let row = Row { app, codes_made_ms: at_ms, codes: codes.to_vec() };
        let made = Made { by: Some(person), at_ms };
        self.put_second_factors(person, &row, Some((AccountEvent::AppAdded, made)))
    }

    /// No authenticator app is asked for any more; the recovery codes end with it.
    ///
    /// # Errors
    /// [`VaultError::NotSo`] where none was asked for.
    pub fn remove_app(&self, person: PersonId, at_ms: u64) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.second_factors_row(person)?.app.ok_or(VaultError::NotSo)?;
        let made = Made { by: Some(person), at_ms };
        self.put_second_factors(person, &Row::default(), Some((AccountEvent::AppRemoved, made)))
    }

    /// Is this the code of the person's app now? It is right once: see [`TotpKey::step_of`].
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`]: then the code is still good.
    pub fn use_app_code(&self, person: PersonId, code: &str, now_ms: u64) -> Result<bool, VaultError> {
        let _changing = self.changing();
        let mut row = self.second_factors_row(person)?;
        let Some(app) = &mut row.app else { return Ok(false) };
        let Some(step) = app.key.step_of(code, Some(app.used_step), now_ms) else { return Ok(false) };
        app.used_step = step;
        self.put_second_factors(person, &row, None)?;
        Ok(true)
    }

    /// New recovery codes; those before stop working.
    ///
    /// # Errors
    /// [`VaultError::NotSo`] for an account without an authenticator app, which they stand in for.
    pub fn put_recovery_codes(
        &self,
        person: PersonId,
        codes: &[Hash; RECOVERY_CODES],
        at_ms: u64,
    ) -> Result<(), VaultError> {
        let _changing = self.changing();
        let row = self.second_factors_row(person)?;
        if row.app.is_none() {
            return Err(VaultError::NotSo);
        }
        let row = Row { codes_made_ms: at_ms, codes: codes.to_vec(), ..row };
        let made = Made { by: Some(person), at_ms };
        self.put_second_factors(person, &row, Some((AccountEvent::RecoveryCodesMade, made)))
    }

    /// Is this one of the recovery codes that were not used? It is used from then on, which the history says.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`]: then the code is still good.
    pub fn use_recovery_code(&self, person: PersonId, code: &Hash, at_ms: u64) -> Result<bool, VaultError> {
        let _changing = self.changing();
        let mut row = self.second_factors_row(person)?;
        let before = row.codes.len();
        row.codes.retain(|one| !bool::from(one.ct_eq(code)));
        if row.codes.len() == before {
            return Ok(false);
        }
        let made = Made { by: Some(person), at_ms };
        self.put_second_factors(person, &row, Some((AccountEvent::RecoveryCodeUsed, made)))?;
        Ok(true)
    }

    /// What leaves the account nothing but its password; none where it has nothing else. Call it under `changing`.
    pub(crate) fn factors_reset(&self, person: PersonId) -> Result<Option<FactorsReset>, VaultError> {
        let has_more = self.second_factors_row(person)? != Row::default()
            || !self.books().passkeys.of(person).is_empty();
        Ok(has_more.then(|| FactorsReset {
            person,
            second: Row::default().encode(person),
            passkeys: no_passkeys(person),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in vaults in the field: a changed form is a new version beside these.
    #[test]
    fn the_forms_of_second_factors_are_those_of_version_1() {
        let person = PersonId([7; 32]);
        let app = App { key: TotpKey::new([5; 20]), since_ms: 1_795_348_800_000, used_step: 59_844_960 };
        let full = Row { app: Some(app), codes_made_ms: 24, codes: vec![[1; 32], [2; 32]] };
        let of = |byte: u8| hex::encode([byte; 32]);
        for (row, wanted) in [
            (Row::default(), format!("8501 5820{} 80 00 80", of(7))),
            (
                full,
                format!(
                    "8501 5820{} 83 54{} 1b000001a20320a200 1a03912960 1818 82 5820{} 5820{}",
                    of(7),
                    "05".repeat(20),
                    of(1),
                    of(2)
                ),
            ),
        ] {
            let bytes = row.encode(person);
            assert_eq!(hex::encode(bytes.as_slice()), wanted.replace(' ', ""));
            assert!(Row::read(&bytes, person) == Ok(row));
            assert!(Row::read(&bytes, PersonId([8; 32])).is_err(), "another person's");
        }
    }
}
