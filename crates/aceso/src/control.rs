//! The operator's door: JSON lines over a Unix socket in the data folder, for the user who owns it.
//! The ward uses it to set itself up; an operator uses it for what has no page yet.

use crate::config;
use crate::motion::Words;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest request or answer line, bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Pause after the system could not accept a connection (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What can be asked of a node. Holds passwords and tokens, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The first account of a new node.
    FirstAdministrator { login: String, name: String, password: String },
    /// Answers with a session's token; every other change names one.
    SignIn { login: String, password: String },
    /// Create an account for staff.
    Staff { token: String, login: String, name: String, password: String, role: StaffRole },
    /// Create a patient with an account; answers with the patient's id.
    Patient { token: String, login: String, name: String, bed: String, password: String },
    /// Pair a gateway: its request and, per board, the patient's id. Answers with the pairing answer.
    Pair { token: String, request: String, patients: Vec<String> },
    /// The signed-in patient lets the clinician with login `to` treat; signed by the vault-kept key.
    Grant { token: String, to: String, days: u64 },
    /// Look into the ledger.
    Look { token: String, look: crate::look::Look },
    /// Figures for a report.
    Report,
    /// Where the ledger stands here.
    Tip,
    /// The ledger's figures here.
    Ledger,
    /// Authorities and proposals.
    Authorities,
    /// Propose a change of authorities; answers with the proposal.
    Propose { token: String, motion: Words },
    /// Vote for a proposal; answers with the proposal.
    Vote { token: String, proposal: u64 },
    /// One digest over the headers of heights 1 to `upto`.
    History { upto: u64 },
    /// The anchors of all founding organisations.
    Anchors,
    /// Export a verification bundle to a file.
    Bundle { token: String, file: PathBuf },
    /// Write the newest snapshot of the ledger to a new file; for administrators.
    Snapshot { token: String, file: PathBuf },
    /// Sign a checkpoint (hex) of the ledger, or make one; for administrators.
    Checkpoint { token: String, checkpoint: Option<String> },
}

/// Roles of staff accounts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StaffRole {
    Clinician,
    Administrator,
    Auditor,
}

/// Serves requests until dropped; one at a time per connection. The socket's folder must be closed to
/// others already: its mode is set only after it is there.
pub(crate) async fn serve<F, R>(socket: &Path, answer: F) -> Result<()>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value>> + Send,
{
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).with_context(|| format!("opening {}", socket.display()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("Could not accept a control connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                if let Err(error) = converse(stream, answer.as_ref()).await {
                    tracing::warn!("A control connection ended: {error:#}");
                }
            });
        }
    });
    Ok(())
}

async fn converse<F, R>(stream: UnixStream, answer: &F) -> Result<()>
where
    F: Fn(Request) -> R,
    R: Future<Output = Result<Value>>,
{
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading.take(LINE_BYTES_MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        let said = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answer(request).await,
            Err(error) => Err(anyhow::anyhow!("not a request: {error}")),
        };
        let said = match said {
            Ok(value) => serde_json::json!({ "ok": value }),
            Err(error) => serde_json::json!({ "error": format!("{error:#}") }),
        };
        writing.write_all(format!("{said}\n").as_bytes()).await?;
        lines.get_mut().get_mut().set_limit(LINE_BYTES_MAX);
    }
    Ok(())
}

/// Asks a node one thing.
pub(crate) async fn ask(socket: &Path, request: &Request) -> Result<Value> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("reaching the node at {}; is it running?", socket.display()))?;
    let (reading, mut writing) = stream.into_split();
    writing.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
    let line =
        BufReader::new(reading).lines().next_line().await?.context("the node closed the connection")?;
    let mut said: Value = serde_json::from_str(&line)?;
    match said.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(said["ok"].take()),
    }
}

/// Signs in at a node and asks one thing as that person. Waits for the answer.
pub(crate) fn ask_as(
    socket: &Path,
    login: &str,
    password_file: &Path,
    request: impl FnOnce(String) -> Request,
) -> Result<Value> {
    let (login, password) = (login.to_owned(), config::read_secret(password_file)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let said = ask(socket, &Request::SignIn { login, password }).await?;
        let token = said["token"].as_str().context("the node answered without a session")?.to_owned();
        ask(socket, &request(token)).await
    })
}
