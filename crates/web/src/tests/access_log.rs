//! Who read my data: by person and session, and each with its own proof.

use super::scene::Scene;

/// The part of the page that lists who read.
fn readers(page: &str) -> &str {
    let from = page.find("id=\"access\"").unwrap();
    &page[from..from + page[from..].find("</ul>").unwrap()]
}

#[tokio::test]
async fn two_doctors_at_the_wall_are_two_lines_of_the_access_log() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    for who in ["lee", "kim", "lee", "kim"] {
        scene.page("/wall", who).await;
    }
    for address in ["/me", "/me?log=all"] {
        let page = scene.page(address, "amira").await;
        let lines = readers(&page);
        for name in ["lee", "kim"] {
            assert!(lines.contains(&format!("<b>{name}</b> watched your")), "{address}: {name}: {lines}");
        }
    }
}

#[tokio::test]
async fn entries_of_one_session_are_one_line_and_can_be_listed_one_by_one() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let chart = format!("/patients/{}", scene.amira);
    for _ in 0..3 {
        scene.page(&chart, "lee").await;
    }
    let page = scene.page("/me", "amira").await;
    assert_eq!(readers(&page).matches("<b>lee</b> looked at your").count(), 1);
    assert!(readers(&page).contains("3 times since"));
    let (_, again) = scene.ward.clinic.sign_in("lee", "a secret word", scene.ward.now_ms).unwrap();
    let span_ms = (scene.ward.now_ms - 900_000, scene.ward.now_ms);
    let request = clinic::ChartRequest {
        patient: scene.amira,
        purpose: vitals::ledger::Purpose::Treatment,
        classes: super::scene::CARE.to_vec(),
        span_ms,
        make_do: false,
    };
    scene.ward.clinic.open_chart(&again, &request, scene.ward.now_ms).unwrap();
    let page = scene.page("/me", "amira").await;
    assert_eq!(
        readers(&page).matches("<b>lee</b> looked at your").count(),
        2,
        "another session, another line"
    );
    let page = scene.page("/me?log=all", "amira").await;
    assert_eq!(readers(&page).matches("<b>lee</b> looked at your").count(), 4, "each with its own proof");
    assert!(!readers(&page).contains("times since"));
}

#[tokio::test]
async fn the_proof_page_of_an_access_entry_says_who_looked_at_what() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    scene.page("/wall", "kim").await;
    let page = scene.page("/me", "amira").await;
    let lines = readers(&page);
    let line = &lines[lines.find("<b>kim</b>").unwrap()..];
    let link = &line[line.find("/proof/").unwrap()..];
    let proof = scene.page(&link[..link.find('"').unwrap()], "amira").await;
    assert!(proof.contains("kim watched your"), "{proof}");
    assert!(proof.contains("for monitoring, under your consent"), "{proof}");
    let audited = scene.page(&link[..link.find('"').unwrap()], "ada").await;
    assert!(!audited.contains("kim watched"), "auditors see no content");
}
