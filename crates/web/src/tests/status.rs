//! What pages say of a bed: nothing may look normal that is not known to be.

use super::scene::Scene;
use axum::http::StatusCode;
use clinic::POLICY_RETRY_MS;
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::{Absence, Metric, Reading, Sample};

/// One second after the other, each with a heart rate and a temperature.
fn pulse_and_warmth(scene: &mut Scene, pulse: i32, warmth: i32, seconds: u64) {
    for _ in 0..seconds {
        scene.ward.pass(1000);
        let at_ms = scene.ward.now_ms;
        let reading = |metric, raw| Reading { metric, at_ms, sample: Sample::Measured(raw) };
        let readings = vec![reading(Metric::HeartRate, pulse), reading(Metric::BodyTemperature, warmth)];
        let bytes = scene.gateway.sensors[0].readings(Class::Vitals, readings);
        scene.ward.carry(scene.gateway.id(), &[bytes]);
    }
    scene.settle();
}

fn without_signal(scene: &mut Scene, seconds: u64) {
    for _ in 0..seconds {
        scene.ward.pass(1000);
        let bytes = scene.gateway.sensors[0].finger_off(scene.ward.now_ms);
        scene.ward.carry(scene.gateway.id(), &[bytes]);
    }
    scene.settle();
}

/// The pages that show Amira, and for whom.
fn pages(scene: &Scene) -> [(String, &'static str); 3] {
    [("/wall".into(), "lee"), (format!("/patients/{}", scene.amira), "lee"), ("/me".into(), "amira")]
}

#[tokio::test]
async fn a_value_beyond_its_limit_is_never_called_in_limits() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    assert!(scene.page("/wall", "lee").await.contains("In limits"));
    assert!(scene.page("/me", "amira").await.contains("Your values are in your limits"));
    // Not long enough to ring.
    scene.beats(1420, 4);
    for (path, who) in pages(&scene) {
        let page = scene.page(&path, who).await;
        assert!(page.contains("hecking") && page.contains("heart rate"), "{path}");
        for untrue in ["In limits", "in your limits", "#i-check\"/></svg> No alarm"] {
            assert!(!page.contains(untrue), "{path} says {untrue}");
        }
    }
}

#[tokio::test]
async fn the_words_of_a_limit_agree_with_where_it_rings() {
    // Tenths: the last says 91 on the page and is below it; the alarm goes by what was measured.
    for (pulse, rings, said) in [
        (500, true, "Slower than your limits allow."),
        (510, false, "Within your limits (above 50 and below 91)."),
        (900, false, "Within your limits (above 50 and below 91)."),
        (910, true, "Faster than your limits allow."),
        (908, false, "Just within your limits (above 50 and below 91)."),
    ] {
        let mut scene = Scene::new();
        scene.beats(pulse, 13);
        assert!(scene.page("/me", "amira").await.contains(said), "{pulse}: {said}");
        assert_eq!(scene.page("/wall", "lee").await.contains("In limits"), !rings, "{pulse}");
    }
}

#[tokio::test]
async fn a_trend_says_in_how_long() {
    let mut scene = Scene::new();
    scene.beats(800, 120);
    scene.beats(720, 30);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("−8</span><small>in 3 min</small><small>bpm</small>"), "{wall}");
    let page = scene.page(&format!("/patients/{}", scene.amira), "lee").await;
    assert!(page.contains("−8 in 3 min ·"), "{page}");
}

#[tokio::test]
async fn a_lost_signal_is_never_called_in_limits() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    without_signal(&mut scene, 3);
    for (path, who) in pages(&scene) {
        let page = scene.page(&path, who).await;
        assert!(page.to_lowercase().contains("no signal"), "{path}");
        for untrue in ["In limits", "in your limits", "#i-check\"/></svg> No alarm"] {
            assert!(!page.contains(untrue), "{path} says {untrue}");
        }
    }
}

#[tokio::test]
async fn why_there_is_no_pulse_is_said_in_its_own_words_with_what_to_do() {
    let reasons = [
        (
            Absence::SensorOff,
            "off",
            "Sensor off: heart rate",
            "look at the patient first, then at the sensor",
        ),
        (
            Absence::Noisy,
            "poor signal",
            "Poor signal: heart rate",
            "look at the patient first, then keep the hand still",
        ),
        (Absence::Unsteady, "unsteady", "No steady pulse", "look at the patient, feel the pulse"),
        (
            Absence::RateNotSupported,
            "not supported",
            "Sampling rate not supported: heart rate",
            "set the board to 15 to 400 samples a second",
        ),
    ];
    for (why, value, alarm, advice) in reasons {
        let mut scene = Scene::new();
        scene.beats(720, 3);
        for _ in 0..25 {
            scene.ward.pass(1000);
            let bytes = scene.gateway.sensors[0].no_pulse(why, scene.ward.now_ms);
            scene.ward.carry(scene.gateway.id(), &[bytes]);
        }
        scene.settle();
        for path in ["/wall".into(), format!("/patients/{}", scene.amira)] {
            let page = scene.page(&path, "lee").await;
            for words in [&format!("<b data-value>{value}</b>"), alarm, advice] {
                assert!(page.contains(words), "{why:?}, {path}: no {words}: {page}");
            }
            for (other, _, alarm, advice) in reasons.into_iter().filter(|(other, ..)| *other != why) {
                assert!(
                    !page.contains(alarm) && !page.contains(advice),
                    "{why:?} is called {other:?}: {page}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_old_value_beside_fresh_ones_is_not_known() {
    let mut scene = Scene::new();
    pulse_and_warmth(&mut scene, 720, 3680, 2);
    assert!(scene.page("/wall", "lee").await.contains("In limits"));
    // No temperature arrives any more; the heart rate goes on.
    scene.beats(720, 20);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("Not known") && wall.contains("No fresh value of temperature"), "{wall}");
    assert!(!wall.contains("In limits"));
    let own = scene.page("/me", "amira").await;
    assert!(own.contains("This value is old.") && !own.contains("No fever."), "{own}");
}

#[tokio::test]
async fn a_value_is_old_by_the_rate_that_its_sensor_announced() {
    let mut scene = Scene::new();
    let every_minute =
        device::pairing::request_every(&scene.gateway.identity, &scene.gateway.identities(), Some(60_000));
    let request = every_minute.unwrap().encode();
    scene.ward.clinic.pair(&scene.ward.admin, &request, &[scene.amira], scene.ward.now_ms).unwrap();
    scene.beats(720, 1);
    scene.ward.pass(170_000);
    scene.settle();
    for (path, who) in pages(&scene) {
        let page = scene.page(&path, who).await;
        assert!(page.contains("data-stale-ms=\"180000\""), "{path} tells the script: {page}");
        assert!(!page.contains("Not known.") && !page.contains("This value is old."), "{path}: {page}");
    }
    assert!(scene.page("/wall", "lee").await.contains("In limits"));
    assert!(scene.page("/me", "amira").await.contains("Your values are in your limits"));
    scene.ward.pass(10_000);
    scene.settle();
    assert!(!scene.page("/wall", "lee").await.contains("In limits"));
    assert!(scene.page("/me", "amira").await.contains("This value is old."));
}

#[tokio::test]
async fn in_limits_is_not_shown_while_the_connection_is_lost() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("chip ok if-live") && wall.contains("chip flag if-lost"), "{wall}");
    let own = scene.page("/me", "amira").await;
    assert!(own.contains("class=\"lead if-live\"") && own.contains("class=\"lead if-lost\""), "{own}");
    // The style sheet shows one or the other, by the connection.
    let sheet = include_str!("../../assets/aceso.css");
    assert!(sheet.contains(".if-lost{display:none}") && sheet.contains(".lost-line .if-live"));
}

#[tokio::test]
async fn a_high_alarm_that_is_over_neither_hides_nor_outcounts_an_active_medium_one() {
    let mut scene = Scene::new();
    pulse_and_warmth(&mut scene, 1400, 3680, 12);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("1 high"), "{wall}");
    pulse_and_warmth(&mut scene, 720, 3950, 17);
    let wall = scene.page("/wall", "lee").await;
    let at = |text: &str| wall.find(text).unwrap_or_else(|| panic!("{text} is not on the wall: {wall}"));
    assert!(at("Temperature 39.5 ≥ 39.1") < at("Was: heart rate high"), "what is wrong now comes first");
    assert!(wall.contains("1 medium") && !wall.contains("1 high"), "{wall}");
    assert!(wall.contains("class=\"tile medium\""), "the tile shows what is wrong now: {wall}");
    let page = scene.page(&format!("/patients/{}", scene.amira), "lee").await;
    assert!(page.find("Temperature 39.5 ≥ 39.1") < page.find("Was: heart rate high"));
    // Back in limits as well: then both are over, and the head says so.
    pulse_and_warmth(&mut scene, 720, 3700, 3);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("1 over, not acknowledged") && !wall.contains("1 medium"), "{wall}");
}

/// The policy of the consent under which the ward watches Amira agrees once, and then cannot be asked.
fn hide_amira(scene: &mut Scene) {
    let own = scene.ward.clinic.own_page(&scene.ward.as_("amira"), scene.ward.now_ms).unwrap();
    let monitoring = own.grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant;
    scene.ward.ledger.put_under_policy(monitoring);
    for says in [Some(true), None] {
        scene.ward.ledger.policies_say(says);
        scene.ward.pass(POLICY_RETRY_MS);
        scene.settle();
        scene.ward.clinic.refresh_policies(scene.ward.now_ms);
    }
}

#[tokio::test]
async fn a_bed_hidden_by_a_silent_policy_is_an_alarm_on_every_page_and_nothing_looks_well() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    hide_amira(&mut scene);
    let quiet = scene.page("/wall", "kim").await;
    assert!(quiet.contains("A bed cannot be shown") && quiet.contains("bed of amira"), "{quiet}");
    assert!(quiet.contains("data-active=\"false\"") && !quiet.contains("#i-check"), "{quiet}");
    assert!(!quiet.contains(">72</b>"), "{quiet}");
    scene.beats(1900, 30);
    for path in ["/wall", "/help"] {
        let page = scene.page(path, "kim").await;
        assert!(page.contains("Alarm at a bed that cannot be shown: go there now"), "{path}: {page}");
        assert!(page.contains("data-priority=\"high\" data-active=\"true\""), "it rings: {path}");
        assert!(page.contains("<title>High, 1 alarm"), "{path}: {page}");
        for untrue in ["No alarms", "#i-check", ">190</b>", "amira</a>", "1970"] {
            assert!(!page.contains(untrue), "{path} says {untrue}: {page}");
        }
    }
}

#[tokio::test]
async fn an_alarm_that_nobody_answered_rings_on_every_page_when_its_sensor_comes_off() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    without_signal(&mut scene, 12);
    let rings = "data-condition=\"257\" data-priority=\"high\" data-active=\"true\"";
    let patient = format!("/patients/{}", scene.amira);
    for path in ["/wall", patient.as_str()] {
        let page = scene.page(path, "lee").await;
        assert!(page.contains(rings) && page.contains("look at the patient"), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_bed_that_cannot_be_shown_stands_among_the_alarms_by_its_urgency() {
    let mut scene = Scene::new();
    let carl = scene.ward.patient("carl");
    scene.ward.block();
    let mut second = scene.ward.gateway(2, &[carl]);
    scene.beats(720, 2);
    hide_amira(&mut scene);
    let mut both = |scene: &mut Scene, amira, carl, seconds| {
        for _ in 0..seconds {
            scene.ward.pass(1000);
            let at_ms = scene.ward.now_ms;
            let bytes = scene.gateway.sensors[0].pulse(amira, at_ms);
            scene.ward.carry(scene.gateway.id(), &[bytes]);
            let bytes = second.sensors[0].pulse(carl, at_ms);
            scene.ward.carry(second.id(), &[bytes]);
        }
        scene.settle();
    };
    let order = |wall: &str, first: &str, then: &str| {
        let at = |text: &str| wall.find(text).unwrap_or_else(|| panic!("{text} is not on the wall: {wall}"));
        assert!(at(first) < at(then), "{first} comes before {then}: {wall}");
    };
    let high = "Heart rate 190 ≥ 131";
    both(&mut scene, 720, 1900, 13);
    order(&scene.page("/wall", "lee").await, high, "A bed cannot be shown");
    let answer = format!("/patients/{carl}/alarms/257/acknowledge");
    assert_eq!(scene.post(&answer, "lee", &[]).await.status(), StatusCode::SEE_OTHER);
    order(&scene.page("/wall", "lee").await, high, "A bed cannot be shown");
    // Now the bed that cannot be shown has a high alarm that nobody has answered.
    both(&mut scene, 1900, 1900, 13);
    order(&scene.page("/wall", "lee").await, "Alarm at a bed that cannot be shown: go there now", high);
}
