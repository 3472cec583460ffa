//! Passkeys: one owner each, a count that only goes on, and none left behind by a reset.

use super::folder::open;
use super::*;

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

fn passkey(n: u8, sign_count: u32) -> Passkey {
    Passkey {
        id: vec![n; 16],
        rp_id: "ward.example".into(),
        key: vec![n; 77],
        sign_count,
        backup_eligible: false,
        backed_up: false,
        name: format!("key {n}"),
        added_ms: NOW_MS,
        used_ms: None,
    }
}

fn used(sign_count: u32, at_ms: u64) -> PasskeyUse {
    PasskeyUse { sign_count, backed_up: false, at_ms }
}

fn last_event(vault: &Vault, person: PersonId) -> (AccountEvent, String) {
    let last = vault.history_of(person, 1).unwrap().remove(0);
    (last.event, last.reason)
}

#[test]
fn a_passkey_has_one_owner_and_is_found_by_its_id_after_a_restart() {
    let scene = Scene::new();
    let (lee, kim) = (put_account(&scene.vault, "lee", 1), put_account(&scene.vault, "kim", 2));
    scene.vault.add_passkey(lee, passkey(1, 0)).unwrap();
    scene.vault.add_passkey(lee, passkey(2, 5)).unwrap();
    assert_eq!(last_event(&scene.vault, lee), (AccountEvent::PasskeyAdded, "key 2".into()));
    for person in [lee, kim] {
        assert!(matches!(scene.vault.add_passkey(person, passkey(1, 0)), Err(VaultError::PasskeyTaken)));
    }
    let nobody = scene.vault.add_passkey(PersonId([9; 32]), passkey(3, 0));
    assert!(matches!(nobody, Err(VaultError::NoSigner)));
    let handles = [lee, kim].map(|person| scene.vault.passkey_handle(person));
    assert!(handles[0] != handles[1] && handles[0] != lee.0);
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    let (account, held) = vault.passkey(&[2; 16]).unwrap();
    assert_eq!((account.person, held), (lee, passkey(2, 5)));
    assert_eq!(vault.passkeys_of(lee).len(), 2);
    assert!(vault.passkeys_of(kim).is_empty() && vault.passkey(&[3; 16]).is_none());
    assert_eq!([lee, kim].map(|person| vault.passkey_handle(person)), handles, "the same for good");
}

#[test]
fn a_count_that_goes_back_is_refused_and_stands_in_the_history() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    let vault = &scene.vault;
    vault.add_passkey(lee, passkey(1, 5)).unwrap();
    vault.use_passkey(lee, &[1; 16], used(6, NOW_MS)).unwrap();
    for count in [6, 5, 0] {
        let back = vault.use_passkey(lee, &[1; 16], used(count, NOW_MS));
        assert!(matches!(back, Err(VaultError::CountWentBack)), "{count}");
        assert_eq!(last_event(vault, lee), (AccountEvent::PasskeyRefused, "key 1".into()));
    }
    vault.use_passkey(lee, &[1; 16], used(7, NOW_MS)).unwrap();
    // An authenticator without a counter says 0 each time.
    vault.add_passkey(lee, passkey(2, 0)).unwrap();
    for at_ms in [NOW_MS, NOW_MS + 1] {
        vault.use_passkey(lee, &[2; 16], used(0, at_ms)).unwrap();
    }
    assert!(matches!(vault.use_passkey(lee, &[9; 16], used(1, NOW_MS)), Err(VaultError::NotSo)));
}

#[test]
fn a_use_that_counts_survives_a_restart_and_one_that_does_not_is_written_once_an_hour() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    scene.vault.add_passkey(lee, passkey(1, 0)).unwrap();
    scene.vault.add_passkey(lee, passkey(2, 0)).unwrap();
    scene.vault.use_passkey(lee, &[2; 16], used(1, NOW_MS)).unwrap();
    let minute_ms = 60_000;
    let before = scene.vault.tables.count().unwrap();
    for minute in 0..61 {
        scene.vault.use_passkey(lee, &[1; 16], used(0, NOW_MS + minute * minute_ms)).unwrap();
    }
    assert_eq!(scene.vault.tables.count().unwrap() - before, 2, "the first, and one an hour later");
    assert_eq!(scene.vault.passkeys_of(lee)[0].used_ms, Some(NOW_MS + 60 * minute_ms));
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    let back = vault.use_passkey(lee, &[2; 16], used(1, NOW_MS));
    assert!(matches!(back, Err(VaultError::CountWentBack)), "counted before the restart");
    assert_eq!(vault.passkeys_of(lee)[0].used_ms, Some(NOW_MS + 60 * minute_ms));
}

#[test]
fn passkeys_are_renamed_removed_and_bounded() {
    let scene = Scene::new();
    let (lee, kim) = (put_account(&scene.vault, "lee", 1), put_account(&scene.vault, "kim", 2));
    let vault = &scene.vault;
    for n in 0..PASSKEYS_MAX {
        vault.add_passkey(lee, passkey(n as u8, 0)).unwrap();
    }
    assert!(matches!(vault.add_passkey(lee, passkey(99, 0)), Err(VaultError::Unfit(_))));
    vault.rename_passkey(lee, &[3; 16], "the phone").unwrap();
    assert_eq!(vault.passkeys_of(lee)[3].name, "the phone");
    for name in ["", &"x".repeat(257)] {
        assert!(matches!(vault.rename_passkey(lee, &[3; 16], name), Err(VaultError::Unfit(_))));
    }
    assert!(matches!(vault.remove_passkey(kim, &[3; 16], NOW_MS), Err(VaultError::NotSo)), "not kim's");
    vault.remove_passkey(lee, &[3; 16], NOW_MS).unwrap();
    assert_eq!(last_event(vault, lee), (AccountEvent::PasskeyRemoved, "the phone".into()));
    assert!(vault.passkey(&[3; 16]).is_none());
    assert!(matches!(vault.remove_passkey(lee, &[3; 16], NOW_MS), Err(VaultError::NotSo)));
    let large = Passkey { id: vec![1; 1024], ..passkey(50, 0) };
    assert!(matches!(vault.add_passkey(lee, large), Err(VaultError::Unfit(_))));
    assert!(matches!(
        vault.add_passkey(lee, Passkey { id: vec![], ..passkey(50, 0) }),
        Err(VaultError::Unfit(_))
    ));
}

#[test]
fn a_password_set_by_a_link_removes_every_passkey() {
    let scene = Scene::new();
    let lee = put_account(&scene.vault, "lee", 1);
    scene.vault.add_passkey(lee, passkey(1, 0)).unwrap();
    let link = Link { hash: link_hash("one"), until_ms: NOW_MS + 1000 };
    scene.vault.offer_password(lee, scene.vault.events_len(lee), link, MADE).unwrap();
    assert_eq!(scene.vault.passkeys_of(lee).len(), 1, "until the link is used");
    scene.vault.set_password_by_link(&link_hash("one"), "another word", NOW_MS).unwrap();
    assert_eq!(last_event(&scene.vault, lee).0, AccountEvent::FactorsReset);
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert!(vault.passkeys_of(lee).is_empty() && vault.passkey(&[1; 16]).is_none());
}
