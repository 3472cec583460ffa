//! The bedside: one thread that owns the monitors of all beds, fed by a bounded channel. It drives LCD and
//! buzzer, takes the buttons, carries out the ward's orders and says when nobody listens or nothing is
//! recorded. It holds no file and waits for no disk and no network: what is to be recorded and sent goes to the
//! recorder.

mod orders;

use crate::commands::Ordered;
use crate::counters::{Counters, add};
use crate::input::Input;
use crate::monitored_patient::{MonitoredPatient, PollOutcome};
use crate::recorder_queue::{RecorderQueue, Sampled, Session, Summary};
use crate::{Clock, Config};
use device::MonitorConfig;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use vitals::Metric;
use vitals::alarm::Condition;
use vitals::command::Confirmation;
use vitals::metric::Sample;

/// Inputs taken before the monitors are polled again.
const INPUTS_AT_ONCE_MAX: usize = 256;
/// Longest step of the bedside's clock; the machine's may leap.
const STEP_MAX_MS: u64 = 2_000;
/// After a take-over the bedside shows for so long that another device uses its identity.
const TAKEN_OVER_MS: u64 = 600_000;
/// What was sampled so long ago and is not on the disk yet is not recorded, and the bedside says so.
const LATE_MS: u64 = 10_000;

pub(crate) struct Bedside {
    patients: Vec<MonitoredPatient>,
    /// By bed, the commands that ordered limits.
    ordered: Vec<Vec<Ordered>>,
    /// What became of commands, by bed.
    confirmations: Vec<(usize, Confirmation)>,
    queue: Arc<RecorderQueue>,
    summary: Summary,
    clock: Clock,
    counters: Arc<Counters>,
    /// A session with the node is open.
    online: bool,
    /// When the node last answered, by the steady clock.
    answered_ms: u64,
    steady_ms: u64,
    now_ms: u64,
    stopping: bool,
    /// When another device took over the connection, by the steady clock.
    taken_over_ms: Option<u64>,
    /// The queue had no room a moment ago.
    dropping: bool,
}

impl Bedside {
    /// The beds of the configuration; `ordered` are each bed's limits that were ordered before this start.
    pub(crate) fn new(
        config: &Config,
        ordered: Vec<Vec<Ordered>>,
        queue: Arc<RecorderQueue>,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        let monitor = || MonitorConfig { floor: config.floor_limits(), ..MonitorConfig::default() };
        let now_ms = clock();
        let mut bedside = Self {
            patients: ordered.iter().map(|_| MonitoredPatient::new(monitor())).collect(),
            ordered,
            confirmations: Vec::new(),
            queue,
            summary: Summary::default(),
            clock,
            counters,
            online: false,
            answered_ms: now_ms,
            steady_ms: now_ms,
            now_ms,
            stopping: false,
            taken_over_ms: None,
            dropping: false,
        };
        bedside.restore_limits();
        bedside
    }

    #[cfg(test)]
    pub(crate) fn bound_queue(&self, readings_max: usize, alarm_events_max: usize) {
        self.queue.bound(readings_max, alarm_events_max);
    }

    /// Runs on its own thread until the recorder has ended, also while that waits for its disk.
    pub(crate) fn run(mut self, mut inputs: mpsc::Receiver<Input>, boards: Vec<mpsc::Sender<Vec<u8>>>) {
        let _stop = self.queue.stop_when_dropped();
        while let Some(input) = inputs.blocking_recv() {
            self.advance_clock();
            self.handle(input);
            for _ in 1..INPUTS_AT_ONCE_MAX {
                let Ok(input) = inputs.try_recv() else { break };
                self.handle(input);
            }
            self.summary = self.queue.take_summary();
            if self.summary.is_over {
                break;
            }
            self.carry_out_orders();
            self.poll_patients(&boards);
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
                self.online = true;
                self.queue.session(Session::Open(uplink));
            }
            Input::Disconnected { taken_over } => {
                if taken_over {
                    add(&self.counters.taken_over, 1);
                    self.taken_over_ms = Some(self.steady_ms);
                    tracing::error!(
                        "Another device connected with this gateway's key: its data folder was copied. Stop the copy; if this is the copy, stop this one"
                    );
                }
                self.online = false;
                self.queue.session(Session::Over);
            }
            Input::Node(event) => {
                self.note_answer(&event);
                self.queue.event(event);
            }
            Input::Tick => {}
            Input::Stop { drain } => {
                self.stopping = true;
                self.queue.stop(drain);
            }
        }
    }

    /// Is what was sampled not recorded: given up, or waiting for too long? Logs and counts when that changes.
    fn update_not_recorded(&self) -> bool {
        let late = self.is_late();
        let is = self.summary.standing.losing || self.dropping || late;
        let before = self.counters.not_recorded.swap(u64::from(is), Ordering::Relaxed);
        match (before, is) {
            (0, true) => tracing::error!(late, "What is sampled is not recorded; alarms at the bed go on"),
            (1, false) => tracing::info!("What is sampled is recorded again"),
            _ => {}
        }
        is
    }

    fn is_late(&self) -> bool {
        self.summary.oldest_ms.is_some_and(|at_ms| self.steady_ms.saturating_sub(at_ms) >= LATE_MS)
    }

    /// Reports to each monitor what the board cannot know: what stands between its readings and the record.
    fn report_conditions(&mut self) {
        let recently = |at_ms: &u64| self.steady_ms.saturating_sub(*at_ms) < TAKEN_OVER_MS;
        let taken_over = self.taken_over_ms.filter(recently).is_some();
        let silent = self.ward_is_silent();
        let not_recorded = self.update_not_recorded();
        let standing = &self.summary.standing;
        for (n, patient) in self.patients.iter_mut().enumerate() {
            let streams = standing.beds.get(n).copied().unwrap_or_default();
            let forked = streams.forked || taken_over || standing.ledger_split;
            patient.report(Condition::Equivocation, forked, self.now_ms);
            patient.report(Condition::Gap, not_recorded || streams.rejected, self.now_ms);
            patient.report(Condition::Clock, standing.clock_wrong, self.now_ms);
            patient.report(Condition::NotListening, silent, self.now_ms);
            patient.monitor().set_not_recorded(not_recorded);
        }
    }

    /// Polls every patient's monitor: first what the boards show, then what is handed over to be recorded.
    fn poll_patients(&mut self, boards: &[mpsc::Sender<Vec<u8>>]) {
        self.report_conditions();
        let offline = !self.online;
        let mut sampled = Vec::with_capacity(self.patients.len());
        let mut ended: Vec<(usize, Metric)> = Vec::new();
        for (n, (patient, board)) in self.patients.iter_mut().zip(boards).enumerate() {
            let polled = patient.poll(offline, self.now_ms);
            if !self.stopping {
                self.counters.sampled(&polled);
            }
            if !polled.down.is_empty() {
                // A board that is gone or does not drain is updated again when it is back.
                let _ = board.try_send(polled.down);
            }
            ended.extend(polled.ended.into_iter().map(|metric| (n, metric)));
            let (at_ms, confirmations) = (self.steady_ms, Vec::new());
            sampled.push(Sampled {
                n,
                at_ms,
                readings: polled.readings,
                alarms: polled.alarms,
                confirmations,
            });
        }
        for (n, metric) in ended {
            let confirmation = self.limits_ended(n, metric);
            self.confirmations.extend(confirmation.map(|confirmation| (n, confirmation)));
        }
        for (n, confirmation) in std::mem::take(&mut self.confirmations) {
            sampled[n].confirmations.push(confirmation);
        }
        // A gateway that ends seals nothing new, or it would never be done; LCD and buzzer go on.
        if self.stopping {
            sampled.clear();
        }
        self.queue_samples(sampled);
    }

    fn queue_samples(&mut self, sampled: Vec<Sampled>) {
        let readings: usize = sampled.iter().map(|sampled| sampled.readings.len()).sum();
        let no_room = self.queue.put(sampled, self.now_ms, self.steady_ms);
        if readings > 0 {
            self.dropping = no_room.readings > 0;
        }
        if no_room.alarm_events > 0 {
            tracing::warn!(
                merged = no_room.alarm_events,
                "So many alarm events wait for the disk that of each alarm only the last is kept"
            );
        }
        add(&self.counters.readings_lost, no_room.readings as u64);
        add(&self.counters.alarm_events_merged, no_room.alarm_events as u64);
    }
}

impl Counters {
    fn sampled(&self, polled: &PollOutcome) {
        add(&self.alarms_raised, polled.raised());
        add(&self.alarm_events, polled.alarms.len() as u64);
        add(&self.readings_sampled, polled.readings.len() as u64);
        let measured = polled.readings.iter().filter(|reading| matches!(reading.sample, Sample::Measured(_)));
        add(&self.readings_measured, measured.count() as u64);
    }
}
