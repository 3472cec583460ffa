//! Commands from the ward: accepted or refused, carried out, confirmed. And a ward that does not answer.

use super::Core;
use crate::commands::{Judged, confirmation};
use crate::counters::add;
use device::{Answer, Answered};
use link::{Event, Rejection};
use std::sync::atomic::Ordering;
use vitals::Metric;
use vitals::command::{Action, Command, Confirmation, Outcome};

/// Without an answer of the node for so long the bedside shows that the ward does not listen.
pub(super) const SILENT_MS: u64 = 30_000;

impl Core {
    /// The node's time, as its receipts tell it.
    fn node_ms(&self) -> u64 {
        self.now_ms.saturating_add_signed(self.outbox.clock_off_ms())
    }

    /// A time of the node by this gateway's clock.
    fn here_ms(&self, node_ms: u64) -> u64 {
        node_ms.saturating_add_signed(self.outbox.clock_off_ms().saturating_neg())
    }

    /// Restores the limits that were ordered before this start.
    pub(super) fn restore_limits(&mut self) {
        for n in 0..self.patients.len() {
            let ordered: Vec<_> = self.commands.ordered(n).copied().collect();
            for one in ordered {
                let (until_ms, now_ms) = (self.here_ms(one.until_ms), self.now_ms);
                self.patients[n].monitor().restore_limits(one.limits, until_ms, now_ms);
            }
        }
    }

    pub(super) fn handle_command(&mut self, bytes: &[u8]) {
        // It could not confirm any more what it carried out now: the node asks again later.
        if self.stopping.is_some() {
            return;
        }
        let node_ms = self.node_ms();
        let refused = |n: Option<usize>, outcome: &str| {
            tracing::warn!(board = n, outcome, "A command was refused: {outcome}");
        };
        match self.commands.judge(bytes, node_ms, self.now_ms, self.steady_ms) {
            Judged::Malformed(why) => {
                add(&self.counters.commands_refused, 1);
                refused(None, &why.to_string());
            }
            Judged::OtherBedside(outcome) => {
                add(&self.counters.commands_refused, 1);
                refused(None, outcome.sentence());
            }
            Judged::Refused(n, outcome, told) => {
                add(&self.counters.commands_refused, 1);
                refused(Some(n), outcome.sentence());
                self.confirmations.extend(told.map(|told| (n, told)));
            }
            Judged::Take(n, command) => {
                let said = self.carry_out(n, &command, node_ms);
                let counter = if said.outcome.is_refused() {
                    &self.counters.commands_refused
                } else {
                    &self.counters.commands_taken
                };
                add(counter, 1);
                tracing::info!(
                    board = n,
                    outcome = said.outcome.sentence(),
                    "A command was heard at board {n}"
                );
                self.confirmations.push((n, said));
            }
        }
    }

    fn carry_out(&mut self, n: usize, command: &Command, node_ms: u64) -> Confirmation {
        let (now_ms, until_ms) = (self.now_ms, command.in_force_until_ms);
        let local_until_ms = self.here_ms(until_ms);
        let for_ms = until_ms.saturating_sub(node_ms);
        let said = |outcome| Confirmation {
            until_ms: if outcome == Outcome::InForce { until_ms } else { 0 },
            ..confirmation(command, outcome, now_ms)
        };
        let done = |done| said(if done { Outcome::InForce } else { Outcome::Nothing });
        let answered = |answered| {
            said(match answered {
                Answered::Done => Outcome::InForce,
                Answered::Nothing => Outcome::Nothing,
                Answered::Worse => Outcome::Worse,
            })
        };
        let age_ms = node_ms.saturating_sub(command.at_ms);
        let monitor = self.patients[n].monitor();
        match command.action {
            Action::Acknowledge { condition, priority, .. } => {
                let answer = Answer { condition, priority, by: command.by, age_ms, for_ms };
                answered(monitor.answer(answer, now_ms))
            }
            Action::Silence { condition } => {
                answered(monitor.pause(condition, command.by, age_ms, for_ms, now_ms))
            }
            Action::EndSilence { condition } => done(monitor.end_silence(condition, command.by, now_ms)),
            Action::Limits(limits) => {
                monitor.order_limits(limits, local_until_ms, now_ms);
                let in_force = monitor.limits_in_force(limits.metric);
                let outcome = if in_force == Some(limits) { Outcome::InForce } else { Outcome::Narrowed };
                // Sides that overlap cannot be written down; then every value is an alarm.
                let limits = in_force.filter(vitals::alarm::Limits::in_order);
                Confirmation { until_ms, limits, ..said(outcome) }
            }
        }
    }

    /// The time of ordered limits is over: the confirmation that says so.
    pub(super) fn limits_ended(&mut self, n: usize, metric: Metric) -> Option<Confirmation> {
        let ordered = self.commands.ordered_of(n, metric)?;
        let in_force = self.patients.get_mut(n)?.monitor().limits_in_force(metric);
        tracing::warn!(board = n, "Limits ended at board {n}: the stricter ones are in force");
        Some(Confirmation {
            at_ms: self.now_ms,
            seq: ordered.seq,
            command: ordered.command,
            outcome: Outcome::Ended,
            until_ms: 0,
            limits: in_force.filter(vitals::alarm::Limits::in_order),
        })
    }

    /// Notes when the node answers. A connection is no answer, and neither is Busy.
    pub(super) fn note_answer(&mut self, event: &Event) {
        let answered = match event {
            Event::Acked { .. } | Event::Receipt(_) | Event::Proof(_) | Event::Command(_) => true,
            Event::Refused { why, .. } => *why != Rejection::Busy,
            Event::CommandTooLong(_) | Event::Closed { .. } => false,
        };
        if answered {
            self.answered_ms = self.steady_ms;
        }
    }

    /// Has the ward been silent for too long? While it is connected and owes no answer it may be.
    pub(super) fn ward_is_silent(&mut self) -> bool {
        if self.uplink.is_some() && !self.outbox.awaits_answers() {
            self.answered_ms = self.steady_ms;
        }
        let silent = self.steady_ms.saturating_sub(self.answered_ms) >= SILENT_MS;
        let before = self.counters.ward_not_listening.swap(u64::from(silent), Ordering::Relaxed);
        match (before, silent) {
            (0, true) => tracing::error!(
                "The node has not answered for {} s: the bedside says that the ward is not listening",
                SILENT_MS / 1_000
            ),
            (1, false) => tracing::info!("The node answers again"),
            _ => {}
        }
        silent
    }
}
