//! Withdrawn consents on their way to the ledger. At this node they count at once; elsewhere from the
//! block that holds them, so one that stays away raises a technical alarm. Once the ledger holds a withdrawal,
//! or the consent can do nothing any more, it is forgotten here: the ledger says the same, and nothing that is
//! asked again and again grows with the years. Owns its lock.

use parking_lot::Mutex;
use std::collections::BTreeMap;
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
    /// Consents withdrawn at this node that the ledger may still call valid, and the ledger's time when
    /// that was noted, milliseconds.
    withdrawn: BTreeMap<GrantId, u64>,
    /// Those of them that the ledger does not hold yet.
    under_way: BTreeMap<GrantId, UnderWay>,
}

/// Consents withdrawn at this node.
#[derive(Default)]
pub(crate) struct Withdrawals(Mutex<Kept>);

impl Withdrawals {
    /// Those that stand in the vault, noted at this time of the ledger.
    pub(crate) fn of(withdrawn: impl IntoIterator<Item = GrantId>, ledger_ms: u64) -> Self {
        let withdrawn = withdrawn.into_iter().map(|grant| (grant, ledger_ms)).collect();
        Self(Mutex::new(Kept { withdrawn, under_way: BTreeMap::new() }))
    }

    /// A consent is withdrawn: from now on it opens nothing here.
    pub(crate) fn withdraw(&self, grant: GrantId, ledger_ms: u64) {
        self.0.lock().withdrawn.insert(grant, ledger_ms);
    }

    /// Is it withdrawn here, and perhaps not on the ledger yet? Ask before the ledger is asked: a withdrawal
    /// is forgotten here only after the ledger has it.
    pub(crate) fn contains(&self, grant: GrantId) -> bool {
        self.0.lock().withdrawn.contains_key(&grant)
    }

    /// Those that the ledger may still call valid, and since when each is withdrawn, milliseconds.
    pub(crate) fn open(&self) -> Vec<(GrantId, u64)> {
        self.0.lock().withdrawn.iter().map(|(grant, since_ms)| (*grant, *since_ms)).collect()
    }

    /// These are withdrawn on the ledger, or can open nothing any more.
    pub(crate) fn forget(&self, settled: &[GrantId]) {
        let mut kept = self.0.lock();
        for grant in settled {
            kept.withdrawn.remove(grant);
            kept.under_way.remove(grant);
        }
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
