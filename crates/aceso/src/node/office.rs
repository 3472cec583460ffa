//! What an operator asks about the ledger: where it stands, whether this node holds what others hold.

use super::desk::Desk;
use crate::control::Request;
use crate::motion;
use anyhow::{Context, Result};
use ledger::machine::View;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use vitals::governance::{Motion, Proposal, Validator};
use vitals::ids::{OrgId, sha256};
use vitals::proof::certificate::quorum;

/// Most headers compared in one question.
const HISTORY_MAX: u64 = 1_000_000;

/// Most proposals looked through: an organisation has a handful open at a time.
const PROPOSALS_SHOWN: u64 = 256;

/// Which proposal an answer is about.
enum Wanted {
    Motion(Motion),
    Id(u64),
}

/// Organisations that have a vote: those with a validator that stays.
fn seated(validators: &[Validator]) -> BTreeSet<OrgId> {
    validators.iter().filter(|one| one.until_epoch.is_none()).map(|one| one.org).collect()
}

impl Desk {
    /// The ledger's figures at this node.
    pub(super) fn ledger_figures(&self) -> Result<Value> {
        let chain = &self.own()?.chain;
        let (stats, view) = (chain.stats(), chain.view());
        let epoch = self.epoch(&view);
        Ok(json!({
            "height": stats.height,
            "blocks": stats.blocks,
            "transactions": stats.transactions,
            "epoch": epoch,
            "committee": view.committee(epoch)?.iter().map(hex::encode).collect::<Vec<_>>(),
            "finality_samples_ms": stats.finality_ms,
        }))
    }

    /// The epoch of the next block.
    fn epoch(&self, view: &View) -> u64 {
        (view.tip().height + 1) / self.document.epoch_blocks
    }

    /// Authorities, whether they are heard, and proposals that are open or were accepted lately.
    pub(super) fn authorities(&self, now_ms: u64) -> Result<Value> {
        let own = self.own()?;
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
            json!({
                "key": hex::encode(validator.key),
                "organisation": validator.org.to_string(),
                "address": validator.endpoint,
                "seat": seat(&validator),
                "ourselves": ourselves,
                "heard_ms_ago": seen.map(|seen| now_ms.saturating_sub(seen.heard_at_ms)),
                "height": if ourselves { Some(view.tip().height) } else { seen.map(|seen| seen.height) },
            })
        });
        let validators: Vec<Value> = validators.collect();
        let proposals = view.proposals(PROPOSALS_SHOWN)?;
        let proposals: Vec<Value> = proposals
            .iter()
            .filter(|one| match one.accepted {
                Some(accepted) => accepted.acts_from_epoch > epoch,
                None => one.is_open(view.tip().time_ms),
            })
            .map(|one| self.proposal(&view, one))
            .collect::<Result<_>>()?;
        Ok(json!({
            "height": view.tip().height,
            "epoch": epoch,
            "epoch_blocks": self.document.epoch_blocks,
            "authorities": committee.len(),
            "quorum": quorum(committee.len()),
            "committee": committee.iter().map(hex::encode).collect::<Vec<_>>(),
            "validators": validators,
            "proposals": proposals,
        }))
    }

    fn proposal(&self, view: &View, one: &Proposal) -> Result<Value> {
        let seated = seated(&view.validators()?);
        let counted = one.votes.iter().filter(|org| seated.contains(org)).count();
        Ok(json!({
            "id": one.id,
            "what": motion::sentence(&one.motion),
            "proposer": one.proposer.to_string(),
            "votes": counted,
            "votes_needed": seated.len() / 2 + 1,
            "acts_from_epoch": one.accepted.map(|accepted| accepted.acts_from_epoch),
        }))
    }

    /// Proposes or votes, and answers with the proposal as it stands then.
    pub(super) async fn govern(self: Arc<Self>, request: Request) -> Result<Value> {
        let wanted = match &request {
            Request::Propose { motion, .. } => Wanted::Motion(motion.motion()?),
            Request::Vote { proposal, .. } => Wanted::Id(*proposal),
            _ => anyhow::bail!("this is no act of an authority"),
        };
        let own = self.own()?.clone();
        self.act(request).await?;
        let view = own.chain.view();
        let (org, proposals) = (self.clinic.org(), view.proposals(PROPOSALS_SHOWN)?);
        let one = proposals.iter().find(|one| match &wanted {
            Wanted::Motion(motion) => one.motion == *motion && one.proposer == org,
            Wanted::Id(id) => one.id == *id,
        });
        self.proposal(&view, one.context("the proposal is on the ledger, but not among the newest")?)
    }

    /// One digest over all headers up to a height.
    pub(super) fn history(&self, upto: u64) -> Result<Value> {
        anyhow::ensure!(upto <= HISTORY_MAX, "at most {HISTORY_MAX} headers are compared at once");
        let own = &self.own()?.chain;
        let mut digest = [0; 32];
        for height in 1..=upto {
            let header = own.machine().header(height).context("reading a header")?;
            digest = sha256(&[&digest, &header.unwrap_or_default()]);
        }
        Ok(json!({ "digest": hex::encode(digest) }))
    }

    /// Every founder's anchor: its size and root.
    pub(super) fn anchors(&self) -> Result<Value> {
        let mut anchors = serde_json::Map::new();
        for founder in &self.document.founders {
            let anchor = self.chain.anchor(founder.org())?;
            let said = anchor.map(|anchor| json!([anchor.size, hex::encode(anchor.root)]));
            anchors.insert(founder.org().to_string(), said.unwrap_or(Value::Null));
        }
        Ok(Value::Object(anchors))
    }
}
