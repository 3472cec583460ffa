//! The demo's ledger: four hospitals, one of them away, one caught lying, one asking to leave.

use super::*;
use vitals::explorer::{
    Authorities, Authority, Block, BlockLine, Blocks, Conflict, Deed, Evidence, Governance, Place, Proposal,
    Told, Transaction, ValidatorHealth,
};
use vitals::ids::Hash;
use vitals::ledger::{Act, RevokeReason};
use vitals::{OrgId, explorer};

const EPOCH_BLOCKS: u64 = 128;
/// Second since 1970 of the first block: the middle of November 2026.
const FOUNDED_S: u64 = 1_795_000_000;

/// A block a second.
pub(super) fn tip(now_ms: u64) -> u64 {
    (now_ms / 1000).saturating_sub(FOUNDED_S).max(EPOCH_BLOCKS * 4)
}

fn time_ms(height: u64) -> u64 {
    (FOUNDED_S + height) * 1000
}

pub(super) fn org(number: u8) -> OrgId {
    let mut id = [0; 16];
    id.copy_from_slice(&sha256(&[b"demo organisation", &[number]])[..16]);
    OrgId(id)
}

fn key(number: u8) -> [u8; 32] {
    sha256(&[b"demo validator", &[number]])
}

fn committee() -> Vec<[u8; 32]> {
    let mut keys: Vec<_> = (0..4).map(key).collect();
    keys.sort_unstable();
    keys
}

/// What stands in the block at this height.
fn deeds(height: u64) -> Vec<(u8, Deed)> {
    let anchor = |leaves: u64| Act::Anchor {
        size: leaves,
        root: sha256(&[&leaves.to_be_bytes()]),
        consistency: vec![],
    };
    let act = |number, act| (number, Deed::Act(act));
    match height % 7 {
        1 => vec![act(0, anchor(height * 40)), act(1, anchor(height * 31)), act(2, anchor(height * 7))],
        2 => vec![act(0, anchor(height * 40))],
        3 => vec![
            act(0, Act::RevokeGrant { grant: grant(), signature: vec![] }),
            act(
                1,
                Act::Revoke {
                    device: DeviceId([7; 16]),
                    reason: RevokeReason::Stolen,
                    last_trusted_seq: 4120,
                },
            ),
            act(1, anchor(height * 31)),
            (3, Deed::Deploy { bytes: 4096 }),
            (3, Deed::Call { contract: "Directory".into(), function: Some("suspend".into()) }),
        ],
        _ => Vec::new(),
    }
}

fn name(height: u64, index: usize) -> Hash {
    sha256(&[b"demo transaction", &height.to_be_bytes(), &index.to_be_bytes()])
}

fn line(height: u64) -> BlockLine {
    let deeds = deeds(height);
    let leader = u8::try_from(height % 3).expect("small");
    BlockLine {
        height,
        time_ms: time_ms(height),
        epoch: height / EPOCH_BLOCKS,
        view: height % EPOCH_BLOCKS * 4 / 3 + 1,
        skipped: u64::from(height.is_multiple_of(3)),
        leader: key(leader),
        leader_org: Some(org(leader)),
        transactions: deeds.len(),
        told: deeds
            .iter()
            .take(explorer::TOLD_MAX)
            .map(|(number, deed)| Told {
                org: Some(org(*number)),
                sender: [*number; 20],
                words: deed.words(),
            })
            .collect(),
    }
}

fn transaction(height: u64, index: usize, number: u8, deed: Deed) -> Transaction {
    let outcome = match &deed {
        Deed::Call { .. } => Outcome::Refused { reason: "only the home organisation may do this".into() },
        _ => Outcome::Done { height },
    };
    Transaction {
        id: name(height, index),
        place: Some(Place { height, index, time_ms: time_ms(height) }),
        sender: [number; 20],
        org: Some(org(number)),
        to: Some([9; 20]),
        contract: Some("Anchors".into()),
        function: Some("anchor".into()),
        nonce: height,
        gas_limit: 1 << 22,
        gas_used: Some(88_412),
        bytes: 742,
        deed,
        outcome,
    }
}

pub(super) fn blocks(asked: &explorer::Asked, tip: u64) -> Blocks {
    let top = asked.before.map_or(tip, |before| before.min(tip + 1).saturating_sub(1));
    let wanted = |height: &u64| {
        asked.org.is_none_or(|wanted| deeds(*height).iter().any(|(one, _)| org(*one) == wanted))
    };
    let blocks: Vec<BlockLine> =
        (1..=top).rev().take(2000).filter(wanted).take(asked.most).map(line).collect();
    let next = blocks.last().map(|block| block.height).filter(|height| *height > 1);
    Blocks { blocks, next }
}

pub(super) fn block(height: u64, first: usize, tip: u64) -> Option<Block> {
    if height > tip || height == 0 {
        return None;
    }
    let transactions = deeds(height).into_iter().enumerate().skip(first);
    Some(Block {
        line: line(height),
        digest: sha256(&[b"digest", &height.to_be_bytes()]),
        parent: sha256(&[b"digest", &(height - 1).to_be_bytes()]),
        state_root: sha256(&[b"state", &height.to_be_bytes()]),
        transactions_root: sha256(&[b"transactions", &height.to_be_bytes()]),
        receipts_root: sha256(&[b"receipts", &height.to_be_bytes()]),
        committee: if (height + 1).is_multiple_of(EPOCH_BLOCKS) { committee() } else { Vec::new() },
        first,
        transactions: transactions
            .map(|(index, (number, deed))| transaction(height, index, number, deed))
            .collect(),
    })
}

pub(super) fn find(id: &Hash, tip: u64) -> Option<Transaction> {
    let heights = (1..=tip).rev().take(1000);
    let mut all = heights.flat_map(|height| {
        let deeds = deeds(height).into_iter().enumerate();
        deeds.map(move |(index, (number, deed))| transaction(height, index, number, deed))
    });
    all.find(|one| one.id == *id)
}

pub(super) fn governance(tip: u64, now_ms: u64) -> Governance {
    let epoch = tip / EPOCH_BLOCKS;
    let authority = |number: u8, since_epoch, until_epoch| Authority {
        key: key(number),
        org: Some(org(number)),
        endpoint: format!("ledger.hospital-{number}.example:9000"),
        since_epoch,
        until_epoch,
    };
    let health = |number: u8| ValidatorHealth {
        key: key(number),
        own: number == 0,
        last_led: (number != 3).then(|| tip - u64::from(number)),
        led: if number == 3 { 0 } else { 27 + u64::from(number) },
        skipped: if number == 3 { 27 } else { 0 },
        height: Some(if number == 3 { tip - 512 } else { tip - u64::from(number / 2) }),
        heard_at_ms: (number != 0).then(|| now_ms - if number == 3 { 480_000 } else { 900 }),
        voted_at_ms: Some(now_ms - if number == 3 { 481_000 } else { 700 }),
        drops: 0,
        dropped_at_ms: None,
    };
    let mut next = committee();
    next.retain(|one| *one != key(3));
    let proposal = |id, words: String, votes: &[u8], may_vote: &[u8], acts_from_epoch| Proposal {
        id,
        words,
        particulars: vec![
            ("validator", explorer::hex(&key(4))),
            ("found at", "ledger.hospital-4.example:9000".into()),
        ],
        proposer: org(1),
        proposed_at_ms: now_ms - 7_200_000,
        until_ms: now_ms + 6 * 86_400_000,
        votes: votes.iter().map(|number| org(*number)).collect(),
        may_vote: may_vote.iter().map(|number| org(*number)).collect(),
        needed: 3,
        acts_from_epoch,
    };
    Governance {
        authorities: Authorities {
            epoch,
            epoch_blocks: EPOCH_BLOCKS,
            committee: committee(),
            next,
            validators: vec![
                authority(0, 0, None),
                authority(1, 0, None),
                authority(2, 3, None),
                authority(3, 3, Some(epoch + 1)),
                authority(4, epoch + 2, None),
            ],
        },
        proposals: vec![
            proposal(
                9,
                format!(
                    "seat validator {} of organisation {}",
                    explorer::short(&key(4)),
                    explorer::short(&org(4).0)
                ),
                &[1, 2],
                &[0, 3],
                None,
            ),
            proposal(
                8,
                format!("unseat validator {}", explorer::short(&key(3))),
                &[1, 2, 0],
                &[3],
                Some(epoch + 1),
            ),
        ],
        evidence: vec![Evidence {
            validator: key(3),
            org: Some(org(3)),
            epoch: epoch - 1,
            view: 77,
            conflict: Conflict::Notarize,
            votes: sha256(&[b"both votes"]),
        }],
        health: (0..4).map(health).collect(),
        warnings: Vec::new(),
    }
}
