//! Commands from the home organisation down to a bedside, and the bedside's confirmation of each.
//!
//! A command is signed by the record key that also signs receipts. It names its ledger, gateway, sensor
//! and patient, a number that only grows per sensor, until when it may be delivered and until when it
//! is in force: nothing in it holds for ever, and none can be used twice or at another bed.

use crate::alarm::{Condition, Limits, Priority, SILENCE_MAX_MS};
use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::cose::{self, Domain};
use crate::envelope::{SEQ_MAX, TIME_MAX_MS};
use crate::ids::{DeviceId, Genesis, Hash, PatientId, PersonId, sha256};
use alloc::vec::Vec;

const VERSION: u64 = 1;
/// Longest signed command, bytes.
pub const COMMAND_BYTES_MAX: usize = 512;
/// An answer to an alarm holds at most this long: what still stands then rings again.
pub const ANSWER_MS_MAX: u64 = 12 * 3_600_000;
/// Limits are in force at most this long after they were asked for. To keep them longer, ask again.
pub const LIMITS_MS_MAX: u64 = 24 * 3_600_000;

const ACKNOWLEDGE: u64 = 1;
const SILENCE: u64 = 2;
const END_SILENCE: u64 = 3;
const LIMITS: u64 = 4;

/// What the bedside is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Somebody answers an alarm: it stands, quiet, until it is over or the command's time is.
    Acknowledge {
        /// Which alarm.
        condition: Condition,
        /// How urgent it was when it was answered. Worse is not answered by this.
        priority: Priority,
        /// When the answered episode was raised, by the node's clock, milliseconds.
        raised_at_ms: u64,
    },
    /// The sound of an alarm pauses until the command's time is over. No answer.
    Silence {
        /// Which alarm.
        condition: Condition,
    },
    /// The sound of an alarm comes back before its time.
    EndSilence {
        /// Which alarm.
        condition: Condition,
    },
    /// Other limits for one metric.
    Limits(Limits),
}

impl Action {
    /// Longest time from the asking to the end of being in force, milliseconds.
    #[must_use]
    pub fn force_ms_max(&self) -> u64 {
        match self {
            Self::Acknowledge { .. } => ANSWER_MS_MAX,
            Self::Silence { .. } | Self::EndSilence { .. } => SILENCE_MAX_MS,
            Self::Limits(_) => LIMITS_MS_MAX,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Acknowledge { condition, priority, raised_at_ms } => {
                w.array(4).uint(ACKNOWLEDGE).uint(u64::from(condition.code()));
                w.uint(*priority as u64).uint(*raised_at_ms);
            }
            Self::Silence { condition } => {
                w.array(2).uint(SILENCE).uint(u64::from(condition.code()));
            }
            Self::EndSilence { condition } => {
                w.array(2).uint(END_SILENCE).uint(u64::from(condition.code()));
            }
            Self::Limits(limits) => {
                w.array(2).uint(LIMITS);
                limits.write(w);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let items = r.any_array()?;
        let kind = r.uint()?;
        if items != if kind == ACKNOWLEDGE { 4 } else { 2 } {
            return Err(NotCanonical::Unexpected);
        }
        let condition = |r: &mut Reader<'_>| {
            let code = u16::try_from(r.uint()?).map_err(|_| NotCanonical::TooLong)?;
            Condition::from_code(code).ok_or(NotCanonical::Unexpected)
        };
        Ok(match kind {
            ACKNOWLEDGE => Self::Acknowledge {
                condition: condition(r)?,
                priority: Priority::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
                raised_at_ms: r.uint()?,
            },
            SILENCE => Self::Silence { condition: condition(r)? },
            END_SILENCE => Self::EndSilence { condition: condition(r)? },
            LIMITS => Self::Limits(Limits::read(r)?),
            _ => return Err(NotCanonical::Unexpected),
        })
    }
}

/// One command to one bedside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Ledger.
    pub genesis: Genesis,
    /// The gateway that carries it out.
    pub gateway: DeviceId,
    /// The sensor at the bed.
    pub bedside: DeviceId,
    /// The patient whom the sensor is bound to.
    pub patient: PatientId,
    /// Grows with each command to this bedside, from 1.
    pub seq: u64,
    /// When it was asked for, milliseconds, by the node's clock, as all its times.
    pub at_ms: u64,
    /// Not carried out after this time, milliseconds.
    pub deliver_by_ms: u64,
    /// In force until this time (exclusive), milliseconds.
    pub in_force_until_ms: u64,
    /// Who asked; zero when the node renews what somebody asked for.
    pub by: PersonId,
    /// What to do.
    pub action: Action,
}

impl Command {
    /// The signed payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(COMMAND_BYTES_MAX);
        w.array(11).uint(VERSION).bytes(&self.genesis.0).bytes(&self.gateway.0).bytes(&self.bedside.0);
        w.bytes(&self.patient.0).uint(self.seq).uint(self.at_ms).uint(self.deliver_by_ms);
        w.uint(self.in_force_until_ms).bytes(&self.by.0);
        self.action.write(&mut w);
        w.finish()
    }

    /// Reads the payload. Numbers, times in their order and within their bounds are part of the form.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, COMMAND_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(11)?;
        r.exactly(VERSION)?;
        let command = Self {
            genesis: Genesis(r.fixed()?),
            gateway: DeviceId(r.fixed()?),
            bedside: DeviceId(r.fixed()?),
            patient: PatientId(r.fixed()?),
            seq: r.uint_max(SEQ_MAX)?,
            at_ms: r.uint()?,
            deliver_by_ms: r.uint()?,
            in_force_until_ms: r.uint_max(TIME_MAX_MS)?,
            by: PersonId(r.fixed()?),
            action: Action::read(&mut r)?,
        };
        r.end()?;
        if command.is_bounded() { Ok(command) } else { Err(NotCanonical::Order) }
    }

    /// Are its number and times what a reader accepts: asked for, then delivered, then over, in time?
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let times = [self.at_ms, self.deliver_by_ms, self.in_force_until_ms];
        let told = match self.action {
            Action::Acknowledge { raised_at_ms, .. } => raised_at_ms <= self.at_ms,
            _ => true,
        };
        (1..=SEQ_MAX).contains(&self.seq)
            && times.is_sorted()
            && self.in_force_until_ms <= TIME_MAX_MS
            && self.in_force_until_ms - self.at_ms <= self.action.force_ms_max()
            && told
    }

    /// What a confirmation names it by.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&self.encode()])
    }

    /// The bytes the record key signs.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        cose::to_be_signed(Domain::Command, self.genesis, &self.encode())
    }
}

/// A command with its organisation's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedCommand {
    /// The command.
    pub command: Command,
    /// Ed25519 signature by the record key.
    pub signature: [u8; 64],
}

impl SignedCommand {
    /// Did the owner of `record_key` sign this?
    #[must_use]
    pub fn verify(&self, record_key: &[u8; 32]) -> bool {
        cose::verify_raw(record_key, &self.command.to_be_signed(), &self.signature)
    }

    /// The wire form: a COSE_Sign1.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(COMMAND_BYTES_MAX);
        self.write(&mut w);
        w.finish()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, COMMAND_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        let signed = Self::read(&mut r)?;
        r.end()?;
        Ok(signed)
    }

    /// Writes the COSE_Sign1.
    pub fn write(&self, w: &mut Writer) {
        cose::write(w, &self.command.encode(), &self.signature);
    }

    /// Reads the COSE_Sign1.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let (payload, signature) = cose::read(r, COMMAND_BYTES_MAX)?;
        Ok(Self { command: Command::decode(payload)?, signature })
    }
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $code:literal => $sentence:literal,)*) => {
        /// What became of a command at the bedside.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Outcome { $($(#[$doc])* $name = $code),* }

        impl Outcome {
            /// All of them, in code order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// A sentence for logs and people.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),* }
            }
        }
    };
}

outcomes! {
    /// Carried out.
    InForce = 1 => "in force at the bedside",
    /// Limits in force, but no wider than the bedside's own floor.
    Narrowed = 2 => "in force at the bedside, no wider than the bedside allows",
    /// Its time is over; the stricter limits are in force.
    Ended = 3 => "over at the bedside: the stricter limits are in force there",
    /// There was no such alarm to answer or to silence.
    Nothing = 4 => "the bedside had no such alarm",
    /// Refused: the home organisation did not sign it.
    Signature = 16 => "refused at the bedside: it is not signed by the home organisation",
    /// Refused: it is for another ledger.
    OtherLedger = 17 => "refused at the bedside: it is for another ledger",
    /// Refused: it is for another gateway or sensor.
    OtherBedside = 18 => "refused at the bedside: it is for another bedside",
    /// Refused: the sensor is not bound to this patient.
    OtherPatient = 19 => "refused at the bedside: it is for another patient",
    /// Refused: a command with this number or a later one was taken before.
    NotNewer = 20 => "refused at the bedside: a newer command was taken before",
    /// Refused: it came after its time.
    TooLate = 21 => "refused at the bedside: it came too late",
    /// Refused: the alarm is worse than the one that was answered, or a later one.
    Worse = 22 => "refused at the bedside: the alarm there is worse, or a later one",
    /// Refused: the gateway cannot keep it on its disk.
    NotKept = 23 => "refused at the bedside: the gateway cannot keep it",
    /// Refused: its times lie ahead of the bedside's clock.
    Ahead = 24 => "refused at the bedside: its time lies ahead of the bedside's clock",
}

impl Outcome {
    /// The outcome with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|outcome| *outcome as u8 == code)
    }

    /// Was it refused, so that nothing changed?
    #[must_use]
    pub fn is_refused(self) -> bool {
        self as u8 >= 16
    }
}

/// The bedside's word about one command, sealed like an alarm event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// When, milliseconds, by the bedside's clock.
    pub at_ms: u64,
    /// The command's number.
    pub seq: u64,
    /// [`Command::hash`].
    pub command: Hash,
    /// What became of it.
    pub outcome: Outcome,
    /// Until when it is in force, milliseconds, by the node's clock; 0 when it is not.
    pub until_ms: u64,
    /// The limits in force at the bedside now, when the command is about limits.
    pub limits: Option<Limits>,
}

impl Confirmation {
    /// Writes the confirmation.
    pub fn write(&self, w: &mut Writer) {
        w.array(6).uint(self.at_ms).uint(self.seq).bytes(&self.command).uint(self.outcome as u64);
        w.uint(self.until_ms).array(usize::from(self.limits.is_some()));
        if let Some(limits) = &self.limits {
            limits.write(w);
        }
    }

    /// Reads a confirmation.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        r.array(6)?;
        Ok(Self {
            at_ms: r.uint()?,
            seq: r.uint_max(SEQ_MAX)?,
            command: r.fixed()?,
            outcome: Outcome::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            until_ms: r.uint()?,
            limits: r.list(1, Limits::read)?.first().copied(),
        })
    }
}
