//! Child processes of a ward: each prints `READY {json}` when it serves, reads end-of-file on its standard input
//! when its parent is gone, and stops cleanly on SIGTERM (`host::process` is the other side).

use anyhow::{Context, Result, bail};
use host::process::SUPERVISED;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a child may take to say READY.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Which binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// What a hospital installs.
    Aceso,
    /// This one.
    Ward,
}

impl Program {
    /// Its file: `aceso` stands beside this program, unless `ACESO_BINARY` names another.
    pub(crate) fn file(self) -> Result<PathBuf> {
        let own = std::env::current_exe().context("finding this program's own file")?;
        if self == Self::Ward {
            return Ok(own);
        }
        if let Some(named) = std::env::var_os("ACESO_BINARY") {
            return Ok(named.into());
        }
        let beside = own.with_file_name("aceso");
        anyhow::ensure!(beside.is_file(), "{} is not there: build it first (make build)", beside.display());
        Ok(beside)
    }
}

/// A running child of the ward.
pub(crate) struct Role {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    // Held open: its end tells the child that the ward is gone, however the ward ended.
    _stdin: Option<ChildStdin>,
}

impl Role {
    /// Starts a program with `arguments`, logs going to `log`, and waits for READY.
    pub(crate) async fn start<T: DeserializeOwned>(
        name: &str,
        program: Program,
        arguments: &[&str],
        log: &Path,
    ) -> Result<(Self, T)> {
        let program = program.file()?;
        let log_file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening the log file {}", log.display()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .env(SUPERVISED, "1")
            // Ctrl-C in the terminal goes to the ward alone, which stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting the {name}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the child's output is a pipe")?;
        let mut role =
            Self { name: name.to_owned(), child, lines: BufReader::new(stdout).lines(), _stdin: stdin };
        let ready = tokio::time::timeout(READY_WITHIN, role.wait_for("READY "))
            .await
            .with_context(|| {
                format!("the {name} did not become ready within {READY_WITHIN:?}; see {}", log.display())
            })?
            .with_context(|| format!("the {name} stopped before it was ready; see {}", log.display()))?;
        Ok((role, ready))
    }

    async fn wait_for<T: DeserializeOwned>(&mut self, word: &str) -> Result<T> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(json) = line.strip_prefix(word) {
                return serde_json::from_str(json)
                    .with_context(|| format!("reading what the {} said", self.name));
            }
        }
        bail!("the {} ended without saying {}", self.name, word.trim())
    }

    /// The child's process id.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How the child ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills the child, as a power cut would, without waiting for its end.
    pub(crate) fn kill_now(&mut self) -> Result<()> {
        Ok(self.child.start_kill()?)
    }

    /// Waits for the end of a child that was killed.
    pub(crate) async fn wait(mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Asks the child to stop and waits for its last word, `DONE {json}`.
    pub(crate) async fn stop<T: DeserializeOwned>(mut self, within: Duration) -> Result<T> {
        if let Some(pid) = self.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let done = tokio::time::timeout(within, self.wait_for("DONE "))
            .await
            .with_context(|| format!("the {} did not stop within {within:?}", self.name))??;
        let status = tokio::time::timeout(within, self.child.wait()).await??;
        if !status.success() {
            bail!("the {} ended with {status}", self.name);
        }
        Ok(done)
    }
}
