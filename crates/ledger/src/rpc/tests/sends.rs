use super::*;

fn send(scene: &Scene, raw: &[u8]) -> Result<Value, (i64, String)> {
    scene.ask_as(ME, "eth_sendRawTransaction", json!([hex::encode_prefixed(raw)]))
}

#[test]
fn a_transaction_sent_waits_and_is_then_final() {
    let mut scene = Scene::new();
    let raw = sign(0, tx(0, TxKind::Create, creation()));
    let hash = send(&scene, &raw).unwrap();
    assert_eq!(send(&scene, &raw).unwrap(), hash, "the same again is taken again");
    let me = hex::encode_prefixed(sender(0));
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "pending"])), json!("0x1"));
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "latest"])), json!("0x0"));
    let waiting = scene.ask("eth_getTransactionByHash", json!([hash]));
    assert_eq!((&waiting["hash"], &waiting["blockHash"]), (&hash, &Value::Null));
    assert_eq!(scene.ask("eth_getTransactionReceipt", json!([hash])), Value::Null);
    scene.ward.block(&[raw]);
    scene.backend.pool.committed(&scene.ward.machine.view());
    assert_eq!(scene.ask("eth_getTransactionReceipt", json!([hash]))["status"], json!("0x1"));
    assert_eq!(scene.ask("eth_getTransactionByHash", json!([hash]))["blockNumber"], json!("0x1"));
}

#[test]
fn a_transaction_that_cannot_be_taken_is_refused_in_the_words_clients_know() {
    let mut scene = Scene::new();
    scene.ward.block(&[sign(0, tx(0, TxKind::Call(Address::ZERO), Bytes::new()))]);
    let plain = |nonce| tx(nonce, TxKind::Call(Address::ZERO), Bytes::new());
    let mut cases = vec![
        (sign(0, TxEip1559 { chain_id: 1, ..plain(1) }), -32000, "invalid chain id"),
        (sign(7, plain(0)), -32003, "no active organisation's sender"),
        (sign(0, plain(0)), -32000, "nonce too low: the next nonce is 1"),
        (sign(0, plain(1 + SENDER_AHEAD)), -32000, "nonce too high: the next nonce is 1"),
        (sign(0, TxEip1559 { gas_limit: CALL_GAS_MAX + 1, ..plain(1) }), -32000, "gas"),
        (vec![], -32602, "not a well-formed"),
        (vec![0x02, 0xc0], -32602, "not a well-formed"),
    ];
    let before_155 = TxLegacy { chain_id: None, gas_limit: 50_000, ..TxLegacy::default() };
    cases.push((sign_legacy(0, before_155), -32000, "invalid chain id"));
    for (raw, code, words) in cases {
        let (said, why) = send(&scene, &raw).unwrap_err();
        assert!(said == code && why.contains(words), "{said} {why}");
    }
    send(&scene, &sign(0, plain(1))).unwrap();
    let rival = TxEip1559 { gas_limit: 99_000, max_fee_per_gas: 1_000_000, ..plain(1) };
    let (code, why) = send(&scene, &sign(0, rival)).unwrap_err();
    assert!(code == -32000 && why.contains("replacement transaction underpriced"), "{why}");
    // A gap within reach waits until it is filled.
    send(&scene, &sign(0, plain(3))).unwrap();
    let me = hex::encode_prefixed(sender(0));
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "pending"])), json!("0x2"));
    assert_eq!(scene.backend.pool.waiting(), 2, "nothing refused was kept");
}

const SENDER_AHEAD: u64 = crate::pool::SENDER_TXS_MAX as u64;
