//! What one step of the engine brought about.

use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition};
use vitals::body::LimitsChange;

/// What one patient's engine noticed: to be recorded and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Events the node has to write into the record.
    pub(crate) record: Vec<AlarmEvent>,
    /// Limits that came back because their time was over: to be written as well.
    pub(crate) limits: Vec<LimitsChange>,
    /// Conditions whose episode changed, for the live view.
    pub(crate) changed: Vec<Condition>,
    /// Something else changed that is shown, such as a value that went beyond a limit or came back.
    pub(crate) redraw: bool,
    /// Episodes that began, here or at the bedside.
    pub(crate) raised: u64,
}

impl Changes {
    pub(super) fn own(&mut self, event: Option<AlarmEvent>) {
        self.theirs(event);
        self.record.extend(event);
    }

    /// The bedside has sealed this event itself.
    pub(super) fn theirs(&mut self, event: Option<AlarmEvent>) {
        if let Some(event) = event {
            self.changed.push(event.condition);
            self.raised += u64::from(event.kind == AlarmEventKind::Raised);
        }
    }

    /// What was noticed besides.
    pub(crate) fn add(&mut self, other: Self) {
        self.record.extend(other.record);
        self.changed.extend(other.changed);
        self.limits.extend(other.limits);
        self.raised += other.raised;
        self.redraw |= other.redraw;
    }

    /// Did anything happen?
    pub(crate) fn is_empty(&self) -> bool {
        let nothing_to_write = self.record.is_empty() && self.limits.is_empty();
        nothing_to_write && self.changed.is_empty() && !self.redraw
    }
}
