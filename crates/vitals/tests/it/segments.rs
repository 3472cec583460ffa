//! Bundles of version 3: envelopes in segments, each with one signature and one path.

use super::bad::{Bad, said};
use testkit::fixture::{Ward, small};
use testkit::golden;
use vitals::bundle::{
    self, Broken, BundleWriter, Counts, Report, SEGMENT_LEN_MAX, SegmentWriter, Why, split_item,
};
use vitals::envelope::Envelope;
use vitals::ids::{Class, DeviceId};
use vitals::ledger::{Revocation, RevokeReason};

fn checked(ward: &Ward, bundle: &[u8]) -> Result<Report, Broken> {
    bundle::verify(bundle, Some(ward.genesis()))
}

/// Two sensors that sealed for a while, turn by turn.
fn busy(envelopes: u64) -> Ward {
    let mut ward = Ward::new(4, 2);
    let mut streams: Vec<_> = (0..2)
        .flat_map(|n| [(n, Class::Vitals), (n, Class::Environment)])
        .map(|(n, class)| ward.stream(n, class))
        .collect();
    for _ in 0..envelopes {
        for stream in &mut streams {
            ward.admit(stream, 60);
        }
    }
    ward
}

#[test]
fn a_bundle_in_segments_proves_what_the_same_in_envelopes_does() {
    for ward in [small(), busy(50)] {
        let mut one_by_one = checked(&ward, &ward.bundle()).unwrap();
        let in_segments = checked(&ward, &ward.segments(None)).unwrap();
        one_by_one.receipts = 0;
        assert_eq!(in_segments, one_by_one);
    }
}

#[test]
fn a_bundle_in_segments_is_its_ciphertexts_and_little_more() {
    let ward = busy(2_000);
    let bundle = ward.segments(None);
    let report = checked(&ward, &bundle).unwrap();
    let over = bundle.len() as u64 - report.ciphertext_bytes;
    assert!(over < 12 * report.envelopes + 16_384, "{over} bytes beside {} envelopes", report.envelopes);
    assert!(ward.bundle().len() > 5 * bundle.len());
}

#[test]
fn any_changed_byte_of_a_bundle_in_segments_breaks_it() {
    let ward = small();
    let bundle = ward.segments(None);
    let start = split_item(&bundle).unwrap().unwrap().1;
    let mut bad = bundle.clone();
    for at in 0..bundle.len() {
        for change in [0x01, 0x80] {
            bad[at] = bundle[at] ^ change;
            let broken = checked(&ward, &bad).expect_err(&format!("byte {at} changed by {change:02x}"));
            assert!(at < start || broken.at_byte <= at as u64, "byte {at}: {broken}");
        }
        bad[at] = bundle[at];
    }
    for len in 0..bundle.len() {
        assert!(checked(&ward, &bundle[..len]).is_err(), "cut at {len}");
    }
    let longer = [bundle.as_slice(), &[0]].concat();
    assert_eq!(checked(&ward, &longer).unwrap_err().why, Why::Trailing);
}

/// A bundle of these segments, each with the leaf of its last envelope.
fn written(ward: &Ward, segments: &[(SegmentWriter, u64)], counted: u64) -> Vec<u8> {
    let counts = Counts { proofs: 1, openings: 0, envelopes: counted };
    let mut writer = BundleWriter::segmented(&ward.document.encode(), ward.org(), counts);
    let devices: Vec<DeviceId> = ward.devices.keys().copied().collect();
    writer.proof(&devices, &ward.prove(&ward.facts(), 41).encode()).unwrap();
    for (segment, index) in segments {
        let path = ward.log.inclusion(*index, ward.log.size()).unwrap();
        writer.segment(segment, *index, &path).unwrap();
    }
    writer.finish().unwrap()
}

fn envelopes_of(ward: &Ward, class: Class) -> Vec<(Envelope, u64)> {
    let all = ward.stored.values().map(|(bytes, index)| (Envelope::decode(bytes).unwrap(), *index));
    let author = all.clone().next().unwrap().0.header.author;
    all.filter(|(envelope, _)| envelope.header.class == class && envelope.header.author == author).collect()
}

fn segment_of(envelopes: &[(Envelope, u64)]) -> (SegmentWriter, u64) {
    let mut segment = SegmentWriter::of(&envelopes[0].0);
    for (envelope, _) in &envelopes[1..] {
        assert!(segment.push(envelope));
    }
    (segment, envelopes.last().unwrap().1)
}

#[test]
fn only_what_follows_goes_into_a_segment() {
    let ward = busy(5);
    let all = envelopes_of(&ward, Class::Vitals);
    let mut segment = SegmentWriter::of(&all[0].0);
    assert!(!segment.push(&all[2].0), "a gap");
    assert!(!segment.push(&envelopes_of(&ward, Class::Environment)[1].0), "another stream");
    let mut other = all[1].0.clone();
    other.header.run = [9; 16];
    assert!(!segment.push(&other), "another run");
    assert!(segment.push(&all[1].0));
    assert_eq!(segment.len(), 2);
    let mut long = busy(0);
    let mut stream = long.stream(0, Class::Vitals);
    for _ in 0..=SEGMENT_LEN_MAX {
        let bytes = long.seal(&mut stream, 20);
        long.store(&bytes);
    }
    let mut all = long.stored.values().map(|(bytes, _)| Envelope::decode(bytes).unwrap());
    let mut segment = SegmentWriter::of(&all.next().unwrap());
    assert_eq!(all.filter(|envelope| segment.push(envelope)).count(), SEGMENT_LEN_MAX - 1);
}

#[test]
fn a_segment_with_anything_of_its_middle_changed_is_refused() {
    let ward = busy(6);
    let all = envelopes_of(&ward, Class::Vitals);
    assert!(checked(&ward, &written(&ward, &[segment_of(&all)], 6)).is_ok());
    let change = |change: &dyn Fn(&mut Envelope)| {
        let mut all = all.clone();
        change(&mut all[2].0);
        // The writer believes the hashes it is given; the reader makes them again.
        checked(&ward, &written(&ward, &[segment_of(&all)], 6)).unwrap_err()
    };
    let broken = change(&|envelope| envelope.ciphertext[0] ^= 1);
    assert_eq!((broken.field, broken.why), ("signature", Why::Signature));
    assert_eq!(change(&|envelope| envelope.header.count += 1).why, Why::Signature);
    assert_eq!(change(&|envelope| envelope.header.last_ms += 1).why, Why::Signature);
    assert_eq!(change(&|envelope| envelope.ciphertext.truncate(16)).field, "envelope");
}

#[test]
fn segments_out_of_order_or_not_linked_or_too_many_are_refused() {
    let ward = busy(6);
    let all = envelopes_of(&ward, Class::Vitals);
    let halves = || [segment_of(&all[..3]), segment_of(&all[3..])];
    assert!(checked(&ward, &written(&ward, &halves(), 6)).is_ok());
    let [one, two] = halves();
    assert_eq!(checked(&ward, &written(&ward, &[two, one], 6)).unwrap_err().why, Why::Order);
    let [one, _] = halves();
    assert_eq!(
        checked(&ward, &written(&ward, &[one, segment_of(&all[2..5])], 6)).unwrap_err().why,
        Why::Order
    );
    let mut unlinked = all.clone();
    unlinked[3].0.header.prev = [7; 32];
    let [one, _] = halves();
    let broken = checked(&ward, &written(&ward, &[one, segment_of(&unlinked[3..4])], 4)).unwrap_err();
    assert_eq!((broken.field, broken.why), ("prev", Why::Prev));
    let report = checked(&ward, &written(&ward, &[segment_of(&all[..2]), segment_of(&all[4..])], 4)).unwrap();
    let stream = &report.streams[0];
    assert_eq!((stream.gaps, stream.missing, stream.first_gap), (1, 2, Some((2, 3))));
    // The start counts fewer envelopes than a segment holds: its last byte is that count.
    let bundle = written(&ward, &[segment_of(&all)], 6);
    let start = split_item(&bundle).unwrap().unwrap().1;
    let mut fewer = bundle.clone();
    fewer[start - 1] = 5;
    let broken = checked(&ward, &fewer).unwrap_err();
    assert_eq!((broken.field, broken.why), ("segment", Why::Trailing));
}

#[test]
fn a_stolen_key_vouches_for_nothing_from_before() {
    let mut ward = small();
    ward.revoke(0, Revocation { at_ms: 1, reason: RevokeReason::Stolen, last_trusted_seq: 1 });
    let broken = checked(&ward, &ward.segments(None)).unwrap_err();
    assert_eq!((broken.field, broken.why), ("segment", Why::AcrossRevocation));
    let report = checked(&ward, &ward.segments(Some(1))).unwrap();
    assert_eq!(report.streams.iter().map(|stream| stream.untrusted).sum::<u64>(), 2);
}

#[test]
fn the_golden_bundle_in_segments_is_good() {
    let ward = small();
    golden!("bundle_v3", ward.segments(None));
    assert!(checked(&ward, &ward.segments(None)).is_ok());
}

/// What a reader must refuse.
pub(super) fn bad(out: &mut Vec<Bad>) {
    let ward = small();
    let good = ward.segments(None);
    let starts: Vec<usize> = {
        let mut at = 0;
        core::iter::from_fn(|| {
            let (_, taken) = split_item(&good[at..]).ok()??;
            at += taken;
            Some(at - taken)
        })
        .collect()
    };
    let mut add = |name, bytes: Vec<u8>| {
        let why = said(checked(&ward, &bytes));
        out.push((name, "bundle", bytes, why));
    };
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let (last, len) = (*starts.last().unwrap(), good.len());
    let path = |size: u64| 34 * usize::try_from(size.ilog2()).unwrap();
    // From its end: the path, its head, a small index, the signature.
    add("bad/bundle_v3_path", changed(len - 1));
    add("bad/bundle_v3_signature", changed(len - path(ward.log.size()) - 2 - 1));
    let sealed = Envelope::decode(&ward.stored.values().next().unwrap().0).unwrap().ciphertext;
    let at = good.windows(sealed.len()).position(|bytes| bytes == sealed).unwrap();
    add("bad/bundle_v3_ciphertext", changed(at));
    add("bad/bundle_v3_truncated", good[..last].to_vec());
    let before = starts[starts.len() - 2];
    add("bad/bundle_v3_swapped", [&good[..before], &good[last..], &good[before..last]].concat());
    add("bad/bundle_v3_trailing", [&good[..], &[0]].concat());
    let mut other = good.clone();
    let at = good.windows(15).position(|text| text == b"aceso/bundle/v3").unwrap() + 14;
    other[at] = b'1';
    add("bad/bundle_v3_called_v1", other);
    let mut revoked = small();
    revoked.revoke(0, Revocation { at_ms: 1, reason: RevokeReason::Stolen, last_trusted_seq: 1 });
    add("bad/bundle_v3_across_revocation", revoked.segments(None));
}
