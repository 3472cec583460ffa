use super::*;
use proptest::prelude::*;
use vitals::metric::{Absence, Metric};

const NOW_MS: u64 = 1_795_348_800_000;

fn measured(metric: Metric, raw: i32, at_ms: u64) -> Reading {
    Reading { metric, at_ms, sample: Sample::Measured(raw) }
}

/// Metric and raw value of what a pack gives.
fn taken(pack: &Pack) -> Vec<(Metric, i32)> {
    let value = |reading: &Reading| match reading.sample {
        Sample::Measured(raw) => (reading.metric, raw),
        Sample::Absent(_) => panic!("a value"),
    };
    pack.readings.iter().map(value).collect()
}

fn read_good(text: &str) -> Pack {
    read(text.as_bytes(), NOW_MS).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// What is said of a pack that is refused whole.
fn refused(text: &str) -> String {
    read(text.as_bytes(), NOW_MS).unwrap_err().to_string()
}

/// What is said of the one record refused, and its number.
fn refused_record(text: &str) -> (usize, String) {
    let pack = read_good(text);
    let [(number, why)] = pack.refused.as_slice() else { panic!("{text}: {:?}", pack.refused) };
    (*number, why.to_string())
}

/// One pack, metrics with raw values that are taken, records that are refused with a word of the reason.
type Line = (&'static str, &'static [(Metric, i32)], &'static [(usize, &'static str)]);

#[test]
fn packs_of_other_makers_are_read_as_the_standards_say() {
    use Metric::{AmbientTemperature, BodyTemperature, HeartRate, Pm25, RelativeHumidity};
    let lines: &[Line] = &[
        (
            r#"[{"n":"ambient_temperature","u":"Cel","v":5.9604645e-8},{"n":"relative_humidity","u":"%RH","v":45.2}]"#,
            &[(AmbientTemperature, 0), (RelativeHumidity, 452)],
            &[],
        ),
        (r#"[{"n":"ambient_temperature","u":"Cel","v":-0.00000012}]"#, &[(AmbientTemperature, 0)], &[]),
        // Update time is a defined label.
        (r#"[{"n":"heart_rate","u":"beat/min","v":72,"ut":60}]"#, &[(HeartRate, 720)], &[]),
        (r#"[{"bn":"x:","bv":60,"n":"heart_rate","v":12}]"#, &[(HeartRate, 720)], &[]),
        (r#"[{"n":"heart_rate","u":"beat/min","v":72,"foo_":1}]"#, &[], &[(1, "`foo_` is not understood")]),
        // "Exactly one Value field MUST appear" (RFC 8428, section 4.2); "base fields apply to the
        // entries in the Record and also to all Records after it" (section 4).
        (
            r#"[{"bn":"x:","bt":1795348800},{"n":"heart_rate","v":72}]"#,
            &[(HeartRate, 720)],
            &[(1, "exactly one value")],
        ),
        (
            r#"[{"n":"heart_rate","v":72},{"n":"pulse","v":3},{"n":"body_temperature","u":"Cel","v":36.6}]"#,
            &[(HeartRate, 720), (BodyTemperature, 3660)],
            &[(2, "no metric `pulse`")],
        ),
        (
            r#"[{"n":"ambient_temperature","u":"Cel","v":5.551115123125783e-17}]"#,
            &[(AmbientTemperature, 0)],
            &[],
        ),
        (r#"[{"n":"pm2_5","u":"ug/m3","v":0.000001}]"#, &[(Pm25, 0)], &[]),
        (r#"[{"bver":26,"n":"pm2_5","u":"ug/m3","v":12.5}]"#, &[(Pm25, 125)], &[]),
        (r#"[{"n":"pm2_5","u":"kg/m3","v":0.0000000125}]"#, &[(Pm25, 125)], &[]),
    ];
    for (text, good, bad) in lines {
        let pack = read_good(text);
        assert_eq!(taken(&pack), *good, "{text}");
        assert_eq!(pack.refused.len(), bad.len(), "{text}: {:?}", pack.refused);
        for ((number, why), (expected, word)) in pack.refused.iter().zip(*bad) {
            assert!(number == expected && why.to_string().contains(word), "{text}: {number} {why}");
        }
    }
}

#[test]
fn base_fields_hold_until_the_next_of_their_kind() {
    let text = r#"[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1795348799.5,"bu":"beat/min","n":"heart_rate","v":72.4},
        {"n":"heart_rate","t":1,"v":73},{"n":"body_temperature","u":"Cel","t":1.25,"v":36.6},
        {"n":"heart_rate","t":2,"vs":"noisy"},{"bn":"y/","bv":-5,"bt":0,"n":"heart_rate","t":-5,"v":77},
        {"bn":"heart_rate","bv":0,"v":70}]"#;
    let at = 1_795_348_799_500;
    let pack = read_good(text);
    let absent =
        Reading { metric: Metric::HeartRate, at_ms: at + 2000, sample: Sample::Absent(Absence::Noisy) };
    assert_eq!(
        pack.readings,
        [
            measured(Metric::HeartRate, 724, at),
            measured(Metric::HeartRate, 730, at + 1000),
            measured(Metric::BodyTemperature, 3660, at + 1250),
            absent,
            measured(Metric::HeartRate, 720, NOW_MS - 5000),
            measured(Metric::HeartRate, 700, NOW_MS),
        ]
    );
    assert_eq!(pack.refused, []);
}

#[test]
fn a_pack_that_is_none_is_named_and_gives_nothing() {
    assert!(refused("72").contains("array of records"));
    assert!(refused(r#"[{"n":"co2","v":1},]"#).contains("see column"));
    assert!(!refused(r#"[{"n":"co2","v":"4711"}"#).contains("4711"));
    assert!(refused("[]").contains("1 to 4096 records"));
    for version in ["11", "12", "42", "0", "27", "-10", "10.5", "\"10\"", "1e300", "null"] {
        let said = refused(&format!(r#"[{{"bver":{version},"n":"co2","v":600}}]"#));
        assert!(said.contains("`bver`"), "{version}: {said}");
    }
    for wrong in [
        r#"[{"bver":26,"n":"co2","v":600},{"bver":10,"n":"co2","v":601}]"#,
        r#"[{"n":"co2","v":600},{"bver":26,"n":"co2","v":601}]"#,
    ] {
        assert!(refused(wrong).contains("two versions"), "{wrong}");
    }
    assert!(refused(r#"[{"bver":10,"bver":10,"n":"co2","v":600}]"#).contains("`bver`"));
    // RFC 8428's own examples have versions below 10.
    for version in [5, 10, 26] {
        let text =
            format!(r#"[{{"bver":{version},"n":"co2","v":600}},{{"bver":{version},"n":"co2","v":601}}]"#);
        assert_eq!(read_good(&text).readings.len(), 2);
    }
}

#[test]
fn a_wrong_record_is_named_by_its_number_without_its_value() {
    for (record, word) in [
        (r#"{"n":"co2","v":"4711"}"#, "the field `v` is of the wrong type"),
        (r#"{"n":"co2","v":4711,"v":4712}"#, "the field `v` is of the wrong type, or stands there twice"),
        (r#"{"n":"co2","v":4711,"t":"now"}"#, "the field `t`"),
        (r#"{"n":"co2","v":4711,"ut":true}"#, "the field `ut`"),
        (r#"{"n":7,"v":4711}"#, "the field `n`"),
        (r#"{"n":"co2"}"#, "exactly one value"),
        (r#"{"n":"co2","s":4711}"#, "exactly one value"),
        (r#"{"n":"co2","v":4711,"vs":"noisy"}"#, "exactly one value"),
        (r#"{"n":"co2","v":4711,"vb":true}"#, "exactly one value"),
        (r#"{"n":"co2","vb":true}"#, "plain decimal number in ppm"),
        (r#"{"n":"co2","vd":"aGk"}"#, "plain decimal number in ppm"),
        (r#"{"n":"co2","vs":"bad"}"#, "sensor_off"),
        (r#"{"n":"heart_rate","u":"W","v":4711}"#, "given in beat/min or 1/min"),
        (r#"{"n":"co2","v":4711,"t":1e12}"#, "after 2200"),
        (r#"{"n":"co2","v":1e300}"#, "outside 0 to 40000 ppm"),
        (r#"{"n":"co2","v":-1}"#, "outside 0 to 40000 ppm"),
        (r#"{"n":"co2","u":"/","v":4711}"#, "outside 0 to 40000 ppm"),
        (r#"{"n":"","v":4711}"#, "must begin with a letter or digit"),
        (r#"{"n":":co2","v":4711}"#, "must begin with a letter or digit"),
        (r#"{"n":"a b:co2","v":4711}"#, "must begin with a letter or digit"),
        (r#"{"n":"ü:co2","v":4711}"#, "must begin with a letter or digit"),
        (r#"{"n":"a:","v":4711}"#, "no metric ``"),
        (r#"{"n":"co2","v":4711,"extra_":1}"#, "`extra_` is not understood"),
        (r#"{"n":"co2","v":4711,"\u202e_":1}"#, "`…` is not understood"),
        ("[4711]", "a record is a JSON object"),
        ("4711", "a record is a JSON object"),
        ("\"4711\"", "a record is a JSON object"),
        ("null", "a record is a JSON object"),
    ] {
        let text = format!(r#"[{{"n":"co2","v":601}},{record},{{"n":"co2","v":602}}]"#);
        let (number, why) = refused_record(&text);
        assert!(number == 2 && why.contains(word) && !why.contains("4711"), "{record}: {why}");
        assert_eq!(taken(&read_good(&text)), [(Metric::Co2, 601), (Metric::Co2, 602)], "{record}");
    }
}

#[test]
fn unknown_labels_are_ignored_unless_they_must_be_understood() {
    let good = read_good(r#"[{"n":"co2","v":600,"bx":1,"foo":{"a":[1]},"_x":null,"s":5,"bs":1}]"#);
    assert_eq!(taken(&good), [(Metric::Co2, 600)]);
    // A base field speaks for all that follow as well.
    let pack = read_good(r#"[{"n":"co2","v":600},{"b9_":1,"n":"co2","v":601},{"n":"co2","v":602}]"#);
    assert_eq!(taken(&pack), [(Metric::Co2, 600)]);
    assert!(pack.refused[0].1.to_string().contains("`b9_`"));
    assert!(pack.refused[1].1.to_string().contains("record 2 has wrong"));
}

#[test]
fn a_wrong_base_field_spoils_what_rests_on_it_and_nothing_else() {
    let rest = r#"{"bn":"a:","n":"co2","u":"ppm","v":600},{"n":"co2","u":"ppm","vs":"noisy"}"#;
    for (wrong, kept) in [
        (r#""bn":5"#, 2),
        (r#""bt":"x""#, 0),
        (r#""bu":5"#, 2),
        // What has no number needs no base value.
        (r#""bv":"x""#, 1),
        (r#""bn":"a:","bn":"b:""#, 2),
    ] {
        let pack = read_good(&format!(r#"[{{{wrong},"n":"co2","v":599}},{rest}]"#));
        assert_eq!(pack.readings.len(), kept, "{wrong}: {:?}", pack.refused);
        assert_eq!(pack.refused[0].0, 1, "{wrong}");
        for (_, why) in &pack.refused[1..] {
            assert!(why.to_string().contains("record 1 has wrong"), "{wrong}: {why}");
        }
    }
    let pack =
        read_good(r#"[{"bu":5,"n":"co2","v":599},{"n":"co2","v":600},{"bu":"ppm","n":"co2","v":601}]"#);
    assert_eq!(taken(&pack), [(Metric::Co2, 601)]);
}

#[test]
fn every_unit_a_metric_may_have_gives_the_same_reading() {
    for (unit, name, number, raw) in [
        ("beat/min", "heart_rate", "75", 750),
        ("1/min", "heart_rate", "75", 750),
        ("1/s", "heart_rate", "1.25", 750),
        ("Hz", "heart_rate", "1.25", 750),
        ("K", "body_temperature", "310.15", 3700),
        ("K", "ambient_temperature", "273.15", 0),
        ("/", "relative_humidity", "0.452", 452),
        ("/100", "relative_humidity", "45.2", 452),
        ("kg/m3", "pm10", "1e-8", 100),
        ("/", "co2", "0.0006", 600),
        ("ppm", "tvoc", "0.08", 80),
        ("/", "tvoc", "8e-8", 80),
    ] {
        let pack = read_good(&format!(r#"[{{"n":"{name}","u":"{unit}","v":{number}}}]"#));
        assert_eq!(taken(&pack), [(Metric::from_name(name).unwrap(), raw)], "{unit} {name}");
    }
}

proptest! {
    /// A value in any unit and any way of writing it is the value, to the metric's step.
    #[test]
    fn a_value_survives_every_way_of_writing_it(
        metric in proptest::sample::select(Metric::ALL),
        unit in any::<proptest::sample::Index>(),
        at in 0_i64..=10_000,
        base in -1000_i64..1000,
        exponent: bool,
    ) {
        let info = metric.info();
        let (low, high) = info.plausible;
        let raw = low + i32::try_from(i64::from(high - low) * at / 10_000).unwrap();
        let unit = unit.get(info.senml_units);
        // In parts of 10^18 of the unit, exact: (raw + offset) / times.
        const ONE: i128 = 10_i128.pow(18);
        let hundredths = i128::from(raw) * 100 / 10_i128.pow(info.decimals.into());
        let parts = (hundredths + i128::from(unit.less_hundredths)) * (ONE / 100);
        prop_assume!(parts % i128::from(unit.times) == 0);
        let scaled = parts / i128::from(unit.times);
        let number = |scaled: i128| {
            let sign = if scaled < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:018}", scaled.abs() / ONE, scaled.abs() % ONE);
            if exponent { format!("{:e}", text.parse::<f64>().unwrap()) } else { text }
        };
        let base = i128::from(base) * 10_i128.pow(15) / i128::from(unit.times);
        let text = format!(
            r#"[{{"n":"{}","u":"{}","bv":{},"v":{}}}]"#,
            info.name, unit.name, number(base), number(scaled - base)
        );
        let pack = read_good(&text);
        prop_assert_eq!(pack.refused, [], "{}", text);
        let Sample::Measured(found) = pack.readings[0].sample else { panic!("a value") };
        prop_assert_eq!(found, raw, "{}", text);
    }

    /// Every record of a pack is either taken or refused, and no other record changes that.
    #[test]
    fn a_record_without_base_fields_changes_nothing_for_the_others(
        picks in proptest::collection::vec(0..6_usize, 1..20),
    ) {
        let kinds = [
            r#"{"n":"co2","v":600}"#,
            r#"{"n":"x:heart_rate","u":"Hz","v":1.2,"ut":1}"#,
            r#"{"n":"pulse","v":3}"#,
            r#"{"n":"co2","u":"Cel","v":3}"#,
            r#"{"n":"co2","v":600,"must_":1}"#,
            r#"7"#,
        ];
        let records: Vec<&str> = picks.iter().map(|pick| kinds[*pick]).collect();
        let pack = read_good(&format!("[{}]", records.join(",")));
        let refused: Vec<usize> = pack.refused.iter().map(|(number, _)| *number).collect();
        let expected: Vec<usize> = (1..).zip(&picks).filter(|(_, pick)| **pick >= 2).map(|(number, _)| number).collect();
        prop_assert_eq!(refused, expected);
        prop_assert_eq!(pack.readings.len() + pack.refused.len(), picks.len());
    }

    #[test]
    fn no_pack_brings_it_down(text in r#"\[(\{("[a-z_]{1,3}":(-?[0-9]{1,3}|"[a-z]{0,3}"|\[\]|null),?){0,4}\},?){0,4}\]?"#) {
        let _ = read(text.as_bytes(), NOW_MS);
    }
}
