//! Withdrawn consents on their way to the ledger. At this node they count at once; elsewhere from the
//! block that holds them, so one that stays away raises a technical alarm. Owns its lock.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use vitals::GrantId;

/// A withdrawal that is not on the ledger after this many blocks is late.
pub const LATE_BLOCKS: u64 = 20;

/// One withdrawal that the ledger does not hold yet.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    /// Height of the ledger when it was given (or this node started).
    since_height: u64,
    late: bool,
}

#[derive(Default)]
struct Kept {
    /// Consents withdrawn at this node.
    withdrawn: BTreeSet<GrantId>,
    /// Those of them that the ledger does not hold yet.
    under_way: BTreeMap<GrantId, UnderWay>,
}

/// Consents withdrawn at this node.
#[derive(Default)]
pub(crate) struct Withdrawals(Mutex<Kept>);

impl Withdrawals {
    /// Those that stand in the vault.
    pub(crate) fn of(withdrawn: BTreeSet<GrantId>) -> Self {
        Self(Mutex::new(Kept { withdrawn, under_way: BTreeMap::new() }))
    }

    /// A consent is withdrawn: from now on it opens nothing here.
    pub(crate) fn withdraw(&self, grant: GrantId) {
        self.0.lock().withdrawn.insert(grant);
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeSet<GrantId> {
        self.0.lock().withdrawn.clone()
    }

    /// The ledger is to hold this withdrawal from this height on.
    pub(crate) fn expect(&self, grant: GrantId, since_height: u64) {
        self.0.lock().under_way.entry(grant).or_insert(UnderWay { since_height, late: false });
    }

    /// Those that the ledger does not hold yet.
    pub(crate) fn under_way(&self) -> Vec<GrantId> {
        self.0.lock().under_way.keys().copied().collect()
    }

    /// Forgets those that arrived; gives how many became late at this height.
    pub(crate) fn settle(&self, arrived: &[GrantId], height: u64) -> u64 {
        let mut kept = self.0.lock();
        for grant in arrived {
            kept.under_way.remove(grant);
        }
        let mut newly_late = 0;
        for one in kept.under_way.values_mut() {
            if !one.late && height.saturating_sub(one.since_height) >= LATE_BLOCKS {
                one.late = true;
                newly_late += 1;
            }
        }
        newly_late
    }

    /// How many the ledger does not hold yet, and how many of them are late.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let kept = self.0.lock();
        (kept.under_way.len(), kept.under_way.values().filter(|one| one.late).count())
    }

    pub(crate) fn is_late(&self, grant: GrantId) -> bool {
        self.0.lock().under_way.get(&grant).is_some_and(|one| one.late)
    }
}
