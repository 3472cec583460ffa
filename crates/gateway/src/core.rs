//! The gateway's core: one thread that owns monitors, sealers and journal, fed by a bounded channel.
//! It is a thread because it waits for the disk; everything else it waits for comes as [`Input`].

mod commands;

use crate::commands::Commands;
use crate::counters::{Counters, add};
use crate::input::Input;
use crate::journal::Journal;
use crate::keys::{self, Loaded, StreamState};
use crate::monitored_patient::{MonitoredPatient, PollOutcome};
use crate::outbox::{Outbox, Refused};
use crate::quarantine::{self, Quarantine};
use crate::sealers::sealers_of;
use crate::verifier::Verifier;
use crate::{Clock, Config, Entropy, GatewayError};
use device::pairing::Identity;
use device::{MonitorConfig, Sealer};
use link::{Event, PublishId, Uplink};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use vitals::StreamId;
use vitals::alarm::Condition;
use vitals::command::Confirmation;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::metric::Sample;

/// Inputs taken before the monitors are polled again.
const INPUTS_AT_ONCE_MAX: usize = 256;
/// Longest step of the core's clock; the machine's may leap.
const STEP_MAX_MS: u64 = 2_000;
/// After a take-over the bedside shows for so long that another device uses its identity.
const TAKEN_OVER_MS: u64 = 600_000;

pub(crate) struct Core {
    patients: Vec<MonitoredPatient>,
    outbox: Outbox,
    commands: Commands,
    /// What became of commands, by bed, to be sealed.
    confirmations: Vec<(usize, Confirmation)>,
    /// When the node last answered, by the steady clock.
    answered_ms: u64,
    streams: BTreeMap<StreamId, StreamState>,
    verifier: Verifier,
    dir: PathBuf,
    clock: Clock,
    quality: ClockQuality,
    counters: Arc<Counters>,
    /// The open session with the node.
    uplink: Option<Box<dyn Uplink>>,
    /// Envelopes published and not answered, by their id in the outbox.
    in_flight: HashMap<PublishId, u64>,
    journal_newest: u32,
    steady_ms: u64,
    now_ms: u64,
    stopping: Option<bool>,
    /// When another device took over the connection, by the steady clock.
    taken_over_ms: Option<u64>,
    /// Readings or events could not be stored a moment ago.
    losing: bool,
    /// Disk or journal failed: readings are counted as lost, alarms at the bed go on until a restart reads
    /// the journal again.
    failure: Option<GatewayError>,
}

impl Core {
    pub(crate) fn open(
        config: &Config,
        paired: Loaded,
        clock: Clock,
        entropy: &Entropy,
        counters: Arc<Counters>,
    ) -> Result<Self, GatewayError> {
        let dir = config.data_dir.clone();
        let (journal, kept) =
            Journal::open(&dir.join("journal"), paired.gateway, paired.journal_newest, config.segment_bytes)?;
        let mut patients = Vec::with_capacity(config.boards.len());
        for sensor in paired.sensors.iter().take(config.boards.len()) {
            let sealers = sealers_of(&paired, sensor, &journal, entropy);
            for sealer in &sealers {
                counters.knows(sealer.stream(), sealer.state().next_seq);
            }
            let monitor = MonitorConfig { floor: config.floor_limits(), ..MonitorConfig::default() };
            patients.push(MonitoredPatient::new(monitor, sealers));
        }
        let now_ms = clock();
        let alarms_of = |sensor: &Identity| {
            let own = |state: &StreamState| state.author == sensor.id() && state.class == Class::Alarms;
            paired.streams.iter().find(|(_, state)| own(state)).map(|(stream, _)| *stream)
        };
        let sensors = paired.sensors.into_iter().take(config.boards.len());
        let commands = Commands::open(
            &dir,
            paired.document.hash(),
            paired.gateway,
            paired.record_key,
            sensors.map(|sensor| (alarms_of(&sensor), sensor)).map(|(alarms, sensor)| (sensor, alarms)),
            entropy.clone(),
            now_ms,
        )
        .map_err(|source| GatewayError::Io { path: dir.clone(), source })?;
        let folder = dir.join(quarantine::FOLDER);
        let (folder, quarantined) =
            Quarantine::open(&folder).map_err(|source| GatewayError::Io { path: folder, source })?;
        if !quarantined.is_empty() {
            let n = quarantined.len();
            tracing::warn!(quarantined = n, "{n} envelopes that the node refused are in quarantine");
        }
        let outbox = Outbox::new(journal, kept, counters.clone()).with_quarantine(folder, quarantined);
        let verifier = Verifier::open(&dir, paired.document, paired.record_key)
            .map_err(|source| GatewayError::Io { path: dir.clone(), source })?;
        counters.ledger_alarm.store(u64::from(verifier.alarm().is_some()), Ordering::Relaxed);
        let mut core = Self {
            patients,
            outbox,
            commands,
            confirmations: Vec::new(),
            answered_ms: now_ms,
            streams: paired.streams,
            verifier,
            dir,
            clock,
            quality: config.clock.into(),
            counters,
            uplink: None,
            in_flight: HashMap::new(),
            journal_newest: paired.journal_newest,
            steady_ms: now_ms,
            now_ms,
            stopping: None,
            taken_over_ms: None,
            losing: false,
            failure: None,
        };
        core.restore_limits();
        core.persist_keys()?;
        Ok(core)
    }

    #[cfg(test)]
    pub(crate) fn bound(&mut self, pending_max: usize) {
        self.outbox.bound(pending_max);
    }

    /// Persists chain keys that have stepped, and how far the journal goes.
    fn persist_keys(&mut self) -> Result<(), GatewayError> {
        let changed =
            keys::note_steps(&mut self.streams, self.patients.iter().flat_map(MonitoredPatient::sealers))
                | (self.outbox.journal().newest() != self.journal_newest);
        if changed {
            let newest = self.outbox.journal().newest();
            keys::write_streams(&self.dir, &self.streams, newest)?;
            self.journal_newest = newest;
        }
        Ok(())
    }

    /// Runs on its own thread until it is stopped.
    pub(crate) fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        boards: Vec<mpsc::Sender<Vec<u8>>>,
    ) -> Result<(), GatewayError> {
        while let Some(input) = inputs.blocking_recv() {
            self.advance_clock();
            self.handle(input);
            for _ in 1..INPUTS_AT_ONCE_MAX {
                let Ok(input) = inputs.try_recv() else { break };
                self.handle(input);
            }
            self.poll_patients(&boards);
            if self.failure.is_none()
                && let Err(why) = self.send()
            {
                self.fail(why, 0);
            }
            let done = match self.stopping {
                None => false,
                Some(false) => true,
                Some(true) => self.outbox.pending() == 0 || self.failure.is_some(),
            };
            if done {
                break;
            }
        }
        // Dropping the uplink says goodbye to the node.
        self.uplink = None;
        if let Some(why) = self.failure {
            return Err(why);
        }
        self.outbox.close()?;
        self.persist_keys()
    }

    fn fail(&mut self, why: GatewayError, readings: u64) {
        add(&self.counters.readings_lost, readings);
        tracing::error!(%why, "Readings are no longer stored: {why}; alarms at the bed go on");
        self.failure.get_or_insert(why);
        self.report_conditions();
    }

    /// Reports to each monitor what the board cannot know: what stands between its readings and the record.
    fn report_conditions(&mut self) {
        let lost = self.failure.is_some() || self.losing || self.outbox.is_full();
        let recently = |at_ms: &u64| self.steady_ms.saturating_sub(*at_ms) < TAKEN_OVER_MS;
        let taken_over = self.taken_over_ms.filter(recently).is_some();
        let clock = self.outbox.clock_wrong_by_ms().is_some();
        // The ledger shown to this gateway contradicts one that was signed before.
        let split = self.verifier.alarm().is_some();
        let silent = self.ward_is_silent();
        for patient in &mut self.patients {
            let streams: Vec<StreamId> = patient.sealers().iter().map(Sealer::stream).collect();
            let forked = streams.iter().any(|stream| self.outbox.is_forked(stream));
            let rejected = streams
                .iter()
                .any(|stream| self.outbox.has_quarantined(stream) && !self.outbox.is_forked(stream));
            patient.report(Condition::Equivocation, forked || taken_over || split, self.now_ms);
            patient.report(Condition::Gap, lost || rejected, self.now_ms);
            patient.report(Condition::Clock, clock, self.now_ms);
            patient.report(Condition::NotListening, silent, self.now_ms);
        }
    }

    fn advance_clock(&mut self) {
        let now_ms = (self.clock)();
        self.steady_ms += now_ms.saturating_sub(self.now_ms).min(STEP_MAX_MS);
        self.now_ms = now_ms;
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Board { there } => add(&self.counters.boards_connected, u64::from(there)),
            Input::Bytes { n, bytes } => {
                if let Some(patient) = self.patients.get_mut(n) {
                    add(&self.counters.frames_bad, patient.receive(&bytes, self.now_ms));
                }
            }
            Input::Connected(uplink) => {
                add(&self.counters.node_connections, 1);
                self.disconnected();
                self.uplink = Some(uplink);
                self.outbox.offer_again(self.steady_ms);
            }
            Input::Disconnected { taken_over } => {
                if taken_over {
                    add(&self.counters.taken_over, 1);
                    self.taken_over_ms = Some(self.steady_ms);
                    tracing::error!(
                        "Another device connected with this gateway's key: its data folder was copied. Stop the copy; if this is the copy, stop this one"
                    );
                }
                self.disconnected();
            }
            Input::Node(event) => {
                self.note_answer(&event);
                if self.failure.is_none()
                    && let Err(why) = self.handle_node_event(event)
                {
                    self.fail(why, 0);
                }
            }
            Input::Tick => self.outbox.tick(self.steady_ms),
            Input::Stop { drain } => self.stopping = Some(drain),
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

    /// Polls every patient's monitor: first what the boards show, then what is sealed and kept.
    fn poll_patients(&mut self, boards: &[mpsc::Sender<Vec<u8>>]) {
        self.report_conditions();
        let offline = self.uplink.is_none();
        let mut polls = Vec::with_capacity(self.patients.len());
        for (patient, board) in self.patients.iter_mut().zip(boards) {
            let mut polled = patient.poll(offline, self.now_ms);
            let down = std::mem::take(&mut polled.down);
            if !down.is_empty() {
                // A board that is gone or does not drain is updated again when it is back.
                let _ = board.try_send(down);
            }
            polls.push(polled);
        }
        for (n, polled) in polls.iter_mut().enumerate() {
            for metric in std::mem::take(&mut polled.ended) {
                polled.confirmations.extend(self.limits_ended(n, metric));
            }
        }
        for (n, confirmation) in std::mem::take(&mut self.confirmations) {
            polls[n].confirmations.push(confirmation);
        }
        // A gateway that drains seals nothing new, or it would never be done; LCD and buzzer go on.
        if self.stopping.is_some() {
            return;
        }
        let (mut sealed, mut readings, mut lost) = (Vec::new(), 0, 0);
        let stores = self.failure.is_none() && !self.outbox.is_full_for_alarms();
        let full = self.outbox.is_full();
        let sampled = polls.iter().any(|polled| !polled.readings.is_empty());
        for (patient, mut polled) in self.patients.iter_mut().zip(polls) {
            readings += self.counters.sampled(&polled);
            if full {
                lost += polled.readings.len() as u64;
                polled.readings.clear();
            }
            if stores {
                let outbox = &self.outbox;
                lost += patient.seal(polled, self.quality, |stream| outbox.is_closed(stream), &mut sealed);
            }
        }
        if sampled {
            self.losing = lost > 0;
        }
        if !stores {
            add(&self.counters.readings_lost, readings);
            return;
        }
        add(&self.counters.readings_lost, lost);
        if !sealed.is_empty() {
            let kept = self.outbox.keep(&sealed, self.now_ms).map_err(GatewayError::from);
            if let Err(why) = kept.and_then(|()| self.persist_keys()) {
                self.fail(why, readings);
            }
        }
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
                // Its end is on its way as an input.
                Err(_) => self.disconnected(),
            }
        }
        Ok(())
    }
}

impl Counters {
    fn sampled(&self, polled: &PollOutcome) -> u64 {
        add(&self.alarms_raised, polled.raised());
        add(&self.alarm_events, polled.alarms.len() as u64);
        let readings = polled.readings.len() as u64;
        add(&self.readings_sampled, readings);
        let measured = polled.readings.iter().filter(|reading| matches!(reading.sample, Sample::Measured(_)));
        add(&self.readings_measured, measured.count() as u64);
        readings
    }
}
