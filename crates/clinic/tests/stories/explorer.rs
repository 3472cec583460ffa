//! Who may look into the ledger, and what is there.

use clinic::Denied;
use testward::{Ward, denied};
use vitals::OrgId;
use vitals::explorer::{BlockQuery, SUMMARIES_MAX, TxAction};
use vitals::governance::Motion;
use vitals::ids::Class;
use vitals::ledger::{Act, Outcome, Purpose, Role};

fn newest(most: usize) -> BlockQuery {
    BlockQuery { most, ..BlockQuery::default() }
}

#[test]
fn administrators_and_auditors_look_into_the_ledger_and_nobody_else() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.person("ada", Role::Auditor);
    ward.person("fay", Role::Family);
    ward.block();
    let now_ms = ward.now_ms;
    for session in [ward.admin.clone(), ward.as_("ada")] {
        let blocks = ward.clinic.ledger_blocks(&session, &newest(10), now_ms).unwrap();
        assert!(!blocks.blocks.is_empty());
        assert!(ward.clinic.ledger_block(&session, 1, 0, now_ms).unwrap().is_some());
        assert!(ward.clinic.ledger_transaction(&session, &[0; 32], now_ms).unwrap().is_none());
        assert_eq!(ward.clinic.ledger_governance(&session, now_ms).unwrap().health.len(), 1);
    }
    for (who, role) in [("lee", Role::Clinician), ("amira", Role::Patient), ("fay", Role::Family)] {
        let session = ward.as_(who);
        let all = [
            denied(ward.clinic.ledger_blocks(&session, &newest(10), now_ms)),
            denied(ward.clinic.ledger_block(&session, 1, 0, now_ms)),
            denied(ward.clinic.ledger_transaction(&session, &[0; 32], now_ms)),
            denied(ward.clinic.ledger_governance(&session, now_ms)),
        ];
        assert!(all.iter().all(|why| *why == Denied::Role { role }), "{who}: {all:?}");
    }
    let ada = ward.as_("ada");
    ward.ledger.suspend(ada.person, now_ms);
    assert_eq!(denied(ward.clinic.ledger_blocks(&ada, &newest(10), now_ms)), Denied::NotEnrolled);
}

#[test]
fn a_consent_is_found_in_its_block_and_by_its_name() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let (admin, now_ms) = (ward.admin.clone(), ward.now_ms);
    let blocks = ward.clinic.ledger_blocks(&admin, &newest(1), now_ms).unwrap();
    let line = &blocks.blocks[0];
    assert!(line.summaries.len() <= SUMMARIES_MAX);
    assert!(line.summaries.iter().any(|told| matches!(told.action, TxAction::Act(Act::Grant(_)))));
    let block = ward.clinic.ledger_block(&admin, line.height, 0, now_ms).unwrap().unwrap();
    let consent =
        block.transactions.iter().find(|one| matches!(one.action, TxAction::Act(Act::Grant(_)))).unwrap();
    assert_eq!(consent.outcome, Outcome::Done { height: line.height });
    let found = ward.clinic.ledger_transaction(&admin, &consent.id, now_ms).unwrap();
    assert_eq!(found.as_ref(), Some(consent));
    let rest = BlockQuery { before: blocks.next, most: 100, org: None };
    let older = ward.clinic.ledger_blocks(&admin, &rest, now_ms).unwrap();
    assert_eq!(older.blocks.first().map(|block| block.height), Some(line.height - 1));
    assert_eq!((older.blocks.last().map(|block| block.height), older.next), (Some(1), None));
}

#[test]
fn a_ledger_that_does_not_answer_says_so() {
    let ward = Ward::new();
    let (admin, now_ms) = (ward.admin.clone(), ward.now_ms);
    ward.ledger.set_down(true);
    // Whoever asks cannot be found on the ledger either: that no comes first.
    assert_eq!(denied(ward.clinic.ledger_blocks(&admin, &newest(1), now_ms)), Denied::LedgerDown);
    ward.ledger.set_down(false);
    assert!(ward.clinic.ledger_blocks(&admin, &newest(1), now_ms).is_ok());
}

#[test]
fn only_administrators_propose_and_vote() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.person("ada", Role::Auditor);
    ward.block();
    ward.ledger.add_neighbour_validator(OrgId([0x0c; 16]));
    let now_ms = ward.now_ms;
    for (who, role) in [("ada", Role::Auditor), ("lee", Role::Clinician), ("amira", Role::Patient)] {
        let session = ward.as_(who);
        let motion = Motion::RemoveValidator { key: [0x22; 32] };
        assert_eq!(denied(ward.clinic.may_govern(&session, now_ms)), Denied::Role { role });
        assert_eq!(denied(ward.clinic.propose(&session, motion, now_ms)), Denied::Role { role });
        assert_eq!(denied(ward.clinic.vote(&session, 1, now_ms)), Denied::Role { role });
    }
    let open = ward.clinic.ledger_governance(&ward.admin, now_ms).unwrap().proposals.remove(0);
    assert!(open.is_open(now_ms) && open.may_vote == [ward.clinic.org()] && open.needed == 2);
    let ticket = ward.clinic.vote(&ward.admin, open.id, now_ms).unwrap();
    ward.block();
    ward.done(&ticket);
    let done = ward.clinic.ledger_governance(&ward.admin, now_ms).unwrap().proposals.remove(0);
    assert!(!done.is_open(now_ms) && done.acts_from_epoch.is_some());
}
