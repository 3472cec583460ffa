//! Checks before a validator starts.
//!
//! A validator that lost its votes may vote twice, and two votes for one view can split the ledger. So
//! journals are marked with their key when they are created, and a key does not start if its journals are
//! missing, belong to another key, or are older than the state beside them.

use crate::SnapshotBase;
use durable::{Disk as _, Os};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use vitals::ids::{DeviceId, Genesis};
use vitals::proof::certificate::quorum;

/// Name of the file with the key whose journals a folder holds.
const MARK: &str = "journals-of";
/// Start of the names of the partitions with votes, relative to the storage folder.
pub(crate) const VOTES_PARTITION_PREFIX: &str = "votes-";

/// Starting could split the ledger. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeStart {
    /// It does not listen, and the committee has other members.
    #[error(
        "validator {validator} is not the only founder of this ledger, so it has to reach the others: \
         say where it listens and who its peers are"
    )]
    NoPeers {
        /// Short name of the key.
        validator: DeviceId,
    },
    /// The committee is too small for the configured number of faulty validators.
    #[error(
        "a committee of {validators} survives {max_faulty} faulty validators, not {claimed}: it needs \
         at least {needed} (3f+1)"
    )]
    CommitteeTooSmall {
        /// Committee size.
        validators: usize,
        /// Faulty validators it survives.
        max_faulty: usize,
        /// Faulty validators that the configuration asks to survive.
        claimed: usize,
        /// Committee size needed for that.
        needed: usize,
    },
    /// The genesis document cannot found a committee.
    #[error("the genesis document's committee or epoch length is wrong: {why}")]
    Genesis {
        /// What is wrong.
        why: String,
    },
    /// The state exists, the votes do not.
    #[error(
        "the ledger state in {folder} stands at height {height}, but the journals of this \
         validator's votes are missing or older: starting could vote twice. Bring back the whole \
         folder from the same moment, or join again with a new validator key"
    )]
    JournalsLost {
        /// Where they should be.
        folder: PathBuf,
        /// Height of the state.
        height: u64,
    },
    /// The validator is in the snapshot's committee, so it may have voted, but its journals are missing.
    #[error(
        "this validator is in the committee of the snapshot, so it may have voted, and its votes are not in {folder}: \
         join with a new validator key"
    )]
    AlreadyInCommittee {
        /// Where its votes should be.
        folder: PathBuf,
    },
    /// The journals belong to another key or another ledger.
    #[error(
        "the journals in {folder} belong to another validator key or another ledger: give this \
         node its own folder, or its former key"
    )]
    JournalsMismatch {
        /// Where they are.
        folder: PathBuf,
    },
    /// The folder cannot be read or written.
    #[error("the ledger folder {folder} cannot be used: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Checks that the committee survives `claimed` faulty validators.
pub(crate) fn check_committee(
    committee: &[[u8; 32]],
    epoch_blocks: u64,
    claimed: usize,
) -> Result<(), UnsafeStart> {
    let genesis = |why: &str| UnsafeStart::Genesis { why: why.to_owned() };
    if committee.is_empty() {
        return Err(genesis("it names no validator"));
    }
    if !committee.is_sorted_by(|a, b| a < b) {
        return Err(genesis("validators are not in the order of their keys"));
    }
    if !(2..=u64::MAX / 2).contains(&epoch_blocks) {
        return Err(genesis("an epoch has at least 2 blocks and at most 2^63 - 1"));
    }
    let validators = committee.len();
    let max_faulty = validators - quorum(validators);
    if claimed > max_faulty {
        let needed = claimed.saturating_mul(3).saturating_add(1);
        return Err(UnsafeStart::CommitteeTooSmall { validators, max_faulty, claimed, needed });
    }
    Ok(())
}

/// Checks that `me` is the only founder: a validator that does not listen must be.
pub(crate) fn check_sole_founder(committee: &[[u8; 32]], me: &[u8; 32]) -> Result<(), UnsafeStart> {
    if committee == [*me] { Ok(()) } else { Err(UnsafeStart::NoPeers { validator: DeviceId::of(me) }) }
}

/// Checks that `folder` holds this key's votes on this ledger, or marks an empty folder. `height` is the
/// height of the state, `base` the snapshot it began with.
pub(crate) fn check_journals(
    folder: &Path,
    genesis: Genesis,
    me: &[u8; 32],
    height: u64,
    base: Option<&SnapshotBase>,
) -> Result<(), UnsafeStart> {
    // The first vote precedes the first block after genesis or the snapshot.
    let voted = height > base.map_or(0, |base| base.header.height);
    let in_committee = base.is_some_and(|base| base.header.committee.contains(me));
    let broken = |source| UnsafeStart::Folder { folder: folder.to_owned(), source };
    let lost = || UnsafeStart::JournalsLost { folder: folder.to_owned(), height };
    Os.make_folder(folder).map_err(broken)?;
    let mark = folder.join(MARK);
    let text = format!("validator {}\nledger {genesis}\n", DeviceId::of(me));
    match fs::read_to_string(&mark) {
        Ok(found) if found != text => Err(UnsafeStart::JournalsMismatch { folder: folder.to_owned() }),
        Ok(_) if !(voted || in_committee) || votes_exist(folder).map_err(broken)? => Ok(()),
        Ok(_) if voted => Err(lost()),
        Ok(_) => Err(UnsafeStart::AlreadyInCommittee { folder: folder.to_owned() }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            if voted {
                return Err(lost());
            }
            if in_committee {
                return Err(UnsafeStart::AlreadyInCommittee { folder: folder.to_owned() });
            }
            if votes_exist(folder).map_err(broken)? {
                return Err(UnsafeStart::JournalsMismatch { folder: folder.to_owned() });
            }
            // As a whole or not at all: a torn mark would look foreign.
            durable::replace(&Os, &mark, text.as_bytes()).map(drop).map_err(broken)
        }
        Err(why) => Err(broken(why)),
    }
}

fn votes_exist(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let votes = entry.file_name().to_string_lossy().starts_with(VOTES_PARTITION_PREFIX);
        if votes && fs::read_dir(entry.path())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use vitals::proof::{certificate::Certificate, header::BlockHeader};

    const ME: [u8; 32] = [1; 32];
    const LEDGER: Genesis = Genesis([2; 32]);

    #[test]
    fn a_validator_without_peers_and_a_committee_too_small_do_not_start() {
        let seats: Vec<[u8; 32]> = (1..=4).map(|i| [i; 32]).collect();
        assert!(check_committee(&seats, 100, 1).is_ok());
        assert!(matches!(check_sole_founder(&seats, &ME), Err(UnsafeStart::NoPeers { .. })));
        assert!(matches!(check_sole_founder(&[[9; 32]], &ME), Err(UnsafeStart::NoPeers { .. })));
        assert!(check_sole_founder(&[ME], &ME).is_ok());
        let claimed_two = check_committee(&seats, 100, 2);
        assert!(matches!(claimed_two, Err(UnsafeStart::CommitteeTooSmall { needed: 7, max_faulty: 1, .. })));
        let three = check_committee(&seats[..3], 100, 1);
        assert!(matches!(three, Err(UnsafeStart::CommitteeTooSmall { needed: 4, max_faulty: 0, .. })));
        assert!(matches!(check_committee(&[], 100, 0), Err(UnsafeStart::Genesis { .. })));
        assert!(matches!(check_committee(&seats, 1, 0), Err(UnsafeStart::Genesis { .. })));
    }

    #[test]
    fn a_key_without_its_votes_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let start = |key: &[u8; 32], height| check_journals(folder.path(), LEDGER, key, height, None);
        assert!(matches!(start(&ME, 3), Err(UnsafeStart::JournalsLost { height: 3, .. })));
        assert!(start(&ME, 0).is_ok(), "the first start marks the folder");
        assert!(matches!(start(&ME, 3), Err(UnsafeStart::JournalsLost { .. })), "no votes yet");
        let votes = folder.path().join(format!("{VOTES_PARTITION_PREFIX}0"));
        fs::create_dir(&votes).unwrap();
        assert!(matches!(start(&ME, 3), Err(UnsafeStart::JournalsLost { .. })), "an empty journal");
        fs::write(votes.join("00"), b"x").unwrap();
        assert!(start(&ME, 3).is_ok());
        assert!(matches!(start(&[7; 32], 3), Err(UnsafeStart::JournalsMismatch { .. })));
        let other_ledger = check_journals(folder.path(), Genesis([3; 32]), &ME, 3, None);
        assert!(matches!(other_ledger, Err(UnsafeStart::JournalsMismatch { .. })));
        fs::remove_file(folder.path().join(MARK)).unwrap();
        assert!(matches!(start(&ME, 3), Err(UnsafeStart::JournalsLost { .. })));
        assert!(matches!(start(&ME, 0), Err(UnsafeStart::JournalsMismatch { .. })));
    }

    #[test]
    fn a_snapshot_starts_only_a_key_that_has_not_voted() {
        let seats: Vec<[u8; 32]> = (4..=7).map(|i| [i; 32]).collect();
        let header = BlockHeader {
            epoch: 1,
            view: 9,
            leader: seats[0],
            parent_view: 8,
            parent: [0; 32],
            height: 31,
            time_ms: 0,
            state_root: [0; 32],
            transactions_root: [0; 32],
            receipts_root: [0; 32],
            extra: [0; 32],
            committee: seats.clone(),
        };
        let certificate = Certificate { epoch: 1, view: 9, parent_view: 8, signatures: Vec::new() };
        let base = SnapshotBase { header, certificate, committee: seats.clone() };
        let folder = tempfile::tempdir().unwrap();
        let start = |key: &[u8; 32], height| check_journals(folder.path(), LEDGER, key, height, Some(&base));
        assert!(matches!(start(&seats[1], 31), Err(UnsafeStart::AlreadyInCommittee { .. })));
        assert!(matches!(start(&ME, 32), Err(UnsafeStart::JournalsLost { height: 32, .. })));
        assert!(start(&ME, 31).is_ok() && start(&ME, 31).is_ok(), "before its first block it begins again");
        assert!(matches!(start(&ME, 32), Err(UnsafeStart::JournalsLost { .. })));
        let votes = folder.path().join(format!("{VOTES_PARTITION_PREFIX}2"));
        fs::create_dir(&votes).unwrap();
        fs::write(votes.join("00"), b"x").unwrap();
        assert!(start(&ME, 31).is_ok() && start(&ME, 32).is_ok());
    }
}
