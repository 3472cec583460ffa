//! Suspending an account at this organisation, and reinstating it.

use crate::error::VaultError;
use crate::vault::Vault;
use crate::vault::account_events::{AccountEvent, Made};
use crate::vault::standings::Suspension;
use vitals::body::TEXT_BYTES_MAX;
use vitals::ids::PersonId;
use vitals::ledger::Role;

/// A reason is at most [`TEXT_BYTES_MAX`] long, and says something where one is asked for.
fn fits(reason: &str) -> Result<(), VaultError> {
    if reason.trim().is_empty() {
        return Err(VaultError::Unfit("say why, in a few words"));
    }
    if reason.len() > TEXT_BYTES_MAX {
        return Err(VaultError::Unfit("the reason is longer than 256 bytes"));
    }
    Ok(())
}

impl Vault {
    /// Suspends an account at this organisation. `others` are administrators who can act by everything that the
    /// vault does not know; one of them who is not suspended must remain if an administrator is suspended.
    ///
    /// # Errors
    /// [`VaultError::Stale`] if the account has changed since `seen` ([`Vault::events_len`]),
    /// [`VaultError::LastAdministrator`], [`VaultError::NoSigner`] for nobody, [`VaultError::NotSo`] for one who is
    /// suspended, [`VaultError::Unfit`] for a reason that is none.
    pub fn suspend(
        &self,
        person: PersonId,
        seen: u64,
        reason: &str,
        others: &[PersonId],
        made: Made,
    ) -> Result<(), VaultError> {
        fits(reason)?;
        let _changing = self.changing();
        let account = self.account_of(person).ok_or(VaultError::NoSigner)?;
        self.unchanged_since(person, seen)?;
        if self.is_suspended(person) {
            return Err(VaultError::NotSo);
        }
        let remains = |other: &PersonId| *other != person && !self.is_suspended(*other);
        if account.role == Role::Administrator && !others.iter().any(remains) {
            return Err(VaultError::LastAdministrator);
        }
        let suspension = Suspension { made, reason: reason.into() };
        let event = self.event(person, AccountEvent::Suspended, reason, made, |standing| {
            standing.suspended = Some(suspension);
            // Whoever holds the link would come back with it.
            standing.reset = None;
        });
        self.put_event(event)
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// As [`Vault::suspend`]; [`VaultError::NotSo`] for one who is not suspended.
    pub fn reinstate(&self, person: PersonId, seen: u64, reason: &str, made: Made) -> Result<(), VaultError> {
        fits(reason)?;
        let _changing = self.changing();
        self.unchanged_since(person, seen)?;
        if !self.is_suspended(person) {
            return Err(VaultError::NotSo);
        }
        let event = self.event(person, AccountEvent::Reinstated, reason, made, |standing| {
            standing.suspended = None;
        });
        self.put_event(event)
    }
}
