//! `aceso checkpoint`: makes, signs and shows checkpoints, for people who verify without trusting a node.

use super::ask::SignIn;
use super::verify;
use anyhow::{Context, Result, anyhow};
use host::output;
use operator::SignCheckpoint;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use vitals::bundle::Utc;

/// Options of `aceso checkpoint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Sign a checkpoint with the organisation's record key, through its running node: the newest
    /// block's if the file is not there, or else the one in it, if the own ledger says the same.
    Sign {
        /// The checkpoint.
        file: PathBuf,
        #[command(flatten)]
        sign_in: SignIn,
    },
    /// Say what a checkpoint vouches for, and who signed it.
    Show {
        /// The checkpoint.
        file: PathBuf,
    },
}

/// Runs one step.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.step {
        Step::Show { file } => {
            let checkpoint = verify::read_checkpoint(file).map_err(|why| anyhow!(why))?;
            let mut out = String::new();
            writeln!(out, "Ledger      genesis {}", checkpoint.genesis)?;
            writeln!(out, "Block       {} of {}", checkpoint.known.height, Utc(checkpoint.time_ms))?;
            writeln!(out, "            digest {}", hex::encode(checkpoint.known.digest))?;
            writeln!(out, "Next blocks by {} validators:", checkpoint.known.committee.len())?;
            for validator in &checkpoint.known.committee {
                writeln!(out, "            {}", hex::encode(validator))?;
            }
            writeln!(out, "Signed with {} record keys:", checkpoint.signatures.len())?;
            for (key, _) in &checkpoint.signatures {
                writeln!(out, "            {}", hex::encode(key))?;
            }
            output::print(out)?;
        }
        Step::Sign { file, sign_in } => {
            let given = match file.exists() {
                false => None,
                true => Some(verify::read_checkpoint(file).map_err(|why| anyhow!(why))?),
            };
            let checkpoint = given.map(|checkpoint| hex::encode(checkpoint.encode()));
            let signed = sign_in.ask(|token| SignCheckpoint { token, checkpoint })?;
            std::fs::write(file, hex::decode(signed.checkpoint)?)
                .with_context(|| format!("writing {}", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
