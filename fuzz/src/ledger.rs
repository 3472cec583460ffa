//! The ledger's decoders. Apart from the others, because the engine behind them takes minutes to
//! build: the guided fuzzer leaves them out unless asked (`--features ledger`).

use super::targets::Target;
use ::ledger::genesis::{Founding, document};
use ::ledger::machine::{Machine, Receipt};
use ::ledger::pool::Pool;
use ::ledger::rpc::{ANSWER_BYTES_MAX, Backend, Caller, handle};
use std::sync::OnceLock;
use vitals::ids::OrgId;
use vitals::proof::genesis::Founder;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "transaction", seeds: &["transaction_"], attack: transaction },
    Target { name: "outcome", seeds: &["outcome_"], attack: outcome },
    Target { name: "revert", seeds: &["outcome_", "transaction_"], attack: revert },
    Target { name: "json_rpc", seeds: &["json_rpc_"], attack: json_rpc },
];

/// Requests as clients send them.
const REQUESTS: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","method":"eth_gasPrice","params":[]}]"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"eth_call","params":[{"to":"0x1111111111111111111111111111111111111111","data":"0x5b5f56","gas":"0x5208"},{"blockNumber":"0x0"}]}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"eth_getLogs","params":[{"fromBlock":"0x0","address":[],"topics":[null,["0x0000000000000000000000000000000000000000000000000000000000000007"]]}]}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"eth_getProof","params":["0x1111111111111111111111111111111111111111",["0x0"],"earliest"]}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"eth_sendRawTransaction","params":["0x02f86a83014821808080830f42409411"]}"#,
];

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let founding = Founding {
            chain_id: 84_001,
            name: "fuzz".into(),
            time_ms: 1,
            epoch_blocks: 1000,
            committee: vec![[9; 32]],
            operators: vec![OrgId::of(&[8; 32])],
            founders: vec![Founder { record_key: [8; 32], sender: [7; 20] }],
            salt: [0; 32],
        };
        let folder = std::env::temp_dir().join(format!("aceso-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for a machine");
        let machine = Machine::open(&folder, &document(founding)).expect("a new machine opens");
        let _ = std::fs::remove_dir_all(folder);
        machine
    })
}

fn transaction(bytes: &[u8]) {
    if let Ok(checked) = machine().check(bytes) {
        let again = machine().check(bytes).expect("what was accepted once is accepted again");
        assert_eq!((checked.hash, checked.sender), (again.hash, again.sender));
    }
}

fn json_rpc(bytes: &[u8]) {
    static BACKEND: OnceLock<Backend> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| Backend::new(machine().clone(), Pool::new(machine().clone())));
    let answer = handle(backend, Caller([0; 16]), 0, bytes);
    let shaped = matches!(
        (answer.first(), answer.last()),
        (None, None) | (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    );
    assert!(shaped && answer.len() < 2 * ANSWER_BYTES_MAX, "an answer is JSON, or nothing");
}

fn outcome(bytes: &[u8]) {
    let Ok(receipt) = Receipt::decode(bytes) else { return };
    assert_eq!(receipt.encode(), bytes, "an accepted outcome has one encoding");
}

fn revert(bytes: &[u8]) {
    assert!(!::ledger::contracts::reason(bytes).is_empty());
}

/// A transaction of each accepted type (their signatures recover to nobody known), and an outcome.
pub fn made_seeds() -> Vec<(String, Vec<u8>)> {
    let legacy = "f866808082520894111111111111111111111111111111111111111180840102030483029065a079\
        be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798a02222222222222222\
        222222222222222222222222222222222222222222222222";
    let eip2930 = "01f89d8301482180808252089411111111111111111111111111111111111111118080f838f79411\
        11111111111111111111111111111111111111e1a003030303030303030303030303030303030303\
        0303030303030303030303030301a079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959\
        f2815b16f81798a02222222222222222222222222222222222222222222222222222222222222222";
    let eip1559 = "02f86a83014821808080830f42409411111111111111111111111111111111111111118084010203\
        04c080a079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798a0222222\
        2222222222222222222222222222222222222222222222222222222222";
    let mut seeds = Vec::new();
    for (name, text) in [("legacy", legacy), ("2930", eip2930), ("1559", eip1559)] {
        let bytes = hex::decode(text).expect("a seed is hex");
        assert!(machine().check(&bytes).is_ok(), "the seed {name} is accepted");
        seeds.push((format!("transaction_{name}"), bytes));
    }
    let outcome = Receipt { succeeded: false, gas: 21_000, revert: vec![1, 2, 3, 4], logs: vec![] };
    seeds.push(("outcome_reverted".into(), outcome.encode()));
    for (number, request) in REQUESTS.iter().enumerate() {
        seeds.push((format!("json_rpc_{number}"), request.as_bytes().to_vec()));
    }
    seeds
}
