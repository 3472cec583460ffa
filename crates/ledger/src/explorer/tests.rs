//! Blocks of a ward in the explorer.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::account;
use crate::contracts::Contracts;
use crate::machine::Config;
use crate::machine::tests::{Ward, consent, enrol, gateway, grant, org, person, sensor};
use vitals::break_glass::{BreakGlass, SignedBreakGlass, Verdict};
use vitals::explorer::TxAction;
use vitals::governance::Motion;
use vitals::ids::DeviceId;
use vitals::ledger::{Act, RevokeReason, Role};

fn anchor(size: u64) -> Act {
    Act::Anchor { size, root: [9; 32], consistency: Vec::new() }
}

fn all(most: usize) -> BlockQuery {
    BlockQuery { most, ..BlockQuery::default() }
}

/// Runs `look` on the ward as it stands.
fn through<T>(ward: &Ward, look: impl FnOnce(&ChainExplorer<'_>) -> T) -> T {
    let pool = Pool::new(ward.machine.clone());
    look(&ChainExplorer::new(&ward.machine, &pool, ward.document.epoch_blocks))
}

#[test]
fn every_act_is_read_back_from_its_calldata() {
    let ward = Ward::with(2);
    let domain = ward.machine.domain();
    let contracts = Contracts { roles: Some([9; 20].into()), ..ward.machine.contracts() };
    let motions = [
        Motion::AddValidator { key: [1; 32], org: org(0), endpoint: "node.example:9000".into() },
        Motion::RemoveValidator { key: [2; 32] },
        Motion::ReplaceKey { old: [3; 32], new: [4; 32], endpoint: String::new() },
        Motion::AdmitOrganisation { record_key: [5; 32], sender: [6; 20] },
        Motion::RemoveOrganisation { org: org(1) },
    ];
    let Act::Grant(signed) = grant(&domain, 1, consent(1, person(2), 5, ward.now_ms)) else { panic!() };
    let message = BreakGlass {
        patient: person(1),
        clinician: person(2),
        second: Some(person(3)),
        reason: [1; 32],
        from_ms: 5,
        until_ms: 6,
        nonce: [2; 32],
    };
    let break_glass = SignedBreakGlass { message, signature: vec![3; 64], second_signature: vec![4; 64] };
    let acts = [
        enrol(&domain, 1, Role::Patient),
        gateway(3),
        sensor(4, 3),
        Act::Revoke { device: DeviceId([7; 16]), reason: RevokeReason::Stolen, last_trusted_seq: 41 },
        Act::Grant(signed.clone()),
        Act::RevokeGrant { grant: vitals::GrantId([8; 32]), signature: vec![1; 64] },
        Act::BurnGrant { patient: person(1), nonce: [2; 32], signature: vec![3; 64] },
        Act::Anchor { size: 77, root: [9; 32], consistency: vec![[1; 32], [2; 32]] },
        Act::Suspend { person: person(4) },
        Act::GrantUnder { signed: signed.clone(), policy: [4; 20] },
        Act::AddPolicy { name: [b'x'; 32], contract: [5; 20] },
        Act::WithdrawPolicy { contract: [6; 20] },
        Act::SupportRole { role: 7, name: [b'n'; 32], base: Role::Clinician },
        Act::AssignRole { person: person(6), role: 7 },
        Act::BreakGlass(break_glass),
        Act::Review {
            entry: [7; 32],
            auditor: person(5),
            verdict: Verdict::Unjustified,
            remark: [8; 32],
            signature: vec![9; 64],
        },
        Act::Vote { proposal: 9 },
        Act::Settle { proposal: 8 },
        Act::Announce { validator: [1; 32], endpoint: "node.example:9000".into() },
    ];
    for act in acts.into_iter().chain(motions.map(Act::Propose)) {
        let (to, input) = contracts.call(org(0), &act);
        let call = decode::decode_call(&contracts, Some(to), &input);
        assert_eq!(call.action, TxAction::Act(act));
        assert!(call.contract.is_some() && call.function.is_some());
    }
}

#[test]
fn calls_that_are_no_acts_are_named_as_far_as_they_are_known() {
    let ward = Ward::with(2);
    let contracts = ward.machine.contracts();
    let (to, mut input) = contracts.call(org(0), &anchor(5));
    input.truncate(40);
    let cut = decode::decode_call(&contracts, Some(to), &input);
    let anchor = TxAction::Call { contract: "Anchors".into(), function: Some("anchor".into()) };
    assert_eq!(cut.action, anchor);
    let strange = decode::decode_call(&contracts, Some(Address::from([0xee; 20])), &[1, 2]);
    assert!(
        matches!(&strange.action, TxAction::Call { contract, function: None } if contract.starts_with("contract 0xeeee")),
        "{:?}",
        strange.action
    );
    assert_eq!((strange.contract, strange.function), (None, None));
    assert_eq!(decode::decode_call(&contracts, None, &[0; 1000]).action, TxAction::Deploy { bytes: 1000 });
}

#[test]
fn blocks_are_listed_newest_first_and_page_by_page() {
    let mut ward = Ward::with(2);
    ward.done(0, &anchor(10));
    ward.block(&[]);
    ward.done(1, &anchor(20));
    let first = through(&ward, |explorer| explorer.blocks(&all(2))).unwrap();
    let heights = |blocks: &Blocks| blocks.blocks.iter().map(|line| line.height).collect::<Vec<_>>();
    assert_eq!((heights(&first), first.next), (vec![3, 2], Some(2)));
    assert_eq!(first.blocks[0].summaries[0].action, TxAction::Act(anchor(20)));
    assert_eq!(first.blocks[0].summaries[0].org, Some(org(1)));
    let rest = BlockQuery { before: first.next, ..all(10) };
    let rest = through(&ward, |explorer| explorer.blocks(&rest)).unwrap();
    assert_eq!((heights(&rest), rest.next), (vec![1, 0], None));
    let own = BlockQuery { org: Some(org(0)), ..all(10) };
    let own = through(&ward, |explorer| explorer.blocks(&own)).unwrap();
    assert_eq!((heights(&own), own.next), (vec![1], None));
    let none = BlockQuery { before: Some(0), ..all(10) };
    assert_eq!(through(&ward, |explorer| explorer.blocks(&none)).unwrap(), Blocks::default());
}

#[test]
fn block_and_transaction_queries_agree() {
    let mut ward = Ward::with(2);
    let good = ward.next(0, &anchor(10));
    let bad = ward.next(1, &Act::Anchor { size: 0, root: [0; 32], consistency: Vec::new() });
    let executed = ward.block(&[good, bad]);
    let block = through(&ward, |explorer| explorer.block(1, 0)).unwrap().unwrap();
    assert_eq!((block.line.transactions, block.transactions.len()), (2, 2));
    assert_eq!(block.digest, ward.machine.tip().digest);
    assert_eq!(block.transactions[0].outcome, Outcome::Done { height: 1 });
    assert!(matches!(&block.transactions[1].outcome, Outcome::Refused { reason } if !reason.is_empty()));
    assert_eq!(block.transactions[1].contract.as_deref(), Some("Anchors"));
    for (one, name) in block.transactions.iter().zip(executed.transaction_hashes()) {
        assert_eq!(one.id, *name);
        assert_eq!(through(&ward, |explorer| explorer.transaction(name)).unwrap().as_ref(), Some(one));
    }
    let second = through(&ward, |explorer| explorer.block(1, 1)).unwrap().unwrap();
    assert_eq!(second.transactions, block.transactions[1..]);
    assert_eq!(through(&ward, |explorer| explorer.block(1, 9)).unwrap().unwrap().transactions, []);
    assert_eq!(through(&ward, |explorer| explorer.block(2, 0)).unwrap(), None);
    let genesis = through(&ward, |explorer| explorer.block(0, 0)).unwrap().unwrap();
    assert_eq!(genesis.committee, ward.document.committee);
    assert_eq!(through(&ward, |explorer| explorer.transaction(&[0; 32])).unwrap(), None);
}

#[test]
fn a_waiting_transaction_is_found_and_waits() {
    let ward = Ward::with(2);
    let pool = Pool::new(ward.machine.clone());
    let name = pool.submit(ward.next(0, &anchor(10))).unwrap();
    let explorer = ChainExplorer::new(&ward.machine, &pool, 128);
    let waiting = explorer.transaction(&name).unwrap().unwrap();
    assert_eq!((waiting.place, waiting.outcome, waiting.gas_used), (None, Outcome::Pending, None));
    assert_eq!(waiting.action, TxAction::Act(anchor(10)));
    assert_eq!(waiting.sender, account::address_of(&crate::machine::tests::secret(0)).unwrap());
}

#[test]
fn validators_proposals_and_turns_are_read_from_the_state() {
    let mut ward = Ward::with(2);
    let seat = Motion::AddValidator { key: [0x77; 32], org: org(0), endpoint: "new.example:9000".into() };
    ward.done(0, &Act::Propose(seat.clone()));
    let (authorities, proposals) =
        through(&ward, |explorer| (explorer.authorities().unwrap(), explorer.proposals().unwrap()));
    assert_eq!(authorities.committee, ward.document.committee);
    assert_eq!((proposals[0].id, &proposals[0].motion), (1, &seat));
    // One organisation is seated: its own vote carries it out.
    let one = &proposals[0];
    assert_eq!((&one.votes[..], one.needed, one.acts_from_epoch), (&[org(0)][..], 1, Some(2)));
    assert!(one.may_vote.is_empty());
    let coming = authorities.validators.iter().find(|one| one.key == [0x77; 32]).unwrap();
    assert_eq!((coming.since_epoch, coming.endpoint.as_str()), (2, "new.example:9000"));
    let turns = through(&ward, |explorer| explorer.turns(&authorities.committee)).unwrap();
    assert_eq!((turns.len(), turns[0].led, turns[0].skipped, turns[0].last_led), (1, 1, 0, Some(1)));
}

#[test]
fn a_pruned_block_is_named_and_not_taken_for_an_empty_one() {
    let config = Config { keep_states: 3, keep_bodies: Some(4), keep_headers: Some(8), ..Config::default() };
    let mut ward = Ward::keeping(1, config);
    for key in 1..=12 {
        ward.done(0, &gateway(key));
    }
    ward.block(&[]);
    through(&ward, |explorer| {
        let found = explorer.blocks(&all(40)).unwrap();
        assert!(found.pruned && found.next.is_none(), "not taken for the first of all");
        let lines = found.blocks;
        let told: Vec<_> = lines.iter().map(|line| (line.height, line.transactions, line.pruned)).collect();
        let expected: Vec<_> = (6..=13)
            .rev()
            .map(|height| (height, usize::from((10..13).contains(&height)), height < 10))
            .collect();
        assert_eq!(told, expected);
        assert!(explorer.block(7, 0).unwrap().unwrap().line.pruned);
        // Asked for one organisation's, the answer ends where nobody knows any more whose they were.
        let ours = explorer.blocks(&BlockQuery { org: Some(org(0)), ..all(40) }).unwrap();
        let heights: Vec<u64> = ours.blocks.iter().map(|line| line.height).collect();
        assert!(heights == [12, 11, 10] && ours.pruned && ours.next.is_none(), "{ours:?}");
        assert!(!explorer.block(13, 0).unwrap().unwrap().line.pruned, "it never carried any");
        let why = explorer.block(3, 0).unwrap_err();
        assert_eq!(why, LedgerError::Pruned { height: 3, from: 6 });
        assert_eq!(why.to_string(), "block 3 is pruned: this node keeps blocks from 6 on");
        assert!(explorer.block(14, 0).unwrap().is_none(), "not there yet");
        assert!(explorer.block(0, 0).unwrap().is_some(), "genesis stays");
    });
}
