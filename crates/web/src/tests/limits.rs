//! Limits and silences as pages show and change them.

use super::attempts::GOOD_LIMITS;
use super::scene::{Scene, goes_to, text};
use axum::http::StatusCode;

/// The form of the heart rate with other values in these fields.
fn form<'a>(with: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = GOOD_LIMITS.to_vec();
    for (name, value) in with {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields
}

const OFF: [(&str, &str); 3] = [("above_low", ""), ("above_medium", ""), ("above_high", "")];

fn off<'a>(with: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    form(&[&OFF[..], with].concat())
}

#[tokio::test]
async fn limits_are_changed_or_the_form_comes_back_with_the_reason() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let path = format!("/patients/{}/limits", scene.amira);
    let response = scene.post(&path, "lee", &form(&[])).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let there = goes_to(&response).replace("#limits", "");
    let page = scene.page(&there, "lee").await;
    let (_, card) = page.split_once("id=\"limits\"").expect("the place the address leads to");
    assert!(card.contains("The new limits are in force") && card.contains("Alarms ≤ 50 or ≥ 100"));
    let again = scene.page(&there, "lee").await;
    assert!(!again.contains("The new limits are in force"), "said once, not again when the page is reloaded");
    // Sent again, nothing is changed, and nothing written.
    let twice = scene.post(&path, "lee", &form(&[])).await;
    assert_eq!(twice.status(), StatusCode::SEE_OTHER);
    let page = scene.page(&goes_to(&twice).replace("#limits", ""), "lee").await;
    let (_, card) = page.split_once("id=\"limits\"").expect("the place the address leads to");
    assert!(card.contains("Nothing was changed: these limits are in force already"), "{card}");
    assert!(!page.contains("The new limits are in force"));
    assert_eq!(page.matches("Limits of heart rate changed").count(), 1, "{page}");
    for (with, why) in [
        (("above_low", "150"), "must lie further out"),
        (("reason", " "), "Say in a few words why"),
        (("minutes", "61"), "no such length of time"),
    ] {
        let response = scene.post(&path, "lee", &form(&[with])).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{why}");
        let page = text(response).await;
        assert!(page.contains(why) && page.contains("value=\"140\""), "what was entered is still there");
        let (_, form) = page.split_once("<details open>").expect("the form that was sent is open");
        let (form, _) = form.split_once("</form>").expect("it ends");
        assert!(form.contains(why), "the reason stands in the form, not at the top of the page");
        assert!(form.contains("id=\"limits-problem\" tabindex=\"-1\" autofocus"), "and is scrolled to");
    }
    for who in ["amira", "admin", "fay"] {
        assert_eq!(scene.post(&path, who, &form(&[])).await.status(), StatusCode::NOT_FOUND, "{who}");
    }
    let odd = form(&[("metric", "humidity of the moon")]);
    assert_eq!(scene.post(&path, "lee", &odd).await.status(), StatusCode::BAD_REQUEST);
    let short: Vec<_> = form(&[]).into_iter().filter(|(name, _)| *name != "below_high").collect();
    let short = scene.post(&path, "lee", &short).await;
    assert_eq!(short.status(), StatusCode::BAD_REQUEST);
    assert!(text(short).await.contains("The field below_high is missing. Nothing was changed."));
}

#[tokio::test]
async fn an_alarm_is_turned_off_only_after_a_question_and_shows_a_crossed_bell() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let path = format!("/patients/{}/limits", scene.amira);
    let patient = format!("/patients/{}", scene.amira);
    // Without an end, and with one but unasked: a question, and nothing changed.
    for with in [&[("minutes", "")][..], &[("minutes", "30")], &[("minutes", ""), ("off", "yes")]] {
        let response = scene.post(&path, "lee", &off(with)).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{with:?}");
        let page = text(response).await;
        assert!(page.contains("Turn the alarm for high heart rate off?"), "{page}");
        assert!(page.contains("Nobody will be called") && page.contains("name=\"off\" value=\"yes\""));
    }
    let asked = text(scene.post(&path, "lee", &off(&[])).await).await;
    assert!(asked.contains("value=\"60\" selected>1 hour"), "an hour unless said otherwise");
    assert!(scene.page("/wall", "lee").await.contains("In limits"), "nothing was changed");
    let done = scene.post(&path, "lee", &off(&[("minutes", "60"), ("off", "yes")])).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    for (path, who) in [("/wall", "lee"), (patient.as_str(), "lee"), ("/me", "amira")] {
        let page = scene.page(path, who).await;
        assert!(page.contains("#i-mute"), "{path}");
        assert!(page.contains("Alarm off: high heart rate, by lee (agreed on the round), until"), "{path}");
        assert!(!page.contains("In limits") && !page.contains("in your limits"), "{path}");
    }
    // A fast heart raises nothing, and is still not called well.
    scene.beats(1400, 13);
    let wall = scene.page("/wall", "lee").await;
    assert!(!wall.contains("≥ 131") && !wall.contains("In limits") && wall.contains("Alarm off"), "{wall}");
    let back = scene.post(&format!("{path}/back"), "lee", &[("metric", "heart_rate")]).await;
    assert_eq!(back.status(), StatusCode::SEE_OTHER);
    scene.beats(1400, 12);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("Heart rate 140 ≥ 131") && !wall.contains("Alarm off"), "{wall}");
}

#[tokio::test]
async fn when_its_time_is_over_an_alarm_is_back_and_the_page_says_so() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let path = format!("/patients/{}/limits", scene.amira);
    scene.post(&path, "lee", &off(&[("minutes", "15"), ("off", "yes")])).await;
    scene.ward.pass(600_000);
    scene.settle();
    assert!(scene.page("/wall", "lee").await.contains("Alarm off: high heart rate, by lee"));
    scene.ward.pass(300_000);
    scene.beats(720, 2);
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("The usual limits of heart rate are back since"), "{wall}");
    assert!(!wall.contains("Alarm off") && wall.contains("In limits"), "{wall}");
    let page = scene.page(&format!("/patients/{}?range=1h", scene.amira), "lee").await;
    assert!(page.contains("Alarm turned off: high heart rate, until"), "{page}");
    assert!(page.contains("the time of the change was over"), "{page}");
    assert!(page.contains("upper high limit from none to 131"), "old and new value: {page}");
}

#[tokio::test]
async fn an_old_line_keeps_the_words_of_its_time() {
    let mut scene = Scene::new();
    scene.beats(1420, 13);
    let patient = format!("/patients/{}", scene.amira);
    let line = "Raised: Heart rate 142 ≥ 131.";
    assert!(scene.page(&patient, "lee").await.contains(line));
    scene.beats(720, 2);
    // Whatever is changed afterwards.
    let limits = format!("{patient}/limits");
    for with in [
        form(&[("above_low", "150"), ("above_medium", "160"), ("above_high", "170")]),
        off(&[("minutes", "60"), ("off", "yes")]),
    ] {
        assert_eq!(scene.post(&limits, "lee", &with).await.status(), StatusCode::SEE_OTHER);
        scene.beats(720, 2);
        let page = scene.page(&patient, "lee").await;
        assert!(page.contains(line), "{page}");
        assert!(!page.contains("Raised: Heart rate high: 142"), "{page}");
    }
    // What happens later is shown with the limits of that time.
    scene.post(&format!("{limits}/back"), "lee", &[("metric", "heart_rate")]).await;
    scene.beats(1750, 13);
    let page = scene.page(&patient, "lee").await;
    assert!(page.contains(line) && page.contains("Heart rate 175 ≥ 170."), "{page}");
    for told in ["upper high limit from 131 to 170", "Reason: agreed on the round", "by lee"] {
        assert!(page.contains(told), "{told}: {page}");
    }
}

#[tokio::test]
async fn a_silence_is_ended_on_the_page_and_given_after_an_answer() {
    let mut scene = Scene::new();
    scene.beats(1400, 13);
    let alarm = format!("/patients/{}/alarms/257", scene.amira);
    let early = scene.post(&format!("{alarm}/sound"), "lee", &[]).await;
    assert_eq!(early.status(), StatusCode::BAD_REQUEST, "there is no silence to end");
    scene.post(&format!("{alarm}/silence"), "lee", &[]).await;
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("End silence") && silenced_until_ms(&wall) > scene.ward.now_ms, "{wall}");
    let ended = scene.post(&format!("{alarm}/sound"), "lee", &[("back", "/wall")]).await;
    assert_eq!((ended.status(), goes_to(&ended)), (StatusCode::SEE_OTHER, "/wall"));
    let wall = scene.page("/wall", "lee").await;
    assert!(!wall.contains("silenced until") && silenced_until_ms(&wall) <= scene.ward.now_ms, "{wall}");
    scene.post(&format!("{alarm}/acknowledge"), "lee", &[]).await;
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("owner lee") && wall.contains("Silence 2 min"), "{wall}");
    scene.post(&format!("{alarm}/silence"), "lee", &[]).await;
    assert!(scene.page("/wall", "lee").await.contains("silenced until"));
    let page = scene.page(&format!("/patients/{}", scene.amira), "lee").await;
    assert!(page.contains("Sound on again: heart rate high."), "it stands in the history: {page}");
}

/// Until when the first alarm of a page, which is active, is silenced.
fn silenced_until_ms(page: &str) -> u64 {
    let at = page.split("data-active=\"true\" data-silenced-ms=\"").nth(1).expect("an active alarm");
    at.split('"').next().and_then(|number| number.parse().ok()).expect("a moment")
}

/// The field `seen` of the first form.
fn seen(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"seen\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn a_page_that_shows_a_lesser_or_an_earlier_alarm_answers_none_that_is_worse_or_later() {
    let mut scene = Scene::new();
    let alarm = format!("/patients/{}/alarms/257", scene.amira);
    scene.beats(1150, 13);
    let old = scene.page("/wall", "lee").await;
    assert!(old.contains("1 medium"), "{old}");
    scene.beats(1400, 13);
    for what in ["acknowledge", "silence"] {
        let late = scene.post(&format!("{alarm}/{what}"), "lee", &[("seen", seen(&old))]).await;
        assert_eq!(late.status(), StatusCode::BAD_REQUEST, "{what}");
        assert!(text(late).await.contains("got worse or came back since you saw it"));
    }
    let wall = scene.page("/wall", "lee").await;
    assert!(wall.contains("1 high") && wall.contains("no owner yet") && !wall.contains("silenced until"));
    // Over, and back before the answer arrives.
    scene.beats(720, 2);
    let over = scene.page("/wall", "lee").await;
    scene.beats(1400, 2);
    let late = scene.post(&format!("{alarm}/acknowledge"), "lee", &[("seen", seen(&over))]).await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST);
    let now = scene.page("/wall", "lee").await;
    let done = scene.post(&format!("{alarm}/acknowledge"), "lee", &[("seen", seen(&now))]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert!(scene.page("/wall", "lee").await.contains("owner lee"));
}
