//! What the gateway remembers of the ledger.

use super::simulated_node::{delivery_of, document, record_key};
use crate::verifier::{NotVerified, Verifier};
use vitals::proof::witness::{Alarm, ROLLBACK_GRACE_MS};

fn trust(dir: &tempfile::TempDir) -> Verifier {
    Verifier::open(std::sync::Arc::new(durable::Os), dir.path(), document(), record_key()).unwrap()
}

#[test]
fn two_ledgers_under_one_genesis_are_told_apart_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut here = trust(&dir);
    here.delivery(&delivery_of(5, [1; 32]), 0).unwrap();
    assert_eq!(here.alarm(), None);
    drop(here);
    let mut here = trust(&dir);
    let other = here.delivery(&delivery_of(5, [2; 32]), 1);
    assert!(matches!(other, Err(NotVerified::Broken(_))));
    assert_eq!(here.alarm(), Some(Alarm::SplitView { height: 17 }));
    drop(here);
    assert!(trust(&dir).alarm().is_some(), "nobody has decided yet which one is right");
}

#[test]
fn a_ledger_that_goes_back_is_not_believed_and_alarms_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut here = trust(&dir);
    here.delivery(&delivery_of(9, [1; 32]), 0).unwrap();
    for at_ms in [1, ROLLBACK_GRACE_MS] {
        let (height, claims) = here.delivery(&delivery_of(5, [1; 32]), at_ms).unwrap();
        assert_eq!((height, claims.len()), (17, 0));
        assert_eq!(here.alarm(), None);
    }
    here.delivery(&delivery_of(5, [1; 32]), 1 + ROLLBACK_GRACE_MS).unwrap();
    assert_eq!(here.alarm(), Some(Alarm::Rollback { seen: 21, shown: 17 }));
    here.delivery(&delivery_of(10, [3; 32]), 2 + ROLLBACK_GRACE_MS).unwrap();
    assert_eq!(here.alarm(), None);
}

#[test]
fn a_damaged_memory_does_not_keep_a_bed_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    trust(&dir).delivery(&delivery_of(5, [1; 32]), 0).unwrap();
    std::fs::write(dir.path().join("witness"), b"torn").unwrap();
    trust(&dir).delivery(&delivery_of(5, [2; 32]), 0).unwrap();
}
