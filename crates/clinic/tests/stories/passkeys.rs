//! Passkeys: added, used to sign in, and every way to use one that is not right.

use clinic::{
    AccountEvent, CHALLENGE_MS, ClinicError, FRESH_MS, NewPasskey, Origin, PasskeyAnswer, PasskeyRequest,
    Session, SignInRefused, Token,
};
use core::net::{IpAddr, Ipv4Addr};
use testkit::authenticator::{Authenticator, Page, Said};
use testward::Ward;
use vitals::PersonId;
use vitals::ledger::Role;
use webauthn::{Assertion, RelyingParty};

const BROWSER: &str = "a browser";
const NAME: &str = "ward.example";

fn place(last: u8) -> Origin {
    Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

/// Another place each millisecond: wrong answers make nobody wait.
fn elsewhere(ward: &Ward) -> Origin {
    let [.., third, fourth] = ward.now_ms.to_be_bytes();
    Origin::of(IpAddr::V4(Ipv4Addr::new(10, 9, third, fourth)))
}

fn party() -> RelyingParty {
    RelyingParty::of(NAME, true).unwrap()
}

/// A ward with Dr Lee and Dr Kim.
fn ward() -> Ward {
    let mut ward = Ward::new();
    ward.person("lee", Role::Clinician);
    ward.person("kim", Role::Clinician);
    ward.block();
    ward
}

/// A challenge is of its millisecond.
fn try_to_add(
    ward: &mut Ward,
    session: &Session,
    authenticator: &Authenticator,
    page: &Page,
) -> Result<(), ClinicError> {
    ward.now_ms += 1;
    let (request, handle) = ward.clinic.begin_passkey(session, ward.now_ms).unwrap();
    assert_eq!(authenticator.handle, handle, "the handle of this account");
    let Said { client_data, authenticator_data, .. } = &authenticator.create(page, &request.challenge);
    let new = NewPasskey { issued_ms: request.issued_ms, name: "the phone", client_data, authenticator_data };
    ward.clinic.add_passkey(session, &party(), &new, ward.now_ms)
}

/// A passkey of somebody, added.
fn passkey(ward: &mut Ward, who: &str, seed: u8) -> Authenticator {
    let session = ward.as_(who);
    let handle = ward.clinic.vault().passkey_handle(session.person);
    let authenticator = Authenticator::new(seed, &handle);
    try_to_add(ward, &session, &authenticator, &Page::at(NAME)).unwrap();
    authenticator
}

fn asked(ward: &mut Ward) -> PasskeyRequest {
    ward.now_ms += 1;
    ward.clinic.passkey_sign_in_request(BROWSER, ward.now_ms)
}

/// What the browser posts.
struct Post {
    issued_ms: u64,
    id: Vec<u8>,
    handle: Vec<u8>,
    said: Said,
}

impl Post {
    fn new(request: PasskeyRequest, authenticator: &mut Authenticator, page: &Page) -> Self {
        let said = authenticator.get(page, &request.challenge);
        let (id, handle) = (authenticator.id.clone(), authenticator.handle.clone());
        Self { issued_ms: request.issued_ms, id, handle, said }
    }

    fn send_as(&self, ward: &Ward, browser: &str) -> Result<(Token, Session), SignInRefused> {
        ward.clinic.sign_in_by_passkey(elsewhere(ward), &party(), browser, &self.answer(), ward.now_ms)
    }

    fn send(&self, ward: &Ward) -> Result<(Token, Session), SignInRefused> {
        self.send_as(ward, BROWSER)
    }

    fn answer(&self) -> PasskeyAnswer<'_> {
        let Said { client_data, authenticator_data, signature } = &self.said;
        PasskeyAnswer {
            issued_ms: self.issued_ms,
            id: &self.id,
            handle: &self.handle,
            assertion: Assertion { client_data, authenticator_data, signature },
        }
    }
}

fn good(ward: &mut Ward, authenticator: &mut Authenticator) -> Post {
    Post::new(asked(ward), authenticator, &Page::at(NAME))
}

fn wrong<T: std::fmt::Debug>(answer: Result<T, SignInRefused>) {
    assert_eq!(answer.unwrap_err(), SignInRefused::PasskeyWrong);
}

fn last_event(ward: &Ward, person: PersonId) -> (AccountEvent, String) {
    let last = ward.clinic.vault().history_of(person, 1).unwrap().remove(0);
    (last.event, last.reason)
}

#[test]
fn two_passkeys_are_added_and_each_signs_its_person_in_without_a_login() {
    let mut ward = ward();
    let (mut phone, mut key) = (passkey(&mut ward, "lee", 1), passkey(&mut ward, "lee", 2));
    let lee = ward.as_("lee").person;
    assert_eq!(last_event(&ward, lee), (AccountEvent::PasskeyAdded, "the phone".into()));
    for authenticator in [&mut phone, &mut key] {
        let (token, session) = good(&mut ward, authenticator).send(&ward).unwrap();
        assert_eq!(session.person, lee);
        assert!(ward.clinic.session(token.expose(), ward.now_ms).is_ok());
        assert!(ward.clinic.wall(&session, ward.now_ms).is_ok());
    }
    ward.pass(1000);
    let own = ward.clinic.own_account(&ward.as_("lee"), ward.now_ms).unwrap();
    assert!(own.passkeys.iter().all(|one| one.used_ms.is_some() && one.rp_id == NAME));
}

#[test]
fn a_passkey_needs_no_code_of_an_app_for_it_is_two_factors_by_itself() {
    let mut ward = ward();
    let lee = ward.as_("lee");
    let key = ward.clinic.begin_app(&lee, ward.now_ms).unwrap().key;
    ward.clinic.confirm_app(&lee, &key.code_at(ward.now_ms), ward.now_ms).unwrap();
    let mut phone = passkey(&mut ward, "lee", 1);
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
}

#[test]
fn a_passkey_asked_for_by_another_origin_or_for_another_name_signs_nobody_in() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let ours = Page::at(NAME);
    for page in [
        Page { origin: "https://ward.example.evil".into(), ..ours.clone() },
        Page { origin: "http://ward.example".into(), ..ours.clone() },
        Page { rp_id: "evil.example".into(), ..ours.clone() },
        Page { cross_origin: true, ..ours.clone() },
        Page::at("evil.example"),
    ] {
        wrong(Post::new(asked(&mut ward), &mut phone, &page).send(&ward));
        let lee = ward.as_("lee");
        let other = Authenticator::new(9, &ward.clinic.vault().passkey_handle(lee.person));
        let added = try_to_add(&mut ward, &lee, &other, &page);
        assert!(matches!(added, Err(ClinicError::Field { field: "passkey", .. })), "{page:?}");
    }
    // The same site under its other name: a passkey belongs to the name it was made under.
    let post = Post::new(asked(&mut ward), &mut phone, &Page::at("other.example"));
    let other = RelyingParty::of("other.example", true).unwrap();
    let from = elsewhere(&ward);
    wrong(ward.clinic.sign_in_by_passkey(from, &other, BROWSER, &post.answer(), ward.now_ms));
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok(), "the passkey itself is still good");
}

#[test]
fn a_challenge_is_answered_once() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let post = good(&mut ward, &mut phone);
    assert!(post.send(&ward).is_ok());
    wrong(post.send(&ward));
    // Nor by a passkey that signs it once more.
    let request = PasskeyRequest {
        challenge: ward.clinic.passkey_sign_in_request(BROWSER, post.issued_ms).challenge,
        issued_ms: post.issued_ms,
    };
    wrong(Post::new(request, &mut phone, &Page::at(NAME)).send(&ward));
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok(), "the next one");
}

#[test]
fn a_challenge_of_another_browser_or_session_or_purpose_is_none() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    wrong(good(&mut ward, &mut phone).send_as(&ward, "another browser"));
    let (lee, kim) = (ward.as_("lee"), ward.as_("kim"));
    let confirm = ward.clinic.passkey_confirm_request(&lee, ward.now_ms);
    let post = Post::new(confirm, &mut phone, &Page::at(NAME));
    wrong(post.send(&ward));
    wrong(ward.clinic.confirm_by_passkey(place(1), &party(), &kim, &post.answer(), ward.now_ms));
    let sign_in = good(&mut ward, &mut phone);
    wrong(ward.clinic.confirm_by_passkey(place(1), &party(), &lee, &sign_in.answer(), ward.now_ms));
    // A passkey made for one session is none of another.
    let (request, _) = ward.clinic.begin_passkey(&lee, ward.now_ms).unwrap();
    let other = Authenticator::new(9, &ward.clinic.vault().passkey_handle(kim.person));
    let Said { client_data, authenticator_data, .. } = &other.create(&Page::at(NAME), &request.challenge);
    let new = NewPasskey { issued_ms: request.issued_ms, name: "x", client_data, authenticator_data };
    let added = ward.clinic.add_passkey(&kim, &party(), &new, ward.now_ms);
    assert!(matches!(added, Err(ClinicError::Field { field: "passkey", .. })));
}

#[test]
fn a_challenge_ends_after_five_minutes_and_none_is_of_the_future() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let post = good(&mut ward, &mut phone);
    ward.now_ms += CHALLENGE_MS;
    wrong(post.send(&ward));
    ward.now_ms -= CHALLENGE_MS + 1;
    wrong(post.send(&ward));
    ward.now_ms += 1;
    let mut later = good(&mut ward, &mut phone);
    later.issued_ms += 1;
    wrong(later.send(&ward));
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
    let lee = ward.as_("lee");
    let (request, handle) = ward.clinic.begin_passkey(&lee, ward.now_ms).unwrap();
    let Said { client_data, authenticator_data, .. } =
        &Authenticator::new(9, &handle).create(&Page::at(NAME), &request.challenge);
    ward.now_ms += CHALLENGE_MS;
    ward.clinic.confirm_by_password(place(1), &lee, "a secret word", ward.now_ms).unwrap();
    let new = NewPasskey { issued_ms: request.issued_ms, name: "x", client_data, authenticator_data };
    let late = ward.clinic.add_passkey(&lee, &party(), &new, ward.now_ms);
    assert!(matches!(late, Err(ClinicError::Field { field: "passkey", .. })));
}

#[test]
fn a_passkey_whose_user_was_not_verified_signs_nobody_in() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    phone.flags = 0b001;
    wrong(good(&mut ward, &mut phone).send(&ward));
    phone.flags = 0b100;
    wrong(good(&mut ward, &mut phone).send(&ward));
    phone.flags = 0b101;
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
}

#[test]
fn a_count_that_goes_back_is_refused_and_told_to_the_person() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let mut copy = phone.copied();
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
    let refused = good(&mut ward, &mut copy).send(&ward).unwrap_err();
    assert_eq!(refused, SignInRefused::PasskeyCopied);
    assert!(refused.to_string().contains("there may be a copy of it"), "{refused}");
    let lee = ward.as_("lee").person;
    assert_eq!(last_event(&ward, lee), (AccountEvent::PasskeyRefused, "the phone".into()));
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok(), "its own count goes on");
}

#[test]
fn a_passkey_of_a_suspended_account_signs_nobody_in_and_only_its_holder_is_told_why() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let lee = ward.as_("lee").person;
    let seen = |ward: &Ward| ward.clinic.person_page(&ward.admin, lee, ward.now_ms).unwrap().seen;
    ward.clinic.suspend(&ward.admin, lee, seen(&ward), "on leave", ward.now_ms).unwrap();
    assert_eq!(good(&mut ward, &mut phone).send(&ward).unwrap_err(), SignInRefused::Suspended);
    let mut forged = Authenticator::new(9, &phone.handle);
    forged.id = phone.id.clone();
    wrong(good(&mut ward, &mut forged).send(&ward));
    ward.clinic.reinstate(&ward.admin, lee, seen(&ward), "is back", ward.now_ms).unwrap();
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
}

#[test]
fn the_id_or_the_handle_of_somebody_else_s_passkey_helps_nobody() {
    let mut ward = ward();
    let (mut of_lee, of_kim) = (passkey(&mut ward, "lee", 1), passkey(&mut ward, "kim", 2));
    let mut post = good(&mut ward, &mut of_lee);
    post.id = of_kim.id.clone();
    wrong(post.send(&ward));
    let mut post = good(&mut ward, &mut of_lee);
    post.handle = of_kim.handle.clone();
    wrong(post.send(&ward));
    let mut post = good(&mut ward, &mut of_lee);
    post.handle.clear();
    wrong(post.send(&ward));
    let mut unknown = Authenticator::new(7, &of_kim.handle);
    wrong(good(&mut ward, &mut unknown).send(&ward));
    // Nobody registers a credential id that an account has.
    let kim = ward.as_("kim");
    let mut same = Authenticator::new(8, &of_kim.handle);
    same.id = of_lee.id.clone();
    let taken = try_to_add(&mut ward, &kim, &same, &Page::at(NAME));
    assert!(matches!(taken, Err(ClinicError::Field { field: "passkey", .. })), "{taken:?}");
    // Kim's passkey does not confirm that Lee sits there.
    let lee = ward.as_("lee");
    let mut of_kim = of_kim;
    let confirm = ward.clinic.passkey_confirm_request(&lee, ward.now_ms);
    let post = Post::new(confirm, &mut of_kim, &Page::at(NAME));
    wrong(ward.clinic.confirm_by_passkey(place(1), &party(), &lee, &post.answer(), ward.now_ms));
    assert!(good(&mut ward, &mut of_lee).send(&ward).is_ok());
}

#[test]
fn a_passkey_is_added_and_removed_only_by_a_fresh_session_of_its_own_account() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let (lee, kim) = (ward.as_("lee"), ward.as_("kim"));
    let id = ward.clinic.own_account(&lee, ward.now_ms).unwrap().passkeys[0].id;
    let denied = |answer: Result<(), ClinicError>| matches!(answer, Err(ClinicError::Denied(_)));
    assert!(denied(ward.clinic.remove_passkey(&kim, id, ward.now_ms)));
    assert!(denied(ward.clinic.rename_passkey(&kim, id, "mine", ward.now_ms)));
    ward.now_ms += FRESH_MS;
    let not_fresh = |answer: Result<(), ClinicError>| matches!(answer, Err(ClinicError::NotFresh));
    assert!(not_fresh(ward.clinic.begin_passkey(&lee, ward.now_ms).map(drop)));
    assert!(not_fresh(ward.clinic.remove_passkey(&lee, id, ward.now_ms)));
    let new = NewPasskey { issued_ms: ward.now_ms, name: "x", client_data: &[], authenticator_data: &[] };
    assert!(not_fresh(ward.clinic.add_passkey(&lee, &party(), &new, ward.now_ms)));
    let confirm = ward.clinic.passkey_confirm_request(&lee, ward.now_ms);
    let post = Post::new(confirm, &mut phone, &Page::at(NAME));
    ward.clinic.confirm_by_passkey(place(1), &party(), &lee, &post.answer(), ward.now_ms).unwrap();
    ward.clinic.rename_passkey(&lee, id, " the blue key ", ward.now_ms).unwrap();
    let (other, _) = good(&mut ward, &mut phone).send(&ward).unwrap();
    ward.clinic.remove_passkey(&lee, id, ward.now_ms).unwrap();
    assert_eq!(last_event(&ward, lee.person), (AccountEvent::PasskeyRemoved, "the blue key".into()));
    assert!(ward.clinic.session(other.expose(), ward.now_ms).is_err(), "signed out everywhere else");
    assert!(ward.clinic.own_account(&lee, ward.now_ms).is_ok(), "but here");
    wrong(good(&mut ward, &mut phone).send(&ward));
}

#[test]
fn a_flood_of_wrong_passkeys_from_one_place_waits_and_nobody_elsewhere_does() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let mut junk = Authenticator::new(7, &phone.handle);
    let mut waits = 0;
    for _ in 0..20 {
        let post = good(&mut ward, &mut junk);
        let answer =
            ward.clinic.sign_in_by_passkey(place(66), &party(), BROWSER, &post.answer(), ward.now_ms);
        if matches!(answer, Err(SignInRefused::Wait { .. })) {
            waits += 1;
        }
    }
    assert_eq!(waits, 15);
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
}

#[test]
fn a_password_set_by_a_link_removes_the_passkeys() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let lee = ward.as_("lee").person;
    let seen = ward.clinic.person_page(&ward.admin, lee, ward.now_ms).unwrap().seen;
    let link = ward.clinic.offer_password(&ward.admin, lee, seen, ward.now_ms).unwrap();
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok(), "until it is used");
    ward.clinic.set_password_by_link(Origin::HERE, link.expose(), "another word", ward.now_ms).unwrap();
    wrong(good(&mut ward, &mut phone).send(&ward));
    assert_eq!(last_event(&ward, lee).0, AccountEvent::FactorsReset);
}

#[test]
fn passkeys_are_there_after_a_restart_and_challenges_of_before_are_not() {
    let mut ward = ward();
    let mut phone = passkey(&mut ward, "lee", 1);
    let before = good(&mut ward, &mut phone);
    let mut ward = ward.reopened();
    wrong(before.send(&ward));
    assert!(good(&mut ward, &mut phone).send(&ward).is_ok());
}

/// The shortest of many tries, in turn, each from a place of its own.
#[test]
fn a_passkey_that_nobody_has_takes_as_long_as_a_wrong_one() {
    let mut ward = ward();
    let phone = passkey(&mut ward, "lee", 1);
    let mut forged = Authenticator::new(9, &phone.handle);
    let unknown = good(&mut ward, &mut forged);
    forged.id = phone.id.clone();
    let known = good(&mut ward, &mut forged);
    let mut shortest = [u128::MAX; 2];
    for n in 0..200_u8 {
        for (at, post) in [&known, &unknown].into_iter().enumerate() {
            let from = Origin::of(IpAddr::V4(Ipv4Addr::new(10, 1, if at == 0 { 0 } else { 1 }, n)));
            #[allow(clippy::disallowed_methods, reason = "a measurement")]
            let begun = std::time::Instant::now();
            wrong(ward.clinic.sign_in_by_passkey(from, &party(), BROWSER, &post.answer(), ward.now_ms));
            shortest[at] = shortest[at].min(begun.elapsed().as_nanos());
        }
    }
    let [known, unknown] = shortest;
    println!("refused after {known} ns a passkey of somebody, {unknown} ns one of nobody");
    // Without a key to hold it against, an unknown one takes a tenth of the time.
    assert!(known < 2 * unknown && unknown < 2 * known, "{known} ns, {unknown} ns");
}
