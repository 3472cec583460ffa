//! Live streams: what they carry, and when they close.

use super::scene::Scene;
use axum::body::BodyDataStream;
use axum::http::{StatusCode, header};
use futures::StreamExt;
use std::time::Duration;

/// Longest a test waits for an event; a working stream takes milliseconds, or one check.
const WAIT: Duration = Duration::from_secs(8);

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
            let piece = tokio::time::timeout(WAIT, self.0.next()).await.expect("the stream says something");
            self.1.push_str(core::str::from_utf8(&piece?.unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn the_wall_is_told_values_alarms_and_proofs() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let mut stream = Stream::open(&scene, "/live", "lee").await;
    assert!(stream.until("beat").await.unwrap().contains("\"now\""));
    scene.beats(1400, 13);
    let values = stream.until("values").await.unwrap();
    assert!(values.contains(&scene.amira.to_string()) && values.contains("1400"), "{values}");
    let alarm = stream.until("alarm").await.unwrap();
    assert!(alarm.contains("High alarm. Heart rate 140 ≥ 131. bed of amira · amira"), "{alarm}");
}

#[tokio::test]
async fn a_patients_page_is_sent_its_redrawn_part() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let mut stream = Stream::open(&scene, &format!("/patients/{}/live", scene.amira), "lee").await;
    scene.beats(1400, 13);
    let part = stream.until("now").await.unwrap();
    assert!(part.starts_with("<div id=\"now\"") && part.contains("/acknowledge"), "{part}");
    let mut own = Stream::open(&scene, "/me/live", "amira").await;
    scene.beats(1400, 1);
    assert!(own.until("values").await.unwrap().contains("1400"));
}

#[tokio::test]
async fn a_stream_closes_when_the_consent_is_withdrawn() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let mut stream = Stream::open(&scene, &format!("/patients/{}/live", scene.amira), "lee").await;
    stream.until("beat").await.unwrap();
    let revoke = format!("/me/consents/{}/revoke", scene.consent);
    assert_eq!(scene.post(&revoke, "amira", &[("confirm", "yes")]).await.status(), StatusCode::SEE_OTHER);
    let why = stream.until("ended").await.expect("the reader is told why");
    assert!(why.contains("consent"), "{why}");
    assert_eq!(stream.until("values").await, None, "nothing follows");
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
    let mut stream = Stream::open(&scene, "/me/live", "bela").await;
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
