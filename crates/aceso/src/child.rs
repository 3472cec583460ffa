//! Child processes of a ward: each prints `READY {json}` when it serves, reads end-of-file on its
//! standard input when its parent is gone, and stops cleanly on SIGTERM.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a child may take to say READY.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running child of the ward.
pub(crate) struct Role {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    // Held open: its end tells the child that the ward is gone, however the ward ended.
    _stdin: Option<ChildStdin>,
}

impl Role {
    /// Starts this same program with `arguments`, logs going to `log`, and waits for READY.
    pub(crate) async fn start(name: &str, arguments: &[&str], log: &Path) -> Result<(Self, Value)> {
        let program = std::env::current_exe().context("finding this program's own file")?;
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
            .env("ACESO_CHILD", "1")
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

    async fn wait_for(&mut self, word: &str) -> Result<Value> {
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
    pub(crate) async fn buried(mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Asks the child to stop and waits for its last word, `DONE {json}`.
    pub(crate) async fn stop(mut self, within: Duration) -> Result<Value> {
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

/// Resolves when this process should stop: SIGTERM, SIGINT, or the parent is gone. Signals are caught
/// from the call on: call it before READY, for whoever hears that may say stop at once.
pub(crate) fn told_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut interrupt)) = signals else {
            tracing::warn!("No signal handlers: this process stops only when killed");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone() => tracing::warn!("The process that started this one is gone; stopping"),
        }
    }
}

/// A child of a ward watches its standard input; a terminal or `/dev/null` says nothing.
async fn parent_gone() {
    if std::env::var_os("ACESO_CHILD").is_none() {
        return std::future::pending().await;
    }
    let (gone, noticed) = tokio::sync::oneshot::channel();
    // A thread of its own, not one of the runtime's: a read that never returns must not keep the
    // process from ending.
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {}
        let _ = gone.send(());
    });
    let _ = noticed.await;
}

/// Says a word to the parent, one line: `READY {…}` or `DONE {…}`.
#[allow(clippy::print_stdout, reason = "standard output is how a child speaks to the ward")]
pub(crate) fn say(word: &str, what: &Value) {
    println!("{word} {what}");
}
