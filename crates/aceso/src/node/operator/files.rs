//! Files that a node writes for its operator: bundles and snapshots, and checkpoints that the operator carries on.

use super::Operator;
use crate::node::checkpoint;
use anyhow::{Context, Result, bail};
use clinic::{Scope, Session};
use host::clock;
use operator::{Bundled, CheckpointSigned, ExportBundle, SignCheckpoint, SnapshotWritten, WriteSnapshot};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vitals::ledger::Role;
use vitals::proof::checkpoint::Checkpoint;
use vitals::proof::genesis::GenesisDocument;

/// An export waits this long for the ledger to have a certificate at hand.
const EXPORT_TRIES: u32 = 50;

impl Operator {
    pub(super) fn export_bundle(&self, call: &ExportBundle, now_ms: u64) -> Result<Bundled> {
        self.export(&self.session(&call.token, now_ms)?, &call.file)
    }

    pub(super) fn write_snapshot(&self, call: &WriteSnapshot, now_ms: u64) -> Result<SnapshotWritten> {
        let session = self.session(&call.token, now_ms)?;
        anyhow::ensure!(
            session.role == Role::Administrator,
            "only an administrator hands the ledger's state to others"
        );
        self.snapshot(&call.file)
    }

    pub(super) fn sign_checkpoint(&self, call: &SignCheckpoint, now_ms: u64) -> Result<CheckpointSigned> {
        let session = self.session(&call.token, now_ms)?;
        anyhow::ensure!(
            session.role == Role::Administrator,
            "only an administrator signs checkpoints for the organisation"
        );
        self.checkpoint(call.checkpoint.as_deref())
    }

    fn export(&self, session: &Session, file: &Path) -> Result<Bundled> {
        let draft = outside(file, &self.data_dir)?;
        let exported = self.export_to(session, &draft);
        match exported {
            Ok(_) => std::fs::rename(&draft, file).with_context(|| format!("writing {}", file.display()))?,
            Err(_) => drop(std::fs::remove_file(&draft)),
        }
        exported
    }

    fn export_to(&self, session: &Session, draft: &Path) -> Result<Bundled> {
        let mut tries = 0;
        loop {
            let _ = std::fs::remove_file(draft);
            let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft);
            let output = output.with_context(|| format!("writing {}", draft.display()))?;
            let mut output = std::io::BufWriter::new(output);
            let mut sink = |bytes: &[u8]| output.write_all(bytes);
            match self.clinic.export(session, Scope::Everything, clock::now_ms(), &mut sink) {
                Ok(exported) => {
                    output.flush()?;
                    output.get_ref().sync_all()?;
                    return Ok(Bundled {
                        envelopes: exported.envelopes,
                        not_anchored: exported.not_anchored,
                        height: exported.height,
                        bytes: exported.bytes,
                    });
                }
                // A block may come between reading the anchor and proving it.
                Err(clinic::ClinicError::Ledger(vitals::ledger::LedgerError::Busy(_)))
                    if tries < EXPORT_TRIES =>
                {
                    tries += 1;
                    clock::pause(Duration::from_millis(100));
                }
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// Writes the newest snapshot of the ledger to a new file.
    fn snapshot(&self, file: &Path) -> Result<SnapshotWritten> {
        let offer = self.embedded()?.chain.offer()?;
        let draft = outside(file, &self.data_dir)?;
        let _ = std::fs::remove_file(&draft);
        let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let mut output =
            std::io::BufWriter::new(output.with_context(|| format!("writing {}", draft.display()))?);
        let written = offer.write(&mut output).map_err(anyhow::Error::from).and_then(|bytes| {
            output.flush()?;
            output.get_ref().sync_all()?;
            std::fs::rename(&draft, file)?;
            Ok(bytes)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        let bytes = written.with_context(|| format!("writing {}", file.display()))?;
        Ok(SnapshotWritten { height: offer.height(), bytes })
    }

    /// Signs a checkpoint that agrees with the own ledger, or makes one.
    fn checkpoint(&self, given: Option<&str>) -> Result<CheckpointSigned> {
        let own = &self.embedded()?.chain;
        let document = self.clinic.vault().genesis_document().context("the vault names no ledger")?;
        let document = GenesisDocument::decode(&document).context("the genesis document in the vault")?;
        let proof = self.chain.prove(&[])?;
        let mut checkpoint = match given {
            None => checkpoint::make(&document, &proof)?,
            Some(digits) => {
                let bytes = hex::decode(digits).context("the checkpoint is not hexadecimal")?;
                let checkpoint = Checkpoint::decode(&bytes).context("the checkpoint")?;
                let height = checkpoint.known.height;
                let header = own.machine().header(height)?;
                let header = header.with_context(|| match height <= own.machine().tip().height {
                    true => format!(
                        "block {height} is pruned at this node: have a checkpoint of a newer block made"
                    ),
                    false => format!("the own ledger has no block {height} yet"),
                })?;
                checkpoint::agree(&document, &proof, &header, &checkpoint)?;
                checkpoint
            }
        };
        self.clinic.vault().sign_checkpoint(&mut checkpoint);
        Ok(CheckpointSigned { checkpoint: hex::encode(checkpoint.encode()) })
    }
}

/// The draft beside the file that a bundle is written to, so that a refused or failed export leaves
/// what is there alone. Nothing in the node's own folder is ever written over.
fn outside(file: &Path, data_dir: &Path) -> Result<PathBuf> {
    anyhow::ensure!(file.is_absolute(), "name the file with its whole path, not {}", file.display());
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        bail!("{} is no file", file.display())
    };
    let folder = folder.canonicalize().with_context(|| format!("the folder {}", folder.display()))?;
    anyhow::ensure!(
        !folder.starts_with(data_dir.canonicalize()?),
        "{} lies in the node's own data folder; choose another place",
        file.display()
    );
    let existing = std::fs::symlink_metadata(file);
    anyhow::ensure!(
        existing.map_or(true, |one| one.is_file()),
        "{} is there and is no plain file",
        file.display()
    );
    Ok(folder.join(format!(".{}.{}", name.to_string_lossy(), hex::encode(clock::random::<6>()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_written_neither_into_the_node_s_folder_nor_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("node");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("alias")).unwrap();
        std::os::unix::fs::symlink(data.join("vault.redb"), folder.path().join("link")).unwrap();
        for wrong in
            [data.join("vault.redb"), folder.path().join("alias/x"), folder.path().join("link"), "b".into()]
        {
            assert!(outside(&wrong, &data).is_err(), "{}", wrong.display());
        }
        let good = folder.path().join("bundle");
        assert_eq!(
            outside(&good, &data).unwrap().parent(),
            Some(folder.path().canonicalize().unwrap().as_path())
        );
    }
}
