//! What an operator asks about the ledger: where it stands, whether this node holds what others hold.

use super::Operator;
use anyhow::{Context, Result};
use ledger::machine::View;
use operator::{
    Anchors, Authorities, History, LedgerFigures, ProposalStatus, Propose, ValidatorStatus, Vote,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use vitals::governance::{Motion, Proposal, Validator};
use vitals::ids::{OrgId, sha256};
use vitals::proof::certificate::quorum;

/// Most headers compared in one question.
const HISTORY_MAX: u64 = 1_000_000;

/// Most proposals looked through: an organisation has a handful open at a time.
const PROPOSALS_SHOWN: u64 = 256;

/// Organisations that have a vote: those with a validator that stays.
fn seated(validators: &[Validator]) -> BTreeSet<OrgId> {
    validators.iter().filter(|one| one.until_epoch.is_none()).map(|one| one.org).collect()
}

impl Operator {
    /// The ledger's figures at this node.
    pub(super) fn ledger_figures(&self) -> Result<LedgerFigures> {
        let chain = &self.embedded()?.chain;
        let (stats, view) = (chain.stats(), chain.view());
        let epoch = self.epoch(&view);
        Ok(LedgerFigures {
            height: stats.height,
            blocks: stats.blocks,
            transactions: stats.transactions,
            epoch,
            committee: view.committee(epoch)?.iter().map(hex::encode).collect(),
            finality_samples_ms: stats.finality_ms,
        })
    }

    /// The epoch of the next block.
    fn epoch(&self, view: &View) -> u64 {
        (view.tip().height + 1) / self.document.epoch_blocks
    }

    /// Authorities, whether they are heard, and proposals that are open or were accepted lately.
    pub(super) fn authorities(&self, now_ms: u64) -> Result<Authorities> {
        let own = self.embedded()?;
        let view = own.chain.view();
        let (epoch, heard) = (self.epoch(&view), own.chain.peer_statuses().all());
        let committee = view.committee(epoch)?;
        let seat = |validator: &Validator| match validator.until_epoch {
            _ if epoch < validator.from_epoch => format!("from epoch {}", validator.from_epoch),
            Some(until) if until <= epoch => format!("left in epoch {until}"),
            Some(until) => format!("until epoch {until}"),
            None => "authority".to_owned(),
        };
        let validators = view.validators()?.into_iter().map(|validator| {
            let seen = heard.get(&validator.key).filter(|seen| seen.heard_at_ms > 0);
            let ourselves = validator.key == own.validator;
            ValidatorStatus {
                key: hex::encode(validator.key),
                organisation: validator.org.to_string(),
                seat: seat(&validator),
                ourselves,
                heard_ms_ago: seen.map(|seen| now_ms.abs_diff(seen.heard_at_ms)),
                height: if ourselves { Some(view.tip().height) } else { seen.map(|seen| seen.height) },
                address: validator.endpoint,
            }
        });
        let validators = validators.collect();
        let proposals = view.proposals(PROPOSALS_SHOWN)?;
        let proposals = proposals
            .iter()
            .filter(|one| match one.accepted {
                Some(accepted) => accepted.acts_from_epoch > epoch,
                None => one.is_open(view.tip().time_ms),
            })
            .map(|one| self.proposal(&view, one))
            .collect::<Result<_>>()?;
        Ok(Authorities {
            height: view.tip().height,
            epoch,
            epoch_blocks: self.document.epoch_blocks,
            authorities: committee.len(),
            quorum: quorum(committee.len()),
            committee: committee.iter().map(hex::encode).collect(),
            validators,
            proposals,
        })
    }

    fn proposal(&self, view: &View, one: &Proposal) -> Result<ProposalStatus> {
        let seated = seated(&view.validators()?);
        let counted = one.votes.iter().filter(|org| seated.contains(org)).count();
        Ok(ProposalStatus {
            id: one.id,
            what: sentence(&one.motion),
            proposer: one.proposer.to_string(),
            votes: counted,
            votes_needed: seated.len() / 2 + 1,
            acts_from_epoch: one.accepted.map(|accepted| accepted.acts_from_epoch),
        })
    }

    /// Proposes, and answers with the proposal as it stands once that is final.
    pub(super) async fn propose(self: &Arc<Self>, call: Propose) -> Result<ProposalStatus> {
        let motion = call.change.motion()?;
        let wanted = motion.clone();
        self.embedded()?;
        self.settled(move |node, now_ms| {
            let session = node.session(&call.token, now_ms)?;
            Ok(((), vec![node.clinic.propose(&session, motion, now_ms)?]))
        })
        .await?;
        let org = self.clinic.org();
        self.proposal_where(|one| one.motion == wanted && one.proposer == org)
    }

    /// Votes, and answers with the proposal as it stands once that is final.
    pub(super) async fn vote(self: &Arc<Self>, call: Vote) -> Result<ProposalStatus> {
        let id = call.proposal;
        self.embedded()?;
        self.settled(move |node, now_ms| {
            let session = node.session(&call.token, now_ms)?;
            Ok(((), vec![node.clinic.vote(&session, id, now_ms)?]))
        })
        .await?;
        self.proposal_where(|one| one.id == id)
    }

    fn proposal_where(&self, wanted: impl Fn(&Proposal) -> bool) -> Result<ProposalStatus> {
        let view = self.embedded()?.chain.view();
        let proposals = view.proposals(PROPOSALS_SHOWN)?;
        let one = proposals.iter().find(|one| wanted(one));
        self.proposal(&view, one.context("the proposal is on the ledger, but not among the newest")?)
    }

    /// One digest over all headers up to a height.
    pub(super) fn history(&self, upto: u64) -> Result<History> {
        anyhow::ensure!(upto <= HISTORY_MAX, "at most {HISTORY_MAX} headers are compared at once");
        let own = &self.embedded()?.chain;
        let mut digest = [0; 32];
        let pruned = own.machine().base()?..own.machine().kept()?.headers;
        for height in 1..=upto {
            let header = own.machine().header(height).context("reading a header")?;
            // Two nodes that have pruned the same headers would agree on nothing.
            anyhow::ensure!(
                header.is_some() || !pruned.contains(&height),
                "block {height} is pruned at this node: headers can be compared from {} on",
                pruned.end
            );
            digest = sha256(&[&digest, &header.unwrap_or_default()]);
        }
        Ok(History { digest: hex::encode(digest) })
    }

    /// Every founder's anchor: its size and root.
    pub(super) fn anchors(&self) -> Result<Anchors> {
        let mut anchors = Anchors::new();
        for founder in &self.document.founders {
            let anchor = self.chain.anchor(founder.org())?;
            let anchor = anchor.map(|anchor| (anchor.size, hex::encode(anchor.root)));
            anchors.insert(founder.org().to_string(), anchor);
        }
        Ok(anchors)
    }
}

/// A motion in a sentence for people.
fn sentence(motion: &Motion) -> String {
    let short = |key: &[u8; 32]| hex::encode(&key[..4]);
    match motion {
        Motion::AddValidator { key, org, endpoint } => {
            format!("add validator {}… of {org} at {endpoint}", short(key))
        }
        Motion::RemoveValidator { key } => format!("remove validator {}…", short(key)),
        Motion::ReplaceKey { old, new, endpoint } => {
            format!("replace validator {}… by {}… at {endpoint}", short(old), short(new))
        }
        Motion::AdmitOrganisation { record_key, .. } => {
            format!("admit organisation {}", OrgId::of(record_key))
        }
        Motion::RemoveOrganisation { org } => format!("remove organisation {org}"),
    }
}
