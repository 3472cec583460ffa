//! Live streams: what they carry, and when they close.

use super::attempts::GOOD_LIMITS;
use super::scene::{Scene, text};
use axum::body::BodyDataStream;
use axum::http::{StatusCode, header};
use futures::StreamExt;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vitals::ledger::Purpose;

/// Longest a test waits for an event. A strip alone is rendered every twenty beats: ten seconds on an idle machine.
const WAIT: Duration = Duration::from_secs(60);

struct Stream(BodyDataStream, String);

impl Stream {
    async fn open(scene: &Scene, path: &str, who: &str) -> Self {
        let response = scene.get(path, who).await;
        assert_eq!(response.status(), StatusCode::OK, "{path} as {who}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self(response.into_body().into_data_stream(), String::new())
    }

    /// The data of the next event of this name; none when the stream ends first.
    async fn until(&mut self, name: &str) -> Option<String> {
        let found = tokio::time::timeout(WAIT, self.next_of(name)).await;
        found.unwrap_or_else(|_| panic!("no event {name} in {WAIT:?}"))
    }

    async fn next_of(&mut self, name: &str) -> Option<String> {
        loop {
            if let Some(end) = self.1.find("\n\n") {
                let event = self.1[..end].to_string();
                self.1.drain(..end + 2);
                if event.lines().any(|line| line == format!("event: {name}")) {
                    let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
                    return Some(data.collect::<Vec<_>>().join("\n"));
                }
                continue;
            }
            let piece = self.0.next().await?.unwrap();
            self.1.push_str(core::str::from_utf8(&piece).unwrap());
        }
    }
}

#[tokio::test]
async fn the_wall_s_stream_carries_values_alarms_and_proofs() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let mut stream = Stream::open(&scene, "/live?with=wall", "lee").await;
    assert!(stream.until("beat").await.unwrap().contains("\"now\""));
    assert!(stream.until("ward").await.unwrap().contains("bed of amira"), "all of it at once");
    scene.beats(1400, 13);
    let values = stream.until("values").await.unwrap();
    assert!(values.contains(&scene.amira.to_string()) && values.contains("1400"), "{values}");
    let alarm = stream.until("alarm").await.unwrap();
    assert!(alarm.contains("High alarm. Heart rate 140 ≥ 131. bed of amira · amira"), "{alarm}");
    // All that is shown and sounded is in the event itself.
    let strip = stream.until("strip").await.unwrap();
    for part in ["/acknowledge", "data-priority=\\\"high\\\"", "data-active=\\\"true\\\"", "High, 1 alarm"] {
        assert!(strip.contains(part), "{part}: {strip}");
    }
    let tile = stream.until("tile").await.unwrap();
    assert!(tile.contains("tile high") && tile.contains("bed of amira"), "{tile}");
    // How far values are proven comes as a size of the log, that marks on the page are compared with.
    let proven = |proof: &str| {
        let proof: serde_json::Value = serde_json::from_str(proof).unwrap();
        proof["final"].as_u64().unwrap()
    };
    let before = proven(&stream.until("proof").await.unwrap());
    scene.beats(1400, 2);
    scene.ward.anchor();
    let after = loop {
        let size = proven(&stream.until("proof").await.unwrap());
        if size != before {
            break size;
        }
    };
    assert!(after > before, "{after} after {before}");
}

#[tokio::test]
async fn every_page_of_a_clinician_shows_the_alarms_of_all_beds() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let (patient, proof) = (format!("/patients/{}", scene.amira), "/proof/0");
    for (path, who) in
        [("/wall", "lee"), ("/help", "lee"), (proof, "lee"), ("/wall", "kim"), ("/help", "kim")]
    {
        let page = scene.page(path, who).await;
        assert!(page.contains("<title>High, 1 alarm – "), "{path} as {who}");
        assert!(page.contains("id=\"alarms\"") && page.contains("Heart rate 140 ≥ 131"), "{path} as {who}");
        assert!(page.contains("data-live=\"/live\""), "{path} as {who}: the stream follows");
    }
    // The page of a refusal reads nothing; the stream brings the alarms.
    let absent = text(scene.get("/nothing-here", "lee").await).await;
    assert!(absent.contains("data-live=\"/live\"") && absent.contains("id=\"alarms\""));
    assert!(!absent.contains("140 ≥ 131") && absent.contains("not shown here yet"));
    // On the patient's own page the alarm has its place there, and the strip is for the other beds.
    let page = scene.page(&patient, "lee").await;
    assert!(page.contains("<title>High, 1 alarm – ") && page.contains("No alarm at another bed"));
    assert_eq!(page.matches("Heart rate 140 ≥ 131</p>").count(), 1, "no alarm twice");
    // So too when its form was refused: the record is open, and whoever reads it is on duty.
    let limits = [GOOD_LIMITS, &[("above_low", "150")]].concat();
    let limits: Vec<_> = limits.into_iter().filter(|field| *field != ("above_low", "100")).collect();
    let refused = scene.post(&format!("{patient}/limits"), "lee", &limits).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused = text(refused).await;
    assert!(refused.contains("<title>High, 1 alarm – ") && refused.contains("No alarm at another bed"));
    // Nobody else sees other people's alarms.
    for (path, who) in
        [("/help", ""), ("/help", "bela"), ("/me", "amira"), ("/help", "admin"), ("/help", "fay")]
    {
        let page = scene.page(path, who).await;
        assert!(!page.contains("id=\"alarms\"") && !page.contains("High, 1 alarm"), "{path} as {who}");
    }
}

#[tokio::test]
async fn the_page_of_a_bed_that_nobody_watches_shows_the_alarms_of_all_beds() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let (amira, now_ms) = (scene.ward.as_("amira"), scene.ward.now_ms);
    let page = scene.ward.clinic.own_page(&amira, now_ms).unwrap();
    let monitoring = page.grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap();
    scene.ward.clinic.revoke_grant(&amira, monitoring.grant, now_ms).unwrap();
    scene.beats(720, 30);
    let path = format!("/patients/{}/unwatched", scene.amira);
    let page = scene.page(&path, "lee").await;
    let refused = text(scene.post(&path, "lee", &[("reason", "?")]).await).await;
    for page in [page, refused] {
        let (_, strip) = page.split_once("id=\"alarms\"").expect("a strip of alarms");
        assert!(strip.contains("Nobody watches: ") && !strip.contains("not shown here yet"), "{page}");
    }
}

#[tokio::test]
async fn one_stream_carries_the_wall_and_every_open_record() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let topic = format!("{}-treatment", scene.amira);
    // A record that the reader may not see closes; the rest of the stream goes on.
    let none = format!("{}-treatment", scene.bela);
    let mut stream = Stream::open(&scene, &format!("/live?with=wall,{topic},{none}"), "lee").await;
    let closed = stream.until("closed").await.unwrap();
    assert!(closed.contains(&none) && closed.contains("may not see"), "{closed}");
    assert!(stream.until("ward").await.unwrap().contains("bed of amira"), "the tiles of the wall");
    assert!(stream.until("now").await.unwrap().contains(&topic), "and the record");
    scene.beats(1400, 13);
    assert!(stream.until("strip").await.unwrap().contains("High, 1 alarm"));
    assert!(stream.until("tile").await.unwrap().contains("tile high"));
    let part = stream.until("now").await.unwrap();
    assert!(part.contains(&topic) && part.contains("/acknowledge"), "{part}");
    let absent = "00112233445566778899aabbccddeeff-treatment";
    let mut stream = Stream::open(&scene, &format!("/live?with={absent}"), "lee").await;
    let unknown = stream.until("closed").await.unwrap();
    assert_eq!(unknown.replace(absent, ""), closed.replace(&none, ""), "unknown and forbidden look the same");
    let many: Vec<String> = (0..=web::live::TOPICS_MAX).map(|n| format!("{n:032x}-treatment")).collect();
    let path = format!("/live?with={}", many.join(","));
    assert_eq!(scene.get(&path, "lee").await.status(), StatusCode::BAD_REQUEST, "bounded");
}

#[tokio::test]
async fn a_stream_without_a_session_ends_with_an_event_that_says_so() {
    let scene = Scene::new();
    let request = scene.request("GET", "/live", "").header(header::ACCEPT, "text/event-stream");
    let response = scene.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = Stream(response.into_body().into_data_stream(), String::new());
    assert!(stream.until("ended").await.unwrap().contains("Your session has ended."));
    assert_eq!(stream.until("beat").await, None);
}

#[tokio::test]
async fn a_record_left_alone_closes_and_the_alarms_go_on() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let (patient, topic) = (format!("/patients/{}", scene.amira), format!("{}-treatment", scene.amira));
    scene.page(&patient, "lee").await;
    let stay = format!("{patient}/stay");
    assert_eq!(
        scene.post(&stay, "kim", &[]).await.status(),
        StatusCode::NOT_FOUND,
        "it never was open there"
    );
    // The wall beside it keeps the session; the blocks go on.
    let idle_s = clinic::IDLE_MS / 1000;
    for _ in 0..idle_s / 300 {
        scene.ward.pass(300_000);
        scene.settle();
        scene.page("/wall", "lee").await;
    }
    let mut stream = Stream::open(&scene, &format!("/live?with=wall,{topic}"), "lee").await;
    let closed = stream.until("closed").await.unwrap();
    assert!(closed.contains(&topic) && closed.contains("15 minutes"), "{closed}");
    assert!(stream.until("ward").await.is_some(), "the wall stays");
    assert_eq!(scene.post(&stay, "lee", &[]).await.status(), StatusCode::NOT_FOUND, "too late to stay");
    scene.page(&patient, "lee").await;
    let mut stream = Stream::open(&scene, &format!("/live?with={topic}"), "lee").await;
    assert!(stream.until("now").await.unwrap().contains(&topic), "somebody opened it again");
    assert_eq!(scene.post(&stay, "lee", &[]).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_wall_keeps_its_session_and_a_strip_alone_does_not() {
    let scene = Scene::new();
    let mut wall = Stream::open(&scene, "/live?with=wall", "lee").await;
    let mut strip = Stream::open(&scene, "/live", "kim").await;
    wall.until("ward").await.unwrap();
    strip.until("strip").await.unwrap();
    let late = scene.ward.now_ms + clinic::IDLE_MS - 1000;
    scene.now.store(late, std::sync::atomic::Ordering::SeqCst);
    // Decided again within ten seconds.
    assert!(wall.until("ward").await.is_some());
    scene.now.store(late + 2000, std::sync::atomic::Ordering::SeqCst);
    assert!(strip.until("ended").await.unwrap().contains("session"));
    assert!(wall.until("beat").await.is_some());
    assert_eq!(scene.get("/wall", "lee").await.status(), StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn a_bed_that_a_doctor_may_not_open_says_what_and_how() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let response = scene.get(&format!("/patients/{}", scene.amira), "kim").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let page = text(response).await;
    assert!(
        page.contains("bed of amira") && page.contains("no consent of this patient lets you read it"),
        "{page}"
    );
    assert!(
        page.contains("Heart rate 140 ≥ 131") && page.contains("/acknowledge"),
        "its alarm is still there"
    );
    assert!(page.contains("?for=monitoring") && page.contains("/wall"));
}

#[tokio::test]
async fn a_patients_page_is_sent_its_redrawn_part() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let topic = format!("{}-treatment", scene.amira);
    let mut stream = Stream::open(&scene, &format!("/live?with={topic}"), "lee").await;
    let part = stream.until("now").await.unwrap();
    assert!(part.contains("<div id=\\\"now\\\"") && !part.contains("/acknowledge"), "{part}");
    scene.beats(1400, 13);
    while !stream.until("now").await.unwrap().contains("/acknowledge") {}
    let mut own = Stream::open(&scene, "/live?with=me", "amira").await;
    scene.beats(1400, 1);
    assert!(own.until("values").await.unwrap().contains("1400"));
}

#[tokio::test]
async fn a_stream_closes_when_the_consent_is_withdrawn() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let topic = format!("{}-treatment", scene.amira);
    let mut stream = Stream::open(&scene, &format!("/live?with={topic}"), "lee").await;
    stream.until("beat").await.unwrap();
    let revoke = format!("/me/consents/{}/revoke", scene.consent);
    assert_eq!(scene.post(&revoke, "amira", &[("confirm", "yes")]).await.status(), StatusCode::SEE_OTHER);
    let why = stream.until("closed").await.expect("the reader learns why");
    assert!(why.contains("consent") && why.contains(&topic), "{why}");
    // Nothing of the record follows; the alarms of the ward go on.
    scene.beats(1400, 13);
    let mut told = String::new();
    for name in ["alarm", "strip", "beat", "beat"] {
        stream.until(name).await.unwrap();
        told.push_str(&stream.1);
    }
    assert!(!told.contains("event: values") && !told.contains("event: now"), "{told}");
}

#[tokio::test]
async fn a_stream_closes_when_the_session_ends() {
    let scene = Scene::new();
    let mut stream = Stream::open(&scene, "/live", "lee").await;
    stream.until("beat").await.unwrap();
    scene.post("/sign-out", "lee", &[]).await;
    assert!(stream.until("ended").await.unwrap().contains("session"));
    assert_eq!(stream.until("values").await, None);
}

#[tokio::test]
async fn nobody_is_sent_another_patients_values() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let mut stream = Stream::open(&scene, "/live?with=me", "bela").await;
    stream.until("beat").await.unwrap();
    scene.beats(1400, 13);
    scene.post("/sign-out", "bela", &[]).await;
    let mut all = String::new();
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(WAIT, stream.0.next()).await {
        all.push_str(core::str::from_utf8(&piece).unwrap());
    }
    assert!(
        all.contains("event: ended") && !all.contains("1400") && !all.contains(&scene.amira.to_string()),
        "{all}"
    );
}

#[tokio::test]
async fn a_bed_hidden_by_a_silent_policy_rings_on_the_wall_without_its_values() {
    let mut scene = Scene::new();
    let page = scene.ward.clinic.own_page(&scene.ward.as_("amira"), scene.ward.now_ms).unwrap();
    let monitoring = page.grants.iter().find(|grant| grant.purpose == Purpose::Monitoring).unwrap().grant;
    scene.ward.ledger.put_under_policy(monitoring);
    scene.ward.ledger.policies_say(Some(true));
    scene.beats(720, 8);
    scene.ward.clinic.refresh_policies(scene.ward.now_ms);
    scene.ward.ledger.policies_say(None);
    scene.beats(720, 8);
    scene.ward.clinic.refresh_policies(scene.ward.now_ms);
    let mut stream = Stream::open(&scene, "/live?with=wall", "lee").await;
    let strip = stream.until("strip").await.unwrap();
    assert!(
        strip.contains("A bed cannot be shown") && !strip.contains("data-active=\\\"true\\\""),
        "{strip}"
    );
    scene.beats(1900, 13);
    let alarm = stream.until("alarm").await.unwrap();
    assert!(
        alarm.contains("High alarm. Alarm at a bed that cannot be shown: go there now. bed of amira"),
        "{alarm}"
    );
    let strip = stream.until("strip").await.unwrap();
    for part in ["data-priority=\\\"high\\\"", "data-active=\\\"true\\\"", "bed of amira", "High, 1 alarm"] {
        assert!(strip.contains(part), "{part}: {strip}");
    }
    for told in [&alarm, &strip] {
        assert!(
            !told.contains("190") && !told.contains("Heart rate") && !told.contains("acknowledge"),
            "{told}"
        );
    }
    let metrics = scene.page("/metrics", "").await;
    assert!(metrics.contains("aceso_policies_silent 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_wall_that_cannot_be_recorded_names_its_beds_and_is_a_fault_of_the_node() {
    let mut scene = Scene::new();
    scene.beats(1900, 13);
    scene.ward.switches.full.store(true, Ordering::SeqCst);
    let wall = scene.page("/wall", "kim").await;
    for part in ["the access log cannot be written", "data-priority=\"high\"", "bed of amira"] {
        assert!(wall.contains(part), "{part}");
    }
    assert!(!wall.contains("190") && wall.contains("<title>High, 1 alarm – "));
    assert_eq!(scene.get("/healthz", "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(scene.page("/metrics", "").await.contains("aceso_access_log_failing 1\n"));
    // Nothing else can be recorded either.
    let health = text(scene.get("/healthz", "").await).await;
    assert!(health.starts_with("the record cannot be written"), "{health}");
    assert!(scene.page("/metrics", "").await.contains("aceso_record_refused 1\n"));
    scene.ward.switches.full.store(false, Ordering::SeqCst);
    assert!(scene.page("/wall", "kim").await.contains("190 ≥ 131"), "shown once it can be recorded");
    assert_eq!(scene.page("/healthz", "").await, "well\n");
    assert!(scene.page("/metrics", "").await.contains("aceso_record_refused 0\n"));
}
