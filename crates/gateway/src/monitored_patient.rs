//! One monitored patient: a board's monitor and the sealers of its sensor's streams. No I/O.

use device::frame::{LCD_COLUMNS, LcdText, Message};
use device::{Action, Decoder, Down, Monitor, MonitorConfig, Sealed, Sealer, Up};
use vitals::alarm::{AlarmEvent, Condition, Happening};
use vitals::body::Body;
use vitals::command::Confirmation;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::metric::Reading;
use vitals::{Metric, StreamId};

/// Shown in the last column of the first line while the node cannot be reached.
const OFFLINE: u8 = b'!';

/// What one poll led to.
#[derive(Debug, Default)]
pub(crate) struct PollOutcome {
    /// For the board, in order.
    pub(crate) down: Vec<u8>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) alarms: Vec<AlarmEvent>,
    /// Metrics whose ordered limits have just ended.
    pub(crate) ended: Vec<Metric>,
    /// What became of commands.
    pub(crate) confirmations: Vec<Confirmation>,
}

impl PollOutcome {
    pub(crate) fn raised(&self) -> u64 {
        self.alarms.iter().filter(|event| event.happening == Happening::Raised).count() as u64
    }
}

pub(crate) struct MonitoredPatient {
    decoder: Decoder<Up>,
    bad_frames: u64,
    monitor: Monitor,
    sealers: Vec<Sealer>,
    text: Option<LcdText>,
    offline: bool,
    heard: bool,
}

impl MonitoredPatient {
    pub(crate) fn new(config: MonitorConfig, sealers: Vec<Sealer>) -> Self {
        Self {
            decoder: Decoder::new(),
            bad_frames: 0,
            monitor: Monitor::new(config),
            sealers,
            text: None,
            offline: true,
            heard: false,
        }
    }

    pub(crate) fn sealers(&self) -> &[Sealer] {
        &self.sealers
    }

    /// Takes bytes of the serial line; gives how many frames among them were invalid.
    pub(crate) fn receive(&mut self, bytes: &[u8], now_ms: u64) -> u64 {
        for frame in self.decoder.feed_all(bytes) {
            self.heard = true;
            self.monitor.on_frame(frame, now_ms);
        }
        let bad = self.decoder.bad_frames();
        bad - std::mem::replace(&mut self.bad_frames, bad)
    }

    /// A condition the board cannot know: an equivocation, readings that are not recorded, a wrong clock.
    pub(crate) fn report(&mut self, condition: Condition, wrong: bool, now_ms: u64) {
        self.monitor.report(condition, wrong, now_ms);
    }

    /// The monitor, for what the ward orders.
    pub(crate) fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// What there is to do now. Does not seal: what the LCD and buzzer do never waits for that.
    pub(crate) fn poll(&mut self, offline: bool, now_ms: u64) -> PollOutcome {
        let mut polled = PollOutcome::default();
        let turned = std::mem::replace(&mut self.offline, offline) != offline;
        let mut shown = false;
        for action in self.monitor.poll(now_ms) {
            match action {
                Action::Readings(readings) => polled.readings.extend(readings),
                Action::Alarm(event) => polled.alarms.push(event),
                Action::LimitsEnded(metric) => polled.ended.push(metric),
                Action::Show(Down::Lcd { lines }) => {
                    self.text = Some(lines);
                    shown = true;
                    polled.down.extend(Down::Lcd { lines: mark(lines, offline) }.encode());
                }
                Action::Show(other) => polled.down.extend(other.encode()),
            }
        }
        if turned
            && !shown
            && let Some(lines) = self.text
        {
            polled.down.extend(Down::Lcd { lines: mark(lines, offline) }.encode());
        }
        polled
    }

    /// Seals what was sampled: one envelope per class, alarms apart, nothing into a stream that is
    /// `closed`. Gives how many readings and events could not be.
    pub(crate) fn seal(
        &mut self,
        polled: PollOutcome,
        clock: ClockQuality,
        closed: impl Fn(&StreamId) -> bool,
        out: &mut Vec<(bool, Sealed)>,
    ) -> u64 {
        let mut lost = 0;
        let mut bodies = Vec::new();
        if !polled.alarms.is_empty() {
            bodies.push((Class::Alarms, Body::Alarms(polled.alarms)));
        }
        if !polled.confirmations.is_empty() {
            bodies.push((Class::Alarms, Body::Confirmations(polled.confirmations)));
        }
        for class in [Class::Vitals, Class::Environment] {
            let readings: Vec<Reading> = polled
                .readings
                .iter()
                .filter(|reading| reading.metric.info().class == class)
                .copied()
                .collect();
            if !readings.is_empty() {
                bodies.push((class, Body::Readings(readings)));
            }
        }
        for (class, body) in bodies {
            let Some(sealer) = self.sealers.iter_mut().find(|sealer| sealer.class() == class) else {
                tracing::warn!(class = class.word(), "No stream was paired for class {}", class.word());
                lost += u64::from(body.count());
                continue;
            };
            if closed(&sealer.stream()) {
                lost += u64::from(body.count());
                continue;
            }
            match sealer.seal(&body, clock) {
                Ok(sealed) => out.push((class == Class::Alarms, sealed)),
                Err(why) => {
                    lost += u64::from(body.count());
                    tracing::error!(%why, class = class.word(), "Could not seal: {why}");
                }
            }
        }
        lost
    }
}

/// Marks the text while the node cannot be reached, where the cell is free.
fn mark(mut lines: LcdText, offline: bool) -> LcdText {
    let cell = &mut lines[0][LCD_COLUMNS - 1];
    if offline && *cell == b' ' {
        *cell = OFFLINE;
    }
    lines
}
