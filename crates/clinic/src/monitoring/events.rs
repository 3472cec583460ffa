//! Live events, and how subscribers get them.

use super::views::{AlarmView, HiddenBed, UnwatchedBed};
use crate::anchoring::EnvelopeRef;
use std::sync::Arc;
use tokio::sync::broadcast::{self, Receiver, Sender};
use vitals::PatientId;
use vitals::metric::Reading;

/// Events a slow listener may fall behind before it has to read its tiles again.
pub(crate) const EVENTS_LEN_MAX: usize = 1024;

silent_debug!(LiveEvent);

/// What happens now, for those who may see it (see [`crate::Subscription`]).
#[derive(Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// An envelope of readings was admitted and opened.
    Readings {
        /// Whose.
        patient: PatientId,
        /// The readings, by metric, then in time order; their times are the author's.
        readings: Vec<Reading>,
        /// To be added to the author's times to get this node's, milliseconds.
        offset_ms: i64,
        /// Its envelope.
        envelope: EnvelopeRef,
        /// When its author sealed it (the header's last time), milliseconds.
        sealed_at_ms: u64,
        /// When it became live here, milliseconds.
        live_at_ms: u64,
    },
    /// An episode was raised or changed.
    Alarm(AlarmView),
    /// An episode was raised or changed at a bed that this stream may not show now: that there is an alarm,
    /// and how urgent.
    Hidden(HiddenBed),
    /// Data stopped, came back, a sensor fell off: read the tile again.
    Changed {
        /// Whose.
        patient: PatientId,
    },
    /// Whether somebody watches a bed changed, or the alarm about it. It names no patient, so every
    /// clinician of the ward is told.
    Watching {
        /// The bed's patient, by id.
        patient: PatientId,
        /// What is to be said of it; none once somebody watches.
        unwatched: Option<UnwatchedBed>,
    },
    /// Somebody opened the record.
    Access {
        /// Whose.
        patient: PatientId,
    },
    /// The log is anchored further. Values whose index is below are anchored or final.
    Proof {
        /// Leaves covered by anchors handed to the ledger.
        anchored_size: u64,
        /// Leaves covered by the finalized anchor.
        final_size: u64,
        /// Ledger height of that anchor.
        height: u64,
    },
}

/// Broadcasts events to all subscribers. Never waits.
#[derive(Debug)]
pub(crate) struct Events(Sender<Arc<LiveEvent>>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(EVENTS_LEN_MAX).0)
    }
}

impl Events {
    /// Events of all patients. Only [`Subscription`](crate::Subscription) hands them to people.
    pub(crate) fn listen(&self) -> Receiver<Arc<LiveEvent>> {
        self.0.subscribe()
    }

    pub(crate) fn publish(&self, event: LiveEvent) {
        // No subscriber is no error.
        let _ = self.0.send(Arc::new(event));
    }
}
