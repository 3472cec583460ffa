//! Where the contracts keep their records, and how a verifier reads one from a state proof. The slots
//! are those of `contracts/artifacts/*.json` (`storageLayout`) and of `docs/wire.md`.

use super::AccountProof;
use super::genesis::GenesisDocument;
use super::state::{NotProven, SLOTS_MAX, keccak256, verify_account, verify_slot};
use crate::ids::{DeviceId, Hash, OrgId, sha256};
use crate::ledger::{Anchor, Device, DeviceKind, Fact, Organisation, Revocation, RevokeReason};

/// Name of the contract that knows organisations and people.
pub const DIRECTORY: &str = "Directory";
/// Name of the registry of devices.
pub const DEVICES: &str = "Devices";
/// Name of the contract that holds consents.
pub const CONSENTS: &str = "Consents";
/// Name of the contract that holds log heads.
pub const ANCHORS: &str = "Anchors";
/// Name of the contract that votes on validators and organisations.
pub const AUTHORITIES: &str = "Authorities";
/// Name of the registry of policies.
pub const POLICIES: &str = "Policies";
/// Name of the ERC-7913 verifier of passkeys.
pub const WEBAUTHN_VERIFIER: &str = "WebAuthnVerifier";
/// Name of the ERC-7913 verifier of P-256 signatures.
pub const P256_VERIFIER: &str = "P256Verifier";

/// Name of the registry of roles beyond the first five. Not part of genesis: see [`address_book_key`].
pub const ROLES: &str = "Roles";
/// The version of [`ROLES`] that this build knows.
pub const ROLES_VERSION: u32 = 1;

/// The record key under which a contract that is not part of genesis stands in the directory: SHA-256 of
/// "aceso/contract/v1", its name, a zero byte and its version. The organisation with this key was admitted by
/// vote; its sender is the address of the contract. Nobody has the secret of such a key.
#[must_use]
pub fn address_book_key(name: &str, version: u32) -> Hash {
    sha256(&[b"aceso/contract/v1", name.as_bytes(), &[0], &version.to_be_bytes()])
}

/// A 32-byte storage word or slot key.
pub type Word = [u8; 32];

/// The slot of `key`'s record in the Solidity mapping that stands at slot `mapping`.
#[must_use]
pub fn mapping_slot(key: &Word, mapping: u8) -> Word {
    let mut at = [0; 32];
    at[31] = mapping;
    keccak256(&[key, &at])
}

/// The slot `offset` behind `slot`.
#[must_use]
pub fn slot_after(slot: &Word, offset: u8) -> Word {
    let mut out = *slot;
    let mut carry = offset;
    for byte in out.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add(carry);
        *byte = sum;
        carry = u8::from(over);
    }
    out
}

/// A 16-byte id as Solidity's `bytes16` in a word: left-aligned.
#[must_use]
pub fn id_word(id: &[u8; 16]) -> Word {
    let mut word = [0; 32];
    word[..16].copy_from_slice(id);
    word
}

fn group<const N: usize>(id: &[u8; 16]) -> [Word; N] {
    let base = mapping_slot(&id_word(id), 0);
    core::array::from_fn(|offset| slot_after(&base, u8::try_from(offset).unwrap_or(u8::MAX)))
}

/// Slots of an organisation in `Directory`: record key; sender, since and active.
#[must_use]
pub fn organisation_slots(org: OrgId) -> [Word; 2] {
    group(&org.0)
}

/// Slots of a device in `Devices`: key; wrap key; binding; via and org; the rest.
#[must_use]
pub fn device_slots(device: DeviceId) -> [Word; 5] {
    group(&device.0)
}

/// Slots of a log head in `Anchors`: root; size and height.
#[must_use]
pub fn anchor_slots(org: OrgId) -> [Word; 2] {
    group(&org.0)
}

/// The contract a fact stands in.
#[must_use]
pub fn contract_of(fact: Fact) -> &'static str {
    match fact {
        Fact::Anchor(_) => ANCHORS,
        Fact::Organisation(_) => DIRECTORY,
        Fact::Device(_) => DEVICES,
    }
}

/// The slots that hold a fact, in the order a proof shows them.
#[must_use]
pub fn slots_of(fact: Fact) -> alloc::vec::Vec<Word> {
    match fact {
        Fact::Anchor(org) => anchor_slots(org).to_vec(),
        Fact::Organisation(org) => organisation_slots(org).to_vec(),
        Fact::Device(device) => device_slots(device).to_vec(),
    }
}

/// Bytes `offset..offset + N` of a packed word, counted from its low end as Solidity does.
#[must_use]
pub fn packed<const N: usize>(word: &Word, offset: usize) -> [u8; N] {
    let mut out = [0; N];
    let end = 32 - offset;
    out.copy_from_slice(&word[end - N..end]);
    out
}

/// A packed `uint64`.
#[must_use]
pub fn packed_u64(word: &Word, offset: usize) -> u64 {
    u64::from_be_bytes(packed(word, offset))
}

/// The organisation these slots hold; nothing if they are empty.
pub fn organisation(words: &[Word; 2]) -> Result<Option<Organisation>, NotProven> {
    if *words == [[0; 32]; 2] {
        return Ok(None);
    }
    let active = match packed::<1>(&words[1], 28) {
        [0] => false,
        [1] => true,
        _ => return Err(NotProven::NotARecord),
    };
    Ok(Some(Organisation { record_key: words[0], sender: packed(&words[1], 0), active }))
}

/// The device these slots hold; nothing if they are empty.
pub fn device(words: &[Word; 5]) -> Result<Option<Device>, NotProven> {
    if *words == [[0; 32]; 5] {
        return Ok(None);
    }
    let [key, wrap_key, binding, places, rest] = words;
    let kind = match packed::<1>(rest, 8) {
        [1] => DeviceKind::Sensor,
        [2] => DeviceKind::Gateway,
        _ => return Err(NotProven::NotARecord),
    };
    let revoked = match (packed_u64(rest, 9), packed::<1>(rest, 17)) {
        (0, _) => None,
        (at_ms, [code]) => Some(Revocation {
            at_ms,
            reason: match code {
                1 => RevokeReason::Retired,
                2 => RevokeReason::Stolen,
                _ => return Err(NotProven::NotARecord),
            },
            last_trusted_seq: packed_u64(rest, 18),
        }),
    };
    Ok(Some(Device {
        kind,
        key: *key,
        wrap_key: *wrap_key,
        via: DeviceId(packed(places, 0)),
        org: OrgId(packed(places, 16)),
        binding: *binding,
        since_ms: packed_u64(rest, 0),
        revoked,
    }))
}

/// The log head these slots hold; nothing if they are empty.
#[must_use]
pub fn anchor(words: &[Word; 2]) -> Option<Anchor> {
    let size = packed_u64(&words[1], 0);
    (size != 0).then(|| Anchor { size, root: words[0], height: packed_u64(&words[1], 8) })
}

/// Reads an organisation from a proof. Nothing means: proven absent.
pub fn read_organisation(
    state_root: &Hash,
    genesis: &GenesisDocument,
    org: OrgId,
    proof: &AccountProof,
) -> Result<Option<Organisation>, NotProven> {
    organisation(&words(state_root, genesis, DIRECTORY, &organisation_slots(org), proof)?)
}

/// Reads a device from a proof. Nothing means: proven absent.
pub fn read_device(
    state_root: &Hash,
    genesis: &GenesisDocument,
    id: DeviceId,
    proof: &AccountProof,
) -> Result<Option<Device>, NotProven> {
    device(&words(state_root, genesis, DEVICES, &device_slots(id), proof)?)
}

/// Reads a log head from a proof. Nothing means: proven that nothing is anchored.
pub fn read_anchor(
    state_root: &Hash,
    genesis: &GenesisDocument,
    org: OrgId,
    proof: &AccountProof,
) -> Result<Option<Anchor>, NotProven> {
    Ok(anchor(&words(state_root, genesis, ANCHORS, &anchor_slots(org), proof)?))
}

/// The values of exactly these slots of a contract named in the genesis document.
fn words<const N: usize>(
    state_root: &Hash,
    genesis: &GenesisDocument,
    contract: &str,
    slots: &[Word; N],
    proof: &AccountProof,
) -> Result<[Word; N], NotProven> {
    if proof.slots.len() > SLOTS_MAX {
        return Err(NotProven::TooLong);
    }
    if genesis.address(contract) != Some(proof.address) {
        return Err(NotProven::WrongAccount);
    }
    if !proof.slots.iter().map(|slot| &slot.key).eq(slots) {
        return Err(NotProven::WrongSlots);
    }
    let account = verify_account(state_root, proof)?.ok_or(NotProven::NoContract)?;
    let mut out = [[0; 32]; N];
    for (word, slot) in out.iter_mut().zip(&proof.slots) {
        *word = verify_slot(&account.storage_root, slot)?;
    }
    Ok(out)
}
