//! A story about authorities: one organisation lets three others in, one of them is voted out and comes
//! back, while readings flow. Votes of outsiders are tried as well, and must count for nothing.

use crate::hospital::Hospital;
use crate::output::say;
use crate::report::StoryLine;
use crate::running::Running;
use anyhow::{Context, Result, bail, ensure};
use host::clock;
use operator::{Call, Change, GetAuthorities, GetTip, ProposalStatus, Propose, Vote};
use std::time::{Duration, Instant};

/// Which story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Story {
    /// 1 → 4 → 3 → 4 authorities by votes; needs --nodes 4.
    Authorities,
}

/// Blocks in an epoch, unless said otherwise: a story should not last for hours.
pub(crate) const EPOCH_BLOCKS: u64 = 16;
/// How long a change of committee may take to act.
const ACT_WITHIN: Duration = Duration::from_secs(180);
/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

/// The story as it is told.
struct GovernanceRun<'a> {
    running: &'a mut Running,
    began: Instant,
    lines: Vec<StoryLine>,
}

/// Tells it; what happened goes to the report.
pub(crate) async fn authorities(running: &mut Running, began: Instant) -> Result<()> {
    ensure!(running.hospitals.len() == 4, "the story about authorities needs --nodes 4");
    let mut run = GovernanceRun { running, began, lines: Vec::new() };
    let result = run.perform().await;
    let lines = std::mem::take(&mut run.lines);
    running.story = lines;
    result
}

impl GovernanceRun<'_> {
    async fn perform(&mut self) -> Result<()> {
        self.committee_of(1).await?;
        for at in 1..4 {
            let id = self.propose(at, self.own_validator(at)).await?;
            if at == 1 {
                self.vote_in_vain(at, id, "has no seat").await?;
            }
            // Who is voted in has a vote at once, before its validator acts.
            let mut voters = 0..at;
            while let Some(voter) = voters.next()
                && !self.vote(voter, id).await?
            {}
        }
        self.committee_of(4).await?;

        let last = self.running.hospitals[3].ready.validator.clone().unwrap_or_default();
        let id = self.propose(0, Change::RemoveValidator { key: last }).await?;
        self.vote(1, id).await?;
        self.vote_in_vain(1, id, "voted already").await?;
        self.vote(2, id).await?;
        self.committee_of(3).await?;

        let id = self.propose_patiently(0, self.own_validator(3)).await?;
        self.vote_in_vain(3, id, "has no seat").await?;
        self.vote(1, id).await?;
        self.committee_of(4).await
    }

    fn own_validator(&self, at: usize) -> Change {
        let Hospital { ready, .. } = &self.running.hospitals[at];
        Change::AddValidator {
            key: ready.validator.clone().unwrap_or_default(),
            organisation: ready.org.clone(),
            address: ready.ledger.clone().unwrap_or_default(),
        }
    }

    async fn ask_as_administrator<C: Call>(
        &self,
        at: usize,
        call: impl FnOnce(String) -> C,
    ) -> Result<C::Answer> {
        let hospital = &self.running.hospitals[at];
        let token = hospital.remembered.sign_in(&hospital.folder.client(), "admin").await?;
        hospital.ask(call(token)).await
    }

    fn name(&self, at: usize) -> String {
        self.running.hospitals[at].folder.name()
    }

    fn note(&mut self, line: String) {
        let at_s = clock::instant().duration_since(self.began).as_secs_f64();
        let height = self.running.heights.highest();
        say(&format!("{at_s:6.1} s  height {height:<5} {line}"));
        self.lines.push(StoryLine { at_s, height, what: line });
    }

    async fn propose(&mut self, at: usize, change: Change) -> Result<u64> {
        let ProposalStatus { id, what, .. } =
            self.ask_as_administrator(at, |token| Propose { token, change }).await?;
        self.note(format!("{} proposes: {what} (proposal {id})", self.name(at)));
        Ok(id)
    }

    /// A key that left a moment ago is known for an epoch more.
    async fn propose_patiently(&mut self, at: usize, change: Change) -> Result<u64> {
        let began = clock::instant();
        loop {
            match self.propose(at, change.clone()).await {
                Err(_) if clock::instant().duration_since(began) < ACT_WITHIN => {
                    self.running.check().await?;
                    tokio::time::sleep(LOOK * 5).await;
                }
                proposed => return proposed,
            }
        }
    }

    /// True when that vote was enough.
    async fn vote(&mut self, at: usize, proposal: u64) -> Result<bool> {
        let status = self.ask_as_administrator(at, |token| Vote { token, proposal }).await?;
        let standing = match status.acts_from_epoch {
            Some(epoch) => format!("accepted, acts from epoch {epoch}"),
            None => format!("{} of {} needed votes", status.votes, status.votes_needed),
        };
        let line = format!("{} votes for proposal {proposal}: {standing}", self.name(at));
        self.note(line);
        Ok(status.acts_from_epoch.is_some())
    }

    /// A vote that must be refused and leave the count as it is.
    async fn vote_in_vain(&mut self, at: usize, proposal: u64, why: &str) -> Result<()> {
        self.level(at).await?;
        let before = self.count(at, proposal).await?;
        match self.ask_as_administrator(at, |token| Vote { token, proposal }).await {
            Ok(_) => bail!("a vote of {} was taken, though it {why}", self.name(at)),
            Err(refused) => {
                ensure!(self.count(at, proposal).await? == before, "a refused vote changed the count");
                let line =
                    format!("{} votes in vain, for it {why}: {:#}", self.name(at), refused.root_cause());
                self.note(line);
            }
        }
        Ok(())
    }

    /// Waits until this node stands where the highest stands now.
    async fn level(&self, at: usize) -> Result<()> {
        let mut goal = 0;
        for hospital in &self.running.hospitals {
            goal = goal.max(hospital.ask(GetTip {}).await?.height);
        }
        let began = clock::instant();
        while self.running.hospitals[at].ask(GetTip {}).await?.height < goal {
            ensure!(clock::instant().duration_since(began) < ACT_WITHIN, "a node does not follow the others");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn count(&self, at: usize, proposal: u64) -> Result<ProposalStatus> {
        let authorities = self.running.hospitals[at].ask(GetAuthorities {}).await?;
        let mut all = authorities.proposals.into_iter();
        all.find(|one| one.id == proposal).context("the proposal is still listed")
    }

    /// Waits until every node says that so many validators act.
    async fn committee_of(&mut self, count: usize) -> Result<()> {
        let began = clock::instant();
        loop {
            self.running.check().await?;
            let mut acting = 0;
            let mut epoch = 0;
            for hospital in &self.running.hospitals {
                let said = hospital.ask(GetAuthorities {}).await?;
                acting += usize::from(said.authorities == count);
                epoch = said.epoch;
            }
            if acting == self.running.hospitals.len() {
                self.note(format!("{count} authorities in epoch {epoch}"));
                return Ok(());
            }
            ensure!(
                clock::instant().duration_since(began) < ACT_WITHIN,
                "the committee did not come to {count} validators within {ACT_WITHIN:?}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}
