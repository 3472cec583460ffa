//! How the validators of a committee are: turns led and skipped, and when each was last heard from.

use alloc::vec::Vec;

/// How one validator of the committee is, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorHealth {
    /// Its key.
    pub key: [u8; 32],
    /// Is it this node's own?
    pub own: bool,
    /// Height of the last block it proposed, among the newest [`super::TURNS_BLOCKS_MAX`].
    pub last_led: Option<u64>,
    /// Its turns among those blocks that became a block.
    pub led: u64,
    /// Its turns among those blocks in which nothing was agreed.
    pub skipped: u64,
    /// Height it announced; its own for this node's validator.
    pub height: Option<u64>,
    /// When a message of it arrived last, milliseconds on this node's clock.
    pub heard_at_ms: Option<u64>,
    /// When a vote of it arrived last, milliseconds on this node's clock.
    pub voted_at_ms: Option<u64>,
    /// How often it was dropped since this node was started, for sending what no honest one does.
    pub drops: u64,
    /// When that was last, milliseconds on this node's clock.
    pub dropped_at_ms: Option<u64>,
}

/// A validator from which a message arrived within this time is connected.
pub const HEARD_WITHIN_MS: u64 = 15_000;

impl ValidatorHealth {
    /// Is it connected? None if no message of it ever arrived.
    #[must_use]
    pub fn connected(&self, now_ms: u64) -> Option<bool> {
        if self.own {
            return Some(true);
        }
        let last_ms = self.heard_at_ms.max(self.voted_at_ms)?;
        Some(now_ms.abs_diff(last_ms) <= HEARD_WITHIN_MS)
    }

    /// Blocks it is behind the tip.
    #[must_use]
    pub fn lag(&self, tip: u64) -> Option<u64> {
        self.height.map(|height| tip.saturating_sub(height))
    }
}

/// Counts the turns of each validator in headers of one committee, newest first: how often it led, how
/// often its turn was skipped, and where it led last. `turns` gives, for each header, epoch, view, view
/// of its parent, height and proposer; those of other epochs are left out.
///
/// The turn of view `v` in epoch `e` is that of the validator at place `(e + v) mod n`.
#[must_use]
pub fn turns(
    epoch: u64,
    committee: &[[u8; 32]],
    headers: impl IntoIterator<Item = Turn>,
) -> Vec<ValidatorHealth> {
    let mut counted: Vec<ValidatorHealth> = committee
        .iter()
        .map(|key| ValidatorHealth {
            key: *key,
            own: false,
            last_led: None,
            led: 0,
            skipped: 0,
            height: None,
            heard_at_ms: None,
            voted_at_ms: None,
            drops: 0,
            dropped_at_ms: None,
        })
        .collect();
    let n = committee.len() as u64;
    for turn in headers.into_iter().filter(|turn| turn.epoch == epoch && n != 0) {
        if let Some(leader) = counted.iter_mut().find(|one| one.key == turn.leader) {
            leader.led += 1;
            leader.last_led = leader.last_led.max(Some(turn.height));
        }
        // A view is skipped by everybody or nobody; more of them than a few rounds say nothing new.
        let skipped = (turn.parent_view + 1..turn.view).take(SKIPPED_TURNS_MAX);
        for view in skipped {
            let place = usize::try_from(epoch.wrapping_add(view) % n).unwrap_or(0);
            counted[place].skipped += 1;
        }
    }
    counted
}

/// Skipped views counted between two blocks.
pub(super) const SKIPPED_TURNS_MAX: usize = 1024;

/// What [`turns`] needs of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Epoch.
    pub epoch: u64,
    /// View.
    pub view: u64,
    /// View of its parent.
    pub parent_view: u64,
    /// Height.
    pub height: u64,
    /// Proposer.
    pub leader: [u8; 32],
}
