//! The contracts in plain Rust: the oracle of their property tests, and the ledger of
//! tests that need no EVM. Same rules, same order of refusals, no signatures of its own.

mod anchors;
mod authorities;
mod consents;
mod devices;
mod directory;
mod emergency;
mod roles;

pub use authorities::AuthoritiesModel;
pub use roles::RolesModel;

use std::collections::{BTreeMap, BTreeSet};
use vitals::break_glass::{BreakGlassEntry, Policy};
use vitals::eip712::ConsentDomain;
use vitals::ids::{DeviceId, GrantId, Hash, OrgId, PersonId};
use vitals::ledger::{Act, Anchor, Device, Grant, Organisation, Person};
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
                let (role, signer, vault_kept) = (*role, signer.clone(), *vault_kept);
                let enrolled = Person { role, org, signer, vault_kept, since_ms: now_ms, suspended_at_ms: 0 };
                self.enrol(*person, enrolled)
            }
            Act::Suspend { person } => self.suspend(self.sending(sender)?, *person, now_ms),
            Act::AssignRole { person, role } => self.assign_role(sender, *person, *role),
            Act::SupportRole { role, name, base } => {
                self.support_role(self.sending(sender)?, *role, *name, *base)
            }
            Act::Register { kind, key, wrap_key, via, binding } => {
                let org = self.sending(sender)?;
                let (kind, key, wrap_key, via, binding) = (*kind, *key, *wrap_key, *via, *binding);
                let since_ms = now_ms;
                self.register(Device { kind, key, wrap_key, via, org, binding, since_ms, revoked: None })
            }
            Act::Revoke { device, reason, last_trusted_seq } => {
                self.revoke(self.sending(sender)?, *device, *reason, *last_trusted_seq, now_ms)
            }
            Act::Grant(signed) => {
                let digest = self.domain.consent_digest(&signed.message);
                self.grant(signed, None, digest, now_ms)
            }
            Act::GrantUnder { signed, policy } => self.grant_under(signed, *policy, now_ms),
            Act::RevokeGrant { grant, signature } => self.revoke_grant(*grant, signature, now_ms),
            Act::BurnGrant { patient, nonce, signature } => {
                self.burn_grant(*patient, nonce, signature, now_ms)
            }
            Act::AddPolicy { name, contract } => {
                self.add_policy(self.sending(sender)?, *name, *contract, now_ms)
            }
            Act::WithdrawPolicy { contract } => {
                self.withdraw_policy(self.sending(sender)?, *contract, now_ms)
            }
            Act::BreakGlass(signed) => self.break_glass(self.sending(sender)?, signed, now_ms),
            Act::Review { entry, auditor, verdict, remark, signature } => {
                self.review(*entry, *auditor, *verdict, *remark, signature, now_ms)
            }
            Act::Anchor { size, root, consistency } => {
                let head = Anchor { size: *size, root: *root, height };
                self.anchor(self.sending(sender)?, head, consistency)
            }
            Act::Propose(motion) => {
                let org = self.sending(sender)?;
                self.authorities.propose(&mut self.organisations, org, motion, height, now_ms)
            }
            Act::Vote { proposal } => {
                let org = self.sending(sender)?;
                self.authorities.vote(&mut self.organisations, org, *proposal, height, now_ms)
            }
            Act::Settle { proposal } => {
                self.sending(sender)?;
                self.authorities.settle(&mut self.organisations, *proposal, height, now_ms)
            }
            Act::Announce { validator, endpoint } => {
                self.authorities.announce(self.sending(sender)?, *validator, endpoint)
            }
        }
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
    use vitals::ledger::{DeviceKind, RevokeReason};
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
    fn act_of_an_unknown_sender_changes_nothing() {
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
