//! The recorder: one thread that seals what was sampled, keeps it in the journal, sends it to the node and
//! forgets it after its proof. It waits for its disk; the bedside, which hands it what there is to record, does
//! not wait for it. When the disk fails it goes on without, and begins anew once the disk takes writes again.

mod reopening;

use crate::commands::{Commands, Judged, Ordered};
use crate::counters::{Counters, add};
use crate::journal::Journal;
use crate::keys::{self, Loaded, StreamState};
use crate::outbox::{Outbox, Refused, WINDOW_LEN_MAX};
use crate::quarantine::{self, Quarantine};
use crate::recorder_queue::{BedStanding, RecorderQueue, Sampled, Session, Standing, Work};
use crate::sealers::{self, Lost, sealers_of};
use crate::verifier::Verifier;
use crate::{Clock, Config, Entropy, GatewayError};
use device::Sealer;
use device::pairing::Identity;
use durable::{Disk, Folder};
use link::{Event, PublishId, Uplink};
use reopening::Failure;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vitals::StreamId;
use vitals::command::Command;
use vitals::ids::Class;

pub(crate) struct Recorder {
    disk: Arc<dyn Disk>,
    config: Config,
    entropy: Entropy,
    /// By bed.
    sealers: Vec<Vec<Sealer>>,
    outbox: Outbox,
    commands: Commands,
    /// What was refused of commands, to be sealed.
    refusals: Vec<Sampled>,
    streams: BTreeMap<StreamId, StreamState>,
    verifier: Verifier,
    queue: Arc<RecorderQueue>,
    clock: Clock,
    counters: Arc<Counters>,
    /// The open session with the node.
    uplink: Option<Box<dyn Uplink>>,
    /// Envelopes published and not answered, by their id in the outbox.
    in_flight: HashMap<PublishId, u64>,
    journal_newest: u32,
    steady_ms: u64,
    now_ms: u64,
    stopping: Option<bool>,
    /// Readings could not be stored a moment ago.
    losing: bool,
    /// Disk or journal failed: readings are counted as lost, alarms at the bed go on.
    failure: Option<Failure>,
}

impl Recorder {
    pub(crate) fn open(
        config: &Config,
        paired: Loaded,
        disk: Arc<dyn Disk>,
        clock: Clock,
        entropy: &Entropy,
        counters: Arc<Counters>,
        queue: Arc<RecorderQueue>,
    ) -> Result<Self, GatewayError> {
        let dir = config.data_dir.clone();
        let io = |source| GatewayError::Io { path: dir.clone(), source };
        let (journal, backlog) = Journal::open_on(
            disk.clone(),
            &dir.join("journal"),
            paired.gateway,
            paired.journal_newest,
            config.segment_bytes,
        )?;
        let beds = config.boards.len();
        let sensors = paired.sensors.iter().take(beds);
        let sealers: Vec<Vec<Sealer>> =
            sensors.map(|sensor| sealers_of(&paired, sensor, &journal, entropy)).collect();
        for sealer in sealers.iter().flatten() {
            counters.knows(sealer.stream(), sealer.state().next_seq);
        }
        let now_ms = clock();
        let alarms_of = |sensor: &Identity| {
            let own = |state: &StreamState| state.author == sensor.id() && state.class == Class::Alarms;
            paired.streams.iter().find(|(_, state)| own(state)).map(|(stream, _)| *stream)
        };
        let sensors = paired.sensors.into_iter().take(beds);
        let commands = Commands::open(
            Folder::on(disk.clone(), &dir),
            paired.document.hash(),
            paired.gateway,
            paired.record_key,
            sensors.map(|sensor| (alarms_of(&sensor), sensor)).map(|(alarms, sensor)| (sensor, alarms)),
            entropy.clone(),
            now_ms,
        )
        .map_err(io)?;
        let folder = dir.join(quarantine::FOLDER);
        let (folder, quarantined) = Quarantine::open(disk.clone(), &folder)
            .map_err(|source| GatewayError::Io { path: folder, source })?;
        if !quarantined.is_empty() {
            let n = quarantined.len();
            tracing::warn!(quarantined = n, "{n} envelopes that the node refused are in quarantine");
        }
        let outbox = Outbox::new(journal, backlog, WINDOW_LEN_MAX, counters.clone());
        let mut outbox = outbox.with_quarantine(folder, quarantined);
        outbox.fill()?;
        let verifier = Verifier::open(disk.clone(), &dir, paired.document, paired.record_key).map_err(io)?;
        counters.ledger_alarm.store(u64::from(verifier.alarm().is_some()), Ordering::Relaxed);
        let mut recorder = Self {
            disk,
            config: config.clone(),
            entropy: entropy.clone(),
            sealers,
            outbox,
            commands,
            refusals: Vec::new(),
            streams: paired.streams,
            verifier,
            queue,
            clock,
            counters,
            uplink: None,
            in_flight: HashMap::new(),
            journal_newest: paired.journal_newest,
            steady_ms: now_ms,
            now_ms,
            stopping: None,
            losing: false,
            failure: None,
        };
        recorder.persist_keys()?;
        recorder.queue.done(recorder.standing());
        Ok(recorder)
    }

    #[cfg(test)]
    pub(crate) fn bound(&mut self, pending_max: usize) {
        self.outbox.bound(pending_max);
    }

    /// By bed, the limits that were ordered before this start.
    pub(crate) fn ordered(&self) -> Vec<Vec<Ordered>> {
        (0..self.sealers.len()).map(|n| self.commands.ordered(n).copied().collect()).collect()
    }

    /// Persists chain keys that have stepped, and how far the journal goes.
    fn persist_keys(&mut self) -> Result<(), GatewayError> {
        let newest = self.outbox.journal().newest();
        let stepped = keys::note_steps(&mut self.streams, self.sealers.iter().flatten());
        if stepped || newest != self.journal_newest {
            keys::write_streams(&*self.disk, &self.config.data_dir, &self.streams, newest)?;
            self.journal_newest = newest;
        }
        Ok(())
    }

    /// Runs on its own thread until it is stopped, and has recorded what was handed over.
    pub(crate) fn run(mut self) -> Result<(), GatewayError> {
        let _over = self.queue.over_when_dropped();
        loop {
            let work = self.queue.take();
            let is_last = work.is_last;
            self.handle(work);
            self.queue.done(self.standing());
            let done = match self.stopping {
                None => false,
                Some(false) => true,
                Some(true) => self.outbox.pending() == 0 || self.failure.is_some(),
            };
            if is_last && done {
                break;
            }
        }
        // Dropping the uplink says goodbye to the node.
        self.uplink = None;
        if let Some(failure) = self.failure {
            return Err(failure.why);
        }
        self.outbox.close()?;
        self.persist_keys()
    }

    fn fail(&mut self, why: GatewayError) {
        tracing::error!(%why, "Readings are no longer stored: {why}; alarms at the bed go on");
        let steady_ms = self.steady_ms;
        self.failure.get_or_insert_with(|| Failure::new(why, steady_ms));
    }

    fn standing(&self) -> Standing {
        let of = |sealers: &Vec<Sealer>| {
            let is_forked = |sealer: &Sealer| self.outbox.is_forked(&sealer.stream());
            let is_rejected = |sealer: &Sealer| {
                self.outbox.has_quarantined(&sealer.stream()) && !self.outbox.is_forked(&sealer.stream())
            };
            BedStanding { forked: sealers.iter().any(is_forked), rejected: sealers.iter().any(is_rejected) }
        };
        Standing {
            beds: self.sealers.iter().map(of).collect(),
            ledger_split: self.verifier.alarm().is_some(),
            clock_wrong: self.outbox.clock_wrong_by_ms().is_some(),
            clock_off_ms: self.outbox.clock_off_ms(),
            awaits_answers: self.outbox.awaits_answers(),
            losing: self.failure.is_some() || self.losing || self.outbox.is_full(),
        }
    }

    fn handle(&mut self, work: Work) {
        (self.now_ms, self.steady_ms, self.stopping) = (work.now_ms, work.steady_ms, work.stop);
        match work.session {
            None if work.events_dropped => {
                tracing::warn!("The node sent more than could be looked at; its session begins anew");
                self.disconnected();
            }
            None => {}
            Some(Session::Over) => self.disconnected(),
            Some(Session::Open(uplink)) => {
                self.disconnected();
                self.uplink = Some(uplink);
                self.outbox.offer_again(self.steady_ms);
            }
        }
        self.try_again();
        for event in work.events {
            if self.failure.is_none()
                && let Err(why) = self.handle_node_event(event)
            {
                self.fail(why);
            }
        }
        self.outbox.tick(self.steady_ms);
        let mut sampled = work.sampled;
        sampled.append(&mut self.refusals);
        self.record(sampled);
        if self.failure.is_none()
            && let Err(why) = self.send()
        {
            self.fail(why);
        }
    }

    fn disconnected(&mut self) {
        self.uplink = None;
        self.in_flight.clear();
        self.outbox.disconnected();
    }

    fn handle_node_event(&mut self, event: Event) -> Result<(), GatewayError> {
        let (now_ms, steady_ms) = (self.now_ms, self.steady_ms);
        match event {
            Event::Acked { id } => {
                if let Some(id) = self.in_flight.remove(&id) {
                    self.outbox.acked(id, steady_ms);
                }
            }
            Event::Refused { id, why, sentence } => {
                let Some(id) = self.in_flight.remove(&id) else { return Ok(()) };
                let Some(Refused { stream, closed }) = self.outbox.refused(id, why, steady_ms)? else {
                    return Ok(());
                };
                tracing::error!(%why, %stream, %sentence, "The node refused an envelope ({why}): {sentence}; it is kept in quarantine");
                if closed {
                    tracing::error!(
                        %stream,
                        "Nothing more is sealed into stream {stream}; alarms at the bed go on. If this folder was copied or restored from a copy: stop the other gateway, retire the sensors of this one, and pair it anew with an empty folder"
                    );
                }
            }
            Event::Receipt(bytes) => {
                if let Err(why) = self.outbox.receipt(&bytes, &self.verifier, now_ms, steady_ms)? {
                    tracing::error!(%why, "A receipt does not check: {why}");
                }
            }
            Event::Proof(bytes) => match self.outbox.delivery(&bytes, &mut self.verifier, now_ms)? {
                Ok(0) => {}
                Ok(wrong) => {
                    tracing::error!(wrong, "{wrong} envelopes are not where the node claims they are proven")
                }
                Err(why) => tracing::error!(%why, "A proof does not check: {why}"),
            },
            Event::Command(bytes) => self.handle_command(&bytes),
            Event::CommandTooLong(bytes) => {
                add(&self.counters.commands_refused, 1);
                tracing::warn!(bytes, "What came as a command is longer than one and was thrown away");
            }
            Event::Closed { .. } => {}
        }
        Ok(())
    }

    /// The node's time, as its receipts tell it.
    fn node_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.outbox.clock_off_ms())
    }

    /// Decides about a command, and gives the bedside what is to be carried out once it is durable.
    fn handle_command(&mut self, bytes: &[u8]) {
        // It could not be confirmed any more what was carried out now: the node asks again later.
        if self.stopping.is_some() {
            return;
        }
        let (now_ms, steady_ms) = (self.now_ms, self.steady_ms);
        match self.commands.judge(bytes, self.node_ms(now_ms), now_ms, steady_ms) {
            Judged::Take(n, command) => self.queue_order(n, command),
            refused => self.refuse(refused),
        }
    }

    fn queue_order(&mut self, n: usize, command: Command) {
        // The disk may have taken its time.
        let now_ms = (self.clock)();
        match self.commands.expired(n, &command, self.node_ms(now_ms), now_ms, self.steady_ms) {
            Some(refused) => self.refuse(refused),
            None => self.queue.order(n, command),
        }
    }

    fn refuse(&mut self, judged: Judged) {
        let warn = |n: Option<usize>, outcome: &str| {
            tracing::warn!(board = n, outcome, "A command was refused: {outcome}");
        };
        match judged {
            Judged::Malformed(why) => warn(None, &why.to_string()),
            Judged::OtherBedside(outcome) => warn(None, outcome.sentence()),
            Judged::Refused(n, outcome, told) => {
                warn(Some(n), outcome.sentence());
                let at_ms = self.steady_ms;
                self.refusals.extend(told.map(|told| Sampled {
                    n,
                    at_ms,
                    confirmations: vec![told],
                    ..Sampled::default()
                }));
            }
            Judged::Take(..) => return,
        }
        add(&self.counters.commands_refused, 1);
    }

    /// Seals what was sampled and makes it durable, all with one sync.
    fn record(&mut self, all: Vec<Sampled>) {
        let (mut sealed, mut lost, mut stored) = (Vec::new(), Lost::default(), Lost::default());
        let any = all.iter().any(|sampled| !sampled.readings.is_empty());
        let is_full = self.outbox.is_full() || self.failure.is_some();
        let is_full_for_alarms = self.outbox.is_full_for_alarms() || self.failure.is_some();
        for mut sampled in all {
            if is_full {
                lost.readings += sampled.readings.len() as u64;
                sampled.readings.clear();
            }
            if is_full_for_alarms {
                lost.alarm_events += sampled.alarms.len() as u64;
                continue;
            }
            let Some(sealers) = self.sealers.get_mut(sampled.n) else { continue };
            stored.readings += sampled.readings.len() as u64;
            stored.alarm_events += sampled.alarms.len() as u64;
            let outbox = &self.outbox;
            let before = lost;
            sealers::seal(
                sealers,
                sampled,
                self.config.clock.into(),
                |stream| outbox.is_closed(stream),
                &mut sealed,
                &mut lost,
            );
            stored.readings -= lost.readings - before.readings;
            stored.alarm_events -= lost.alarm_events - before.alarm_events;
        }
        if any {
            self.losing = lost.readings + lost.alarm_events > 0;
        }
        if !sealed.is_empty() {
            let kept = self.outbox.keep(&sealed, self.now_ms).map_err(GatewayError::from);
            if let Err(why) = kept.and_then(|()| self.persist_keys()) {
                self.fail(why);
                lost.readings += stored.readings;
                lost.alarm_events += stored.alarm_events;
            }
        }
        add(&self.counters.readings_lost, lost.readings);
        add(&self.counters.alarm_events_lost, lost.alarm_events);
    }

    fn send(&mut self) -> Result<(), GatewayError> {
        while let Some(uplink) = &self.uplink
            && uplink.room() > 0
            && let Some((id, alarm, bytes)) = self.outbox.next()?
        {
            match uplink.publish(alarm, bytes) {
                Ok(publish) => {
                    self.in_flight.insert(publish, id);
                }
                // The bedside hears of its end too.
                Err(_) => self.disconnected(),
            }
        }
        Ok(())
    }
}
