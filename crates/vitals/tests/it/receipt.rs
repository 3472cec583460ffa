use proptest::prelude::*;
use testkit::fixture::{Ward, public};
use testkit::golden;
use vitals::cbor::{NotCanonical, Writer};
use vitals::ids::Class;
use vitals::ids::Genesis;
use vitals::ledger::Fact;
use vitals::log::PATH_MAX;
use vitals::receipt::*;

fn ward() -> Ward {
    let mut ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    for _ in 0..5 {
        ward.admit(&mut stream, 20);
    }
    ward
}

fn header(ward: &Ward, index: u64) -> Vec<u8> {
    let (bytes, _) = ward.stored.values().find(|(_, at)| *at == index).unwrap();
    vitals::envelope::Envelope::decode(bytes).unwrap().header_bytes
}

fn receipt(ward: &Ward, index: u64) -> Receipt {
    let (bytes, _) = ward.stored.values().find(|(_, at)| *at == index).unwrap();
    ward.receipt(bytes, index, 5)
}

fn delivery(ward: &Ward) -> Delivery {
    let proven = [1, 4].map(|index| Proven {
        envelope: vitals::envelope::header_hash(&header(ward, index)),
        index,
        path: ward.log.inclusion(index, 5).unwrap(),
    });
    let ledger = ward.prove(&[Fact::Anchor(ward.org())], 41).encode();
    Delivery { org: ward.org(), ledger, proven: proven.to_vec() }
}

#[test]
fn receipts_and_deliveries_are_golden() {
    let ward = ward();
    let receipt = receipt(&ward, 3);
    golden!("receipt_v1", receipt.encode());
    golden!("tree_head_v1", receipt.head.head.encode());
    assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt));
    let delivery = delivery(&ward);
    golden!("delivery_v1", delivery.encode());
    golden!("ledger_proof_v1", delivery.ledger);
    golden!("block_header_v1", ward.block(41).encode());
    golden!("certificate_v1", ward.prove(&[], 41).certificate);
    golden!("genesis_v1", ward.document.encode());
    let operated = ward.operated();
    golden!("genesis_v2", operated.encode());
    assert_eq!(vitals::proof::genesis::GenesisDocument::decode(&operated.encode()), Ok(operated));
    let mut headers = Writer::new();
    for index in 0..5 {
        headers.bytes(&header(&ward, index));
    }
    golden!("logged_headers_v1", headers.finish());
    assert_eq!(Delivery::decode(&delivery.encode()), Ok(delivery));
}

#[test]
fn every_changed_byte_of_a_receipt_breaks_it() {
    let ward = ward();
    let good = receipt(&ward, 3).encode();
    let (header, key) = (header(&ward, 3), public(&ward.record));
    let holds = |bytes: &[u8]| {
        Receipt::decode(bytes).is_ok_and(|receipt| receipt.verify(ward.genesis(), &key, &header))
    };
    assert!(holds(&good));
    for at in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            assert!(!holds(&bad), "byte {at} changed by {change:02x}");
        }
    }
}

#[test]
fn a_receipt_is_for_one_envelope_of_one_ledger_by_one_key() {
    let ward = ward();
    let (receipt, key) = (receipt(&ward, 3), public(&ward.record));
    assert!(receipt.verify(ward.genesis(), &key, &header(&ward, 3)));
    assert!(!receipt.verify(ward.genesis(), &key, &header(&ward, 2)));
    assert!(!receipt.verify(Genesis([1; 32]), &key, &header(&ward, 3)));
    assert!(!receipt.verify(ward.genesis(), &public(&ward.gateway), &header(&ward, 3)));
}

#[test]
fn more_than_the_bounds_is_refused() {
    let ward = ward();
    let mut long = receipt(&ward, 3);
    long.path = vec![[1; 32]; PATH_MAX + 1];
    assert_eq!(Receipt::decode(&long.encode()), Err(NotCanonical::TooLong));
    let mut many = delivery(&ward);
    many.proven = vec![many.proven[0].clone(); PROVEN_MAX + 1];
    assert_eq!(Delivery::decode(&many.encode()), Err(NotCanonical::TooLong));
    many.proven.truncate(PROVEN_MAX);
    assert!(Delivery::decode(&many.encode()).is_ok());
    let full = Delivery {
        org: ward.org(),
        ledger: vec![0; LEDGER_PROOF_BYTES_MAX],
        proven: vec![
            Proven { envelope: [1; 32], index: u64::MAX, path: vec![[1; 32]; PATH_MAX] };
            PROVEN_MAX
        ],
    };
    assert!(Delivery::decode(&full.encode()).is_ok(), "the fullest delivery fits its own bound");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Receipt::decode(&bytes).is_err());
        prop_assert!(Delivery::decode(&bytes).is_err());
        prop_assert!(TreeHead::decode(&bytes).is_err());
        prop_assert!(vitals::proof::LedgerProof::decode(&bytes).is_err());
        prop_assert!(vitals::bundle::verify(&bytes, None).is_err());
    }

    #[test]
    fn changed_bytes_are_refused_or_are_the_only_form(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let ward = ward();
        let (mut bytes, mut head) = (delivery(&ward).encode(), ward.head(5).head.encode());
        let mut proof = ward.prove(&[Fact::Anchor(ward.org())], 41).encode();
        let mut document = ward.document.encode();
        for (at, to) in changes {
            for bytes in [&mut bytes, &mut head, &mut proof, &mut document] {
                let at = at % bytes.len();
                bytes[at] = to;
            }
        }
        if let Ok(read) = Delivery::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
        if let Ok(read) = TreeHead::decode(&head) {
            prop_assert_eq!(read.encode(), head);
        }
        if let Ok(read) = vitals::proof::LedgerProof::decode(&proof) {
            prop_assert_eq!(read.encode(), proof);
        }
        if let Ok(read) = vitals::proof::genesis::GenesisDocument::decode(&document) {
            prop_assert_eq!(read.encode(), document);
        }
    }
}
