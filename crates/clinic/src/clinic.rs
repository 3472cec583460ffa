//! The clinic itself: its parts, each of which owns its state and its lock, and what they share.

use crate::access_traces::Traces;
use crate::accounts::{LoginThrottle, Sessions, SetUpCode};
use crate::acts::{Acts, Ticket};
use crate::admission::{Registry, SecondBranches, Signatures};
use crate::anchoring::{Anchoring, Carried, EnvelopeRef, ProofState};
use crate::consents::policy::View;
use crate::consents::{GivenConsents, OpenConsents, Pauses, PolicyBook, Withdrawals};
use crate::errors::{ClinicError, Denied};
use crate::health::LedgerHealth;
use crate::ledger_clock::LedgerClock;
use crate::monitoring::{Events, LeasePlan, LiveEvent, Monitoring};
use crate::stats::{Counters, Stats};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::broadcast;
use vault::{Entropy, Store, StreamRecord, Vault, VaultError};
use vitals::held_clock::ClockStep;
use vitals::ids::{Hash, StreamId};
use vitals::ledger::{Act, Ledger, Outcome};
use vitals::receipt::{SignedHead, TreeHead};
use vitals::{Genesis, GrantId, OrgId};

/// One organisation's rules over its vault, its record store and its view of the ledger.
///
/// Each part owns its state and takes its own lock, for pure work only: never across a disk, the ledger, a
/// key or another lock, so that alarms and admission wait for nobody.
pub struct Clinic {
    vault: Arc<Vault>,
    store: Arc<Store>,
    ledger: Arc<dyn Ledger>,
    genesis: Genesis,
    org: OrgId,
    pub(crate) entropy: Entropy,
    /// Devices as the ledger holds them.
    pub(crate) registry: Registry,
    pub(crate) signatures: Signatures,
    pub(crate) second_branches: SecondBranches,
    pub(crate) acts: Acts,
    pub(crate) sessions: Sessions,
    pub(crate) throttle: LoginThrottle,
    /// The first account is being made.
    pub(crate) founding: AtomicBool,
    /// The code with which it may be made on a page.
    pub(crate) set_up: SetUpCode,
    pub(crate) traces: Traces,
    pub(crate) monitoring: Monitoring,
    pub(crate) anchoring: Anchoring,
    pub(crate) carried: Carried,
    ledger_clock: LedgerClock,
    pub(crate) withdrawals: Withdrawals,
    /// Consents that may still open something.
    pub(crate) open_consents: OpenConsents,
    /// What the ledger said of consents given here.
    pub(crate) given: GivenConsents,
    pub(crate) pauses: Pauses,
    /// What policies said last.
    pub(crate) policies: PolicyBook,
    generation: AtomicU64,
    pub(crate) stats: Stats,
    events: Events,
}

impl core::fmt::Debug for Clinic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clinic").field("org", &self.org).finish_non_exhaustive()
    }
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
        let withdrawals = Withdrawals::of(vault.withdrawals(), ledger.tip().time_ms);
        let pauses = Pauses::of(vault.pauses()?);
        let clinic = Arc::new(Self {
            vault,
            store,
            ledger,
            genesis,
            org,
            entropy,
            registry: Registry::default(),
            signatures: Signatures::default(),
            second_branches: SecondBranches::default(),
            acts: Acts::default(),
            sessions: Sessions::default(),
            throttle: LoginThrottle::default(),
            founding: AtomicBool::new(false),
            set_up: SetUpCode::default(),
            traces: Traces::default(),
            monitoring: Monitoring::new(plan),
            anchoring: Anchoring::default(),
            carried: Carried::default(),
            ledger_clock: LedgerClock::default(),
            withdrawals,
            open_consents: OpenConsents::default(),
            given: GivenConsents::default(),
            pauses,
            policies: PolicyBook::default(),
            generation: AtomicU64::new(0),
            stats: Stats::default(),
            events: Events::default(),
        });
        clinic.expect_withdrawals_again();
        clinic.note_anchor(now_ms);
        // What was anchored before this start is not counted by it.
        clinic.stats.reset();
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
        let tip = self.ledger.tip();
        let seen_ms = self.ledger_clock.seen_ms(tip.height);
        View { genesis: self.genesis, tip, seen_ms, home: self.org }
    }

    pub(crate) fn stream(&self, id: StreamId) -> Option<StreamRecord> {
        self.vault.stream(id)
    }

    /// The log's head now, signed by the record key.
    pub(crate) fn signed_head(&self, now_ms: u64) -> SignedHead {
        let (size, root) = self.store.log_head();
        self.vault.sign_head(TreeHead { genesis: self.genesis, org: self.org, size, root, at_ms: now_ms })
    }

    /// Live events of all patients. Only [`Subscription`](crate::Subscription) hands them to people.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.events.listen()
    }

    pub(crate) fn publish(&self, event: LiveEvent) {
        self.events.publish(event);
    }

    pub(crate) fn envelope_ref(&self, hash: Hash, index: u64) -> EnvelopeRef {
        EnvelopeRef { hash, index, proof: self.proof_state(index) }
    }

    /// How far the leaf `index` is vouched for.
    #[must_use]
    pub fn proof_state(&self, index: u64) -> ProofState {
        self.anchoring.proof_state(index)
    }

    /// The node's view of the ledger and its own log.
    #[must_use]
    pub fn health(&self, now_ms: u64) -> LedgerHealth {
        let (view, down) = (self.view(), self.ledger().down().is_some());
        let sizes = self.anchoring.sizes();
        let (withdrawals_waiting, withdrawals_late) = self.withdrawals.counts();
        LedgerHealth {
            height: view.tip.height,
            tip: self.ledger().explorer().map(|_| view.tip.digest),
            tip_ms: view.tip.time_ms,
            stale: down || view.fresh(now_ms).is_err(),
            down,
            age_ms: view.age_ms(now_ms),
            clocks: self.ledger_clock.faults(self.ledger(), &view.tip, now_ms),
            withdrawals_waiting,
            withdrawals_late,
            policies_silent: self.policies_silent(now_ms),
            looks_not_recorded: self.traces.are_failing(),
            record_refused: self.store.is_refused(),
            log_size: self.store.size(),
            anchored_size: sizes.anchored,
            final_size: sizes.finalized,
        }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.count_beds();
        self.stats.counters()
    }

    /// Counts withdrawals and pauses at this node, and changed answers of policies: decisions made at another
    /// count are made again.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn withdraw_here(&self, grant: GrantId, now_ms: u64) {
        self.withdrawals.withdraw(grant, self.ledger().tip().time_ms);
        self.expect_withdrawal(grant);
        // In this order: a lease made meanwhile is either not applied, or ended by the last line.
        self.count_generation();
        self.stop_watching_under(grant, now_ms);
    }

    /// What was decided before is decided again.
    pub(crate) fn count_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Hands an act to the ledger and keeps it until it is final.
    pub(crate) fn submit(&self, act: Act, what: &'static str, now_ms: u64) -> Result<Ticket, ClinicError> {
        Ok(self.acts.submit(self.ledger(), act, what, now_ms)?)
    }

    /// What became of an act.
    #[must_use]
    pub fn settle(&self, ticket: &Ticket) -> Outcome {
        self.ledger().outcome(ticket.act)
    }

    /// Counts and passes on a denial.
    pub(crate) fn denied(&self, why: Denied) -> ClinicError {
        self.stats.count(|counters| counters.denied += 1);
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
        self.attend_joined();
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

    /// Looks at the clocks: call it at least once a second, with the step of the machine's clock that is named now.
    pub fn tend_clocks(&self, step: Option<ClockStep>, now_ms: u64) {
        self.ledger_clock.note(step, self.ledger(), &self.ledger().tip(), now_ms);
    }

    /// Anchors are handed to the ledger and noticed, acts settled, withdrawals pursued, sessions
    /// ended, orders to bedsides renewed: call it about four times a second. Waits for the ledger.
    pub fn tend_ledger(&self, now_ms: u64) {
        self.tend_orders(now_ms);
        self.tend_anchors(now_ms);
        self.given.note(self.acts.settle(self.ledger(), now_ms));
        self.finish_replacements(now_ms);
        self.hand_in_withdrawals(now_ms);
        self.watch_withdrawals();
        let ended = self.sessions.sweep(now_ms);
        self.traces.forget(&ended);
    }
}
