//! Invitations: from an administrator's link to an account that the ledger knows.

use clinic::views::PersonState;
use clinic::{
    AccountEvent, Chosen, ClinicError, Denied, INVITATION_MS, InviteOutcome, InviteRequest, LinkRefused,
    Origin, SignInRefused,
};
use core::net::{IpAddr, Ipv4Addr};
use testward::{Ward, denied};
use vault::{Acceptance, link_hash};
use vitals::ids::Class;
use vitals::ledger::{Ledger, Role};
use vitals::{PatientId, PersonId};

const CHOSEN: Chosen<'static> = Chosen { login: "noor", name: "Noor A.", password: "a secret word" };

fn request(role: Role, form: u8) -> InviteRequest<'static> {
    let bed = if role == Role::Patient { "bed 9" } else { "" };
    InviteRequest { role, name: "Noor", bed, form: [form; 16] }
}

fn invited(ward: &Ward, role: Role, form: u8) -> (PersonId, String) {
    match ward.clinic.invite(&ward.admin, &request(role, form), ward.now_ms).unwrap() {
        InviteOutcome::Now(person, secret) => (person, secret.expose().to_string()),
        InviteOutcome::Before(_) => panic!("this form was sent before"),
    }
}

fn place(last: u8) -> Origin {
    Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

fn seen(ward: &Ward, person: PersonId) -> u64 {
    ward.clinic.person_page(&ward.admin, person, ward.now_ms).unwrap().seen
}

#[test]
fn an_invited_clinician_makes_the_account_and_works_once_the_ledger_knows() {
    let mut ward = Ward::new();
    let before = ward.ledger.submitted();
    let (person, secret) = invited(&ward, Role::Clinician, 1);
    assert_eq!(secret.len(), 64, "256 random bits");
    assert_eq!(ward.ledger.submitted(), before, "nothing of somebody invited is on the ledger");
    let view = ward.clinic.open_invitation(Origin::HERE, &secret, ward.now_ms).unwrap();
    assert_eq!((view.role, view.until_ms), (Role::Clinician, ward.now_ms + INVITATION_MS));
    let (token, session) =
        ward.clinic.accept_invitation(Origin::HERE, &secret, &CHOSEN, ward.now_ms).unwrap();
    assert_eq!((session.person, session.role, session.name.as_str()), (person, Role::Clinician, "Noor A."));
    assert!(ward.clinic.session(token.expose(), ward.now_ms).is_ok(), "signed in");
    assert_eq!(denied(ward.clinic.wall(&session, ward.now_ms)), Denied::EnrolmentPending);
    ward.block();
    assert!(ward.clinic.wall(&session, ward.now_ms).is_ok());
    assert_eq!(ward.ledger.submitted(), before + 1, "enrolled once");
    assert!(ward.clinic.sign_in("noor", "a secret word", ward.now_ms).is_ok());
    assert_eq!(ward.ledger.submitted(), before + 1);
}

#[test]
fn an_invited_patient_has_a_record_a_profile_and_a_bed() {
    let mut ward = Ward::new();
    let (_, secret) = invited(&ward, Role::Patient, 1);
    let view = ward.clinic.open_invitation(Origin::HERE, &secret, ward.now_ms).unwrap();
    assert_eq!((view.name.as_str(), view.bed.as_str()), ("Noor", "bed 9"));
    let (_, session) = ward.clinic.accept_invitation(Origin::HERE, &secret, &CHOSEN, ward.now_ms).unwrap();
    ward.block();
    let own = ward.clinic.own_page(&session, ward.now_ms).unwrap();
    assert_eq!(own.now.name, "Noor A.", "as the person wrote it");
    let ward = ward.reopened();
    let patient = session.patient.unwrap();
    assert_eq!(ward.clinic.vault().bed(patient).place, "bed 9");
    let again = ward.now_as("noor");
    assert_eq!(ward.clinic.own_page(&again, ward.now_ms).unwrap().now.name, "Noor A.", "from the record");
}

#[test]
fn every_link_that_does_not_work_is_refused_with_one_sentence_and_nothing_is_changed() {
    let ward = Ward::new();
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    let (used, secret) = invited(&ward, Role::Auditor, 1);
    clinic.accept_invitation(Origin::HERE, &secret, &CHOSEN, now_ms).unwrap();
    let (withdrawn, of_withdrawn) = invited(&ward, Role::Auditor, 2);
    clinic.withdraw_invitation(&ward.admin, withdrawn, seen(&ward, withdrawn), now_ms).unwrap();
    let (replaced, of_replaced) = invited(&ward, Role::Auditor, 3);
    let renewed = clinic.renew_invitation(&ward.admin, replaced, seen(&ward, replaced), now_ms).unwrap();
    let (_, ended) = invited(&ward, Role::Auditor, 4);
    let later_ms = now_ms + INVITATION_MS;
    let (accounts, submitted) = (clinic.vault().accounts().len(), ward.ledger.submitted());
    let other = Chosen { login: "eve", ..CHOSEN };
    let guess = "0".repeat(64);
    for (case, secret, at_ms) in [
        ("used", secret.as_str(), now_ms),
        ("withdrawn", &of_withdrawn, now_ms),
        ("replaced", &of_replaced, now_ms),
        ("ended", &ended, later_ms),
        ("guessed", &guess, now_ms),
        ("empty", "", now_ms),
        ("half", &ended[..32], now_ms),
        ("capitals", &ended.to_uppercase(), now_ms),
    ] {
        let looked = clinic.open_invitation(Origin::HERE, secret, at_ms);
        assert_eq!(looked, Err(LinkRefused::Dead), "{case}");
        let tried = clinic.accept_invitation(Origin::HERE, secret, &other, at_ms);
        let why = tried.map(drop).unwrap_err();
        assert_eq!(why, LinkRefused::Dead, "{case}");
        assert!(why.to_string().contains("ask the administrator for a new one"));
    }
    assert_eq!((clinic.vault().accounts().len(), ward.ledger.submitted()), (accounts, submitted));
    assert_eq!(clinic.vault().account("noor").unwrap().person, used);
    assert!(clinic.open_invitation(Origin::HERE, renewed.expose(), now_ms).is_ok());
    assert!(clinic.open_invitation(Origin::HERE, &ended, later_ms - 1).is_ok(), "until its last millisecond");
}

#[test]
fn guesses_at_links_make_their_own_place_wait_and_no_other() {
    let ward = Ward::new();
    let (_, secret) = invited(&ward, Role::Auditor, 1);
    let mut waits = 0;
    for n in 0..1000 {
        match ward.clinic.open_invitation(place(66), &format!("{n:064}"), ward.now_ms) {
            Err(LinkRefused::Later(SignInRefused::Wait { .. })) => waits += 1,
            other => assert_eq!(other, Err(LinkRefused::Dead)),
        }
    }
    assert_eq!(waits, 980, "twenty at once, then one in ten seconds");
    assert!(ward.clinic.open_invitation(place(1), &secret, ward.now_ms).is_ok());
    for _ in 0..50 {
        assert!(ward.clinic.open_invitation(place(2), &secret, ward.now_ms).is_ok(), "it is no guess");
    }
}

#[test]
fn a_slip_in_the_form_leaves_the_link_as_it_is_and_names_the_field() {
    let mut ward = Ward::new();
    ward.person("lee", Role::Clinician);
    let (_, secret) = invited(&ward, Role::Auditor, 1);
    let long = "x".repeat(2000);
    for (chosen, wanted) in [
        (Chosen { name: "  ", ..CHOSEN }, "name"),
        (Chosen { name: &long, ..CHOSEN }, "name"),
        (Chosen { login: "", ..CHOSEN }, "login"),
        (Chosen { login: &long, ..CHOSEN }, "login"),
        (Chosen { login: "lee", ..CHOSEN }, "login"),
        (Chosen { password: "short", ..CHOSEN }, "password"),
        (Chosen { password: "11111111", ..CHOSEN }, "password"),
        (Chosen { password: &long, ..CHOSEN }, "password"),
    ] {
        match ward.clinic.accept_invitation(Origin::HERE, &secret, &chosen, ward.now_ms) {
            Err(LinkRefused::Field { field, why }) => assert!(field == wanted && why.len() > 10, "{field}"),
            other => panic!("{wanted}: {:?}", other.map(drop)),
        }
    }
    let spaced = Chosen { login: " noor ", name: " Noor A. ", ..CHOSEN };
    let (_, session) = ward.clinic.accept_invitation(Origin::HERE, &secret, &spaced, ward.now_ms).unwrap();
    assert_eq!((session.login.as_str(), session.name.as_str()), ("noor", "Noor A."));
}

#[test]
fn only_administrators_see_people_and_invite() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    for (name, role) in [("nadia", Role::Family), ("orin", Role::Auditor)] {
        ward.person(name, role);
    }
    ward.block();
    let (person, _) = invited(&ward, Role::Auditor, 1);
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    for name in ["amira", "lee", "nadia", "orin"] {
        let session = ward.as_(name);
        let wanted = Denied::Role { role: session.role };
        assert_eq!(denied(clinic.people(&session, now_ms)), wanted);
        assert_eq!(denied(clinic.person_page(&session, person, now_ms)), wanted);
        assert_eq!(denied(clinic.invite(&session, &request(Role::Administrator, 2), now_ms)), wanted);
        assert_eq!(denied(clinic.renew_invitation(&session, person, 1, now_ms)), wanted);
        assert_eq!(denied(clinic.withdraw_invitation(&session, person, 1, now_ms)), wanted);
    }
    ward.ledger.suspend(ward.admin.person, now_ms);
    assert_eq!(denied(clinic.people(&ward.admin, now_ms)), Denied::NotEnrolled);
    assert_eq!(denied(clinic.invite(&ward.admin, &request(Role::Auditor, 3), now_ms)), Denied::NotEnrolled);
}

#[test]
fn what_cannot_be_invited_is_refused_at_its_field() {
    let ward = Ward::new();
    let long = "x".repeat(257);
    for (request, wanted) in [
        (InviteRequest { bed: "", ..request(Role::Patient, 1) }, "bed"),
        (InviteRequest { bed: &long, ..request(Role::Patient, 1) }, "bed"),
        (InviteRequest { bed: "bed 9", ..request(Role::Clinician, 1) }, "bed"),
        (InviteRequest { name: &long, ..request(Role::Clinician, 1) }, "name"),
        (request(Role::Other(9), 1), "role"),
    ] {
        match ward.clinic.invite(&ward.admin, &request, ward.now_ms) {
            Err(ClinicError::Field { field, .. }) => assert_eq!(field, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
    assert!(ward.clinic.vault().invitations().is_empty());
}

#[test]
fn a_form_sent_twice_invites_once_and_a_page_that_is_old_changes_nothing() {
    let ward = Ward::new();
    let (person, secret) = invited(&ward, Role::Auditor, 1);
    let again = ward.clinic.invite(&ward.admin, &request(Role::Auditor, 1), ward.now_ms).unwrap();
    assert!(matches!(again, InviteOutcome::Before(before) if before == person));
    let old = seen(&ward, person);
    let renewed = ward.clinic.renew_invitation(&ward.admin, person, old, ward.now_ms).unwrap();
    for answer in [
        ward.clinic.renew_invitation(&ward.admin, person, old, ward.now_ms).map(drop),
        ward.clinic.withdraw_invitation(&ward.admin, person, old, ward.now_ms),
    ] {
        assert!(matches!(answer, Err(ClinicError::Stale)), "{answer:?}");
    }
    assert!(ward.clinic.open_invitation(Origin::HERE, renewed.expose(), ward.now_ms).is_ok());
    assert!(ward.clinic.open_invitation(Origin::HERE, &secret, ward.now_ms).is_err());
    let nobody = PersonId([7; 32]);
    assert_eq!(
        denied(ward.clinic.withdraw_invitation(&ward.admin, nobody, 0, ward.now_ms)),
        Denied::NoSuchAccount
    );
}

#[test]
fn the_list_says_how_everybody_stands_and_the_page_what_happened() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    let (person, secret) = invited(&ward, Role::Auditor, 1);
    let (old, _) = invited(&ward, Role::Family, 2);
    let (gone, _) = invited(&ward, Role::Family, 3);
    ward.clinic.withdraw_invitation(&ward.admin, gone, 1, ward.now_ms).unwrap();
    let state = |ward: &Ward, person| {
        let lines = ward.clinic.people(&ward.admin, ward.now_ms).unwrap();
        lines.into_iter().find(|line| line.person == person).map(|line| line.state)
    };
    let until_ms = ward.now_ms + INVITATION_MS;
    assert_eq!(state(&ward, person), Some(PersonState::Invited { until_ms }));
    assert_eq!(state(&ward, gone), Some(PersonState::InvitationWithdrawn));
    ward.clinic.accept_invitation(Origin::HERE, &secret, &CHOSEN, ward.now_ms).unwrap();
    assert_eq!(state(&ward, person), Some(PersonState::Unconfirmed));
    ward.block();
    assert_eq!(state(&ward, person), Some(PersonState::Active));
    let page = ward.clinic.person_page(&ward.admin, person, ward.now_ms).unwrap();
    assert_eq!((page.line.sessions, page.sessions.len()), (1, 1));
    assert_eq!((page.line.signed_in_ms, page.sessions[0].is_here), (Some(ward.now_ms), true));
    let told: Vec<_> = page.history.iter().map(|one| (one.event, one.by.as_deref(), one.by_self)).collect();
    let wanted = [
        (AccountEvent::Accepted, Some("Noor A."), true),
        (AccountEvent::Invited, Some("Administrator"), false),
    ];
    assert_eq!(told, wanted);
    ward.ledger.suspend(person, ward.now_ms);
    assert_eq!(state(&ward, person), Some(PersonState::EndedOnLedger));
    ward.now_ms = until_ms;
    let (_, admin) = ward.clinic.sign_in("admin", "a secret word", ward.now_ms).unwrap();
    ward.admin = admin;
    assert_eq!(state(&ward, old), Some(PersonState::InvitationEnded { at_ms: until_ms }));
    let ward = ward.reopened();
    assert_eq!(state(&ward, gone), Some(PersonState::InvitationWithdrawn), "after a restart too");
}

/// The vault's step is durable and whole; the node died before it handed in the enrolment and wrote the profile, or
/// before one of the two.
#[test]
fn what_a_crash_left_undone_is_done_at_the_next_sign_in() {
    for (enrolled, stream_made) in [(false, false), (true, false), (false, true)] {
        let ward = Ward::new();
        let (person, secret) = invited(&ward, Role::Patient, 1);
        let patient = PatientId([5; 16]);
        let chosen = Acceptance { login: "noor", name: "Noor A.", password: "a secret word", patient };
        let vault = ward.clinic.vault();
        let account = vault.accept_invitation(&link_hash(&secret), &chosen, ward.now_ms).unwrap();
        if enrolled {
            let act = vitals::ledger::Act::Enrol {
                person,
                role: Role::Patient,
                signer: ward.ledger.p256_signer(&account.public_key),
                vault_kept: true,
            };
            ward.ledger.submit(act).unwrap();
            ward.ledger.block(ward.now_ms);
        }
        if stream_made {
            let (author, class) = (vault.author(), Class::Profile);
            let first_epoch = vitals::keys::epoch_of(ward.now_ms);
            vault
                .make_stream(vault::NewStream { author, patient, class, first_epoch, salt: [0; 32] })
                .unwrap();
        }
        let mut ward = ward.killed();
        let session = ward.now_as("noor");
        ward.block();
        let own = ward.clinic.own_page(&session, ward.now_ms).unwrap();
        assert_eq!(own.now.name, "Noor A.", "enrolled: {enrolled}, stream: {stream_made}");
        let (size, acts) = (ward.clinic.store().size(), ward.ledger.submitted());
        ward.now_as("noor");
        assert_eq!((ward.clinic.store().size(), ward.ledger.submitted()), (size, acts), "done once");
    }
}
