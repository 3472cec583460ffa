//! A ledger that begins with a snapshot instead of with genesis.

use super::{data_folder, founding, key_share};
use crate::clean_shutdown;
use crate::config::NodeConfig;
use anyhow::{Context, Result};
use host::clock;
use ledger::snapshot;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use vitals::proof::checkpoint::{Checkpoint, Pins};
use vitals::proof::genesis::GenesisDocument;

/// Where a ledger begins now.
pub(crate) struct Imported {
    pub(crate) height: u64,
    pub(crate) signers: usize,
}

/// Begins the ledger of a node that has none with the snapshot in `file`, or with one of its peers'. The node
/// must be stopped.
pub(crate) fn import(
    config: &NodeConfig,
    trusted: Option<(Checkpoint, Pins)>,
    file: Option<&Path>,
) -> Result<Imported> {
    clean_shutdown::check(&config.data_dir)?;
    let vault = data_folder::open_vault(config)?;
    let document = vault.genesis_document().with_context(|| {
        format!("{} belongs to no ledger yet: `aceso join` first", config.data_dir.display())
    })?;
    let document = GenesisDocument::decode(&document).context("reading the genesis document in the vault")?;
    let known = trusted.map(|(checkpoint, pins)| checkpoint.trust(&document, &pins, clock::now_ms()));
    let known = known.transpose().context("the checkpoint cannot be used")?;
    let ledger = config.data_dir.join(data_folder::LEDGER);
    let seed = key_share::seed(&vault, &ledger)?.with_context(|| founding::journals_gone(&ledger))?;
    let taken = match file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            snapshot::import(&ledger, &document, known.as_ref(), &mut BufReader::new(file))
                .with_context(|| format!("taking the snapshot {}", path.display()))?
        }
        None => {
            let settings = founding::settings(config, ledger);
            snapshot::fetch(&settings, &document, &seed, known.as_ref())
                .context("taking a snapshot of the peers")?
        }
    };
    Ok(Imported { height: taken.header.height, signers: taken.signers.len() })
}
