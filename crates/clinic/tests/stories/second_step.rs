//! Authenticator app and recovery codes: set up, asked for, guessed at, lost.

use clinic::{
    APP_SET_UP_MS, AccountEvent, ClinicError, FRESH_MS, Origin, SECOND_STEP_MS, SecondProof, Session,
    SignInRefused, SignInStep, Token, TotpKey,
};
use core::net::{IpAddr, Ipv4Addr};
use testward::Ward;
use vitals::ledger::Role;

const PASSWORD: &str = "a secret word";
const STEP_MS: u64 = 30_000;

fn place(last: u8) -> Origin {
    Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

/// Dr Lee sets an app up. The session that did it, the app's key, and the recovery codes.
fn with_app(ward: &mut Ward) -> (Session, TotpKey, Vec<String>) {
    ward.person("lee", Role::Clinician);
    ward.block();
    let (_, lee) = ward.clinic.sign_in("lee", PASSWORD, ward.now_ms).unwrap();
    let key = ward.clinic.begin_app(&lee, ward.now_ms).unwrap().key;
    let codes = ward.clinic.confirm_app(&lee, &key.code_at(ward.now_ms), ward.now_ms).unwrap();
    let codes = codes.each().map(ToString::to_string).collect();
    ward.pass(STEP_MS);
    (lee, key, codes)
}

/// The password is typed, and a code asked for.
fn first_step(ward: &Ward) -> Token {
    match ward.clinic.begin_sign_in(place(1), "lee", PASSWORD, ward.now_ms).unwrap() {
        SignInStep::Code(token) => token,
        SignInStep::Done(..) => panic!("no code was asked for"),
    }
}

fn complete(
    ward: &Ward,
    from: Origin,
    token: &Token,
    proof: SecondProof<'_>,
) -> Result<(Token, Session), SignInRefused> {
    ward.clinic.complete_sign_in(from, token.expose(), proof, ward.now_ms)
}

fn history(ward: &Ward, session: &Session) -> Vec<AccountEvent> {
    let own = ward.clinic.own_account(session, ward.now_ms).unwrap();
    own.history.into_iter().map(|one| one.event).collect()
}

#[test]
fn once_an_app_is_set_up_the_password_alone_signs_nobody_in() {
    let mut ward = Ward::new();
    let (lee, key, codes) = with_app(&mut ward);
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 19 && code.split('-').count() == 4), "{codes:?}");
    assert_eq!(
        ward.clinic.sign_in("lee", PASSWORD, ward.now_ms).unwrap_err(),
        SignInRefused::CodeNeeded,
        "the operator's door asks for it too"
    );
    let token = first_step(&ward);
    assert!(ward.clinic.session(token.expose(), ward.now_ms).is_err(), "no session yet");
    let code = key.code_at(ward.now_ms);
    let (_, session) = complete(&ward, place(1), &token, SecondProof::AppCode(&code)).unwrap();
    assert_eq!(session.person, lee.person);
    assert!(ward.clinic.wall(&session, ward.now_ms).is_ok());
    let again = complete(&ward, place(1), &token, SecondProof::AppCode(&code));
    assert_eq!(again.unwrap_err(), SignInRefused::StepEnded, "a step is completed once");
}

#[test]
fn a_key_is_in_force_only_after_a_code_of_it() {
    let mut ward = Ward::new();
    ward.person("lee", Role::Clinician);
    ward.block();
    let (_, lee) = ward.clinic.sign_in("lee", PASSWORD, ward.now_ms).unwrap();
    assert!(
        matches!(ward.clinic.confirm_app(&lee, "000000", ward.now_ms), Err(ClinicError::Stale)),
        "none begun"
    );
    let begun = ward.clinic.begin_app(&lee, ward.now_ms).unwrap();
    assert_eq!(ward.clinic.begin_app(&lee, ward.now_ms).unwrap(), begun, "a page loaded again");
    let wrong = ward.clinic.confirm_app(&lee, &begun.key.code_at(ward.now_ms + 10 * STEP_MS), ward.now_ms);
    assert!(matches!(wrong, Err(ClinicError::Field { field: "code", .. })));
    assert!(ward.clinic.sign_in("lee", PASSWORD, ward.now_ms).is_ok(), "not in force");
    ward.now_ms += APP_SET_UP_MS;
    let (_, lee) = ward.clinic.sign_in("lee", PASSWORD, ward.now_ms).unwrap();
    let late = ward.clinic.confirm_app(&lee, &begun.key.code_at(ward.now_ms), ward.now_ms);
    assert!(matches!(late, Err(ClinicError::Stale)), "another session's key, and too old");
}

#[test]
fn a_code_seen_over_the_shoulder_signs_nobody_in_a_second_time() {
    let mut ward = Ward::new();
    let (_, key, _) = with_app(&mut ward);
    let code = key.code_at(ward.now_ms);
    let (mine, theirs) = (first_step(&ward), first_step(&ward));
    assert!(complete(&ward, place(1), &mine, SecondProof::AppCode(&code)).is_ok());
    let replayed = complete(&ward, place(9), &theirs, SecondProof::AppCode(&code));
    assert_eq!(replayed.unwrap_err(), SignInRefused::CodeWrong);
}

#[test]
fn guessing_at_codes_waits_wherever_it_comes_from_and_keeps_nobody_from_a_recovery_code() {
    let mut ward = Ward::new();
    let (_, key, codes) = with_app(&mut ward);
    let (mut wrong, mut waits, mut from) = (0, 0, 0);
    // Fifty places, each with the right password.
    while from < 50 {
        from += 1;
        let SignInStep::Code(token) =
            ward.clinic.begin_sign_in(place(from), "lee", PASSWORD, ward.now_ms).unwrap()
        else {
            panic!("no code was asked for")
        };
        for guess in ["000000", "111111", "222222"] {
            match complete(&ward, place(from), &token, SecondProof::AppCode(guess)).unwrap_err() {
                SignInRefused::CodeWrong => wrong += 1,
                SignInRefused::Wait { .. } => waits += 1,
                why => panic!("{why}"),
            }
        }
    }
    assert_eq!((wrong, waits), (5, 145), "five guesses in all, then everybody waits");
    let token = first_step(&ward);
    let right = key.code_at(ward.now_ms);
    let kept_out = complete(&ward, place(1), &token, SecondProof::AppCode(&right)).unwrap_err();
    assert!(matches!(kept_out, SignInRefused::Wait { .. }), "{kept_out}");
    assert!(complete(&ward, place(99), &token, SecondProof::RecoveryCode(&codes[0])).is_ok());
    ward.now_ms += 2 * STEP_MS;
    let token = first_step(&ward);
    let right = key.code_at(ward.now_ms);
    assert!(complete(&ward, place(1), &token, SecondProof::AppCode(&right)).is_ok(), "after the wait");
}

#[test]
fn five_wrong_codes_or_five_minutes_end_the_step() {
    let mut ward = Ward::new();
    let (_, key, _) = with_app(&mut ward);
    let token = first_step(&ward);
    for _ in 0..5 {
        let wrong = complete(&ward, place(1), &token, SecondProof::RecoveryCode("0000"));
        assert_eq!(wrong.unwrap_err(), SignInRefused::CodeWrong);
    }
    let code = key.code_at(ward.now_ms);
    let ended = complete(&ward, place(2), &token, SecondProof::AppCode(&code));
    assert_eq!(ended.unwrap_err(), SignInRefused::StepEnded);
    let token = first_step(&ward);
    ward.now_ms += SECOND_STEP_MS;
    let code = key.code_at(ward.now_ms);
    let late = complete(&ward, place(1), &token, SecondProof::AppCode(&code));
    assert_eq!(late.unwrap_err(), SignInRefused::StepEnded);
}

#[test]
fn a_recovery_code_works_once_however_it_is_typed_and_the_history_says_so() {
    let mut ward = Ward::new();
    let (_, _, codes) = with_app(&mut ward);
    let typed = codes[3].to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
    let token = first_step(&ward);
    let (_, session) = complete(&ward, place(1), &token, SecondProof::RecoveryCode(&typed)).unwrap();
    assert_eq!(history(&ward, &session)[0], AccountEvent::RecoveryCodeUsed);
    let token = first_step(&ward);
    let again = complete(&ward, place(1), &token, SecondProof::RecoveryCode(&codes[3]));
    assert_eq!(again.unwrap_err(), SignInRefused::CodeWrong);
    let fresh = ward.clinic.renew_recovery_codes(&session, ward.now_ms).unwrap();
    let fresh: Vec<&str> = fresh.each().collect();
    let token = first_step(&ward);
    let old = complete(&ward, place(1), &token, SecondProof::RecoveryCode(&codes[4]));
    assert_eq!(old.unwrap_err(), SignInRefused::CodeWrong, "new ones ended it");
    assert!(complete(&ward, place(1), &token, SecondProof::RecoveryCode(fresh[9])).is_ok());
}

#[test]
fn a_factor_is_changed_by_somebody_who_proved_who_they_are_within_five_minutes() {
    let mut ward = Ward::new();
    let (lee, _, _) = with_app(&mut ward);
    ward.now_ms += FRESH_MS;
    let not_fresh = |answer: Result<(), ClinicError>| matches!(answer, Err(ClinicError::NotFresh));
    let clinic = ward.clinic.clone();
    let now_ms = ward.now_ms;
    assert!(not_fresh(clinic.begin_app(&lee, now_ms).map(drop)));
    assert!(not_fresh(clinic.confirm_app(&lee, "000000", now_ms).map(drop)));
    assert!(not_fresh(clinic.remove_app(&lee, now_ms)));
    assert!(not_fresh(clinic.renew_recovery_codes(&lee, now_ms).map(drop)));
    assert!(not_fresh(clinic.change_password(&lee, "another word", now_ms)));
    let wrong = clinic.confirm_by_password(place(1), &lee, "a guess", now_ms);
    assert_eq!(wrong, Err(SignInRefused::Wrong));
    assert!(not_fresh(clinic.remove_app(&lee, now_ms)), "a wrong password confirms nothing");
    clinic.confirm_by_password(place(1), &lee, PASSWORD, now_ms).unwrap();
    clinic.remove_app(&lee, now_ms).unwrap();
    assert_eq!(history(&ward, &lee)[0], AccountEvent::AppRemoved);
    assert!(clinic.sign_in("lee", PASSWORD, now_ms).is_ok(), "no code is asked for any more");
    assert!(matches!(clinic.remove_app(&lee, now_ms), Err(ClinicError::Stale)));
}

#[test]
fn confirming_waits_like_a_sign_in_that_is_guessed_at() {
    let mut ward = Ward::new();
    let (lee, _, _) = with_app(&mut ward);
    let tries = (0..8).map(|_| ward.clinic.confirm_by_password(place(1), &lee, "a guess", ward.now_ms));
    let waits = tries.filter(|one| matches!(one, Err(SignInRefused::Wait { .. }))).count();
    assert_eq!(waits, 3);
}

#[test]
fn changing_a_password_or_a_factor_ends_every_other_session_and_every_step_but_the_own_stays() {
    let mut ward = Ward::new();
    let (lee, key, _) = with_app(&mut ward);
    let code_session = |ward: &mut Ward| {
        ward.pass(STEP_MS);
        let token = first_step(ward);
        let code = key.code_at(ward.now_ms);
        complete(ward, place(1), &token, SecondProof::AppCode(&code)).unwrap().0
    };
    type Change = fn(&Ward, &Session);
    let changes: [Change; 3] = [
        |ward, lee| drop(ward.clinic.renew_recovery_codes(lee, ward.now_ms).unwrap()),
        |ward, lee| ward.clinic.change_password(lee, PASSWORD, ward.now_ms).unwrap(),
        |ward, lee| ward.clinic.remove_app(lee, ward.now_ms).unwrap(),
    ];
    for change in changes {
        let other = code_session(&mut ward);
        let step = first_step(&ward);
        assert!(ward.clinic.session(other.expose(), ward.now_ms).is_ok());
        assert!(ward.clinic.waits_for_code(step.expose(), ward.now_ms));
        change(&ward, &lee);
        assert!(ward.clinic.session(other.expose(), ward.now_ms).is_err());
        assert!(!ward.clinic.waits_for_code(step.expose(), ward.now_ms));
        assert_eq!(ward.clinic.own_account(&lee, ward.now_ms).unwrap().other_sessions, 0);
    }
}

#[test]
fn a_suspended_account_is_told_only_after_its_code_and_a_reset_by_link_removes_the_app() {
    let mut ward = Ward::new();
    let (lee, key, codes) = with_app(&mut ward);
    let seen = |ward: &Ward| ward.clinic.person_page(&ward.admin, lee.person, ward.now_ms).unwrap().seen;
    ward.clinic.suspend(&ward.admin, lee.person, seen(&ward), "on leave", ward.now_ms).unwrap();
    let token = first_step(&ward);
    let wrong = complete(&ward, place(1), &token, SecondProof::AppCode("000000"));
    assert_eq!(wrong.unwrap_err(), SignInRefused::CodeWrong);
    let code = key.code_at(ward.now_ms);
    let right = complete(&ward, place(1), &token, SecondProof::AppCode(&code));
    assert_eq!(right.unwrap_err(), SignInRefused::Suspended);
    ward.clinic.reinstate(&ward.admin, lee.person, seen(&ward), "is back", ward.now_ms).unwrap();
    let step = first_step(&ward);
    let link = ward.clinic.offer_password(&ward.admin, lee.person, seen(&ward), ward.now_ms).unwrap();
    let (_, session) =
        ward.clinic.set_password_by_link(Origin::HERE, link.expose(), "another word", ward.now_ms).unwrap();
    assert!(!ward.clinic.waits_for_code(step.expose(), ward.now_ms), "begun with the old password");
    assert_eq!(history(&ward, &session)[0], AccountEvent::FactorsReset);
    assert!(ward.clinic.sign_in("lee", "another word", ward.now_ms).is_ok(), "no code is asked for");
    assert_eq!(codes.len(), 10);
}
