//! The clinic itself: what it holds, and in which order its locks are taken.

use crate::access::Traces;
use crate::anchors::Anchoring;
use crate::errors::{ClinicError, Denied};
use crate::monitoring::{LeasePlan, Monitoring};
use crate::pauses::Pauses;
use crate::people::Acts;
use crate::policy::View;
use crate::policy_answers::Policies;
use crate::registry::Registry;
use crate::sessions::SessionBook;
use crate::signatures::Points;
use crate::stats::{Counters, Stats};
use crate::views::{EnvelopeRef, LedgerHealth, LiveEvent, ProofState};
use crate::withdrawals::Withdrawals;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;
use vault::{Entropy, Store, StreamRecord, Vault, VaultError};
use vitals::ids::{Hash, StreamId};
use vitals::ledger::Ledger;
use vitals::receipt::{SignedHead, TreeHead};
use vitals::{DeviceId, Genesis, GrantId, OrgId};

/// Events a slow listener may fall behind before it has to read its tiles anew.
pub(crate) const EVENTS_LEN_MAX: usize = 1024;
/// Admitted envelopes that may wait for the live view; beyond that the oldest go into the record
/// only.
pub(crate) const FRESH_LEN_MAX: usize = 65_536;

/// One organisation's rules over its vault, its record store and its view of the ledger.
///
/// Locks are taken in the order of the fields and never across a call into the ledger's consensus,
/// so that alarms and admission wait for nobody. Monitoring owns its own.
pub struct Clinic {
    vault: Arc<Vault>,
    store: Arc<Store>,
    ledger: Arc<dyn Ledger>,
    genesis: Genesis,
    org: OrgId,
    pub(crate) entropy: Entropy,
    pub(crate) registry: Mutex<Registry>,
    /// Authors' keys, taken apart for the next group's signatures.
    pub(crate) points: Mutex<Points>,
    pub(crate) acts: Mutex<Acts>,
    pub(crate) sessions: Mutex<SessionBook>,
    pub(crate) traces: Mutex<Traces>,
    /// Owns its state and its locks.
    pub(crate) monitoring: Monitoring,
    pub(crate) anchoring: Mutex<Anchoring>,
    /// When each device was heard last. At most the devices that streams were made for.
    pub(crate) seen: Mutex<HashMap<DeviceId, u64>>,
    /// Consents withdrawn at this node; the ledger will follow.
    pub(crate) withdrawn: Mutex<BTreeSet<GrantId>>,
    /// Those of them that the ledger does not hold yet.
    pub(crate) withdrawals: Mutex<Withdrawals>,
    /// Patients who are not watched for a while.
    pub(crate) pauses: Mutex<Pauses>,
    /// What policies said last.
    pub(crate) policies: Mutex<Policies>,
    generation: AtomicU64,
    pub(crate) stats: Mutex<Stats>,
    events: broadcast::Sender<Arc<LiveEvent>>,
}

impl core::fmt::Debug for Clinic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clinic").field("org", &self.org).finish_non_exhaustive()
    }
}

/// A lock whose holder panicked is taken all the same: no holder leaves half a change behind that
/// the next could not live with, and an alarm engine that stops is worse.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clinic {
    /// Opens the clinic over an opened vault (bound to this ledger) and record store. Limits and the
    /// last two hours are read back for patients who consent to monitoring.
    ///
    /// # Errors
    /// The vault belongs to another ledger, or cannot be read.
    pub fn open(
        vault: Arc<Vault>,
        store: Arc<Store>,
        ledger: Arc<dyn Ledger>,
        entropy: Entropy,
        now_ms: u64,
    ) -> Result<Arc<Self>, ClinicError> {
        Self::open_planned(vault, store, ledger, entropy, LeasePlan::default(), now_ms)
    }

    /// The same with another plan for leases.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_planned(
        vault: Arc<Vault>,
        store: Arc<Store>,
        ledger: Arc<dyn Ledger>,
        entropy: Entropy,
        plan: LeasePlan,
        now_ms: u64,
    ) -> Result<Arc<Self>, ClinicError> {
        let genesis = vault.genesis()?;
        if genesis != ledger.genesis() || genesis != store.genesis() {
            return Err(VaultError::OtherGenesis.into());
        }
        let org = vault.org();
        let withdrawn = Mutex::new(vault.withdrawals());
        let pauses = Mutex::new(Pauses::of(vault.pauses()?));
        let clinic = Arc::new(Self {
            vault,
            store,
            ledger,
            genesis,
            org,
            entropy,
            registry: Mutex::default(),
            points: Mutex::default(),
            acts: Mutex::default(),
            sessions: Mutex::default(),
            traces: Mutex::default(),
            monitoring: Monitoring::new(plan),
            anchoring: Mutex::default(),
            seen: Mutex::default(),
            withdrawn,
            withdrawals: Mutex::default(),
            pauses,
            policies: Mutex::default(),
            generation: AtomicU64::new(0),
            stats: Mutex::default(),
            events: broadcast::channel(EVENTS_LEN_MAX).0,
        });
        clinic.expect_withdrawals_again();
        clinic.note_anchor(now_ms);
        // What was anchored before this start is not counted by it.
        *lock(&clinic.stats) = Stats::default();
        clinic.make_beds(now_ms);
        Ok(clinic)
    }

    /// The vault, for the process that wires it to TLS, the ledger and backups.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// The record store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// The ledger's name.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        self.genesis
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    pub(crate) fn view(&self) -> View {
        View { genesis: self.genesis, tip: self.ledger.tip(), home: self.org }
    }

    pub(crate) fn stream(&self, id: StreamId) -> Option<StreamRecord> {
        self.vault.stream(id)
    }

    /// The log's head now, signed by the record key.
    pub(crate) fn signed_head(&self, now_ms: u64) -> SignedHead {
        let (size, root) = self.store.log_head();
        self.vault.sign_head(TreeHead { genesis: self.genesis, org: self.org, size, root, at_ms: now_ms })
    }

    /// Live events of all patients. Only [`Follow`](crate::follow::Follow) hands them to people.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.events.subscribe()
    }

    pub(crate) fn tell(&self, event: LiveEvent) {
        // Nobody listening is no fault.
        let _ = self.events.send(Arc::new(event));
    }

    pub(crate) fn envelope_ref(&self, hash: Hash, index: u64) -> EnvelopeRef {
        EnvelopeRef { hash, index, proof: self.proof_state(index) }
    }

    /// How far the leaf `index` is vouched for.
    #[must_use]
    pub fn proof_state(&self, index: u64) -> ProofState {
        lock(&self.anchoring).proof_state(index)
    }

    /// The node's view of the ledger and its own log.
    #[must_use]
    pub fn health(&self, now_ms: u64) -> LedgerHealth {
        let view = self.view();
        let (anchored_size, final_size) = lock(&self.anchoring).sizes();
        let (withdrawals_waiting, withdrawals_late) = self.withdrawals_under_way();
        LedgerHealth {
            height: view.tip.height,
            tip: self.ledger().explorer().map(|_| view.tip.digest),
            tip_ms: view.tip.time_ms,
            stale: view.fresh(now_ms).is_err(),
            age_ms: view.age_ms(now_ms),
            withdrawals_waiting,
            withdrawals_late,
            log_size: self.store.size(),
            anchored_size,
            final_size,
        }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.count_beds();
        lock(&self.stats).counters()
    }

    /// Counts withdrawals and pauses at this node, and changed answers of policies: decisions made at another
    /// count are made again.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn withdraw_here(&self, grant: GrantId, now_ms: u64) {
        lock(&self.withdrawn).insert(grant);
        self.expect_withdrawal(grant);
        // In this order: a lease made meanwhile is either not applied, or ended by the last line.
        self.count_generation();
        self.stop_watching_under(grant, now_ms);
    }

    /// What was decided before is decided again.
    pub(crate) fn count_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts and passes on a denial.
    pub(crate) fn denied(&self, why: Denied) -> ClinicError {
        lock(&self.stats).counters.denied += 1;
        ClinicError::Denied(why)
    }

    /// Fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        (self.entropy)(&mut out);
        out
    }

    /// Everything that passing time does, one after the other: for tests and tools. A node calls the
    /// parts from threads of their own, so that none waits for another's disk or ledger.
    pub fn tick(&self, now_ms: u64) {
        self.keep_watch(now_ms);
        self.watch_beds(now_ms);
        self.tend_ledger(now_ms);
        self.write_alarm_events(now_ms);
    }

    /// Looks at what arrived, and lets time pass for alarms: call it about four times a second and
    /// whenever something was admitted. Waits for neither disk nor ledger.
    pub fn watch_beds(&self, now_ms: u64) {
        self.attend(now_ms);
        self.end_pauses(now_ms);
        self.tick_beds(now_ms);
    }

    /// Anchors are handed to the ledger and noticed, acts settled, withdrawals pursued, sessions
    /// ended, orders to bedsides renewed: call it about four times a second. Waits for the ledger.
    pub fn tend_ledger(&self, now_ms: u64) {
        self.tend_orders(now_ms);
        self.tend_anchors(now_ms);
        self.settle_acts(now_ms);
        self.hand_in_withdrawals(now_ms);
        self.watch_withdrawals();
        let ended = lock(&self.sessions).sweep(now_ms);
        if !ended.is_empty() {
            lock(&self.traces).retain(|(session, ..), _| !ended.contains(session));
        }
    }
}
