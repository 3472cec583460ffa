//! The contracts in plain Rust: the oracle their property tests are held against, and the ledger of
//! tests that need no EVM. Same rules, same order of refusals, no signatures of its own.

mod authorities;
mod emergency;
mod roles;

pub use authorities::AuthoritiesModel;
pub use roles::RolesModel;

use std::collections::{BTreeMap, BTreeSet};
use vitals::break_glass::{BreakGlassEntry, Policy};
use vitals::eip712::{ConsentDomain, grant_id};
use vitals::ids::{DeviceId, GrantId, Hash, OrgId, PersonId};
use vitals::ledger::{
    Act, Anchor, Device, DeviceKind, Grant, Organisation, Person, Revocation, RevokeReason, Role,
    SIGNER_BYTES_MAX, SIGNER_BYTES_MIN, SignedGrant,
};
use vitals::log::verify_consistency;
use vitals::refusal::Refusal;

/// Decides whether a signature by an ERC-7913 signer over a digest is good.
pub type SignatureCheck = fn(signer: &[u8], digest: &Hash, signature: &[u8]) -> bool;

/// All contracts' state.
#[derive(Debug, Clone)]
pub struct LedgerModel {
    /// Organisations.
    pub organisations: BTreeMap<OrgId, Organisation>,
    /// People.
    pub people: BTreeMap<PersonId, Person>,
    /// Devices.
    pub devices: BTreeMap<DeviceId, Device>,
    /// Consents.
    pub grants: BTreeMap<GrantId, Grant>,
    /// Log heads.
    pub anchors: BTreeMap<OrgId, Anchor>,
    /// Validators and proposals.
    pub authorities: AuthoritiesModel,
    /// Access without consent, by id.
    pub glass: BTreeMap<Hash, BreakGlassEntry>,
    /// Policies by where they stand.
    pub policies: BTreeMap<[u8; 20], Policy>,
    /// Roles beyond the first five.
    pub roles: RolesModel,
    /// Where contracts stand.
    code: BTreeSet<[u8; 20]>,
    domain: ConsentDomain,
    check: SignatureCheck,
}

impl LedgerModel {
    /// A ledger on which only `founders` exist.
    #[must_use]
    pub fn new(
        domain: ConsentDomain,
        check: SignatureCheck,
        founders: impl IntoIterator<Item = (OrgId, Organisation)>,
    ) -> Self {
        Self {
            organisations: founders.into_iter().collect(),
            people: BTreeMap::new(),
            devices: BTreeMap::new(),
            grants: BTreeMap::new(),
            anchors: BTreeMap::new(),
            authorities: AuthoritiesModel::default(),
            glass: BTreeMap::new(),
            policies: BTreeMap::new(),
            roles: RolesModel::default(),
            code: BTreeSet::new(),
            domain,
            check,
        }
    }

    /// The same with validators: without them nobody is seated and nothing is voted.
    #[must_use]
    pub fn governed_by(mut self, authorities: AuthoritiesModel) -> Self {
        self.authorities = authorities;
        self
    }

    /// The same where contracts stand at these addresses: they can be policies.
    #[must_use]
    pub fn with_code(mut self, code: impl IntoIterator<Item = [u8; 20]>) -> Self {
        self.code.extend(code);
        self
    }

    /// What patients of this ledger sign.
    #[must_use]
    pub fn domain(&self) -> &ConsentDomain {
        &self.domain
    }

    /// Applies an act of the organisation that sends from `sender`, in a block of this height and time.
    /// A refused act changes nothing.
    pub fn apply(&mut self, sender: [u8; 20], act: &Act, height: u64, time_ms: u64) -> Result<(), Refusal> {
        // Block time in contracts has whole seconds.
        let now_ms = time_ms - time_ms % 1000;
        match act {
            Act::Enrol { person, role, signer, vault_kept } => {
                let org = self.sending(sender)?;
                refuse_if(person.is_organisation(), Refusal::PersonIdReserved)?;
                refuse_if(!role.is_founding(), Refusal::RoleUnknown)?;
                let length_ok = (SIGNER_BYTES_MIN..=SIGNER_BYTES_MAX).contains(&signer.len());
                refuse_if(!length_ok, Refusal::SignerLengthWrong)?;
                refuse_if(self.people.contains_key(person), Refusal::PersonAlreadyEnrolled)?;
                let (role, signer, vault_kept) = (*role, signer.clone(), *vault_kept);
                let enrolled = Person { role, org, signer, vault_kept, since_ms: now_ms, suspended_at_ms: 0 };
                self.people.insert(*person, enrolled);
            }
            Act::Register { kind, key, wrap_key, via, binding } => {
                let org = self.sending(sender)?;
                let id = DeviceId::of(key);
                refuse_if(self.devices.contains_key(&id), Refusal::DeviceAlreadyRegistered)?;
                if *kind == DeviceKind::Gateway {
                    refuse_if(*via != id || *binding != [0; 32], Refusal::GatewayNotPlain)?;
                } else {
                    let live = self.devices.get(via).is_some_and(|gateway| {
                        gateway.kind == DeviceKind::Gateway && gateway.org == org && gateway.revoked.is_none()
                    });
                    refuse_if(!live, Refusal::ViaNotALiveGateway)?;
                    refuse_if(*binding == [0; 32], Refusal::BindingMissing)?;
                }
                let (kind, key, wrap_key, via, binding) = (*kind, *key, *wrap_key, *via, *binding);
                let device =
                    Device { kind, key, wrap_key, via, org, binding, since_ms: now_ms, revoked: None };
                self.devices.insert(id, device);
            }
            Act::Revoke { device, reason, last_trusted_seq } => {
                let org = self.sending(sender)?;
                self.revoke(org, *device, *reason, *last_trusted_seq, now_ms)?;
            }
            Act::Grant(signed) => {
                self.give(signed, None, self.domain.consent_digest(&signed.message), now_ms)?;
            }
            Act::GrantUnder { signed, policy } => {
                let offered = self.policies.get(policy).is_some_and(|one| one.withdrawn_at_ms == 0);
                refuse_if(!offered, Refusal::PolicyUnknown)?;
                let digest = self.domain.consent_under_digest(&signed.message, policy);
                self.give(signed, Some(*policy), digest, now_ms)?;
            }
            Act::Suspend { person } => {
                let org = self.sending(sender)?;
                let one = self.people.get_mut(person).ok_or(Refusal::PersonUnknown)?;
                refuse_if(one.org != org, Refusal::NotTheHomeOrganisation)?;
                if one.suspended_at_ms == 0 {
                    one.suspended_at_ms = now_ms;
                }
            }
            Act::AddPolicy { name, contract } => {
                let org = self.sending(sender)?;
                self.add_policy(org, *name, *contract, now_ms)?;
            }
            Act::WithdrawPolicy { contract } => {
                let org = self.sending(sender)?;
                self.withdraw_policy(org, *contract, now_ms)?;
            }
            Act::SupportRole { role, name, base } => {
                let org = self.sending(sender)?;
                self.support_role(org, *role, *name, *base)?;
            }
            Act::AssignRole { person, role } => self.assign_role(sender, *person, *role)?,
            Act::BreakGlass(signed) => {
                let org = self.sending(sender)?;
                self.break_glass(org, signed, now_ms)?;
            }
            Act::Review { entry, auditor, verdict, remark, signature } => {
                self.review(*entry, *auditor, *verdict, *remark, signature, now_ms)?;
            }
            Act::RevokeGrant { grant, signature } => {
                let known = self.grants.get(grant).ok_or(Refusal::GrantUnknown)?;
                refuse_if(known.revoked_at_ms != 0, Refusal::GrantAlreadyRevoked)?;
                self.signed(known.patient, self.domain.revocation_digest(*grant), signature)?;
                self.withdraw(*grant, known.patient, now_ms);
            }
            Act::BurnGrant { patient, nonce, signature } => {
                let id = grant_id(*patient, nonce);
                let gone = self.grants.get(&id).is_some_and(|grant| grant.revoked_at_ms != 0);
                refuse_if(gone, Refusal::GrantAlreadyRevoked)?;
                self.signed(*patient, self.domain.revocation_digest(id), signature)?;
                self.withdraw(id, *patient, now_ms);
            }
            Act::Anchor { size, root, consistency } => {
                let org = self.sending(sender)?;
                refuse_if(*size == 0, Refusal::LogEmpty)?;
                if let Some(head) = self.anchors.get(&org) {
                    refuse_if(*size < head.size, Refusal::LogShrunk)?;
                    if *size == head.size {
                        return refuse_if(*root != head.root, Refusal::LogForked);
                    }
                    let extends = verify_consistency(head.size, &head.root, *size, root, consistency);
                    refuse_if(!extends, Refusal::ConsistencyWrong)?;
                } else {
                    refuse_if(!consistency.is_empty(), Refusal::ConsistencyWrong)?;
                }
                self.anchors.insert(org, Anchor { size: *size, root: *root, height });
            }
            Act::Propose(motion) => {
                let org = self.sending(sender)?;
                self.authorities.propose(&mut self.organisations, org, motion, height, now_ms)?;
            }
            Act::Vote { proposal } => {
                let org = self.sending(sender)?;
                self.authorities.vote(&mut self.organisations, org, *proposal, height, now_ms)?;
            }
            Act::Settle { proposal } => {
                self.sending(sender)?;
                self.authorities.settle(&mut self.organisations, *proposal, height, now_ms)?;
            }
            Act::Announce { validator, endpoint } => {
                let org = self.sending(sender)?;
                self.authorities.announce(org, *validator, endpoint)?;
            }
        }
        Ok(())
    }

    fn give(
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

    fn revoke(
        &mut self,
        org: OrgId,
        id: DeviceId,
        reason: RevokeReason,
        last_trusted_seq: u64,
        at_ms: u64,
    ) -> Result<(), Refusal> {
        let device = self.devices.get_mut(&id).ok_or(Refusal::DeviceUnknown)?;
        refuse_if(device.org != org, Refusal::NotTheHomeOrganisation)?;
        refuse_if(device.revoked.is_some(), Refusal::DeviceAlreadyRevoked)?;
        device.revoked = Some(Revocation { at_ms, reason, last_trusted_seq });
        Ok(())
    }

    fn sending(&self, sender: [u8; 20]) -> Result<OrgId, Refusal> {
        let sends = |org: &Organisation| org.active && org.sender == sender;
        let found = self.organisations.iter().find(|(_, org)| sends(org));
        found.map(|(id, _)| *id).ok_or(Refusal::SenderNotAnOrganisation)
    }

    fn is_grantee(&self, id: PersonId) -> bool {
        if id.is_organisation() {
            return self
                .organisations
                .iter()
                .any(|(org, known)| known.active && PersonId::of_organisation(*org) == id);
        }
        self.people.get(&id).is_some_and(|one| one.suspended_at_ms == 0)
    }

    fn signed(&self, patient: PersonId, digest: Hash, signature: &[u8]) -> Result<(), Refusal> {
        let good = self.people.get(&patient).is_some_and(|one| (self.check)(&one.signer, &digest, signature));
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

fn refuse_if(wrong: bool, why: Refusal) -> Result<(), Refusal> {
    if wrong { Err(why) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use vitals::ids::Genesis;
    use vitals::log::MerkleLog;

    const SENDER: [u8; 20] = [9; 20];

    fn ward() -> (LedgerModel, OrgId) {
        let org = OrgId::of(&[1; 32]);
        let founder = Organisation { record_key: [1; 32], sender: SENDER, active: true };
        let domain = ConsentDomain::new(Genesis([0; 32]), 1, &[2; 20], [3; 20]);
        (LedgerModel::new(domain, |_, _, signature| signature == b"signed", [(org, founder)]), org)
    }

    fn gateway() -> Act {
        let key = [5; 32];
        let (kind, via) = (DeviceKind::Gateway, DeviceId::of(&key));
        Act::Register { kind, key, wrap_key: [6; 32], via, binding: [0; 32] }
    }

    #[test]
    fn stranger_changes_nothing() {
        let (mut model, _) = ward();
        let refused = model.apply([0; 20], &gateway(), 1, 1_000);
        assert_eq!(refused, Err(Refusal::SenderNotAnOrganisation));
        assert!(model.devices.is_empty());
    }

    #[test]
    fn sensor_of_a_revoked_gateway_is_refused() {
        let (mut model, org) = ward();
        model.apply(SENDER, &gateway(), 1, 1_999).unwrap();
        let via = DeviceId::of(&[5; 32]);
        assert_eq!(model.devices[&via].since_ms, 1_000);
        assert_eq!(model.devices[&via].org, org);
        let reason = RevokeReason::Retired;
        model.apply(SENDER, &Act::Revoke { device: via, reason, last_trusted_seq: 3 }, 2, 2_000).unwrap();
        let (kind, key) = (DeviceKind::Sensor, [7; 32]);
        let sensor = Act::Register { kind, key, wrap_key: [6; 32], via, binding: [8; 32] };
        assert_eq!(model.apply(SENDER, &sensor, 3, 3_000), Err(Refusal::ViaNotALiveGateway));
    }

    #[test]
    fn log_head_is_replaced_only_by_one_that_extends_it() {
        let (mut model, org) = ward();
        let mut log = MerkleLog::new();
        for leaf in 0..5 {
            log.push([leaf; 32]);
        }
        let head = |size| log.root_at(size).unwrap();
        let anchor = |size, root, consistency| Act::Anchor { size, root, consistency };
        model.apply(SENDER, &anchor(3, head(3), vec![]), 1, 0).unwrap();
        let proof = log.consistency(3, 5).unwrap();
        let forged = model.apply(SENDER, &anchor(5, [0; 32], proof.clone()), 2, 0);
        assert_eq!(forged, Err(Refusal::ConsistencyWrong));
        model.apply(SENDER, &anchor(5, head(5), proof), 2, 0).unwrap();
        assert_eq!(model.anchors[&org], Anchor { size: 5, root: head(5), height: 2 });
        assert_eq!(model.apply(SENDER, &anchor(3, head(3), vec![]), 3, 0), Err(Refusal::LogShrunk));
    }
}
