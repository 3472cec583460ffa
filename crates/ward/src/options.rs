//! The command line of a ward.

use crate::duration;
use crate::kill::Victims;
use crate::story::Story;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `aceso-ward`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Organisations, each with a node and a gateway of its own; several share one ledger.
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes: usize,
    /// Patients, each with a board; they are spread over the organisations [default: 3, or one each].
    #[arg(long)]
    pub(crate) patients: Option<usize>,
    /// Stop after this time (for example 30s); without it, run until Ctrl-C.
    #[arg(long, value_parser = duration::parse)]
    pub(crate) duration: Option<Duration>,
    /// A pulse recording (CSV) for the first patient's board.
    #[arg(long)]
    pub(crate) recording: Option<PathBuf>,
    /// Write the report of the run to this file (JSON).
    #[arg(long)]
    pub(crate) report: Option<PathBuf>,
    /// Write a bundle for `aceso verify` to this file; other organisations' beside it (`.2`, `.3`).
    #[arg(long)]
    pub(crate) bundle: Option<PathBuf>,
    /// Data folder; a temporary one when a duration is given and this is not.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Serve the pages as plain HTTP, for programs on this machine; passkeys and push need HTTPS.
    #[arg(long)]
    pub(crate) http: bool,
    /// Seed of the virtual patients.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seconds of the boards that pass in one second, to replay a long recording quickly.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) speed: u32,
    /// Timed events at the last patient's board, for example "at 8 s: tachycardia for 20 s".
    #[arg(long)]
    pub(crate) script: Option<String>,
    /// Kill one node, or all of them together (SIGKILL), in the middle of the run and start again.
    #[arg(long, requires = "duration")]
    pub(crate) kill: Option<Victims>,
    /// Let a scripted story happen while readings flow; the run lasts at least until it is told.
    #[arg(long, requires = "duration", conflicts_with = "kill")]
    pub(crate) story: Option<Story>,
    /// Blocks in an epoch of the ledger, at the ward's first start: authorities change only between epochs.
    #[arg(long)]
    pub(crate) epoch_blocks: Option<u64>,
    /// File with one patient's name a line, instead of the demo names.
    #[arg(long)]
    pub(crate) names: Option<PathBuf>,
}
