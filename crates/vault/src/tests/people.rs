use super::*;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};

fn new<'a>(login: &'a str, person: u8) -> NewAccount<'a> {
    NewAccount {
        login,
        name: "Name",
        role: Role::Clinician,
        person: PersonId([person; 32]),
        password: "a secret word",
        made: MADE,
    }
}

#[test]
fn a_password_opens_its_own_account_only() {
    let scene = Scene::new();
    let lee = scene.vault.put_account(new("lee", 1)).unwrap();
    scene.vault.put_account(NewAccount { password: "another word", ..new("kim", 2) }).unwrap();
    assert_eq!(scene.vault.verify_password("lee", "a secret word").unwrap(), Some(lee.clone()));
    assert_eq!(scene.vault.verify_password("lee", "another word").unwrap(), None);
    assert_eq!(scene.vault.verify_password("kim", "a secret word").unwrap(), None);
    assert_eq!(scene.vault.verify_password("nobody", "a secret word").unwrap(), None);
    assert_eq!(scene.vault.verify_password("lee", &"x".repeat(5000)).unwrap(), None);
    scene.vault.set_password(lee.person, "a changed word").unwrap();
    assert_eq!(scene.vault.verify_password("lee", "a secret word").unwrap(), None);
    assert_eq!(scene.vault.verify_password("lee", "a changed word").unwrap(), Some(lee));
}

#[test]
fn a_login_and_a_person_have_one_account() {
    let scene = Scene::new();
    scene.vault.put_account(new("lee", 1)).unwrap();
    assert!(matches!(scene.vault.put_account(new("lee", 2)), Err(VaultError::LoginTaken)));
    assert!(matches!(scene.vault.put_account(new("kim", 1)), Err(VaultError::PersonTaken)));
    assert!(matches!(scene.vault.put_account(new("", 3)), Err(VaultError::Unfit(_))));
    assert_eq!(scene.vault.accounts().len(), 1);
}

#[test]
fn a_new_password_has_eight_characters_whoever_gives_it() {
    let scene = Scene::new();
    let lee = scene.vault.put_account(new("lee", 1)).unwrap();
    let long = "x1".repeat(600);
    for (password, why) in [
        ("", "shorter than 8 characters"),
        ("1", "shorter than 8 characters"),
        ("sieben7", "shorter than 8 characters"),
        ("ääääää7", "shorter than 8 characters"),
        ("11111111", "one character over and over"),
        (&long, "longer than 1024 bytes"),
    ] {
        let kim = scene.vault.put_account(NewAccount { password, ..new("kim", 3) });
        assert!(kim.unwrap_err().to_string().contains(why), "{password}");
        let changed = scene.vault.set_password(lee.person, password);
        assert!(changed.unwrap_err().to_string().contains(why), "{password}");
    }
    assert_eq!(scene.vault.accounts().len(), 1);
    scene.vault.put_account(NewAccount { password: "achtmal8", ..new("kim", 3) }).unwrap();
}

#[test]
fn a_signature_verifies_and_its_s_is_low() {
    let scene = Scene::new();
    let lee = scene.vault.put_account(new("lee", 1)).unwrap();
    let point = [&[4], lee.public_key.as_slice()].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
    for number in 0..32 {
        let digest = sha256(&[&[number]]);
        let signature = Signature::from_slice(&scene.vault.sign_as(lee.person, &digest).unwrap()).unwrap();
        key.verify_prehash(&digest, &signature).unwrap();
        assert_eq!(signature.normalize_s(), signature);
    }
    let nobody = scene.vault.sign_as(PersonId([7; 32]), &[0; 32]);
    assert!(matches!(nobody, Err(VaultError::NoSigner)));
}

#[test]
fn a_patient_and_a_person_stay_joined() {
    let scene = Scene::new();
    scene.vault.put_patient(scene.amira).unwrap();
    let other = PersonId([1; 32]);
    let taken = |patient| matches!(scene.vault.put_patient(patient), Err(VaultError::PatientTaken));
    assert!(taken(Patient { person: other, ..scene.amira }));
    assert!(taken(Patient { id: PatientId([1; 16]), ..scene.amira }));
    assert_eq!(scene.vault.patient_of(scene.amira.person), Some(scene.amira));
    assert_eq!(scene.vault.patient_of(other), None);
}

#[test]
fn terms_once_kept_are_never_replaced() {
    let scene = Scene::new();
    let mut record = scene.vault.terms(scene.grant).unwrap();
    scene.vault.put_terms(record.clone()).unwrap();
    record.terms.classes.push(Class::Access);
    assert!(matches!(scene.vault.put_terms(record), Err(VaultError::Unfit(_))));
}
