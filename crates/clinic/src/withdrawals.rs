//! Withdrawn consents on their way to the ledger. At this node they count at once; elsewhere from the
//! block that holds them, so one that stays away raises a technical alarm.

use crate::clinic::{Clinic, lock};
use std::collections::BTreeMap;
use vitals::GrantId;
use vitals::ids::Hash;
use vitals::ledger::{Act, Outcome};

/// A withdrawal that is not on the ledger after this many blocks is late.
pub const LATE_BLOCKS: u64 = 20;

/// One withdrawal that the ledger does not hold yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnItsWay {
    /// Height of the ledger when it was given (or this node started).
    since_height: u64,
    late: bool,
}

/// Those on their way, by consent.
pub(crate) type Withdrawals = BTreeMap<GrantId, OnItsWay>;

impl Clinic {
    /// The ledger is to hold this withdrawal from now on.
    pub(crate) fn expect_withdrawal(&self, grant: GrantId) {
        let since_height = self.ledger().tip().height;
        lock(&self.withdrawals).entry(grant).or_insert(OnItsWay { since_height, late: false });
    }

    /// Withdrawals given before this node stopped may still be on their way.
    pub(crate) fn expect_withdrawals_again(&self) {
        let withdrawn = lock(&self.withdrawn).clone();
        for grant in withdrawn {
            let there = self.ledger().grant(grant);
            if there.map_or(true, |there| there.is_some_and(|there| there.revoked_at_ms == 0)) {
                self.expect_withdrawal(grant);
            }
        }
    }

    /// Forgets what has arrived, and says aloud what is late.
    pub(crate) fn watch_withdrawals(&self) {
        let waiting: Vec<GrantId> = lock(&self.withdrawals).keys().copied().collect();
        if waiting.is_empty() {
            return;
        }
        let height = self.ledger().tip().height;
        let arrived: Vec<GrantId> = waiting.into_iter().filter(|grant| self.is_over(*grant)).collect();
        let mut newly_late: u64 = 0;
        {
            let mut withdrawals = lock(&self.withdrawals);
            for grant in arrived {
                withdrawals.remove(&grant);
            }
            for one in withdrawals.values_mut() {
                if !one.late && height.saturating_sub(one.since_height) >= LATE_BLOCKS {
                    one.late = true;
                    newly_late += 1;
                }
            }
        }
        if newly_late != 0 {
            lock(&self.stats).counters.withdrawals_late += newly_late;
            tracing::error!(
                count = newly_late,
                "{newly_late} withdrawn consents are not on the ledger after {LATE_BLOCKS} blocks: other organisations may not know"
            );
        }
    }

    /// Does the ledger hold the withdrawal, or can the consent no longer arrive?
    fn is_over(&self, grant: GrantId) -> bool {
        match self.ledger().grant(grant) {
            Ok(Some(there)) => there.revoked_at_ms != 0,
            Ok(None) => !self.may_arrive(grant),
            Err(_) => false,
        }
    }

    /// Is the consent itself, or the burning of its nonce, under way?
    fn may_arrive(&self, grant: GrantId) -> bool {
        let id = |patient, nonce: &Hash| vitals::eip712::grant_id(patient, nonce);
        lock(&self.acts).under_way().any(|(act, outcome)| {
            let same = match act {
                Act::Grant(signed) => id(signed.message.patient, &signed.message.nonce) == grant,
                Act::BurnGrant { patient, nonce, .. } => id(*patient, nonce) == grant,
                _ => false,
            };
            same && !matches!(outcome, Outcome::Refused { .. })
        })
    }

    /// How many withdrawals the ledger does not hold yet, and how many of them are late.
    pub(crate) fn withdrawals_under_way(&self) -> (usize, usize) {
        let withdrawals = lock(&self.withdrawals);
        (withdrawals.len(), withdrawals.values().filter(|one| one.late).count())
    }

    pub(crate) fn is_late(&self, grant: GrantId) -> bool {
        lock(&self.withdrawals).get(&grant).is_some_and(|one| one.late)
    }
}
