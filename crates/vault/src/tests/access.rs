use super::*;
use vitals::body::Profile;

/// Amira wears one sensor; it sealed one heart rate a minute ago, stored.
fn bedside() -> (Scene, Sensor, StreamRecord, ChainKey, Sealed) {
    let scene = Scene::new();
    let sensor = Sensor::new(5);
    let (stream, chain) = sensor.pair(&scene, Class::Vitals);
    let sealed = sensor.seal(&stream, &chain, stream.first_epoch, 0, &heart_rate(NOW_MS - 60_000, 723));
    scene.store.append(&[Admitted::new(&sealed.envelope, &sealed.bytes)]).unwrap();
    (scene, sensor, stream, chain, sealed)
}

fn log(scene: &Scene, entry: AccessEntry) -> Result<DurableAccess, AccessError> {
    scene.vault.log_access(&scene.store, &scene.ledger, scene.amira.id, entry, NOW_MS)
}

/// Refused with this reason, and without a trace.
fn refused(scene: &Scene, entry: AccessEntry, wanted: &str) {
    let size = scene.store.size();
    match log(scene, entry) {
        Err(AccessError::Denied(why)) => assert!(why.contains(wanted), "{why}"),
        other => panic!("wanted \"{wanted}\", got {other:?}"),
    }
    assert_eq!(scene.store.size(), size);
}

#[test]
fn an_opening_is_on_record_before_the_first_value() {
    let (scene, _, stream, _, sealed) = bedside();
    let access = log(&scene, scene.reading()).unwrap();
    let written = access.written();
    assert_eq!(scene.store.read_index(written.index).unwrap().as_ref(), Some(&written.bytes));
    let trace = Envelope::decode(&written.bytes).unwrap();
    assert!(trace.verify(&scene.vault.record_key()));
    assert_eq!((trace.header.class, trace.header.author), (Class::Access, scene.vault.author()));
    let released = scene.vault.release(&access);
    assert_eq!(released.open(&sealed.envelope).unwrap(), heart_rate(NOW_MS - 60_000, 723));
    let stored = scene.store.read(stream.stream, 0).unwrap().unwrap();
    assert!(released.open(&Envelope::decode(&stored).unwrap()).is_ok());
}

#[test]
fn patient_reads_the_access_log() {
    let (scene, ..) = bedside();
    log(&scene, scene.reading()).unwrap();
    let own = AccessEntry {
        reader: scene.amira.person,
        reader_name: "Amira".into(),
        purpose: Purpose::Own,
        grant: GrantId([0; 32]),
        classes: vec![Class::Access],
        ..scene.reading()
    };
    let access = log(&scene, own.clone()).unwrap();
    let released = scene.vault.release(&access);
    let stream = access.written().header.stream;
    let readers: Vec<_> = scene
        .store
        .scan(stream, 0, u64::MAX)
        .map(|item| match released.open(&Envelope::decode(&item.unwrap().1).unwrap()).unwrap() {
            Body::Access(entry) => (entry.reader, entry.at_ms),
            other => panic!("not an access: {other:?}"),
        })
        .collect();
    assert_eq!(readers, [(scene.doctor, NOW_MS), (scene.amira.person, NOW_MS)]);
    refused(&scene, AccessEntry { reader: scene.doctor, ..own }, "only the patient");
}

#[test]
fn what_the_entry_does_not_name_does_not_open() {
    let (scene, sensor, stream, chain, sealed) = bedside();
    let access = log(&scene, scene.reading()).unwrap();
    let released = scene.vault.release(&access);
    let old = sensor.seal(&stream, &chain, stream.first_epoch, 1, &heart_rate(NOW_MS - 7_200_000, 1));
    assert_eq!(released.open(&old.envelope), Err(OpenError::NotCovered("times")));
    let mut lied = old.envelope.clone();
    (lied.header.first_ms, lied.header.last_ms) = (NOW_MS, NOW_MS);
    assert_eq!(released.open(&lied), Err(OpenError::Altered));
    let profile = Entry {
        patient: scene.amira.id,
        class: Class::Profile,
        body: Body::Profile(Profile { at_ms: NOW_MS, name: "Amira".into(), bed: "3".into() }),
    };
    let profile = scene.vault.write(&scene.store, &[profile], ClockQuality::Synced, NOW_MS).unwrap();
    let profile = Envelope::decode(&profile[0].bytes).unwrap();
    assert_eq!(released.open(&profile), Err(OpenError::NotCovered("class")));
    let mut relabelled = profile;
    relabelled.header.class = Class::Vitals;
    assert_eq!(released.open(&relabelled), Err(OpenError::NotCovered("class")));
    let mut stranger = sealed.envelope;
    stranger.header.stream = vitals::StreamId([0; 16]);
    assert_eq!(released.open(&stranger), Err(OpenError::NoStream));
}

#[test]
fn another_patients_envelope_does_not_open() {
    let (scene, sensor, ..) = bedside();
    let omar = Patient { id: PatientId([2; 16]), person: PersonId([2; 32]), since_ms: NOW_MS };
    scene.vault.put_patient(omar).unwrap();
    let new = NewStream {
        author: sensor.id(),
        patient: omar.id,
        class: Class::Vitals,
        first_epoch: epoch_of(NOW_MS),
        salt: [0; 32],
    };
    let stream = scene.vault.make_stream(new).unwrap();
    let answer = scene.vault.pairing_answer(&sensor.request(), &[stream.stream], stream.first_epoch).unwrap();
    let chain = pairing::unwrap(&sensor, &answer.streams[0], answer.genesis()).unwrap();
    let sealed = sensor.seal(&stream, &chain, stream.first_epoch, 0, &heart_rate(NOW_MS, 600));
    let access = log(&scene, scene.reading()).unwrap();
    assert_eq!(scene.vault.release(&access).open(&sealed.envelope), Err(OpenError::NotCovered("patient")));
    let entry = scene.reading();
    let other = scene.vault.log_access(&scene.store, &scene.ledger, omar.id, entry, NOW_MS);
    assert!(matches!(other, Err(AccessError::Denied(why)) if why.contains("another patient")));
}

#[test]
fn without_a_consent_that_covers_it_nothing_opens() {
    let (scene, ..) = bedside();
    let entry = || scene.reading();
    refused(&scene, AccessEntry { grant: GrantId([0; 32]), ..entry() }, "no such consent");
    refused(&scene, AccessEntry { reader: PersonId([9; 32]), ..entry() }, "somebody else");
    refused(&scene, AccessEntry { purpose: Purpose::Family, ..entry() }, "another purpose");
    refused(&scene, AccessEntry { classes: vec![Class::Notes], ..entry() }, "does not cover the class");
    refused(
        &scene,
        AccessEntry { classes: vec![Class::Vitals, Class::Access], ..entry() },
        "does not cover the class",
    );
    refused(&scene, AccessEntry { classes: vec![], ..entry() }, "ascending order");
    refused(
        &scene,
        AccessEntry { classes: vec![Class::Profile, Class::Vitals], ..entry() },
        "ascending order",
    );
    refused(&scene, AccessEntry { span_ms: (5, 4), ..entry() }, "span");
    let late =
        scene.vault.log_access(&scene.store, &scene.ledger, scene.amira.id, entry(), NOW_MS + EPOCH_MS);
    assert!(matches!(late, Err(AccessError::Denied("the consent is not valid now"))));
    scene.ledger.people.lock().get_mut(&scene.doctor).unwrap().suspended_at_ms = 1;
    refused(&scene, entry(), "suspended");
    scene.ledger.people.lock().remove(&scene.doctor);
    refused(&scene, entry(), "does not know the reader");
    scene.ledger.grants.lock().get_mut(&scene.grant).unwrap().revoked_at_ms = 1;
    refused(&scene, entry(), "revoked");
    scene.ledger.grants.lock().get_mut(&scene.grant).unwrap().revoked_at_ms = 0;
    scene.ledger.grants.lock().get_mut(&scene.grant).unwrap().terms = [0; 32];
    refused(&scene, entry(), "not the ones the patient signed");
}

#[test]
fn when_the_ledger_is_down_nothing_opens_but_ones_own_record() {
    let (mut scene, ..) = bedside();
    scene.ledger.down = true;
    assert!(matches!(log(&scene, scene.reading()), Err(AccessError::Ledger(LedgerError::Down(_)))));
    let own = AccessEntry {
        reader: scene.amira.person,
        purpose: Purpose::Own,
        grant: GrantId([0; 32]),
        ..scene.reading()
    };
    assert!(log(&scene, own).is_ok());
}

#[test]
fn monitoring_opens_until_its_lease_ends() {
    let (scene, _, _, _, sealed) = bedside();
    let org = PersonId::of_organisation(scene.vault.org());
    let grant = scene.consent(org, Purpose::Monitoring, &[Class::Vitals]);
    let entry = AccessEntry {
        reader: org,
        purpose: Purpose::Monitoring,
        grant,
        session: ENGINE_SESSION,
        ..scene.reading()
    };
    let lease = |entry, until_ms| {
        scene.vault.log_monitoring(&scene.store, &scene.ledger, scene.amira.id, entry, until_ms, NOW_MS)
    };
    let size = scene.store.size();
    let short = lease(entry.clone(), NOW_MS + 5000).unwrap();
    assert_eq!(scene.store.size(), size + 1);
    assert!(scene.vault.open_monitored(&short, &sealed.envelope, NOW_MS + 4999).is_ok());
    let ended = scene.vault.open_monitored(&short, &sealed.envelope, NOW_MS + 5000);
    assert_eq!(ended, Err(OpenError::LeaseEnded));
    assert_eq!(
        lease(entry.clone(), u64::MAX).unwrap().until_ms(),
        NOW_MS + EPOCH_MS / 2,
        "the grant ends first"
    );
    assert!(matches!(lease(entry.clone(), NOW_MS), Err(AccessError::Denied(_))));
    assert!(matches!(lease(scene.reading(), u64::MAX), Err(AccessError::Denied(_))));
    let other = AccessEntry { reader: scene.doctor, ..entry };
    assert!(matches!(lease(other, u64::MAX), Err(AccessError::Denied(_))));
}

#[test]
fn people_who_monitor_look_back_two_hours_and_the_engine_further() {
    let (scene, ..) = bedside();
    let org = PersonId::of_organisation(scene.vault.org());
    let grant = scene.consent(org, Purpose::Monitoring, &[Class::Vitals]);
    let back = |person, back_ms| AccessEntry {
        reader: org,
        purpose: Purpose::Monitoring,
        grant,
        person,
        span_ms: (NOW_MS - back_ms, NOW_MS),
        ..scene.reading()
    };
    assert!(log(&scene, back(Some(scene.doctor), MONITORING_BACK_MS)).is_ok());
    refused(&scene, back(Some(scene.doctor), MONITORING_BACK_MS + 1), "the last two hours");
    let engine = AccessEntry { session: ENGINE_SESSION, ..back(None, 24 * 3_600_000) };
    let lease =
        scene.vault.log_monitoring(&scene.store, &scene.ledger, scene.amira.id, engine, u64::MAX, NOW_MS);
    assert!(lease.is_ok());
}

#[test]
fn nobody_looks_in_the_organisations_name_without_their_own() {
    let (scene, ..) = bedside();
    let org = PersonId::of_organisation(scene.vault.org());
    let grant = scene.consent(org, Purpose::Monitoring, &[Class::Vitals]);
    let entry = AccessEntry {
        reader: org,
        purpose: Purpose::Monitoring,
        grant,
        person: Some(scene.doctor),
        ..scene.reading()
    };
    assert_eq!(log(&scene, entry.clone()).unwrap().entry().looked(), scene.doctor);
    refused(&scene, AccessEntry { person: None, ..entry.clone() }, "who looked");
    refused(&scene, AccessEntry { person: Some(scene.doctor), ..scene.reading() }, "once");
    let stranger = AccessEntry { person: Some(PersonId([9; 32])), ..entry.clone() };
    refused(&scene, stranger, "does not know the reader");
    scene.ledger.people.lock().get_mut(&scene.doctor).unwrap().suspended_at_ms = 1;
    refused(&scene, entry, "suspended");
}

#[test]
fn a_policy_that_cannot_be_asked_stops_people_and_not_the_engine_it_agreed_to() {
    let (scene, ..) = bedside();
    let org = PersonId::of_organisation(scene.vault.org());
    let grant = scene.consent(org, Purpose::Monitoring, &[Class::Vitals]);
    scene.ledger.grants.lock().get_mut(&grant).unwrap().policy = Some([4; 20]);
    let engine = || AccessEntry {
        reader: org,
        purpose: Purpose::Monitoring,
        grant,
        session: ENGINE_SESSION,
        ..scene.reading()
    };
    let person = AccessEntry { person: Some(scene.doctor), session: [1; 16], ..engine() };
    let lease = || {
        let (vault, amira) = (&scene.vault, scene.amira.id);
        vault.log_monitoring(&scene.store, &scene.ledger, amira, engine(), u64::MAX, NOW_MS)
    };
    let says = |policy| *scene.ledger.policy.lock() = policy;
    assert!(matches!(lease(), Err(AccessError::PolicySilent(_))), "it never agreed");
    says(Some(true));
    assert!(log(&scene, person.clone()).is_ok());
    says(None);
    assert!(matches!(lease(), Err(AccessError::PolicySilent(_))), "it agreed to a person only");
    says(Some(true));
    assert_eq!(lease().unwrap().until_ms(), NOW_MS + EPOCH_MS / 2);
    says(None);
    assert!(matches!(log(&scene, person.clone()), Err(AccessError::PolicySilent(_))));
    let size = scene.store.size();
    assert_eq!(lease().unwrap().until_ms(), NOW_MS + KEPT_MS, "an hour at a time");
    assert_eq!(scene.store.size(), size + 1, "each on record");
    says(Some(false));
    assert!(matches!(lease(), Err(AccessError::PolicyRefuses(Class::Vitals))));
    assert!(matches!(log(&scene, person), Err(AccessError::PolicyRefuses(Class::Vitals))));
    says(None);
    assert!(matches!(lease(), Err(AccessError::PolicySilent(_))), "a no is remembered");
}

#[test]
fn body_that_contradicts_its_header_does_not_open() {
    let (scene, sensor, stream, chain, sealed) = bedside();
    let access = log(&scene, scene.reading()).unwrap();
    let released = scene.vault.release(&access);
    let body = heart_rate(NOW_MS, 700);
    let reseal = |change: fn(&mut Header)| {
        let mut header = sensor.seal(&stream, &chain, stream.first_epoch, 1, &body).envelope.header;
        change(&mut header);
        let plaintext = body.encode(header.first_ms);
        seal::seal(header, &plaintext, &chain.content(), |_| [0; 64]).0
    };
    assert_eq!(released.open(&reseal(|_| {})), Ok(body.clone()));
    assert_eq!(released.open(&reseal(|header| header.count = 2)), Err(OpenError::Count));
    assert_eq!(released.open(&reseal(|header| header.last_ms += 1)), Err(OpenError::Span));
    let mut envelope = sealed.envelope.clone();
    envelope.ciphertext[3] ^= 1;
    assert_eq!(released.open(&envelope), Err(OpenError::Altered));
    let mut envelope = sealed.envelope.clone();
    envelope.header.key_commitment[0] ^= 1;
    assert_eq!(released.open(&envelope), Err(OpenError::Key));
    let mut envelope = sealed.envelope.clone();
    envelope.header.epoch -= 1;
    assert_eq!(released.open(&envelope), Err(OpenError::Epoch));
    assert!(matches!(open_body(&sealed.envelope, &chain.next().content()), Err(OpenError::Key)));
    assert!(open_body(&sealed.envelope, &chain.content()).is_ok());
    let wrong_class = Entry { patient: scene.amira.id, class: Class::Environment, body };
    let wrong = scene.vault.write(&scene.store, &[wrong_class], ClockQuality::Synced, NOW_MS);
    assert!(matches!(wrong, Err(WriteError::Unfit)));
}

#[test]
fn days_are_opened_in_any_order() {
    let (scene, sensor, stream, chain, _) = bedside();
    let entry = AccessEntry { span_ms: (0, NOW_MS + 40 * EPOCH_MS), ..scene.reading() };
    let access = log(&scene, entry).unwrap();
    let released = scene.vault.release(&access);
    for day in [0u32, 30, 29, 3, 30, 0, 15] {
        let body = heart_rate(NOW_MS + u64::from(day) * EPOCH_MS, 700 + day.cast_signed());
        let sealed = sensor.seal(&stream, &chain, stream.first_epoch + day, u64::from(day) + 1, &body);
        assert_eq!(released.open(&sealed.envelope), Ok(body));
    }
}

#[test]
fn the_nodes_own_envelopes_link_and_never_repeat_a_run() {
    let (scene, ..) = bedside();
    let profile = |bed: &str| Entry {
        patient: scene.amira.id,
        class: Class::Profile,
        body: Body::Profile(Profile { at_ms: NOW_MS, name: "Amira".into(), bed: bed.into() }),
    };
    let write =
        |entries: &[Entry]| scene.vault.write(&scene.store, entries, ClockQuality::Synced, NOW_MS).unwrap();
    let mut all = write(&[profile("1"), profile("2")]);
    all.extend(write(&[profile("3")]));
    for (seq, written) in all.iter().enumerate() {
        assert_eq!(written.header.seq, seq as u64);
        let prev = if seq == 0 { [0; 32] } else { all[seq - 1].hash };
        assert_eq!(written.header.prev, prev);
        assert!(Envelope::decode(&written.bytes).unwrap().verify(&scene.vault.record_key()));
    }
    let runs: std::collections::HashSet<_> = all.iter().map(|written| written.header.run).collect();
    assert_eq!(runs.len(), all.len());
    assert_eq!(scene.store.gaps(all[0].header.stream, 1), []);
    let long = Entry {
        body: Body::Profile(Profile { at_ms: 1, name: "x".repeat(300), bed: String::new() }),
        ..profile("")
    };
    let unreadable = scene.vault.write(&scene.store, &[profile("4"), long], ClockQuality::Synced, NOW_MS);
    assert!(matches!(unreadable, Err(WriteError::Unfit)));
    assert_eq!(scene.store.head(all[0].header.stream).unwrap().count, 3);
}

#[test]
fn accesses_from_many_threads_each_leave_their_own_trace() {
    let (scene, ..) = bedside();
    let before = scene.store.size();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| drop(log(&scene, scene.reading()).unwrap())));
        }
    });
    assert_eq!(scene.store.size(), before + 40);
}
