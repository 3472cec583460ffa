//! What the ledger holds of organisations, devices, people and logs.

use super::role::Role;
use crate::ids::{DeviceId, Hash, OrgId};
use alloc::vec::Vec;

/// Shortest ERC-7913 signer.
pub const SIGNER_BYTES_MIN: usize = 20;
/// Longest ERC-7913 signer.
pub const SIGNER_BYTES_MAX: usize = 1024;

/// An organisation: runs a node, keeps one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Ed25519 key that signs tree heads and the organisation's own envelopes.
    pub record_key: [u8; 32],
    /// The account that sends its transactions (20 bytes, Ethereum address).
    pub sender: [u8; 20],
    /// False once removed.
    pub active: bool,
}

/// What a registered key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Authors readings about one patient.
    Sensor,
    /// Carries the envelopes of the sensors registered through it.
    Gateway,
}

/// Why a device's key was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeReason {
    /// Taken out of service: what it sealed before stays welcome.
    Retired,
    /// Lost or stolen: envelopes after the last trusted one are quarantined.
    Stolen,
}

/// The end of a device's trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Block time of the revocation, milliseconds.
    pub at_ms: u64,
    /// Why.
    pub reason: RevokeReason,
    /// Last sequence number trusted in each of its streams.
    pub last_trusted_seq: u64,
}

/// A device as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Sensor or gateway.
    pub kind: DeviceKind,
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// X25519 public key, to which stream keys are wrapped.
    pub wrap_key: [u8; 32],
    /// The gateway it was registered through; itself for a gateway.
    pub via: DeviceId,
    /// Home organisation.
    pub org: OrgId,
    /// Salted commitment to the patient ([`crate::ids::binding`]); zero for a gateway.
    pub binding: Hash,
    /// Block time of registration, milliseconds.
    pub since_ms: u64,
    /// Set once trust has ended.
    pub revoked: Option<Revocation>,
}

/// A person as the directory holds them: no name, no birth date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Role.
    pub role: Role,
    /// Home organisation.
    pub org: OrgId,
    /// ERC-7913 signer: 20 bytes address, or verifier address followed by the key.
    pub signer: Vec<u8>,
    /// True while the organisation's vault keeps the person's signing key for them.
    pub vault_kept: bool,
    /// Block time of enrolment, milliseconds.
    pub since_ms: u64,
    /// Zero, or the block time of suspension.
    pub suspended_at_ms: u64,
}

/// A log head on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Leaves in the log.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
    /// Ledger height at which it was replaced last.
    pub height: u64,
}
