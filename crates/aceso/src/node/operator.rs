//! Answers operators through the same rules as the pages: what changes anything names a session.

mod explorer;
mod figures;
mod files;
mod ledger_queries;
mod people;

use super::founding::EmbeddedLedger;
use anyhow::{Context, Result, bail};
use clinic::{Clinic, ClinicError, Session, Ticket};
use host::clock;
use ledger::Chain;
use operator::{
    Call, CreatePatient, CreateStaff, ExportBundle, FirstAdministrator, GetAnchors, GetAuthorities,
    GetHistory, GetLedger, GetReport, GetTip, GrantConsent, PairGateway, Propose, QueryLedger, Reply,
    Request, SignCheckpoint, SignIn, Vote, WriteSnapshot,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vitals::ledger::Outcome;
use vitals::proof::genesis::GenesisDocument;

/// How long an act may take to become final before it is reported as still pending.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// What a request comes to: the answer, and the acts that the ledger has to settle before it is given.
type Decided<T> = Result<(T, Vec<Ticket>)>;

/// The operator API of one node.
pub(super) struct Operator {
    pub(super) clinic: Arc<Clinic>,
    pub(super) chain: Arc<dyn Chain>,
    /// The same chain, unless it stands on another network.
    pub(super) embedded: Option<EmbeddedLedger>,
    pub(super) document: GenesisDocument,
    pub(super) data_dir: PathBuf,
}

impl Operator {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Result<Reply> {
        match request {
            Request::FirstAdministrator(call) => {
                self.act::<FirstAdministrator>(move |node, now_ms| node.first_administrator(&call, now_ms))
                    .await
            }
            Request::SignIn(call) => {
                self.act::<SignIn>(move |node, now_ms| node.sign_in(&call, now_ms)).await
            }
            Request::CreateStaff(call) => {
                self.act::<CreateStaff>(move |node, now_ms| node.create_staff(&call, now_ms)).await
            }
            Request::CreatePatient(call) => {
                self.act::<CreatePatient>(move |node, now_ms| node.create_patient(&call, now_ms)).await
            }
            Request::PairGateway(call) => {
                self.act::<PairGateway>(move |node, now_ms| node.pair_gateway(&call, now_ms)).await
            }
            Request::GrantConsent(call) => {
                self.act::<GrantConsent>(move |node, now_ms| node.grant_consent(&call, now_ms)).await
            }
            Request::QueryLedger(call) => {
                self.query::<QueryLedger>(move |node, now_ms| node.query_ledger(&call, now_ms)).await
            }
            Request::GetReport(_) => self.query::<GetReport>(|node, _| Ok(node.figures())).await,
            Request::GetTip(_) => self.query::<GetTip>(|node, _| Ok(node.tip())).await,
            Request::GetLedger(_) => self.query::<GetLedger>(|node, _| node.ledger_figures()).await,
            Request::GetAuthorities(_) => {
                self.query::<GetAuthorities>(|node, now_ms| node.authorities(now_ms)).await
            }
            Request::Propose(call) => Ok(Reply::to::<Propose>(self.propose(call).await?)?),
            Request::Vote(call) => Ok(Reply::to::<Vote>(self.vote(call).await?)?),
            Request::GetHistory(call) => {
                self.query::<GetHistory>(move |node, _| node.history(call.upto)).await
            }
            Request::GetAnchors(_) => self.query::<GetAnchors>(|node, _| node.anchors()).await,
            Request::ExportBundle(call) => {
                self.query::<ExportBundle>(move |node, now_ms| node.export_bundle(&call, now_ms)).await
            }
            Request::WriteSnapshot(call) => {
                self.query::<WriteSnapshot>(move |node, now_ms| node.write_snapshot(&call, now_ms)).await
            }
            Request::SignCheckpoint(call) => {
                self.query::<SignCheckpoint>(move |node, now_ms| node.sign_checkpoint(&call, now_ms)).await
            }
        }
    }

    /// Answers what changes nothing.
    async fn query<C: Call>(
        self: &Arc<Self>,
        find: impl FnOnce(&Self, u64) -> Result<C::Answer> + Send + 'static,
    ) -> Result<Reply>
    where
        C::Answer: Send + 'static,
    {
        self.act::<C>(move |node, now_ms| Ok((find(node, now_ms)?, Vec::new()))).await
    }

    /// Decides, and answers once the ledger has settled it.
    async fn act<C: Call>(
        self: &Arc<Self>,
        decide: impl FnOnce(&Self, u64) -> Decided<C::Answer> + Send + 'static,
    ) -> Result<Reply>
    where
        C::Answer: Send + 'static,
    {
        Ok(Reply::to::<C>(self.settled(decide).await?)?)
    }

    async fn settled<T: Send + 'static>(
        self: &Arc<Self>,
        decide: impl FnOnce(&Self, u64) -> Decided<T> + Send + 'static,
    ) -> Result<T> {
        // Decisions wait for disks and hash passwords: off the async threads.
        let node = self.clone();
        let (answer, tickets) = tokio::task::spawn_blocking(move || decide(&node, clock::now_ms())).await??;
        for ticket in tickets {
            self.settle(&ticket).await?;
        }
        Ok(answer)
    }

    async fn settle(&self, ticket: &Ticket) -> Result<()> {
        let mut tip = self.chain.watch_tip();
        let settled = async {
            loop {
                match self.clinic.settle(ticket) {
                    Outcome::Done { .. } => return Ok(()),
                    Outcome::Refused { reason } => bail!("the ledger refused the {}: {reason}", ticket.what),
                    Outcome::Pending | Outcome::Unknown => {
                        tip.changed().await.context("the ledger stopped")?
                    }
                }
            }
        };
        tokio::time::timeout(SETTLE_WITHIN, settled).await.with_context(|| {
            format!("the {} is not final after {SETTLE_WITHIN:?}; is the ledger running?", ticket.what)
        })?
    }

    fn embedded(&self) -> Result<&EmbeddedLedger> {
        Ok(self.embedded.as_ref().ok_or(ClinicError::Elsewhere)?)
    }

    fn session(&self, token: &str, now_ms: u64) -> Result<Session> {
        Ok(self.clinic.session(token, now_ms)?)
    }
}
