use super::*;

fn numbers(logs: &Value) -> Vec<u64> {
    let number = |log: &Value| u64::from_str_radix(&log["data"].as_str().unwrap()[2..], 16).unwrap();
    logs.as_array().unwrap().iter().map(number).collect()
}

fn topic(number: u64) -> Value {
    json!(hex::encode_prefixed(word(number)))
}

#[test]
fn events_are_found_by_block_address_and_topic() {
    let (mut scene, tally) = Scene::with_tally();
    let at = json!(hex::encode_prefixed(tally));
    scene.tell(tally, &[10, 11]);
    scene.ward.block(&[]);
    scene.tell(tally, &[12]);
    let found = |filter: Value| numbers(&scene.ask("eth_getLogs", json!([filter])));
    assert_eq!(found(json!({ "fromBlock": "earliest" })), [10, 11, 12]);
    assert_eq!(found(json!({})), [12], "the newest block alone");
    assert_eq!(found(json!({ "fromBlock": "0x0", "toBlock": "0x2", "address": at })), [10, 11]);
    assert_eq!(found(json!({ "fromBlock": "0x0", "address": [Address::ZERO, tally] })), [10, 11, 12]);
    assert!(found(json!({ "fromBlock": "0x0", "address": Address::ZERO })).is_empty());
    for (topics, hits) in [
        (json!([topic(7)]), 3),
        (json!([null]), 3),
        (json!([[topic(1), topic(7)]]), 3),
        (json!([[topic(1), null]]), 3),
        (json!([topic(1)]), 0),
        (json!([topic(7), null]), 0),
        (json!([]), 3),
    ] {
        assert_eq!(found(json!({ "fromBlock": "0x0", "topics": topics })).len(), hits, "{topics}");
    }
    let block = scene.ask("eth_getBlockByNumber", json!(["0x2", false]));
    assert_eq!(found(json!({ "blockHash": block["hash"] })), [10, 11]);
    assert!(found(json!({ "fromBlock": "latest", "toBlock": "0x1" })).is_empty());
    assert!(found(json!({ "fromBlock": "0x50", "toBlock": "0x60" })).is_empty(), "not there yet");
    let log = &scene.ask("eth_getLogs", json!([{ "blockHash": block["hash"] }]))[1];
    assert_eq!((&log["logIndex"], &log["transactionIndex"]), (&json!("0x1"), &json!("0x1")));
    assert_eq!((&log["transactionHash"], &log["removed"]), (&block["transactions"][1], &json!(false)));
    assert_eq!((&log["blockHash"], &log["topics"]), (&block["hash"], &json!([topic(7)])));
    for wrong in [
        json!({ "fromBlock": "0x5", "toBlock": "0x1" }),
        json!({ "blockHash": block["hash"], "fromBlock": "0x0" }),
        json!({ "topics": [1] }),
        json!({ "topics": [[], [], [], [], []] }),
        json!({ "address": vec![at; WANTED_MAX + 1] }),
        json!([]),
    ] {
        assert_eq!(scene.refused("eth_getLogs", json!([wrong])).0, -32602, "{wrong}");
    }
    assert_eq!(scene.refused("eth_getLogs", json!([{ "blockHash": B256::ZERO }])).0, -32001);
}

#[test]
fn a_filter_returns_what_is_new_since_the_last_poll() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[10]);
    let filter = scene.ask("eth_newFilter", json!([{ "fromBlock": "0x0", "address": tally }]));
    let blocks = scene.ask("eth_newBlockFilter", json!([]));
    let changes = |scene: &Scene, id: &Value| scene.ask("eth_getFilterChanges", json!([id]));
    assert_eq!((changes(&scene, &filter), changes(&scene, &blocks)), (json!([]), json!([])));
    scene.tell(tally, &[11]);
    scene.tell(tally, &[12, 13]);
    assert_eq!(numbers(&changes(&scene, &filter)), [11, 12, 13]);
    assert_eq!(changes(&scene, &filter), json!([]));
    let hashes: Vec<_> =
        ["0x3", "0x4"].map(|at| scene.ask("eth_getBlockByNumber", json!([at, false]))["hash"].clone()).into();
    assert_eq!(changes(&scene, &blocks), Value::Array(hashes));
    assert_eq!(numbers(&scene.ask("eth_getFilterLogs", json!([filter]))), [10, 11, 12, 13]);
    assert_eq!(scene.refused("eth_getFilterLogs", json!([blocks])).0, -32000);
    assert_eq!(scene.ask_as(YOU, "eth_getFilterChanges", json!([filter])).unwrap_err().0, -32000);
    assert_eq!(scene.ask_as(YOU, "eth_uninstallFilter", json!([filter])).unwrap(), json!(false));
    assert_eq!(scene.ask("eth_uninstallFilter", json!([filter])), json!(true));
    assert_eq!(scene.ask("eth_uninstallFilter", json!([filter])), json!(false));
    assert_eq!(scene.refused("eth_getFilterChanges", json!([filter])).1, "filter not found");
}

#[test]
fn filters_are_bounded_and_forgotten() {
    let mut scene = Scene::new();
    let made: Vec<_> =
        (0..FILTERS_PER_CALLER_MAX).map(|_| scene.ask("eth_newBlockFilter", json!([]))).collect();
    assert_eq!(scene.refused("eth_newBlockFilter", json!([])).0, -32005);
    assert!(scene.ask_as(YOU, "eth_newBlockFilter", json!([])).is_ok(), "others have their own share");
    scene.now_ms += FILTER_IDLE_MS_MAX;
    scene.ask("eth_getFilterChanges", json!([made[0]]));
    scene.now_ms += 1;
    assert_eq!(scene.refused("eth_getFilterChanges", json!([made[1]])).1, "filter not found");
    scene.ask("eth_getFilterChanges", json!([made[0]]));
    for place in 0..=FILTERS_MAX / FILTERS_PER_CALLER_MAX {
        let caller = Caller([u8::try_from(place).unwrap() + 10; 16]);
        for _ in 0..FILTERS_PER_CALLER_MAX {
            let _ = scene.ask_as(caller, "eth_newBlockFilter", json!([]));
        }
    }
    assert_eq!(scene.ask_as(YOU, "eth_newBlockFilter", json!([])).unwrap_err().0, -32005);
}

#[test]
fn events_are_found_from_the_first_block_on_however_long_the_ledger_was_idle() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[10]);
    let filter = scene.ask("eth_newFilter", json!([{ "fromBlock": "0x0", "address": tally }]));
    let blocks = scene.ask("eth_newBlockFilter", json!([]));
    // More than the former bound of 10,000 blocks, which an idle ledger reached in half an hour.
    scene.ward.idle(10_001);
    scene.tell(tally, &[11]);
    let wanted = json!({ "fromBlock": "earliest", "address": tally });
    assert_eq!(numbers(&scene.ask("eth_getLogs", json!([wanted]))), [10, 11]);
    assert_eq!(numbers(&scene.ask("eth_getLogs", json!([{ "fromBlock": "0x0" }]))), [10, 11]);
    assert_eq!(numbers(&scene.ask("eth_getFilterLogs", json!([filter]))), [10, 11]);
    assert_eq!(numbers(&scene.ask("eth_getFilterChanges", json!([filter]))), [11]);
    let mut told = 0;
    for _ in 0..2 {
        told += scene.ask("eth_getFilterChanges", json!([blocks])).as_array().unwrap().len();
    }
    assert_eq!(told, 10_002, "every block, over two polls");
}

#[test]
fn idle_blocks_cost_a_question_nothing() {
    let (mut scene, tally) = Scene::with_tally();
    let wanted = logs::read(&json!({ "fromBlock": "0x0", "address": tally })).unwrap().0;
    let cost = |scene: &Scene| {
        let mut work = WorkBudget::default();
        let tip = scene.ward.machine.tip().height;
        let (found, next) = scene.backend.scan(0..=tip, &wanted, false, &mut work).unwrap();
        assert_eq!(next, tip + 1);
        (found.len(), format!("{work:?}"))
    };
    scene.tell(tally, &[10, 11]);
    let before = cost(&scene);
    assert_eq!(before.0, 2);
    scene.ward.idle(500);
    assert_eq!(cost(&scene), before);
}

#[test]
fn a_question_that_is_too_long_is_told_how_far_one_may_go() {
    let (mut scene, tally) = Scene::with_tally();
    for number in 10..20 {
        scene.tell(tally, &[number]);
    }
    let wanted = logs::read(&json!({ "address": tally })).unwrap().0;
    let tip = scene.ward.machine.tip().height;
    // Enough for some of the blocks, not for all.
    let budget = || WorkBudget::of(4 * (budget::BLOCK + budget::RECEIPT) + 20 * budget::HEIGHT);
    let why = scene.backend.scan(0..=tip, &wanted, false, &mut budget()).unwrap_err();
    let said = why.shown();
    let words = said["message"].as_str().unwrap();
    assert_eq!(said["code"], json!(-32005));
    assert!(words.contains("ask for blocks 0 to 5, and for the rest from block 6 on"), "{words}");
    // A poll goes on there by itself, and ends with everything.
    let (mut found, mut next) = (Vec::new(), 0);
    while next <= tip {
        let (more, on) = scene.backend.scan(next..=tip, &wanted, true, &mut budget()).unwrap();
        assert!(on > next);
        (found, next) = ([found, more].concat(), on);
    }
    assert_eq!(numbers(&Value::Array(found)), (10..20).collect::<Vec<_>>());
}

#[test]
fn what_was_let_go_is_an_error_by_its_height_and_never_null() {
    let keep = crate::machine::Config { keep_bodies: Some(4), ..Default::default() };
    let (mut scene, tally) = Scene::over(Ward::keeping(2, keep)).tally();
    for number in 10..20 {
        scene.tell(tally, &[number]);
    }
    let tip = scene.ward.machine.tip().height;
    for method in [
        "eth_getBlockByNumber",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByNumber",
        "eth_getTransactionByBlockNumberAndIndex",
    ] {
        let params = |height: u64| match method {
            "eth_getBlockByNumber" => json!([format!("{height:#x}"), true]),
            "eth_getTransactionByBlockNumberAndIndex" => json!([format!("{height:#x}"), "0x0"]),
            _ => json!([format!("{height:#x}")]),
        };
        let (code, why) = scene.refused(method, params(2));
        assert!(code == -32001 && why.contains("block 2 are not kept here any more"), "{method}: {why}");
        assert!(!scene.ask(method, params(tip)).is_null(), "{method}");
        if method != "eth_getBlockTransactionCountByNumber" {
            assert!(scene.ask(method, params(tip + 1)).is_null(), "{method}: not there yet");
        }
    }
    // Events: refused where a block that was let go may hold some, answered where none does.
    let (code, why) = scene.refused("eth_getLogs", json!([{ "fromBlock": "0x0", "address": tally }]));
    assert!(code == -32001 && why.contains("are not kept here any more"), "{why}");
    assert_eq!(
        scene.ask("eth_getLogs", json!([{ "fromBlock": "0x0", "address": Address::ZERO }])),
        json!([])
    );
    assert_eq!(numbers(&scene.ask("eth_getLogs", json!([{ "fromBlock": format!("{tip:#x}") }]))), [19]);
}
