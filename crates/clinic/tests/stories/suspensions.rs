//! Suspending and reinstating people, links to new passwords, ending sessions.

use clinic::{
    AccountEvent, ChartRequest, ClinicError, Denied, GrantRefusal, GrantRequest, LinkRefused, Origin,
    PASSWORD_LINK_MS, Scope, SignInRefused,
};
use testward::{Ward, denied};
use vitals::PersonId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

fn seen(ward: &Ward, person: PersonId) -> u64 {
    ward.clinic.person_page(&ward.admin, person, ward.now_ms).unwrap().seen
}

fn suspend(ward: &Ward, person: PersonId) {
    ward.clinic.suspend(&ward.admin, person, seen(ward, person), "left the hospital", ward.now_ms).unwrap();
}

fn reinstate(ward: &Ward, person: PersonId) {
    ward.clinic.reinstate(&ward.admin, person, seen(ward, person), "came back", ward.now_ms).unwrap();
}

#[test]
fn who_is_suspended_here_loses_sessions_and_streams_at_once_and_cannot_sign_in() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let (clinic, now_ms) = (ward.clinic.clone(), ward.now_ms);
    let (lee, own) = (ward.as_("lee"), ward.as_("amira"));
    let (token, _) = clinic.sign_in("lee", "a secret word", now_ms).unwrap();
    let mut streams = [
        clinic.follow_wall(&lee, now_ms).unwrap(),
        clinic.follow_patient(&lee, amira, Purpose::Treatment, now_ms).unwrap(),
    ];
    let mut others = clinic.follow_patient(&own, amira, Purpose::Own, now_ms).unwrap();
    suspend(&ward, lee.person);
    ward.beat(&mut gateway, 0, 730);
    for stream in &mut streams {
        assert_eq!(stream.take(now_ms).unwrap_err(), Denied::SignedOut, "not a moment later");
    }
    assert!(others.take(now_ms).is_ok(), "nobody else's");
    let out = |result: Result<(), ClinicError>| assert_eq!(denied(result), Denied::SignedOut);
    out(clinic.wall(&lee, now_ms).map(drop));
    out(clinic.follow_wall(&lee, now_ms).map(drop));
    assert!(clinic.session(token.expose(), now_ms).is_err(), "every session of theirs");
    let again = |password| clinic.sign_in("lee", password, now_ms).map(drop).unwrap_err();
    assert_eq!(again("a secret word"), SignInRefused::Suspended);
    assert!(again("a secret word").to_string().contains("ask an administrator"));
    assert_eq!(again("a guess"), SignInRefused::Wrong, "who guesses learns nothing");
    reinstate(&ward, lee.person);
    assert!(clinic.sign_in("lee", "a secret word", now_ms).is_ok());
}

#[test]
fn consents_to_somebody_suspended_stay_and_open_again_afterwards() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    let lee = ward.as_("lee").person;
    suspend(&ward, lee);
    let colleagues = ward.clinic.colleagues(&ward.as_("amira"), ward.now_ms).unwrap();
    assert!(
        colleagues.iter().all(|(person, ..)| *person != lee),
        "nobody is offered for a consent meanwhile"
    );
    let request = GrantRequest {
        grantee: lee,
        purpose: Purpose::Treatment,
        classes: vec![Class::Alarms],
        from_ms: ward.now_ms,
        until_ms: ward.now_ms + 3_600_000,
    };
    let given = ward.clinic.grant(&ward.as_("amira"), &request, ward.now_ms);
    assert!(matches!(given, Err(ClinicError::Grant(GrantRefusal::SuspendedGrantee))), "{given:?}");
    reinstate(&ward, lee);
    let ask = ChartRequest {
        patient: amira,
        classes: vec![Class::Vitals],
        purpose: Purpose::Treatment,
        span_ms: (ward.now_ms - 60_000, ward.now_ms),
        make_do: false,
    };
    let session = ward.now_as("lee");
    assert_eq!(ward.clinic.open_chart(&session, &ask, ward.now_ms).unwrap().grant, grant);
}

#[test]
fn a_suspended_patient_is_watched_all_the_same() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 2);
    suspend(&ward, ward.as_("amira").person);
    assert_eq!(
        ward.clinic.sign_in("amira", "a secret word", ward.now_ms).map(drop).unwrap_err(),
        SignInRefused::Suspended
    );
    ward.beats(&mut gateway, 1400, 15);
    let wall = ward.wall_now();
    assert_eq!((wall.tiles.len(), wall.unwatched.len()), (1, 0));
    assert!(!wall.tiles[0].alarms.is_empty(), "and rings");
}

#[test]
fn an_export_ends_when_its_reader_is_suspended_at_this_node_midway() {
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
            suspend(&ward, own.person);
        }
        Ok(())
    };
    let done = ward.clinic.export(&own, Scope::Patient(amira), ward.now_ms, &mut sink);
    assert_eq!(denied(done), Denied::SignedOut);
    assert_eq!(pieces, 1, "no envelope left");
}

#[test]
fn nobody_suspends_oneself_and_nobody_but_an_administrator_suspends() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.person("orin", Role::Auditor);
    ward.person("second", Role::Administrator);
    ward.block();
    let (clinic, now_ms) = (ward.clinic.clone(), ward.now_ms);
    let lee = ward.as_("lee").person;
    for name in ["amira", "lee", "orin"] {
        let session = ward.as_(name);
        let wanted = Denied::Role { role: session.role };
        assert_eq!(denied(clinic.suspend(&session, lee, 1, "why", now_ms)), wanted);
        assert_eq!(denied(clinic.reinstate(&session, lee, 1, "why", now_ms)), wanted);
        assert_eq!(denied(clinic.offer_password(&session, lee, 1, now_ms)), wanted);
        assert_eq!(denied(clinic.end_sessions(&session, lee, None, now_ms)), wanted);
    }
    let own = ward.admin.person;
    match clinic.suspend(&ward.admin, own, seen(&ward, own), "by accident", now_ms) {
        Err(ClinicError::Wrong(why)) => assert!(why.contains("yourself"), "{why}"),
        other => panic!("{other:?}"),
    }
    let second = ward.as_("second");
    clinic.suspend(&second, own, seen(&ward, own), "on leave", now_ms).unwrap();
    assert_eq!(denied(clinic.people(&ward.admin, now_ms)), Denied::SignedOut, "their pages close too");
    assert!(clinic.people(&second, now_ms).is_ok());
}

#[test]
fn a_change_needs_a_reason_and_a_page_that_is_not_old() {
    let (ward, [_]) = Ward::with(["amira"]);
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    let lee = ward.as_("lee").person;
    let now = seen(&ward, lee);
    for reason in ["", "   ", &"x".repeat(257)] {
        let refused = clinic.suspend(&ward.admin, lee, now, reason, now_ms);
        assert!(matches!(refused, Err(ClinicError::Field { field: "reason", .. })), "{refused:?}");
    }
    for old in [now - 1, now + 1] {
        let refused = clinic.suspend(&ward.admin, lee, old, "left", now_ms);
        assert!(matches!(refused, Err(ClinicError::Stale)), "{refused:?}");
    }
    let nobody = PersonId([7; 32]);
    assert_eq!(denied(clinic.suspend(&ward.admin, nobody, 0, "left", now_ms)), Denied::NoSuchAccount);
    assert_eq!(denied(clinic.end_sessions(&ward.admin, nobody, None, now_ms)), Denied::NoSuchAccount);
    suspend(&ward, lee);
    let twice = clinic.suspend(&ward.admin, lee, now, "left", now_ms);
    assert!(matches!(twice, Err(ClinicError::Stale)), "a form sent twice");
}

#[test]
fn a_link_to_a_new_password_is_used_once_and_ends_what_the_old_one_opened() {
    let (ward, [_]) = Ward::with(["amira"]);
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    let lee = ward.as_("lee");
    let (old, _) = clinic.sign_in("lee", "a secret word", now_ms).unwrap();
    let secret = clinic.offer_password(&ward.admin, lee.person, seen(&ward, lee.person), now_ms).unwrap();
    let secret = secret.expose();
    assert!(clinic.sign_in("lee", "a secret word", now_ms).is_ok(), "the old one holds until then");
    let dead = |secret: &str, at_ms| {
        clinic.open_password_link(Origin::HERE, secret, at_ms) == Err(LinkRefused::Dead)
            && clinic.set_password_by_link(Origin::HERE, secret, "a new password", at_ms).map(drop)
                == Err(LinkRefused::Dead)
    };
    assert!(dead(&"0".repeat(64), now_ms) && dead(secret, now_ms + PASSWORD_LINK_MS));
    let found = clinic.open_password_link(Origin::HERE, secret, now_ms).unwrap();
    assert_eq!(found, ("lee".to_string(), now_ms + PASSWORD_LINK_MS));
    for password in ["short", &"x1".repeat(600)] {
        let refused = clinic.set_password_by_link(Origin::HERE, secret, password, now_ms).map(drop);
        assert!(matches!(refused, Err(LinkRefused::Field { field: "password", .. })), "{refused:?}");
    }
    assert!(clinic.session(old.expose(), now_ms).is_ok());
    let (new, session) = clinic.set_password_by_link(Origin::HERE, secret, "a new password", now_ms).unwrap();
    assert_eq!(session.person, lee.person);
    assert!(clinic.session(new.expose(), now_ms).is_ok());
    assert!(clinic.session(old.expose(), now_ms).is_err(), "signed out with the old password");
    assert_eq!(denied(clinic.wall(&lee, now_ms)), Denied::SignedOut);
    let old = clinic.sign_in("lee", "a secret word", now_ms).map(drop);
    assert_eq!(old, Err(SignInRefused::Wrong));
    assert!(clinic.sign_in("lee", "a new password", now_ms).is_ok());
    assert!(dead(secret, now_ms), "it is used");
    let again = clinic.offer_password(&ward.admin, lee.person, seen(&ward, lee.person), now_ms).unwrap();
    suspend(&ward, lee.person);
    assert!(dead(again.expose(), now_ms), "a suspension ends it");
}

#[test]
fn sessions_are_ended_one_by_one_or_all_and_it_stands_in_the_history() {
    let (ward, [_]) = Ward::with(["amira"]);
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    let lee = ward.as_("lee");
    let (other, second) = clinic.sign_in("lee", "a secret word", now_ms).unwrap();
    let end = |person, only| clinic.end_sessions(&ward.admin, person, only, now_ms).unwrap();
    assert_eq!(end(ward.as_("amira").person, Some(lee.id)), 0, "not a session of hers");
    assert_eq!(end(lee.person, Some(lee.id)), 1);
    assert_eq!(denied(clinic.wall(&lee, now_ms)), Denied::SignedOut);
    assert!(clinic.wall(&second, now_ms).is_ok() && clinic.session(other.expose(), now_ms).is_ok());
    assert_eq!((end(lee.person, None), end(lee.person, None)), (1, 0));
    assert!(clinic.session(other.expose(), now_ms).is_err());
    let page = clinic.person_page(&ward.admin, lee.person, now_ms).unwrap();
    let ended = page.history.iter().filter(|one| one.event == AccountEvent::SessionsEnded).count();
    assert_eq!((ended, page.sessions.len()), (2, 0));
    assert!(clinic.sign_in("lee", "a secret word", now_ms).is_ok(), "they sign in again");
}

/// Whoever has the old password signs in again and again; one sign-in is under way when the new password is set.
#[test]
fn no_session_of_the_old_password_outlives_the_new_one_however_the_two_meet() {
    let (ward, [_]) = Ward::with(["amira"]);
    let (clinic, now_ms) = (&ward.clinic, ward.now_ms);
    let lee = ward.as_("lee").person;
    let secret = clinic.offer_password(&ward.admin, lee, seen(&ward, lee), now_ms).unwrap();
    let started = std::sync::Barrier::new(2);
    let opened = std::thread::scope(|scope| {
        let thief = scope.spawn(|| {
            let mut opened = vec![clinic.sign_in("lee", "a secret word", now_ms).unwrap().0];
            started.wait();
            while let Ok((token, _)) = clinic.sign_in("lee", "a secret word", now_ms) {
                opened.push(token);
            }
            opened
        });
        started.wait();
        clinic.set_password_by_link(Origin::HERE, secret.expose(), "a new password", now_ms).unwrap();
        thief.join().unwrap()
    });
    let open = opened.iter().filter(|token| clinic.session(token.expose(), now_ms).is_ok()).count();
    assert_eq!((open, opened.is_empty()), (0, false));
}
