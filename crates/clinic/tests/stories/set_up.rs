//! A new node: nobody has an account, and the first administrator is made with the code that the node printed.

use clinic::{Chosen, LinkRefused, Origin, SignInRefused};
use core::net::{IpAddr, Ipv4Addr};
use testward::{Empty, NOON_MS};
use vitals::ledger::Role;

const CHOSEN: Chosen<'static> = Chosen { login: "ada", name: "Ada Demo", password: "a secret word" };

fn is_wrong_code<T: std::fmt::Debug>(answer: Result<T, LinkRefused>) -> bool {
    matches!(answer, Err(LinkRefused::Field { field: "code", .. }))
}

#[test]
fn the_code_makes_the_first_administrator_once_and_is_gone() {
    let empty = Empty::new();
    let clinic = &empty.clinic;
    assert!(is_wrong_code(clinic.set_up(Origin::HERE, "", &CHOSEN, NOON_MS)), "no code was printed yet");
    let before = clinic.offer_set_up().unwrap();
    let code = clinic.offer_set_up().unwrap();
    assert_eq!(code.expose().len(), 23, "100 bits in groups of five digits");
    assert!(
        is_wrong_code(clinic.set_up(Origin::HERE, before.expose(), &CHOSEN, NOON_MS)),
        "of an earlier start"
    );
    let short = Chosen { password: "short", ..CHOSEN };
    let refused = clinic.set_up(Origin::HERE, code.expose(), &short, NOON_MS).map(drop);
    assert!(matches!(refused, Err(LinkRefused::Field { field: "password", .. })), "{refused:?}");
    let typed = code.expose().to_lowercase().replace('-', " ");
    let (_, session) = clinic.set_up(Origin::HERE, &typed, &CHOSEN, NOON_MS).unwrap();
    assert_eq!((session.role, session.name.as_str()), (Role::Administrator, "Ada Demo"));
    empty.ledger.block(NOON_MS);
    assert!(clinic.people(&session, NOON_MS).is_ok(), "they may invite everybody else");
    let eve = Chosen { login: "eve", ..CHOSEN };
    assert!(is_wrong_code(clinic.set_up(Origin::HERE, code.expose(), &eve, NOON_MS)), "used");
    assert!(clinic.offer_set_up().is_none() && !clinic.needs_set_up());
    assert_eq!(clinic.vault().accounts().len(), 1);
}

#[test]
fn an_administrator_made_by_the_command_line_ends_the_code() {
    let empty = Empty::new();
    let code = empty.clinic.offer_set_up().unwrap();
    empty.clinic.first_administrator("admin", "Administrator", "a secret word", NOON_MS).unwrap();
    assert!(is_wrong_code(empty.clinic.set_up(Origin::HERE, code.expose(), &CHOSEN, NOON_MS)));
    assert_eq!(empty.clinic.vault().accounts().len(), 1);
}

#[test]
fn guesses_at_the_code_make_their_place_wait_and_not_the_operator() {
    let empty = Empty::new();
    let code = empty.clinic.offer_set_up().unwrap();
    let place = |last| Origin::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
    let mut waits = 0;
    for n in 0..100 {
        match empty.clinic.set_up(place(66), &format!("{n:020}"), &CHOSEN, NOON_MS).map(drop) {
            Err(LinkRefused::Later(SignInRefused::Wait { .. })) => waits += 1,
            other => assert!(is_wrong_code(other)),
        }
    }
    assert_eq!(waits, 95, "five, then one in half a minute and longer");
    assert!(empty.clinic.set_up(place(1), code.expose(), &CHOSEN, NOON_MS).is_ok());
}

#[test]
fn of_two_with_the_code_at_once_one_is_the_administrator() {
    let empty = Empty::new();
    let code = empty.clinic.offer_set_up().unwrap();
    let made = std::thread::scope(|scope| {
        let tries = ["ada", "eve"].map(|login| {
            let (clinic, code) = (&empty.clinic, code.expose());
            let chosen = Chosen { login, ..CHOSEN };
            scope.spawn(move || clinic.set_up(Origin::HERE, code, &chosen, NOON_MS).is_ok())
        });
        tries.map(|one| one.join().unwrap()).into_iter().filter(|made| *made).count()
    });
    assert_eq!((made, empty.clinic.vault().accounts().len()), (1, 1));
}
