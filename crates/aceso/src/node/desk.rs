//! Answers the operator's requests through the same rules as the pages: each names a session.

use crate::clock;
use crate::control::{Request, StaffRole};
use crate::report::{Latency, NodeFigures};
use anyhow::{Context, Result, bail};
use clinic::people::NewPerson;
use clinic::{Clinic, Scope, Session, Ticket, Wish};
use ledger::EmbeddedChain;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Ledger, Outcome, Purpose, Role};

/// How long an act may take to become final before the desk reports it as still pending.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);
/// An export waits this long for the ledger to have a certificate at hand.
const EXPORT_TRIES: u32 = 50;
const DAY_MS: u64 = 86_400_000;

/// The desk of one node.
pub(super) struct Desk {
    pub(super) clinic: Arc<Clinic>,
    pub(super) chain: Arc<EmbeddedChain>,
}

impl Desk {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Result<Value> {
        // Answers wait for disks and stretch keys: off the async threads.
        let desk = self.clone();
        let (value, tickets) = tokio::task::spawn_blocking(move || desk.decide(request)).await??;
        for ticket in tickets {
            self.settle(&ticket).await?;
        }
        Ok(value)
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

    fn decide(&self, request: Request) -> Result<(Value, Vec<Ticket>)> {
        let now_ms = clock::now_ms();
        match request {
            Request::FirstAdministrator { login, name, password } => {
                let ticket = self.clinic.first_administrator(&login, &name, &password, now_ms)?;
                Ok((json!({}), vec![ticket]))
            }
            Request::SignIn { login, password } => {
                let (token, _) = self.clinic.sign_in(&login, &password, now_ms)?;
                Ok((json!({ "token": token.expose() }), Vec::new()))
            }
            Request::Staff { token, login, name, password, role } => {
                let session = self.session(&token, now_ms)?;
                let new = NewPerson { login: &login, name: &name, password: &password, role: role_of(role) };
                let (_, ticket) = self.clinic.create_person(&session, &new, now_ms)?;
                Ok((json!({}), vec![ticket]))
            }
            Request::Patient { token, login, name, bed, password } => {
                let session = self.session(&token, now_ms)?;
                let new = NewPerson { login: &login, name: &name, password: &password, role: Role::Patient };
                let (patient, ticket) = self.clinic.create_patient(&session, &new, &bed, now_ms)?;
                Ok((json!({ "patient": patient.to_string() }), vec![ticket]))
            }
            Request::Pair { token, request, patients } => {
                let session = self.session(&token, now_ms)?;
                let request = hex::decode(request).context("the pairing request is not hexadecimal")?;
                let patients: Vec<PatientId> =
                    patients.iter().map(|id| id.parse()).collect::<Result<_, _>>().context("a patient id")?;
                let paired = self.clinic.pair(&session, &request, &patients, now_ms)?;
                let said =
                    json!({ "answer": hex::encode(&paired.answer), "gateway": paired.gateway.to_string() });
                Ok((said, paired.tickets))
            }
            Request::Grant { token, to, days } => {
                let session = self.session(&token, now_ms)?;
                let ticket = self.grant(&session, &to, days, now_ms)?;
                Ok((json!({}), vec![ticket]))
            }
            Request::Report => Ok((serde_json::to_value(self.figures())?, Vec::new())),
            Request::Bundle { token, file } => {
                let session = self.session(&token, now_ms)?;
                Ok((self.export(&session, &file)?, Vec::new()))
            }
        }
    }

    fn session(&self, token: &str, now_ms: u64) -> Result<Session> {
        Ok(self.clinic.session(token, now_ms)?)
    }

    fn grant(&self, session: &Session, to: &str, days: u64, now_ms: u64) -> Result<Ticket> {
        let account =
            self.clinic.vault().account(to).with_context(|| format!("nobody signs in as {to} here"))?;
        let wish = Wish {
            grantee: account.person,
            purpose: Purpose::Treatment,
            classes: vec![Class::Vitals, Class::Environment, Class::Alarms, Class::Profile],
            from_ms: now_ms.min(self.chain.tip().time_ms),
            until_ms: now_ms + days.min(366) * DAY_MS,
        };
        Ok(self.clinic.grant(session, &wish, now_ms)?)
    }

    fn export(&self, session: &Session, file: &Path) -> Result<Value> {
        let mut tries = 0;
        loop {
            let output =
                std::fs::File::create(file).with_context(|| format!("writing {}", file.display()))?;
            let mut output = std::io::BufWriter::new(output);
            let mut sink = |bytes: &[u8]| output.write_all(bytes);
            match self.clinic.export(session, Scope::Everything, clock::now_ms(), &mut sink) {
                Ok(exported) => {
                    output.flush()?;
                    return Ok(json!({
                        "envelopes": exported.envelopes,
                        "not_anchored": exported.not_anchored,
                        "height": exported.height,
                        "bytes": exported.bytes,
                    }));
                }
                // A block may come between reading the anchor and proving it.
                Err(clinic::ClinicError::Ledger(vitals::ledger::LedgerError::Busy(_)))
                    if tries < EXPORT_TRIES =>
                {
                    tries += 1;
                    clock::pause(Duration::from_millis(100));
                }
                Err(why) => return Err(why.into()),
            }
        }
    }

    fn figures(&self) -> NodeFigures {
        let counters = self.clinic.counters();
        let store = self.clinic.store();
        let latency = |of: &clinic::Latency| Latency {
            p50: of.p50_ms as f64,
            p99: of.p99_ms as f64,
            samples: of.count,
        };
        let own = self.clinic.vault().author();
        let streams = store.streams().into_iter().filter_map(|id| {
            let record = self.clinic.vault().stream(id)?;
            let head = store.head(id)?;
            (record.author != own).then(|| (id.to_string(), head.count))
        });
        NodeFigures {
            envelopes_admitted: counters.admitted,
            envelopes_duplicate: counters.duplicate,
            envelopes_refused: counters.refused_total(),
            readings_admitted: counters.admitted_readings,
            log_size: store.size(),
            anchors: counters.anchors,
            alarms: counters.alarms_raised,
            height: self.chain.tip().height,
            sealed_to_live_ms: latency(&counters.seal_to_live),
            sealed_to_final_ms: latency(&counters.seal_to_final),
            streams: streams.collect(),
        }
    }
}

fn role_of(role: StaffRole) -> Role {
    match role {
        StaffRole::Clinician => Role::Clinician,
        StaffRole::Administrator => Role::Administrator,
        StaffRole::Auditor => Role::Auditor,
    }
}
