//! Bodies: what an envelope's ciphertext opens to. One encoding per value, so that compaction can
//! regenerate them bit by bit.
//!
//! `[kind, payload…]`; readings go in one column per metric.

mod readings;

use crate::alarm::{AlarmEvent, Condition, Limits};
use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::command::{Confirmation, SignedCommand};
use crate::envelope::COUNT_MAX;
use crate::ids::{Class, GrantId, PersonId};
use crate::ledger::Purpose;
use crate::metric::Reading;
use alloc::{collections::BTreeSet, string::String, vec::Vec};
use core::fmt;
use readings::{read_readings, write_readings};

/// Longest body, bytes.
pub const BODY_BYTES_MAX: usize = 60 * 1024;
/// Longest name or place in a profile, bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 256;
const READINGS: u64 = 1;
const ALARMS: u64 = 2;
const ACCESS: u64 = 3;
const PROFILE: u64 = 4;
const LIMITS: u64 = 5;
/// A change of limits that says what it replaces, why, and until when.
const LIMITS_WITH_DETAILS: u64 = 8;
const DISMISSAL: u64 = 12;
/// Items of an access entry without a person: the reader looked.
const ACCESS_BY_READER: u8 = 10;
/// Items of an access entry that names the person.
const ACCESS_BY_PERSON: u8 = 11;
const COMMAND: u64 = 6;
const CONFIRMATIONS: u64 = 7;

/// One opening of a record, written before its first value is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Who.
    pub reader: PersonId,
    /// The reader's name at that time, for the patient to read.
    pub reader_name: String,
    /// Why.
    pub purpose: Purpose,
    /// Under which consent; zero for the patient's own reading.
    pub grant: GrantId,
    /// Which classes.
    pub classes: Vec<Class>,
    /// Span opened, milliseconds, inclusive.
    pub span_ms: (u64, u64),
    /// The reader's session.
    pub session: [u8; 16],
    /// The person who looked, where the reader is the organisation: somebody at its wall. None for the
    /// alarm engine, and in entries of older builds.
    pub person: Option<PersonId>,
}

impl AccessEntry {
    /// Who looked: the person if the entry names one, the reader otherwise.
    #[must_use]
    pub fn looked(&self) -> PersonId {
        self.person.unwrap_or(self.reader)
    }
}

/// Who the patient is, as far as a ward needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// When it was written, milliseconds.
    pub at_ms: u64,
    /// Name.
    pub name: String,
    /// Bed or place.
    pub bed: String,
}

/// A change of a patient's alarm limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsChange {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Who changed them.
    pub by: PersonId,
    /// The limits from now on.
    pub limits: Limits,
    /// What they replace and why. None in changes of older builds.
    pub details: Option<LimitsChangeDetails>,
}

/// What a change of limits replaces, why, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitsChangeDetails {
    /// The limits that were in force before, of the same metric.
    pub before: Limits,
    /// Why they were changed; never empty.
    pub reason: String,
    /// The changed limits hold until then (exclusive), milliseconds; then those come back that stood without
    /// an end. None: until they are changed again.
    pub until_ms: Option<u64>,
}

// A reason is free text about a patient.
impl fmt::Debug for LimitsChangeDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitsChangeDetails").field("until_ms", &self.until_ms).finish_non_exhaustive()
    }
}

impl LimitsChange {
    /// When the limits from before come back, if they do by themselves.
    #[must_use]
    pub fn until_ms(&self) -> Option<u64> {
        self.details.as_ref().and_then(|details| details.until_ms)
    }
}

/// An alarm that a person ended, with a reason, while its cause goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Dismissal {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Who.
    pub by: PersonId,
    /// Which alarm.
    pub condition: Condition,
    /// Why, in that person's words.
    pub reason: String,
}

/// What a ciphertext opens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Readings, by metric, then in time order (as [`Body::decode`] gives them).
    Readings(Vec<Reading>),
    /// Alarm events in the order they happened.
    Alarms(Vec<AlarmEvent>),
    /// An opening of the record.
    Access(AccessEntry),
    /// The profile, replacing the one before.
    Profile(Profile),
    /// New limits for one metric.
    Limits(LimitsChange),
    /// An alarm ended by a person, with a reason.
    Dismissal(Dismissal),
    /// A command that the node sends to a bedside.
    Command(SignedCommand),
    /// What became of commands at the bedside, in the order in which it happened.
    Confirmations(Vec<Confirmation>),
}

// Names stay out of logs and errors, also where a body is printed.
impl fmt::Debug for AccessEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessEntry")
            .field("at_ms", &self.at_ms)
            .field("reader", &self.reader)
            .field("purpose", &self.purpose)
            .field("grant", &self.grant)
            .field("classes", &self.classes)
            .field("span_ms", &self.span_ms)
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("at_ms", &self.at_ms).finish_non_exhaustive()
    }
}

impl fmt::Debug for Dismissal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dismissal")
            .field("at_ms", &self.at_ms)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl Body {
    /// Earliest and latest time in the body, for the header.
    #[must_use]
    pub fn span_ms(&self) -> Option<(u64, u64)> {
        fn ends(times: impl Iterator<Item = u64> + Clone) -> Option<(u64, u64)> {
            Some((times.clone().min()?, times.max()?))
        }
        match self {
            Self::Readings(readings) => ends(readings.iter().map(|reading| reading.at_ms)),
            Self::Alarms(events) => ends(events.iter().map(|event| event.at_ms)),
            Self::Access(entry) => Some((entry.at_ms, entry.at_ms)),
            Self::Profile(profile) => Some((profile.at_ms, profile.at_ms)),
            Self::Limits(change) => Some((change.at_ms, change.at_ms)),
            Self::Dismissal(dismissal) => Some((dismissal.at_ms, dismissal.at_ms)),
            Self::Command(signed) => Some((signed.command.at_ms, signed.command.at_ms)),
            Self::Confirmations(all) => ends(all.iter().map(|one| one.at_ms)),
        }
    }

    /// Readings or events, for the header.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Readings(readings) => u32::try_from(readings.len()).unwrap_or(u32::MAX),
            Self::Alarms(events) => u32::try_from(events.len()).unwrap_or(u32::MAX),
            Self::Confirmations(all) => u32::try_from(all.len()).unwrap_or(u32::MAX),
            Self::Access(_) | Self::Profile(_) | Self::Limits(_) | Self::Dismissal(_) | Self::Command(_) => 1,
        }
    }

    /// May an envelope of this class hold this body?
    #[must_use]
    pub fn fits(&self, class: Class) -> bool {
        match self {
            Self::Readings(readings) => readings.iter().all(|reading| reading.metric.info().class == class),
            Self::Alarms(_)
            | Self::Limits(_)
            | Self::Dismissal(_)
            | Self::Command(_)
            | Self::Confirmations(_) => class == Class::Alarms,
            Self::Access(_) => class == Class::Access,
            Self::Profile(_) => class == Class::Profile,
        }
    }

    /// The plaintext. Times of readings are relative to `first_ms`, which the header carries: the
    /// first of [`Self::span_ms`]. Texts longer than [`TEXT_BYTES_MAX`] and more readings or events than
    /// [`COUNT_MAX`] are written as they are and cannot be read again: the sealer refuses them.
    #[must_use]
    pub fn encode(&self, first_ms: u64) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Readings(readings) => {
                w.array(2).uint(READINGS);
                write_readings(&mut w, readings, first_ms);
            }
            Self::Alarms(events) => {
                w.array(2).uint(ALARMS).array(events.len());
                for event in events {
                    event.write(&mut w);
                }
            }
            Self::Access(entry) => {
                let items = if entry.person.is_some() { ACCESS_BY_PERSON } else { ACCESS_BY_READER };
                w.array(usize::from(items)).uint(ACCESS).uint(entry.at_ms).bytes(&entry.reader.0);
                w.text(&entry.reader_name).uint(entry.purpose as u64).bytes(&entry.grant.0);
                // In their one order, so that what is written can always be read.
                let classes: BTreeSet<Class> = entry.classes.iter().copied().collect();
                w.array(classes.len());
                for class in classes {
                    w.uint(u64::from(class.code()));
                }
                w.uint(entry.span_ms.0).uint(entry.span_ms.1).bytes(&entry.session);
                if let Some(person) = entry.person {
                    w.bytes(&person.0);
                }
            }
            Self::Profile(profile) => {
                w.array(4).uint(PROFILE).uint(profile.at_ms).text(&profile.name).text(&profile.bed);
            }
            Self::Limits(change) => {
                match &change.details {
                    None => w.array(4).uint(LIMITS),
                    Some(_) => w.array(7).uint(LIMITS_WITH_DETAILS),
                };
                w.uint(change.at_ms).bytes(&change.by.0);
                change.limits.write(&mut w);
                if let Some(details) = &change.details {
                    details.before.write(&mut w);
                    w.text(&details.reason).array(usize::from(details.until_ms.is_some()));
                    if let Some(until_ms) = details.until_ms {
                        w.uint(until_ms);
                    }
                }
            }
            Self::Dismissal(dismissal) => {
                w.array(5).uint(DISMISSAL).uint(dismissal.at_ms).bytes(&dismissal.by.0);
                w.uint(u64::from(dismissal.condition.code())).text(&dismissal.reason);
            }
            Self::Command(signed) => {
                w.array(2).uint(COMMAND);
                signed.write(&mut w);
            }
            Self::Confirmations(all) => {
                w.array(2).uint(CONFIRMATIONS).array(all.len());
                for one in all {
                    one.write(&mut w);
                }
            }
        }
        w.finish()
    }

    /// Reads a plaintext.
    pub fn decode(bytes: &[u8], first_ms: u64) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, BODY_BYTES_MAX)?;
        let mut heads = Reader::new(bytes);
        let mut r = heads.clone();
        let items = heads.any_array()?;
        let kind = heads.uint()?;
        let fits = match kind {
            READINGS | ALARMS | COMMAND | CONFIRMATIONS => items == 2,
            ACCESS => [ACCESS_BY_READER, ACCESS_BY_PERSON].map(u64::from).contains(&items),
            PROFILE | LIMITS => items == 4,
            LIMITS_WITH_DETAILS => items == 7,
            DISMISSAL => items == 5,
            _ => false,
        };
        if !fits {
            return Err(NotCanonical::Unexpected);
        }
        r.any_array()?;
        r.uint()?;
        let body = match kind {
            READINGS => Self::Readings(read_readings(&mut r, first_ms)?),
            ALARMS => Self::Alarms(r.list(COUNT_MAX as usize, AlarmEvent::read)?),
            ACCESS => Self::Access(read_access(&mut r, items == u64::from(ACCESS_BY_PERSON))?),
            PROFILE => Self::Profile(Profile {
                at_ms: r.uint()?,
                name: r.text(TEXT_BYTES_MAX)?.into(),
                bed: r.text(TEXT_BYTES_MAX)?.into(),
            }),
            LIMITS => Self::Limits(LimitsChange {
                at_ms: r.uint()?,
                by: PersonId(r.fixed()?),
                limits: Limits::read(&mut r)?,
                details: None,
            }),
            DISMISSAL => Self::Dismissal(Dismissal {
                at_ms: r.uint()?,
                by: PersonId(r.fixed()?),
                condition: Condition::read(&mut r)?,
                reason: r.text(TEXT_BYTES_MAX)?.into(),
            }),
            COMMAND => Self::Command(SignedCommand::read(&mut r)?),
            CONFIRMATIONS => Self::Confirmations(r.list(COUNT_MAX as usize, Confirmation::read)?),
            _ => Self::Limits(read_change(&mut r)?),
        };
        r.end()?;
        if body.count() == 0 { Err(NotCanonical::Unexpected) } else { Ok(body) }
    }
}

fn read_change(r: &mut Reader<'_>) -> Result<LimitsChange, NotCanonical> {
    let (at_ms, by, limits) = (r.uint()?, PersonId(r.fixed()?), Limits::read(r)?);
    let before = Limits::read(r)?;
    let reason = String::from(r.text(TEXT_BYTES_MAX)?);
    let until_ms = r.list(1, |r| r.uint())?.first().copied();
    if before.metric != limits.metric || reason.is_empty() {
        return Err(NotCanonical::Unexpected);
    }
    if until_ms.is_some_and(|until_ms| until_ms <= at_ms) {
        return Err(NotCanonical::Order);
    }
    Ok(LimitsChange { at_ms, by, limits, details: Some(LimitsChangeDetails { before, reason, until_ms }) })
}

fn read_access(r: &mut Reader<'_>, by_person: bool) -> Result<AccessEntry, NotCanonical> {
    let entry = AccessEntry {
        at_ms: r.uint()?,
        reader: PersonId(r.fixed()?),
        reader_name: r.text(TEXT_BYTES_MAX)?.into(),
        purpose: Purpose::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
        grant: GrantId(r.fixed()?),
        classes: r.list(Class::ALL.len(), |r| Class::from_code(r.u8()?).ok_or(NotCanonical::Unexpected))?,
        span_ms: (r.uint()?, r.uint()?),
        session: r.fixed()?,
        person: if by_person { Some(PersonId(r.fixed()?)) } else { None },
    };
    // Only where the reader does not say it: one looking has one form.
    let doubled = |person: PersonId| !entry.reader.is_organisation() || person.is_organisation();
    if entry.person.is_some_and(doubled) {
        return Err(NotCanonical::Unexpected);
    }
    if entry.classes.is_sorted_by(|a, b| a < b) { Ok(entry) } else { Err(NotCanonical::Order) }
}
