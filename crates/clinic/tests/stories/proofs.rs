//! From the log to the ledger and back to the gateway.

use clinic::views::{FinalSince, ProofState};
use clinic::{Denied, Scope};
use testward::{NOON_MS, Ward, denied};
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::ledger::{Fact, Ledger, Purpose};
use vitals::log;
use vitals::metric::Metric;
use vitals::proof::{LedgerProof, contracts, verify_header};
use vitals::receipt::{DELIVERY_BYTES_MAX, Delivery};

#[test]
fn at_most_one_anchor_a_second_and_none_without_growth() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.pass(5_000);
    ward.block();
    ward.pass(1_000);
    ward.block();
    let mut most = 0;
    let begun = ward.clinic.counters().anchors;
    for step in 0..100 {
        let bytes = gateway.sensors[0].pulse(700, ward.now_ms);
        ward.carry(gateway.id(), &[bytes]);
        ward.pass(100);
        most = most.max(ward.ledger.waiting_anchors());
        if step % 3 == 0 {
            ward.block();
        }
    }
    let made = ward.clinic.counters().anchors - begun;
    assert!((9..=10).contains(&made), "{made} in ten seconds");
    assert_eq!(most, 1, "never two on the way");
    ward.pass(2_000);
    ward.block();
    ward.pass(2_000);
    let quiet = ward.clinic.counters().anchors;
    for _ in 0..5 {
        ward.pass(1_000);
        ward.block();
    }
    assert_eq!(ward.clinic.counters().anchors, quiet, "a log that does not grow is not anchored");
}

#[test]
fn a_value_is_received_then_anchored_then_final() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.pass(1_000);
    ward.block();
    let sealed_ms = ward.now_ms;
    let bytes = gateway.sensors[0].pulse(720, sealed_ms);
    ward.carry(gateway.id(), &[bytes]);
    let state = |ward: &Ward| {
        let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
        wall.tiles[0].value(Metric::HeartRate).unwrap().envelope.proof
    };
    assert_eq!(state(&ward), ProofState::Received);
    ward.pass(1_000);
    assert_eq!(state(&ward), ProofState::Anchored);
    ward.block();
    let ProofState::Final { height } = state(&ward) else { panic!("not final") };
    assert_eq!(height, ward.ledger.tip().height);
    assert_eq!(ward.clinic.counters().seal_to_final.max_ms, 1_000);
    let health = ward.clinic.health(ward.now_ms);
    assert!(health.final_size <= health.log_size && health.height == height);
}

#[test]
fn a_gateway_joins_without_a_look_at_the_record_or_the_ledger() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    ward.beats(&mut gateway, 720, 10);
    ward.anchor();
    let ward = ward.reopened();
    // A ledger that does not answer: whoever asks it waits.
    ward.ledger.questions.shut();
    let answered = std::thread::scope(|threads| {
        let (tell, told) = std::sync::mpsc::channel();
        let (clinic, ledger, id) = (&ward.clinic, &ward.ledger, gateway.id());
        threads.spawn(move || {
            clinic.connected(id);
            // Nobody listens any more if it took too long.
            let _ = tell.send(());
        });
        let answered = told.recv_timeout(std::time::Duration::from_secs(10));
        ledger.questions.open();
        answered
    });
    assert!(answered.is_ok(), "a gateway that connects waits for no ledger");
    assert!(ward.clinic.has_joined(), "what is owed to it is looked up later, on a thread of its own");
    ward.clinic.attend_joined();
    assert!(!ward.clinic.has_joined());
    let owed = ward.clinic.deliveries(&[gateway.id()]);
    let owed: usize = owed.iter().map(|one| Delivery::decode(&one.bytes).unwrap().proven.len()).sum();
    assert!(owed >= 10, "{owed}: what its sensors sent last");
}

#[test]
fn deliveries_prove_themselves_and_come_again_when_lost() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 20);
    ward.anchor();
    assert!(ward.clinic.deliveries(&[]).is_empty(), "nobody is connected");
    ward.clinic.connected(gateway.id());
    ward.clinic.attend_joined();
    let outgoing = ward.clinic.deliveries(&[gateway.id()]);
    let proven: usize = outgoing.iter().map(clinic::Outgoing::proves).sum();
    assert_eq!(proven, 20);
    for one in &outgoing {
        assert!(one.bytes.len() <= 64 * 1024 && one.bytes.len() <= DELIVERY_BYTES_MAX);
        let delivery = Delivery::decode(&one.bytes).unwrap();
        let proof = LedgerProof::decode(&delivery.ledger).unwrap();
        let header = verify_header(&ward.ledger.document, &proof).unwrap();
        let anchor = contracts::read_anchor(
            &header.state_root,
            &ward.ledger.document,
            delivery.org,
            &proof.accounts[0],
        );
        let anchor = anchor.unwrap().unwrap();
        for one in &delivery.proven {
            let bytes = ward.clinic.store().read_index(one.index).unwrap().unwrap();
            let envelope = Envelope::decode(&bytes).unwrap();
            assert_eq!(envelope.hash(), one.envelope);
            let leaf = log::leaf(&envelope.header_bytes);
            assert!(log::verify_inclusion(leaf, one.index, anchor.size, &one.path, &anchor.root));
        }
    }
    assert!(ward.clinic.deliveries(&[gateway.id()]).is_empty(), "handed over once");
    outgoing.into_iter().for_each(|one| ward.clinic.not_sent(one));
    assert_eq!(ward.clinic.deliveries(&[gateway.id()]).len(), 1, "the connection did not take it");
    ward.clinic.connected(gateway.id());
    ward.clinic.attend_joined();
    assert_eq!(ward.clinic.deliveries(&[gateway.id()]).len(), 1, "lost on the way");
    let reopened = ward.reopened();
    // Who connects waits for nothing: a session's worker has others to serve.
    reopened.ledger.questions.shut();
    reopened.clinic.connected(gateway.id());
    reopened.ledger.questions.open();
    assert!(reopened.clinic.deliveries(&[gateway.id()]).is_empty(), "nothing was read yet");
    assert!(reopened.clinic.has_joined());
    reopened.clinic.attend_joined();
    assert!(!reopened.clinic.has_joined());
    let again = reopened.clinic.deliveries(&[gateway.id()]);
    assert_eq!(
        again.iter().map(clinic::Outgoing::proves).sum::<usize>(),
        20,
        "also after a restart of the node"
    );
}

#[test]
fn large_deliveries_are_split_to_fit_the_connection() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let beats: Vec<_> = (0..500).map(|n| gateway.sensors[0].pulse(700, NOON_MS + n)).collect();
    ward.carry(gateway.id(), &beats);
    ward.anchor();
    let outgoing = ward.clinic.deliveries(&[gateway.id()]);
    assert!(outgoing.len() > 1);
    assert!(outgoing.iter().all(|one| one.bytes.len() <= 64 * 1024));
    assert_eq!(outgoing.iter().map(clinic::Outgoing::proves).sum::<usize>(), 500);
}

#[test]
fn an_exported_bundle_convinces_a_verifier_that_trusts_nobody() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    ward.beats(&mut gateway, 720, 5);
    let other = gateway.sensors[1].pulse(800, ward.now_ms);
    ward.carry(gateway.id(), &[other]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.anchor();
    let mut bundle = Vec::new();
    let mut sink = |bytes: &[u8]| {
        bundle.extend_from_slice(bytes);
        Ok(())
    };
    let exported = ward.clinic.export(&ward.admin, Scope::Everything, ward.now_ms, &mut sink).unwrap();
    assert_eq!(exported.bytes, bundle.len() as u64);
    assert_eq!(exported.envelopes + exported.not_anchored, ward.clinic.store().size());
    let report = vitals::bundle::verify(&bundle, Some(ward.clinic.genesis()));
    assert!(report.is_ok(), "{:?}", report.err());
    let mut own = Vec::new();
    let amira_s = ward.as_("amira");
    let mut sink = |bytes: &[u8]| {
        own.extend_from_slice(bytes);
        Ok(())
    };
    ward.clinic.export(&amira_s, Scope::Patient(amira), ward.now_ms, &mut sink).unwrap();
    assert!(vitals::bundle::verify(&own, Some(ward.clinic.genesis())).is_ok());
    assert!(own.len() < bundle.len());
    let mut nothing = |_: &[u8]| panic!("nothing may leave");
    let why = denied(ward.clinic.export(&amira_s, Scope::Patient(bruno), ward.now_ms, &mut nothing));
    assert_eq!(why, Denied::NoSuchPatient);
    assert!(ward.clinic.export(&ward.as_("lee"), Scope::Everything, ward.now_ms, &mut nothing).is_err());
    assert!(ward.clinic.export(&amira_s, Scope::Everything, ward.now_ms, &mut nothing).is_err());
}

#[test]
fn the_proof_page_shows_who_certified() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let bytes = gateway.sensors[0].pulse(720, NOON_MS);
    let answers = ward.carry(gateway.id(), &[bytes]);
    let clinic::Verdict::Admitted { index } = answers[0].verdict else { panic!() };
    let early = ward.clinic.proof_page(&ward.as_("amira"), index, ward.now_ms).unwrap();
    assert_eq!((early.proof, early.anchored), (ProofState::Received, None));
    ward.pass(1_000);
    ward.block();
    let page = ward.clinic.proof_page(&ward.as_("amira"), index, ward.now_ms).unwrap();
    let anchored = page.anchored.unwrap();
    assert_eq!(anchored.signers, [0]);
    let bytes = ward.clinic.store().read_index(index).unwrap().unwrap();
    let leaf = log::leaf(&Envelope::decode(&bytes).unwrap().header_bytes);
    assert!(log::verify_inclusion(leaf, index, anchored.size, &anchored.path, &anchored.root));
    assert!(ward.ledger.prove(&[Fact::Anchor(ward.clinic.org())]).is_ok());
    assert!(ward.clinic.proof_page(&ward.as_("amira"), 1 << 40, ward.now_ms).is_err());
}

#[test]
fn a_proof_says_since_when_its_own_entry_is_final_whatever_was_anchored_later() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.anchor();
    let bytes = gateway.sensors[0].pulse(720, ward.now_ms);
    let answers = ward.carry(gateway.id(), &[bytes]);
    let clinic::Verdict::Admitted { index } = answers[0].verdict else { panic!() };
    ward.pass(2_000);
    ward.block();
    let first = FinalSince { height: ward.ledger.tip().height, time_ms: Some(ward.now_ms) };
    let since = |ward: &Ward| {
        let page = ward.clinic.proof_page(&ward.as_("amira"), index, ward.now_ms).unwrap();
        let anchored = page.anchored.unwrap();
        (anchored.since, anchored.height, anchored.block_time_ms)
    };
    assert_eq!(since(&ward), (Some(first), first.height, ward.now_ms));
    for round in 0..40 {
        ward.beats(&mut gateway, 700, 1);
        // Many blocks hold no anchor of ours.
        (0..round % 4).for_each(|_| ward.ledger.block(ward.now_ms));
        ward.block();
    }
    ward.anchor();
    let (later, height, block_time_ms) = since(&ward);
    assert_eq!(later, Some(first), "not when the newest anchor was made");
    assert!(height > first.height + 40 && block_time_ms > ward.now_ms - 2_000, "the block that shows it is");
    let mut ward = ward.reopened();
    assert_eq!(since(&ward).0, Some(first), "a restart forgets no time");
    ward.beats(&mut gateway, 700, 2);
    ward.anchor();
    ward.ledger.prune(first.height - 1);
    assert_eq!(since(&ward).0, Some(first), "what it takes is there");
    ward.ledger.prune(first.height + 1);
    assert_eq!(since(&ward).0, None, "a node that cannot know does not guess");
}

#[test]
fn the_administrator_sees_devices_and_people_and_no_value() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 1);
    let page = ward.clinic.admin_page(&ward.admin, ward.now_ms).unwrap();
    assert_eq!(page.devices.len(), 2);
    let sensor = page.devices.iter().find(|row| row.patient == Some(amira)).unwrap();
    assert_eq!((sensor.via, sensor.last_seen_ms), (gateway.id(), Some(ward.now_ms)));
    let people = ward.clinic.people(&ward.admin, ward.now_ms).unwrap();
    assert_eq!(people.len(), 3);
    assert!(people.iter().all(|one| one.state == clinic::views::PersonState::Active && one.vault_kept));
    assert!(page.pending.is_empty());
    assert_eq!(page.counters.admitted, 1);
}
