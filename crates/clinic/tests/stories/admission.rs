//! From the gateway's hands to "durable, and in my log".

use clinic::{MqttClass, Verdict};
use testward::{Gateway, NOON_MS, Ward, refusal};
use vitals::alarm::Condition;
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::ledger::RevokeReason;
use vitals::receipt::Receipt;

#[test]
fn a_paired_sensor_is_admitted_and_its_receipt_holds() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let answers = ward.carry(gateway.id(), std::slice::from_ref(&bytes));
    let Verdict::Admitted { index } = answers[0].verdict else { panic!("{answers:?}") };
    let receipt = Receipt::decode(answers[0].receipt.as_ref().unwrap()).unwrap();
    let envelope = Envelope::decode(&bytes).unwrap();
    let record_key = ward.clinic.vault().record_key();
    assert!(receipt.verify(ward.clinic.genesis(), &record_key, &envelope.header_bytes));
    assert_eq!(receipt.index, index);
    assert_eq!(ward.clinic.store().read_index(index).unwrap().unwrap(), bytes, "stored as it came");
    assert_eq!(ward.clinic.counters().admitted, 1);
}

#[test]
fn the_same_envelope_again_is_acknowledged_again_and_stored_once() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let first = ward.carry(gateway.id(), std::slice::from_ref(&bytes));
    let Verdict::Admitted { index } = first[0].verdict else { panic!() };
    let size = ward.clinic.store().size();
    for _ in 0..3 {
        let again = ward.carry(gateway.id(), &[bytes.clone(), bytes.clone()]);
        for answer in again {
            assert_eq!(answer.verdict, Verdict::Duplicate { index });
            assert!(answer.receipt.is_some());
        }
    }
    assert_eq!(ward.clinic.store().size(), size);
    let next = gateway.sensors[0].pulse(730, NOON_MS + 1000);
    let twice = ward.carry(gateway.id(), &[next.clone(), next]);
    assert!(matches!(twice[0].verdict, Verdict::Admitted { .. }));
    assert!(matches!(twice[1].verdict, Verdict::Duplicate { .. }), "also within one group");
    assert_eq!(ward.clinic.counters().duplicate, 7);
}

#[test]
fn a_gateway_is_heard_by_what_it_carries() {
    let (mut ward, [amira, bela]) = Ward::with(["amira", "bela"]);
    let mut gateway = ward.gateway(1, &[amira, bela]);
    let silent = ward.gateway(2, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let page = ward.clinic.admin_page(&ward.admin, ward.now_ms).unwrap();
    let heard = |device| page.devices.iter().find(|row| row.device == device).unwrap().last_seen_ms;
    assert_eq!(heard(gateway.id()), heard(gateway.sensors[0].id()));
    assert_eq!(heard(gateway.id()), Some(ward.now_ms));
    assert_eq!((heard(silent.id()), heard(gateway.sensors[1].id())), (None, None));
}

#[test]
fn a_receipt_that_came_too_late_is_signed_again_at_its_time() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let owed = ward.carry(gateway.id(), std::slice::from_ref(&bytes))[0].receipt.clone().unwrap();
    let next = gateway.sensors[0].pulse(730, NOON_MS + 1_000);
    ward.carry(gateway.id(), &[next]);
    let later_ms = NOON_MS + 3_600_000;
    let again = ward.clinic.sign_again(std::slice::from_ref(&owed), later_ms).unwrap();
    let (old, new) = (Receipt::decode(&owed).unwrap(), Receipt::decode(&again[0]).unwrap());
    assert_eq!((new.envelope, new.index), (old.envelope, old.index));
    assert_eq!((new.head.head.at_ms, new.head.head.size), (later_ms, old.head.head.size + 1));
    let header = Envelope::decode(&bytes).unwrap().header_bytes;
    assert!(new.verify(ward.clinic.genesis(), &ward.clinic.vault().record_key(), &header));
    // Neither what is no receipt, nor one of a leaf that is not there, is signed.
    assert!(ward.clinic.sign_again(&[vec![0; 40]], later_ms).is_err());
    let beyond = Receipt { index: new.head.head.size, ..new }.encode();
    assert!(ward.clinic.sign_again(&[beyond], later_ms).is_err());
}

#[test]
fn what_nobody_registered_is_refused() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let stranger = Gateway::new(9, 0);
    let answers = ward.carry(stranger.id(), std::slice::from_ref(&bytes));
    assert_eq!(refusal(&answers[0]), "gateway_unknown");
    let answers = ward.carry(gateway.sensors[0].id(), std::slice::from_ref(&bytes));
    assert_eq!(refusal(&answers[0]), "gateway_unknown", "a sensor is no gateway");
    let answers = ward.carry(gateway.id(), &[b"not an envelope".to_vec()]);
    assert_eq!(refusal(&answers[0]), "malformed");
    let Verdict::Refused(why) = &answers[0].verdict else { unreachable!() };
    assert_eq!(why.mqtt(), MqttClass::PayloadFormatInvalid);
    assert_eq!(ward.clinic.counters().refused_total(), 3);
    assert_eq!(ward.clinic.counters().admitted, 0);
}

#[test]
fn a_gateway_carries_only_its_own_sensors() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut ours = ward.gateway(1, &[amira]);
    let theirs = ward.gateway(2, &[bruno]);
    let bytes = ours.sensors[0].pulse(720, NOON_MS);
    let answers = ward.carry(theirs.id(), std::slice::from_ref(&bytes));
    assert_eq!(refusal(&answers[0]), "foreign_gateway");
    let Verdict::Refused(why) = &answers[0].verdict else { unreachable!() };
    assert_eq!(why.mqtt(), MqttClass::NotAuthorised);
    assert!(matches!(ward.carry(ours.id(), &[bytes])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn an_unregistered_sensor_waits_for_its_registration() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = Gateway::new(1, 1);
    let request = device::pairing::request(&gateway.identity, &gateway.identities()).unwrap().encode();
    let paired = ward.clinic.pair(&ward.admin, &request, &[amira], ward.now_ms).unwrap();
    gateway.accept(&paired.answer);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let answers = ward.carry(gateway.id(), std::slice::from_ref(&bytes));
    assert_eq!(refusal(&answers[0]), "gateway_unknown", "no block has registered it yet");
    ward.block();
    assert!(matches!(ward.carry(gateway.id(), &[bytes])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn a_changed_byte_is_never_admitted() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let good = gateway.sensors[0].pulse(720, NOON_MS);
    let size = ward.clinic.store().size();
    let bad: Vec<Vec<u8>> = (0..good.len())
        .map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        })
        .collect();
    for answer in ward.carry(gateway.id(), &bad) {
        refusal(&answer);
    }
    assert_eq!(ward.clinic.store().size(), size);
    assert!(ward.clinic.counters().refused["signature_wrong"] > 64, "header and signature bytes");
    assert!(matches!(ward.carry(gateway.id(), &[good])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn one_bad_signature_does_not_spoil_its_group() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let mut group: Vec<Vec<u8>> = (0..8).map(|n| gateway.sensors[0].pulse(700, NOON_MS + 1000 * n)).collect();
    let envelope = Envelope::decode(&group[7]).unwrap();
    let mut signature = envelope.signature;
    signature[3] ^= 1;
    group[7] = Envelope::encode_parts(&envelope.header_bytes, &signature, &envelope.ciphertext);
    let answers = ward.carry(gateway.id(), &group);
    assert!(answers[..7].iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. })));
    assert_eq!(refusal(&answers[7]), "signature_wrong");
}

#[test]
fn a_gap_is_reported_and_its_late_filler_accepted() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let beats: Vec<_> = (0..4).map(|n| gateway.sensors[0].pulse(700, NOON_MS + 1000 * n)).collect();
    ward.now_ms += 4000;
    ward.carry(gateway.id(), &[beats[0].clone(), beats[3].clone()]);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(wall.tiles[0].alarms.iter().any(|alarm| alarm.condition == Condition::Gap));
    let late = ward.carry(gateway.id(), &[beats[2].clone()]);
    assert!(matches!(late[0].verdict, Verdict::Admitted { .. }));
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(
        wall.tiles[0].alarms.iter().any(|alarm| alarm.condition == Condition::Gap),
        "one is still missing"
    );
    ward.carry(gateway.id(), &[beats[1].clone()]);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(wall.tiles[0].alarms.is_empty(), "nothing is missing any more");
}

#[test]
fn what_a_second_writer_sent_ahead_is_refused_too_and_the_first_goes_on() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let first = gateway.sensors[0].pulse(700, NOON_MS);
    ward.carry(gateway.id(), &[first]);
    let mut copy = gateway.sensors[0].clone_at(ward.clinic.genesis(), Class::Vitals);
    let ours: Vec<_> = (1..6).map(|n| gateway.sensors[0].pulse(710, NOON_MS + 1000 * n)).collect();
    let theirs: Vec<_> = (1..6).map(|n| copy.pulse(1990, NOON_MS + 1000 * n)).collect();
    // The record holds two of the first branch when five of the second arrive, sent before any answer: two at
    // numbers that are taken, one behind them, two that nothing in the record stands next to.
    ward.carry(gateway.id(), &ours[..2]);
    let mut answers = ward.carry(gateway.id(), &theirs[..4]);
    answers.extend(ward.carry(gateway.id(), &theirs[4..]));
    let codes: Vec<_> = answers.iter().map(refusal).collect();
    assert_eq!(codes, ["equivocation", "equivocation", "prev_broken", "prev_broken", "prev_broken"]);
    let stream = Envelope::decode(&ours[0]).unwrap().header.stream;
    let last = ward.clinic.store().head(stream).map(|head| head.last_seq);
    assert_eq!(last, Some(2), "nothing of the second branch is in the record");
    for answer in ward.carry(gateway.id(), &ours[2..]) {
        assert!(matches!(answer.verdict, Verdict::Admitted { .. }), "the first branch goes on: {answer:?}");
    }
    // Sent once more from its beginning, as after a new connection, it is refused once more.
    for answer in ward.carry(gateway.id(), &theirs) {
        refusal(&answer);
    }
    assert_eq!(ward.clinic.store().head(stream).map(|head| (head.last_seq, head.count)), Some((5, 6)));
}

#[test]
fn two_hands_on_one_stream_are_refused_kept_and_alarmed() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let first = gateway.sensors[0].pulse(700, NOON_MS);
    ward.carry(gateway.id(), &[first]);
    let mut copy = gateway.sensors[0].clone_at(ward.clinic.genesis(), Class::Vitals);
    let ours = gateway.sensors[0].pulse(710, NOON_MS + 1000);
    let theirs = copy.pulse(1990, NOON_MS + 1000);
    let theirs_next = copy.pulse(1990, NOON_MS + 2000);
    let stream = Envelope::decode(&ours).unwrap().header.stream;
    assert!(matches!(ward.carry(gateway.id(), &[ours])[0].verdict, Verdict::Admitted { .. }));
    let answers = ward.carry(gateway.id(), &[theirs.clone(), theirs_next.clone()]);
    assert_eq!(refusal(&answers[0]), "equivocation");
    assert_eq!(refusal(&answers[1]), "prev_broken", "the second branch does not grow either");
    let Verdict::Refused(why) = &answers[0].verdict else { unreachable!() };
    assert_eq!(why.mqtt(), MqttClass::ImplementationSpecific);
    assert_eq!(ward.clinic.store().evidence(stream).unwrap(), [theirs, theirs_next]);
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(wall.tiles[0].alarms.iter().any(|alarm| alarm.condition == Condition::Equivocation));
    let next = gateway.sensors[0].pulse(710, NOON_MS + 2000);
    assert!(
        matches!(ward.carry(gateway.id(), &[next])[0].verdict, Verdict::Admitted { .. }),
        "the first goes on"
    );
}

#[test]
fn both_branches_in_one_group_are_told_apart() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let mut copy = gateway.sensors[0].clone_at(ward.clinic.genesis(), Class::Vitals);
    let group = [gateway.sensors[0].pulse(700, NOON_MS), copy.pulse(1990, NOON_MS)];
    let answers = ward.carry(gateway.id(), &group);
    assert!(matches!(answers[0].verdict, Verdict::Admitted { .. }));
    assert_eq!(refusal(&answers[1]), "equivocation");
}

#[test]
fn a_forged_second_branch_proves_nothing_and_alarms_nobody() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let ours = gateway.sensors[0].pulse(700, NOON_MS);
    ward.carry(gateway.id(), std::slice::from_ref(&ours));
    let envelope = Envelope::decode(&ours).unwrap();
    let mut header = envelope.header.clone();
    header.count += 1;
    let forged = Envelope::encode_parts(&header.encode(), &envelope.signature, &envelope.ciphertext);
    assert_eq!(refusal(&ward.carry(gateway.id(), &[forged])[0]), "signature_wrong");
    assert!(ward.clinic.store().evidence(header.stream).unwrap().is_empty());
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(wall.tiles[0].alarms.is_empty());
}

#[test]
fn a_retired_sensor_ends_and_what_it_sealed_before_stays_welcome() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let beats: Vec<_> = (0..4).map(|n| gateway.sensors[0].pulse(700, NOON_MS + 1000 * n)).collect();
    ward.carry(gateway.id(), &beats[..1]);
    let sensor = gateway.sensors[0].id();
    let ticket =
        ward.clinic.revoke_device(&ward.admin, sensor, RevokeReason::Retired, Some(2), ward.now_ms).unwrap();
    ward.block();
    ward.done(&ticket);
    let answers = ward.carry(gateway.id(), &beats);
    assert!(matches!(answers[0].verdict, Verdict::Duplicate { .. }));
    assert!(matches!(answers[1].verdict, Verdict::Admitted { .. }));
    assert!(matches!(answers[2].verdict, Verdict::Admitted { .. }));
    assert_eq!(refusal(&answers[3]), "retired");
}

#[test]
fn a_stolen_sensor_is_quarantined_and_a_revoked_gateway_heard_no_more() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let beats: Vec<_> = (0..3).map(|n| gateway.sensors[0].pulse(700, NOON_MS + 1000 * n)).collect();
    ward.carry(gateway.id(), &beats[..1]);
    let sensor = gateway.sensors[0].id();
    ward.clinic.revoke_device(&ward.admin, sensor, RevokeReason::Stolen, None, ward.now_ms).unwrap();
    ward.block();
    let size = ward.clinic.store().size();
    let answers = ward.carry(gateway.id(), &beats[1..2]);
    assert_eq!(refusal(&answers[0]), "quarantined");
    assert_eq!(ward.clinic.store().size(), size);
    let stream = Envelope::decode(&beats[1]).unwrap().header.stream;
    assert_eq!(ward.clinic.store().evidence(stream).unwrap().len(), 1, "kept apart");
    assert_eq!(ward.clinic.counters().quarantined, 1);
    ward.clinic.revoke_device(&ward.admin, gateway.id(), RevokeReason::Retired, None, ward.now_ms).unwrap();
    ward.block();
    assert_eq!(refusal(&ward.carry(gateway.id(), &beats[..1])[0]), "gateway_revoked");
}

#[test]
fn known_devices_are_admitted_while_the_ledger_is_down() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let mut other = ward.gateway(2, &[bruno]);
    ward.beats(&mut gateway, 700, 2);
    ward.ledger.set_down(true);
    ward.beats(&mut gateway, 710, 2);
    let unseen = other.sensors[0].pulse(700, ward.now_ms);
    let answers = ward.carry(other.id(), std::slice::from_ref(&unseen));
    assert!(matches!(answers[0].verdict, Verdict::Busy(_)), "never seen: try again");
    ward.ledger.set_down(false);
    assert!(matches!(ward.carry(other.id(), &[unseen])[0].verdict, Verdict::Admitted { .. }));
}

#[test]
fn a_wrong_clock_is_admitted_and_marked_by_its_times() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let back = gateway.sensors[0].pulse(700, NOON_MS - 3 * 86_400_000);
    let ahead = gateway.sensors[0].pulse(700, NOON_MS + 40 * 86_400_000);
    for answer in ward.carry(gateway.id(), &[back, ahead]) {
        assert!(matches!(answer.verdict, Verdict::Admitted { .. }), "{:?}", answer.verdict);
    }
    assert_eq!(ward.clinic.counters().unreadable, 0);
}

#[test]
fn the_node_s_own_streams_cannot_be_written_from_outside() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let gateway = ward.gateway(1, &[amira]);
    let own = ward.clinic.store().read_index(0).unwrap().unwrap();
    let answers = ward.carry(gateway.id(), &[own]);
    assert_eq!(refusal(&answers[0]), "author_unknown");
    assert!(ward.clinic.wall(&ward.as_("lee"), ward.now_ms).is_ok());
}
