//! Pauses, changes and requests of consents: the vault holds to them by itself, and after a restart.

use super::*;
use crate::{ASK_MS, ASKS_PER_CLINICIAN_MAX, AskAnswer, ConsentAsk, Replacement};

fn log(vault: &Vault, scene: &Scene, entry: AccessEntry) -> Result<(), String> {
    let size = scene.store.size();
    let logged = vault.log_access(&scene.store, &scene.ledger, scene.amira.id, entry, NOW_MS);
    logged.map(drop).map_err(|why| {
        assert_eq!(scene.store.size(), size, "what is refused leaves no trace");
        why.to_string()
    })
}

#[test]
fn a_paused_consent_is_refused_by_the_vault_itself_also_after_a_restart() {
    let scene = Scene::new();
    assert!(log(&scene.vault, &scene, scene.reading()).is_ok());
    scene.vault.put_consent_pause(scene.grant, Some(NOW_MS)).unwrap();
    assert!(log(&scene.vault, &scene, scene.reading()).unwrap_err().contains("paused"));
    let entry = scene.reading();
    let Scene { folder, vault, store, ledger, amira, doctor, grant } = scene;
    drop(vault);
    let vault = Vault::open(&folder.path().join("vault"), PASSPHRASE, entropy(2)).unwrap();
    assert_eq!(vault.restriction(grant).paused_since_ms, Some(NOW_MS));
    let scene = Scene { folder, vault, store, ledger, amira, doctor, grant };
    assert!(log(&scene.vault, &scene, entry.clone()).unwrap_err().contains("paused"));
    scene.vault.put_consent_pause(grant, None).unwrap();
    assert!(log(&scene.vault, &scene, entry).is_ok());
    let unknown = scene.vault.put_consent_pause(GrantId([1; 32]), Some(NOW_MS));
    assert!(matches!(unknown, Err(VaultError::Unfit(_))));
}

#[test]
fn of_a_consent_that_is_being_replaced_the_vault_opens_what_both_say() {
    let scene = Scene::new();
    let by = scene.consent(scene.doctor, Purpose::Treatment, &[Class::Profile]);
    let replace = |from_ms, until_ms| {
        scene.vault.put_replacement(scene.grant, Replacement { by, from_ms, until_ms }).unwrap();
    };
    let reading = |class| AccessEntry { classes: vec![class], ..scene.reading() };
    replace(NOW_MS - 1_000, NOW_MS + 1_000);
    assert!(log(&scene.vault, &scene, reading(Class::Profile)).is_ok());
    assert!(log(&scene.vault, &scene, reading(Class::Vitals)).unwrap_err().contains("takes its place"));
    for (from_ms, until_ms) in [(NOW_MS + 1, NOW_MS + 1_000), (NOW_MS - 1_000, NOW_MS)] {
        replace(from_ms, until_ms);
        assert!(log(&scene.vault, &scene, reading(Class::Profile)).is_err(), "{from_ms} to {until_ms}");
    }
    replace(NOW_MS - 1_000, NOW_MS + 1_000);
    scene.vault.put_consent_pause(by, Some(NOW_MS)).unwrap();
    assert!(log(&scene.vault, &scene, reading(Class::Profile)).unwrap_err().contains("paused"));
    assert_eq!(scene.vault.being_replaced().len(), 1);
    scene.vault.put_withdrawal(scene.grant).unwrap();
    assert!(scene.vault.being_replaced().is_empty(), "what is withdrawn is looked at no more");
    let folder = scene.folder.path().join("vault");
    let grant = scene.grant;
    drop(scene.vault);
    let vault = Vault::open(&folder, PASSPHRASE, entropy(2)).unwrap();
    assert!(vault.being_replaced().is_empty() && vault.restriction(grant).replaced.is_some());
    let unknown = Replacement { by: GrantId([1; 32]), from_ms: 0, until_ms: 1 };
    assert!(matches!(vault.put_replacement(grant, unknown), Err(VaultError::Unfit(_))));
}

#[test]
fn a_request_for_a_consent_is_answered_once_and_kept_over_a_restart() {
    let scene = Scene::new();
    let ask = |id: u8, patient: PatientId, asked_at_ms| ConsentAsk {
        id: [id; 16],
        clinician: scene.doctor,
        patient,
        classes: vec![Class::Vitals],
        reason: "round".into(),
        for_ms: 86_400_000,
        asked_at_ms,
        answer: None,
    };
    let nobody = PatientId([9; 16]);
    scene.vault.put_ask(ask(1, scene.amira.id, NOW_MS), NOW_MS).unwrap();
    scene.vault.put_ask(ask(2, nobody, NOW_MS), NOW_MS).unwrap();
    assert_eq!(scene.vault.asks_of(scene.amira.id).len(), 1);
    assert_eq!(scene.vault.asks_by(scene.doctor).len(), 2, "also for a patient who does not exist");
    let no = AskAnswer { at_ms: NOW_MS + 1, grant: None };
    let yes = AskAnswer { at_ms: NOW_MS + 2, grant: Some(scene.grant) };
    assert!(scene.vault.put_ask_answer([1; 16], no).unwrap());
    assert!(!scene.vault.put_ask_answer([1; 16], yes).unwrap(), "once");
    assert!(!scene.vault.put_ask_answer([3; 16], yes).unwrap(), "there is none");
    let late = AskAnswer { at_ms: NOW_MS + ASK_MS, grant: None };
    assert!(!scene.vault.put_ask_answer([2; 16], late).unwrap(), "it is over");
    for id in 3..ASKS_PER_CLINICIAN_MAX + 1 {
        scene.vault.put_ask(ask(id, PatientId([id + 20; 16]), NOW_MS), NOW_MS).unwrap();
    }
    let more = ask(99, PatientId([99; 16]), NOW_MS);
    // The place of the one that was answered is free again, and then there is none.
    scene.vault.put_ask(more.clone(), NOW_MS).unwrap();
    let full = scene.vault.put_ask(ConsentAsk { id: [98; 16], patient: PatientId([98; 16]), ..more }, NOW_MS);
    assert!(matches!(full, Err(VaultError::Unfit(_))));
    let before = scene.vault.asks_by(scene.doctor);
    assert_eq!(before.len(), usize::from(ASKS_PER_CLINICIAN_MAX));
    let (folder, doctor) = (scene.folder.path().join("vault"), scene.doctor);
    drop(scene.vault);
    let vault = Vault::open(&folder, PASSPHRASE, entropy(2)).unwrap();
    let ids = |asks: Vec<ConsentAsk>| {
        let mut ids: Vec<_> = asks.into_iter().map(|ask| (ask.id, ask.answer)).collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids
    };
    assert_eq!(ids(vault.asks_by(doctor)), ids(before));
}
