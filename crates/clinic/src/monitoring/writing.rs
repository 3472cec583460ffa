//! Alarm events on their way into the record: queued where they are noticed, written by one thread.

use crate::clinic::Clinic;
use vitals::envelope::ClockQuality;

/// Entries written together.
const GROUP_LEN: usize = 256;

impl Clinic {
    /// Writes the alarm events that wait, in the order in which they were noticed. What the disk does
    /// not take waits for the next call. Waits for the disk: call it from one thread of its own.
    pub fn write_alarm_events(&self, now_ms: u64) {
        loop {
            let entries = self.monitoring.take_unwritten(GROUP_LEN);
            if entries.is_empty() {
                return;
            }
            match self.vault().write(self.store(), &entries, ClockQuality::Synced, now_ms) {
                Ok(written) => self.stats.authored(written.len()),
                Err(why) => {
                    // That the disk refuses is logged when it begins; this is tried five times a second.
                    if !self.store().is_refused() {
                        tracing::error!(reason = %why, "Alarm events could not be recorded; they are kept and tried again");
                    }
                    self.monitoring.write_again(entries);
                    return;
                }
            }
        }
    }
}
