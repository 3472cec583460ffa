//! What a bundle proves, in plain words.

use crate::ids::{Class, DeviceId, Genesis, OrgId, PatientId, StreamId};
use crate::ledger::{Anchor, DeviceKind, Revocation, RevokeReason};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// Who sealed a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A sensor of the registry.
    Sensor {
        /// Its gateway.
        via: DeviceId,
    },
    /// The organisation's node, with its record key.
    Organisation,
}

/// A device as the ledger proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceReport {
    /// Which.
    pub device: DeviceId,
    /// Sensor or gateway.
    pub kind: DeviceKind,
    /// The gateway it is reached through.
    pub via: DeviceId,
    /// Block time of registration, milliseconds.
    pub since_ms: u64,
    /// Set once its trust ended.
    pub revoked: Option<Revocation>,
}

/// One stream of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Which.
    pub stream: StreamId,
    /// Who sealed it.
    pub author: DeviceId,
    /// What the author is.
    pub by: Author,
    /// Consent class.
    pub class: Class,
    /// The patient, if the bundle opens the binding.
    pub patient: Option<PatientId>,
    /// Envelopes.
    pub envelopes: u64,
    /// Readings or events in them, as their headers count.
    pub readings: u64,
    /// Sequence number of the first envelope.
    pub first_seq: u64,
    /// Sequence number of the last envelope.
    pub last_seq: u64,
    /// Places between first and last where envelopes are missing.
    pub gaps: u64,
    /// Envelopes missing there.
    pub missing: u64,
    /// The first such place: first and last missing sequence number.
    pub first_gap: Option<(u64, u64)>,
    /// Earliest time, milliseconds, by the author's clock.
    pub first_ms: u64,
    /// Latest time, milliseconds, by the author's clock.
    pub last_ms: u64,
    /// Envelopes whose author's clock was never set.
    pub clock_unset: u64,
    /// Envelopes behind the last one the organisation trusts of a revoked author.
    pub untrusted: u64,
}

/// What a bundle proves. Every field has been checked; nothing is taken from the bundle's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The ledger.
    pub genesis: Genesis,
    /// Was that the genesis the caller pinned? Otherwise the whole report stands on the bundle's own word.
    pub pinned: bool,
    /// The ledger's name for people.
    pub ledger_name: String,
    /// Whose log.
    pub org: OrgId,
    /// Is it still an active organisation of the ledger?
    pub org_active: bool,
    /// Validators of the committee.
    pub committee: usize,
    /// Signatures that make a block final.
    pub quorum: usize,
    /// Ed25519 keys of the validators that signed the block of the log head.
    pub signers: Vec<[u8; 32]>,
    /// Changes of the committee on the way from the founding one to that block.
    pub changes: usize,
    /// Height of the block the caller knew to be final, if any.
    pub known: Option<u64>,
    /// Height of that block.
    pub height: u64,
    /// Time of that block, milliseconds.
    pub time_ms: u64,
    /// The anchored log head.
    pub anchor: Anchor,
    /// Devices proven, ascending.
    pub devices: Vec<DeviceReport>,
    /// Streams, ascending.
    pub streams: Vec<StreamReport>,
    /// Envelopes.
    pub envelopes: u64,
    /// Of these, with a receipt.
    pub receipts: u64,
    /// Bytes of ciphertext.
    pub ciphertext_bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Ledger      {:?}, genesis {}", self.ledger_name, self.genesis)?;
        if !self.pinned {
            writeln!(f, "            NOT PINNED: everything below stands on this genesis alone")?;
        }
        let active = if self.org_active { "" } else { ", no longer active on the ledger" };
        writeln!(f, "Whose log   organisation {}{active}", self.org)?;
        writeln!(f, "Final       block {} of {}", self.height, Utc(self.time_ms))?;
        writeln!(
            f,
            "            signed by {} of {} validators ({} needed):",
            self.signers.len(),
            self.committee,
            self.quorum
        )?;
        for signer in &self.signers {
            writeln!(f, "            {}", Hex(signer))?;
        }
        match self.changes {
            0 => {}
            1 => writeln!(f, "            after 1 change of the validators since the founding")?,
            n => writeln!(f, "            after {n} changes of the validators since the founding")?,
        }
        if let Some(known) = self.known {
            writeln!(f, "            on the ledger of the checkpoint at block {known}")?;
        }
        let Anchor { size, root, height } = self.anchor;
        writeln!(f, "Anchored    {size} envelopes, root {}, in block {height}", Hex(&root))?;
        write!(f, "In here     {} of them, {} bytes sealed", self.envelopes, self.ciphertext_bytes)?;
        match self.receipts {
            0 => writeln!(f)?,
            receipts => writeln!(f, ", {receipts} with the node's receipt")?,
        }
        for device in &self.devices {
            if let Some(Revocation { at_ms, reason, last_trusted_seq }) = device.revoked {
                let reason = match reason {
                    RevokeReason::Retired => "retired",
                    RevokeReason::Stolen => "stolen",
                };
                writeln!(
                    f,
                    "Revoked     device {} as {reason} on {}, trusted up to {last_trusted_seq}",
                    device.device,
                    Utc(at_ms)
                )?;
            }
        }
        for stream in &self.streams {
            write!(f, "{stream}")?;
        }
        writeln!(
            f,
            "Each of these envelopes was signed by its author, stands unaltered in the organisation's log,"
        )?;
        writeln!(
            f,
            "and that log was final on the ledger at the time above. Not shown: what came after the last"
        )?;
        write!(f, "envelope of a stream, and what the sealed bodies say.")
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Stream      {}, {}", self.stream, self.class.word())?;
        match self.by {
            Author::Sensor { via } => writeln!(f, "  sealed by sensor {} behind gateway {via}", self.author)?,
            Author::Organisation => writeln!(f, "  sealed by the organisation's node")?,
        }
        if let Some(patient) = self.patient {
            writeln!(f, "  about patient {patient}")?;
        }
        writeln!(
            f,
            "  {} envelopes, {} readings or events, number {} to {}",
            self.envelopes, self.readings, self.first_seq, self.last_seq
        )?;
        writeln!(f, "  {} to {} by the author's clock", Utc(self.first_ms), Utc(self.last_ms))?;
        match self.first_gap {
            None => writeln!(f, "  no envelope between them is missing")?,
            Some((from, to)) => writeln!(
                f,
                "  MISSING: {} envelopes at {} places, the first {from} to {to}",
                self.missing, self.gaps
            )?,
        }
        if self.clock_unset > 0 {
            writeln!(f, "  {} envelopes by a clock that was never set", self.clock_unset)?;
        }
        if self.untrusted > 0 {
            writeln!(f, "  UNTRUSTED: {} envelopes behind the last one trusted", self.untrusted)?;
        }
        Ok(())
    }
}

/// Bytes as lower-case hex.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A time in milliseconds since 1970, shown as `2026-11-22 17:45:03.120 UTC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / crate::keys::EPOCH_MS, self.0 % crate::keys::EPOCH_MS);
        // Years that begin in March put the leap day last; 400 of them have 146,097 days.
        let shifted = days + 719_468;
        let (era, day) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + 400 * era + u64::from(month <= 2);
        let (s, ms) = (ms / 1000, ms % 1000);
        let (hour, minute, s) = (s / 3600, s / 60 % 60, s % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{s:02}.{ms:03} UTC")
    }
}
