use super::*;

pub(super) fn open(folder: &Path, passphrase: &str) -> Result<Vault, VaultError> {
    Vault::open(folder, passphrase, entropy(2))
}

#[test]
fn a_vault_opens_with_its_passphrase_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = new_vault(folder.path(), 1);
    let keys = (made.record_key(), *made.sender_key().expose(), *made.validator_seed().expose());
    let genesis = made.genesis().unwrap();
    assert!(matches!(open(folder.path(), PASSPHRASE), Err(VaultError::Locked)));
    drop(made);
    assert!(matches!(open(folder.path(), "correct horse"), Err(VaultError::WrongPassphrase)));
    let opened = open(folder.path(), PASSPHRASE).unwrap();
    assert_eq!((opened.record_key(), *opened.sender_key().expose(), *opened.validator_seed().expose()), keys);
    assert_eq!((opened.genesis().unwrap(), opened.genesis_document().unwrap()), (genesis, DOCUMENT.to_vec()));
}

#[test]
fn empty_folder_has_no_vault_and_a_vault_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path(), PASSPHRASE), Err(VaultError::Missing)));
    drop(new_vault(folder.path(), 1));
    let again = Vault::create(folder.path(), PASSPHRASE, Costs::TEST_ONLY, entropy(3));
    assert!(matches!(again, Err(VaultError::Exists)));
    assert!(matches!(
        Vault::create(&folder.path().join("other"), "", Costs::TEST_ONLY, entropy(3)),
        Err(VaultError::Unfit(_))
    ));
}

#[test]
fn a_vault_is_bound_to_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::create(folder.path(), PASSPHRASE, Costs::TEST_ONLY, entropy(1)).unwrap();
    assert!(matches!(vault.genesis(), Err(VaultError::NoGenesis)));
    let genesis = vault.put_genesis_document(DOCUMENT).unwrap();
    assert_eq!(vault.put_genesis_document(DOCUMENT).unwrap(), genesis);
    assert!(matches!(vault.put_genesis_document(b"another"), Err(VaultError::OtherGenesis)));
}

#[test]
fn everything_is_there_after_a_restart() {
    let scene = Scene::new();
    let new = NewAccount {
        login: "amira",
        name: "Amira N.",
        role: Role::Patient,
        person: scene.amira.person,
        password: "a pass word",
        made: MADE,
    };
    let account = scene.vault.put_account(new).unwrap();
    let (stream, _) = Sensor::new(5).pair(&scene, Class::Vitals);
    let terms = scene.vault.terms_of(scene.amira.id);
    let digest = [3; 32];
    let signature = scene.vault.sign_as(scene.amira.person, &digest).unwrap();
    drop(scene.vault);
    let vault = open(&scene.folder.path().join("vault"), PASSPHRASE).unwrap();
    assert_eq!(vault.accounts(), std::slice::from_ref(&account));
    assert_eq!(vault.verify_password("amira", "a pass word").unwrap(), Some(account));
    assert_eq!(vault.patients(), [scene.amira]);
    assert_eq!(vault.streams_by(stream.author), [stream]);
    assert_eq!(vault.terms_to(scene.doctor), terms);
    assert_eq!(vault.sign_as(scene.amira.person, &digest).unwrap(), signature);
}

#[test]
fn a_damaged_row_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let vault = new_vault(folder.path(), 1);
    for number in 0..20 {
        let patient = Patient { id: PatientId([number; 16]), person: PersonId([number; 32]), since_ms: 1 };
        vault.put_patient(patient).unwrap();
    }
    drop(vault);
    let path = folder.path().join(VAULT_FILE);
    let whole = std::fs::read(&path).unwrap();
    // Sealed rows look like noise: change the middle of a stretch of it.
    let noise = |window: &[u8]| window.iter().collect::<std::collections::HashSet<_>>().len() > 40;
    let places: Vec<_> = (0..whole.len() - 48).step_by(48).filter(|at| noise(&whole[*at..at + 48])).collect();
    assert!(places.len() > 20, "rows are in the file");
    let mut found = 0;
    for at in &places {
        let mut changed = whole.clone();
        changed[at + 24] ^= 1;
        std::fs::write(&path, changed).unwrap();
        // Freed pages of the database hold old copies of rows: a change there is harmless.
        match open(folder.path(), PASSPHRASE) {
            Ok(vault) => assert_eq!(vault.patients().len(), 20),
            Err(_) => found += 1,
        }
    }
    assert!(found > 0);
}

#[test]
fn a_vault_file_changed_or_cut_anywhere_opens_whole_or_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let vault = new_vault(folder.path(), 1);
    vault.put_patient(Patient { id: PatientId([1; 16]), person: PersonId([1; 32]), since_ms: 1 }).unwrap();
    let (key, patients) = (vault.record_key(), vault.patients());
    drop(vault);
    let path = folder.path().join(VAULT_FILE);
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: String| {
        std::fs::write(&path, bytes).unwrap();
        match std::panic::catch_unwind(|| open(folder.path(), PASSPHRASE)) {
            Ok(Ok(vault)) => {
                assert_eq!((vault.record_key(), vault.patients()), (key, patients.clone()), "{what}")
            }
            Ok(Err(VaultError::WrongPassphrase)) => {}
            Ok(Err(why)) => assert!(why.to_string().contains("vault"), "{what}: {why}"),
            Err(_) => panic!("{what}: the database panicked"),
        }
    };
    for at in (0..320).chain((320..whole.len()).step_by(whole.len() / 150)) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        check(&changed, format!("byte {at}"));
    }
    for size in (0..whole.len()).step_by(whole.len() / 30) {
        check(&whole[..size], format!("cut to {size}"));
    }
}

#[test]
fn secrets_do_not_print() {
    let scene = Scene::new();
    let printed = format!("{:?} {:?} {:?}", scene.vault, scene.vault.record_key_seed(), scene.store);
    assert!(printed.contains("secret"));
    assert!(!printed.contains(&hex::encode(scene.vault.record_key_seed().expose())));
    assert!(!printed.contains(&format!("{:?}", scene.vault.record_key_seed().expose())));
}
