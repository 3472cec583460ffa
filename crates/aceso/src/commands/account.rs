//! The organisation's account on the ledger, handed to tools that sign for themselves.

use crate::node::data_folder::{self, FOLDERS, VAULT};
use crate::{clean_shutdown, config};
use anyhow::{Context, Result};
use host::output;
use std::path::Path;
use std::process::ExitCode;
use vault::Vault;
use vitals::proof::genesis::GenesisDocument;

/// Says who this organisation is to the others: what founds a ledger with it, or admits it to one. Makes its
/// keys at the first call; the node must be stopped.
pub(crate) fn show(node: &Path) -> Result<ExitCode> {
    let config = config::read_node(node)?;
    let was_closed = clean_shutdown::is_noted(&config.data_dir);
    clean_shutdown::check(&config.data_dir)?;
    let vault = data_folder::open_vault(&config)?;
    let sender = ledger::account::address_of(vault.sender_key().expose());
    let sender = hex::encode(sender.context("the vault's sender key is a key")?);
    let record_key = hex::encode(vault.record_key());
    let organisation = vault.org();
    drop(vault);
    if was_closed {
        clean_shutdown::note(&config.data_dir, &FOLDERS)?;
    }
    output::print_line(format_args!("Organisation: {organisation}"))?;
    output::print_line(format_args!("Record key:   {record_key}"))?;
    output::print_line(format_args!("Account:      0x{sender}"))?;
    output::print_line(format_args!("Founder:      {record_key}:{sender}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the secret key of the organisation's account to a new file and says on standard output whose it
/// is. The node must be stopped: its vault is opened with its passphrase.
pub(crate) fn export(node: &Path, out: &Path) -> Result<ExitCode> {
    let config = config::read_node(node)?;
    let passphrase = config::read_secret(&config.passphrase_file)?;
    let was_closed = clean_shutdown::is_noted(&config.data_dir);
    clean_shutdown::check(&config.data_dir)?;
    let folder = config.data_dir.join(VAULT);
    let vault = Vault::open(&folder, &passphrase, data_folder::entropy())
        .with_context(|| format!("opening the vault in {}; the node must be stopped", folder.display()))?;
    let document = vault.genesis_document().context("the node has no ledger yet: start it once")?;
    let document = GenesisDocument::decode(&document).context("reading the genesis document in the vault")?;
    let secret = vault.sender_key();
    let address = ledger::account::address_of(secret.expose()).context("the vault's sender key is a key")?;
    durable::write_new(&durable::Os, out, format!("0x{}\n", hex::encode(secret.expose())).as_bytes())
        .with_context(|| format!("writing {}: the key goes to a new file only", out.display()))?;
    drop(vault);
    if was_closed {
        clean_shutdown::note(&config.data_dir, &FOLDERS)?;
    }
    let said = serde_json::json!({
        "address": format!("0x{}", hex::encode(address)),
        "chain_id": document.chain_id,
        "genesis": document.hash().to_string(),
    });
    output::print_line(said)?;
    Ok(ExitCode::SUCCESS)
}
