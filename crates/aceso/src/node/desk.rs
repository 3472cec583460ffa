//! Answers the operator's requests through the same rules as the pages: each names a session.

use super::found::Own;
use super::vouch;
use crate::clock;
use crate::control::{Request, StaffRole};
use crate::report::{Latency, MissingFigures, NodeFigures};
use anyhow::{Context, Result, bail};
use clinic::people::NewPerson;
use clinic::{Clinic, ClinicError, Scope, Session, Ticket, Wish};
use ledger::Chain;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Outcome, Purpose, Role};
use vitals::proof::checkpoint::Checkpoint;
use vitals::proof::genesis::GenesisDocument;

/// How long an act may take to become final before the desk reports it as still pending.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);
/// An export waits this long for the ledger to have a certificate at hand.
const EXPORT_TRIES: u32 = 50;
const DAY_MS: u64 = 86_400_000;

/// The desk of one node.
pub(super) struct Desk {
    pub(super) clinic: Arc<Clinic>,
    pub(super) chain: Arc<dyn Chain>,
    /// The same chain, unless it stands on another network.
    pub(super) own: Option<Own>,
    pub(super) document: GenesisDocument,
    pub(super) data_dir: PathBuf,
}

impl Desk {
    pub(super) fn own(&self) -> Result<&Own> {
        Ok(self.own.as_ref().ok_or(ClinicError::Elsewhere)?)
    }

    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Result<Value> {
        if let Request::Propose { .. } | Request::Vote { .. } = request {
            return self.govern(request).await;
        }
        self.act(request).await
    }

    /// Decides and waits until the ledger has settled it.
    pub(super) async fn act(self: &Arc<Self>, request: Request) -> Result<Value> {
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
            Request::Look { token, look } => {
                let session = self.session(&token, now_ms)?;
                Ok((crate::look::answer(&self.clinic, &session, &look, now_ms)?, Vec::new()))
            }
            Request::Report => Ok((serde_json::to_value(self.figures())?, Vec::new())),
            Request::Tip => {
                let tip = self.chain.tip();
                Ok((
                    json!({ "height": tip.height, "time_ms": tip.time_ms, "digest": hex::encode(tip.digest) }),
                    Vec::new(),
                ))
            }
            Request::Authorities => Ok((self.authorities(now_ms)?, Vec::new())),
            Request::Propose { token, motion } => {
                let session = self.session(&token, now_ms)?;
                Ok((Value::Null, vec![self.clinic.propose(&session, motion.motion()?, now_ms)?]))
            }
            Request::Vote { token, proposal } => {
                let session = self.session(&token, now_ms)?;
                Ok((Value::Null, vec![self.clinic.vote(&session, proposal, now_ms)?]))
            }
            Request::Ledger => Ok((self.ledger_figures()?, Vec::new())),
            Request::History { upto } => Ok((self.history(upto)?, Vec::new())),
            Request::Anchors => Ok((self.anchors()?, Vec::new())),
            Request::Bundle { token, file } => {
                let session = self.session(&token, now_ms)?;
                Ok((self.export(&session, &file)?, Vec::new()))
            }
            Request::Snapshot { token, file } => {
                let session = self.session(&token, now_ms)?;
                anyhow::ensure!(
                    session.role == Role::Administrator,
                    "only an administrator hands the ledger's state to others"
                );
                Ok((self.snapshot(&file)?, Vec::new()))
            }
            Request::Checkpoint { token, checkpoint } => {
                let session = self.session(&token, now_ms)?;
                anyhow::ensure!(
                    session.role == Role::Administrator,
                    "only an administrator signs checkpoints for the organisation"
                );
                Ok((self.vouch(checkpoint.as_deref())?, Vec::new()))
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
        let draft = outside(file, &self.data_dir)?;
        let exported = self.export_to(session, &draft);
        match exported {
            Ok(_) => std::fs::rename(&draft, file).with_context(|| format!("writing {}", file.display()))?,
            Err(_) => drop(std::fs::remove_file(&draft)),
        }
        exported
    }

    fn export_to(&self, session: &Session, draft: &Path) -> Result<Value> {
        let mut tries = 0;
        loop {
            let _ = std::fs::remove_file(draft);
            let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft);
            let output = output.with_context(|| format!("writing {}", draft.display()))?;
            let mut output = std::io::BufWriter::new(output);
            let mut sink = |bytes: &[u8]| output.write_all(bytes);
            match self.clinic.export(session, Scope::Everything, clock::now_ms(), &mut sink) {
                Ok(exported) => {
                    output.flush()?;
                    output.get_ref().sync_all()?;
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

    /// Writes the newest snapshot of the ledger to a new file.
    fn snapshot(&self, file: &Path) -> Result<Value> {
        let offer = self.own()?.chain.offer()?;
        let draft = outside(file, &self.data_dir)?;
        let _ = std::fs::remove_file(&draft);
        let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let mut output =
            std::io::BufWriter::new(output.with_context(|| format!("writing {}", draft.display()))?);
        let written = offer.write(&mut output).map_err(anyhow::Error::from).and_then(|bytes| {
            output.flush()?;
            output.get_ref().sync_all()?;
            std::fs::rename(&draft, file)?;
            Ok(bytes)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        let bytes = written.with_context(|| format!("writing {}", file.display()))?;
        Ok(json!({ "height": offer.height(), "bytes": bytes }))
    }

    /// Signs a checkpoint that agrees with the own ledger, or makes one.
    fn vouch(&self, given: Option<&str>) -> Result<Value> {
        let own = &self.own()?.chain;
        let document = self.clinic.vault().genesis_document().context("the vault names no ledger")?;
        let document = GenesisDocument::decode(&document).context("the genesis document in the vault")?;
        let proof = self.chain.prove(&[])?;
        let mut checkpoint = match given {
            None => vouch::make(&document, &proof)?,
            Some(digits) => {
                let bytes = hex::decode(digits).context("the checkpoint is not hexadecimal")?;
                let checkpoint = Checkpoint::decode(&bytes).context("the checkpoint")?;
                let height = checkpoint.known.height;
                let header = own.machine().header(height)?;
                let header = header.with_context(|| format!("the own ledger has no block {height} yet"))?;
                vouch::agree(&document, &proof, &header, &checkpoint)?;
                checkpoint
            }
        };
        self.clinic.vault().sign_checkpoint(&mut checkpoint);
        Ok(json!({ "checkpoint": hex::encode(checkpoint.encode()) }))
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
        let equipment = self.clinic.equipment();
        let refused = |code| counters.refused.get(code).copied().unwrap_or(0);
        let missing = equipment.iter().flat_map(|row| &row.missing).map(|missing| {
            let (count, seqs, since_ms) = (missing.count, missing.seqs.clone(), missing.since_ms);
            (missing.stream.to_string(), MissingFigures { count, seqs, since_ms })
        });
        NodeFigures {
            second_hand_refused: refused("equivocation") + refused("prev_broken"),
            two_hands: equipment.iter().filter(|row| row.two_hands_since_ms.is_some()).count() as u64,
            missing: missing.collect(),
            clocks_off_ms: equipment.iter().filter_map(|row| row.clock_off_ms).collect(),
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

/// The draft beside the file that a bundle is written to, so that a refused or failed export leaves
/// what is there alone. Nothing in the node's own folder is ever written over.
fn outside(file: &Path, data_dir: &Path) -> Result<PathBuf> {
    anyhow::ensure!(file.is_absolute(), "name the file with its whole path, not {}", file.display());
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        bail!("{} is no file", file.display())
    };
    let folder = folder.canonicalize().with_context(|| format!("the folder {}", folder.display()))?;
    anyhow::ensure!(
        !folder.starts_with(data_dir.canonicalize()?),
        "{} lies in the node's own data folder; choose another place",
        file.display()
    );
    let existing = std::fs::symlink_metadata(file);
    anyhow::ensure!(
        existing.map_or(true, |one| one.is_file()),
        "{} is there and is no plain file",
        file.display()
    );
    Ok(folder.join(format!(".{}.{}", name.to_string_lossy(), hex::encode(clock::random::<6>()))))
}

fn role_of(role: StaffRole) -> Role {
    match role {
        StaffRole::Clinician => Role::Clinician,
        StaffRole::Administrator => Role::Administrator,
        StaffRole::Auditor => Role::Auditor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_written_neither_into_the_node_s_folder_nor_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("node");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("alias")).unwrap();
        std::os::unix::fs::symlink(data.join("vault.redb"), folder.path().join("link")).unwrap();
        for wrong in
            [data.join("vault.redb"), folder.path().join("alias/x"), folder.path().join("link"), "b".into()]
        {
            assert!(outside(&wrong, &data).is_err(), "{}", wrong.display());
        }
        let good = folder.path().join("bundle");
        assert_eq!(
            outside(&good, &data).unwrap().parent(),
            Some(folder.path().canonicalize().unwrap().as_path())
        );
    }
}
