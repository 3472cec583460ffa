//! Suspensions, links to a new password, and the history of an account.

use super::folder::open;
use super::*;

const ADA: PersonId = PersonId([1; 32]);
const BEA: PersonId = PersonId([2; 32]);

fn account(scene: &Scene, person: PersonId, login: &str, role: Role) {
    let new = NewAccount { login, name: "Name", role, person, password: "a secret word", made: MADE };
    scene.vault.put_account(new).unwrap();
}

fn by(person: PersonId) -> Made {
    Made { by: Some(person), at_ms: NOW_MS }
}

fn link(secret: &str) -> Link {
    Link { hash: link_hash(secret), until_ms: NOW_MS + 1000 }
}

#[test]
fn a_suspension_stands_after_a_restart_and_has_its_reason() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Clinician);
    scene.vault.suspend(ADA, 1, "left the hospital", &[], by(BEA)).unwrap();
    assert!(matches!(scene.vault.suspend(ADA, 2, "again", &[], by(BEA)), Err(VaultError::NotSo)));
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    let suspension = vault.suspension_of(ADA).unwrap();
    assert_eq!((suspension.reason.as_str(), suspension.made), ("left the hospital", by(BEA)));
    vault.reinstate(ADA, 2, "came back", by(BEA)).unwrap();
    assert!(!vault.is_suspended(ADA));
    assert!(matches!(vault.reinstate(ADA, 3, "again", by(BEA)), Err(VaultError::NotSo)));
    let told: Vec<_> =
        vault.history_of(ADA, 9).unwrap().into_iter().map(|one| (one.event, one.reason)).collect();
    let wanted = [
        (AccountEvent::Reinstated, "came back"),
        (AccountEvent::Suspended, "left the hospital"),
        (AccountEvent::Registered, ""),
    ];
    assert_eq!(told, wanted.map(|(event, reason)| (event, reason.to_string())));
}

#[test]
fn a_change_without_a_reason_or_on_an_old_page_is_refused() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Clinician);
    for reason in ["", "  ", &"x".repeat(257)] {
        assert!(matches!(scene.vault.suspend(ADA, 1, reason, &[], MADE), Err(VaultError::Unfit(_))));
    }
    for seen in [0, 2] {
        assert!(matches!(scene.vault.suspend(ADA, seen, "left", &[], MADE), Err(VaultError::Stale)));
    }
    assert!(matches!(scene.vault.suspend(BEA, 0, "left", &[], MADE), Err(VaultError::NoSigner)));
    assert_eq!(scene.vault.events_len(ADA), 1, "nothing was changed");
}

#[test]
fn the_last_administrator_cannot_be_suspended_and_two_cannot_suspend_each_other_at_once() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Administrator);
    account(&scene, BEA, "bea", Role::Administrator);
    let last = |answer| matches!(answer, Err(VaultError::LastAdministrator));
    assert!(last(scene.vault.suspend(ADA, 1, "left", &[ADA], MADE)), "Bea is not on the ledger yet");
    for round in 0..20 {
        let seen = scene.vault.events_len(ADA);
        let done = std::thread::scope(|scope| {
            let tries = [ADA, BEA].map(|one| {
                let (vault, seen) = (&scene.vault, scene.vault.events_len(one));
                scope.spawn(move || vault.suspend(one, seen, "a quarrel", &[ADA, BEA], MADE).is_ok())
            });
            tries.map(|one| one.join().unwrap()).into_iter().filter(|done| *done).count()
        });
        assert_eq!(done, 1, "round {round}, {seen} lines");
        for one in [ADA, BEA] {
            if scene.vault.is_suspended(one) {
                scene.vault.reinstate(one, scene.vault.events_len(one), "settled", MADE).unwrap();
            }
        }
    }
}

#[test]
fn a_link_sets_a_new_password_once_and_the_old_one_holds_until_then() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Clinician);
    let vault = &scene.vault;
    let may = |password: &str| vault.verify_password("ada", password).unwrap().is_some();
    let set = |secret: &str, at_ms| vault.set_password_by_link(&link_hash(secret), "a new password", at_ms);
    vault.offer_password(ADA, 1, link("one"), by(BEA)).unwrap();
    assert!(may("a secret word"), "until the link is used");
    vault.offer_password(ADA, 2, link("two"), by(BEA)).unwrap();
    for (secret, at_ms) in [("one", NOW_MS), ("guess", NOW_MS), ("two", NOW_MS + 1000)] {
        assert!(matches!(set(secret, at_ms), Err(VaultError::NoLink)), "{secret}");
    }
    let short = vault.set_password_by_link(&link_hash("two"), "short", NOW_MS);
    assert!(matches!(short, Err(VaultError::Unfit(_))));
    set("two", NOW_MS).unwrap();
    assert!(may("a new password") && !may("a secret word"));
    assert!(matches!(set("two", NOW_MS), Err(VaultError::NoLink)), "it is used");
}

#[test]
fn a_suspension_ends_the_open_link_and_none_is_made_until_it_is_over() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Clinician);
    scene.vault.offer_password(ADA, 1, link("one"), by(BEA)).unwrap();
    scene.vault.suspend(ADA, 2, "password stolen", &[], by(BEA)).unwrap();
    let used = scene.vault.set_password_by_link(&link_hash("one"), "a new password", NOW_MS);
    assert!(matches!(used, Err(VaultError::NoLink)));
    let offered = scene.vault.offer_password(ADA, 3, link("two"), by(BEA));
    assert!(matches!(offered, Err(VaultError::NotSo)));
    scene.vault.reinstate(ADA, 3, "found", by(BEA)).unwrap();
    let used = scene.vault.set_password_by_link(&link_hash("one"), "a new password", NOW_MS);
    assert!(matches!(used, Err(VaultError::NoLink)), "it does not come back");
}

#[test]
fn a_suspended_reader_opens_nothing_and_the_vault_says_so_itself() {
    let scene = Scene::new();
    let (doctor, amira) = (scene.doctor, scene.amira.person);
    account(&scene, doctor, "lee", Role::Clinician);
    account(&scene, amira, "amira", Role::Patient);
    let own =
        AccessEntry { reader: amira, purpose: Purpose::Own, grant: GrantId([0; 32]), ..scene.reading() };
    let open = |entry: &AccessEntry| {
        let opened =
            scene.vault.log_access(&scene.store, &scene.ledger, scene.amira.id, entry.clone(), NOW_MS);
        opened.map(drop).map_err(|why| why.to_string())
    };
    assert_eq!((open(&scene.reading()), open(&own)), (Ok(()), Ok(())));
    scene.vault.suspend(doctor, 1, "left", &[], MADE).unwrap();
    scene.vault.suspend(amira, 1, "password stolen", &[], MADE).unwrap();
    assert_eq!(open(&scene.reading()), Err("not allowed: the reader is suspended".into()));
    assert_eq!(open(&own), Err("not allowed: the account is suspended".into()));
    scene.vault.reinstate(doctor, 2, "back", MADE).unwrap();
    assert_eq!(open(&scene.reading()), Ok(()));
}

/// A vault that an earlier build wrote has accounts and none of the tables of this one.
#[test]
fn a_vault_of_the_build_before_opens_and_its_accounts_stand() {
    let scene = Scene::new();
    let new = NewAccount {
        login: "ada",
        name: "Name",
        role: Role::Clinician,
        person: ADA,
        password: "a secret word",
        made: MADE,
    };
    let rows = scene.vault.account_rows(&new).unwrap();
    scene.vault.tables.put(&rows.puts()).unwrap();
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert!(vault.verify_password("ada", "a secret word").unwrap().is_some());
    assert!(!vault.is_suspended(ADA) && vault.invitations().is_empty());
    assert_eq!((vault.events_len(ADA), vault.signed_in_ms(ADA)), (0, None));
    assert!(vault.history_of(ADA, 9).unwrap().is_empty());
    vault.suspend(ADA, 0, "left", &[], MADE).unwrap();
    vault.note_sign_in(ADA, NOW_MS).unwrap();
    drop(vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert_eq!((vault.is_suspended(ADA), vault.events_len(ADA)), (true, 1));
    assert_eq!(vault.signed_in_ms(ADA), Some(NOW_MS));
}

#[test]
fn a_sign_in_is_written_once_an_hour_and_remembered_each_time() {
    let scene = Scene::new();
    account(&scene, ADA, "ada", Role::Clinician);
    let hour_ms = 3_600_000;
    let before = scene.vault.tables.count().unwrap();
    for at_ms in [NOW_MS, NOW_MS + 1, NOW_MS + hour_ms - 1] {
        scene.vault.note_sign_in(ADA, at_ms).unwrap();
        assert_eq!(scene.vault.signed_in_ms(ADA), Some(at_ms));
    }
    assert_eq!(scene.vault.tables.count().unwrap(), before + 1);
    scene.vault.note_sign_in(ADA, NOW_MS + hour_ms).unwrap();
    assert_eq!(scene.vault.tables.count().unwrap(), before + 2);
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert_eq!(vault.signed_in_ms(ADA), Some(NOW_MS + hour_ms));
}
