//! A clinician asks for a consent on a page, and the patient answers on theirs.

use super::scene::{HOSTILE, Scene, goes_to, text};
use axum::http::StatusCode;

fn ask<'a>(patient: &'a str, other: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("patient", patient),
        ("vitals", "yes"),
        ("alarms", "yes"),
        ("reason", "Your night was restless"),
        ("days", "7"),
    ];
    for (name, value) in other {
        fields.retain(|(known, _)| known != name);
        if *value != "-" {
            fields.push((*name, *value));
        }
    }
    fields
}

#[tokio::test]
async fn a_doctor_asks_where_a_record_is_refused_and_the_patient_allows_less() {
    let mut scene = Scene::new();
    scene.beats(720, 2);
    let amira = scene.amira.to_string();
    let refused = text(scene.get(&format!("/patients/{amira}"), "kim").await).await;
    let there = format!("/asks?patient={amira}");
    assert!(
        refused.contains(&format!("href=\"{there}\"")) && refused.contains("Ask for a consent"),
        "{refused}"
    );
    let form = scene.page(&there, "kim").await;
    assert!(form.contains(&format!("value=\"{amira}\"")) && form.contains("bed of amira"), "{form}");
    let sent = scene.post("/asks", "kim", &ask(&amira, &[])).await;
    assert!(goes_to(&sent).starts_with("/asks?asked="), "{}", goes_to(&sent));
    let mine = scene.page(goes_to(&sent), "kim").await;
    assert!(mine.contains("Your request is kept.") && mine.contains("Not answered yet."), "{mine}");
    let me = scene.page("/me", "amira").await;
    assert!(me.contains("Somebody asks to see my data") && me.contains("<b>kim, clinician,</b>"), "{me}");
    assert!(me.contains("vital signs and alarms for 7 days: “Your night was restless”"), "{me}");
    assert!(!scene.page("/me", "bela").await.contains("Somebody asks"));
    // The way to the answer is filled with what was asked for.
    let from = me.find("/me/consents/new?ask=").unwrap();
    let answer = &me[from..from + me[from..].find('"').unwrap()];
    let id = &answer[answer.len() - 32..];
    let form = scene.page(answer, "amira").await;
    for filled in [
        "name=\"vitals\" value=\"yes\" checked",
        "name=\"alarms\" value=\"yes\" checked",
        "value=\"week\" checked",
        &format!("name=\"answers\" value=\"{id}\""),
        "selected>kim, clinician",
    ] {
        assert!(form.contains(filled), "{filled}: {form}");
    }
    assert!(!form.contains("name=\"profile\" value=\"yes\" checked"), "and with nothing else");
    assert_eq!(scene.get(answer, "bela").await.status(), StatusCode::NOT_FOUND);
    let kim = scene.ward.as_("kim").person.to_string();
    let less = [
        ("who", kim.as_str()),
        ("other", ""),
        ("alarms", "yes"),
        ("from", ""),
        ("length", "day"),
        ("until", ""),
        ("offsets", ""),
        ("answers", id),
    ];
    let shown = text(scene.post("/me/consents/preview", "amira", &less).await).await;
    let hidden = super::consents::hidden(&shown);
    let given = scene.post("/me/consents", "amira", &super::consents::borrowed(&hidden)).await;
    assert!(goes_to(&given).starts_with("/me?given="), "{}", goes_to(&given));
    scene.settle();
    let mine = scene.page("/asks", "kim").await;
    assert!(mine.contains("The patient gave you a consent") && mine.contains("Open the record"), "{mine}");
    let record = scene.page(&format!("/patients/{amira}"), "kim").await;
    assert!(record.contains("lets you see alarms for treatment"), "{record}");
    let me = scene.page("/me", "amira").await;
    assert!(!me.contains("Somebody asks") && me.contains("You gave a consent"), "{me}");
    assert_eq!(scene.get(answer, "amira").await.status(), StatusCode::NOT_FOUND, "it is answered");
}

#[tokio::test]
async fn who_has_a_consent_already_is_given_more_by_changing_it() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let amira = scene.amira.to_string();
    let more = ask(&amira, &[("alarms", "-")]);
    scene.post("/asks", "lee", &more).await;
    let me = scene.page("/me", "amira").await;
    let from = me.find("/me/consents/new?ask=").unwrap();
    let form = scene.page(&me[from..from + me[from..].find('"').unwrap()], "amira").await;
    assert!(form.contains(&format!("name=\"replaces\" value=\"{}\"", scene.consent)), "{form}");
    assert_eq!(form.matches("value=\"yes\" checked").count(), 4, "what is allowed already stays ticked");
}

#[tokio::test]
async fn a_no_is_seen_by_both_and_opens_nothing() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let amira = scene.amira.to_string();
    scene.post("/asks", "kim", &ask(&amira, &[])).await;
    let me = scene.page("/me", "amira").await;
    let from = me.find("/me/asks/").unwrap();
    let no = me[from..from + me[from..].find('"').unwrap()].to_owned();
    for who in ["bela", "kim", "lee", "admin", "fay"] {
        assert_eq!(scene.post(&no, who, &[]).await.status(), StatusCode::NOT_FOUND, "{who}");
    }
    let said = scene.post(&no, "amira", &[]).await;
    let me = scene.page(goes_to(&said), "amira").await;
    assert!(me.contains("Your answer is no.") && me.contains("You said no"), "{me}");
    assert!(scene.page("/asks", "kim").await.contains("The patient said no"));
    assert_eq!(scene.get(&format!("/patients/{amira}"), "kim").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(scene.post(&no, "amira", &[]).await.status(), StatusCode::SEE_OTHER, "twice is once");
}

#[tokio::test]
async fn whom_one_asks_looks_the_same_whether_or_not_they_are_there() {
    let scene = Scene::new();
    // Bela allows nobody anything, and stands on no wall.
    let (hidden, absent) = (scene.bela.to_string(), "00112233445566778899aabbccddeeff".to_owned());
    let mut seen = Vec::new();
    for patient in [&hidden, &absent] {
        let form = scene.page(&format!("/asks?patient={patient}"), "kim").await;
        let sent = scene.post("/asks", "kim", &ask(patient, &[])).await;
        let (status, to) = (sent.status(), goes_to(&sent).split('=').next().unwrap().to_owned());
        let again = scene.post("/asks", "kim", &ask(patient, &[])).await;
        let (twice, page) = (again.status(), text(again).await);
        let short = format!("{}…{}", &patient[..6], &patient[patient.len() - 4..]);
        let plain = |page: String| page.replace(patient.as_str(), "ID").replace(&short, "SHORT");
        // What was asked before stands in the list: only this request is compared.
        let problem = page.split("id=\"problem\"").nth(1).unwrap().split("</div>").next().unwrap().to_owned();
        let head = plain(form).split("id=\"mine\"").next().unwrap().to_owned();
        seen.push((head, status, to, twice, problem));
    }
    assert_eq!(seen[0], seen[1]);
    let list = scene.page("/asks", "kim").await;
    let lines: Vec<String> = list
        .split("<li class=\"say\">")
        .skip(1)
        .map(|line| line.split("</li>").next().unwrap().split("</b>").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!((lines.len(), &lines[0]), (2, &lines[1]), "and so does the list");
    assert!(!list.contains("alert(1)") && !list.contains(HOSTILE));
    assert!(scene.page("/me", "bela").await.contains("Somebody asks"));
}

#[tokio::test]
async fn a_request_that_does_not_fit_says_why_and_keeps_what_was_entered() {
    let scene = Scene::new();
    let amira = scene.amira.to_string();
    let long = "x".repeat(300);
    for (wrong, why) in [
        (&[("patient", "amira")][..], "has 32 digits"),
        (&[("patient", "")], "has 32 digits"),
        (&[("vitals", "-"), ("alarms", "-")], "choose at least one"),
        (&[("vitals", "maybe")], "no such kind of data"),
        (&[("reason", "")], "in a few words"),
        (&[("reason", &long)], "in a few words"),
        (&[("days", "365")], "no such number of days"),
    ] {
        let answer = scene.post("/asks", "kim", &ask(&amira, wrong)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
        let page = text(answer).await;
        assert!(page.contains("id=\"problem\"") && page.contains(why), "{wrong:?}: {page}");
        if wrong[0].0 != "reason" {
            assert!(page.contains("value=\"Your night was restless\""), "{wrong:?}");
        }
    }
    assert!(scene.page("/asks", "kim").await.contains("You have asked nobody"));
}
