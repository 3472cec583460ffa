//! Staleness belongs to the rate a sensor announced.

use testward::{Gateway, Ward};
use vitals::alarm::Condition;

/// A gateway whose one board sends once in so many milliseconds, paired and final.
fn gateway(ward: &mut Ward, number: u8, patient: vitals::PatientId, interval_ms: Option<u64>) -> Gateway {
    let mut gateway = Gateway::new(number, 1);
    let request = device::pairing::request_every(&gateway.identity, &gateway.identities(), interval_ms);
    let request = request.unwrap().encode();
    let paired = ward.clinic.pair(&ward.admin, &request, &[patient], ward.now_ms).unwrap();
    ward.block();
    gateway.accept(&paired.answer);
    gateway
}

/// One value a minute.
fn minutes(ward: &mut Ward, gateway: &mut Gateway, minutes: u64) -> Vec<Condition> {
    let mut seen = Vec::new();
    for _ in 0..minutes {
        let bytes = gateway.sensors[0].pulse(720, ward.now_ms);
        ward.carry(gateway.id(), &[bytes]);
        for _ in 0..60 {
            ward.pass(1000);
            seen.extend(conditions(ward));
            let due_ms = ward.clinic.next_deadline_ms();
            assert!(
                due_ms.is_some_and(|due_ms| due_ms > ward.now_ms),
                "a tick leaves nothing to do: {due_ms:?}"
            );
        }
        ward.block();
    }
    seen
}

fn conditions(ward: &Ward) -> Vec<Condition> {
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    wall.strip.iter().map(|alarm| alarm.condition).collect()
}

#[test]
fn a_sensor_that_announced_a_minute_is_stale_after_three() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut slow = gateway(&mut ward, 1, amira, Some(60_000));
    assert_eq!(minutes(&mut ward, &mut slow, 5), [], "a standing 'no data' before");
    let wall = ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap();
    assert_eq!(wall.tiles[0].technical.stale_after_ms, 180_000);
    assert!(!wall.tiles[0].technical.stale);
    // A restart forgets nothing of it.
    let mut ward = ward.reopened();
    ward.pass(118_000);
    assert_eq!(conditions(&ward), []);
    ward.pass(120_000);
    assert_eq!(conditions(&ward), [Condition::Stale], "three intervals without a word");
    // Who announces nothing is held to 15 seconds.
    ward.block();
    let mut quick = gateway(&mut ward, 2, bruno, None);
    let bytes = quick.sensors[0].pulse(720, ward.now_ms);
    ward.carry(quick.id(), &[bytes]);
    ward.pass(14_000);
    assert_eq!(conditions(&ward), [Condition::Stale], "Amira's only");
    ward.pass(2_000);
    assert_eq!(conditions(&ward), [Condition::Stale, Condition::Stale]);
}

#[test]
fn the_most_frequent_sensor_of_a_bed_decides() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    gateway(&mut ward, 1, amira, Some(3_600_000));
    assert_eq!(ward.clinic.observer().stale_after_ms(amira), 3 * 3_600_000);
    gateway(&mut ward, 2, amira, Some(20_000));
    assert_eq!(ward.clinic.observer().stale_after_ms(amira), 60_000);
    // Paired again, and nothing announced any more.
    gateway(&mut ward, 2, amira, None);
    assert_eq!(ward.clinic.observer().stale_after_ms(amira), clinic::STALE_MS);
}
