//! How an organisation takes part in a ledger of several: its public card, joining later, and a new validator key.

use super::data_folder::{self, LEDGER};
use super::founding::{journals_gone, keys_of, read_document, validator_of};
use super::key_share;
use crate::card::Card;
use crate::clean_shutdown;
use crate::config::NodeConfig;
use anyhow::{Context, Result};
use host::clock;
use std::path::PathBuf;
use vault::Vault;
use vitals::ids::Genesis;

/// The organisation's public card; makes its keys at the first call.
pub(crate) fn card(config: &NodeConfig) -> Result<Card> {
    has_own_ledger(config)?;
    let vault = data_folder::open_vault(config)?;
    let ledger = config.data_dir.join(LEDGER);
    let seed = match vault.genesis_document() {
        Some(_) => key_share::seed(&vault, &ledger)?.with_context(|| journals_gone(&ledger))?,
        None => key_share::seed_or_new(&vault, &ledger)?,
    };
    card_of(config, &vault, &keys_of(&vault, seed))
}

fn card_of(config: &NodeConfig, vault: &Vault, keys: &ledger::Keys) -> Result<Card> {
    let address = config.ledger.endpoint().context(
        "the configuration names no address that the others could dial for this node's validator: give [ledger] \
         listen an address of this machine, or say in [ledger] address what they dial",
    )?;
    Ok(Card {
        name: config.name.clone(),
        organisation: vault.org().to_string(),
        record_key: hex::encode(vault.record_key()),
        sender: hex::encode(
            ledger::account::address_of(&keys.sender).context("the vault's sender key is a key")?,
        ),
        validator: hex::encode(validator_of(keys)?),
        address,
    })
}

/// Who has no validator has no card of one.
fn has_own_ledger(config: &NodeConfig) -> Result<()> {
    anyhow::ensure!(
        config.chain.is_none(),
        "[chain] says that the ledger stands on another network: this node runs no validator. `aceso account show` \
         prints what the others need of this organisation"
    );
    Ok(())
}

/// Makes this folder a follower of the configured ledger, whether or not its organisation founded it.
pub(crate) fn join(config: &NodeConfig) -> Result<(Card, Genesis)> {
    has_own_ledger(config)?;
    let named =
        config.ledger.genesis.as_deref().context("[ledger] genesis is missing: join which ledger?")?;
    anyhow::ensure!(
        !config.ledger.peers.is_empty(),
        "[ledger] peers is empty: name at least one validator to follow"
    );
    let document = read_document(named)?;
    let vault = data_folder::open_vault(config)?;
    anyhow::ensure!(
        vault.genesis_document().is_none(),
        "{} belongs to a ledger already; a node that lost its journals comes back with `aceso validator renew`",
        config.data_dir.display()
    );
    let keys = keys_of(&vault, key_share::seed_or_new(&vault, &config.data_dir.join(LEDGER))?);
    let card = card_of(config, &vault, &keys)?;
    data_folder::bind_to_ledger(config, &vault, &document)?;
    Ok((card, document.hash()))
}

/// Puts journals and state away and makes a new validator key; the node follows the others again from
/// the start. The old key can never vote again from here: what it was born with is in the archive.
pub(crate) fn renew(config: &NodeConfig) -> Result<(Card, PathBuf)> {
    has_own_ledger(config)?;
    anyhow::ensure!(
        !config.ledger.peers.is_empty(),
        "this node has no [ledger] peers to follow: the only validator of a ledger cannot start anew, its history \
         would be gone"
    );
    let vault = data_folder::open_vault(config)?;
    anyhow::ensure!(
        vault.genesis_document().is_some(),
        "{} belongs to no ledger yet: there is no key to renew",
        config.data_dir.display()
    );
    let ledger = config.data_dir.join(LEDGER);
    let archive = config.data_dir.join(format!("{LEDGER}-until-{}", clock::now_ms()));
    if ledger.exists() {
        std::fs::rename(&ledger, &archive)
            .with_context(|| format!("putting {} away as {}", ledger.display(), archive.display()))?;
    }
    data_folder::private_folder(&ledger)?;
    let keys = keys_of(&vault, key_share::seed_or_new(&vault, &ledger)?);
    // The note of an orderly stop speaks of files that lie elsewhere now.
    clean_shutdown::forget(&config.data_dir);
    Ok((card_of(config, &vault, &keys)?, archive))
}
