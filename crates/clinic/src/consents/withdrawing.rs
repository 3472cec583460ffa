//! Withdrawals pursued until the ledger holds them.

use super::closed::is_closed;
use super::grants::{RELAY_MS, WITHDRAWAL};
use super::withdrawals::LATE_BLOCKS;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vitals::GrantId;
use vitals::ids::Hash;
use vitals::ledger::{Act, Outcome};

impl Clinic {
    /// Withdrawals that the ledger did not take, or that a restart lost on their way to it, go again; those
    /// that are settled are not asked about any more.
    pub(crate) fn hand_in_withdrawals(&self, now_ms: u64) {
        let Some(under_way) = self.acts.withdrawals_due(now_ms) else { return };
        let tip_ms = self.ledger().tip().time_ms;
        let mut settled = Vec::new();
        for (grant, since_ms) in self.withdrawals.open() {
            match self.ledger().grant(grant) {
                Ok(Some(there)) if is_closed(&there, tip_ms) => settled.push(grant),
                Ok(Some(_)) if !under_way.contains(&grant) => self.hand_in_withdrawal(grant, now_ms),
                // It never arrived, and what is signed so long ago is refused.
                Ok(None) if tip_ms >= since_ms.saturating_add(RELAY_MS) && !self.may_arrive(grant) => {
                    settled.push(grant);
                }
                Ok(_) | Err(_) => {}
            }
        }
        self.withdrawals.forget(&settled);
    }

    pub(super) fn hand_in_withdrawal(&self, grant: GrantId, now_ms: u64) {
        let patient = self.vault().terms(grant).and_then(|record| self.vault().patient(record.patient));
        let Some(patient) = patient else { return };
        let digest = self.ledger().revocation_digest(grant);
        let signed = self.vault().sign_as(patient.person, &digest).map_err(ClinicError::from);
        let handed_in = signed.and_then(|signature| {
            let act = Act::RevokeGrant { grant, signature: signature.to_vec() };
            self.submit(act, WITHDRAWAL, now_ms)
        });
        if let Err(why) = handed_in {
            tracing::warn!(reason = %why, "A withdrawal of a consent is not with the ledger yet");
        }
    }

    /// The ledger is to hold this withdrawal from now on.
    pub(crate) fn expect_withdrawal(&self, grant: GrantId) {
        let since_height = self.ledger().tip().height;
        self.withdrawals.expect(grant, since_height);
    }

    /// Withdrawals given before this node stopped may still be on their way. What the ledger holds, or what
    /// is over by itself, is not asked about again.
    pub(crate) fn expect_withdrawals_again(&self) {
        let tip_ms = self.ledger().tip().time_ms;
        let mut settled = Vec::new();
        for (grant, _) in self.withdrawals.open() {
            match self.ledger().grant(grant) {
                Ok(Some(there)) if is_closed(&there, tip_ms) => settled.push(grant),
                Ok(Some(_)) | Err(_) => self.expect_withdrawal(grant),
                Ok(None) => {}
            }
        }
        self.withdrawals.forget(&settled);
    }

    /// Forgets what has arrived, and logs what is late.
    pub(crate) fn watch_withdrawals(&self) {
        let waiting = self.withdrawals.under_way();
        if waiting.is_empty() {
            return;
        }
        let height = self.ledger().tip().height;
        let arrived: Vec<GrantId> = waiting.into_iter().filter(|grant| self.is_over(*grant)).collect();
        let newly_late = self.withdrawals.settle(&arrived, height);
        if newly_late != 0 {
            self.stats.count(|counters| counters.withdrawals_late += newly_late);
            tracing::error!(
                count = newly_late,
                "{newly_late} withdrawn consents are not on the ledger after {LATE_BLOCKS} blocks: other organisations may not know"
            );
        }
    }

    /// Does the ledger hold the withdrawal, or can the consent no longer arrive?
    fn is_over(&self, grant: GrantId) -> bool {
        match self.ledger().grant(grant) {
            Ok(Some(there)) => is_closed(&there, self.ledger().tip().time_ms),
            Ok(None) => !self.may_arrive(grant),
            Err(_) => false,
        }
    }

    /// Is the consent itself, or the burning of its nonce, under way?
    fn may_arrive(&self, grant: GrantId) -> bool {
        let id = |patient, nonce: &Hash| vitals::eip712::grant_id(patient, nonce);
        self.acts.any_under_way(|act, outcome| {
            let same = match act {
                Act::Grant(signed) => id(signed.message.patient, &signed.message.nonce) == grant,
                Act::BurnGrant { patient, nonce, .. } => id(*patient, nonce) == grant,
                _ => false,
            };
            same && !matches!(outcome, Outcome::Refused { .. })
        })
    }
}
