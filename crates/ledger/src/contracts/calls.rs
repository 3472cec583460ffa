//! The contract call for each act.

use super::Contracts;
use super::bindings::{Anchors, Authorities, Consents, Devices, Directory, Grants, Policies, Roles};
use alloy_primitives::{Address, B256, FixedBytes};
use alloy_sol_types::SolCall;
use vitals::break_glass::SignedBreakGlass;
use vitals::governance::Motion;
use vitals::ids::OrgId;
use vitals::ledger::{Act, ConsentMessage, DeviceKind, RevokeReason};

/// Gas every act may use; with [`GAS_PER_BYTE`] at least twice what any act needs.
const GAS_BASE: u64 = 200_000;
/// Gas an act may use for each byte of calldata: storing 32 bytes takes 22,100.
const GAS_PER_BYTE: u64 = 800;
/// Gas a vote may use beyond that, for the loops over committee and votes.
const GAS_OF_A_VOTE: u64 = 4_000_000;
/// Gas an act may use beyond [`GAS_BASE`] that stores many slots.
const GAS_OF_A_RECORD: u64 = 500_000;

/// The gas a transaction with this calldata asks for.
#[must_use]
pub fn gas_of(data: &[u8]) -> u64 {
    let gas = GAS_BASE.saturating_add(GAS_PER_BYTE.saturating_mul(data.len() as u64));
    match data.first_chunk() {
        Some(
            &(Authorities::proposeValidatorCall::SELECTOR
            | Authorities::proposeRemovalCall::SELECTOR
            | Authorities::proposeKeyCall::SELECTOR
            | Authorities::proposeOrganisationCall::SELECTOR
            | Authorities::proposeExpulsionCall::SELECTOR
            | Authorities::voteCall::SELECTOR
            | Authorities::settleCall::SELECTOR
            | Roles::supportCall::SELECTOR),
        ) => gas.saturating_add(GAS_OF_A_VOTE),
        Some(&(Consents::breakGlassCall::SELECTOR | Policies::addCall::SELECTOR)) => {
            gas.saturating_add(GAS_OF_A_RECORD)
        }
        _ => gas,
    }
}

impl Contracts {
    /// The contract and the calldata of an act sent for `org`. Acts about roles need [`Self::roles`].
    #[must_use]
    pub fn call(&self, org: OrgId, act: &Act) -> (Address, Vec<u8>) {
        match act {
            Act::Enrol { person, role, signer, vault_kept } => (
                self.directory,
                Directory::enrolCall {
                    person: B256::from(person.0),
                    role: role.code(),
                    signer: signer.clone().into(),
                    vaultKept: *vault_kept,
                }
                .abi_encode(),
            ),
            Act::Register { kind, key, wrap_key, via, binding } => (
                self.devices,
                Devices::registerCall {
                    kind: kind_code(*kind),
                    key: B256::from(*key),
                    wrapKey: B256::from(*wrap_key),
                    via: FixedBytes(via.0),
                    binding: B256::from(*binding),
                }
                .abi_encode(),
            ),
            Act::Revoke { device, reason, last_trusted_seq } => (
                self.devices,
                Devices::revokeCall {
                    id: FixedBytes(device.0),
                    reason: reason_code(*reason),
                    lastTrustedSeq: *last_trusted_seq,
                }
                .abi_encode(),
            ),
            Act::Grant(signed) => {
                let signature = signed.signature.clone().into();
                (self.consents, Consents::giveCall { m: message(&signed.message), signature }.abi_encode())
            }
            Act::GrantUnder { signed, policy } => {
                let (m, signature) = (message(&signed.message), signed.signature.clone().into());
                let policy = Address::from(*policy);
                (self.consents, Consents::giveUnderCall { m, policy, signature }.abi_encode())
            }
            Act::Suspend { person } => {
                (self.directory, Directory::suspendCall { person: B256::from(person.0) }.abi_encode())
            }
            Act::AddPolicy { name, contract } => {
                let (name, policy) = (B256::from(*name), Address::from(*contract));
                (self.policies, Policies::addCall { name, policy }.abi_encode())
            }
            Act::WithdrawPolicy { contract } => {
                (self.policies, Policies::withdrawCall { policy: Address::from(*contract) }.abi_encode())
            }
            Act::SupportRole { role, name, base } => (
                self.roles.unwrap_or_default(),
                Roles::supportCall { role: *role, name: B256::from(*name), base: base.code() }.abi_encode(),
            ),
            Act::AssignRole { person, role } => (
                self.roles.unwrap_or_default(),
                Roles::assignCall { person: B256::from(person.0), role: *role }.abi_encode(),
            ),
            Act::BreakGlass(signed) => (self.consents, break_glass(signed)),
            Act::Review { entry, auditor, verdict, remark, signature } => (
                self.consents,
                Consents::reviewCall {
                    id: B256::from(*entry),
                    auditor: B256::from(auditor.0),
                    verdict: *verdict as u8,
                    remark: B256::from(*remark),
                    signature: signature.clone().into(),
                }
                .abi_encode(),
            ),
            Act::RevokeGrant { grant, signature } => (
                self.consents,
                Consents::revokeCall { id: B256::from(grant.0), signature: signature.clone().into() }
                    .abi_encode(),
            ),
            Act::BurnGrant { patient, nonce, signature } => (
                self.consents,
                Consents::burnCall {
                    patient: B256::from(patient.0),
                    nonce: B256::from(*nonce),
                    signature: signature.clone().into(),
                }
                .abi_encode(),
            ),
            Act::Anchor { size, root, consistency } => (
                self.anchors,
                Anchors::anchorCall {
                    org: FixedBytes(org.0),
                    size: *size,
                    root: B256::from(*root),
                    consistency: consistency.iter().map(|hash| B256::from(*hash)).collect(),
                }
                .abi_encode(),
            ),
            Act::Propose(motion) => (self.authorities, propose(motion)),
            Act::Vote { proposal } => {
                (self.authorities, Authorities::voteCall { id: *proposal }.abi_encode())
            }
            Act::Settle { proposal } => {
                (self.authorities, Authorities::settleCall { id: *proposal }.abi_encode())
            }
            Act::Announce { validator, endpoint } => (
                self.authorities,
                Authorities::announceCall { key: B256::from(*validator), endpoint: endpoint.clone() }
                    .abi_encode(),
            ),
        }
    }
}

fn message(m: &ConsentMessage) -> Grants::Message {
    Grants::Message {
        patient: B256::from(m.patient.0),
        grantee: B256::from(m.grantee.0),
        terms: B256::from(m.terms),
        from: m.from_ms,
        until: m.until_ms,
        nonce: B256::from(m.nonce),
        deadline: m.deadline_ms,
    }
}

fn break_glass(signed: &SignedBreakGlass) -> Vec<u8> {
    let m = &signed.message;
    Consents::breakGlassCall {
        m: Consents::BreakGlass {
            patient: B256::from(m.patient.0),
            clinician: B256::from(m.clinician.0),
            second: B256::from(m.second.map_or([0; 32], |second| second.0)),
            reason: B256::from(m.reason),
            from: m.from_ms,
            until: m.until_ms,
            nonce: B256::from(m.nonce),
        },
        signature: signed.signature.clone().into(),
        secondSignature: signed.second_signature.clone().into(),
    }
    .abi_encode()
}

fn propose(motion: &Motion) -> Vec<u8> {
    match motion {
        Motion::AddValidator { key, org, endpoint } => Authorities::proposeValidatorCall {
            key: B256::from(*key),
            org: FixedBytes(org.0),
            endpoint: endpoint.clone(),
        }
        .abi_encode(),
        Motion::RemoveValidator { key } => {
            Authorities::proposeRemovalCall { key: B256::from(*key) }.abi_encode()
        }
        Motion::ReplaceKey { old, new, endpoint } => Authorities::proposeKeyCall {
            old: B256::from(*old),
            key: B256::from(*new),
            endpoint: endpoint.clone(),
        }
        .abi_encode(),
        Motion::AdmitOrganisation { record_key, sender } => Authorities::proposeOrganisationCall {
            recordKey: B256::from(*record_key),
            sender: Address::from(*sender),
        }
        .abi_encode(),
        Motion::RemoveOrganisation { org } => {
            Authorities::proposeExpulsionCall { org: FixedBytes(org.0) }.abi_encode()
        }
    }
}

fn kind_code(kind: DeviceKind) -> u8 {
    match kind {
        DeviceKind::Sensor => 1,
        DeviceKind::Gateway => 2,
    }
}

fn reason_code(reason: RevokeReason) -> u8 {
    match reason {
        RevokeReason::Retired => 1,
        RevokeReason::Stolen => 2,
    }
}
