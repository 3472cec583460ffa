//! Who is not, or no longer, one of the house: suspended people, guessers, two founders at once.

use clinic::{Clinic, ClinicError, Denied, Origin, Scope, SignInRefused};
use core::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use testward::{Ward, denied};
use vitals::GrantId;
use vitals::alarm::Condition;
use vitals::ids::Class;
use vitals::ledger::{Purpose, RevokeReason, Role};

fn place(last: u8) -> Origin {
    Origin::of(IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)))
}

#[test]
fn of_two_who_found_an_organisation_at_once_one_is_too_late() {
    use testkit::MemoryLedger;
    use testward::{NOON_MS, entropy};
    use vault::{Costs, Store, Vault};
    let folder = tempfile::tempdir().unwrap();
    let vault =
        Vault::create(&folder.path().join("vault"), "correct horse", Costs::TEST_ONLY, entropy("vault"))
            .unwrap();
    let ledger = std::sync::Arc::new(MemoryLedger::founded_by(vault.record_key(), NOON_MS));
    let genesis = vault.put_genesis_document(&ledger.document.encode()).unwrap();
    let store = Store::create(&folder.path().join("record"), genesis).unwrap();
    let clinic = Clinic::open(vault.into(), store.into(), ledger, entropy("clinic"), NOON_MS).unwrap();
    const FOUNDERS: usize = 8;
    let ready = Barrier::new(FOUNDERS);
    let made = std::thread::scope(|scope| {
        let founders: Vec<_> = (0..FOUNDERS)
            .map(|n| {
                let (clinic, ready) = (&clinic, &ready);
                scope.spawn(move || {
                    ready.wait();
                    clinic.first_administrator(
                        &format!("admin-{n}"),
                        "Administrator",
                        "a secret word",
                        NOON_MS,
                    )
                })
            })
            .collect();
        founders.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!(clinic.vault().accounts().len(), 1, "one administrator, whoever it is");
    let late = made.into_iter().filter_map(Result::err);
    assert!(late.into_iter().all(|why| matches!(why, ClinicError::Wrong(_))));
}

#[test]
fn a_suspended_patient_exports_nothing_and_may_still_withdraw() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.anchor();
    let own = ward.as_("amira");
    let export = |ward: &Ward| {
        let mut left = 0;
        let mut sink = |bytes: &[u8]| {
            left += bytes.len();
            Ok(())
        };
        let done = ward.clinic.export(&own, Scope::Patient(amira), ward.now_ms, &mut sink);
        (done, left)
    };
    assert!(export(&ward).0.is_ok());
    ward.ledger.suspend(own.person, ward.now_ms);
    let (done, left) = export(&ward);
    assert_eq!((denied(done), left), (Denied::NotEnrolled, 0));
    assert!(ward.clinic.revoke_grant(&own, grant, ward.now_ms).is_ok(), "a withdrawal is always heard");
}

#[test]
fn an_export_ends_when_its_reader_is_suspended_or_signs_out_midway() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let beats: Vec<_> = (0..600).map(|n| gateway.sensors[0].pulse(700, ward.now_ms + n)).collect();
    ward.carry(gateway.id(), &beats);
    ward.anchor();
    let own = ward.as_("amira");
    let mut pieces = 0;
    let mut sink = |_: &[u8]| {
        pieces += 1;
        if pieces == 1 {
            ward.ledger.suspend(own.person, ward.now_ms);
        }
        Ok(())
    };
    let done = ward.clinic.export(&own, Scope::Patient(amira), ward.now_ms, &mut sink);
    assert_eq!(denied(done), Denied::NotEnrolled);
    assert_eq!(pieces, 1, "no envelope left");
}

#[test]
fn who_is_suspended_finds_every_exit_closed_and_open_streams_end() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    ward.person("ada", Role::Auditor);
    ward.block();
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals, Class::Alarms]);
    ward.anchor();
    let now_ms = ward.now_ms;
    let (lee, ada, own, admin) = (ward.as_("lee"), ward.as_("ada"), ward.as_("amira"), ward.admin.clone());
    let clinic = &ward.clinic;
    assert!(clinic.proof_page(&ada, 0, now_ms).is_ok() && clinic.proof_page(&admin, 0, now_ms).is_ok());
    let mut streams = [
        clinic.follow_wall(&lee, now_ms).unwrap(),
        clinic.follow_patient(&lee, amira, Purpose::Treatment, now_ms).unwrap(),
        clinic.follow_patient(&own, amira, Purpose::Own, now_ms).unwrap(),
    ];
    for session in [&lee, &ada, &own, &admin] {
        ward.ledger.suspend(session.person, now_ms);
    }
    // Decided again when the ledger moves or a second has passed, whichever is first.
    for stream in &mut streams {
        assert_eq!(stream.check(now_ms + 1_000), Err(Denied::NotEnrolled));
    }
    let before = clinic.store().size();
    let gone = |result: Result<(), ClinicError>| assert_eq!(denied(result), Denied::NotEnrolled);
    gone(clinic.wall(&lee, now_ms).map(drop));
    gone(clinic.follow_wall(&lee, now_ms).map(drop));
    gone(clinic.follow_patient(&lee, amira, Purpose::Treatment, now_ms).map(drop));
    gone(clinic.own_page(&own, now_ms).map(drop));
    gone(clinic.access_log(&own, now_ms).map(drop));
    gone(clinic.colleagues(&own, now_ms).map(drop));
    gone(clinic.own_chart(&own, &[Class::Vitals], (now_ms - 1000, now_ms), now_ms).map(drop));
    gone(clinic.acknowledge(&lee, amira, Condition::Stale, now_ms).map(drop));
    for session in [&lee, &ada, &own, &admin] {
        gone(clinic.proof_page(session, 0, now_ms).map(drop));
    }
    gone(clinic.admin_page(&admin, now_ms).map(drop));
    gone(clinic.pair(&admin, &[], &[], now_ms).map(drop));
    gone(clinic.revoke_device(&admin, gateway.id(), RevokeReason::Stolen, None, now_ms).map(drop));
    let mut nothing = |_: &[u8]| panic!("nothing may leave");
    gone(clinic.export(&admin, Scope::Everything, now_ms, &mut nothing).map(drop));
    gone(clinic.export(&admin, Scope::Patient(amira), now_ms, &mut nothing).map(drop));
    assert_eq!(clinic.store().size(), before, "and nothing was written for it");
}

#[test]
fn a_wall_that_shows_nobody_closes_for_the_suspended_too() {
    let (ward, []) = Ward::with([]);
    let lee = ward.as_("lee");
    let mut wall = ward.clinic.follow_wall(&lee, ward.now_ms).unwrap();
    assert!(wall.check(ward.now_ms + 1_000).is_ok());
    ward.ledger.suspend(lee.person, ward.now_ms);
    assert_eq!(wall.check(ward.now_ms + 2_000), Err(Denied::NotEnrolled));
}

#[test]
fn a_stranger_who_guesses_locks_nobody_out() {
    let (ward, []) = Ward::with([]);
    let guess =
        |from, login: &str| ward.clinic.sign_in_from(from, login, "guess", ward.now_ms).err().unwrap();
    let mut said = Vec::new();
    for _ in 0..10 {
        said.push((guess(place(66), "lee"), guess(place(67), "nobody")));
    }
    assert!(said.iter().all(|(known, unknown)| known == unknown), "a login that exists is not told apart");
    assert!(matches!(said[9].0, SignInRefused::Wait { .. }));
    assert!(ward.clinic.sign_in_from(place(66), "lee", "a secret word", ward.now_ms).is_err(), "waits there");
    assert!(
        ward.clinic.sign_in_from(place(1), "lee", "a secret word", ward.now_ms).is_ok(),
        "and nowhere else"
    );
}

#[test]
fn ids_of_others_change_nothing() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let (size, submitted) = (ward.clinic.store().size(), ward.ledger.submitted());
    let bruno_s = ward.as_("bruno");
    for id in [grant, GrantId([0; 32]), GrantId([0xff; 32])] {
        assert_eq!(
            denied(ward.clinic.revoke_grant(&bruno_s, id, ward.now_ms)),
            Denied::NoSuchPatient,
            "somebody else's consent and none at all are one no"
        );
    }
    let mut nothing = |_: &[u8]| panic!("nothing may leave");
    let theirs = ward.clinic.export(&bruno_s, Scope::Patient(amira), ward.now_ms, &mut nothing);
    assert_eq!(denied(theirs), Denied::NoSuchPatient);
    assert!(ward.clinic.acknowledge(&ward.as_("lee"), bruno, Condition::Stale, ward.now_ms).is_err());
    assert_eq!((ward.clinic.store().size(), ward.ledger.submitted()), (size, submitted));
}

#[test]
fn a_refused_look_at_another_record_stands_in_nobody_s_access_log() {
    let (ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let before = ward.clinic.store().size();
    let looked = ward.clinic.follow_patient(&ward.as_("bruno"), amira, Purpose::Own, ward.now_ms);
    assert_eq!(denied(looked), Denied::NoSuchPatient);
    assert_eq!(ward.clinic.store().size(), before);
    assert!(ward.clinic.follow_patient(&ward.as_("bruno"), bruno, Purpose::Own, ward.now_ms).is_ok());
}
