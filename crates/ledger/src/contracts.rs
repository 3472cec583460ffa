//! The contracts: their addresses, the call for every act, records read from storage, and refusals as text.

mod authorities;
mod calls;
mod emergency;
mod refusals;
pub mod roles;

pub use calls::gas_of;
pub use refusals::{reason, refusal};

use crate::machine::State;
use alloy_primitives::{Address, U256};
use alloy_sol_types::sol;
use vitals::ids::{DeviceId, GrantId, OrgId, PersonId};
use vitals::ledger::{Anchor, Device, Fact, Grant, Organisation, Person, Role};
use vitals::proof::contracts::{
    self as slots, ANCHORS, AUTHORITIES, CONSENTS, DEVICES, DIRECTORY, P256_VERIFIER, POLICIES,
    WEBAUTHN_VERIFIER, Word, mapping_slot, packed, packed_u64, slot_after,
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
    sol!(Authorities, "../../contracts/artifacts/Authorities.json");
    sol!(WebAuthnVerifier, "../../contracts/artifacts/WebAuthnVerifier.json");
    sol!(Policies, "../../contracts/artifacts/Policies.json");
    sol!(TwoClinicians, "../../contracts/artifacts/TwoClinicians.json");
    sol!(Roles, "../../contracts/artifacts/Roles.json");
}

/// Longest ERC-7913 signer, as the contract has it; a longer one in the state is damage.
const SIGNER_BYTES_MAX: usize = vitals::ledger::SIGNER_BYTES_MAX;
/// Slot of `Directory.organisationOf`.
const ORGANISATION_OF: u8 = 1;
/// Slot of `Directory.people`.
const PEOPLE: u8 = 2;

/// The addresses of one ledger's contracts.
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
    /// Votes on validators and organisations.
    pub authorities: Address,
    /// The ERC-7913 verifier of passkeys.
    pub webauthn_verifier: Address,
    /// Policies a consent may name.
    pub policies: Address,
    /// Roles beyond the first five, if the address book of a state holds them
    /// ([`Self::with_address_book`]).
    pub roles: Option<Address>,
}

impl Contracts {
    /// The addresses in a genesis document; `None` if one is missing.
    #[must_use]
    pub fn of(document: &GenesisDocument) -> Option<Self> {
        let address = |name| document.address(name).map(Address::from);
        Some(Self {
            directory: address(DIRECTORY)?,
            p256_verifier: address(P256_VERIFIER)?,
            devices: address(DEVICES)?,
            consents: address(CONSENTS)?,
            anchors: address(ANCHORS)?,
            authorities: address(AUTHORITIES)?,
            webauthn_verifier: address(WEBAUTHN_VERIFIER)?,
            policies: address(POLICIES)?,
            roles: None,
        })
    }

    /// The contract that holds a fact.
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
        let org = OrgId(packed(&head, 0));
        let [enrolled_role] = packed(&head, 24);
        let role = self.effective_role(state, org, id, enrolled_role);
        Ok(Some(Person {
            role: Role::from_code(role).ok_or(NotProven::NotARecord)?,
            org,
            signer: bytes_at(state, &self.directory, &slot_after(&base, 2), SIGNER_BYTES_MAX)?,
            vault_kept: packed(&head, 25) == [1],
            since_ms: packed_u64(&head, 16),
            suspended_at_ms: packed_u64(&word(1), 0),
        }))
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
            policy: self.policy_of(state, id),
        })
    }
}

/// A Solidity `bytes` or `string` at `slot`: up to 31 bytes in the slot itself, longer ones from
/// keccak256(slot) on. More than `most` bytes is damage.
fn bytes_at(state: &State, contract: &Address, slot: &Word, most: usize) -> Result<Vec<u8>, NotProven> {
    let head = state.word(contract, slot);
    if head[31] & 1 == 0 {
        let len = usize::from(head[31] / 2);
        return head.get(..len).map(<[u8]>::to_vec).ok_or(NotProven::NotARecord);
    }
    let len = usize::try_from(packed_u64(&head, 0) / 2).map_err(|_| NotProven::NotARecord)?;
    if len > most || head[..24] != [0; 24] {
        return Err(NotProven::NotARecord);
    }
    let base = keccak256(&[slot]);
    let mut bytes = Vec::with_capacity(len.next_multiple_of(32));
    for offset in (0u64..).take(len.div_ceil(32)) {
        bytes.extend(state.word(contract, &slot_far_after(&base, offset)));
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// The slot `offset` slots after `slot`, for arrays.
fn slot_far_after(slot: &Word, offset: u64) -> Word {
    (U256::from_be_bytes(*slot).wrapping_add(U256::from(offset))).to_be_bytes()
}

/// The word of a number, as the key of a mapping.
fn number_word(number: u64) -> Word {
    U256::from(number).to_be_bytes()
}

/// The length of the array at `slot`, and where its elements start.
fn array(state: &State, contract: &Address, at: &Word, most: u64) -> Result<(u64, Word), NotProven> {
    let len = packed_u64(&state.word(contract, at), 0);
    if len > most { Err(NotProven::NotARecord) } else { Ok((len, keccak256(&[at]))) }
}
