//! The engine's own permission to look: a lease for each bed, made under the patient's consent, with an
//! entry in the access log. When it is asked for, when it is renewed, and when its end is announced: pure.

use super::announcements::{HOUR_MS, WATCH_ENDS};
use std::sync::Arc;
use vault::{MONITORING_MS_MAX, MonitoringLease};
use vitals::alarm::Unwatched;
use vitals::{GrantId, PatientId};

/// A denied monitoring is asked for again after this long (or when the ledger moves).
const RETRY_MS: u64 = 1_000;
/// A renewal that has failed for this long is announced like an end.
const RENEW_FAILS_MS: u64 = 5 * 60_000;
/// The earliest renewal of a lease of full length; every bed has its own time in the hours after it.
const RENEW_AFTER_MS: u64 = MONITORING_MS_MAX / 4 * 3;
/// No lease is renewed sooner, however short it is.
const RENEW_AFTER_MIN_MS: u64 = 10 * 60_000;
const RENEW_SPREAD_MS: u64 = MONITORING_MS_MAX / 6;
/// What is done about leases in time. Tests switch parts of it off to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePlan {
    /// Leases are renewed before they end.
    pub renews: bool,
    /// The end of a consent is announced.
    pub announces: bool,
    /// Renewals are spread over hours.
    pub spreads: bool,
}

impl Default for LeasePlan {
    fn default() -> Self {
        Self { renews: true, announces: true, spreads: true }
    }
}

impl LeasePlan {
    pub(super) fn renew_at_ms(self, patient: PatientId, from_ms: u64, until_ms: u64) -> u64 {
        if !self.renews {
            return u64::MAX;
        }
        let lasts_ms = until_ms.saturating_sub(from_ms);
        let spread_ms = if self.spreads {
            let [a, b, c, d, ..] = patient.0;
            u64::from(u32::from_be_bytes([a, b, c, d])) * RENEW_SPREAD_MS / u64::from(u32::MAX)
        } else {
            0
        };
        // A lease that a consent's end cuts short is renewed in the same proportion.
        let share = |ms: u64| ms / 1_000 * lasts_ms / (MONITORING_MS_MAX / 1_000);
        from_ms.saturating_add(share(RENEW_AFTER_MS + spread_ms).max(RENEW_AFTER_MIN_MS))
    }
}

/// How far the ledger had moved, and how many consents were withdrawn here, when something was asked.
pub(super) type DecidedAt = (u64, u64);

/// What a bed knows of its record since this start, so that it need not be read when watching begins again: the
/// record of the years behind is long, and what is written since is applied as it is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remembered {
    /// The alarms that were open when the node stopped, with orders and confirmations.
    pub(super) alarms: bool,
    /// The changes of limits. Not before all of them were read under a lease that covers alarms.
    pub(super) limits: bool,
}

/// Whether somebody watches a bed.
pub(crate) enum Watching {
    /// Nobody does.
    No {
        /// Why.
        why: Unwatched,
        /// Since when.
        since_ms: u64,
        /// When and how far it was asked last.
        last_query: Option<(u64, DecidedAt)>,
    },
    /// The engine does.
    Yes(Box<UnderLease>),
}

/// Watching under a lease.
pub(crate) struct UnderLease {
    pub(super) lease: Arc<MonitoringLease>,
    /// The consent was checked at this height and count of withdrawals.
    pub(super) checked: DecidedAt,
    pub(super) renew_at_ms: u64,
    pub(super) failing_since_ms: Option<u64>,
    /// The last end of all consents that allow it.
    pub(super) consent_ends_ms: u64,
    /// Steps of [`WATCH_ENDS`] that were announced.
    pub(super) announced: usize,
    pub(super) announces: bool,
}

/// How near the end of watching is.
pub(super) struct Ending {
    /// Steps of [`WATCH_ENDS`] that are reached, from 1.
    pub(super) step: usize,
    pub(super) hours: i32,
}

impl UnderLease {
    /// The consents were looked at: another end is announced from its first step.
    pub(super) fn set_end(&mut self, consent_ends_ms: Option<u64>) {
        let ends_ms = consent_ends_ms.unwrap_or(self.consent_ends_ms);
        if ends_ms != self.consent_ends_ms {
            self.consent_ends_ms = ends_ms;
            self.announced = 0;
        }
    }

    /// When watching ends if nothing is done.
    fn ends_ms(&self, now_ms: u64) -> u64 {
        let failing = |since_ms: u64| now_ms.saturating_sub(since_ms) >= RENEW_FAILS_MS;
        if self.failing_since_ms.is_some_and(failing) {
            self.consent_ends_ms.min(self.lease.until_ms())
        } else {
            self.consent_ends_ms
        }
    }
}

impl Watching {
    pub(super) fn starting(now_ms: u64) -> Self {
        Self::No { why: Unwatched::Starting, since_ms: now_ms, last_query: None }
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    pub(super) fn lease(&self, now_ms: u64) -> Option<Arc<MonitoringLease>> {
        match self {
            Self::Yes(watch) if now_ms < watch.lease.until_ms() => Some(Arc::clone(&watch.lease)),
            _ => None,
        }
    }

    /// Nobody watches any more; where nobody did before, the time since when stays.
    pub(super) fn stop(&mut self, why: Unwatched, last_query: Option<(u64, DecidedAt)>, now_ms: u64) {
        let since_ms = match self {
            Self::No { since_ms, .. } => *since_ms,
            Self::Yes(_) => now_ms,
        };
        *self = Self::No { why, since_ms, last_query };
    }

    /// A lease that has run out is no lease. True if that is so from now on.
    pub(super) fn end_if_over(&mut self, now_ms: u64) -> bool {
        let Self::Yes(watch) = self else { return false };
        let until_ms = watch.lease.until_ms();
        let over = now_ms >= until_ms;
        if over {
            let why = if until_ms >= watch.consent_ends_ms {
                Unwatched::ConsentEnded
            } else {
                Unwatched::NotRecorded
            };
            *self = Self::No { why, since_ms: until_ms, last_query: None };
        }
        over
    }

    pub(super) fn is_under(&self, grant: GrantId) -> bool {
        matches!(self, Self::Yes(watch) if watch.lease.entry().grant == grant)
    }

    /// When watching ends, once that is to be said.
    pub(super) fn ends_ms(&self) -> Option<u64> {
        match self {
            Self::Yes(watch) => Some(watch.consent_ends_ms),
            Self::No { .. } => None,
        }
    }

    pub(super) fn ending(&self, now_ms: u64) -> Option<Ending> {
        let Self::Yes(watch) = self else { return None };
        let left_ms = watch.ends_ms(now_ms).saturating_sub(now_ms);
        let step = WATCH_ENDS.to_the_ward_ms.iter().filter(|before_ms| left_ms <= **before_ms).count();
        let hours = i32::try_from(left_ms / HOUR_MS).unwrap_or(i32::MAX);
        (step > 0 && watch.announces).then_some(Ending { step, hours })
    }

    /// Is this step new?
    pub(super) fn announce(&mut self, step: usize) -> bool {
        let Self::Yes(watch) = self else { return false };
        let new = step > watch.announced;
        watch.announced = watch.announced.max(step);
        new
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let Self::Yes(watch) = self else { return None };
        let until_ms = watch.lease.until_ms();
        let announce = WATCH_ENDS.to_the_ward_ms.get(watch.announced).filter(|_| watch.announces);
        let announce = announce.map(|before_ms| watch.consent_ends_ms.saturating_sub(*before_ms));
        let renews = self.renews_ms();
        let failing = watch.failing_since_ms.filter(|_| watch.announced == 0);
        let failing = failing.map(|since_ms| since_ms.saturating_add(RENEW_FAILS_MS));
        [Some(until_ms), renews, announce, failing].into_iter().flatten().min()
    }

    /// When the lease is to be renewed, milliseconds; none for one that lasts as long as the consents.
    pub(super) fn renews_ms(&self) -> Option<u64> {
        let Self::Yes(watch) = self else { return None };
        (watch.lease.until_ms() < watch.consent_ends_ms).then_some(watch.renew_at_ms)
    }

    /// What has to be asked about this bed now, if anything.
    pub(super) fn asks(&self, remembered: Remembered, now: DecidedAt, now_ms: u64) -> Option<LeaseQuestion> {
        match self {
            Self::No { last_query, .. } => {
                let again =
                    last_query.is_none_or(|(at_ms, at)| at != now || now_ms.abs_diff(at_ms) >= RETRY_MS);
                again.then_some(LeaseQuestion::Begin(remembered))
            }
            Self::Yes(watch) if self.renews_ms().is_some_and(|at_ms| now_ms >= at_ms) => {
                Some(LeaseQuestion::Renew(Arc::clone(&watch.lease)))
            }
            Self::Yes(watch) if watch.checked != now => Some(LeaseQuestion::Check(Arc::clone(&watch.lease))),
            Self::Yes(_) => None,
        }
    }
}

/// A question about one bed.
pub(super) enum LeaseQuestion {
    /// The bed is not monitored: may monitoring begin?
    Begin(Remembered),
    /// The lease is old.
    Renew(Arc<MonitoringLease>),
    /// Does the consent still stand?
    Check(Arc<MonitoringLease>),
}
