//! When a validator must not start.
//!
//! A validator that forgot its votes may vote twice, and two votes for one view can split the
//! ledger. So the journals of a key are marked when they are made, and a key whose journals are
//! gone, foreign or older than the state beside them is refused.

use crate::SnapshotBase;
use durable::{Disk as _, Os};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use vitals::ids::{DeviceId, Genesis};
use vitals::proof::certificate::quorum;

/// Says whose journals a folder holds.
const MARK: &str = "journals-of";
/// The partition of the first epoch's votes, relative to the storage folder.
pub(crate) const VOTES_PARTITION_PREFIX: &str = "votes-";

/// A configuration under which voting could split the ledger. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeStart {
    /// It neither listens nor is the whole committee.
    #[error(
        "validator {validator} is not the only founder of this ledger, so it has to reach the others: \
         say where it listens and who its peers are"
    )]
    NoPeers {
        /// Short name of the key.
        validator: DeviceId,
    },
    /// More traitors claimed than a committee of this size survives.
    #[error(
        "a committee of {validators} survives {survives} lying validators, not {claimed}: it needs \
         at least {needed} (3f+1)"
    )]
    CommitteeTooSmall {
        /// Committee size.
        validators: usize,
        /// What it survives.
        survives: usize,
        /// What was claimed.
        claimed: usize,
        /// Size needed for the claim.
        needed: usize,
    },
    /// The genesis document cannot found a committee.
    #[error("the genesis document's committee or epoch length is wrong: {why}")]
    Genesis {
        /// What is wrong.
        why: String,
    },
    /// The state is there, the votes are not.
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
    /// It has a vote already, so its journals must be somewhere.
    #[error(
        "the snapshot seats this validator already, so it may have voted, and its votes are not in {folder}: \
         join with a new validator key"
    )]
    AlreadyInCommittee {
        /// Where its votes should be.
        folder: PathBuf,
    },
    /// The votes are another key's, or of another ledger.
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

/// Checks that the committee survives the `claimed` number of liars.
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
    let survives = validators - quorum(validators);
    if claimed > survives {
        let needed = claimed.saturating_mul(3).saturating_add(1);
        return Err(UnsafeStart::CommitteeTooSmall { validators, survives, claimed, needed });
    }
    Ok(())
}

/// Checks that `me` can do without others: who does not listen must be the whole founding committee.
pub(crate) fn check_sole_founder(committee: &[[u8; 32]], me: &[u8; 32]) -> Result<(), UnsafeStart> {
    if committee == [*me] { Ok(()) } else { Err(UnsafeStart::NoPeers { validator: DeviceId::of(me) }) }
}

/// Checks that `folder` holds this key's votes on this ledger, or marks it when there is nothing
/// yet. `height` is where the state stands, `base` the snapshot it began with.
pub(crate) fn check_journals(
    folder: &Path,
    genesis: Genesis,
    me: &[u8; 32],
    height: u64,
    base: Option<&SnapshotBase>,
) -> Result<(), UnsafeStart> {
    // Nobody votes before the first block that goes into the state.
    let voted = height > base.map_or(0, |base| base.header.height);
    let seated = base.is_some_and(|base| base.header.committee.contains(me));
    let broken = |source| UnsafeStart::Folder { folder: folder.to_owned(), source };
    let lost = || UnsafeStart::JournalsLost { folder: folder.to_owned(), height };
    Os.make_folder(folder).map_err(broken)?;
    let mark = folder.join(MARK);
    let text = format!("validator {}\nledger {genesis}\n", DeviceId::of(me));
    match fs::read_to_string(&mark) {
        Ok(found) if found != text => Err(UnsafeStart::JournalsMismatch { folder: folder.to_owned() }),
        Ok(_) if !(voted || seated) || votes_exist(folder).map_err(broken)? => Ok(()),
        Ok(_) if voted => Err(lost()),
        Ok(_) => Err(UnsafeStart::AlreadyInCommittee { folder: folder.to_owned() }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            if voted {
                return Err(lost());
            }
            if seated {
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
    fn a_lone_one_among_many_and_a_boaster_do_not_start() {
        let seats: Vec<[u8; 32]> = (1..=4).map(|i| [i; 32]).collect();
        assert!(check_committee(&seats, 100, 1).is_ok());
        assert!(matches!(check_sole_founder(&seats, &ME), Err(UnsafeStart::NoPeers { .. })));
        assert!(matches!(check_sole_founder(&[[9; 32]], &ME), Err(UnsafeStart::NoPeers { .. })));
        assert!(check_sole_founder(&[ME], &ME).is_ok());
        let boaster = check_committee(&seats, 100, 2);
        assert!(matches!(boaster, Err(UnsafeStart::CommitteeTooSmall { needed: 7, survives: 1, .. })));
        let three = check_committee(&seats[..3], 100, 1);
        assert!(matches!(three, Err(UnsafeStart::CommitteeTooSmall { needed: 4, survives: 0, .. })));
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
        let elsewhere = check_journals(folder.path(), Genesis([3; 32]), &ME, 3, None);
        assert!(matches!(elsewhere, Err(UnsafeStart::JournalsMismatch { .. })));
        fs::remove_file(folder.path().join(MARK)).unwrap();
        assert!(matches!(start(&ME, 3), Err(UnsafeStart::JournalsLost { .. })));
        assert!(matches!(start(&ME, 0), Err(UnsafeStart::JournalsMismatch { .. })));
    }

    #[test]
    fn a_snapshot_begins_a_key_that_has_no_vote_yet() {
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
