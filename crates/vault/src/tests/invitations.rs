//! Invitations: a link works once, until its end, and what it makes is whole.

use super::folder::open;
use super::*;

fn link(secret: &str) -> Link {
    Link { hash: link_hash(secret), until_ms: NOW_MS + 1000 }
}

fn new(person: u8, role: Role, secret: &str) -> NewInvitation<'static> {
    let bed = if role == Role::Patient { "bed 7" } else { "" };
    NewInvitation {
        person: PersonId([person; 32]),
        role,
        name: "Ada",
        bed,
        form: [person; 16],
        link: link(secret),
    }
}

fn chosen(login: &str) -> Acceptance<'_> {
    Acceptance { login, name: "Ada L.", password: "a secret word", patient: PatientId([5; 16]) }
}

fn no_link<T: std::fmt::Debug>(answer: Result<T, VaultError>) -> bool {
    matches!(answer, Err(VaultError::NoLink))
}

#[test]
fn a_link_is_used_once_and_not_after_its_end() {
    let scene = Scene::new();
    let vault = &scene.vault;
    assert_eq!(vault.put_invitation(new(1, Role::Clinician, "one"), MADE).unwrap(), Invited::Now);
    let hash = link_hash("one");
    assert!(no_link(vault.accept_invitation(&link_hash("two"), &chosen("ada"), NOW_MS)), "a guess");
    assert!(no_link(vault.accept_invitation(&hash, &chosen("ada"), NOW_MS + 1000)), "it has ended");
    let short = Acceptance { password: "short", ..chosen("ada") };
    assert!(matches!(vault.accept_invitation(&hash, &short, NOW_MS), Err(VaultError::Unfit(_))));
    assert!(vault.invitation_by_link(&hash, NOW_MS).is_some(), "a slip uses nothing up");
    let account = vault.accept_invitation(&hash, &chosen("ada"), NOW_MS).unwrap();
    assert_eq!((account.role, account.person), (Role::Clinician, PersonId([1; 32])));
    assert_eq!(vault.verify_password("ada", "a secret word").unwrap(), Some(account));
    assert!(no_link(vault.accept_invitation(&hash, &chosen("eve"), NOW_MS)), "it is used");
    assert!(vault.invitations().is_empty() && vault.patients().len() == 1);
}

#[test]
fn a_patient_who_takes_an_invitation_up_has_a_record_and_a_bed() {
    let scene = Scene::new();
    scene.vault.put_invitation(new(1, Role::Patient, "one"), MADE).unwrap();
    let account = scene.vault.accept_invitation(&link_hash("one"), &chosen("ada"), NOW_MS).unwrap();
    let patient = scene.vault.patient_of(account.person).unwrap();
    assert_eq!((patient.id, patient.since_ms), (PatientId([5; 16]), NOW_MS));
    assert_eq!(scene.vault.bed(patient.id).place, "bed 7");
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert_eq!(vault.patient_of(account.person), Some(patient));
    assert_eq!(vault.bed(patient.id).place, "bed 7");
    let held = vault.invitation_of(account.person).unwrap();
    assert_eq!((held.state, held.name.as_str(), held.bed.as_str()), (InvitationState::Accepted, "", ""));
    assert!(no_link(vault.accept_invitation(&link_hash("one"), &chosen("eve"), NOW_MS)), "used for good");
}

#[test]
fn a_withdrawn_or_replaced_link_is_dead_and_a_new_one_lives() {
    let scene = Scene::new();
    let (vault, person) = (&scene.vault, PersonId([1; 32]));
    vault.put_invitation(new(1, Role::Auditor, "one"), MADE).unwrap();
    vault.withdraw_invitation(person, 1, MADE).unwrap();
    assert!(no_link(vault.accept_invitation(&link_hash("one"), &chosen("ada"), NOW_MS)));
    assert!(matches!(vault.withdraw_invitation(person, 2, MADE), Err(VaultError::NotSo)));
    vault.renew_invitation(person, 2, link("two"), MADE).unwrap();
    vault.renew_invitation(person, 3, link("three"), MADE).unwrap();
    assert!(matches!(vault.renew_invitation(person, 3, link("four"), MADE), Err(VaultError::Stale)));
    for dead in ["one", "two", "four"] {
        assert!(no_link(vault.accept_invitation(&link_hash(dead), &chosen("ada"), NOW_MS)), "{dead}");
    }
    vault.accept_invitation(&link_hash("three"), &chosen("ada"), NOW_MS).unwrap();
    assert!(matches!(vault.renew_invitation(person, 5, link("five"), MADE), Err(VaultError::NotSo)));
    let events: Vec<_> = vault.history_of(person, 9).unwrap().into_iter().map(|one| one.event).collect();
    let wanted = [
        AccountEvent::Accepted,
        AccountEvent::LinkRenewed,
        AccountEvent::LinkRenewed,
        AccountEvent::InvitationWithdrawn,
        AccountEvent::Invited,
    ];
    assert_eq!(events, wanted);
    assert_eq!(vault.history_of(person, 2).unwrap().len(), 2);
}

#[test]
fn one_form_makes_one_invitation_however_often_it_is_sent() {
    let scene = Scene::new();
    scene.vault.put_invitation(new(1, Role::Auditor, "one"), MADE).unwrap();
    let again = NewInvitation { form: [1; 16], ..new(2, Role::Auditor, "two") };
    let before = Invited::Before(PersonId([1; 32]));
    assert_eq!(scene.vault.put_invitation(again, MADE).unwrap(), before);
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert_eq!(vault.put_invitation(again, MADE).unwrap(), before, "after a restart too");
    assert_eq!(vault.invitations().len(), 1);
}

#[test]
fn an_invitation_without_a_fitting_bed_or_for_somebody_known_is_refused() {
    let scene = Scene::new();
    let vault = &scene.vault;
    let unfit = |one| matches!(vault.put_invitation(one, MADE), Err(VaultError::Unfit(_)));
    assert!(unfit(NewInvitation { bed: " ", ..new(1, Role::Patient, "one") }));
    assert!(unfit(NewInvitation { bed: "bed 7", ..new(1, Role::Family, "one") }));
    let long = "x".repeat(257);
    assert!(unfit(NewInvitation { name: &long, ..new(1, Role::Family, "one") }));
    assert!(unfit(NewInvitation { bed: &long, ..new(1, Role::Patient, "one") }));
    vault.put_invitation(new(1, Role::Family, "one"), MADE).unwrap();
    let same = NewInvitation { form: [8; 16], ..new(1, Role::Family, "two") };
    assert!(matches!(vault.put_invitation(same, MADE), Err(VaultError::PersonTaken)));
    vault.accept_invitation(&link_hash("one"), &chosen("ada"), NOW_MS).unwrap();
    vault.put_invitation(new(2, Role::Family, "two"), MADE).unwrap();
    let taken = vault.accept_invitation(&link_hash("two"), &chosen("ada"), NOW_MS);
    assert!(matches!(taken, Err(VaultError::LoginTaken)));
    vault.accept_invitation(&link_hash("two"), &chosen("bea"), NOW_MS).unwrap();
}

/// Each of these is one write of the database, so that a crash leaves it whole or not begun: that a write is so is
/// tried by `a_crash_at_any_step_of_the_vault_file_keeps_every_put_whole`.
#[test]
fn whatever_changes_an_account_is_one_durable_step() {
    let scene = Scene::new();
    let (vault, person) = (&scene.vault, PersonId([1; 32]));
    let made = Made { by: Some(PersonId([2; 32])), at_ms: NOW_MS };
    let mut count = vault.tables.count().unwrap();
    let mut one_step = |what: &str| {
        let now = vault.tables.count().unwrap();
        assert_eq!(now, count + 1, "{what}");
        count = now;
    };
    vault.put_invitation(new(1, Role::Patient, "one"), made).unwrap();
    one_step("invite");
    vault.withdraw_invitation(person, 1, made).unwrap();
    one_step("withdraw");
    vault.renew_invitation(person, 2, link("two"), made).unwrap();
    one_step("renew");
    vault.accept_invitation(&link_hash("two"), &chosen("ada"), NOW_MS).unwrap();
    one_step("accept");
    vault.suspend(person, 4, "left", &[], made).unwrap();
    one_step("suspend");
    vault.reinstate(person, 5, "back", made).unwrap();
    one_step("reinstate");
    vault.offer_password(person, 6, link("three"), made).unwrap();
    one_step("offer a link");
    vault.set_password_by_link(&link_hash("three"), "a new password", NOW_MS).unwrap();
    one_step("set a password");
    vault.note_sessions_ended(person, made).unwrap();
    one_step("end sessions");
    vault.note_sign_in(person, NOW_MS).unwrap();
    one_step("sign in");
    assert_eq!(vault.events_len(person), 9);
}

#[test]
fn of_two_who_use_a_link_at_once_one_is_too_late() {
    let scene = Scene::new();
    for round in 0..20u8 {
        let secret = format!("secret {round}");
        let new = NewInvitation { form: [round; 16], ..new(round + 1, Role::Family, &secret) };
        scene.vault.put_invitation(new, MADE).unwrap();
        let hash = link_hash(&secret);
        let won = std::thread::scope(|scope| {
            let tries = ["ada", "bea"].map(|name| {
                let (vault, login) = (&scene.vault, format!("{name}{round}"));
                scope.spawn(move || vault.accept_invitation(&hash, &chosen(&login), NOW_MS).is_ok())
            });
            tries.map(|one| one.join().unwrap()).into_iter().filter(|won| *won).count()
        });
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(scene.vault.accounts().len(), 20);
}
