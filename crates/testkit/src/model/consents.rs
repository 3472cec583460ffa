//! The rules of the contract `Consents`.

use super::{LedgerModel, Refusal, refuse_if};
use vitals::eip712::grant_id;
use vitals::ids::{GrantId, Hash, PersonId};
use vitals::ledger::{Grant, Role, SignedGrant};

impl LedgerModel {
    /// A consent whose patient signed `digest`.
    pub(super) fn grant(
        &mut self,
        signed: &SignedGrant,
        policy: Option<[u8; 20]>,
        digest: Hash,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let m = &signed.message;
        let id = grant_id(m.patient, &m.nonce);
        refuse_if(now_ms > m.deadline_ms, Refusal::DeadlinePassed)?;
        refuse_if(m.until_ms <= m.from_ms || m.until_ms <= now_ms, Refusal::WindowEmpty)?;
        refuse_if(self.grants.contains_key(&id), Refusal::NonceUsed)?;
        let patient = self.people.get(&m.patient);
        let is_patient = patient.is_some_and(|one| one.role == Role::Patient && one.suspended_at_ms == 0);
        refuse_if(!is_patient, Refusal::PatientUnknown)?;
        refuse_if(!self.is_grantee(m.grantee), Refusal::GranteeUnknown)?;
        self.signed(m.patient, digest, &signed.signature)?;
        let given = Grant {
            patient: m.patient,
            grantee: m.grantee,
            terms: m.terms,
            from_ms: m.from_ms,
            until_ms: m.until_ms,
            revoked_at_ms: 0,
            policy,
        };
        self.grants.insert(id, given);
        Ok(())
    }

    pub(super) fn grant_under(
        &mut self,
        signed: &SignedGrant,
        policy: [u8; 20],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let offered = self.policies.get(&policy).is_some_and(|one| one.withdrawn_at_ms == 0);
        refuse_if(!offered, Refusal::PolicyUnknown)?;
        let digest = self.domain.consent_under_digest(&signed.message, &policy);
        self.grant(signed, Some(policy), digest, now_ms)
    }

    pub(super) fn revoke_grant(
        &mut self,
        grant: GrantId,
        signature: &[u8],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let known = self.grants.get(&grant).ok_or(Refusal::GrantUnknown)?;
        refuse_if(known.revoked_at_ms != 0, Refusal::GrantAlreadyRevoked)?;
        let patient = known.patient;
        self.signed(patient, self.domain.revocation_digest(grant), signature)?;
        self.withdraw(grant, patient, now_ms);
        Ok(())
    }

    pub(super) fn burn_grant(
        &mut self,
        patient: PersonId,
        nonce: &Hash,
        signature: &[u8],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let id = grant_id(patient, nonce);
        let gone = self.grants.get(&id).is_some_and(|grant| grant.revoked_at_ms != 0);
        refuse_if(gone, Refusal::GrantAlreadyRevoked)?;
        self.signed(patient, self.domain.revocation_digest(id), signature)?;
        self.withdraw(id, patient, now_ms);
        Ok(())
    }

    /// Is `signature` that of this person over `digest`?
    pub(super) fn signed(&self, person: PersonId, digest: Hash, signature: &[u8]) -> Result<(), Refusal> {
        let good = self.people.get(&person).is_some_and(|one| (self.check)(&one.signer, &digest, signature));
        refuse_if(!good, Refusal::SignatureWrong)
    }

    fn withdraw(&mut self, id: GrantId, patient: PersonId, at_ms: u64) {
        let burnt = Grant {
            patient,
            grantee: PersonId([0; 32]),
            terms: [0; 32],
            from_ms: 0,
            until_ms: 0,
            revoked_at_ms: 0,
            policy: None,
        };
        self.grants.entry(id).or_insert(burnt).revoked_at_ms = at_ms;
    }
}
