//! What people do about alarms goes down to the bedside, and what the bedside says comes back.

use clinic::views::{AlarmPhase, OrderState, OrderView};
use clinic::{About, LimitsOrder};
use testward::{Gateway, Ward};
use vitals::PatientId;
use vitals::alarm::{Condition, Limits, Priority};
use vitals::body::Body;
use vitals::command::{Action, Confirmation, LIMITS_MS_MAX, Outcome, SignedCommand};
use vitals::ids::{Class, StreamId};
use vitals::metric::Metric;

const FAST: Condition = Condition::Above(Metric::HeartRate);

/// Limits that a racing heart does not touch.
fn wide() -> Limits {
    Limits { above: [None, None, Some(1700)], ..Limits::adult(Metric::HeartRate).unwrap() }
}

fn ask(ward: &Ward, patient: PatientId, limits: Limits, for_ms: Option<u64>) {
    let order = LimitsOrder { limits, reason: "known athlete".into(), for_ms };
    ward.clinic.set_limits(&ward.as_("lee"), patient, &order, ward.now_ms).unwrap();
}

fn due(ward: &Ward, gateway: &Gateway) -> Vec<SignedCommand> {
    ward.clinic.orders_due(&[gateway.id()], ward.now_ms)
}

/// What the gateway would do: take everything that is due, and say this of it.
pub(super) fn answered(ward: &mut Ward, gateway: &mut Gateway, outcome: Outcome) -> Vec<SignedCommand> {
    let orders = due(ward, gateway);
    for order in &orders {
        ward.clinic.order_sent(order, true, ward.now_ms);
        say(ward, gateway, order, outcome);
    }
    orders
}

fn say(ward: &mut Ward, gateway: &mut Gateway, order: &SignedCommand, outcome: Outcome) {
    let command = &order.command;
    let word = Confirmation {
        at_ms: ward.now_ms,
        seq: command.seq,
        command: command.hash(),
        outcome,
        until_ms: 0,
        limits: None,
    };
    let sealed = gateway.sensors[0].seal(Class::Alarms, &Body::Confirmations(vec![word]));
    ward.carry(gateway.id(), &[sealed.bytes]);
}

fn shown(ward: &Ward, patient: PatientId) -> Vec<(About, OrderState)> {
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    let tile = wall.tiles.into_iter().find(|tile| tile.patient == patient).unwrap();
    tile.orders.into_iter().map(|OrderView { about, state, .. }| (about, state)).collect()
}

fn racing() -> (Ward, PatientId, Gateway) {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 1400, 15);
    (ward, amira, gateway)
}

#[test]
fn an_answer_goes_down_signed_for_this_bed_and_is_shown_as_asked_for_until_the_bedside_has_it() {
    let (mut ward, amira, mut gateway) = racing();
    let lee = ward.as_("lee");
    let view = ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    assert_eq!(shown(&ward, amira), [(About::Answer(FAST), OrderState::Asked { away_since_ms: None })]);
    let [order] = due(&ward, &gateway)[..] else { panic!("one order") };
    let command = order.command;
    assert!(order.verify(&ward.clinic.vault().record_key()), "signed by the key that signs receipts");
    assert_eq!((command.gateway, command.bedside), (gateway.id(), gateway.sensors[0].id()));
    assert_eq!((command.genesis, command.patient, command.by), (ward.clinic.genesis(), amira, lee.person));
    let stream = StreamId::of(command.genesis, command.bedside, command.patient, Class::Alarms);
    assert!(ward.clinic.vault().stream(stream).is_some(), "the gateway finds its stream by it");
    let expected =
        Action::Acknowledge { condition: FAST, priority: Priority::High, raised_at_ms: view.raised_at_ms };
    assert_eq!(command.action, expected);
    answered(&mut ward, &mut gateway, Outcome::InForce);
    assert_eq!(shown(&ward, amira), [(About::Answer(FAST), OrderState::InForce)]);
    assert_eq!(due(&ward, &gateway), []);
}

#[test]
fn until_the_bedside_has_taken_wider_limits_the_node_alarms_by_the_stricter_ones() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let lee = ward.as_("lee");
    ask(&ward, amira, wide(), None);
    ward.beats(&mut gateway, 1400, 12);
    let open = |ward: &Ward| ward.clinic.wall(&lee, ward.now_ms).unwrap().strip.len();
    assert_eq!(open(&ward), 1, "140 is within the new limits, and not within those at the bedside");
    ward.beats(&mut gateway, 720, 3);
    ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms).unwrap();
    answered(&mut ward, &mut gateway, Outcome::InForce);
    ward.beats(&mut gateway, 1400, 20);
    assert_eq!(open(&ward), 0, "the bedside has them");
    let metric = About::Limits(Metric::HeartRate);
    assert!(shown(&ward, amira).contains(&(metric, OrderState::InForce)));
}

#[test]
fn a_bedside_that_is_away_gets_what_still_holds_and_nothing_else() {
    let (mut ward, amira, mut gateway) = racing();
    let lee = ward.as_("lee");
    ward.clinic.silence(&lee, amira, FAST, 120_000, ward.now_ms).unwrap();
    ask(&ward, amira, wide(), None);
    let seen_ms = ward.now_ms;
    assert_eq!(ward.clinic.orders_due(&[], ward.now_ms), [], "nobody is connected");
    ward.pass(130_000);
    let away = OrderState::Asked { away_since_ms: Some(Some(seen_ms)) };
    assert!(shown(&ward, amira).contains(&(About::Limits(Metric::HeartRate), away)));
    assert!(shown(&ward, amira).contains(&(About::Pause(FAST), OrderState::Undelivered)));
    ward.clinic.connected(gateway.id());
    ward.clinic.attend_joined();
    let orders = answered(&mut ward, &mut gateway, Outcome::InForce);
    let actions: Vec<Action> = orders.iter().map(|order| order.command.action).collect();
    assert_eq!(actions, [Action::Limits(wide())], "two minutes of silence are over");
}

#[test]
fn a_node_that_starts_again_goes_on_with_what_it_asked_for() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    ask(&ward, amira, wide(), None);
    let before = due(&ward, &gateway);
    assert_eq!(before.len(), 1);
    ward.now_ms += 60_000;
    let mut ward = ward.reopened();
    assert_eq!(due(&ward, &gateway), before, "the same bytes: it was in the record first");
    let open = |ward: &Ward| ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().strip.len();
    ward.beats(&mut gateway, 1400, 12);
    assert_eq!(open(&ward), 1, "not confirmed: the stricter ones count");
    ward.beats(&mut gateway, 720, 3);
    ward.clinic.acknowledge(&ward.as_("lee"), amira, FAST, ward.now_ms).unwrap();
    answered(&mut ward, &mut gateway, Outcome::InForce);
    ward.now_ms += 1_000;
    let mut ward = ward.reopened();
    assert_eq!(due(&ward, &gateway), [], "the bedside's word is in the record too");
    ward.beats(&mut gateway, 1400, 20);
    assert_eq!((open(&ward), due(&ward, &gateway)), (0, vec![]));
    // A later order has a higher number, whatever the node remembers.
    ask(&ward, amira, Limits::adult(Metric::HeartRate).unwrap(), None);
    assert!(due(&ward, &gateway)[0].command.seq > before[0].command.seq);
}

#[test]
fn limits_for_a_while_end_at_the_bedside_with_their_time_and_what_stood_before_is_asked_for() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    ask(&ward, amira, wide(), Some(600_000));
    let [order] = answered(&mut ward, &mut gateway, Outcome::InForce)[..] else { panic!() };
    assert_eq!(order.command.in_force_until_ms, ward.now_ms + 600_000);
    ward.beats(&mut gateway, 720, 599);
    assert_eq!(due(&ward, &gateway), [], "not renewed: it was for a while");
    ward.beats(&mut gateway, 720, 2);
    let [back] = due(&ward, &gateway)[..] else { panic!("what stood before") };
    assert_eq!(back.command.action, Action::Limits(Limits::adult(Metric::HeartRate).unwrap()));
}

#[test]
fn what_the_bedside_refuses_is_shown_with_its_reason_and_changes_nothing() {
    let (mut ward, amira, mut gateway) = racing();
    let lee = ward.as_("lee");
    ask(&ward, amira, wide(), None);
    let [order] = answered(&mut ward, &mut gateway, Outcome::NotKept)[..] else { panic!() };
    let metric = About::Limits(Metric::HeartRate);
    assert_eq!(shown(&ward, amira), [(metric, OrderState::Refused(Outcome::NotKept))]);
    ward.beats(&mut gateway, 1400, 12);
    let wall = ward.clinic.wall(&lee, ward.now_ms).unwrap();
    assert_eq!(wall.strip[0].phase, AlarmPhase::Active, "the stricter ones go on");
    // A word about another order than the one sent is about nothing.
    let other = SignedCommand {
        command: vitals::command::Command { seq: order.command.seq + 1, ..order.command },
        ..order
    };
    say(&mut ward, &mut gateway, &other, Outcome::InForce);
    assert_eq!(shown(&ward, amira), [(metric, OrderState::Refused(Outcome::NotKept))]);
}

#[test]
fn limits_are_asked_for_again_before_they_end_at_the_bedside() {
    let (mut ward, amira, mut gateway) = racing();
    ask(&ward, amira, wide(), None);
    let [first] = answered(&mut ward, &mut gateway, Outcome::InForce)[..] else { panic!() };
    ward.pass(LIMITS_MS_MAX / 2 - 1_000);
    assert_eq!(due(&ward, &gateway), []);
    ward.pass(2_000);
    let [again] = due(&ward, &gateway)[..] else { panic!("one renewal") };
    assert_eq!(again.command.action, first.command.action);
    assert!(again.command.seq > first.command.seq);
    assert_eq!(again.command.in_force_until_ms, ward.now_ms + LIMITS_MS_MAX);
    assert_eq!(again.command.by, vitals::PersonId([0; 32]), "nobody asked anew");
}

#[test]
fn beds_with_nothing_to_send_or_to_renew_are_not_looked_at() {
    let names: [&str; 20] = core::array::from_fn(|at| &"abcdefghijklmnopqrstuvwxyz"[at..=at]);
    let (mut ward, patients) = Ward::with(names);
    let mut gateway = ward.gateway(1, &patients);
    ward.pass(1_000);
    let looked = |ward: &Ward| ward.clinic.observer().orders_looked_at(ward.now_ms);
    assert_eq!(looked(&ward), (vec![], vec![]), "nobody was asked for anything");
    ask(&ward, patients[0], wide(), None);
    assert_eq!(looked(&ward).0, [patients[0]]);
    assert_eq!(answered(&mut ward, &mut gateway, Outcome::InForce).len(), 1);
    assert_eq!(looked(&ward).0, [], "the bedside has them");
    ward.clinic.tend_ledger(ward.now_ms);
    assert_eq!(looked(&ward).1, [], "until its sensors are looked up again");
    // A gateway that is away is no reason to look at its beds four times a second.
    ask(&ward, patients[0], Limits::adult(Metric::HeartRate).unwrap(), None);
    assert_eq!(ward.clinic.orders_due(&[], ward.now_ms), []);
    assert_eq!(looked(&ward).0, []);
    ward.clinic.connected(gateway.id());
    ward.clinic.attend_joined();
    assert_eq!(looked(&ward).0, [patients[0]], "at once when it is there");
    assert_eq!(due(&ward, &gateway).len(), 1);
}

#[test]
fn a_bedside_is_away_by_the_rate_that_its_sensor_announced() {
    let (ward, amira, mut gateway) = racing();
    ward.clinic.vault().put_interval(gateway.sensors[0].id(), 60_000).unwrap();
    let mut ward = ward.reopened();
    ward.beats(&mut gateway, 720, 1);
    ask(&ward, amira, wide(), None);
    let away = |ward: &Ward| match shown(ward, amira)[..] {
        [(_, OrderState::Asked { away_since_ms })] => away_since_ms.is_some(),
        ref other => panic!("{other:?}"),
    };
    assert!(!away(&ward));
    ward.pass(100_000);
    assert!(!away(&ward), "it sends once a minute");
    ward.pass(100_000);
    assert!(away(&ward));
}
