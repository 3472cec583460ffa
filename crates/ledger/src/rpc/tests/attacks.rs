use super::*;

fn only_error(answer: &[u8]) -> (i64, Value, String) {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let error = &answer["error"];
    (error["code"].as_i64().unwrap(), answer["id"].clone(), error["message"].as_str().unwrap().to_owned())
}

#[test]
fn malformed_calls_are_refused_with_the_right_code() {
    let scene = Scene::new();
    let deep = "[".repeat(100_000);
    let closed = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let cases: [(&[u8], i64); 16] = [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[1,]", -32700),
        (deep.as_bytes(), -32700),
        (closed.as_bytes(), -32700),
        (b"{} {}", -32700),
        (b"[]", -32600),
        (b"{}", -32600),
        (b"1", -32600),
        (b"\"eth_chainId\"", -32600),
        (br#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (br#"{"id":1,"method":"eth_chainId"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}"#, -32602),
    ];
    for (request, code) in cases {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
        assert_eq!(only_error(&scene.bytes(ME, request)).0, code, "{shown}");
    }
    let long = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert_eq!(only_error(&scene.bytes(ME, &long)).0, -32600);
}

#[test]
fn what_is_unknown_is_named_only_if_it_is_a_name() {
    let scene = Scene::new();
    let manual = include_str!("../../../../../docs/integrate.md");
    let not_given = manual.lines().find(|line| line.starts_with("**Not given**")).unwrap();
    for name in [
        "eth_subscribe",
        "eth_newPendingTransactionFilter",
        "eth_createAccessList",
        "eth_sendTransaction",
        "eth_fillTransaction",
        "debug_traceTransaction",
        "trace_block",
        "eth_sign",
    ] {
        let family = name.split_once('_').map(|(family, _)| format!("`{family}_*`")).unwrap();
        let said =
            [format!("`{name}`"), format!("`{name}*`"), family].iter().any(|word| not_given.contains(word));
        assert!(said || name == "eth_fillTransaction", "the manual says that {name} is not given");
        let (code, why) = scene.refused(name, json!([]));
        assert!(code == -32601 && why.contains(name), "{why}");
    }
    for name in ["<script>\u{202e}".to_owned(), "x".repeat(500_000)] {
        let (code, why) = scene.refused(&name, json!([]));
        assert!(code == -32601 && !why.contains(&name), "{why}");
    }
}

#[test]
fn ids_come_back_and_calls_without_one_get_no_answer() {
    let scene = Scene::new();
    let call = |id: &str| format!(r#"{{"jsonrpc":"2.0",{id}"method":"eth_chainId","params":[]}}"#);
    for id in ["1", "-3", "\"a\"", "null", "18446744073709551615", "1.5"] {
        let answer = scene.bytes(ME, call(&format!("\"id\":{id},")).as_bytes());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["id"].to_string(), id);
        assert_eq!(answer["result"], json!("0x14821"));
    }
    assert!(scene.bytes(ME, call("").as_bytes()).is_empty());
    assert!(scene.bytes(ME, format!("[{},{}]", call(""), call("")).as_bytes()).is_empty());
    let batch = format!("[{},1,{},{}]", call("\"id\":1,"), call(""), call("\"id\":\"x\","));
    let answers: Value = serde_json::from_slice(&scene.bytes(ME, batch.as_bytes())).unwrap();
    let ids: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["id"].to_string()).collect();
    assert_eq!(ids, ["1", "null", "\"x\""]);
    assert_eq!(answers[1]["error"]["code"], json!(-32600));
}

#[test]
fn a_batch_has_a_bound_and_so_has_its_answer() {
    let (mut scene, tally) = Scene::with_tally();
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" });
    let bomb = Value::Array(vec![one.clone(); BATCH_CALLS_MAX + 1]).to_string();
    let answers: Vec<Value> = serde_json::from_slice(&scene.bytes(ME, bomb.as_bytes())).unwrap();
    let [only] = answers.as_slice() else { panic!("as geth answers, once: {answers:?}") };
    assert_eq!((&only["error"]["code"], &only["id"]), (&json!(-32600), &json!(1)));
    let why = only["error"]["message"].as_str().unwrap();
    assert!(why.starts_with("batch too large") && why.contains("at most 1000"), "{why}");
    let nameless = Value::Array(vec![json!({ "id": {} }); BATCH_CALLS_MAX + 1]).to_string();
    let answers: Vec<Value> = serde_json::from_slice(&scene.bytes(ME, nameless.as_bytes())).unwrap();
    assert_eq!((answers.len(), &answers[0]["id"]), (1, &Value::Null));
    let most = scene.answer(&Value::Array(vec![one; BATCH_CALLS_MAX]));
    assert_eq!(most.as_array().unwrap().len(), BATCH_CALLS_MAX);
    // A block of long transactions, asked for many times.
    let (nonce, long) = (scene.ward.machine.view().nonce(sender(0)), vec![1; 60_000]);
    let txs: Vec<_> = (0..8)
        .map(|n| {
            let gas_limit = 5_000_000;
            sign(0, TxEip1559 { gas_limit, ..tx(nonce + n, TxKind::Call(tally), long.clone().into()) })
        })
        .collect();
    scene.ward.block(&txs);
    let full =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", true] });
    let answer = scene.bytes(ME, Value::Array(vec![full; BATCH_CALLS_MAX]).to_string().as_bytes());
    assert!(answer.len() <= ANSWER_BYTES_MAX + BATCH_CALLS_MAX * 200, "{}", answer.len());
    let answers: Vec<Value> = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answers.len(), BATCH_CALLS_MAX);
    assert_eq!(answers[0]["result"]["transactions"].as_array().unwrap().len(), 8);
    assert_eq!(answers[BATCH_CALLS_MAX - 1]["error"]["code"], json!(-32005));
}

#[test]
fn parameters_of_the_wrong_kind_are_named() {
    let scene = Scene::new();
    let at = hex::encode_prefixed(sender(0));
    for (method, params, word) in [
        ("eth_getBalance", json!([]), "needs parameter 1 (address)"),
        ("eth_getBalance", json!([1]), "parameter 1 (address) is not a string"),
        ("eth_getBalance", json!(["0x12"]), "40 hexadecimal digits"),
        ("eth_getBalance", json!([format!("{}zz", &at[..40])]), "40 hexadecimal digits"),
        ("eth_getBalance", json!([at, "newest"]), "neither a height"),
        ("eth_getBalance", json!([at, "0x"]), "neither a height"),
        ("eth_getBalance", json!([at, {}]), "either blockNumber or blockHash"),
        ("eth_getBalance", json!([at, "0x10000000000000000"]), "neither a height"),
        ("eth_getBalance", json!([at, "latest", 1]), "at most 2 parameters"),
        ("eth_getStorageAt", json!([at, "0x"]), "is empty"),
        ("eth_getStorageAt", json!([at, format!("0x{}", "1".repeat(65))]), "at most 64"),
        ("eth_getBlockByNumber", json!(["latest", 1]), "neither true nor false"),
        ("eth_getBlockByNumber", json!([]), "needs parameter 1 (block)"),
        ("eth_getTransactionReceipt", json!(["0x1"]), "64 hexadecimal digits"),
        ("eth_sendRawTransaction", json!(["f86b"]), "does not begin with 0x"),
        (
            "eth_sendRawTransaction",
            json!([format!("0x{}", "00".repeat(65 * 1024))]),
            "longer than 65536 bytes",
        ),
        ("eth_getProof", json!([at, "0x0", "latest"]), "is not an array"),
        ("eth_getFilterChanges", json!(["0xg"]), "number"),
    ] {
        let (code, why) = scene.refused(method, params.clone());
        assert!(code == -32602 && why.contains(word), "{method} {params}: {code} {why}");
    }
}

#[test]
fn questions_over_many_blocks_are_bounded() {
    let scene = Scene::new();
    // What is not there yet costs nothing.
    let span =
        |from: u64, to: u64| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
    assert_eq!(scene.ask("eth_getLogs", span(0, u64::MAX)), json!([]));
    let history = scene.ask("eth_feeHistory", json!(["0xffffffffffffffff", "latest", []]));
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 1);
}
