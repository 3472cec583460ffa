//! Commands of the home organisation to this gateway's bedsides: which are accepted, which are refused,
//! and what is remembered of them.
//!
//! A file per bedside, sealed to the sensor's own key, holds the highest number seen there and the limits
//! in force. It is replaced before a command is carried out: a command that was captured and sent again,
//! or that was overtaken, is refused after a restart too.

mod state_file;

use crate::Entropy;
use device::pairing::Identity;
use durable::Folder;
use state_file::State;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use vitals::alarm::Limits;
use vitals::cbor::NotCanonical;
use vitals::command::{Action, Command, Confirmation, Outcome, SignedCommand};
use vitals::ids::Class;
use vitals::{DeviceId, Genesis, Metric, StreamId};

/// A command may be dated this far ahead of the gateway's idea of the node's time.
const AHEAD_MAX_MS: u64 = 30_000;
/// Refusals recorded at a bedside within [`REFUSALS_WITHIN_MS`]; more are counted and logged.
const REFUSALS_MAX: usize = 16;
const REFUSALS_WITHIN_MS: u64 = 600_000;

/// Limits that a command put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) limits: Limits,
    pub(crate) seq: u64,
    pub(crate) command: vitals::ids::Hash,
    /// By the node's clock.
    pub(crate) until_ms: u64,
}

impl Ordered {
    /// The limits that a command orders.
    pub(crate) fn of(command: &Command, limits: Limits) -> Self {
        Self { limits, seq: command.seq, command: command.hash(), until_ms: command.in_force_until_ms }
    }
}

/// What one bedside knows of its commands.
struct Bedside {
    sensor: Identity,
    /// The stream that confirmations go into: that of the sensor about its patient in class alarms.
    alarms: Option<StreamId>,
    path: PathBuf,
    state: State,
    /// The limits before the newest command.
    limits_before: BTreeMap<Metric, Ordered>,
    /// When refusals were recorded, by the steady clock.
    refused_ms: Vec<u64>,
}

/// What becomes of bytes that came as a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Not a command.
    Malformed(NotCanonical),
    /// For no bedside of this gateway.
    OtherBedside(Outcome),
    /// To be carried out at this bedside.
    Take(usize, Command),
    /// Refused; recorded at this bedside if there is a confirmation.
    Refused(usize, Outcome, Option<Confirmation>),
}

/// The commands of all bedsides.
pub(crate) struct Commands {
    folder: Folder,
    genesis: Genesis,
    gateway: DeviceId,
    record_key: [u8; 32],
    beds: Vec<Bedside>,
    entropy: Entropy,
}

impl Commands {
    /// Reads what is kept of each bedside. A damaged file is logged and replaced: the bedside's own limits
    /// are the stricter ones, and commands from before now are refused.
    pub(crate) fn open(
        folder: Folder,
        genesis: Genesis,
        gateway: DeviceId,
        record_key: [u8; 32],
        beds: impl IntoIterator<Item = (Identity, Option<StreamId>)>,
        entropy: Entropy,
        now_ms: u64,
    ) -> io::Result<Self> {
        let mut all = Vec::new();
        for (n, (sensor, alarms)) in beds.into_iter().enumerate() {
            let path = folder.path(&format!("commands-{n:02}"));
            let state = state_file::read(folder.disk(), &path, &sensor)?.unwrap_or_else(|why| {
                tracing::error!(%why, board = n, "What was commanded at board {n} is unreadable: {why}; its own limits are in force");
                State { not_before_ms: now_ms, ..State::default() }
            });
            let limits_before = state.limits.clone();
            all.push(Bedside { sensor, alarms, path, state, limits_before, refused_ms: Vec::new() });
        }
        Ok(Self { folder, genesis, gateway, record_key, beds: all, entropy })
    }

    /// The limits ordered for a bed, over or not.
    pub(crate) fn ordered(&self, n: usize) -> impl Iterator<Item = &Ordered> {
        self.beds.get(n).into_iter().flat_map(|bed| bed.state.limits.values())
    }

    /// Decides about bytes from the node and makes durable that they were seen. `node_ms` is the node's
    /// time as far as is known, `now_ms` the gateway's, `steady_ms` a clock that does not leap.
    pub(crate) fn judge(&mut self, bytes: &[u8], node_ms: u64, now_ms: u64, steady_ms: u64) -> Judged {
        let signed = match SignedCommand::decode(bytes) {
            Ok(signed) => signed,
            Err(why) => return Judged::Malformed(why),
        };
        let command = signed.command;
        let Some(n) = self.beds.iter().position(|bed| bed.sensor.id() == command.bedside) else {
            return Judged::OtherBedside(Outcome::OtherBedside);
        };
        match self.check(n, &signed, node_ms) {
            Ok(()) => match self.keep(n, &command) {
                Ok(()) => Judged::Take(n, command),
                Err(why) => {
                    tracing::error!(%why, board = n, "A command cannot be kept and is not carried out: {why}");
                    self.refuse(n, &command, Outcome::NotKept, now_ms, steady_ms)
                }
            },
            Err(outcome) => self.refuse(n, &command, outcome, now_ms, steady_ms),
        }
    }

    fn check(&self, n: usize, signed: &SignedCommand, node_ms: u64) -> Result<(), Outcome> {
        let Some(bed) = self.beds.get(n) else { return Err(Outcome::OtherBedside) };
        let command = &signed.command;
        if !signed.verify(&self.record_key) {
            return Err(Outcome::Signature);
        }
        if command.genesis != self.genesis {
            return Err(Outcome::OtherLedger);
        }
        if command.gateway != self.gateway {
            return Err(Outcome::OtherBedside);
        }
        let stream = StreamId::of(self.genesis, command.bedside, command.patient, Class::Alarms);
        if bed.alarms != Some(stream) {
            return Err(Outcome::OtherPatient);
        }
        if command.seq <= bed.state.highest_seq || command.at_ms < bed.state.not_before_ms {
            return Err(Outcome::NotNewer);
        }
        if command.at_ms > node_ms.saturating_add(AHEAD_MAX_MS) {
            return Err(Outcome::Ahead);
        }
        if is_too_late(command, node_ms) { Err(Outcome::TooLate) } else { Ok(()) }
    }

    /// Decides again about a command that was to be taken: while that was made durable its time may have
    /// run out, and then it is not carried out. What it ordered is taken back, before a restart can put it in
    /// force; its number stays used.
    pub(crate) fn expired(
        &mut self,
        n: usize,
        command: &Command,
        node_ms: u64,
        now_ms: u64,
        steady_ms: u64,
    ) -> Option<Judged> {
        let bed = self.beds.get_mut(n).filter(|_| is_too_late(command, node_ms))?;
        bed.state.limits.clone_from(&bed.limits_before);
        if let Err(why) =
            state_file::write(self.folder.disk(), &bed.path, &bed.sensor, &bed.state, &self.entropy)
        {
            tracing::error!(%why, board = n, "That a command came too late is not kept: {why}");
        }
        Some(self.refuse(n, command, Outcome::TooLate, now_ms, steady_ms))
    }

    /// Makes a command durable, before it is carried out.
    fn keep(&mut self, n: usize, command: &Command) -> io::Result<()> {
        let Some(bed) = self.beds.get_mut(n) else { return Ok(()) };
        let mut state = bed.state.clone();
        state.highest_seq = command.seq;
        if let Action::Limits(limits) = command.action {
            state.limits.insert(limits.metric, Ordered::of(command, limits));
        }
        state_file::write(self.folder.disk(), &bed.path, &bed.sensor, &state, &self.entropy)?;
        bed.limits_before = std::mem::replace(&mut bed.state, state).limits;
        Ok(())
    }

    fn refuse(
        &mut self,
        n: usize,
        command: &Command,
        outcome: Outcome,
        now_ms: u64,
        steady_ms: u64,
    ) -> Judged {
        let Some(bed) = self.beds.get_mut(n) else { return Judged::OtherBedside(outcome) };
        bed.refused_ms.retain(|at_ms| steady_ms.saturating_sub(*at_ms) < REFUSALS_WITHIN_MS);
        let recorded = (bed.refused_ms.len() < REFUSALS_MAX).then(|| {
            bed.refused_ms.push(steady_ms);
            confirmation(command, outcome, now_ms)
        });
        Judged::Refused(n, outcome, recorded)
    }
}

/// A command whose time to arrive is over, or that would be over at once, changes nothing.
fn is_too_late(command: &Command, node_ms: u64) -> bool {
    node_ms > command.deliver_by_ms || node_ms >= command.in_force_until_ms
}

/// The confirmation of a command that is not in force.
pub(crate) fn confirmation(command: &Command, outcome: Outcome, now_ms: u64) -> Confirmation {
    Confirmation {
        at_ms: now_ms,
        seq: command.seq,
        command: command.hash(),
        outcome,
        until_ms: 0,
        limits: None,
    }
}

/// Which metrics' limits stand in a file, at most.
const METRICS_MAX: usize = Metric::ALL.len();

#[cfg(test)]
mod tests;
