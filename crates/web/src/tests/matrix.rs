//! The matrix: everybody × every address × how a consent stands. What an answer may show is worked out here from the
//! consent alone, by rules written down once more; no byte of anything else of the record stands in an answer,
//! whatever its status.

use super::attempts::{Route, Takes, routes};
use super::scene::{CALLERS, CARE, Scene};
use axum::body::Body;
use axum::http::{Response, header};
use clinic::GrantRequest;
use futures::StreamExt;
use std::collections::BTreeSet;
use vitals::GrantId;
use vitals::alarm::AlarmEventKind;
use vitals::ids::Class;
use vitals::ledger::Purpose;

const HOUR_MS: u64 = 3_600_000;

/// How Amira's consents to Dr Lee, for treatment, and to Fay, of her family, stand. Dr Kim and the others never had
/// one. The ward watches her only where that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Given,
    /// To the values of her room alone.
    OtherClass,
    NotYet,
    Over,
    Paused,
    Revoked,
    /// Given, but an administrator suspended both.
    Suspended,
    /// Nobody has one, and the ward watches her.
    Watched,
    /// The same, but she asked not to be watched for a while.
    WatchPaused,
}

const STANDINGS: [Standing; 9] = [
    Standing::Given,
    Standing::OtherClass,
    Standing::NotYet,
    Standing::Over,
    Standing::Paused,
    Standing::Revoked,
    Standing::Suspended,
    Standing::Watched,
    Standing::WatchPaused,
];

/// Something of Amira's record that stands nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Canary {
    /// Her heart rate.
    Vitals,
    /// The temperature of her room.
    Environment,
    /// The value that an alarm was raised with.
    Alarms,
    Name,
}

const CANARIES: [Canary; 4] = [Canary::Vitals, Canary::Environment, Canary::Alarms, Canary::Name];
const HEART_RATE: i32 = 1_373;
const ROOM: i32 = 287;
const ALARM: i32 = 1_791;

impl Canary {
    /// How an answer shows it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Vitals => &["137", "1373"],
            Self::Environment => &["28.7", "287"],
            Self::Alarms => &["179", "1791"],
            Self::Name => &["amira"],
        }
    }

    /// Those in an answer. A number counts only where it stands by itself: ids are full of digits.
    fn all_in(answer: &str) -> BTreeSet<Self> {
        // Where a bed stands is the hospital's to know.
        let answer = answer.replace("bed of amira", "");
        let by_itself = |at: usize, word: &str| {
            let beside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            let before = answer[..at].chars().next_back();
            let after = answer[at + word.len()..].chars().next();
            !beside(before) && !beside(after) && before != Some('.')
        };
        let stands = |word: &str| answer.match_indices(word).any(|(at, word)| by_itself(at, word));
        CANARIES.into_iter().filter(|canary| canary.words().iter().any(|word| stands(word))).collect()
    }
}

/// What anybody may see of her, at any address.
fn may_see(who: &str, standing: Standing) -> BTreeSet<Canary> {
    let all = BTreeSet::from(CANARIES);
    match (who, standing) {
        ("amira", _) | ("lee" | "fay", Standing::Given) => all,
        // Who is on duty sees whom the ward watches.
        ("lee" | "kim", Standing::Watched) => all,
        ("lee" | "fay", Standing::OtherClass) => BTreeSet::from([Canary::Environment]),
        // Accounts are an administrator's work, and have names.
        ("admin", _) => BTreeSet::from([Canary::Name]),
        _ => BTreeSet::new(),
    }
}

/// The page on which it is seen: else the matrix would hold of empty pages.
fn page_of(who: &str, standing: Standing, scene: &Scene) -> Option<String> {
    let purpose = match (who, standing) {
        ("lee" | "kim", Standing::Watched) => "for=monitoring&",
        ("lee", _) => "for=treatment&",
        ("fay", _) => "for=family&",
        ("amira", _) => "",
        _ => return None,
    };
    let opens = !may_see(who, standing).is_empty();
    opens.then(|| format!("/patients/{}?{purpose}range=1h", scene.amira))
}

/// May who is on duty change something here? It is answered elsewhere what.
fn may_change(who: &str, standing: Standing, route: &Route) -> bool {
    match route.path {
        // The bed itself is the ward's.
        "/patients/{patient}/unwatched" => ["lee", "kim"].contains(&who),
        path if path.starts_with("/patients/") || path.starts_with("/gateways/") => {
            (standing == Standing::Given && who == "lee")
                || (standing == Standing::Watched && ["lee", "kim"].contains(&who))
        }
        _ => false,
    }
}

fn consent(
    scene: &mut Scene,
    to: &str,
    purpose: Purpose,
    classes: &[Class],
    from_ms: u64,
    for_ms: u64,
) -> GrantId {
    let (amira, now_ms) = (scene.ward.as_("amira"), scene.ward.now_ms);
    let (grantee, before) = (scene.ward.as_(to).person, consents(scene));
    let request =
        GrantRequest { grantee, purpose, classes: classes.to_vec(), from_ms, until_ms: from_ms + for_ms };
    let ticket = scene.ward.clinic.grant(&amira, &request, now_ms).unwrap();
    scene.ward.block();
    scene.ward.done(&ticket);
    consents(scene).difference(&before).next().copied().unwrap()
}

/// All that Amira ever consented to.
fn consents(scene: &Scene) -> BTreeSet<GrantId> {
    scene.ward.clinic.vault().terms_of(scene.amira).iter().map(|record| record.grant).collect()
}

fn revoke(scene: &mut Scene, grants: impl IntoIterator<Item = GrantId>) {
    let (amira, now_ms) = (scene.ward.as_("amira"), scene.ward.now_ms);
    for grant in grants {
        let _ticket = scene.ward.clinic.revoke_grant(&amira, grant, now_ms).unwrap();
    }
    scene.ward.block();
}

fn scene(standing: Standing) -> Scene {
    let mut scene = Scene::new();
    scene.beats(HEART_RATE, 3);
    let now_ms = scene.ward.now_ms;
    let sensor = &mut scene.gateway.sensors[0];
    let sent = [sensor.room(ROOM, now_ms), sensor.alarm(AlarmEventKind::Raised, ALARM, now_ms)];
    scene.ward.carry(scene.gateway.id(), &sent);
    if [Standing::Watched, Standing::WatchPaused].contains(&standing) {
        let treatment = scene.consent;
        revoke(&mut scene, [treatment]);
        if standing == Standing::WatchPaused {
            let (amira, now_ms) = (scene.ward.as_("amira"), scene.ward.now_ms);
            scene.ward.clinic.pause_watching(&amira, HOUR_MS, now_ms).unwrap();
        }
        scene.settle();
        return scene;
    }
    let all = consents(&scene);
    revoke(&mut scene, all);
    let classes: &[Class] = if standing == Standing::OtherClass { &[Class::Environment] } else { &CARE };
    // Far enough back to open what was sent before.
    let (from_ms, for_ms) = match standing {
        Standing::NotYet => (scene.ward.now_ms + HOUR_MS, 24 * HOUR_MS),
        Standing::Over => (scene.ward.now_ms, HOUR_MS / 10),
        _ => (scene.ward.now_ms, 24 * HOUR_MS),
    };
    let given = [("lee", Purpose::Treatment), ("fay", Purpose::Family)]
        .map(|(to, purpose)| consent(&mut scene, to, purpose, classes, from_ms, for_ms));
    scene.consent = given[0];
    let amira = scene.ward.as_("amira");
    match standing {
        Standing::Over => scene.ward.later(HOUR_MS / 10 + 1_000),
        Standing::Paused => given.into_iter().for_each(|grant| {
            scene.ward.clinic.pause_consent(&amira, grant, scene.ward.now_ms).unwrap();
        }),
        Standing::Revoked => revoke(&mut scene, given),
        Standing::Suspended => {
            for who in ["lee", "fay"] {
                let person = scene.ward.as_(who).person;
                let seen = scene.ward.clinic.vault().events_len(person);
                let now_ms = scene.ward.now_ms;
                scene
                    .ward
                    .clinic
                    .suspend(&scene.ward.admin, person, seen, "left the hospital", now_ms)
                    .unwrap();
            }
        }
        _ => {}
    }
    scene.settle();
    scene
}

/// The text of an answer; of a stream what comes up to its first beat.
async fn told(response: Response<Body>) -> String {
    let is_stream =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let (mut pieces, mut told) = (response.into_body().into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        told.extend_from_slice(&piece.unwrap());
        if is_stream && String::from_utf8_lossy(&told).contains("event: beat\n") {
            break;
        }
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// All addresses of a route, with every query that asks for another part of the record.
fn addresses(route: &Route, scene: &Scene) -> Vec<String> {
    let address = route.address(scene);
    let with = |ends: &[&str]| ends.iter().map(|end| format!("{address}{end}")).collect();
    match route.path {
        "/patients/{patient}" if route.takes == Takes::Get => {
            let purposes = ["", "for=treatment", "for=monitoring", "for=family", "for=research"];
            let ranges = ["", "range=1h", "range=2h", "range=24h"];
            let queries = purposes.iter().flat_map(|purpose| {
                ranges.iter().map(move |range| format!("?{purpose}&{range}").replace("?&", "?"))
            });
            queries.map(|query| format!("{address}{}", query.trim_end_matches(['&', '?']))).collect()
        }
        "/live" => {
            let of = |what: &str| format!("?with={}-{what}", scene.amira);
            let ends = ["treatment", "monitoring", "family", "own"].map(of);
            let ends: Vec<&str> =
                ["", "?with=wall", "?with=me"].into_iter().chain(ends.iter().map(String::as_str)).collect();
            with(&ends)
        }
        "/proof/{index}" => {
            (0..scene.ward.clinic.store().size()).map(|index| format!("/proof/{index}")).collect()
        }
        "/me/seen-by/{person}" => {
            ["lee", "kim", "fay"].map(|who| format!("/me/seen-by/{}", scene.ward.as_(who).person)).into()
        }
        "/asks" => with(&["", &format!("?patient={}", scene.amira)]),
        "/admin/people/{person}" => {
            let everybody = CALLERS.into_iter().filter(|who| !["", "bela", "admin"].contains(who));
            everybody.map(|who| format!("/admin/people/{}", scene.ward.as_(who).person)).collect()
        }
        _ => vec![address],
    }
}

/// May this request change what later cells rest on?
fn changes(route: &Route, who: &str) -> bool {
    route.takes == Takes::Post
        && (route.open || route.everybody || route.may.contains(&who))
        && !route.path.starts_with("/patients/")
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "how much was tried belongs into the report")]
async fn nobody_sees_at_any_address_what_no_consent_opens() {
    let (mut cells, mut refused, mut opened, mut wrong) = (0, 0, 0, Vec::new());
    let all = routes();
    for standing in STANDINGS {
        let scene = scene(standing);
        for route in &all {
            for who in CALLERS.into_iter().filter(|who| !changes(route, who)) {
                for address in addresses(route, &scene) {
                    let (may, before) = (may_see(who, standing), scene.state());
                    let response = scene.send(route.at(&scene, &address, who)).await;
                    let status = response.status().as_u16();
                    let seen = Canary::all_in(&told(response).await);
                    cells += 1;
                    refused += usize::from(status >= 300);
                    let mut no = |why: String| {
                        let cell = format!("{standing:?}, {who:?}: {} {address}", route.takes.word());
                        wrong.push(format!("{cell}: {status}: {why}"));
                    };
                    // A record, its stream and its proofs are somebody's by consent, everything else by role.
                    let by_consent = match route.path {
                        "/patients/{patient}" | "/live" => true,
                        // Bela has some of her own.
                        "/proof/{index}" => !may.is_empty() || who == "bela",
                        _ => false,
                    };
                    let by_role = route.path != "/proof/{index}" || ["admin", "ada"].contains(&who);
                    let by_role = by_role && (route.everybody || route.may.contains(&who));
                    let theirs = by_consent || route.open || by_role;
                    if (!theirs && status < 300) || status >= 500 {
                        no("answers".into());
                    }
                    if !seen.is_subset(&may) {
                        no(format!("shows {seen:?}, and may show {may:?}"));
                    }
                    if route.takes == Takes::Post
                        && scene.state() != before
                        && !may_change(who, standing, route)
                    {
                        no("changed something".into());
                    }
                    if page_of(who, standing, &scene).as_ref() == Some(&address) && route.takes == Takes::Get
                    {
                        opened += 1;
                        if !may.is_subset(&seen) {
                            no(format!("shows {seen:?} only"));
                        }
                    }
                }
            }
        }
    }
    println!(
        "{} standings × {} routes × {} callers: {cells} answers, {refused} of them refusals or redirections, {opened} \
         open the record",
        STANDINGS.len(),
        all.len(),
        CALLERS.len()
    );
    assert!(wrong.is_empty(), "{} of {cells}: {wrong:#?}", wrong.len());
    let wanted = STANDINGS
        .iter()
        .flat_map(|standing| CALLERS.map(|who| !may_see(who, *standing).is_empty() && who != "admin"));
    assert_eq!(opened, wanted.filter(|opens| *opens).count(), "each that opens it was looked at");
}
