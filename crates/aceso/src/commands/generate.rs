//! `aceso completion` and `aceso man`: what shells and `man` read, generated from the command line's own description.

use anyhow::{Context, Result};
use clap_complete::Shell;
use host::output;
use std::path::Path;
use std::process::ExitCode;

/// Prints a shell's completion script.
pub(crate) fn completion(mut command: clap::Command, shell: Shell) -> Result<ExitCode> {
    let name = command.get_name().to_owned();
    // Into memory first: the generator panics when what it writes to fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes one manual page for the program and one for each of its commands.
pub(crate) fn man(command: clap::Command, folder: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("writing to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
