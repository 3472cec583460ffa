//! Nothing a patient would mind is readable in any file of the data folder.

use super::*;
use std::collections::HashSet;
use vitals::body::Profile;

/// Plaintext of this length does not occur in a file by chance.
const WINDOW_BYTES: usize = 12;

fn windows(plaintext: &[u8]) -> impl Iterator<Item = [u8; WINDOW_BYTES]> {
    plaintext.windows(WINDOW_BYTES).map(|window| window.try_into().unwrap())
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(std::fs::read(path).unwrap()) }
    }
    found
}

fn readable(folder: &Path, secrets: &HashSet<[u8; WINDOW_BYTES]>) -> usize {
    files(folder).iter().flat_map(|bytes| windows(bytes)).filter(|window| secrets.contains(window)).count()
}

#[test]
fn no_name_login_password_or_body_is_readable_in_any_file() {
    let scene = Scene::new();
    let canary = |what: &str| format!("{what}-{}", hex::encode(scene.vault.random::<16>()));
    let (login, name, password, bed) = (canary("login"), canary("name"), canary("password"), canary("bed"));
    let mut plaintexts: Vec<Vec<u8>> = vec![PASSPHRASE.into(), DOCUMENT.into()];
    plaintexts.extend([&login, &name, &password, &bed].map(|text| text.clone().into_bytes()));

    let new = NewAccount {
        login: &login,
        name: &name,
        role: Role::Patient,
        person: scene.amira.person,
        password: &password,
        made: MADE,
    };
    let account = scene.vault.put_account(new).unwrap();
    let reason = canary("reason");
    let ask = crate::ConsentAsk {
        id: scene.vault.random(),
        clinician: scene.doctor,
        patient: scene.amira.id,
        classes: vec![Class::Vitals],
        reason: reason.clone(),
        for_ms: 86_400_000,
        asked_at_ms: NOW_MS,
        answer: None,
    };
    scene.vault.put_ask(ask, NOW_MS).unwrap();
    scene.vault.put_consent_pause(scene.grant, Some(NOW_MS)).unwrap();
    scene.vault.put_consent_pause(scene.grant, None).unwrap();
    plaintexts.push(reason.into_bytes());
    // An invitation, a suspension and a link hold names, a bed, a reason and a secret.
    let (invited, place, reason, secret) =
        (canary("invited"), canary("place"), canary("reason"), canary("secret"));
    let link = Link { hash: link_hash(&secret), until_ms: NOW_MS + 1 };
    let new = NewInvitation {
        person: PersonId([9; 32]),
        role: Role::Patient,
        name: &invited,
        bed: &place,
        form: [9; 16],
        link,
    };
    scene.vault.put_invitation(new, MADE).unwrap();
    scene.vault.suspend(account.person, 1, &reason, &[], MADE).unwrap();
    scene.vault.reinstate(account.person, 2, &reason, MADE).unwrap();
    scene.vault.offer_password(account.person, 3, link, MADE).unwrap();
    plaintexts.extend([invited, place, reason, secret].map(String::into_bytes));
    plaintexts.push(link.hash.to_vec());
    plaintexts.extend([
        account.public_key.to_vec(),
        scene.amira.person.0.to_vec(),
        scene.amira.id.0.to_vec(),
    ]);
    plaintexts.extend([scene.doctor.0.to_vec(), scene.grant.0.to_vec()]);
    let keys = [scene.vault.record_key_seed(), scene.vault.sender_key(), scene.vault.validator_seed()];
    plaintexts.extend(keys.map(|key| key.expose().to_vec()));

    let sensor = Sensor::new(5);
    let (stream, chain) = sensor.pair(&scene, Class::Vitals);
    plaintexts.push(chain.expose().to_vec());
    for seq in 0..50 {
        let readings = (0..20).map(|n| Reading {
            metric: Metric::HeartRate,
            at_ms: NOW_MS + seq * 1000 + n * 50,
            sample: Sample::Measured(600 + i32::try_from(seq * n % 97).unwrap()),
        });
        let body = Body::Readings(readings.collect());
        plaintexts.push(body.encode(NOW_MS + seq * 1000));
        let sealed = sensor.seal(&stream, &chain, stream.first_epoch, seq, &body);
        scene.store.append(&[Admitted::new(&sealed.envelope, &sealed.bytes)]).unwrap();
        if seq == 1 {
            let forged = sensor.seal(&stream, &chain, stream.first_epoch, 0, &body);
            assert!(scene.store.keep_evidence(&forged.envelope, &forged.bytes).unwrap());
        }
    }
    let profile = Body::Profile(Profile { at_ms: NOW_MS, name: name.clone(), bed });
    plaintexts.push(profile.encode(NOW_MS));
    let entry = Entry { patient: scene.amira.id, class: Class::Profile, body: profile };
    scene.vault.write(&scene.store, &[entry], ClockQuality::Synced, NOW_MS).unwrap();
    let access = scene
        .vault
        .log_access(
            &scene.store,
            &scene.ledger,
            scene.amira.id,
            AccessEntry { reader_name: name, ..scene.reading() },
            NOW_MS,
        )
        .unwrap();
    plaintexts.push(Body::Access(access.entry().clone()).encode(NOW_MS));

    let secrets: HashSet<_> = plaintexts.iter().flat_map(|plaintext| windows(plaintext)).collect();
    assert!(secrets.len() > 1000);
    let folder = scene.folder.path();
    assert_eq!(readable(folder, &secrets), 0, "while open");
    drop((access, scene.vault, scene.store));
    assert_eq!(readable(folder, &secrets), 0, "after closing");

    // The control: the same search finds what is deliberately not sealed.
    for plaintext in &plaintexts {
        let control = folder.join("unsealed");
        std::fs::write(&control, [&[0; 5], plaintext.as_slice(), &[0; 5]].concat()).unwrap();
        assert!(readable(folder, &secrets) >= plaintext.len() + 1 - WINDOW_BYTES);
        std::fs::remove_file(control).unwrap();
    }
}
