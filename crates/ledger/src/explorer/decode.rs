//! Decodes calldata into the act it encodes: the inverse of [`Contracts::call`].

use crate::contracts::Contracts;
use crate::contracts::bindings::{
    Anchors, Authorities, Consents, Devices, Directory, Grants, P256Verifier, Policies, Roles,
};
use alloy_primitives::{Address, B256, FixedBytes};
use alloy_sol_types::SolCall;
use vitals::break_glass::{BreakGlass, SignedBreakGlass, Verdict};
use vitals::explorer::TxAction;
use vitals::governance::Motion;
use vitals::ids::{DeviceId, GrantId, OrgId, PersonId};
use vitals::ledger::{Act, ConsentMessage, DeviceKind, RevokeReason, Role, SignedGrant};
use vitals::proof::contracts::{
    ANCHORS, AUTHORITIES, CONSENTS, DEVICES, DIRECTORY, P256_VERIFIER, POLICIES, ROLES,
};

/// A decoded call, as far as it is known.
pub(super) struct DecodedCall {
    pub(super) contract: Option<&'static str>,
    pub(super) function: Option<&'static str>,
    pub(super) action: TxAction,
}

/// What a transaction to this account with this input asks for.
pub(super) fn decode_call(contracts: &Contracts, to: Option<Address>, input: &[u8]) -> DecodedCall {
    let Some(to) = to else {
        return DecodedCall {
            contract: None,
            function: None,
            action: TxAction::Deploy { bytes: input.len() },
        };
    };
    let selector = input.first_chunk().copied();
    let (contract, function) = named(contracts, to, selector).unzip();
    let function = function.flatten();
    let action = act(contracts, to, input).map_or_else(
        || TxAction::Call {
            contract: contract.map_or_else(|| format!("contract {to:#x}"), str::to_owned),
            function: function.map(str::to_owned),
        },
        TxAction::Act,
    );
    DecodedCall { contract, function, action }
}

/// Names a function by its selector.
type Names = fn([u8; 4]) -> Option<&'static str>;

fn named(
    contracts: &Contracts,
    to: Address,
    selector: Option<[u8; 4]>,
) -> Option<(&'static str, Option<&'static str>)> {
    let known: [(Address, &'static str, Names); 7] = [
        (contracts.directory, DIRECTORY, Directory::DirectoryCalls::name_by_selector),
        (contracts.devices, DEVICES, Devices::DevicesCalls::name_by_selector),
        (contracts.consents, CONSENTS, Consents::ConsentsCalls::name_by_selector),
        (contracts.anchors, ANCHORS, Anchors::AnchorsCalls::name_by_selector),
        (contracts.authorities, AUTHORITIES, Authorities::AuthoritiesCalls::name_by_selector),
        (contracts.policies, POLICIES, Policies::PoliciesCalls::name_by_selector),
        (contracts.p256_verifier, P256_VERIFIER, P256Verifier::P256VerifierCalls::name_by_selector),
    ];
    let role_names: Names = Roles::RolesCalls::name_by_selector;
    let roles = contracts.roles.map(|address| (address, ROLES, role_names));
    let (_, name, functions) = known.into_iter().chain(roles).find(|(address, ..)| *address == to)?;
    Some((name, selector.and_then(functions)))
}

/// The act, if this is the call that our nodes make for it.
fn act(contracts: &Contracts, to: Address, input: &[u8]) -> Option<Act> {
    if to == contracts.directory {
        return person(input);
    }
    if to == contracts.devices {
        return device(input);
    }
    if to == contracts.consents {
        return consent(input);
    }
    if to == contracts.anchors {
        let call = Anchors::anchorCall::abi_decode(input).ok()?;
        let consistency = call.consistency.iter().map(|hash| hash.0).collect();
        return Some(Act::Anchor { size: call.size, root: call.root.0, consistency });
    }
    if to == contracts.policies {
        return policy(input);
    }
    if Some(to) == contracts.roles {
        return role(input);
    }
    if to == contracts.authorities { governance(input) } else { None }
}

fn person(input: &[u8]) -> Option<Act> {
    if let Ok(call) = Directory::suspendCall::abi_decode(input) {
        return Some(Act::Suspend { person: PersonId(call.person.0) });
    }
    let call = Directory::enrolCall::abi_decode(input).ok()?;
    Some(Act::Enrol {
        person: PersonId(call.person.0),
        role: Role::from_code(call.role)?,
        signer: call.signer.to_vec(),
        vault_kept: call.vaultKept,
    })
}

fn device(input: &[u8]) -> Option<Act> {
    if let Ok(call) = Devices::registerCall::abi_decode(input) {
        return Some(Act::Register {
            kind: match call.kind {
                1 => DeviceKind::Sensor,
                2 => DeviceKind::Gateway,
                _ => return None,
            },
            key: call.key.0,
            wrap_key: call.wrapKey.0,
            via: DeviceId(call.via.0),
            binding: call.binding.0,
        });
    }
    let call = Devices::revokeCall::abi_decode(input).ok()?;
    Some(Act::Revoke {
        device: DeviceId(call.id.0),
        reason: match call.reason {
            1 => RevokeReason::Retired,
            2 => RevokeReason::Stolen,
            _ => return None,
        },
        last_trusted_seq: call.lastTrustedSeq,
    })
}

fn consent(input: &[u8]) -> Option<Act> {
    if let Ok(Consents::giveCall { m, signature }) = Consents::giveCall::abi_decode(input) {
        return Some(Act::Grant(signed(&m, &signature)));
    }
    if let Ok(call) = Consents::giveUnderCall::abi_decode(input) {
        let signed = signed(&call.m, &call.signature);
        return Some(Act::GrantUnder { signed, policy: call.policy.into() });
    }
    if let Ok(call) = Consents::breakGlassCall::abi_decode(input) {
        return Some(Act::BreakGlass(emergency(call)));
    }
    if let Ok(call) = Consents::reviewCall::abi_decode(input) {
        return Some(Act::Review {
            entry: call.id.0,
            auditor: PersonId(call.auditor.0),
            verdict: Verdict::from_code(call.verdict)?,
            remark: call.remark.0,
            signature: call.signature.to_vec(),
        });
    }
    if let Ok(call) = Consents::revokeCall::abi_decode(input) {
        return Some(Act::RevokeGrant { grant: GrantId(call.id.0), signature: call.signature.to_vec() });
    }
    let call = Consents::burnCall::abi_decode(input).ok()?;
    Some(Act::BurnGrant {
        patient: PersonId(call.patient.0),
        nonce: call.nonce.0,
        signature: call.signature.to_vec(),
    })
}

fn signed(m: &Grants::Message, signature: &[u8]) -> SignedGrant {
    let message = ConsentMessage {
        patient: PersonId(m.patient.0),
        grantee: PersonId(m.grantee.0),
        terms: m.terms.0,
        from_ms: m.from,
        until_ms: m.until,
        nonce: m.nonce.0,
        deadline_ms: m.deadline,
    };
    SignedGrant { message, signature: signature.to_vec() }
}

fn emergency(call: Consents::breakGlassCall) -> SignedBreakGlass {
    let m = call.m;
    let message = BreakGlass {
        patient: PersonId(m.patient.0),
        clinician: PersonId(m.clinician.0),
        second: (!m.second.is_zero()).then_some(PersonId(m.second.0)),
        reason: m.reason.0,
        from_ms: m.from,
        until_ms: m.until,
        nonce: m.nonce.0,
    };
    let (signature, second_signature) = (call.signature.to_vec(), call.secondSignature.to_vec());
    SignedBreakGlass { message, signature, second_signature }
}

fn role(input: &[u8]) -> Option<Act> {
    if let Ok(call) = Roles::supportCall::abi_decode(input) {
        let base = Role::from_code(call.base)?;
        return Some(Act::SupportRole { role: call.role, name: call.name.0, base });
    }
    let call = Roles::assignCall::abi_decode(input).ok()?;
    Some(Act::AssignRole { person: PersonId(call.person.0), role: call.role })
}

fn policy(input: &[u8]) -> Option<Act> {
    if let Ok(call) = Policies::addCall::abi_decode(input) {
        return Some(Act::AddPolicy { name: call.name.0, contract: call.policy.into() });
    }
    let call = Policies::withdrawCall::abi_decode(input).ok()?;
    Some(Act::WithdrawPolicy { contract: call.policy.into() })
}

fn governance(input: &[u8]) -> Option<Act> {
    let org = |id: FixedBytes<16>| OrgId(id.0);
    let key = |key: B256| key.0;
    if let Ok(call) = Authorities::voteCall::abi_decode(input) {
        return Some(Act::Vote { proposal: call.id });
    }
    if let Ok(call) = Authorities::settleCall::abi_decode(input) {
        return Some(Act::Settle { proposal: call.id });
    }
    if let Ok(call) = Authorities::announceCall::abi_decode(input) {
        return Some(Act::Announce { validator: key(call.key), endpoint: call.endpoint });
    }
    let motion = if let Ok(call) = Authorities::proposeValidatorCall::abi_decode(input) {
        Motion::AddValidator { key: key(call.key), org: org(call.org), endpoint: call.endpoint }
    } else if let Ok(call) = Authorities::proposeRemovalCall::abi_decode(input) {
        Motion::RemoveValidator { key: key(call.key) }
    } else if let Ok(call) = Authorities::proposeKeyCall::abi_decode(input) {
        Motion::ReplaceKey { old: key(call.old), new: key(call.key), endpoint: call.endpoint }
    } else if let Ok(call) = Authorities::proposeOrganisationCall::abi_decode(input) {
        Motion::AdmitOrganisation { record_key: key(call.recordKey), sender: call.sender.into() }
    } else {
        let call = Authorities::proposeExpulsionCall::abi_decode(input).ok()?;
        Motion::RemoveOrganisation { org: org(call.org) }
    };
    Some(Act::Propose(motion))
}
