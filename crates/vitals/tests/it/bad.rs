//! Bad golden files: bytes every reader must refuse, and what ours says of each.

use testkit::fixture::{NOON_MS, Ward, key, public, sign, small};
use testkit::golden::{compare, path};
use vitals::body::Body;
use vitals::bundle;
use vitals::cbor::Writer;
use vitals::cose::{self, Domain};
use vitals::envelope::{EPOCH_MAX, Envelope, Header, SEQ_MAX, TIME_MAX_MS};
use vitals::ids::{Class, DeviceId};
use vitals::ledger::Fact;
use vitals::log;
use vitals::pairing::{PairingAnswer, PairingRequest, StreamKey};
use vitals::proof::certificate::Certificate;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;
use vitals::proof::{LedgerProof, contracts, verify_header};
use vitals::receipt::{Delivery, Proven, Receipt, TreeHead};

pub(super) type Bad = (&'static str, &'static str, Vec<u8>, String);

pub(super) fn said<T, E: ToString>(result: Result<T, E>) -> String {
    result.err().expect("a bad file is refused").to_string()
}

fn envelopes(ward: &Ward, out: &mut Vec<Bad>) {
    let sensor = public(&ward.sensors[0]);
    let mut stream = ward.stream(0, Class::Vitals);
    let first = ward.seal(&mut stream, 20);
    let good = Envelope::decode(&ward.seal(&mut stream, 20)).unwrap();
    let mut add = |name, bytes: Vec<u8>| {
        let why = match Envelope::decode(&bytes) {
            Err(why) => why.to_string(),
            Ok(envelope) => {
                assert!(!envelope.verify(&sensor), "{name} is good");
                String::from("the signature is not the author's")
            }
        };
        out.push((name, "envelope", bytes, why));
    };
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = good.header.clone();
        change(&mut header);
        let bytes = header.encode();
        let signature = sign(&ward.sensors[0], Domain::Envelope, ward.genesis(), &bytes);
        Envelope::encode_parts(&bytes, &signature, &good.ciphertext)
    };
    let mut flipped = first.clone();
    *flipped.last_mut().unwrap() ^= 1;
    add("bad/envelope_ciphertext", flipped);
    add("bad/envelope_truncated", first[..first.len() - 1].to_vec());
    add("bad/envelope_trailing", [first.as_slice(), &[0]].concat());
    let mut flipped = good.encode();
    let at = flipped.len() - good.ciphertext.len() - 2;
    flipped[at] ^= 1;
    add("bad/envelope_signature", flipped);
    let head = cose::to_be_signed(Domain::Head, ward.genesis(), &good.header_bytes);
    let signature = ward.sensors[0].sign(&head).to_bytes();
    add("bad/envelope_domain", Envelope::encode_parts(&good.header_bytes, &signature, &good.ciphertext));
    // The header's array head in two bytes instead of one.
    let long = [&[0x98, 15], &good.header_bytes[1..]].concat();
    let signature = sign(&ward.sensors[0], Domain::Envelope, ward.genesis(), &long);
    add("bad/envelope_not_shortest", Envelope::encode_parts(&long, &signature, &good.ciphertext));
    // An unprotected header that is not empty.
    let mut w = Writer::new();
    w.array(2).tag(18).array(4).bytes(&cose::PROTECTED).map(1).uint(4).bytes(&[1]);
    w.bytes(&good.header_bytes).bytes(&good.signature).bytes(&good.ciphertext);
    add("bad/envelope_unprotected", w.finish());
    // Algorithm -8 (EdDSA) instead of -19.
    let mut w = Writer::new();
    w.array(2).tag(18).array(4).bytes(&[0xa1, 0x01, 0x27]).map(0);
    w.bytes(&good.header_bytes).bytes(&good.signature).bytes(&good.ciphertext);
    add("bad/envelope_algorithm", w.finish());
    add("bad/envelope_times", with(&|h| h.last_ms = TIME_MAX_MS + 1));
    add("bad/envelope_count", with(&|h| h.count = 0));
    add("bad/envelope_prev", with(&|h| h.prev = [0; 32]));
    add("bad/envelope_sequence", with(&|h| h.seq = SEQ_MAX + 1));
    // s + the group's order: the same point, another encoding.
    let mut signature = good.signature;
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let [high, low] = (u16::from(*byte) + u16::from(add) + carry).to_be_bytes();
        (*byte, carry) = (low, u16::from(high));
    }
    add("bad/envelope_malleated", Envelope::encode_parts(&good.header_bytes, &signature, &good.ciphertext));
}

fn bodies(out: &mut Vec<Bad>) {
    for (name, bytes) in [
        ("bad/body_no_readings", vec![0x82, 0x01, 0x80]),
        ("bad/body_columns_out_of_order", {
            let column = |metric: u8| [0x83, metric, 0x01, 0x42, 0x00, 0x00];
            [&[0x82, 0x01, 0x82][..], &column(2), &column(1)].concat()
        }),
        ("bad/body_varint_not_shortest", vec![0x82, 0x01, 0x81, 0x83, 0x01, 0x01, 0x43, 0x80, 0x00, 0x00]),
        ("bad/body_unknown_kind", vec![0x82, 0x09, 0x80]),
        // A column of no reading beside one that has some.
        ("bad/body_empty_column", {
            [&[0x82, 0x01, 0x82, 0x83, 0x01, 0x00, 0x40][..], &[0x83, 0x02, 0x01, 0x42, 0x00, 0x00]].concat()
        }),
        ("bad/body_value_too_large", {
            // zigzag(2^31) in five groups.
            vec![0x82, 0x01, 0x81, 0x83, 0x01, 0x01, 0x46, 0x00, 0x80, 0x80, 0x80, 0x80, 0x10]
        }),
        ("bad/body_alarms_condition", {
            let event = [&[0x87, 0x00, 0x19, 0x01, 0x0a, 0x01, 0x01, 0x03, 0x00, 0x58, 0x20][..], &[0; 32]];
            [&[0x82, 0x02, 0x81][..], &event.concat()].concat()
        }),
        ("bad/body_access_classes_repeat", {
            let head =
                [&[0x8a, 0x03, 0x00, 0x58, 0x20][..], &[7; 32], &[0x61, 0x61, 0x01, 0x58, 0x20], &[8; 32]];
            let tail = [&[0x82, 0x01, 0x01, 0x00, 0x00, 0x50][..], &[9; 16]];
            [head.concat(), tail.concat()].concat()
        }),
        ("bad/body_access_person_twice", {
            // Names a person although the reader is one.
            let head =
                [&[0x8b, 0x03, 0x00, 0x58, 0x20][..], &[7; 32], &[0x61, 0x61, 0x02, 0x58, 0x20], &[8; 32]];
            let tail = [&[0x81, 0x01, 0x00, 0x00, 0x50][..], &[9; 16], &[0x58, 0x20], &[7; 32]];
            [head.concat(), tail.concat()].concat()
        }),
        ("bad/body_profile_not_utf8", vec![0x84, 0x04, 0x00, 0x61, 0xff, 0x60]),
        ("bad/body_limits_overlap", {
            // Above from 10 and below from 10.
            let limits = [0x84, 0x01, 0x86, 0x81, 0x0a, 0x80, 0x80, 0x81, 0x0a, 0x80, 0x80, 0x00, 0x00];
            [&[0x84, 0x05, 0x00, 0x58, 0x20][..], &[7; 32], &limits].concat()
        }),
        ("bad/body_limits_change_of_another", {
            // CO₂ limits in place of those of the heart rate.
            let limits = |metric| [0x84, metric, 0x86, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00];
            let head = [&[0x87, 0x08, 0x00, 0x58, 0x20][..], &[7; 32], &limits(7), &limits(1)];
            [&head.concat()[..], &[0x61, 0x61, 0x80]].concat()
        }),
        ("bad/body_limits_change_over_at_once", {
            let limits = [0x84, 0x01, 0x86, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00];
            let head = [&[0x87, 0x08, 0x05, 0x58, 0x20][..], &[7; 32], &limits, &limits];
            [&head.concat()[..], &[0x61, 0x61, 0x81, 0x05]].concat()
        }),
    ] {
        let why = said(Body::decode(&bytes, NOON_MS));
        out.push((name, "body", bytes, why));
    }
}

fn receipts(ward: &Ward, out: &mut Vec<Bad>) {
    let (bytes, index) = ward.stored.values().next().unwrap();
    let header = Envelope::decode(bytes).unwrap().header_bytes;
    let good = ward.receipt(bytes, *index, 8);
    let mut add = |name, receipt: Receipt| {
        let key = public(&ward.record);
        assert!(!receipt.verify(ward.genesis(), &key, &header), "{name} is good");
        let why = String::from("the receipt does not hold");
        out.push((name, "receipt", receipt.encode(), why));
    };
    let mut bad = good.clone();
    bad.path[0][0] ^= 1;
    add("bad/receipt_path", bad);
    let mut bad = good.clone();
    bad.head.head = TreeHead { at_ms: bad.head.head.at_ms + 1, ..bad.head.head };
    add("bad/receipt_head_time", bad);
    let mut bad = good.clone();
    bad.index ^= 1;
    add("bad/receipt_index", bad);
    let mut bad = good;
    bad.path.push([0; 32]);
    add("bad/receipt_path_too_long", bad);
}

fn ledger(ward: &Ward, out: &mut Vec<Bad>) {
    let org = ward.org();
    let good = ward.prove(&[Fact::Anchor(org)], 41);
    let root = ward.block(41).state_root;
    let mut add = |name, proof: LedgerProof| {
        let why = match verify_header(&ward.document, &proof) {
            Err(why) => why.to_string(),
            Ok(_) => said(contracts::read_anchor(&root, &ward.document, org, &proof.accounts[0])),
        };
        out.push((name, "ledger proof", proof.encode(), why));
    };
    let resigned = |keep: &[usize]| {
        let mut certificate = Certificate::decode(&good.certificate).unwrap();
        certificate.signatures = keep.iter().map(|place| certificate.signatures[*place]).collect();
        LedgerProof { certificate: certificate.encode(), ..good.clone() }
    };
    add("bad/ledger_proof_two_of_four", resigned(&[0, 1]));
    add("bad/ledger_proof_signer_twice", resigned(&[0, 1, 1]));
    let mut header = BlockHeader::decode(&good.header).unwrap();
    header.state_root[0] ^= 1;
    add("bad/ledger_proof_other_root", LedgerProof { header: header.encode(), ..good.clone() });
    let mut bad = good.clone();
    let spare = bad.accounts[0].nodes[0].clone();
    bad.accounts[0].nodes.push(spare);
    add("bad/ledger_proof_surplus_node", bad);
    let mut bad = good.clone();
    bad.accounts[0].nodes.pop();
    add("bad/ledger_proof_missing_node", bad);
    let mut bad = good.clone();
    bad.accounts[0].slots[1].nodes[0][40] ^= 1;
    add("bad/ledger_proof_changed_node", bad);
    let mut bad = good.clone();
    bad.accounts[0].slots.swap(0, 1);
    add("bad/ledger_proof_slots_swapped", bad);
}

fn genesis(ward: &Ward, out: &mut Vec<Bad>) {
    let mut add = |name, change: &dyn Fn(&mut GenesisDocument)| {
        let mut document = ward.document.clone();
        change(&mut document);
        let bytes = document.encode();
        let why = said(GenesisDocument::decode(&bytes));
        out.push((name, "genesis document", bytes, why));
    };
    add("bad/genesis_committee_order", &|document| document.committee.swap(0, 1));
    add("bad/genesis_founder_twice", &|document| document.founders.push(document.founders[0].clone()));
    add("bad/genesis_contract_twice", &|document| document.contracts.push(document.contracts[0].clone()));
    let operated = |document: &mut GenesisDocument| *document = ward.operated();
    add("bad/genesis_v2_validator_twice", &|document| {
        operated(document);
        document.committee[1] = document.committee[0];
    });
    add("bad/genesis_v2_no_epochs", &|document| {
        operated(document);
        document.epoch_blocks = 0;
    });
}

fn blocks(ward: &Ward, out: &mut Vec<Bad>) {
    let good = ward.block(41).encode();
    let with = |change: &dyn Fn(&mut BlockHeader)| {
        let mut header = ward.block(41);
        change(&mut header);
        header.encode()
    };
    for (name, bytes) in [
        ("bad/block_header_version", [&[2], &good[1..]].concat()),
        ("bad/block_header_trailing", [&good[..], &[0]].concat()),
        ("bad/block_header_committee_order", with(&|header| header.committee = vec![[2; 32], [1; 32]])),
    ] {
        let why = said(BlockHeader::decode(&bytes));
        out.push((name, "block header", bytes, why));
    }
    let good = ward.prove(&[], 41).certificate;
    let mut swapped = Certificate::decode(&good).unwrap();
    swapped.signatures.swap(0, 1);
    for (name, bytes) in [
        ("bad/certificate_version", [&[2], &good[1..]].concat()),
        ("bad/certificate_truncated", good[..good.len() - 1].to_vec()),
        ("bad/certificate_signers_order", swapped.encode()),
    ] {
        let why = said(Certificate::decode(&bytes));
        out.push((name, "certificate", bytes, why));
    }
}

fn deliveries(ward: &Ward, out: &mut Vec<Bad>) {
    let org = ward.org();
    let (bytes, index) = ward.stored.values().next().unwrap();
    let header = Envelope::decode(bytes).unwrap().header_bytes;
    let proven = Proven {
        envelope: vitals::envelope::header_hash(&header),
        index: *index,
        path: ward.log.inclusion(*index, ward.log.size()).unwrap(),
    };
    let ledger = ward.prove(&[Fact::Anchor(org)], 41);
    let good = Delivery { org, ledger: ledger.encode(), proven: vec![proven] };
    let mut add = |name, delivery: Delivery| {
        let bytes = delivery.encode();
        let proof = LedgerProof::decode(&delivery.ledger).unwrap();
        let why = match Delivery::decode(&bytes) {
            Err(why) => why.to_string(),
            Ok(delivery) => match verify_header(&ward.document, &proof) {
                Err(why) => why.to_string(),
                Ok(block) => {
                    let account = &proof.accounts[0];
                    match contracts::read_anchor(&block.state_root, &ward.document, delivery.org, account) {
                        Err(why) => why.to_string(),
                        Ok(anchor) => {
                            let (anchor, item) = (anchor.unwrap(), &delivery.proven[0]);
                            let (leaf, path) = (log::leaf(&header), &item.path);
                            let leads =
                                log::verify_inclusion(leaf, item.index, anchor.size, path, &anchor.root);
                            assert!(!leads, "{name} is good");
                            String::from("the path does not lead to the anchored root")
                        }
                    }
                }
            },
        };
        out.push((name, "delivery", bytes, why));
    };
    let mut bad = good.clone();
    bad.proven[0].path[0][0] ^= 1;
    add("bad/delivery_path", bad);
    let mut bad = good.clone();
    bad.proven[0].index ^= 1;
    add("bad/delivery_index", bad);
    add("bad/delivery_organisation", Delivery { org: vitals::OrgId([7; 16]), ..good.clone() });
    let mut certificate = Certificate::decode(&ledger.certificate).unwrap();
    certificate.signatures[2].1[0] ^= 1;
    let ledger = LedgerProof { certificate: certificate.encode(), ..ledger };
    add("bad/delivery_one_bad_signature", Delivery { ledger: ledger.encode(), ..good });
}

fn pairing(ward: &Ward, out: &mut Vec<Bad>) {
    let (gateway, stranger) = (key("gateway", 0), key("stranger", 0));
    let keys = vitals::pairing::DeviceKeys { key: public(&gateway), wrap_key: [1; 32] };
    let payload = PairingRequest::payload(&keys, &[], None);
    let genesis = vitals::Genesis([0; 32]);
    let signatures = vec![sign(&stranger, Domain::PairingRequest, genesis, &payload)];
    let request = PairingRequest { gateway: keys, sensors: vec![], interval_ms: None, signatures };
    let why = said(PairingRequest::decode(&request.encode()));
    out.push(("bad/pairing_request_signature", "pairing request", request.encode(), why));
    let twice = PairingRequest::payload(&keys, &[keys], None);
    let signature = sign(&gateway, Domain::PairingRequest, genesis, &twice);
    let request = PairingRequest {
        gateway: keys,
        sensors: vec![keys],
        interval_ms: None,
        signatures: vec![signature; 2],
    };
    let why = said(PairingRequest::decode(&request.encode()));
    out.push(("bad/pairing_request_key_twice", "pairing request", request.encode(), why));
    // The neutral element as a key: with R the same and s zero, it "signs" everything.
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let keys = vitals::pairing::DeviceKeys { key: weak, wrap_key: [1; 32] };
    let request =
        PairingRequest { gateway: keys, sensors: vec![], interval_ms: None, signatures: vec![signature] };
    let why = said(PairingRequest::decode(&request.encode()));
    out.push(("bad/pairing_request_weak_key", "pairing request", request.encode(), why));

    let stream = ward.stream(0, Class::Vitals);
    let stream = StreamKey {
        author: ward.sensor_id(0),
        stream: stream.id,
        class: stream.class,
        epoch: 20_779,
        commitment: [1; 32],
        encapsulated: [2; 32],
        wrapped: [3; 48],
    };
    let mut add = |name, signer, streams: &[StreamKey]| {
        let mut answer = PairingAnswer {
            genesis_document: ward.document.encode(),
            record_key: public(&ward.record),
            gateway: DeviceId::of(&public(&ward.gateway)),
            streams: streams.to_vec(),
            signature: [0; 64],
        };
        answer.signature = sign(signer, Domain::PairingAnswer, answer.genesis(), &answer.payload());
        let why = said(PairingAnswer::decode(&answer.encode()));
        out.push((name, "pairing answer", answer.encode(), why));
    };
    add("bad/pairing_answer_signature", &stranger, std::slice::from_ref(&stream));
    add("bad/pairing_answer_stream_twice", &ward.record, &[stream.clone(), stream.clone()]);
    add("bad/pairing_answer_epoch", &ward.record, &[StreamKey { epoch: EPOCH_MAX + 1, ..stream }]);
}

fn bundles(ward: &Ward, out: &mut Vec<Bad>) {
    let good = ward.bundle();
    let pin = Some(ward.genesis());
    let starts: Vec<usize> = {
        let mut at = 0;
        core::iter::from_fn(|| {
            let (_, taken) = bundle::split_item(&good[at..]).ok()??;
            at += taken;
            Some(at - taken)
        })
        .collect()
    };
    let mut add = |name, bytes: Vec<u8>| {
        let why = said(bundle::verify(&bytes, pin));
        out.push((name, "bundle", bytes, why));
    };
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    add("bad/bundle_genesis", changed(60));
    add("bad/bundle_binding", changed(starts[3] - 1));
    // An envelope without a receipt ends in its path and an empty string.
    let bare = starts.windows(2).skip(3).find(|pair| good[pair[1] - 1] == 0x40).unwrap();
    add("bad/bundle_path", changed(bare[1] - 2));
    add("bad/bundle_last_byte", changed(good.len() - 1));
    add("bad/bundle_truncated", good[..starts[10]].to_vec());
    let (head, rest) = good.split_at(starts[3]);
    let (one, rest) = rest.split_at(starts[4] - starts[3]);
    let (two, rest) = rest.split_at(starts[5] - starts[4]);
    add("bad/bundle_swapped", [head, two, one, rest].concat());
    add("bad/bundle_trailing", [&good[..], &[0]].concat());
}

#[test]
fn bad_files_are_refused_in_the_words_written_down() {
    let ward = small();
    let mut all = Vec::new();
    envelopes(&ward, &mut all);
    bodies(&mut all);
    receipts(&ward, &mut all);
    ledger(&ward, &mut all);
    genesis(&ward, &mut all);
    blocks(&ward, &mut all);
    deliveries(&ward, &mut all);
    pairing(&ward, &mut all);
    bundles(&ward, &mut all);
    super::committees::bad(&mut all);
    super::segments::bad(&mut all);
    let mut table = String::from("# file\tobject\twhat the verifier says\n");
    for (name, object, bytes, why) in &all {
        compare(name, bytes);
        table += &format!("{name}.hex\t{object}\t{why}\n");
    }
    let file = path("bad").with_extension("tsv");
    if std::env::var_os("ACESO_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&file, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), table);
}

#[test]
fn the_golden_bundle_is_good() {
    let ward = small();
    compare("bundle_v1", &ward.bundle());
    compare("bundle_genesis_v1", &ward.document.encode());
    assert!(bundle::verify(&ward.bundle(), Some(ward.genesis())).is_ok());
}
