//! What people do about an episode.

use super::{Changes, PatientAlarms};
use vitals::PersonId;
use vitals::alarm::Condition;

impl PatientAlarms {
    /// Somebody answers.
    pub(crate) fn acknowledge(
        &mut self,
        condition: Condition,
        by: PersonId,
        name: &str,
        now_ms: u64,
    ) -> Changes {
        let mut changes = Changes::default();
        if let Some(state) = self.states.get_mut(&condition) {
            let event = state.alarm.acknowledge(by, now_ms);
            if event.is_some() {
                state.owner = Some(name.to_owned());
                state.answered_ms = now_ms;
            }
            changes.own(event);
        }
        changes
    }

    /// Who answered the last episode of a condition, and when, milliseconds; none while nobody did.
    pub(crate) fn answer_to(&self, condition: Condition) -> Option<(&str, u64)> {
        let state = self.states.get(&condition)?;
        Some((state.owner.as_deref()?, state.answered_ms))
    }

    /// Somebody turns the sound off for a while.
    pub(crate) fn silence(
        &mut self,
        condition: Condition,
        by: PersonId,
        for_ms: u64,
        now_ms: u64,
    ) -> Changes {
        let mut changes = Changes::default();
        if let Some(state) = self.states.get_mut(&condition) {
            changes.own(state.alarm.silence(by, for_ms, now_ms));
        }
        changes
    }

    /// Somebody turns the sound on again.
    pub(crate) fn end_silence(&mut self, condition: Condition, by: PersonId, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        if let Some(state) = self.states.get_mut(&condition) {
            changes.own(state.alarm.end_silence(by, now_ms));
        }
        changes
    }
}
