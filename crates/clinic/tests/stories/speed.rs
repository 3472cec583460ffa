//! A quick measure of admission, printed; not a promise. `--nocapture` shows it.

use crate::ward::{NOON_MS, Ward};
use clinic::{Arrival, Verdict};

#[test]
fn admission_of_large_groups_is_measured() {
    const ENVELOPES: u64 = 4096;
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    let from = gateway.id();
    let arrivals: Vec<Arrival> =
        (0..ENVELOPES).map(|n| Arrival { from, bytes: gateway.sensors[0].pulse(700, NOON_MS + n) }).collect();
    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    let begun = std::time::Instant::now();
    for group in arrivals.chunks(512) {
        let answers = ward.clinic.admit(group, NOON_MS).unwrap();
        assert!(answers.iter().all(|answer| matches!(answer.verdict, Verdict::Admitted { .. })));
    }
    let admitted = begun.elapsed();
    ward.clinic.attend(NOON_MS);
    let attended = begun.elapsed() - admitted;
    let each = |spent: std::time::Duration| spent.as_micros() as f64 / ENVELOPES as f64;
    println!(
        "admitted: {:.1} µs each; opened, watched and told: {:.1} µs each",
        each(admitted),
        each(attended)
    );
    assert_eq!(ward.clinic.counters().admitted, ENVELOPES);
}
