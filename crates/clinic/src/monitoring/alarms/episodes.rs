//! Episodes as people see them.

use super::PatientAlarms;
use crate::monitoring::views::{AlarmPhase, AlarmView};
use vitals::alarm::{Condition, State};

impl PatientAlarms {
    /// When the open episode of a condition began; none while there is none.
    pub(crate) fn open_since_ms(&self, condition: Condition) -> Option<u64> {
        let state = self.states.get(&condition).filter(|state| state.alarm.is_open())?;
        Some(state.alarm.raised_at_ms())
    }

    /// The episode of a condition, closed or open; none if there never was one.
    pub(crate) fn view(&self, condition: Condition) -> Option<AlarmView> {
        let state = self.states.get(&condition).filter(|state| state.alarm.episode() > 0)?;
        let alarm = &state.alarm;
        let phase = match alarm.state() {
            State::Active => AlarmPhase::Active,
            State::Acknowledged => AlarmPhase::Acknowledged,
            State::Recovered => AlarmPhase::Recovered,
            State::Normal | State::Pending { .. } => AlarmPhase::Closed,
        };
        Some(AlarmView {
            patient: self.patient,
            condition,
            episode: alarm.episode(),
            priority: alarm.priority(),
            phase,
            value: alarm.value(),
            raised_at_ms: alarm.raised_at_ms(),
            active_since_ms: alarm.active_since_ms(),
            owner: state.owner.clone(),
            silenced_until_ms: alarm.silenced_until_ms(),
            inhibited: alarm.is_inhibited(),
            escalated: state.escalated,
        })
    }

    /// Open episodes, by [`AlarmView::urgency`].
    pub(crate) fn open(&self) -> Vec<AlarmView> {
        let mut open: Vec<AlarmView> = self
            .states
            .iter()
            .filter(|(_, state)| state.alarm.is_open())
            .filter_map(|(condition, _)| self.view(*condition))
            .collect();
        open.sort_by_key(AlarmView::urgency);
        open
    }
}
