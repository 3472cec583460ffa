use super::*;

fn call(to: Address, data: &Bytes) -> Value {
    json!({ "to": hex::encode_prefixed(to), "data": hex::encode_prefixed(data) })
}

#[test]
fn a_call_changes_nothing_and_a_revert_brings_its_reason() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[5]);
    let before = scene.ward.machine.tip();
    let read = call(tally, &Bytes::new());
    assert_eq!(scene.ask("eth_call", json!([read, "latest"])), json!(hex::encode_prefixed(word(5))));
    assert_eq!(scene.ask("eth_call", json!([read, "0x1"])), json!(hex::encode_prefixed(word(0))));
    assert_eq!(scene.ask("eth_call", json!([call(tally, &word(9))])), json!("0x"));
    assert_eq!(scene.ask("eth_call", json!([read])), json!(hex::encode_prefixed(word(5))));
    assert_eq!(scene.ward.machine.tip(), before);
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call(tally, &word(0)), "latest"] });
    let error = &scene.answer(&request)["error"];
    assert_eq!(*error, json!({ "code": 3, "message": "execution reverted", "data": "0x42" }));
    // A refusal of our own contracts comes in words as well.
    let anchors = scene.ward.machine.contracts().anchors;
    let data: Bytes = crate::contracts::bindings::Anchors::AnchorsCalls::SELECTORS[0].to_vec().into();
    let (code, _) = scene.refused("eth_call", json!([call(anchors, &data)]));
    assert_eq!(code, 3);
}

#[test]
fn what_a_call_says_is_read_strictly() {
    let (scene, tally) = Scene::with_tally();
    let to = hex::encode_prefixed(tally);
    for (wrong, word) in [
        (json!("0x"), "is not an object"),
        (json!({ "to": "0x12" }), "field to that is not 0x and 40"),
        (json!({ "to": to, "data": "0x1" }), "even number"),
        (json!({ "to": to, "data": "0x01", "input": "0x02" }), "two different call data"),
        (json!({ "to": to, "gas": "0x01" }), "leading zeros"),
        (json!({ "to": to, "gas": 5 }), "is not a string"),
        (json!({ "to": to, "value": "0x1_0" }), "hexadecimal"),
        (json!({ "to": to, "chainId": "0x1" }), "84001"),
        (json!({ "to": to, "authorizationList": [{}] }), "no use"),
        (json!({ "to": to, "accessList": [{ "address": to }] }), "without address or storageKeys"),
    ] {
        let (code, why) = scene.refused("eth_call", json!([wrong, "latest"]));
        assert!(code == -32602 && why.contains(word), "{wrong}: {why}");
    }
    let (code, why) = scene.refused("eth_call", json!([{ "to": to, "value": "0x1" }]));
    assert!(code == -32000 && why.starts_with("insufficient funds"), "{why}");
    let (code, why) =
        scene.refused("eth_call", json!([{ "to": to }, "latest", { to.clone(): { "balance": "0x1" } }]));
    assert!(code == -32602 && why.contains("at most 2"), "an override that is not heeded is refused: {why}");
    scene.ask(
        "eth_call",
        json!([{ "to": to, "type": "0x2", "maxFeePerGas": "0x5", "nonce": "0x9" }, "latest", {}]),
    );
}

#[test]
fn an_estimate_is_enough_and_not_much_too_much() {
    let (mut scene, tally) = Scene::with_tally();
    let from = hex::encode_prefixed(sender(0));
    for data in [word(5), Bytes::new()] {
        let mut asked = call(tally, &data);
        asked["from"] = json!(from);
        let gas = scene.ask("eth_estimateGas", json!([asked]));
        let gas = u64::from_str_radix(&gas.as_str().unwrap()[2..], 16).unwrap();
        let nonce = scene.ward.machine.view().nonce(sender(0));
        let tight = TxEip1559 { gas_limit: gas, ..tx(nonce, TxKind::Call(tally), data.clone()) };
        let done = scene.ward.block(&[sign(0, tight)]);
        assert!(done.receipts[0].succeeded);
        assert!(gas <= done.receipts[0].gas + done.receipts[0].gas / 32, "{gas} {}", done.receipts[0].gas);
    }
    // Clearing a slot gives gas back, and only in the end.
    let plain = scene.ask("eth_estimateGas", json!([{ "from": from, "to": from }]));
    assert_eq!(plain, json!("0x5208"));
    let creating =
        scene.ask("eth_estimateGas", json!([{ "from": from, "data": hex::encode_prefixed(creation()) }]));
    assert!(creating.as_str().unwrap().len() > 5);
    assert_eq!(scene.refused("eth_estimateGas", json!([call(tally, &word(0))])).0, 3);
    let mut little = call(tally, &word(5));
    little["gas"] = json!("0x5300");
    let (code, why) = scene.refused("eth_estimateGas", json!([little]));
    assert!(code == -32000 && why.contains("gas required exceeds allowance (21248)"), "{why}");
}

#[test]
fn a_call_that_fails_says_so_in_words_that_clients_of_ethereum_know() {
    let scene = Scene::new();
    for (code, said) in [
        ("0x5b5f56", "out of gas"),
        ("0xfe", "invalid opcode"),
        ("0x0c", "invalid opcode"),
        ("0x01", "stack underflow"),
        ("0x600156", "invalid jump destination"),
        // Copies a byte of return data that is not there.
        ("0x60015f5f3e", "return data out of bounds"),
        // Returns a code that begins with 0xef.
        ("0x60ef5f5360015ff3", "invalid code: must not begin with 0xef"),
        // Grows the stack for ever.
        ("0x5b5f5f56", "stack limit reached"),
    ] {
        let (number, why) = scene.refused("eth_call", json!([{ "data": code }]));
        assert_eq!((number, why.as_str()), (-32000, said), "{code}");
        let (_, why) = scene.refused("eth_estimateGas", json!([{ "data": code }]));
        assert!(why == said || why.contains("gas required exceeds allowance"), "{code}: {why}");
    }
    let (number, why) = scene.refused("eth_call", json!([{ "data": "0x00", "gas": "0x10" }]));
    assert!(number == -32000 && why.starts_with("intrinsic gas too low"), "{why}");
}

#[test]
fn a_call_that_never_ends_ends_at_its_share() {
    let scene = Scene::new();
    // JUMPDEST PUSH0 JUMP, as creation code.
    let forever = json!({ "data": "0x5b5f56", "gas": "0xffffffffffffffff" });
    let (code, why) = scene.refused("eth_call", json!([forever]));
    assert_eq!((code, why.as_str()), (-32000, "out of gas"));
    let (code, why) = scene.refused("eth_estimateGas", json!([forever]));
    assert!(code == -32000 && why.contains(&format!("allowance ({CALL_GAS_MAX})")), "{why}");
    // A batch of them has no more work than a few.
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [forever] });
    let answers = scene.answer(&Value::Array(vec![one; BATCH_CALLS_MAX]));
    let codes: Vec<_> =
        answers.as_array().unwrap().iter().map(|a| a["error"]["code"].as_i64().unwrap()).collect();
    let ran = codes.iter().filter(|code| **code == -32000).count() as u64;
    assert_eq!(codes.iter().filter(|code| **code == -32005).count() as u64, BATCH_CALLS_MAX as u64 - ran);
    assert!(ran <= WORK_MAX / CALL_GAS_MAX, "{ran} calls ran");
}
