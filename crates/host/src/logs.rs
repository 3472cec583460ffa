//! Structured logs on standard error. Fields carry ids and counts, never values, names or keys.

use tracing_subscriber::EnvFilter;

/// Starts logging; `ACESO_LOG` overrides the default filter. A line that cannot be written (the log's disk is full) is
/// gone, and whoever wrote it goes on.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("ACESO_LOG").unwrap_or_else(|_| EnvFilter::new("warn,aceso=info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // It would be told on standard error too, and end the thread by a panic.
        .log_internal_errors(false);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(false).init();
    }
}
