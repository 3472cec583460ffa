//! How large a record leaves the hospital.

use clinic::Scope;
use testward::{NOON_MS, Ward};
use vitals::ids::Class;
use vitals::metric::{Metric, Reading, Sample};

/// Seconds of a bed that are sealed here; a day has 24 times as many.
const SECONDS: u64 = 3_600;
const DAY_BYTES_MAX: u64 = 10_000_000;
/// Envelopes that a gateway brings at once.
const GROUP: usize = 256;

fn readings(at_ms: u64, values: &[(Metric, i32)]) -> Vec<Reading> {
    let reading = |(metric, raw): &(Metric, i32)| Reading {
        metric: *metric,
        at_ms,
        sample: Sample::Measured(raw + i32::try_from(at_ms / 1_000 * 7 % 60).unwrap()),
    };
    values.iter().map(reading).collect()
}

/// Two envelopes a second, as a board's gateway seals them: vital signs and the air of the room.
#[test]
fn a_day_of_one_patient_leaves_in_ten_megabytes() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    let mut brought = Vec::new();
    for second in 0..SECONDS {
        let at_ms = NOON_MS + second * 1_000;
        let vitals = readings(at_ms, &[(Metric::HeartRate, 690), (Metric::BodyTemperature, 3_670)]);
        let air = [(Metric::AmbientTemperature, 210), (Metric::RelativeHumidity, 400), (Metric::Co2, 600)];
        // Somebody else's lie between them in the log.
        for sensor in &mut gateway.sensors {
            brought.push(sensor.readings(Class::Vitals, vitals.clone()));
            brought.push(sensor.readings(Class::Environment, readings(at_ms, &air)));
        }
    }
    for group in brought.chunks(GROUP) {
        ward.carry(gateway.id(), group);
    }
    ward.anchor();
    let session = ward.as_("amira");
    let mut bundle = Vec::new();
    let mut sink = |bytes: &[u8]| {
        bundle.extend_from_slice(bytes);
        Ok(())
    };
    ward.clinic.export(&session, Scope::Patient(amira), ward.now_ms, &mut sink).unwrap();
    let report = vitals::bundle::verify(&bundle, Some(ward.clinic.genesis())).unwrap();
    assert!(report.envelopes >= 2 * SECONDS, "{} envelopes", report.envelopes);
    let day = bundle.len() as u64 * (86_400 / SECONDS);
    println!(
        "an hour of one patient: {} envelopes, {} bytes of ciphertext, {} bytes in all; a day {:.1} MB",
        report.envelopes,
        report.ciphertext_bytes,
        bundle.len(),
        day as f64 / 1e6
    );
    assert!(day <= DAY_BYTES_MAX, "{day} bytes a day");
}
