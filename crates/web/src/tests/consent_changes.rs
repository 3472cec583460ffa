//! A patient changes, pauses and resumes what they allow, on their own page.

use super::consents::{borrowed, hidden};
use super::scene::{Scene, goes_to, text};
use axum::http::StatusCode;

#[tokio::test]
async fn a_consent_is_changed_in_a_form_that_says_what_it_says_now_and_what_happens() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let change = format!("/me/consents/{}/change", scene.consent);
    assert!(scene.page("/me", "amira").await.contains(&format!("href=\"{change}\"")));
    let form = scene.page(&change, "amira").await;
    assert!(form.contains("Change a consent") && form.contains("selected>lee, clinician"), "{form}");
    assert!(!form.contains("kim, clinician"), "it stays a consent for the same person");
    assert_eq!(form.matches("value=\"yes\" checked").count(), 4);
    assert!(
        form.contains("value=\"same\" checked") && form.contains("until 23 November 2026, 12:00:00 UTC"),
        "{form}"
    );
    for who in ["bela", "lee", "fay", "admin"] {
        assert_eq!(scene.get(&change, who).await.status(), StatusCode::NOT_FOUND, "{who}");
    }
    let (lee, consent) = (scene.ward.as_("lee").person.to_string(), scene.consent.to_string());
    let narrower = [
        ("who", lee.as_str()),
        ("other", ""),
        ("vitals", "yes"),
        ("from", ""),
        ("length", "day"),
        ("until", ""),
        ("offsets", ""),
        ("replaces", consent.as_str()),
    ];
    let shown = text(scene.post("/me/consents/preview", "amira", &narrower).await).await;
    assert!(shown.contains("Change this consent?") && shown.contains("only what both say"), "{shown}");
    assert!(shown.contains("<b>Nothing</b>") || shown.contains("<b>The last 2 hours"), "{shown}");
    let record = format!("/patients/{}", scene.amira);
    assert!(scene.page(&record, "lee").await.contains("room values"));
    let given = scene.post("/me/consents", "amira", &borrowed(&hidden(&shown))).await;
    assert!(goes_to(&given).starts_with("/me?changed="), "{}", goes_to(&given));
    let me = scene.page(goes_to(&given).split('#').next().unwrap(), "amira").await;
    assert!(me.contains("Your consent is changed.") && me.contains("being changed:"), "{me}");
    let now = scene.page(&record, "lee").await;
    assert!(now.contains("lets you see vital signs for treatment"), "at once: {now}");
    scene.settle();
    scene.settle();
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("another consent of yours took its place") && !me.contains("being changed:"), "{me}");
    assert!(scene.page(&record, "lee").await.contains("lets you see vital signs for treatment"));
    assert_eq!(scene.get(&change, "amira").await.status(), StatusCode::NOT_FOUND, "that one is over");
}

#[tokio::test]
async fn a_paused_consent_says_so_closes_the_record_and_is_resumed() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let record = format!("/patients/{}", scene.amira);
    let (pause, resume) =
        (format!("/me/consents/{}/pause", scene.consent), format!("/me/consents/{}/resume", scene.consent));
    assert!(scene.page("/me", "amira").await.contains(&format!("action=\"{pause}\"")));
    for who in ["bela", "lee", "fay", "admin"] {
        for path in [&pause, &resume] {
            assert_eq!(scene.post(path, who, &[]).await.status(), StatusCode::NOT_FOUND, "{who}");
        }
    }
    let stream = scene.get(&format!("/live?with={}-treatment", scene.amira), "lee").await;
    let done = scene.post(&pause, "amira", &[]).await;
    let me = scene.page(goes_to(&done).split('#').next().unwrap(), "amira").await;
    for said in ["Paused at this hospital", "The ledger does not know of the pause", &resume] {
        assert!(me.contains(said), "{said}: {me}");
    }
    assert_eq!(scene.get(&record, "lee").await.status(), StatusCode::FORBIDDEN);
    let mut told = String::new();
    let mut pieces = futures::StreamExt::boxed(stream.into_body().into_data_stream());
    while !told.contains("has paused the consent") {
        let piece = futures::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        told.push_str(core::str::from_utf8(&piece).unwrap());
    }
    let seen = scene.page(&format!("/me/seen-by/{}", scene.ward.as_("lee").person), "amira").await;
    assert!(!seen.contains("All of it"), "{seen}");
    assert_eq!(scene.post(&pause, "amira", &[]).await.status(), StatusCode::SEE_OTHER, "twice is once");
    let done = scene.post(&resume, "amira", &[]).await;
    assert!(scene.page(goes_to(&done).split('#').next().unwrap(), "amira").await.contains("Resumed:"));
    assert_eq!(scene.get(&record, "lee").await.status(), StatusCode::OK);
}
