//! A ledger that begins with a snapshot instead of with genesis.

use super::{birth, found};
use crate::config::NodeConfig;
use crate::{clock, closed};
use anyhow::{Context, Result};
use ledger::snapshot;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use vitals::proof::checkpoint::{Checkpoint, Pins};
use vitals::proof::genesis::GenesisDocument;

/// Where a ledger begins.
pub(crate) struct Begun {
    pub(crate) height: u64,
    pub(crate) signers: usize,
}

/// Begins the ledger of a node that has none with the snapshot in `file`, or with one of its peers'. The node
/// must be stopped.
pub(crate) fn begin(
    config: &NodeConfig,
    trusted: Option<(Checkpoint, Pins)>,
    file: Option<&Path>,
) -> Result<Begun> {
    closed::check(&config.data_dir)?;
    let vault = found::vault_of(config)?;
    let document = vault.genesis_document().with_context(|| {
        format!("{} belongs to no ledger yet: `aceso join` first", config.data_dir.display())
    })?;
    let document = GenesisDocument::decode(&document).context("reading the genesis document in the vault")?;
    let known = trusted.map(|(checkpoint, pins)| checkpoint.trust(&document, &pins, clock::now_ms()));
    let known = known.transpose().context("the checkpoint cannot be used")?;
    let ledger = config.data_dir.join(found::LEDGER);
    let seed = birth::seed(&vault, &ledger)?.with_context(|| found::journals_gone(&ledger))?;
    let taken = match file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            snapshot::import(&ledger, &document, known.as_ref(), &mut BufReader::new(file))
                .with_context(|| format!("taking the snapshot {}", path.display()))?
        }
        None => {
            let settings = found::settings(config, ledger);
            snapshot::fetch(&settings, &document, &seed, known.as_ref())
                .context("taking a snapshot of the peers")?
        }
    };
    Ok(Begun { height: taken.header.height, signers: taken.signers.len() })
}
