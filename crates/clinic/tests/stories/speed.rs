//! A quick measure of admission, printed; not a promise. `--no-capture` shows it.

use clinic::{Arrival, Verdict};
use std::time::Duration;
use testward::{NOON_MS, Ward};
use vitals::PatientId;

const GROUP_LEN: usize = 512;

/// Admits `seconds` beats of each of `boards` boards; microseconds per envelope for admitting, and
/// for opening, watching and telling.
fn measured(boards: usize, seconds: u64) -> (f64, f64) {
    let mut ward = Ward::new();
    let patients: Vec<PatientId> = (0..boards).map(|n| ward.patient(&format!("patient {n}"))).collect();
    ward.block();
    let mut gateway = ward.gateway(1, &patients);
    let from = gateway.id();
    let mut arrivals = Vec::new();
    for second in 0..seconds {
        let beat = |sensor: &mut testward::Sensor| sensor.pulse(700, NOON_MS + second);
        arrivals.extend(gateway.sensors.iter_mut().map(|sensor| Arrival { from, bytes: beat(sensor) }));
    }
    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    let begun = std::time::Instant::now();
    for group in arrivals.chunks(GROUP_LEN) {
        let answers = ward.clinic.admit(group, NOON_MS).unwrap();
        assert!(answers.iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. })));
    }
    let admitted = begun.elapsed();
    ward.clinic.attend(NOON_MS);
    let attended = begun.elapsed() - admitted;
    assert_eq!(ward.clinic.counters().admitted, arrivals.len() as u64);
    assert_eq!(ward.clinic.counters().unreadable, 0);
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / arrivals.len() as f64;
    (each(admitted), each(attended))
}

#[test]
fn admission_of_large_groups_is_measured() {
    for (boards, seconds) in [(1, 4096), (32, 128)] {
        let (admitted, attended) = measured(boards, seconds);
        println!(
            "{boards} boards, groups of {GROUP_LEN}: admitted in {admitted:.1} µs each, opened, watched and told \
             in {attended:.1} µs each"
        );
    }
}
