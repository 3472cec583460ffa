//! A link by which a person sets a new password: made by an administrator, used once.

use crate::error::VaultError;
use crate::sealed_tables::Table;
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use crate::vault::accounts::{Account, PasswordRow};
use crate::vault::standings::Link;
use vitals::ids::{Hash, PersonId};

impl Vault {
    /// Keeps a link to a new password; one before it stops working. The password stays until the link is used.
    ///
    /// # Errors
    /// [`VaultError::Stale`] if the account has changed since `seen`, [`VaultError::NoSigner`] for nobody,
    /// [`VaultError::NotSo`] for one who is suspended.
    pub fn offer_password(
        &self,
        person: PersonId,
        seen: u64,
        link: Link,
        made: Made,
    ) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.account_of(person).ok_or(VaultError::NoSigner)?;
        self.unchanged_since(person, seen)?;
        if self.is_suspended(person) {
            return Err(VaultError::NotSo);
        }
        let event = self.event(person, AccountEvent::ResetOffered, "", made, |standing| {
            standing.reset = Some(link);
        });
        self.put_event(event)
    }

    /// Whose new password a link sets, while it does.
    #[must_use]
    pub fn account_by_password_link(&self, hash: &Hash, now_ms: u64) -> Option<Account> {
        let (person, link) = self.books().standings.reset_by(hash)?;
        if now_ms < link.until_ms { self.account_of(person) } else { None }
    }

    /// Until when the person's link to a new password works, milliseconds; none if there is none.
    #[must_use]
    pub fn password_link_until_ms(&self, person: PersonId) -> Option<u64> {
        self.books().standings.of(person).reset.map(|link| link.until_ms)
    }

    /// Sets a new password by a link, which stops working.
    ///
    /// # Errors
    /// [`VaultError::NoLink`] unless the link works, [`VaultError::Unfit`] for a password that is none.
    pub fn set_password_by_link(
        &self,
        hash: &Hash,
        password: &str,
        at_ms: u64,
    ) -> Result<Account, VaultError> {
        // Hashed only for a link that works, and held against it once more under the lock.
        self.account_by_password_link(hash, at_ms).ok_or(VaultError::NoLink)?;
        let row = PasswordRow::make(self, password)?.encode();
        let _changing = self.changing();
        let account = self.account_by_password_link(hash, at_ms).ok_or(VaultError::NoLink)?;
        let made = Made { by: Some(account.person), at_ms };
        let event = self.event(account.person, AccountEvent::PasswordSet, "", made, |standing| {
            standing.reset = None;
        });
        let password = (Table::Passwords, account.person.0.as_slice(), row.as_slice());
        self.tables.put(&[[password].as_slice(), event.puts().as_slice()].concat())?;
        self.books_mut().standings.keep(event);
        Ok(account)
    }
}
