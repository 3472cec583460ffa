//! The bytes of one file: as a reader sees them, as they are durable, and the writes between.

use super::{Step, Unsynced};
use crate::Dice;

/// A page cache writes back whole sectors.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    /// Cuts or lengthens.
    Cut(u64),
}

fn write(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(offset + new.len()), 0);
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => write(bytes, *offset as usize, new),
            Self::Cut(size) => bytes.resize(*size as usize, 0),
        }
    }

    fn first(&self, len: usize) -> Self {
        match self {
            Self::Write(offset, new) => Self::Write(*offset, new[..len.min(new.len())].to_vec()),
            Self::Cut(size) => Self::Cut(*size),
        }
    }

    pub(super) fn half(&self) -> Self {
        match self {
            Self::Write(_, new) => self.first(new.len() / 2),
            Self::Cut(_) => self.clone(),
        }
    }

    /// Any of its sectors; perhaps the file is as long as if all were there.
    fn apply_some(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let Self::Write(offset, new) = self else {
            if dice.below(2) == 0 {
                self.apply(bytes);
            }
            return;
        };
        let (from, end) = (*offset as usize, *offset as usize + new.len());
        let mut at = from;
        while at < end {
            let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            if dice.below(2) == 0 {
                write(bytes, at, &new[at - from..next - from]);
            }
            at = next;
        }
        if dice.below(3) == 0 {
            bytes.resize(bytes.len().max(end), 0);
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    durable: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<Change>,
}

impl Contents {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), live: bytes, pending: Vec::new() }
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self, step: Step) {
        let flushed = match step {
            Step::NotDone => 0,
            Step::HalfDone => self.pending.len() / 2,
            Step::Done => self.pending.len(),
        };
        self.pending.drain(..flushed).for_each(|change| change.apply(&mut self.durable));
    }

    /// Readers still see it.
    pub(super) fn lose_unsynced(&mut self) {
        self.pending.clear();
    }

    pub(super) fn last_write_bytes(&self) -> usize {
        match self.pending.last() {
            Some(Change::Write(_, new)) => new.len(),
            _ => 0,
        }
    }

    pub(super) fn after_crash(&self, unsynced: Unsynced, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match unsynced {
            Unsynced::Kept => bytes = self.live.clone(),
            Unsynced::Lost => {}
            Unsynced::TornAt(len) => {
                if let Some((last, before)) = self.pending.split_last() {
                    before.iter().for_each(|change| change.apply(&mut bytes));
                    last.first(len).apply(&mut bytes);
                }
            }
            Unsynced::LastOnly => {
                if let Some(last) = self.pending.last() {
                    last.apply(&mut bytes);
                }
            }
            Unsynced::Any(_) => match dice.below(5) {
                0 => bytes = self.live.clone(),
                1 => {}
                2 => {
                    // The first few, and a part of the next.
                    let whole = dice.below(self.pending.len() as u64 + 1) as usize;
                    self.pending[..whole].iter().for_each(|change| change.apply(&mut bytes));
                    if let Some(torn) = self.pending.get(whole) {
                        torn.first(dice.below(5000) as usize).apply(&mut bytes);
                    }
                }
                _ => {
                    for change in &self.pending {
                        match dice.below(3) {
                            0 => change.apply(&mut bytes),
                            1 => change.apply_some(&mut bytes, dice),
                            _ => {}
                        }
                    }
                }
            },
        }
        bytes
    }
}
