//! One monitored patient: a board's monitor, and what its LCD and buzzer are told. No I/O.

use device::frame::{LCD_COLUMNS, LcdText, Message};
use device::{Action, Decoder, Down, Monitor, MonitorConfig, Up};
use vitals::Metric;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition};
use vitals::metric::Reading;

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
}

impl PollOutcome {
    pub(crate) fn raised(&self) -> u64 {
        self.alarms.iter().filter(|event| event.kind == AlarmEventKind::Raised).count() as u64
    }
}

pub(crate) struct MonitoredPatient {
    decoder: Decoder<Up>,
    bad_frames: u64,
    monitor: Monitor,
    text: Option<LcdText>,
    offline: bool,
    heard: bool,
}

impl MonitoredPatient {
    pub(crate) fn new(config: MonitorConfig) -> Self {
        Self {
            decoder: Decoder::new(),
            bad_frames: 0,
            monitor: Monitor::new(config),
            text: None,
            offline: true,
            heard: false,
        }
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

    /// What there is to do now. What the LCD and buzzer do waits for nothing.
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
}

/// Marks the text while the node cannot be reached, where the cell is free.
fn mark(mut lines: LcdText, offline: bool) -> LcdText {
    let cell = &mut lines[0][LCD_COLUMNS - 1];
    if offline && *cell == b' ' {
        *cell = OFFLINE;
    }
    lines
}
