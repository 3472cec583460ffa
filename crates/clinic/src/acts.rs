//! Acts handed to the ledger that are not final yet. Owns its lock; the ledger is asked without it.

use parking_lot::Mutex;
use std::collections::VecDeque;
use vitals::GrantId;
use vitals::eip712::grant_id;
use vitals::ledger::{Act, ActId, ConsentMessage, Ledger, LedgerError, Outcome};

/// Acts kept under way or refused.
pub const ACTS_MAX: usize = 1024;
/// An act the ledger lost is handed in again after this long.
pub(crate) const RESUBMIT_MS: u64 = 5_000;
/// A refused act stays on the administrator's page for this long.
const SHOW_REFUSED_MS: u64 = 10 * 60_000;

/// Names an act handed to the ledger; `settle` says what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The act at the ledger.
    pub act: ActId,
    /// What it is, e.g. `consent`.
    pub what: &'static str,
}

/// An act that has not become final yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAct {
    /// Its name at the ledger.
    pub act: ActId,
    /// What it is, e.g. `consent`, `anchor`, `device registration`.
    pub what: &'static str,
    /// When it was handed in, milliseconds.
    pub since_ms: u64,
    /// Where it stands.
    pub outcome: Outcome,
}

#[derive(Clone)]
struct Pending {
    ticket: Ticket,
    act: Act,
    since_ms: u64,
    tried_ms: u64,
    outcome: Outcome,
}

#[derive(Default)]
struct Kept {
    pending: VecDeque<Pending>,
    /// When withdrawals were last held against the ledger.
    withdrawals_ms: u64,
}

/// Acts handed to the ledger that are not final yet.
#[derive(Default)]
pub(crate) struct Acts(Mutex<Kept>);

impl Acts {
    /// Hands an act in, and keeps it until it is final.
    pub(crate) fn submit(
        &self,
        ledger: &dyn Ledger,
        act: Act,
        what: &'static str,
        now_ms: u64,
    ) -> Result<Ticket, LedgerError> {
        let ticket = Ticket { act: ledger.submit(act.clone())?, what };
        let mut kept = self.0.lock();
        if kept.pending.len() == ACTS_MAX {
            kept.pending.pop_front();
        }
        let outcome = Outcome::Pending;
        kept.pending.push_back(Pending { ticket, act, since_ms: now_ms, tried_ms: now_ms, outcome });
        Ok(ticket)
    }

    /// Forgets acts that are final, hands in again what the ledger lost. Gives the consents that the ledger has
    /// decided on.
    pub(crate) fn settle(&self, ledger: &dyn Ledger, now_ms: u64) -> Vec<(GrantId, Outcome)> {
        let before: Vec<Pending> = self.0.lock().pending.iter().cloned().collect();
        let settled = before.into_iter().map(|mut pending| {
            let known_as = pending.ticket.act;
            pending.outcome = ledger.outcome(known_as);
            let lost =
                pending.outcome == Outcome::Unknown && now_ms.saturating_sub(pending.tried_ms) >= RESUBMIT_MS;
            if lost {
                pending.tried_ms = now_ms;
                if let Ok(act) = ledger.submit(pending.act.clone()) {
                    pending.ticket.act = act;
                }
            }
            (known_as, pending)
        });
        let settled: Vec<(ActId, Pending)> = settled.collect();
        let decided = settled.iter().filter_map(|(_, pending)| match (&pending.act, &pending.outcome) {
            (Act::Grant(signed), Outcome::Done { .. } | Outcome::Refused { .. }) => {
                let id = grant_id(signed.message.patient, &signed.message.nonce);
                Some((id, pending.outcome.clone()))
            }
            _ => None,
        });
        let decided = decided.collect();
        let mut kept = self.0.lock();
        for (known_as, now) in settled {
            if let Some(pending) = kept.pending.iter_mut().find(|pending| pending.ticket.act == known_as) {
                *pending = now;
            }
        }
        kept.pending.retain(|pending| match pending.outcome {
            Outcome::Done { .. } => false,
            Outcome::Refused { .. } => now_ms.saturating_sub(pending.since_ms) < SHOW_REFUSED_MS,
            Outcome::Pending | Outcome::Unknown => true,
        });
        decided
    }

    /// Is any of them so? `is` must be pure: it holds the lock.
    pub(crate) fn any_under_way(&self, is: impl Fn(&Act, &Outcome) -> bool) -> bool {
        self.0.lock().pending.iter().any(|pending| is(&pending.act, &pending.outcome))
    }

    /// The message of a consent that is not on the ledger yet.
    pub(crate) fn consent_under_way(&self, grant: GrantId) -> Option<ConsentMessage> {
        let kept = self.0.lock();
        kept.pending.iter().find_map(|pending| match &pending.act {
            Act::Grant(signed) if grant_id(signed.message.patient, &signed.message.nonce) == grant => {
                Some(signed.message.clone())
            }
            _ => None,
        })
    }

    /// Withdrawals under way, if it is time to hold all of them against the ledger.
    pub(crate) fn withdrawals_due(&self, now_ms: u64) -> Option<Vec<GrantId>> {
        let mut kept = self.0.lock();
        if now_ms.abs_diff(kept.withdrawals_ms) < RESUBMIT_MS {
            return None;
        }
        kept.withdrawals_ms = now_ms;
        let under_way = kept.pending.iter().filter_map(|pending| match &pending.act {
            Act::RevokeGrant { grant, .. } => Some(*grant),
            _ => None,
        });
        Some(under_way.collect())
    }

    /// All of them, for the administrator.
    pub(crate) fn view(&self) -> Vec<PendingAct> {
        let view = |pending: &Pending| PendingAct {
            act: pending.ticket.act,
            what: pending.ticket.what,
            since_ms: pending.since_ms,
            outcome: pending.outcome.clone(),
        };
        self.0.lock().pending.iter().map(view).collect()
    }
}
