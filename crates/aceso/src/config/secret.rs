//! Files that hold a secret.

use anyhow::{Context, Result};
use std::path::Path;

/// Reads the first line of a secret file.
pub(crate) fn read_secret(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the passphrase file {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!line.is_empty(), "the passphrase file {} is empty", path.display());
    Ok(line)
}
