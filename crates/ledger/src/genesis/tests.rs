#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn founding(operators: Vec<OrgId>) -> Founding {
    Founding {
        chain_id: 1,
        name: String::from("ward"),
        time_ms: 1,
        epoch_blocks: 128,
        committee: vec![[3; 32], [1; 32], [2; 32]],
        operators,
        founders: vec![Founder { record_key: [8; 32], sender: [7; 20] }],
        salt: [0; 32],
    }
}

#[test]
fn validators_are_sorted_together_with_the_organisations_that_run_them() {
    let [one, two, three] = [1, 2, 3].map(|byte| OrgId([byte; 16]));
    let document = document(founding(vec![three, one, two]));
    assert_eq!(document.committee, [[1; 32], [2; 32], [3; 32]]);
    assert_eq!(document.operators, [one, two, three]);
    assert_eq!(document.version(), 2);
}

#[test]
fn ledger_without_operators_is_refused() {
    let old = state(&document(founding(vec![]))).map(drop).unwrap_err();
    assert_eq!(old, GenesisError::OldDocument { version: 1 });
    assert!(old.to_string().contains("found the ledger anew"), "{old}");
    let short = state(&document(founding(vec![OrgId([1; 16]); 2]))).map(drop).unwrap_err();
    assert_eq!(short, GenesisError::Operators { validators: 3, operators: 2 });
}
