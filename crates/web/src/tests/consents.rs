//! A patient gives a consent on a page: chosen, shown in one sentence, confirmed once.

use super::scene::{HOSTILE, Scene, goes_to, text};
use axum::http::StatusCode;
use vitals::ledger::Purpose;

const NEW: &str = "/me/consents/new";
const PREVIEW: &str = "/me/consents/preview";
const GIVE: &str = "/me/consents";

/// What the form sends for Dr Kim, for a week; with these fields instead of its own.
fn form(scene: &Scene, other: &[(&str, &str)]) -> Vec<(String, String)> {
    let kim = scene.ward.as_("kim").person.to_string();
    let mut fields: Vec<(String, String)> = [
        ("who", kim.as_str()),
        ("other", ""),
        ("vitals", "yes"),
        ("alarms", "yes"),
        ("from", ""),
        ("length", "week"),
        ("until", ""),
        ("offsets", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in other {
        fields.retain(|(known, _)| known != name);
        if *value != "-" {
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    fields
}

pub(super) fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// What the second form of a page hands back.
pub(super) fn hidden(page: &str) -> Vec<(String, String)> {
    let from = page.find("action=\"/me/consents\"").unwrap();
    let form = &page[from..from + page[from..].find("</form>").unwrap()];
    let value = |tag: &str, name: &str| {
        let from = tag.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        tag[from..from + tag[from..].find('"').unwrap()].to_owned()
    };
    let tags = form.split("<input type=\"hidden\"").skip(1);
    let fields = tags.map(|tag| (value(tag, " name"), value(tag, " value")));
    fields.filter(|(name, _)| name != "csrf").collect()
}

fn consents(scene: &Scene) -> usize {
    let records = scene.ward.clinic.vault().terms_of(scene.amira).into_iter();
    records.filter(|record| record.terms.purpose != Purpose::Monitoring).count()
}

#[tokio::test]
async fn the_form_names_clinicians_and_relatives_and_nobody_else() {
    let scene = Scene::new();
    assert!(scene.page("/me", "amira").await.contains("href=\"/me/consents/new\""));
    let page = scene.page(NEW, "amira").await;
    for there in ["lee, clinician", "kim, clinician", "fay, family"] {
        assert!(page.contains(there), "{there}: {page}");
    }
    for absent in ["ada", "Administrator", HOSTILE] {
        assert!(!page.contains(&format!(">{absent}")), "{absent}");
    }
    scene.ward.ledger.suspend(scene.ward.as_("kim").person, scene.ward.now_ms);
    assert!(!scene.page(NEW, "amira").await.contains("kim, clinician"), "who is suspended is left out");
    let help = scene.page("/help", "lee").await;
    assert!(help.contains(&scene.ward.as_("lee").person.to_string()), "the id that a patient enters");
}

#[tokio::test]
async fn a_consent_is_said_in_one_sentence_then_given_once_and_followed_to_its_block() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let record = format!("/patients/{}", scene.amira);
    assert_eq!(scene.get(&record, "kim").await.status(), StatusCode::FORBIDDEN);
    let shown = scene.post(PREVIEW, "amira", &borrowed(&form(&scene, &[]))).await;
    assert_eq!(shown.status(), StatusCode::OK);
    let shown = text(shown).await;
    let sentence: String = {
        let from = shown.find("id=\"sentence\"").unwrap();
        let html = &shown[from + 14..from + shown[from..].find("</p>").unwrap()];
        let parts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        parts.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        sentence,
        "kim, clinician, may see your vital signs and alarms for treatment from now until 29 November 2026, \
         12:00:03 UTC, also what was recorded before, but not your room values, name and bed, notes, messages and \
         access log; you can take it back at any time."
    );
    assert!(shown.contains("The last 2 hours") && shown.contains("All of it: 3 sealed records"), "{shown}");
    assert_eq!(consents(&scene), 1, "nothing is given yet");
    assert_eq!(scene.get(&record, "kim").await.status(), StatusCode::FORBIDDEN);
    let again = hidden(&shown);
    let given = scene.post(GIVE, "amira", &borrowed(&again)).await;
    let address = goes_to(&given).to_owned();
    assert!(address.starts_with("/me?given="), "{address}");
    let me = scene.page(address.split('#').next().unwrap(), "amira").await;
    assert!(me.contains("Your consent is given.") && me.contains("it opens nothing yet"), "{me}");
    assert!(me.contains("Look again"));
    assert_eq!(scene.get(&record, "kim").await.status(), StatusCode::FORBIDDEN, "and that is true");
    let twice = scene.post(GIVE, "amira", &borrowed(&again)).await;
    assert!(goes_to(&twice).starts_with("/me?again="), "{}", goes_to(&twice));
    let id = address.split('#').nth(1).unwrap();
    assert!(goes_to(&twice).ends_with(id), "the same consent");
    scene.settle();
    assert_eq!(consents(&scene), 2, "one more than before, not two");
    let me = scene.page("/me", "amira").await;
    let height = scene.ward.clinic.health(scene.ward.now_ms).height;
    assert!(me.contains(&format!("block {height} of the ledger")) && !me.contains("Look again"), "{me}");
    assert_eq!(scene.get(&record, "kim").await.status(), StatusCode::OK);
    assert!(scene.page(&record, "kim").await.contains("vital signs and alarms for treatment"));
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_what_was_entered_is_kept() {
    let mut scene = Scene::new();
    scene.beats(720, 1);
    let lee = scene.ward.as_("lee").person.to_string();
    let ada = scene.ward.as_("ada").person.to_string();
    let own = scene.ward.as_("amira").person.to_string();
    let (unknown, long) = ("1".repeat(64), "x".repeat(200));
    let both = [("other", unknown.as_str())];
    for (wrong, field, why) in [
        (&[("who", "")][..], "who", "Choose a person, or enter"),
        (&both, "who", "not both"),
        (&[("who", ""), ("other", &unknown)], "who", "Nobody with this id is on the ledger"),
        (&[("who", ""), ("other", &long)], "who", "An id has 64 digits"),
        (&[("who", ""), ("other", "<b>lee</b>")], "who", "An id has 64 digits"),
        (&[("who", &ada)], "who", "open no records"),
        (&[("who", &own)], "who", "open no records"),
        (&[("who", &lee)], "who", "already allow this person"),
        (&[("vitals", "-"), ("alarms", "-")], "vitals", "choose at least one"),
        (&[("vitals", "no")], "vitals", "no such kind of data"),
        (&[("from", "2026-11-21")], "from", "cannot begin in the past"),
        (&[("from", "soon")], "from", "This is no day"),
        (&[("length", "date")], "until", "This is no day"),
        (&[("length", "date"), ("until", "2026-11-20")], "until", "must end in the future"),
        (&[("length", "date"), ("until", "2026-11-24"), ("from", "2026-11-25")], "until", "after it begins"),
        (&[("length", "date"), ("until", "2027-12-24")], "until", "at most a year"),
        (&[("length", "date"), ("until", "9999-12-31")], "until", ""),
        (&[("length", "ever")], "until", "Choose how long"),
    ] {
        let fields = form(&scene, wrong);
        let answer = scene.post(PREVIEW, "amira", &borrowed(&fields)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
        let page = text(answer).await;
        assert!(page.contains("role=\"alert\" id=\"problem\"") && page.contains(why), "{wrong:?}: {page}");
        let marked = |tag: &str| tag.contains("aria-invalid");
        let input = page.split('<').find(|tag| tag.contains(&format!("name=\"{field}\"")));
        let length = page.split('<').find(|tag| tag.contains("name=\"length\"")).unwrap();
        assert!(marked(input.unwrap()) || (field == "until" && marked(length)), "{field}: {page}");
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty() && value != "yes") {
            let kept = page.contains(&format!("value=\"{value}\" checked"))
                || page.contains(&format!("value=\"{value}\" selected"))
                || page.contains(&format!("type=\"text\" value=\"{value}\""))
                || page.contains(&format!("type=\"date\" value=\"{value}\""));
            // What is no choice of the form cannot stay chosen, and markup stays text.
            let known = !["ever", "no", "<b>lee</b>", &ada, &own].contains(&value.as_str());
            assert!(kept || !known, "{wrong:?}: {name} is lost");
        }
        assert!(!page.contains("<b>lee</b>\""), "{page}");
    }
    assert_eq!(consents(&scene), 1);
    let overlap = text(scene.post(PREVIEW, "amira", &borrowed(&form(&scene, &[("who", &lee)]))).await).await;
    assert!(overlap.contains(&format!("/me#consent-{}", scene.consent)), "the way to that one");
}

#[tokio::test]
async fn a_page_that_is_too_old_gives_nothing_and_keeps_what_was_entered() {
    let mut scene = Scene::new();
    let day = form(&scene, &[("length", "day")]);
    let shown = text(scene.post(PREVIEW, "amira", &borrowed(&day)).await).await;
    scene.ward.now_ms += 86_400_000;
    scene.settle();
    scene.sign_in_again();
    let late = scene.post(GIVE, "amira", &borrowed(&hidden(&shown))).await;
    assert_eq!(late.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(late).await;
    assert!(page.contains("must end in the future") && page.contains("value=\"day\" checked"), "{page}");
    assert_eq!(consents(&scene), 1);
    // A second window was quicker.
    let (one, two) = (form(&scene, &[]), form(&scene, &[("length", "stay")]));
    let one = text(scene.post(PREVIEW, "amira", &borrowed(&one)).await).await;
    let two = text(scene.post(PREVIEW, "amira", &borrowed(&two)).await).await;
    assert_eq!(scene.post(GIVE, "amira", &borrowed(&hidden(&one))).await.status(), StatusCode::SEE_OTHER);
    let second = scene.post(GIVE, "amira", &borrowed(&hidden(&two))).await;
    assert_eq!(second.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(second).await.contains("already allow this person"));
    assert_eq!(consents(&scene), 2);
    // Somebody else's form, and one that was not shown.
    let mut forged = hidden(&two);
    forged.iter_mut().filter(|(name, _)| name == "once").for_each(|(_, value)| *value = "zz".into());
    assert_eq!(scene.post(GIVE, "amira", &borrowed(&forged)).await.status(), StatusCode::BAD_REQUEST);
    for who in ["lee", "fay", "admin", "ada"] {
        let theirs = scene.post(GIVE, who, &borrowed(&hidden(&two))).await;
        assert_eq!(theirs.status(), StatusCode::NOT_FOUND, "{who}");
    }
    assert_eq!(consents(&scene), 2);
}

#[tokio::test]
async fn a_patient_sees_the_own_record_as_a_doctor_sees_it_and_nobody_has_looked() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let address = format!("/me/seen-by/{}", scene.ward.as_("lee").person);
    assert!(scene.page("/me", "amira").await.contains(&format!("href=\"{address}\"")));
    let before = scene.ward.clinic.store().size();
    let page = scene.page(&address, "amira").await;
    assert!(page.contains("My record as lee sees it") && page.contains("All of it: 3 sealed records"));
    let stranger = format!("/me/seen-by/{}", scene.ward.as_("fay").person);
    let page = scene.page(&stranger, "amira").await;
    assert_eq!(page.matches("<td data-label=\"They see now\">Nothing</td>").count(), 4, "{page}");
    assert_eq!(scene.ward.clinic.store().size(), before);
    // What another patient's doctor sees of that patient is another matter.
    let page = scene.page(&address, "bela").await;
    assert_eq!(page.matches("<td data-label=\"They see now\">Nothing</td>").count(), 4, "{page}");
}
