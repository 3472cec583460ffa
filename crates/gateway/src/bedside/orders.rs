//! The ward's orders, carried out and confirmed. And a ward that does not answer.

use super::Bedside;
use crate::commands::{Ordered, confirmation};
use crate::counters::add;
use device::{Answer, Answered};
use link::{Event, Rejection};
use std::sync::atomic::Ordering;
use vitals::Metric;
use vitals::command::{Action, Command, Confirmation, Outcome};

/// Without an answer of the node for so long the bedside shows that the ward does not listen.
const SILENT_MS: u64 = 30_000;

impl Bedside {
    /// A time of the node by this gateway's clock.
    fn here_ms(&self, node_ms: u64) -> u64 {
        node_ms.saturating_add_signed(self.summary.standing.clock_off_ms.saturating_neg())
    }

    /// Restores the limits that were ordered before this start.
    pub(super) fn restore_limits(&mut self) {
        for (n, patient) in self.patients.iter_mut().enumerate() {
            for one in &self.ordered[n] {
                patient.monitor().restore_limits(one.limits, one.until_ms, self.now_ms);
            }
        }
    }

    /// Carries out what the recorder has made durable.
    pub(super) fn carry_out_orders(&mut self) {
        for (n, command) in std::mem::take(&mut self.summary.orders) {
            // It could not be confirmed any more: the node asks again later.
            if self.stopping || n >= self.patients.len() {
                continue;
            }
            let said = self.carry_out(n, &command);
            let counter = if said.outcome.is_refused() {
                &self.counters.commands_refused
            } else {
                &self.counters.commands_taken
            };
            add(counter, 1);
            tracing::info!(board = n, outcome = said.outcome.sentence(), "A command was heard at board {n}");
            self.confirmations.push((n, said));
        }
    }

    fn carry_out(&mut self, n: usize, command: &Command) -> Confirmation {
        let node_ms = self.now_ms.saturating_add_signed(self.summary.standing.clock_off_ms);
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
                self.ordered[n].retain(|ordered| ordered.limits.metric != limits.metric);
                self.ordered[n].push(Ordered::of(command, limits));
                // Sides that overlap cannot be written down; then every value is an alarm.
                let limits = in_force.filter(vitals::alarm::Limits::in_order);
                Confirmation { until_ms, limits, ..said(outcome) }
            }
        }
    }

    /// The time of ordered limits is over: the confirmation that says so.
    pub(super) fn limits_ended(&mut self, n: usize, metric: Metric) -> Option<Confirmation> {
        let ordered = self.ordered.get(n)?.iter().find(|ordered| ordered.limits.metric == metric)?;
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

    /// Has the ward been silent for too long? While it is connected and owes no answer it may be. A recorder
    /// that waits for its disk sends nothing, and cannot say what is owed: nobody hears of this bed then.
    pub(super) fn ward_is_silent(&mut self) -> bool {
        if self.online && !self.summary.standing.awaits_answers && !self.is_late() {
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
