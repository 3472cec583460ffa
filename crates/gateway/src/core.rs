//! The gateway's heart: one thread that owns monitors, sealers and journal, fed by a bounded channel.
//! It is a thread because it waits for the disk; everything it waits for else comes as [`Input`].

mod commands;

use crate::commands::Commands;
use crate::counters::{Counters, add};
use crate::journal::Journal;
use crate::keys::{self, Loaded, StreamState};
use crate::monitored_patient::{MonitoredPatient, PollOutcome};
use crate::outbox::{Outbox, Refused};
use crate::quarantine;
use crate::uplink::Uplink;
use crate::verifier::Verifier;
use crate::{Clock, Config, Entropy, GatewayError, Stop, serial_line};
use device::pairing::Identity;
use device::{MonitorConfig, Sealer, SealerState};
use link::{Client, Event, PublishId};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use vitals::StreamId;
use vitals::alarm::Condition;
use vitals::command::Confirmation;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::metric::Sample;

/// Inputs waiting for the core.
const INPUTS_MAX: usize = 1024;
/// Inputs taken before the beds are looked at again.
const INPUTS_AT_ONCE_MAX: usize = 256;
const TICK: Duration = Duration::from_millis(100);
/// Longest step of the core's clock; the machine's may leap.
const STEP_MAX_MS: u64 = 2_000;
/// After a take-over the bedside says for so long that another hand is at work.
const TAKEN_OVER_MS: u64 = 600_000;

/// What happens to the core.
pub(crate) enum Input {
    Board {
        there: bool,
    },
    Bytes {
        n: usize,
        bytes: Vec<u8>,
    },
    Connected(Client),
    Disconnected {
        /// By another device with this gateway's key.
        taken_over: bool,
    },
    Node(Event),
    Tick,
    /// Read no more from the boards; end once nothing waits, or now.
    Stop {
        drain: bool,
    },
}

/// A sensor's sealers, each going on where the journal stands, under a run of its own.
pub(crate) fn sealers(
    paired: &Loaded,
    sensor: &Identity,
    journal: &Journal,
    entropy: &Entropy,
) -> Vec<Sealer> {
    let genesis = paired.document.hash();
    let own = paired.streams.iter().filter(|(_, state)| state.author == sensor.id());
    own.map(|(stream, state)| {
        let head = journal.head(*stream);
        let mut run = [0; 16];
        entropy(&mut run);
        let (chain, epoch) = (state.chain.clone(), state.epoch);
        let from = SealerState { chain, epoch, next_seq: head.next_seq, prev: head.prev };
        Sealer::new(genesis, sensor.signing_key(), *stream, state.class, run, from)
    })
    .collect()
}

pub(crate) struct Core {
    beds: Vec<MonitoredPatient>,
    outbox: Outbox,
    commands: Commands,
    /// What became of commands, by bed, to be sealed.
    confirmations: Vec<(usize, Confirmation)>,
    /// When the node was known to listen last, by the steady clock.
    heard_ms: u64,
    streams: BTreeMap<StreamId, StreamState>,
    trust: Verifier,
    dir: PathBuf,
    clock: Clock,
    quality: ClockQuality,
    counters: Arc<Counters>,
    client: Option<Client>,
    under_way: HashMap<PublishId, u64>,
    journal_newest: u32,
    steady_ms: u64,
    now_ms: u64,
    stopping: Option<bool>,
    /// When another device took over the connection, by the steady clock.
    taken_over_ms: Option<u64>,
    /// Readings or events could not be stored a moment ago.
    losing: bool,
    /// Disk or journal failed: readings are counted as lost, alarms at the bed go on. Only a new start
    /// finds out where the journal stands.
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
        let mut beds = Vec::with_capacity(config.boards.len());
        for sensor in paired.sensors.iter().take(config.boards.len()) {
            let sealers = sealers(&paired, sensor, &journal, entropy);
            for sealer in &sealers {
                counters.knows(sealer.stream(), sealer.state().next_seq);
            }
            let monitor = MonitorConfig { floor: config.floor_limits(), ..MonitorConfig::default() };
            beds.push(MonitoredPatient::new(monitor, sealers));
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
        let folder = dir.join("aside");
        let (folder, aside) =
            quarantine::Folder::open(&folder).map_err(|source| GatewayError::Io { path: folder, source })?;
        if !aside.is_empty() {
            tracing::warn!(aside = aside.len(), "{} envelopes the node refused are set aside", aside.len());
        }
        let outbox = Outbox::new(journal, kept, counters.clone()).with_aside(folder, aside);
        let trust = Verifier::open(&dir, paired.document, paired.record_key)
            .map_err(|source| GatewayError::Io { path: dir.clone(), source })?;
        counters.ledger_alarm.store(u64::from(trust.alarm().is_some()), Ordering::Relaxed);
        let mut core = Self {
            beds,
            outbox,
            commands,
            confirmations: Vec::new(),
            heard_ms: now_ms,
            streams: paired.streams,
            trust,
            dir,
            clock,
            quality: config.clock.into(),
            counters,
            client: None,
            under_way: HashMap::new(),
            journal_newest: paired.journal_newest,
            steady_ms: now_ms,
            now_ms,
            stopping: None,
            taken_over_ms: None,
            losing: false,
            failure: None,
        };
        core.restore_limits();
        core.remember()?;
        Ok(core)
    }

    #[cfg(test)]
    pub(crate) fn bound(&mut self, pending_max: usize) {
        self.outbox.bound(pending_max);
    }

    /// Persists chain keys that have stepped, and how far the journal goes.
    fn remember(&mut self) -> Result<(), GatewayError> {
        let changed =
            keys::note_steps(&mut self.streams, self.beds.iter().flat_map(MonitoredPatient::sealers))
                | (self.outbox.journal().newest() != self.journal_newest);
        if changed {
            let newest = self.outbox.journal().newest();
            keys::write_streams(&self.dir, &self.streams, newest)?;
            self.journal_newest = newest;
        }
        Ok(())
    }

    /// Runs until told to stop, on its own thread.
    fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        boards: Vec<mpsc::Sender<Vec<u8>>>,
    ) -> Result<(), GatewayError> {
        while let Some(input) = inputs.blocking_recv() {
            self.time();
            self.take(input);
            for _ in 1..INPUTS_AT_ONCE_MAX {
                let Ok(input) = inputs.try_recv() else { break };
                self.take(input);
            }
            self.look(&boards);
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
        // Dropping the client says goodbye to the node.
        self.client = None;
        if let Some(why) = self.failure {
            return Err(why);
        }
        self.outbox.close()?;
        self.remember()
    }

    fn fail(&mut self, why: GatewayError, readings: u64) {
        add(&self.counters.readings_lost, readings);
        tracing::error!(%why, "Readings are no longer stored: {why}; alarms at the bed go on");
        self.failure.get_or_insert(why);
        self.tell_beds();
    }

    /// Tells each bed what stands between it and the record.
    fn tell_beds(&mut self) {
        let lost = self.failure.is_some() || self.losing || self.outbox.is_full();
        let recently = |at_ms: &u64| self.steady_ms.saturating_sub(*at_ms) < TAKEN_OVER_MS;
        let taken_over = self.taken_over_ms.filter(recently).is_some();
        let clock = self.outbox.clock_wrong_by_ms().is_some();
        // Two histories are signed, and one of them is shown here.
        let split = self.trust.alarm().is_some();
        let silent = self.ward_is_silent();
        for bed in &mut self.beds {
            let streams: Vec<StreamId> = bed.sealers().iter().map(Sealer::stream).collect();
            let forked = streams.iter().any(|stream| self.outbox.is_forked(stream));
            let aside = streams
                .iter()
                .any(|stream| self.outbox.holds_aside(stream) && !self.outbox.is_forked(stream));
            bed.report(Condition::Equivocation, forked || taken_over || split, self.now_ms);
            bed.report(Condition::Gap, lost || aside, self.now_ms);
            bed.report(Condition::Clock, clock, self.now_ms);
            bed.report(Condition::NotListening, silent, self.now_ms);
        }
    }

    fn time(&mut self) {
        let now_ms = (self.clock)();
        self.steady_ms += now_ms.saturating_sub(self.now_ms).min(STEP_MAX_MS);
        self.now_ms = now_ms;
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Board { there } => add(&self.counters.boards_connected, u64::from(there)),
            Input::Bytes { n, bytes } => {
                if let Some(bed) = self.beds.get_mut(n) {
                    add(&self.counters.frames_bad, bed.hear(&bytes, self.now_ms));
                }
            }
            Input::Connected(client) => {
                add(&self.counters.node_connections, 1);
                self.disconnected();
                self.client = Some(client);
                self.outbox.offer(self.steady_ms);
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
                self.note_heard(&event);
                if self.failure.is_none()
                    && let Err(why) = self.hear_node(event)
                {
                    self.fail(why, 0);
                }
            }
            Input::Tick => self.outbox.tick(self.steady_ms),
            Input::Stop { drain } => self.stopping = Some(drain),
        }
    }

    fn disconnected(&mut self) {
        self.client = None;
        self.under_way.clear();
        self.outbox.disconnected();
    }

    fn hear_node(&mut self, event: Event) -> Result<(), GatewayError> {
        let (now_ms, steady_ms) = (self.now_ms, self.steady_ms);
        match event {
            Event::Acked { id } => {
                if let Some(id) = self.under_way.remove(&id) {
                    self.outbox.acked(id, steady_ms);
                }
            }
            Event::Refused { id, code, reason } => {
                let Some(id) = self.under_way.remove(&id) else { return Ok(()) };
                let Some(Refused { stream, closed }) = self.outbox.refused(id, code, steady_ms)? else {
                    return Ok(());
                };
                tracing::error!(code, %stream, %reason, "The node refused an envelope (0x{code:02x}): {reason}; it is kept aside");
                if closed {
                    tracing::error!(
                        %stream,
                        "Nothing more is sealed into stream {stream}; alarms at the bed go on. If this folder was copied or restored from a copy: stop the other gateway, retire the sensors of this one, and pair it anew with an empty folder"
                    );
                }
            }
            Event::Receipt(bytes) => {
                if let Err(why) = self.outbox.receipt(&bytes, &self.trust, now_ms, steady_ms)? {
                    tracing::error!(%why, "A receipt does not check: {why}");
                }
            }
            Event::Proof(bytes) => match self.outbox.delivery(&bytes, &mut self.trust, now_ms)? {
                Ok(0) => {}
                Ok(wrong) => {
                    tracing::error!(wrong, "{wrong} envelopes are not where the node claims they are proven")
                }
                Err(why) => tracing::error!(%why, "A proof does not check: {why}"),
            },
            Event::Command(bytes) => self.hear_command(&bytes),
            Event::CommandTooLong(bytes) => {
                add(&self.counters.commands_refused, 1);
                tracing::warn!(bytes, "What came as a command is longer than one and was thrown away");
            }
            Event::Closed(_) => {}
        }
        Ok(())
    }

    /// Looks at every bed: first what the boards shall show, then what is to be sealed and kept.
    fn look(&mut self, boards: &[mpsc::Sender<Vec<u8>>]) {
        self.tell_beds();
        let offline = self.client.is_none();
        let mut looks = Vec::with_capacity(self.beds.len());
        for (bed, board) in self.beds.iter_mut().zip(boards) {
            let mut look = bed.look(offline, self.now_ms);
            let down = std::mem::take(&mut look.down);
            if !down.is_empty() {
                // A board that is gone or does not drain is told again when it is back.
                let _ = board.try_send(down);
            }
            looks.push(look);
        }
        for (n, look) in looks.iter_mut().enumerate() {
            for metric in std::mem::take(&mut look.ended) {
                look.confirmations.extend(self.ended(n, metric));
            }
        }
        for (n, confirmation) in std::mem::take(&mut self.confirmations) {
            looks[n].confirmations.push(confirmation);
        }
        // A gateway that drains seals nothing new, or it would never be done; LCD and buzzer go on.
        if self.stopping.is_some() {
            return;
        }
        let (mut sealed, mut readings, mut lost) = (Vec::new(), 0, 0);
        let stores = self.failure.is_none() && !self.outbox.is_full_for_alarms();
        let full = self.outbox.is_full();
        let sampled = looks.iter().any(|look| !look.readings.is_empty());
        for (bed, mut look) in self.beds.iter_mut().zip(looks) {
            readings += self.counters.saw(&look);
            if full {
                lost += look.readings.len() as u64;
                look.readings.clear();
            }
            if stores {
                let outbox = &self.outbox;
                lost += bed.seal(look, self.quality, |stream| outbox.is_closed(stream), &mut sealed);
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
            if let Err(why) = kept.and_then(|()| self.remember()) {
                self.fail(why, readings);
            }
        }
    }

    fn send(&mut self) -> Result<(), GatewayError> {
        while let Some(client) = &self.client
            && client.room() > 0
            && let Some((id, alarm, bytes)) = self.outbox.next()?
        {
            match client.publish(alarm, bytes) {
                Ok(publish) => {
                    self.under_way.insert(publish, id);
                }
                // Its end is on its way as an input.
                Err(_) => self.disconnected(),
            }
        }
        Ok(())
    }
}

impl Counters {
    fn saw(&self, look: &PollOutcome) -> u64 {
        add(&self.alarms_raised, look.raised());
        add(&self.alarm_events, look.alarms.len() as u64);
        let readings = look.readings.len() as u64;
        add(&self.readings_sampled, readings);
        let measured = look.readings.iter().filter(|reading| matches!(reading.sample, Sample::Measured(_)));
        add(&self.readings_measured, measured.count() as u64);
        readings
    }
}

/// Starts the core's thread and the tasks around it, and ends them when `stop` says so.
pub(crate) async fn run(
    core: Core,
    uplink: Uplink,
    boards: &[PathBuf],
    baud: u32,
    mut stop: Stop,
    drain: Option<Duration>,
) -> Result<(), GatewayError> {
    let (inputs, core_inputs) = mpsc::channel(INPUTS_MAX);
    let (ended, mut end) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let mut downs = Vec::with_capacity(boards.len());
    for (n, path) in boards.iter().enumerate() {
        let (down, board_down) = mpsc::channel(serial_line::DOWN_MAX);
        downs.push(down);
        tasks.spawn(serial_line::serve(n, path.clone(), baud, inputs.clone(), board_down));
    }
    tasks.spawn(uplink.run(inputs.clone()));
    let ticks = inputs.clone();
    tasks.spawn(async move {
        let mut every = interval(TICK);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            if ticks.send(Input::Tick).await.is_err() {
                return;
            }
        }
    });
    let thread = std::thread::Builder::new()
        .name("bedside".into())
        .spawn(move || {
            let _ = ended.send(core.run(core_inputs, downs));
        })
        .map_err(|source| GatewayError::Io { path: PathBuf::from("thread"), source })?;
    let outcome = tokio::select! {
        outcome = &mut end => outcome,
        () = link::stopped(&mut stop) => {
            let _ = inputs.send(Input::Stop { drain: drain.is_some() }).await;
            match tokio::time::timeout(drain.unwrap_or(Duration::MAX), &mut end).await {
                Ok(outcome) => outcome,
                Err(_too_long) => {
                    let _ = inputs.send(Input::Stop { drain: false }).await;
                    end.await
                }
            }
        }
    };
    drop(inputs);
    // The core's end closes every task's channel.
    while tasks.join_next().await.is_some() {}
    let _ = thread.join();
    outcome.map_err(|_| GatewayError::Ended("bedside thread"))?
}
