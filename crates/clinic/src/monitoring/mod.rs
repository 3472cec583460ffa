//! Monitoring: what was just admitted is opened under the patient's consent, watched for alarms, kept
//! for two hours and told to those who may see it. A bed that is not watched is itself an alarm.
//!
//! # Who does what
//!
//! ```text
//! admission ─▶ arrivals ─▶ attend: opens (no lock) ─▶ beds (lock, pure) ─▶ events told ─▶ unwritten ─▶ write_alarm_events
//!                            ▲                          ▲                                                (fsync, no lock)
//!            lease of each bed                          └─ tick: only the beds that have a deadline now
//!                            │
//!                          keep_watch: asks the ledger, writes access entries in one group, reads back (no lock)
//! ```
//!
//! A node runs [`Clinic::attend`](crate::Clinic::attend) and [`Clinic::tick`](crate::Clinic::tick) on one thread, [`Clinic::keep_watch`](crate::Clinic::keep_watch) on a
//! second and [`Clinic::write_alarm_events`](crate::Clinic::write_alarm_events) on a third, so that neither a slow disk nor a slow ledger
//! is in the way of an alarm.
//!
//! # The lock
//!
//! [`Monitoring`] owns every bed. Its locks are taken in `state.rs` only, for as long as a pure function
//! of one bed runs: never across a disk, the ledger, a key or another lock.

mod alarm_record;
mod alarms;
mod announcements;
mod attend;
mod clocks;
mod commands;
mod deadlines;
mod events;
mod gateways;
mod leases;
mod limits;
mod monitored_patient;
mod orders;
mod read_back;
mod recent;
mod renewals;
mod resume_points;
mod staleness;
mod state;
mod subscription;
mod ticks;
mod unwatched;
pub(crate) mod views;
mod wall;
mod writing;

pub(crate) use alarms::Changes;
pub use announcements::{Announcements, WATCH_ENDS};
pub(crate) use attend::Effects;
pub(crate) use commands::OrderRequest;
pub(crate) use events::Events;
pub use events::LiveEvent;
pub use leases::LeasePlan;
pub use limits::{LIMITS_FOR_MS_MAX, LIMITS_FOR_MS_MIN, LimitsOrder};
pub(crate) use monitored_patient::{Fresh, MonitoredPatient};
pub use orders::About;
pub use recent::RECENT_MS;
pub use staleness::STALE_MS;
pub(crate) use state::Monitoring;
pub use subscription::Subscription;
pub use unwatched::REASON_BYTES_MIN;
