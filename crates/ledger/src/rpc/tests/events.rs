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
