use testkit::fixture::small;
use testkit::fixture::{NOON_MS, Ward};
use vitals::bundle::*;
use vitals::ids::Class;
use vitals::ids::{DeviceId, Genesis, OrgId, PatientId};
use vitals::ledger::{Revocation, RevokeReason};

/// Item boundaries: (offset, length with its head).
fn items(bundle: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut items) = (0, Vec::new());
    while at < bundle.len() {
        let (_, taken) = split_item(&bundle[at..]).unwrap().unwrap();
        items.push((at, taken));
        at += taken;
    }
    items
}

#[test]
fn a_bundle_says_what_it_proves() {
    let ward = small();
    let report = verify(&ward.bundle(), Some(ward.genesis())).unwrap();
    assert!(report.pinned);
    assert_eq!((report.envelopes, report.receipts), (8, 6));
    assert_eq!((report.committee, report.quorum, report.signers.len()), (4, 3, 3));
    assert_eq!(report.anchor.size, 8);
    assert_eq!((report.height, report.time_ms), (41, NOON_MS + 60_041));
    assert_eq!(report.streams.len(), 3);
    for stream in &report.streams {
        assert_eq!(stream.patient, Some(ward.patient(0)));
        assert_eq!((stream.first_seq, stream.missing), (0, 0));
        assert_eq!(stream.by == Author::Organisation, stream.class == Class::Access);
    }
    let words = report.to_string();
    for said in ["Ward 7", "3 of 4 validators", "2026-11-22 12:01:00.041 UTC", "no envelope between them"] {
        assert!(words.contains(said), "{said} is missing in:\n{words}");
    }
}

#[test]
fn without_a_pin_the_report_says_so() {
    let ward = small();
    let report = verify(&ward.bundle(), None).unwrap();
    assert!(!report.pinned);
    assert_eq!(report.genesis, ward.genesis());
    assert!(report.to_string().contains("NOT PINNED"));
}

#[test]
fn another_pin_is_named() {
    let broken = verify(&small().bundle(), Some(Genesis([1; 32]))).unwrap_err();
    assert_eq!((broken.item, broken.field), (0, "genesis document"));
    assert!(matches!(broken.why, Why::OtherGenesis { .. }));
}

#[test]
fn any_changed_byte_of_a_small_bundle_breaks_it_and_its_item_is_named() {
    let ward = small();
    let (bundle, pin) = (ward.bundle(), Some(ward.genesis()));
    let items = items(&bundle);
    let mut bad = bundle.clone();
    let mut elsewhere = 0;
    for at in 0..bundle.len() {
        let item = items.iter().rposition(|(start, _)| *start <= at).unwrap() as u64;
        for change in [0x01, 0x80] {
            bad[at] = bundle[at] ^ change;
            let broken = verify(&bad, pin).expect_err(&format!("byte {at} changed by {change:02x}"));
            if broken.item != item {
                // Only what the start says of others can show elsewhere: the organisation, the counts.
                assert_eq!(item, 0, "byte {at} changed by {change:02x}: {broken}");
                elsewhere += 1;
            }
        }
        bad[at] = bundle[at];
    }
    assert!(elsewhere <= 2 * (16 + 3), "{elsewhere} changes of the start were named elsewhere");
}

#[test]
fn any_sampled_byte_of_a_large_bundle_breaks_it() {
    let mut ward = Ward::new(7, 5);
    let mut streams: Vec<_> = (0..5)
        .flat_map(|n| [(n, Class::Vitals), (n, Class::Environment)])
        .map(|(n, class)| ward.stream(n, class))
        .collect();
    for _ in 0..60 {
        for stream in &mut streams {
            ward.admit(stream, 90);
        }
    }
    let (bundle, pin) = (ward.bundle(), Some(ward.genesis()));
    assert_eq!(verify(&bundle, pin).unwrap().envelopes, 600);
    let items = items(&bundle);
    let mut bad = bundle.clone();
    for sample in 0..150u64 {
        let hash = vitals::ids::sha256(&[b"sample", &sample.to_be_bytes()]);
        let at = usize::from_be_bytes(hash[..8].try_into().unwrap()) % bundle.len();
        bad[at] ^= hash[8].max(1);
        let broken = verify(&bad, pin).expect_err(&format!("byte {at}"));
        let item = items.iter().rposition(|(start, _)| *start <= at).unwrap() as u64;
        assert!(broken.item == item || item == 0, "byte {at}: {broken}");
        bad[at] = bundle[at];
    }
}

#[test]
fn a_bundle_cut_anywhere_is_refused() {
    let ward = small();
    let (bundle, pin) = (ward.bundle(), Some(ward.genesis()));
    for len in 0..bundle.len() {
        assert!(verify(&bundle[..len], pin).is_err(), "cut at {len}");
    }
    let longer = [bundle.as_slice(), &[0]].concat();
    assert_eq!(verify(&longer, pin).unwrap_err().why, Why::Trailing);
}

#[test]
fn bytes_may_arrive_in_any_pieces() {
    let ward = small();
    let (bundle, pin) = (ward.bundle(), Some(ward.genesis()));
    let whole = verify(&bundle, pin).unwrap();
    for size in [1, 7, 100, 4096] {
        let mut verifier = Verifier::new(pin);
        for piece in bundle.chunks(size) {
            verifier.push(piece).unwrap();
        }
        assert_eq!(verifier.finish().unwrap(), whole);
    }
}

/// A writer past the start and the proof.
fn rewritten(ward: &Ward, envelopes: &[(Vec<u8>, u64, Vec<u8>)]) -> Result<Report, Broken> {
    let counts = Counts { proofs: 1, openings: 0, envelopes: envelopes.len() as u64 };
    let mut writer = BundleWriter::new(&ward.document.encode(), ward.org(), counts);
    let devices: Vec<DeviceId> = ward.devices.keys().copied().collect();
    writer.proof(&devices, &ward.prove(&ward.facts(), 41).encode()).unwrap();
    for (envelope, index, receipt) in envelopes {
        let path = ward.log.inclusion(*index, ward.log.size()).unwrap();
        writer.sealed(&Sealed { envelope, index: *index, path, receipt }).unwrap();
    }
    verify(&writer.finish().unwrap(), Some(ward.genesis()))
}

fn stored(ward: &Ward) -> Vec<(Vec<u8>, u64, Vec<u8>)> {
    ward.stored.values().map(|(bytes, index)| (bytes.clone(), *index, Vec::new())).collect()
}

#[test]
fn a_missing_envelope_is_a_gap_in_the_report() {
    let ward = small();
    let mut all = stored(&ward);
    all.retain(|(bytes, ..)| {
        let header = vitals::envelope::Envelope::decode(bytes).unwrap().header;
        (header.class, header.seq) != (Class::Vitals, 1)
    });
    let report = rewritten(&ward, &all).unwrap();
    let vitals = report.streams.iter().find(|stream| stream.class == Class::Vitals).unwrap();
    assert_eq!((vitals.gaps, vitals.missing, vitals.first_gap), (1, 1, Some((1, 1))));
    assert_eq!(vitals.patient, None, "nothing opens the binding");
    assert!(report.to_string().contains("MISSING: 1 envelopes at 1 places, the first 1 to 1"));
}

#[test]
fn envelopes_out_of_order_or_twice_are_refused() {
    let ward = small();
    let mut swapped = stored(&ward);
    swapped.swap(0, 1);
    assert_eq!(rewritten(&ward, &swapped).unwrap_err().why, Why::Order);
    let mut twice = stored(&ward);
    twice.insert(0, twice[0].clone());
    assert_eq!(rewritten(&ward, &twice).unwrap_err().why, Why::Order);
}

#[test]
fn a_fork_signed_by_the_author_shows_as_a_broken_prev() {
    let mut ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    ward.admit(&mut stream, 20);
    // A second branch: the author signs sequence 1 over another predecessor.
    stream.prev = [9; 32];
    ward.admit(&mut stream, 20);
    let broken = rewritten(&ward, &stored(&ward)).unwrap_err();
    assert_eq!((broken.item, broken.field, broken.why), (3, "prev", Why::Prev));
}

#[test]
fn an_unregistered_author_is_refused_though_the_log_holds_it() {
    let mut ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    stream.author = testkit::fixture::key("stranger", 0);
    ward.admit(&mut stream, 20);
    assert_eq!(rewritten(&ward, &stored(&ward)).unwrap_err().why, Why::UnknownAuthor);
    let mut ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    stream.author = ward.gateway;
    ward.admit(&mut stream, 20);
    let broken = rewritten(&ward, &stored(&ward)).unwrap_err();
    assert_eq!(broken.why, Why::UnknownAuthor, "a gateway carries, it does not write");
}

#[test]
fn a_signature_of_another_key_is_named_even_in_a_batch() {
    let mut ward = Ward::new(1, 2);
    let mut stream = ward.stream(0, Class::Vitals);
    for seq in 0..300 {
        let mut bytes = ward.seal(&mut stream, 20);
        if seq == 277 {
            let at = bytes.len() - 21 - 64;
            bytes[at] ^= 1;
        }
        ward.store(&bytes);
    }
    let broken = rewritten(&ward, &stored(&ward)).unwrap_err();
    assert_eq!((broken.item, broken.field, broken.why), (2 + 277, "signature", Why::Signature));
}

#[test]
fn a_receipt_of_another_envelope_log_or_key_is_refused() {
    let ward = small();
    let check = |receipt: Vec<u8>| {
        let mut all = stored(&ward);
        all[0].2 = receipt;
        rewritten(&ward, &all).map(|report| report.receipts).map_err(|broken| broken.why)
    };
    let (bytes, index) = ward.stored.values().next().unwrap();
    let good = ward.receipt(bytes, *index, ward.log.size());
    assert_eq!(check(good.encode()), Ok(1));
    let mut other = good.clone();
    other.envelope = [1; 32];
    assert_eq!(check(other.encode()), Err(Why::OtherReceipt));
    let mut other = good.clone();
    other.head.head.org = OrgId([1; 16]);
    assert_eq!(check(other.encode()), Err(Why::OtherReceipt));
    let mut other = good.clone();
    other.path.pop();
    assert_eq!(check(other.encode()), Err(Why::ReceiptPath));
    let mut other = good;
    other.head.head.at_ms += 1;
    assert_eq!(check(other.encode()), Err(Why::ReceiptSignature));
}

#[test]
fn two_logs_of_one_length_are_a_fork() {
    let ward = small();
    let mut liar = small();
    liar.log = vitals::log::MerkleLog::new();
    let mut all = stored(&ward);
    let (bytes, index) = (all[0].0.clone(), all[0].1);
    for leaf in 0..ward.log.size() {
        let kept = ward.log.leaf(leaf).unwrap();
        liar.log.push(if leaf == index { kept } else { [7; 32] });
    }
    all[0].2 = liar.receipt(&bytes, index, ward.log.size()).encode();
    assert_eq!(rewritten(&ward, &all).unwrap_err().why, Why::Forked);
}

#[test]
fn what_a_stolen_sensor_sealed_later_is_marked() {
    let mut ward = small();
    let revoked = Revocation { at_ms: NOON_MS, reason: RevokeReason::Stolen, last_trusted_seq: 1 };
    ward.revoke(0, revoked);
    let report = verify(&ward.bundle(), Some(ward.genesis())).unwrap();
    let marked: Vec<u64> = report.streams.iter().map(|stream| stream.untrusted).collect();
    assert_eq!(marked.iter().sum::<u64>(), 2, "number 2 of both sensor streams");
    let words = report.to_string();
    assert!(words.contains("as stolen on 2026-11-22 12:00:00.000 UTC, trusted up to 1"), "{words}");
    assert!(words.contains("UNTRUSTED: 1 envelopes"));
}

#[test]
fn an_opening_must_fit_the_ledger_and_the_stream() {
    let ward = small();
    let opened = |opening: &Opening| {
        let counts = Counts { proofs: 1, openings: 1, envelopes: 0 };
        let mut writer = BundleWriter::new(&ward.document.encode(), ward.org(), counts);
        let devices: Vec<DeviceId> = ward.devices.keys().copied().collect();
        writer.proof(&devices, &ward.prove(&ward.facts(), 41).encode()).unwrap();
        writer.opening(opening).unwrap();
        verify(&writer.finish().unwrap(), Some(ward.genesis())).map_err(|broken| broken.why)
    };
    assert!(opened(&ward.opening(0)).is_ok());
    let other = Opening { patient: PatientId([1; 16]), ..ward.opening(0) };
    assert_eq!(opened(&other), Err(Why::Binding));
    let other = Opening { device: DeviceId([1; 16]), ..ward.opening(0) };
    assert_eq!(opened(&other), Err(Why::NoDevice));
}

#[test]
fn further_devices_come_from_the_same_block_or_a_later_one() {
    let mut ward = Ward::new(1, 1);
    let mut stream = ward.stream(0, Class::Vitals);
    ward.admit(&mut stream, 20);
    let check = |second: u64| {
        let counts = Counts { proofs: 2, openings: 0, envelopes: 0 };
        let mut writer = BundleWriter::new(&ward.document.encode(), ward.org(), counts);
        let devices: Vec<DeviceId> = ward.devices.keys().copied().collect();
        let facts = ward.facts();
        writer.proof(&devices[..1], &ward.prove(&facts[..3], 41).encode()).unwrap();
        writer.proof(&devices[1..], &ward.prove(&facts[3..], second).encode()).unwrap();
        verify(&writer.finish().unwrap(), Some(ward.genesis())).map_err(|broken| broken.why)
    };
    assert_eq!(check(41).unwrap().devices.len(), 2);
    assert_eq!(check(42).unwrap().height, 41);
    assert_eq!(check(40), Err(Why::OlderBlock));
}

#[test]
fn a_writer_insists_on_its_counts() {
    let ward = Ward::new(1, 1);
    let counts = Counts { proofs: 1, openings: 1, envelopes: 0 };
    let mut writer = BundleWriter::new(&ward.document.encode(), ward.org(), counts);
    assert!(writer.opening(&ward.opening(0)).is_err(), "proofs come first");
    writer.proof(&[], &[]).unwrap();
    assert!(writer.proof(&[], &[]).is_err());
    assert_eq!(writer.finish().unwrap_err().left.openings, 1);
}

#[test]
fn times_read_as_people_write_them() {
    for (ms, said) in [
        (0, "1970-01-01 00:00:00.000 UTC"),
        (951_782_399_999, "2000-02-28 23:59:59.999 UTC"),
        (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
        (1_795_348_800_000, "2026-11-22 12:00:00.000 UTC"),
        (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
    ] {
        assert_eq!(Utc(ms).to_string(), said);
    }
}
