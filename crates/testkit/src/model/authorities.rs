//! The rules of the contract `Authorities`, and of `Directory` where its votes act on it.

use super::{Refusal, refuse_if};
use std::{collections::BTreeMap, collections::BTreeSet, string::String, vec::Vec};
use vitals::governance::{
    Acceptance, EPOCHS_AHEAD, Motion, ORGANISATIONS_MAX, PROPOSALS_OPEN_MAX, Proposal,
    VALIDATORS_STAYING_MAX, Validator, is_endpoint,
};
use vitals::ids::{Hash, OrgId};
use vitals::ledger::Organisation;

/// Organisations, as `Directory` holds them.
type Organisations = BTreeMap<OrgId, Organisation>;

/// What `Authorities` holds.
#[derive(Debug, Clone, Default)]
pub struct AuthoritiesModel {
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Validators that stay, are to come, or left in this epoch or the one before.
    pub validators: Vec<Validator>,
    /// All proposals, by id less one.
    pub proposals: Vec<Proposal>,
}

impl AuthoritiesModel {
    /// Founded with these validators.
    #[must_use]
    pub fn new(epoch_blocks: u64, founding: impl IntoIterator<Item = (Hash, OrgId)>) -> Self {
        let validator =
            |(key, org)| Validator { key, org, from_epoch: 0, until_epoch: None, endpoint: String::new() };
        let validators = founding.into_iter().map(validator).collect();
        Self { epoch_blocks, validators, proposals: Vec::new() }
    }

    /// The keys of an epoch's committee, ascending.
    #[must_use]
    pub fn committee(&self, epoch: u64) -> Vec<Hash> {
        vitals::governance::committee(&self.validators, epoch)
    }

    /// Organisations with a staying validator.
    #[must_use]
    pub fn seated(&self) -> BTreeSet<OrgId> {
        self.staying().map(|validator| validator.org).collect()
    }

    fn staying(&self) -> impl Iterator<Item = &Validator> {
        self.validators.iter().filter(|validator| validator.until_epoch.is_none())
    }

    fn is_seated(&self, org: OrgId) -> bool {
        self.staying().any(|validator| validator.org == org)
    }

    fn epoch(&self, height: u64) -> u64 {
        height / self.epoch_blocks.max(1)
    }

    pub(super) fn propose(
        &mut self,
        organisations: &mut Organisations,
        proposer: OrgId,
        motion: &Motion,
        height: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let alone = match motion {
            Motion::AddValidator { org, .. } => *org == proposer,
            Motion::ReplaceKey { .. } => true,
            _ => false,
        };
        refuse_if(!alone && !self.is_seated(proposer), Refusal::NotSeated)?;
        if let Motion::AddValidator { endpoint, .. } | Motion::ReplaceKey { endpoint, .. } = motion {
            refuse_if(!is_endpoint(endpoint), Refusal::EndpointWrong)?;
        }
        self.or_nothing(|this| this.try_propose(organisations, proposer, motion, height, now_ms))
    }

    fn try_propose(
        &mut self,
        organisations: &mut Organisations,
        proposer: OrgId,
        motion: &Motion,
        height: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        self.prune(height);
        self.possible(organisations, proposer, motion)?;
        let open = |one: &&Proposal| one.proposer == proposer && one.is_open(now_ms);
        let too_many = self.proposals.iter().filter(open).count() >= PROPOSALS_OPEN_MAX;
        refuse_if(too_many, Refusal::ProposalsOpen)?;
        let id = self.proposals.len() as u64 + 1;
        let votes = self.is_seated(proposer).then_some(proposer).into_iter().collect();
        let (motion, proposed_at_ms) = (motion.clone(), now_ms);
        self.proposals.push(Proposal { id, motion, proposer, proposed_at_ms, votes, accepted: None });
        self.accept_if_carried(organisations, id, height, now_ms).map(|_| ())
    }

    pub(super) fn vote(
        &mut self,
        organisations: &mut Organisations,
        org: OrgId,
        id: u64,
        height: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        refuse_if(!self.is_seated(org), Refusal::NotSeated)?;
        self.or_nothing(|this| this.try_vote(organisations, org, id, height, now_ms))
    }

    fn try_vote(
        &mut self,
        organisations: &mut Organisations,
        org: OrgId,
        id: u64,
        height: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let proposal = self.open(id, now_ms)?;
        refuse_if(proposal.votes.contains(&org), Refusal::VoteRepeated)?;
        proposal.votes.push(org);
        self.accept_if_carried(organisations, id, height, now_ms).map(|_| ())
    }

    pub(super) fn settle(
        &mut self,
        organisations: &mut Organisations,
        id: u64,
        height: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        self.open(id, now_ms)?;
        self.or_nothing(|this| {
            let carried = this.accept_if_carried(organisations, id, height, now_ms)?;
            refuse_if(!carried, Refusal::VotesMissing)
        })
    }

    /// A refused transaction leaves nothing behind.
    fn or_nothing(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let kept = self.clone();
        step(self).inspect_err(|_| *self = kept)
    }

    pub(super) fn announce(&mut self, org: OrgId, key: Hash, endpoint: &str) -> Result<(), Refusal> {
        let found = self.validators.iter_mut().find(|validator| validator.key == key);
        let validator = found.ok_or(Refusal::ValidatorUnknown)?;
        refuse_if(validator.org != org, Refusal::NotTheOperator)?;
        refuse_if(!is_endpoint(endpoint), Refusal::EndpointWrong)?;
        validator.endpoint = String::from(endpoint);
        Ok(())
    }

    fn open(&mut self, id: u64, now_ms: u64) -> Result<&mut Proposal, Refusal> {
        let place = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let found = place.and_then(|place| self.proposals.get_mut(place));
        let proposal = found.ok_or(Refusal::ProposalUnknown)?;
        refuse_if(proposal.accepted.is_some(), Refusal::ProposalAccepted)?;
        refuse_if(!proposal.is_open(now_ms), Refusal::ProposalExpired)?;
        Ok(proposal)
    }

    /// Carries a proposal out if more than half of the seated organisations voted for it.
    fn accept_if_carried(
        &mut self,
        organisations: &mut Organisations,
        id: u64,
        height: u64,
        now_ms: u64,
    ) -> Result<bool, Refusal> {
        let Some(place) = self.proposals.iter().position(|one| one.id == id) else { return Ok(false) };
        let (motion, proposer) = (self.proposals[place].motion.clone(), self.proposals[place].proposer);
        let seated = self.seated();
        let votes = self.proposals[place].votes.iter().filter(|org| seated.contains(org)).count();
        if 2 * votes <= seated.len() {
            return Ok(false);
        }
        self.prune(height);
        self.possible(organisations, proposer, &motion)?;
        let from_epoch = self.epoch(height) + EPOCHS_AHEAD;
        self.proposals[place].accepted = Some(Acceptance { at_ms: now_ms, acts_from_epoch: from_epoch });
        match motion {
            Motion::AddValidator { key, org, endpoint } => self.join(key, org, endpoint, from_epoch),
            Motion::RemoveValidator { key } => self.depart(|validator| validator.key == key, from_epoch),
            Motion::ReplaceKey { old, new, endpoint } => {
                self.depart(|validator| validator.key == old, from_epoch);
                self.join(new, proposer, endpoint, from_epoch);
            }
            Motion::AdmitOrganisation { record_key, sender } => {
                let admitted = Organisation { record_key, sender, active: true };
                organisations.insert(OrgId::of(&record_key), admitted);
            }
            Motion::RemoveOrganisation { org } => {
                self.depart(|validator| validator.org == org, from_epoch);
                organisations.entry(org).and_modify(|gone| gone.active = false);
            }
        }
        Ok(true)
    }

    fn possible(
        &self,
        organisations: &Organisations,
        proposer: OrgId,
        motion: &Motion,
    ) -> Result<(), Refusal> {
        let active = |org: &OrgId| organisations.get(org).is_some_and(|known| known.active);
        match motion {
            Motion::AddValidator { key, org, .. } => {
                refuse_if(!active(org), Refusal::OrganisationUnknown)?;
                self.new_key(key)?;
                refuse_if(self.staying().count() >= VALIDATORS_STAYING_MAX, Refusal::CommitteeFull)
            }
            Motion::RemoveValidator { key } => {
                self.stays(key)?;
                refuse_if(self.staying().count() == 1, Refusal::LastValidator)
            }
            Motion::ReplaceKey { old, new, .. } => {
                refuse_if(self.stays(old)?.org != proposer, Refusal::NotTheOperator)?;
                self.new_key(new)
            }
            Motion::AdmitOrganisation { record_key, sender } => {
                let known = organisations.contains_key(&OrgId::of(record_key))
                    || organisations.values().any(|known| known.sender == *sender);
                refuse_if(known, Refusal::OrganisationKnown)?;
                refuse_if(organisations.len() >= ORGANISATIONS_MAX, Refusal::DirectoryFull)
            }
            Motion::RemoveOrganisation { org } => {
                refuse_if(!active(org), Refusal::OrganisationUnknown)?;
                let others = self.staying().any(|validator| validator.org != *org);
                refuse_if(!others, Refusal::LastValidator)
            }
        }
    }

    fn new_key(&self, key: &Hash) -> Result<(), Refusal> {
        refuse_if(*key == [0; 32], Refusal::ValidatorKeyMissing)?;
        let known = self.validators.iter().any(|validator| validator.key == *key);
        refuse_if(known, Refusal::ValidatorKnown)
    }

    fn stays(&self, key: &Hash) -> Result<&Validator, Refusal> {
        self.staying().find(|validator| validator.key == *key).ok_or(Refusal::ValidatorUnknown)
    }

    fn join(&mut self, key: Hash, org: OrgId, endpoint: String, from_epoch: u64) {
        self.validators.push(Validator { key, org, from_epoch, until_epoch: None, endpoint });
    }

    fn depart(&mut self, who: impl Fn(&Validator) -> bool, until_epoch: u64) {
        let leaving = |one: &&mut Validator| one.until_epoch.is_none() && who(one);
        for validator in self.validators.iter_mut().filter(leaving) {
            validator.until_epoch = Some(until_epoch);
        }
    }

    /// Drops validators that were in no committee of this epoch and the one before.
    fn prune(&mut self, height: u64) {
        let epoch = self.epoch(height);
        self.validators.retain(|validator| validator.until_epoch.is_none_or(|until| until >= epoch));
    }
}
