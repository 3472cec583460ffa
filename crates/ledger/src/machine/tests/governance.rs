//! Organisations vote on validators and on each other.

use super::*;
use vitals::governance::{EPOCHS_AHEAD, Motion, PROPOSAL_AGE_MS_MAX, Proposal};
use vitals::refusal::Refusal;

const EPOCH_BLOCKS: u64 = 100;

fn add(validator: u8, operator: u8) -> Act {
    let endpoint = format!("node{operator}.example:4410");
    Act::Propose(Motion::AddValidator { key: [validator; 32], org: org(operator), endpoint })
}

fn refused(outcome: Outcome, why: Refusal) {
    assert_eq!(outcome, Outcome::Refused { reason: why.to_string() });
}

fn newest(ward: &Ward) -> Proposal {
    ward.machine.view().proposals(1).unwrap().remove(0)
}

fn committee(ward: &Ward, epoch: u64) -> Vec<u8> {
    ward.machine.view().committee(epoch).unwrap().iter().map(|key| key[0]).collect()
}

fn epoch(ward: &Ward) -> u64 {
    ward.machine.tip().height / EPOCH_BLOCKS
}

/// Goes on with empty blocks until the first block of a later epoch.
fn to_the_next_epoch(ward: &mut Ward) {
    let now = epoch(ward);
    while epoch(ward) == now {
        ward.block(&[]);
    }
}

#[test]
fn one_validator_grows_to_four_and_shrinks_to_three() {
    let mut ward = Ward::with(4);
    for number in 1..4u8 {
        ward.done(0, &add(3 + number, number));
        let id = newest(&ward).id;
        for voter in 1..number {
            if newest(&ward).accepted.is_none() {
                ward.done(voter, &Act::Vote { proposal: id });
            }
        }
        let accepted = newest(&ward).accepted.unwrap();
        assert_eq!(accepted.acts_from_epoch, epoch(&ward) + EPOCHS_AHEAD);
    }
    // Nothing changes for the committees that are settled.
    assert_eq!(committee(&ward, 0), [3]);
    assert_eq!(committee(&ward, 1), [3]);
    assert_eq!(committee(&ward, 2), [3, 4, 5, 6]);
    to_the_next_epoch(&mut ward);
    to_the_next_epoch(&mut ward);
    assert_eq!(committee(&ward, 2), [3, 4, 5, 6]);

    ward.done(1, &Act::Propose(Motion::RemoveValidator { key: [6; 32] }));
    let id = newest(&ward).id;
    ward.done(0, &Act::Vote { proposal: id });
    assert_eq!(newest(&ward).accepted, None, "two of four are not more than half");
    refused(ward.act(0, &Act::Vote { proposal: id }), Refusal::VoteRepeated);
    ward.done(3, &Act::Vote { proposal: id });
    assert_eq!(newest(&ward).accepted.unwrap().acts_from_epoch, 4);
    assert_eq!(newest(&ward).votes, [org(1), org(0), org(3)]);
    assert_eq!((committee(&ward, 3), committee(&ward, 4)), (vec![3, 4, 5, 6], vec![3, 4, 5]));
    refused(ward.act(2, &Act::Vote { proposal: id }), Refusal::ProposalAccepted);
    // Its organisation lost its seat at once.
    refused(ward.act(3, &Act::Propose(Motion::RemoveValidator { key: [3; 32] })), Refusal::NotSeated);

    let validators = ward.machine.view().validators().unwrap();
    let seen: Vec<_> =
        validators.iter().map(|one| (one.key[0], one.org, one.from_epoch, one.until_epoch)).collect();
    assert_eq!(
        seen,
        [(3, org(0), 0, None), (4, org(1), 2, None), (5, org(2), 2, None), (6, org(3), 2, Some(4))]
    );
    assert_eq!(validators[1].endpoint, "node1.example:4410");
    let ward = ward.reopened();
    assert_eq!(ward.machine.view().validators().unwrap(), validators);
}

#[test]
fn outsiders_votes_count_for_nothing() {
    let mut ward = Ward::with(3);
    // One without a seat proposes its own validator, and nobody else's.
    ward.done(2, &add(7, 2));
    assert_eq!((newest(&ward).votes, newest(&ward).accepted), (vec![], None));
    refused(ward.act(2, &add(8, 1)), Refusal::NotSeated);
    refused(ward.act(2, &Act::Vote { proposal: 1 }), Refusal::NotSeated);
    refused(ward.act(2, &Act::Settle { proposal: 1 }), Refusal::VotesMissing);
    refused(ward.act(1, &Act::Vote { proposal: 2 }), Refusal::NotSeated);
    refused(ward.act(0, &Act::Vote { proposal: 2 }), Refusal::ProposalUnknown);
    refused(ward.act(0, &Act::Propose(Motion::RemoveValidator { key: [3; 32] })), Refusal::LastValidator);
    assert_eq!(committee(&ward, 9), [3]);
    ward.done(0, &Act::Vote { proposal: 1 });
    assert_eq!(committee(&ward, 2), [3, 7]);
}

#[test]
fn proposal_of_last_week_is_proposed_again() {
    let mut ward = Ward::with(2);
    ward.done(1, &add(7, 1));
    ward.now_ms += PROPOSAL_AGE_MS_MAX + 1_000;
    refused(ward.act(0, &Act::Vote { proposal: 1 }), Refusal::ProposalExpired);
    for _ in 0..8 {
        ward.done(1, &add(7, 1));
    }
    refused(ward.act(1, &add(7, 1)), Refusal::ProposalsOpen);
    ward.done(0, &Act::Vote { proposal: 2 });
    // Two have seats by now, and the key is taken: the vote that would carry it out is refused.
    ward.done(0, &Act::Vote { proposal: 3 });
    refused(ward.act(1, &Act::Vote { proposal: 3 }), Refusal::ValidatorKnown);
    assert_eq!(ward.machine.view().proposal(3).unwrap().unwrap().votes, [org(0)]);
}

#[test]
fn wiped_node_comes_back_under_a_new_key() {
    let mut ward = Ward::with(2);
    ward.done(0, &add(7, 1));
    let replace = |old, new| {
        Act::Propose(Motion::ReplaceKey { old: [old; 32], new: [new; 32], endpoint: String::new() })
    };
    refused(ward.act(0, &replace(7, 8)), Refusal::NotTheOperator);
    ward.done(1, &replace(7, 8));
    ward.done(0, &Act::Vote { proposal: 2 });
    assert_eq!(committee(&ward, 2), [3, 8]);
    // An old entry is dropped when the list changes after its epochs are over; then the key may come again.
    for _ in 0..4 {
        to_the_next_epoch(&mut ward);
    }
    refused(
        ward.act(1, &Act::Announce { validator: [8; 32], endpoint: "no port".into() }),
        Refusal::EndpointWrong,
    );
    refused(
        ward.act(0, &Act::Announce { validator: [8; 32], endpoint: "h:1".into() }),
        Refusal::NotTheOperator,
    );
    ward.done(1, &Act::Announce { validator: [8; 32], endpoint: "[2001:db8::1]:4410".into() });
    ward.done(1, &add(7, 1));
    let view = ward.machine.view();
    let kept: Vec<_> =
        view.validators().unwrap().iter().map(|one| (one.key[0], one.endpoint.clone())).collect();
    assert_eq!(kept, [(3, String::new()), (8, "[2001:db8::1]:4410".into())]);
}

#[test]
fn organisation_is_admitted_sends_and_is_removed() {
    let mut ward = Ward::with(1);
    let sender = account::address_of(&secret(5)).unwrap();
    let newcomer = ward.signed(5, 0, &gateway(0x55));
    let snapshot = ward.machine.view().snapshot();
    assert!(ward.machine.execute(&snapshot, ward.next_env(), &[&newcomer]).is_err());
    let motion = Motion::AdmitOrganisation { record_key: record_key(5), sender };
    ward.done(0, &Act::Propose(motion.clone()));
    refused(ward.act(0, &Act::Propose(motion)), Refusal::OrganisationKnown);
    ward.done(5, &gateway(0x55));
    let view = ward.machine.view();
    assert_eq!(view.organisations().unwrap(), [org(0), org(5)]);
    assert_eq!(view.sends_for(sender.into()), Some(org(5)));

    ward.done(0, &Act::Propose(Motion::RemoveOrganisation { org: org(5) }));
    assert!(!ward.machine.view().organisation(org(5)).unwrap().unwrap().active);
    assert_eq!(ward.machine.view().sends_for(sender.into()), None);
    refused(
        ward.act(0, &Act::Propose(Motion::RemoveOrganisation { org: org(5) })),
        Refusal::OrganisationUnknown,
    );
    refused(ward.act(0, &Act::Propose(Motion::RemoveOrganisation { org: org(0) })), Refusal::LastValidator);
}

#[test]
fn votes_of_those_who_lost_their_seats_are_not_counted() {
    let mut ward = Ward::with(5);
    for number in 1..5u8 {
        ward.done(0, &add(3 + number, number));
        let id = newest(&ward).id;
        for voter in 1..number {
            if newest(&ward).accepted.is_none() {
                ward.done(voter, &Act::Vote { proposal: id });
            }
        }
    }
    // Two of five for the removal of the founder.
    ward.done(1, &Act::Propose(Motion::RemoveValidator { key: [3; 32] }));
    let open = newest(&ward).id;
    ward.done(4, &Act::Vote { proposal: open });
    // 4 leaves: its vote is gone, one of four stays.
    ward.done(0, &Act::Propose(Motion::RemoveOrganisation { org: org(4) }));
    let id = newest(&ward).id;
    ward.done(1, &Act::Vote { proposal: id });
    ward.done(2, &Act::Vote { proposal: id });
    refused(ward.act(1, &Act::Settle { proposal: open }), Refusal::VotesMissing);
    ward.done(2, &Act::Vote { proposal: open });
    assert_eq!(ward.machine.view().proposal(open).unwrap().unwrap().accepted, None);
    // 3 leaves as well: two of three are more than half, without another vote.
    ward.done(0, &Act::Propose(Motion::RemoveValidator { key: [6; 32] }));
    let id = newest(&ward).id;
    ward.done(1, &Act::Vote { proposal: id });
    ward.done(2, &Act::Vote { proposal: id });
    ward.done(0, &Act::Settle { proposal: open });
    assert!(ward.machine.view().proposal(open).unwrap().unwrap().accepted.is_some());
    assert_eq!(committee(&ward, 2), [4, 5]);
}

#[test]
fn only_authorities_admit_organisations() {
    use crate::contracts::bindings::Directory;
    use alloy_sol_types::SolCall;
    let mut ward = Ward::with(1);
    let key = SecretKey::from_byte_array(&secret(0)).unwrap();
    let data = Directory::admitCall { recordKey: [9; 32].into(), sender: [8; 20].into() }.abi_encode();
    let to = ward.machine.contracts().directory;
    let executed = ward.block(&[account::sign(&key, ward.machine.chain_id(), 0, (to, data))]);
    let reason = crate::contracts::reason(&executed.receipts[0].revert);
    assert_eq!(reason, "only the votes of the authorities decide who exists");
}

#[test]
fn endpoints_are_read_alike_by_contract_and_model() {
    let mut ward = Ward::with(1);
    let long = format!("{}:1", "h".repeat(253));
    let too_long = format!("{}:1", "h".repeat(254));
    let texts = [
        "",
        ":",
        "h:",
        ":1",
        "h:1",
        "h:12345",
        "h:123456",
        "h1",
        "12345",
        "1:1",
        "a.b-c:9",
        "[::1]:80",
        "h h:1",
        "h/:1",
        "ü:1",
        "h:1 ",
        "h:+1",
        long.as_str(),
        too_long.as_str(),
    ];
    for text in texts {
        let outcome = ward.act(0, &Act::Announce { validator: [3; 32], endpoint: text.into() });
        let done = matches!(outcome, Outcome::Done { .. });
        assert_eq!(done, vitals::governance::is_endpoint(text), "{text:?}: {outcome:?}");
    }
}
