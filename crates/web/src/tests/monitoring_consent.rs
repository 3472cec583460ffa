//! Whether the ward watches a patient, as the patient sees and decides it.

use super::scene::{Scene, goes_to, text};
use axum::http::StatusCode;
use vitals::ledger::{Ledger, Purpose};

const DAY_MS: u64 = 86_400_000;

/// The consent under which the ward watches Amira.
fn watching(scene: &Scene) -> String {
    let records = scene.ward.clinic.vault().terms_of(scene.amira);
    let stands =
        |grant| scene.ward.ledger.grant(grant).unwrap().is_some_and(|grant| grant.revoked_at_ms == 0);
    let record = records.into_iter().find(|r| r.terms.purpose == Purpose::Monitoring && stands(r.grant));
    format!("/me/consents/{}/revoke", record.unwrap().grant)
}

#[tokio::test]
async fn ending_the_ward_s_watching_is_asked_and_says_that_nobody_will_be_called() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let revoke = watching(&scene);
    let me = scene.page("/me", "amira").await;
    assert!(
        me.contains(&format!("href=\"{revoke}\"")) && !me.contains(&format!("action=\"{revoke}\"")),
        "{me}"
    );
    let question = scene.page(&revoke, "amira").await;
    for said in ["Nobody will be called", "Keep watching me", "name=\"confirm\" value=\"yes\""] {
        assert!(question.contains(said), "{said}: {question}");
    }
    assert!(scene.page("/wall", "lee").await.contains("bed of amira"), "asking changes nothing");
    assert_eq!(scene.post(&revoke, "amira", &[]).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(scene.post(&revoke, "amira", &[("confirm", "no")]).await.status(), StatusCode::BAD_REQUEST);
    assert!(scene.page("/me", "amira").await.contains("Your ward watches you"), "one tap ends nothing");
    for who in ["bela", "lee", "admin", "fay", "ada"] {
        assert_eq!(scene.get(&revoke, who).await.status(), StatusCode::NOT_FOUND, "{who}");
    }
    // The question about another consent has other words.
    let other = scene.page(&format!("/me/consents/{}/revoke", scene.consent), "amira").await;
    assert!(other.contains("Withdraw the consent to lee?") && !other.contains("Nobody will be called"));
}

#[tokio::test]
async fn after_revoking_the_page_says_that_nobody_watches_and_the_way_back_is_a_form() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let revoke = watching(&scene);
    let done = scene.post(&revoke, "amira", &[("confirm", "yes")]).await;
    let me = scene.page(goes_to(&done), "amira").await;
    assert!(me.contains("Nobody is watching you") && me.contains("nobody will be called"), "{me}");
    for untrue in
        ["your device is working", "paired and working", "are in your limits", "Your ward watches you"]
    {
        assert!(!me.contains(untrue), "{untrue}: {me}");
    }
    assert_eq!(
        scene.get(&revoke, "amira").await.status(),
        StatusCode::NOT_FOUND,
        "there is none to withdraw"
    );
    let wrong = scene.post("/me/watch", "amira", &[("days", "10000")]).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(me.contains("action=\"/me/watch\"") && me.contains("Let the ward watch me again"));
    let back = scene.post("/me/watch", "amira", &[("days", "30")]).await;
    assert_eq!(back.status(), StatusCode::SEE_OTHER);
    let me = scene.page(goes_to(&back), "amira").await;
    assert!(me.contains("Watching is about to begin") && !me.contains("1970"), "{me}");
    scene.settle();
    scene.beats(720, 3);
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("Your ward watches you") && me.contains("in your limits"), "{me}");
    assert!(scene.page("/wall", "lee").await.contains(">72</b>"), "the ward sees the values again");
    let again = text(scene.get(&watching(&scene), "amira").await).await;
    assert!(again.contains("Nobody will be called"), "and the new consent can be withdrawn as well");
}

#[tokio::test]
async fn the_end_of_watching_is_announced_days_before_with_a_form_to_renew_it() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let given_ms = scene.ward.now_ms;
    assert!(!scene.page("/me", "amira").await.contains("Watching ends soon"));
    scene.ward.now_ms = given_ms + 30 * DAY_MS - 4 * DAY_MS;
    scene.settle();
    scene.sign_in_again();
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("Watching ends soon") && me.contains("in 3 days"), "{me}");
    assert!(me.contains("Go on watching me"));
    scene.post("/me/watch", "amira", &[("days", "30")]).await;
    scene.settle();
    let me = scene.page("/me", "amira").await;
    assert!(!me.contains("Watching ends soon") && me.contains("Your ward watches you"), "{me}");
    let first = text(scene.get(&watching(&scene), "amira").await).await;
    assert!(first.contains("Another consent of yours still lets the ward watch you"), "{first}");
    // Past the end of the first consent the second one holds.
    scene.ward.now_ms = given_ms + 31 * DAY_MS;
    scene.settle();
    scene.sign_in_again();
    scene.beats(720, 3);
    assert!(scene.page("/me", "amira").await.contains("Your ward watches you"));
    assert!(scene.page("/wall", "lee").await.contains(">72</b>"));
}

#[tokio::test]
async fn a_pause_is_offered_instead_of_an_end_and_watching_goes_on_by_itself() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let question = scene.page(&watching(&scene), "amira").await;
    assert!(question.contains("action=\"/me/pause\"") && question.contains("Pause instead"), "{question}");
    let wrong = scene.post("/me/pause", "amira", &[("minutes", "61")]).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let paused = scene.post("/me/pause", "amira", &[("minutes", "10")]).await;
    assert_eq!(goes_to(&paused), "/me");
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("Watching is paused") && me.contains("Nobody will be called"), "{me}");
    assert!(!me.contains("paired and working") && !me.contains("are in your limits"), "{me}");
    assert!(!scene.page("/wall", "lee").await.contains(">72</b>"), "the ward sees no values");
    scene.ward.pass(600_000);
    scene.beats(720, 3);
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("Your ward watches you") && me.contains("Your pause is over"), "{me}");
    assert!(scene.page("/wall", "lee").await.contains(">72</b>"));
    // Ended early by the patient.
    scene.post("/me/pause", "amira", &[("minutes", "60")]).await;
    assert!(scene.page("/me", "amira").await.contains("action=\"/me/resume\""));
    assert_eq!(scene.post("/me/resume", "amira", &[]).await.status(), StatusCode::SEE_OTHER);
    scene.beats(720, 3);
    assert!(scene.page("/wall", "lee").await.contains(">72</b>"));
}
