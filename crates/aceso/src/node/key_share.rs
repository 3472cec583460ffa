//! The validator's key is made of two shares: the vault keeps one, a file in the folder of the votes' journals the
//! other. A backup of the vault therefore holds no validator key, and journals without the vault hold none. An
//! operator who loses the journals has lost the key with them, and cannot vote a second time with it.

use anyhow::{Context, Result};
use durable::{Disk, Os};
use host::clock;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use vault::Vault;
use vitals::ids::sha256;

/// The journals' folder inside the ledger's.
const JOURNALS: &str = "consensus";
/// The file with the other share. Its name and the label are older than this module's, and stay: data folders hold
/// them.
const SHARE_FILE: &str = "birth";
const LABEL: &[u8] = b"aceso/validator-birth/v1";

/// Reads the validator's seed; none when this ledger folder has no share of it.
///
/// # Errors
/// The file is damaged or cannot be read.
pub(crate) fn seed(vault: &Vault, ledger: &Path) -> Result<Option<[u8; 32]>> {
    let path = place(ledger);
    let text = match std::fs::read_to_string(&path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {}", path.display()))?,
    };
    let share = read(&text).with_context(|| {
        format!(
            "{} is damaged: put back the right file, or make a new key with `aceso validator renew`",
            path.display()
        )
    })?;
    Ok(Some(mix(vault, &share)))
}

/// The validator's seed, with a new share if this ledger folder has none. Never where a ledger stands already.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn seed_or_new(vault: &Vault, ledger: &Path) -> Result<[u8; 32]> {
    if let Some(seed) = seed(vault, ledger)? {
        return Ok(seed);
    }
    let share: [u8; 32] = clock::random();
    let path = place(ledger);
    write(&path, &share).with_context(|| format!("writing {}", path.display()))?;
    Ok(mix(vault, &share))
}

fn place(ledger: &Path) -> PathBuf {
    ledger.join(JOURNALS).join(SHARE_FILE)
}

fn mix(vault: &Vault, share: &[u8; 32]) -> [u8; 32] {
    sha256(&[LABEL, vault.validator_seed().expose(), share])
}

fn check_of(share: &str) -> String {
    hex::encode(&sha256(&[LABEL, share.as_bytes()])[..8])
}

fn read(text: &str) -> Option<[u8; 32]> {
    let (share, check) = text.strip_suffix('\n')?.split_once(' ')?;
    if check != check_of(share) {
        return None;
    }
    hex::decode(share).ok()?.try_into().ok()
}

fn write(path: &Path, share: &[u8; 32]) -> std::io::Result<()> {
    let journals = path.parent().unwrap_or(Path::new("."));
    Os.make_folder(journals)?;
    let share = hex::encode(share);
    durable::replace(&Os, path, format!("{share} {}\n", check_of(&share)).as_bytes())?;
    // As durable as the votes that will lie beside it: with the names of both folders above.
    journals.ancestors().skip(1).take(2).try_for_each(|folder| Os.sync_folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use vault::{Cost, Costs};

    fn vault(folder: &Path) -> Vault {
        let cheap = Cost { memory_kib: 8, passes: 1 };
        let costs = Costs { passphrase: cheap, password: cheap };
        Vault::create(folder, "correct horse", costs, Arc::new(|out: &mut [u8]| clock::entropy(out))).unwrap()
    }

    #[test]
    fn a_key_comes_back_with_its_journals_and_only_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(&folder.path().join("vault"));
        let ledger = folder.path().join("ledger");
        assert_eq!(seed(&vault, &ledger).unwrap(), None);
        let share = seed_or_new(&vault, &ledger).unwrap();
        assert_eq!(seed_or_new(&vault, &ledger).unwrap(), share);
        std::fs::remove_dir_all(ledger.join(JOURNALS)).unwrap();
        assert_eq!(seed(&vault, &ledger).unwrap(), None);
        assert_ne!(seed_or_new(&vault, &ledger).unwrap(), share, "a wiped node has another key");
    }

    #[test]
    fn every_changed_bit_of_a_key_share_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(&folder.path().join("vault"));
        seed_or_new(&vault, folder.path()).unwrap();
        let path = place(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            assert!(seed(&vault, folder.path()).is_err(), "bit {bit}");
        }
    }
}
