//! What patients sign: EIP-712 messages of the contract `Consents`, with the genesis hash as salt.

use crate::break_glass::{BreakGlass, Verdict};
use crate::ids::{Genesis, GrantId, Hash, PersonId};
use crate::ledger::ConsentMessage;
use crate::proof::contracts::{CONSENTS, P256_VERIFIER, Word};
use crate::proof::genesis::GenesisDocument;
use crate::proof::state::keccak256;
use alloc::vec::Vec;

const DOMAIN_TYPE: &[u8] =
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)";
const CONSENT_TYPE: &[u8] = b"Consent(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline)";
const CONSENT_UNDER_POLICY_TYPE: &[u8] = b"ConsentUnderPolicy(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline,address policy)";
const BREAK_GLASS_TYPE: &[u8] = b"BreakGlass(bytes32 patient,bytes32 clinician,bytes32 second,bytes32 reason,uint64 from,uint64 until,bytes32 nonce)";
const REVIEW_TYPE: &[u8] = b"Review(bytes32 entry,bytes32 auditor,uint8 verdict,bytes32 remark)";
const REVOCATION_TYPE: &[u8] = b"Revocation(bytes32 grant)";

/// The signing domain of one ledger's consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentDomain {
    separator: Hash,
    p256_verifier: [u8; 20],
}

impl ConsentDomain {
    /// The domain of the contract at `consents` on the ledger `genesis`; `p256_verifier` checks P-256 keys.
    #[must_use]
    pub fn new(genesis: Genesis, chain_id: u64, consents: &[u8; 20], p256_verifier: [u8; 20]) -> Self {
        let separator = keccak256(&[
            &keccak256(&[DOMAIN_TYPE]),
            &keccak256(&[b"Aceso Consents"]),
            &keccak256(&[b"1"]),
            &word(chain_id),
            &[0; 12],
            consents,
            &genesis.0,
        ]);
        Self { separator, p256_verifier }
    }

    /// The domain a genesis document describes; nothing if it names no `Consents` or `P256Verifier`.
    #[must_use]
    pub fn of(document: &GenesisDocument) -> Option<Self> {
        Some(Self::new(
            document.hash(),
            document.chain_id,
            &document.address(CONSENTS)?,
            document.address(P256_VERIFIER)?,
        ))
    }

    /// What a patient signs to give a consent.
    #[must_use]
    pub fn consent_digest(&self, message: &ConsentMessage) -> Hash {
        self.typed(&keccak256(&fields(message, &keccak256(&[CONSENT_TYPE])).each_ref().map(Word::as_slice)))
    }

    /// What a patient signs to give a consent under the policy contract at this address.
    #[must_use]
    pub fn consent_under_digest(&self, message: &ConsentMessage, policy: &[u8; 20]) -> Hash {
        let fields = fields(message, &keccak256(&[CONSENT_UNDER_POLICY_TYPE]));
        let words: Vec<&[u8]> = fields.iter().map(Word::as_slice).chain([&[0; 12][..], policy]).collect();
        self.typed(&keccak256(&words))
    }

    /// What clinicians sign to open a record without consent.
    #[must_use]
    pub fn break_glass_digest(&self, message: &BreakGlass) -> Hash {
        self.typed(&keccak256(&[
            &keccak256(&[BREAK_GLASS_TYPE]),
            &message.patient.0,
            &message.clinician.0,
            &message.second.map_or([0; 32], |second| second.0),
            &message.reason,
            &word(message.from_ms),
            &word(message.until_ms),
            &message.nonce,
        ]))
    }

    /// What an auditor signs to judge such an access.
    #[must_use]
    pub fn review_digest(&self, entry: &Hash, auditor: PersonId, verdict: Verdict, remark: &Hash) -> Hash {
        let verdict = word(u64::from(verdict as u8));
        self.typed(&keccak256(&[&keccak256(&[REVIEW_TYPE]), entry, &auditor.0, &verdict, remark]))
    }

    /// What a patient signs to withdraw a consent.
    #[must_use]
    pub fn revocation_digest(&self, grant: GrantId) -> Hash {
        self.typed(&keccak256(&[&keccak256(&[REVOCATION_TYPE]), &grant.0]))
    }

    /// The ERC-7913 signer of an uncompressed P-256 public key (x ‖ y).
    #[must_use]
    pub fn p256_signer(&self, public_key: &[u8; 64]) -> Vec<u8> {
        let mut signer = Vec::with_capacity(84);
        signer.extend_from_slice(&self.p256_verifier);
        signer.extend_from_slice(public_key);
        signer
    }

    fn typed(&self, structure: &Hash) -> Hash {
        keccak256(&[&[0x19, 0x01], &self.separator, structure])
    }
}

/// The id under which a patient's consent with this nonce is stored: keccak256(abi.encode(patient, nonce)).
#[must_use]
pub fn grant_id(patient: PersonId, nonce: &Hash) -> GrantId {
    GrantId(keccak256(&[&patient.0, nonce]))
}

/// The id under which an access without consent is stored: keccak256(abi.encode(patient, clinician, nonce)).
#[must_use]
pub fn break_glass_id(message: &BreakGlass) -> Hash {
    keccak256(&[&message.patient.0, &message.clinician.0, &message.nonce])
}

/// The words both kinds of consent begin with: the hash of their type, then the message.
fn fields(message: &ConsentMessage, type_hash: &Hash) -> [Word; 8] {
    [
        *type_hash,
        message.patient.0,
        message.grantee.0,
        message.terms,
        word(message.from_ms),
        word(message.until_ms),
        message.nonce,
        word(message.deadline_ms),
    ]
}

fn word(value: u64) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}
