//! Authenticator apps and recovery codes: each code once, and nothing left behind by a reset.

use super::folder::open;
use super::*;

const STEP_MS: u64 = 30_000;

fn put_account(vault: &Vault, login: &str, person: u8) -> PersonId {
    let new = NewAccount {
        login,
        name: "Name",
        role: Role::Clinician,
        person: PersonId([person; 32]),
        password: "a secret word",
        made: MADE,
    };
    vault.put_account(new).unwrap().person
}

fn key(n: u8) -> TotpKey {
    TotpKey::new([n; TOTP_KEY_BYTES])
}

fn codes(person: PersonId, set: u8) -> [Hash; RECOVERY_CODES] {
    core::array::from_fn(|n| recovery_hash(person, &format!("{set}-{n}")))
}

fn step(at_ms: u64) -> u64 {
    key(1).step_of(&key(1).code_at(at_ms), None, at_ms).unwrap()
}

fn events(vault: &Vault, person: PersonId) -> Vec<AccountEvent> {
    vault.history_of(person, 100).unwrap().into_iter().rev().map(|one| one.event).collect()
}

#[test]
fn a_code_of_the_app_is_right_once_and_that_survives_a_restart() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    assert_eq!(scene.vault.second_factors(lee).unwrap(), SecondFactors::default());
    assert!(!scene.vault.use_app_code(lee, &key(1).code_at(NOW_MS), NOW_MS).unwrap(), "no app yet");
    scene.vault.put_app(lee, &key(1), step(NOW_MS), &codes(lee, 1), NOW_MS).unwrap();
    let held = scene.vault.second_factors(lee).unwrap();
    assert_eq!((held.app_since_ms, held.codes_left, held.codes_made_ms), (Some(NOW_MS), 10, NOW_MS));
    let shown = key(1).code_at(NOW_MS);
    assert!(!scene.vault.use_app_code(lee, &shown, NOW_MS).unwrap(), "it confirmed the app, and is used");
    let later_ms = NOW_MS + STEP_MS;
    let next = key(1).code_at(later_ms);
    assert!(!scene.vault.use_app_code(lee, &key(2).code_at(later_ms), later_ms).unwrap(), "another key's");
    assert!(scene.vault.use_app_code(lee, &next, later_ms).unwrap());
    assert!(!scene.vault.use_app_code(lee, &next, later_ms).unwrap(), "used");
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert!(!vault.use_app_code(lee, &next, later_ms).unwrap(), "used before the restart");
    assert!(vault.use_app_code(lee, &key(1).code_at(later_ms + STEP_MS), later_ms + STEP_MS).unwrap());
}

#[test]
fn a_recovery_code_works_once_for_its_own_person_and_new_ones_end_the_old() {
    let scene = Scene::new();
    let (lee, kim) = (put_account(&scene.vault, "lee", 1), put_account(&scene.vault, "kim", 2));
    let vault = &scene.vault;
    assert!(
        matches!(vault.put_recovery_codes(lee, &codes(lee, 1), NOW_MS), Err(VaultError::NotSo)),
        "no app"
    );
    for person in [lee, kim] {
        vault.put_app(person, &key(1), 0, &codes(person, 1), NOW_MS).unwrap();
    }
    assert!(!vault.use_recovery_code(kim, &recovery_hash(lee, "1-3"), NOW_MS).unwrap(), "lee's");
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "1-33"), NOW_MS).unwrap(), "a guess");
    assert!(vault.use_recovery_code(lee, &recovery_hash(lee, "1-3"), NOW_MS).unwrap());
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "1-3"), NOW_MS).unwrap(), "used");
    assert_eq!(vault.second_factors(lee).unwrap().codes_left, 9);
    vault.put_recovery_codes(lee, &codes(lee, 2), NOW_MS + 1).unwrap();
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "1-4"), NOW_MS).unwrap(), "of the set before");
    assert!(vault.use_recovery_code(lee, &recovery_hash(lee, "2-4"), NOW_MS).unwrap());
    let history = events(vault, lee);
    use AccountEvent::{AppAdded, RecoveryCodeUsed, RecoveryCodesMade, Registered};
    assert_eq!(history, [Registered, AppAdded, RecoveryCodeUsed, RecoveryCodesMade, RecoveryCodeUsed]);
}

#[test]
fn another_app_takes_the_place_of_the_one_before_and_removing_it_ends_the_codes() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    let vault = &scene.vault;
    assert!(matches!(vault.remove_app(lee, NOW_MS), Err(VaultError::NotSo)));
    assert!(matches!(
        vault.put_app(PersonId([9; 32]), &key(1), 0, &codes(lee, 1), 0),
        Err(VaultError::NoSigner)
    ));
    vault.put_app(lee, &key(1), 0, &codes(lee, 1), NOW_MS).unwrap();
    vault.put_app(lee, &key(2), 0, &codes(lee, 2), NOW_MS).unwrap();
    assert!(!vault.use_app_code(lee, &key(1).code_at(NOW_MS), NOW_MS).unwrap());
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "1-1"), NOW_MS).unwrap());
    assert!(vault.use_app_code(lee, &key(2).code_at(NOW_MS), NOW_MS).unwrap());
    vault.remove_app(lee, NOW_MS).unwrap();
    assert_eq!(vault.second_factors(lee).unwrap(), SecondFactors::default());
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "2-1"), NOW_MS).unwrap());
    assert_eq!(events(vault, lee).last(), Some(&AccountEvent::AppRemoved));
}

#[test]
fn a_password_set_by_a_link_removes_the_app_and_says_so_and_one_without_an_app_does_not() {
    let scene = Scene::new();
    let (lee, kim) = (put_account(&scene.vault, "lee", 1), put_account(&scene.vault, "kim", 2));
    let vault = &scene.vault;
    vault.put_app(lee, &key(1), 0, &codes(lee, 1), NOW_MS).unwrap();
    for (person, secret) in [(lee, "one"), (kim, "two")] {
        let link = Link { hash: link_hash(secret), until_ms: NOW_MS + 1000 };
        vault.offer_password(person, vault.events_len(person), link, MADE).unwrap();
        assert_eq!(vault.second_factors(lee).unwrap().app_since_ms.is_some(), person == lee);
        vault.set_password_by_link(&link_hash(secret), "another word", NOW_MS).unwrap();
    }
    assert_eq!(vault.second_factors(lee).unwrap(), SecondFactors::default());
    assert!(!vault.use_recovery_code(lee, &recovery_hash(lee, "1-1"), NOW_MS).unwrap());
    assert_eq!(events(vault, lee).last(), Some(&AccountEvent::FactorsReset));
    assert_eq!(events(vault, kim).last(), Some(&AccountEvent::PasswordSet));
}

#[test]
fn a_changed_password_holds_at_once_stands_in_the_history_and_ends_an_open_link() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    let vault = &scene.vault;
    let link = Link { hash: link_hash("one"), until_ms: NOW_MS + 1000 };
    vault.offer_password(lee, vault.events_len(lee), link, MADE).unwrap();
    assert!(matches!(vault.change_password(lee, "short", NOW_MS), Err(VaultError::Unfit(_))));
    assert!(matches!(
        vault.change_password(PersonId([9; 32]), "a changed word", NOW_MS),
        Err(VaultError::NoSigner)
    ));
    vault.change_password(lee, "a changed word", NOW_MS).unwrap();
    assert_eq!(vault.verify_password("lee", "a secret word").unwrap(), None);
    assert!(vault.verify_password("lee", "a changed word").unwrap().is_some());
    assert_eq!(vault.account_by_password_link(&link_hash("one"), NOW_MS), None);
    assert_eq!(events(vault, lee).last(), Some(&AccountEvent::PasswordChanged));
}
