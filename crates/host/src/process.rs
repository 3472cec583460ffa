//! How a supervisor runs a role (a node, a gateway, virtual boards) as a process (decision 002): the role prints
//! `READY {json}` when it serves, stops on SIGTERM or SIGINT, and prints `DONE {json}` when it has stopped.

use crate::output;
use serde::Serialize;

/// Set by a supervisor that wants its children to stop when it is gone: they then watch their standard input.
pub const SUPERVISED: &str = "ACESO_CHILD";

/// Prints one line on standard output: `READY {…}` once the role serves, `DONE {…}` once it has stopped. If
/// standard output does not take it, the role goes on: patients depend on it, a line does not.
///
/// # Errors
/// `what` has no JSON form.
pub fn announce(word: &str, what: &impl Serialize) -> Result<(), serde_json::Error> {
    let line = format!("{word} {}", serde_json::to_value(what)?);
    if let Err(why) = output::print_line(line) {
        tracing::warn!(%why, "Standard output did not take the line {word}: {why}");
    }
    Ok(())
}

/// Resolves when this process should stop: SIGTERM, SIGINT, or its supervisor is gone. Signals are caught from
/// the call on, not from the first poll: call it before announcing READY, because a supervisor may send SIGTERM
/// at once.
pub fn stop_requested() -> impl Future<Output = ()> {
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
            () = supervisor_gone() => tracing::warn!("The process that started this one is gone; stopping"),
        }
    }
}

/// Resolves at the end of standard input, if a supervisor asked for that; a terminal or `/dev/null` says nothing.
async fn supervisor_gone() {
    if std::env::var_os(SUPERVISED).is_none() {
        return std::future::pending().await;
    }
    let (gone, noticed) = tokio::sync::oneshot::channel();
    // A thread of its own, not one of the runtime's: a read that never returns must not keep the process from ending.
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {}
        let _ = gone.send(());
    });
    let _ = noticed.await;
}
