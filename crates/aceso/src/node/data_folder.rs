//! The data folder of a node: the names in it, its vault, and the ledger it belongs to.

use crate::config::{self, NodeConfig};
use anyhow::{Context, Result};
use host::clock;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::{Costs, Entropy, Store, Vault};
use vitals::proof::genesis::GenesisDocument;

/// The vault's folder inside the data folder.
pub(crate) const VAULT: &str = "vault";
/// The record store's folder inside the data folder.
pub(crate) const RECORDS: &str = "records";
/// The ledger's folder inside the data folder.
pub(crate) const LEDGER: &str = "ledger";
/// What a node writes inside its data folder.
pub(crate) const FOLDERS: [&str; 3] = [VAULT, RECORDS, LEDGER];

/// What to do about damage: nothing is mended by guessing.
pub(crate) const KEEP: &str =
    "if a file is damaged or gone, keep this folder as it is and put back the right file";

/// Where the machine's randomness enters.
pub(crate) fn entropy() -> Entropy {
    Arc::new(|out: &mut [u8]| clock::entropy(out))
}

/// A folder that only its owner can enter, also when somebody made it before.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Opens the organisation's vault, or makes it at the first start.
pub(crate) fn open_vault(config: &NodeConfig) -> Result<Vault> {
    let passphrase = config::read_secret(&config.passphrase_file)?;
    private_folder(&config.data_dir)
        .with_context(|| format!("making the data folder {}", config.data_dir.display()))?;
    let folder = config.data_dir.join(VAULT);
    if folder.join(vault::VAULT_FILE).exists() {
        return Vault::open(&folder, &passphrase, entropy())
            .with_context(|| format!("opening the vault in {}", folder.display()));
    }
    // Founding creates a new record store: never over records whose vault is merely missing.
    for lost in [RECORDS, LEDGER].map(|name| config.data_dir.join(name)) {
        anyhow::ensure!(
            !lost.exists(),
            "{} is there but the vault that belongs to it is not in {}: put the vault back, or choose another data folder",
            lost.display(),
            folder.display()
        );
    }
    Vault::create(&folder, &passphrase, Costs::STANDARD, entropy()).context("making the vault")
}

/// Refuses a vault that is older than the records or the ledger know of; its changes are noted beside both
/// from now on. Folders that a founding has not made yet are left out. Gives the notes that lag behind it.
pub(crate) fn check_generation(config: &NodeConfig, vault: &Vault) -> Result<Vec<PathBuf>> {
    let folders = [RECORDS, LEDGER].map(|name| config.data_dir.join(name));
    let there: Vec<_> = folders.into_iter().filter(|folder| folder.is_dir()).collect();
    let behind = vault
        .note_generation_in(&there)
        .with_context(|| format!("opening the vault in {}", config.data_dir.join(VAULT).display()))?;
    for note in &behind {
        tracing::warn!(
            file = %note.display(),
            "{} lags behind the vault: its folder was put back from an older copy, or an earlier version of this \
             program ran meanwhile",
            note.display()
        );
    }
    Ok(behind)
}

/// Binds this folder to the ledger of `document`.
pub(crate) fn bind_to_ledger(config: &NodeConfig, vault: &Vault, document: &GenesisDocument) -> Result<()> {
    // The record store first: once the vault names a genesis, a missing store is a loss and is never
    // quietly replaced. What a founding that did not get through left behind holds no record.
    let records = config.data_dir.join(RECORDS);
    let _ = std::fs::remove_dir_all(&records);
    std::fs::create_dir_all(&records)?;
    drop(Store::create(&records, document.hash()).context("making the record store")?);
    private_folder(&config.data_dir.join(LEDGER))?;
    // In the vault before the ledger's first block: a crash in between founds nothing twice.
    vault.put_genesis_document(&document.encode()).context("keeping the genesis document")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data_dir: PathBuf) -> NodeConfig {
        let passphrase_file = data_dir.join("passphrase");
        std::fs::write(&passphrase_file, "correct horse\n").unwrap();
        let text = format!("data_dir = {data_dir:?}\npassphrase_file = {passphrase_file:?}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn records_without_their_vault_are_never_founded_over() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path().to_owned());
        let segment = folder.path().join(RECORDS).join("segment");
        std::fs::create_dir(folder.path().join(RECORDS)).unwrap();
        std::fs::write(&segment, "sealed").unwrap();
        let error = open_vault(&config).map(drop).unwrap_err().to_string();
        assert!(error.contains("put the vault back"), "{error}");
        assert_eq!(std::fs::read(&segment).unwrap(), b"sealed");
    }

    #[test]
    fn an_open_data_folder_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        private_folder(&data).unwrap();
        std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        private_folder(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
