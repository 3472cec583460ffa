use super::*;
use alloy_primitives::keccak256;
use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;

#[test]
fn what_a_client_asks_first_is_answered() {
    let scene = Scene::new();
    for (method, answer) in [
        ("web3_clientVersion", json!(concat!("aceso/", env!("CARGO_PKG_VERSION")))),
        ("net_version", json!("84001")),
        ("net_listening", json!(true)),
        ("eth_chainId", json!("0x14821")),
        ("eth_blockNumber", json!("0x0")),
        ("eth_syncing", json!(false)),
        ("eth_accounts", json!([])),
        ("eth_gasPrice", json!("0x0")),
        ("eth_maxPriorityFeePerGas", json!("0x0")),
    ] {
        assert_eq!(scene.ask(method, json!([])), answer, "{method}");
        assert_eq!(scene.refused(method, json!([1])).0, -32602, "{method}");
    }
    let history = scene.ask("eth_feeHistory", json!(["0x5", "latest", [10, 50.5]]));
    assert_eq!(
        history,
        json!({
            "oldestBlock": "0x0", "baseFeePerGas": ["0x0", "0x0"], "gasUsedRatio": [0.0], "reward": [["0x0", "0x0"]],
        })
    );
    assert_eq!(scene.refused("eth_feeHistory", json!(["0x5", "latest", [101]])).0, -32602);
    assert_eq!(scene.refused("eth_feeHistory", json!(["0x5", "0x9", []])).0, -32001);
}

#[test]
fn a_block_is_found_by_height_digest_and_tag_and_its_hash_is_the_digest_of_its_header() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[5, 6]);
    let tip = scene.ward.machine.tip();
    let block = scene.ask("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(block["hash"], json!(hex::encode_prefixed(tip.digest)));
    assert_eq!(block["stateRoot"], json!(hex::encode_prefixed(tip.state_root)));
    let header = hex::decode(block["acesoHeader"].as_str().unwrap()).unwrap();
    assert_eq!(vitals::proof::header::digest(&header), tip.digest);
    assert_eq!(block["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(block["timestamp"], json!(format!("{:#x}", tip.time_ms / 1000)));
    for same in [json!("0x2"), json!("pending"), json!("safe"), json!({ "blockNumber": "0x2" })] {
        assert_eq!(scene.ask("eth_getBlockByNumber", json!([same, false])), block);
    }
    assert_eq!(scene.ask("eth_getBlockByHash", json!([block["hash"], false])), block);
    let before = scene.ask("eth_getBlockByHash", json!([block["parentHash"], false]));
    assert_eq!(before["number"], json!("0x1"));
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["earliest", true]))["number"], json!("0x0"));
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["0x3", false])), Value::Null);
    assert_eq!(scene.ask("eth_getBlockByHash", json!([B256::ZERO, false])), Value::Null);
    assert_eq!(scene.ask("eth_getBlockTransactionCountByNumber", json!(["0x2"])), json!("0x2"));
    assert_eq!(scene.ask("eth_getBlockTransactionCountByHash", json!([block["hash"]])), json!("0x2"));
    assert_eq!(scene.ask("eth_getUncleCountByBlockNumber", json!(["0x2"])), json!("0x0"));
    assert_eq!(scene.ask("eth_getUncleByBlockNumberAndIndex", json!(["0x2", "0x0"])), Value::Null);
    // Every field a client's type needs.
    for field in [
        "sha3Uncles",
        "uncles",
        "miner",
        "mixHash",
        "nonce",
        "difficulty",
        "totalDifficulty",
        "logsBloom",
        "gasUsed",
        "gasLimit",
        "baseFeePerGas",
        "extraData",
        "size",
        "transactionsRoot",
        "receiptsRoot",
    ] {
        assert!(!block[field].is_null(), "{field}");
    }
}

#[test]
fn transaction_and_receipt_agree() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[5, 0, 6]);
    let full = scene.ask("eth_getBlockByNumber", json!(["0x2", true]));
    let (shown, receipts) = (&full["transactions"], scene.ask("eth_getBlockReceipts", json!(["0x2"])));
    for (index, status) in ["0x1", "0x0", "0x1"].into_iter().enumerate() {
        let (shown, receipt) = (&shown[index], &receipts[index]);
        let at = format!("{index:#x}");
        assert_eq!(scene.ask("eth_getTransactionByHash", json!([shown["hash"]])), *shown);
        assert_eq!(scene.ask("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", at])), *shown);
        assert_eq!(scene.ask("eth_getTransactionByBlockHashAndIndex", json!([full["hash"], at])), *shown);
        assert_eq!(scene.ask("eth_getTransactionReceipt", json!([shown["hash"]])), *receipt);
        assert_eq!(shown["from"], json!(hex::encode_prefixed(sender(0))));
        assert_eq!((&shown["to"], &shown["type"]), (&json!(hex::encode_prefixed(tally)), &json!("0x2")));
        assert_eq!((&shown["maxFeePerGas"], &shown["gasPrice"]), (&json!("0x7"), &json!("0x1")));
        assert_eq!((&shown["v"], &shown["yParity"]), (&shown["yParity"], &shown["v"]));
        assert_eq!(receipt["status"], json!(status));
        assert_eq!(
            (&receipt["effectiveGasPrice"], &receipt["contractAddress"]),
            (&shown["gasPrice"], &Value::Null)
        );
        for field in ["blockHash", "blockNumber", "transactionIndex", "from", "to", "type"] {
            assert_eq!(shown[field], receipt[field], "{field}");
        }
    }
    assert_eq!(receipts[1]["revertReason"], json!("0x42"));
    assert_eq!(receipts[2]["logs"][0]["logIndex"], json!("0x1"), "counted through the block");
    assert_eq!(receipts[2]["cumulativeGasUsed"], full["gasUsed"]);
    assert_eq!(scene.ask("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x3"])), Value::Null);
    assert_eq!(scene.ask("eth_getTransactionReceipt", json!([B256::ZERO])), Value::Null);
    let creation = scene.ask("eth_getBlockReceipts", json!(["0x1"]));
    assert_eq!(creation[0]["contractAddress"], json!(hex::encode_prefixed(tally)));
    assert_eq!(creation[0]["to"], Value::Null);
}

#[test]
fn a_price_is_the_same_in_transaction_receipt_and_contract_and_nothing_is_charged() {
    let mut scene = Scene::new();
    // Keeps the price of gas that the contract is told in its slot 0.
    let keep: Bytes = hex::decode("3a5f5500").unwrap().into();
    let offers = [(7, 1, 1), (7, 7, 7), (5, 0, 0)];
    let typed = offers.map(|(max_fee_per_gas, max_priority_fee_per_gas, price)| {
        let gas =
            TxEip1559 { max_fee_per_gas, max_priority_fee_per_gas, ..tx(0, TxKind::Create, keep.clone()) };
        (gas, price)
    });
    let mut expected = Vec::new();
    let mut raws = Vec::new();
    for (nonce, (gas, price)) in (0..).zip(typed) {
        raws.push(sign(0, TxEip1559 { nonce, ..gas }));
        expected.push(price);
    }
    let old = TxLegacy {
        chain_id: Some(84_001),
        nonce: 3,
        gas_price: 9,
        gas_limit: 300_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: keep.clone(),
    };
    raws.push(sign_legacy(0, old));
    expected.push(9);
    scene.backend.pool.submit(raws[0].clone()).unwrap();
    let waits = scene.ask("eth_getTransactionByHash", json!([keccak256(&raws[0])]));
    assert_eq!(waits["gasPrice"], waits["maxFeePerGas"], "what waits shows the most it offers");
    scene.ward.block(&raws);
    let receipts = scene.ask("eth_getBlockReceipts", json!(["latest"]));
    let block = scene.ask("eth_getBlockByNumber", json!(["latest", true]));
    for (index, price) in expected.into_iter().enumerate() {
        let (receipt, shown) = (&receipts[index], &block["transactions"][index]);
        let price = json!(format!("{price:#x}"));
        assert_eq!((&shown["gasPrice"], &receipt["effectiveGasPrice"]), (&price, &price), "{index}");
        let kept = scene.ask("eth_getStorageAt", json!([receipt["contractAddress"], "0x0", "latest"]));
        let kept = U256::from_str_radix(&kept.as_str().unwrap()[2..], 16).unwrap();
        assert_eq!(json!(format!("{kept:#x}")), price, "what the contract was told");
    }
    let me = hex::encode_prefixed(sender(0));
    assert_eq!(scene.ask("eth_getBalance", json!([me, "latest"])), json!("0x0"));
}

#[test]
fn an_old_transaction_type_is_shown_as_it_was_signed() {
    let mut scene = Scene::new();
    let old = TxLegacy {
        chain_id: Some(84_001),
        nonce: 0,
        gas_price: 9,
        gas_limit: 100_000,
        to: TxKind::Call(Address::ZERO),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    scene.ward.block(&[sign_legacy(0, old)]);
    let shown = scene.ask("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x0"]));
    let v = u64::from_str_radix(&shown["v"].as_str().unwrap()[2..], 16).unwrap();
    assert!(v == 35 + 2 * 84_001 || v == 36 + 2 * 84_001, "{v}");
    assert_eq!((&shown["type"], &shown["gasPrice"]), (&json!("0x0"), &json!("0x9")));
    assert!(shown.get("maxFeePerGas").is_none() && shown.get("accessList").is_none());
}

#[test]
fn state_is_read_at_recent_heights_and_refused_in_words_at_others() {
    let (mut scene, tally) = Scene::with_tally();
    let at = json!(hex::encode_prefixed(tally));
    scene.tell(tally, &[5]);
    scene.tell(tally, &[6]);
    let slot = |block: Value| scene.ask("eth_getStorageAt", json!([at, "0x0", block]));
    assert_eq!(slot(json!("latest")), json!(hex::encode_prefixed(word(6))));
    assert_eq!(slot(json!("0x2")), json!(hex::encode_prefixed(word(5))));
    assert_eq!(slot(json!("earliest")), json!(hex::encode_prefixed(word(0))));
    let digest = scene.ask("eth_getBlockByNumber", json!(["0x2", false]))["hash"].clone();
    assert_eq!(slot(json!({ "blockHash": digest })), slot(json!("0x2")));
    assert_eq!(scene.ask("eth_getCode", json!([at, "latest"])), json!(format!("0x{TALLY}")));
    assert_eq!(scene.ask("eth_getCode", json!([at, "0x0"])), json!("0x"));
    assert_eq!(scene.ask("eth_getBalance", json!([at, "latest"])), json!("0x0"));
    let me = json!(sender(0).to_checksum(None));
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "latest"])), json!("0x3"));
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "0x1"])), json!("0x1"));
    let (code, why) = scene.refused("eth_getBalance", json!([at, "0x9"]));
    assert!(code == -32001 && why.contains("no such block"), "{why}");
    for _ in 0..crate::machine::KEEP_STATES {
        scene.ward.block(&[]);
    }
    let (code, why) = scene.refused("eth_getBalance", json!([at, "0x3"]));
    assert!(code == -32001 && why.contains("not kept: only those of the last 256 blocks are"), "{why}");
    assert_eq!(scene.ask("eth_getTransactionCount", json!([me, "0x4"])), json!("0x3"));
}

#[test]
fn a_proof_verifies_against_the_state_root() {
    let (mut scene, tally) = Scene::with_tally();
    scene.tell(tally, &[5]);
    let root = |block: &str| -> B256 {
        let block = scene.ask("eth_getBlockByNumber", json!([block, false]));
        block["stateRoot"].as_str().unwrap().parse().unwrap()
    };
    let nodes = |list: &Value| -> Vec<Bytes> {
        list.as_array().unwrap().iter().map(|node| node.as_str().unwrap().parse().unwrap()).collect()
    };
    let absent = format!("{:#x}", B256::repeat_byte(3));
    for at in [tally, Address::repeat_byte(9)] {
        let asked = json!([hex::encode_prefixed(at), ["0x0", absent], "0x2"]);
        let proof = scene.ask("eth_getProof", asked);
        let account = scene.ward.machine.view_at(2).unwrap().account(at);
        let leaf = account.map(alloy_rlp::encode);
        verify_proof(
            root("0x2"),
            Nibbles::unpack(keccak256(at)),
            leaf.clone(),
            &nodes(&proof["accountProof"]),
        )
        .unwrap();
        let storage: B256 = proof["storageHash"].as_str().unwrap().parse().unwrap();
        assert_eq!(storage, account.unwrap_or_default().storage_root);
        let value = leaf.map(|_| alloy_rlp::encode(U256::from(5)));
        for (index, (key, value)) in
            [(B256::ZERO, value), (B256::repeat_byte(3), None)].into_iter().enumerate()
        {
            let proof = &proof["storageProof"][index];
            assert_eq!(proof["value"], if value.is_some() { json!("0x5") } else { json!("0x0") });
            verify_proof(storage, Nibbles::unpack(keccak256(key)), value, &nodes(&proof["proof"])).unwrap();
        }
        assert_eq!(
            (&proof["storageProof"][0]["key"], &proof["storageProof"][1]["key"]),
            (&json!("0x0"), &json!(absent))
        );
    }
    assert_ne!(root("0x1"), root("0x2"));
    let many: Vec<_> = (0..=PROOF_SLOTS_MAX).map(|slot| format!("{slot:#x}")).collect();
    assert_eq!(scene.refused("eth_getProof", json!([sender(0), many, "latest"])).0, -32602);
}

#[test]
fn what_is_pruned_is_said_by_name_and_never_passed_over() {
    let config = Config { keep_states: 3, keep_bodies: Some(4), keep_headers: Some(8), ..Config::default() };
    let mut scene = Scene::keeping(config);
    let mut hashes = Vec::new();
    for key in 1..=12 {
        let tx = scene.ward.next(0, &gateway(key));
        hashes.push(hex::encode_prefixed(scene.ward.block(&[tx]).transaction_hashes()[0]));
    }
    let pruned = |method: &str, params: Value| {
        let (code, why) = scene.refused(method, params);
        assert!(code == -32001 && why.starts_with("pruned history unavailable"), "{method}: {code} {why}");
        why
    };
    let why = pruned("eth_getBlockByNumber", json!(["0x2", false]));
    assert!(why.contains("block 2 is pruned") && why.contains("from block 5 on"), "{why}");
    let why = pruned("eth_getBlockByNumber", json!(["0x6", false]));
    assert!(
        why.contains("the transactions of block 6 are not kept here any more")
            && why.contains("from block 9 on"),
        "{why}"
    );
    pruned("eth_getBlockTransactionCountByNumber", json!(["0x6"]));
    pruned("eth_getBlockReceipts", json!(["0x6"]));
    pruned("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest" }]));
    pruned("eth_getLogs", json!([{ "fromBlock": "0x8", "toBlock": "0x8" }]));
    // Of these not even whether there were events is known any more.
    pruned("eth_getLogs", json!([{ "fromBlock": "0x1", "toBlock": "0x2" }]));
    // What is kept is as before; what is not there is not there.
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["0x9", false]))["transactions"][0], hashes[8]);
    assert_eq!(scene.ask("eth_getTransactionReceipt", json!([hashes[9]]))["status"], "0x1");
    assert_eq!(scene.ask("eth_getTransactionReceipt", json!([hashes[2]])), Value::Null);
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["0x99", false])), Value::Null);
    assert!(scene.ask("eth_getLogs", json!([{ "fromBlock": "0x9", "toBlock": "latest" }])).is_array());
    assert_eq!(scene.ask("eth_feeHistory", json!(["0xa", "latest", []]))["oldestBlock"], "0x5");
}
