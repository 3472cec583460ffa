//! What patients sign: EIP-712 messages of the contract `Consents`, with the genesis hash as salt.

use crate::emergency::{BreakGlass, Verdict};
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
pub fn glass_id(message: &BreakGlass) -> Hash {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::golden::golden;

    /// The domain and the consent of the golden files.
    fn golden_consent() -> (ConsentDomain, ConsentMessage) {
        let domain = ConsentDomain::new(Genesis([0x22; 32]), 84_001, &[0x11; 20], [0x12; 20]);
        let message = ConsentMessage {
            patient: PersonId([0x33; 32]),
            grantee: PersonId([0x34; 32]),
            terms: [0x35; 32],
            from_ms: 1_800_000_000_000,
            until_ms: 1_800_086_400_000,
            nonce: [0x36; 32],
            deadline_ms: 1_800_000_600_000,
        };
        (domain, message)
    }

    /// Both digests, as the contract computes them (`docs/decisions/013`): the domain of chain 84001,
    /// contract 0x11…11, genesis 0x22…22; the message's fields count up from 0x33.
    #[test]
    fn digests_patients_sign_are_the_golden_ones() {
        let (domain, message) = golden_consent();
        let id = grant_id(message.patient, &message.nonce);
        let digests = [domain.consent_digest(&message), domain.revocation_digest(id), id.0].concat();
        golden!("consent_digests_v1", digests);
    }

    /// The other three, of the same domain: a consent under the policy at 0x44…44, an access without
    /// consent with and without a second clinician, an auditor's verdict on it.
    #[test]
    fn digests_of_policies_and_of_accesses_without_consent_are_the_golden_ones() {
        let (domain, message) = golden_consent();
        let alone = BreakGlass {
            patient: PersonId([0x33; 32]),
            clinician: PersonId([0x37; 32]),
            second: None,
            reason: [0x39; 32],
            from_ms: 1_800_000_000_000,
            until_ms: 1_800_003_600_000,
            nonce: [0x3a; 32],
        };
        let together = BreakGlass { second: Some(PersonId([0x38; 32])), ..alone.clone() };
        let entry = glass_id(&alone);
        let (auditor, remark) = (PersonId([0x3b; 32]), [0x3c; 32]);
        let digests = [
            domain.consent_under_digest(&message, &[0x44; 20]),
            domain.break_glass_digest(&alone),
            domain.break_glass_digest(&together),
            entry,
            domain.review_digest(&entry, auditor, Verdict::Justified, &remark),
        ]
        .concat();
        golden!("policy_and_glass_digests_v1", digests);
    }

    #[test]
    fn signer_of_a_p256_key_names_the_verifier_first() {
        let domain = ConsentDomain::new(Genesis([1; 32]), 1, &[2; 20], [3; 20]);
        let signer = domain.p256_signer(&[4; 64]);
        assert_eq!((signer.len(), &signer[..20], &signer[20..]), (84, &[3; 20][..], &[4; 64][..]));
    }
}
