//! The contracts, seen from Rust: their addresses, calls for every act, records read straight from
//! storage, and refusals in words.

use crate::machine::State;
use alloy_primitives::{Address, B256, FixedBytes};
use alloy_sol_types::{SolCall, SolError, sol};
use vitals::ids::{DeviceId, GrantId, OrgId, PersonId};
use vitals::ledger::{
    Act, Anchor, Device, DeviceKind, Fact, Grant, Organisation, Person, RevokeReason, Role,
};
use vitals::model::Refusal;
use vitals::proof::contracts::{
    self as slots, ANCHORS, CONSENTS, DEVICES, DIRECTORY, P256_VERIFIER, Word, mapping_slot, packed,
    packed_u64, slot_after,
};
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::state::{NotProven, keccak256};

/// Bindings made from the committed artifacts.
#[allow(missing_docs, reason = "made by sol! from contracts/artifacts; the contracts carry the words")]
pub mod bindings {
    use super::sol;
    sol!(Directory, "../../contracts/artifacts/Directory.json");
    sol!(P256Verifier, "../../contracts/artifacts/P256Verifier.json");
    sol!(Devices, "../../contracts/artifacts/Devices.json");
    sol!(Consents, "../../contracts/artifacts/Consents.json");
    sol!(Anchors, "../../contracts/artifacts/Anchors.json");
}
use bindings::{Anchors, Consents, Devices, Directory};

/// Longest ERC-7913 signer, as the contract has it; a longer one in the state is damage.
const SIGNER_BYTES_MAX: usize = vitals::model::SIGNER_BYTES_MAX;
/// Slot of `Directory.organisationOf`.
const ORGANISATION_OF: u8 = 1;
/// Slot of `Directory.people`.
const PEOPLE: u8 = 2;

/// Where the contracts of one ledger stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contracts {
    /// Organisations and people.
    pub directory: Address,
    /// The ERC-7913 verifier of P-256 signatures.
    pub p256_verifier: Address,
    /// Devices.
    pub devices: Address,
    /// Consents.
    pub consents: Address,
    /// Log heads.
    pub anchors: Address,
}

impl Contracts {
    /// The addresses a genesis document names; nothing if it does not name them all.
    #[must_use]
    pub fn of(document: &GenesisDocument) -> Option<Self> {
        let address = |name| document.address(name).map(Address::from);
        Some(Self {
            directory: address(DIRECTORY)?,
            p256_verifier: address(P256_VERIFIER)?,
            devices: address(DEVICES)?,
            consents: address(CONSENTS)?,
            anchors: address(ANCHORS)?,
        })
    }

    /// The contract and the calldata of an act sent for `org`.
    #[must_use]
    pub fn call(&self, org: OrgId, act: &Act) -> (Address, Vec<u8>) {
        match act {
            Act::Enrol { person, role, signer, vault_kept } => (
                self.directory,
                Directory::enrolCall {
                    person: B256::from(person.0),
                    role: *role as u8,
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
                let m = &signed.message;
                let message = Consents::Message {
                    patient: B256::from(m.patient.0),
                    grantee: B256::from(m.grantee.0),
                    terms: B256::from(m.terms),
                    from: m.from_ms,
                    until: m.until_ms,
                    nonce: B256::from(m.nonce),
                    deadline: m.deadline_ms,
                };
                let signature = signed.signature.clone().into();
                (self.consents, Consents::giveCall { m: message, signature }.abi_encode())
            }
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
        }
    }

    /// The contract a fact stands in.
    #[must_use]
    pub fn of_fact(&self, fact: Fact) -> Address {
        match fact {
            Fact::Anchor(_) => self.anchors,
            Fact::Organisation(_) => self.directory,
            Fact::Device(_) => self.devices,
        }
    }

    /// The active organisation an account sends for.
    pub(crate) fn sends_for(&self, state: &State, sender: Address) -> Option<OrgId> {
        let word = state.word(&self.directory, &mapping_slot(&sender.into_word().0, ORGANISATION_OF));
        let org = OrgId(packed(&word, 0));
        self.organisation(state, org).ok().flatten()?.active.then_some(org)
    }

    pub(crate) fn organisation(&self, state: &State, org: OrgId) -> Result<Option<Organisation>, NotProven> {
        slots::organisation(&slots::organisation_slots(org).map(|slot| state.word(&self.directory, &slot)))
    }

    pub(crate) fn device(&self, state: &State, id: DeviceId) -> Result<Option<Device>, NotProven> {
        slots::device(&slots::device_slots(id).map(|slot| state.word(&self.devices, &slot)))
    }

    pub(crate) fn anchor(&self, state: &State, org: OrgId) -> Option<Anchor> {
        slots::anchor(&slots::anchor_slots(org).map(|slot| state.word(&self.anchors, &slot)))
    }

    pub(crate) fn person(&self, state: &State, id: PersonId) -> Result<Option<Person>, NotProven> {
        let base = mapping_slot(&id.0, PEOPLE);
        let word = |offset| state.word(&self.directory, &slot_after(&base, offset));
        let head = word(0);
        if head == [0; 32] {
            return Ok(None);
        }
        let [role] = packed(&head, 24);
        Ok(Some(Person {
            role: Role::from_code(role).ok_or(NotProven::NotARecord)?,
            org: OrgId(packed(&head, 0)),
            signer: self.signer(state, &slot_after(&base, 2))?,
            vault_kept: packed(&head, 25) == [1],
            since_ms: packed_u64(&head, 16),
            suspended_at_ms: packed_u64(&word(1), 0),
        }))
    }

    /// A Solidity `bytes` at `slot`: short ones stand beside their length, long ones from keccak256(slot) on.
    fn signer(&self, state: &State, slot: &Word) -> Result<Vec<u8>, NotProven> {
        let head = state.word(&self.directory, slot);
        if head[31] & 1 == 0 {
            let len = usize::from(head[31] / 2);
            return head.get(..len).map(<[u8]>::to_vec).ok_or(NotProven::NotARecord);
        }
        let len = usize::try_from(packed_u64(&head, 0) / 2).map_err(|_| NotProven::NotARecord)?;
        if len > SIGNER_BYTES_MAX || head[..24] != [0; 24] {
            return Err(NotProven::NotARecord);
        }
        let base = keccak256(&[slot]);
        let mut signer = Vec::with_capacity(len.next_multiple_of(32));
        for offset in (0u8..).take(len.div_ceil(32)) {
            signer.extend(state.word(&self.directory, &slot_after(&base, offset)));
        }
        signer.truncate(len);
        Ok(signer)
    }

    pub(crate) fn grant(&self, state: &State, id: GrantId) -> Option<Grant> {
        let base = mapping_slot(&id.0, 0);
        let word = |offset| state.word(&self.consents, &slot_after(&base, offset));
        let patient = PersonId(word(0));
        if patient.0 == [0; 32] {
            return None;
        }
        let times = word(3);
        Some(Grant {
            patient,
            grantee: PersonId(word(1)),
            terms: word(2),
            from_ms: packed_u64(&times, 0),
            until_ms: packed_u64(&times, 8),
            revoked_at_ms: packed_u64(&times, 16),
        })
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

/// The refusal a contract's revert data stands for.
#[must_use]
pub fn refusal(revert: &[u8]) -> Option<Refusal> {
    let selector: [u8; 4] = revert.first_chunk().copied()?;
    Some(match selector {
        Directory::SenderNotAnOrganisation::SELECTOR => Refusal::SenderNotAnOrganisation,
        Directory::PersonIdReserved::SELECTOR => Refusal::PersonIdReserved,
        Directory::PersonAlreadyEnrolled::SELECTOR => Refusal::PersonAlreadyEnrolled,
        Directory::SignerLengthWrong::SELECTOR => Refusal::SignerLengthWrong,
        // Directory and Devices name it alike.
        Directory::NotTheHomeOrganisation::SELECTOR => Refusal::NotTheHomeOrganisation,
        Devices::DeviceAlreadyRegistered::SELECTOR => Refusal::DeviceAlreadyRegistered,
        Devices::GatewayNotPlain::SELECTOR => Refusal::GatewayNotPlain,
        Devices::ViaNotALiveGateway::SELECTOR => Refusal::ViaNotALiveGateway,
        Devices::BindingMissing::SELECTOR => Refusal::BindingMissing,
        Devices::DeviceUnknown::SELECTOR => Refusal::DeviceUnknown,
        Devices::DeviceAlreadyRevoked::SELECTOR => Refusal::DeviceAlreadyRevoked,
        Consents::DeadlinePassed::SELECTOR => Refusal::DeadlinePassed,
        Consents::WindowEmpty::SELECTOR => Refusal::WindowEmpty,
        Consents::NonceUsed::SELECTOR => Refusal::NonceUsed,
        Consents::PatientUnknown::SELECTOR => Refusal::PatientUnknown,
        Consents::GranteeUnknown::SELECTOR => Refusal::GranteeUnknown,
        Consents::SignatureWrong::SELECTOR => Refusal::SignatureWrong,
        Consents::GrantUnknown::SELECTOR => Refusal::GrantUnknown,
        Consents::GrantAlreadyRevoked::SELECTOR => Refusal::GrantAlreadyRevoked,
        Anchors::LogEmpty::SELECTOR => Refusal::LogEmpty,
        Anchors::LogShrunk::SELECTOR => Refusal::LogShrunk,
        Anchors::LogForked::SELECTOR => Refusal::LogForked,
        Anchors::ConsistencyWrong::SELECTOR => Refusal::ConsistencyWrong,
        _ => return None,
    })
}

/// A contract's revert data in words.
#[must_use]
pub fn reason(revert: &[u8]) -> String {
    if let Some(refusal) = refusal(revert) {
        return refusal.to_string();
    }
    let words = match revert.first_chunk().copied() {
        None => "the contract gave no reason (out of gas, or a failed check inside)",
        Some(Directory::RoleUnknown::SELECTOR) => "no such role",
        Some(Directory::PersonUnknown::SELECTOR) => "no such person",
        Some(Devices::KindUnknown::SELECTOR) => "a device is a sensor or a gateway",
        Some(Devices::ReasonUnknown::SELECTOR) => "a device is retired or stolen",
        Some(Anchors::NotTheOrganisation::SELECTOR) => "only the organisation anchors its own log",
        Some(_) => "the contract refused without a reason we know",
    };
    words.to_string()
}
