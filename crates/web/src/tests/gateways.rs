//! Silent beds behind one gateway.

use super::scene::Scene;
use axum::http::StatusCode;
use testward::Gateway;
use vitals::PatientId;

/// The alarms of a page, apart from its tiles.
fn strip(page: &str) -> &str {
    let from = page.find("class=\"strip\"").unwrap_or_else(|| panic!("no strip: {page}"));
    let until = page[from..].find("</ol>").unwrap();
    &page[from..from + until]
}

/// A ward with a second gateway that carries three more beds.
fn scene() -> (Scene, Gateway, [PatientId; 3]) {
    let mut scene = Scene::new();
    let three = ["carl", "dora", "emil"].map(|name| scene.ward.patient(name));
    scene.ward.block();
    let second = scene.ward.gateway(2, &three);
    scene.settle();
    (scene, second, three)
}

/// One second after the other: Amira's bed sends, and these boards of the second gateway.
fn pass(scene: &mut Scene, second: &mut Gateway, boards: &[usize], seconds: u64) {
    for _ in 0..seconds {
        scene.ward.pass(1000);
        let at_ms = scene.ward.now_ms;
        let bytes = scene.gateway.sensors[0].pulse(720, at_ms);
        scene.ward.carry(scene.gateway.id(), &[bytes]);
        for board in boards {
            let bytes = second.sensors[*board].pulse(700, at_ms);
            scene.ward.carry(second.id(), &[bytes]);
        }
    }
    scene.settle();
}

#[tokio::test]
async fn silent_beds_behind_one_gateway_are_one_alarm_that_one_answer_covers() {
    let (mut scene, mut second, three) = scene();
    pass(&mut scene, &mut second, &[0, 1, 2], 2);
    pass(&mut scene, &mut second, &[], 17);
    let wall = scene.page("/wall", "lee").await;
    let alarms = strip(&wall);
    assert_eq!(alarms.matches("<li ").count(), 1, "{alarms}");
    assert!(alarms.contains("no data from 3 beds"), "{alarms}");
    for place in ["bed of carl", "bed of dora", "bed of emil"] {
        assert!(alarms.contains(place), "{place}: {alarms}");
    }
    let tiles = wall.split("<article").skip(1).filter(|tile| tile.contains("Technical</span>"));
    assert_eq!(tiles.count(), 3, "each tile still says so: {wall}");
    let answer = format!("/gateways/{}/acknowledge", second.id());
    assert!(alarms.contains(&format!("action=\"{answer}\"")), "{alarms}");
    for who in ["amira", "admin", "fay"] {
        assert_eq!(scene.post(&answer, who, &[]).await.status(), StatusCode::NOT_FOUND, "{who}");
    }
    assert_eq!(scene.post(&answer, "lee", &[]).await.status(), StatusCode::SEE_OTHER);
    let wall = scene.page("/wall", "lee").await;
    assert!(strip(&wall).contains("owner lee") && !strip(&wall).contains("Acknowledge"), "{wall}");
    let owners = wall.matches("class=\"owner\">lee · ").count();
    assert_eq!(owners, 3, "each bed's alarm is answered: {wall}");
    assert_eq!(scene.post(&answer, "lee", &[]).await.status(), StatusCode::BAD_REQUEST, "answered once");
    assert_eq!(three.len(), 3);
}

#[tokio::test]
async fn a_silent_bed_beside_others_that_are_heard_is_an_alarm_of_its_own() {
    let (mut scene, mut second, _) = scene();
    pass(&mut scene, &mut second, &[0, 1, 2], 2);
    pass(&mut scene, &mut second, &[2], 17);
    let wall = scene.page("/wall", "lee").await;
    let alarms = strip(&wall);
    assert_eq!(alarms.matches("<li ").count(), 2, "{alarms}");
    assert!(!alarms.contains("Gateway"), "{alarms}");
    // The last one falls silent as well: now it is the gateway. All send again: no alarm is left.
    pass(&mut scene, &mut second, &[], 17);
    assert_eq!(strip(&scene.page("/wall", "lee").await).matches("<li ").count(), 1);
    pass(&mut scene, &mut second, &[0, 1, 2], 2);
    assert!(scene.page("/wall", "lee").await.contains("No alarms"));
}
