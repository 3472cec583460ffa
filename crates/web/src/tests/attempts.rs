//! All addresses with what they take, and what must hold of every refused attempt.

use super::scene::{HOST, Scene, encode};
use axum::body::Body;
use axum::http::{Request, header};
use vitals::PersonId;
use vitals::envelope::Envelope;
use vitals::ids::{Class, Hash, StreamId};
use vitals::ledger::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Takes {
    Get,
    Post,
}

impl Takes {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One method of one address.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) takes: Takes,
    /// Who may use it.
    pub(crate) who: &'static str,
    /// Everybody for whom it is not a page that is not found.
    pub(crate) may: &'static [&'static str],
    /// Needs no session.
    pub(crate) open: bool,
    /// Needs a session of any kind.
    pub(crate) everybody: bool,
    /// Reads the query of its address.
    pub(crate) asked: bool,
    fields: &'static [(&'static str, &'static str)],
    pub(crate) optional: &'static [&'static str],
}

/// Limits that could be set.
pub(crate) const GOOD_LIMITS: &[(&str, &str)] = &[
    ("metric", "heart_rate"),
    ("above_low", "100"),
    ("above_medium", "120"),
    ("above_high", "140"),
    ("below_low", "50"),
    ("below_medium", "45"),
    ("below_high", "38"),
    ("reason", "agreed on the round"),
    ("minutes", ""),
];

/// A validator that could be seated.
pub(crate) const GOOD_PROPOSAL: &[(&str, &str)] = &[
    ("change", "seat"),
    ("key", "4444444444444444444444444444444444444444444444444444444444444444"),
    ("organisation", "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"),
    ("endpoint", "new.example:9000"),
    ("confirm", "yes"),
];

/// A consent that could be asked for, but that nobody has this id.
const GOOD_CONSENT: &[(&str, &str)] = &[
    ("who", "1111111111111111111111111111111111111111111111111111111111111111"),
    ("other", ""),
    ("vitals", "yes"),
    ("environment", "yes"),
    ("alarms", "yes"),
    ("profile", "yes"),
    ("from", ""),
    ("length", "week"),
    ("until", ""),
    ("offsets", "60,60,60"),
    ("from_ms", ""),
    ("until_ms", "1795853600000"),
    ("once", "2222222222222222222222222222222222222222222222222222222222222222"),
];
/// A request to a patient; whether there is one is never told.
const GOOD_ASK: &[(&str, &str)] = &[
    ("patient", "00112233445566778899aabbccddeeff"),
    ("vitals", "yes"),
    ("environment", "yes"),
    ("alarms", "yes"),
    ("profile", "yes"),
    ("reason", "the night was restless"),
    ("days", "7"),
];
/// As many of them stand on the first of the two forms.
const GOOD_CONSENT_ENTERED: usize = 10;
const GOOD_CONSENT_OPTIONAL: &[&str] = &["vitals", "environment", "alarms", "profile"];
/// An invitation that could be made.
pub(crate) const GOOD_INVITATION: &[(&str, &str)] =
    &[("role", "patient"), ("name", "Noor"), ("bed", "bed 9"), ("form", "00112233445566778899aabbccddeeff")];

/// An account that somebody invited could make.
pub(crate) const GOOD_ACCOUNT: &[(&str, &str)] =
    &[("name", "Noor A."), ("login", "noor"), ("password", "a secret word"), ("again", "a secret word")];

/// A first administrator who could be made, were there none.
const GOOD_SET_UP: &[(&str, &str)] = &[
    ("code", "00000-00000-00000-00000"),
    ("name", "Ada Demo"),
    ("login", "ada"),
    ("password", "a secret word"),
    ("again", "a secret word"),
];

/// A new password that could be set.
const GOOD_PASSWORD: &[(&str, &str)] = &[("password", "a new password"), ("again", "a new password")];

/// A suspension that could be made, and its end.
const GOOD_REASON: &[(&str, &str)] = &[("seen", "2"), ("reason", "left the hospital")];

/// A form on the page of somebody invited, and not an old one.
const SEEN: &[(&str, &str)] = &[("seen", "1")];

/// Who has a role.
const EVERYBODY: &[&str] = &["lee", "kim", "amira", "bela", "admin", "fay", "ada"];

/// Who manages people.
const ADMINISTRATORS: &[&str] = &["admin"];

/// Who may look into the ledger.
const LOOKERS: &[&str] = &["admin", "ada"];

/// Who has this role.
fn holders(role: Role) -> &'static [&'static str] {
    match role {
        Role::Clinician => &["lee", "kim"],
        Role::Patient => &["amira", "bela"],
        Role::Administrator => &["admin"],
        Role::Family => &["fay"],
        Role::Auditor => &["ada"],
        // Nobody in the scene has any other role.
        _ => &[],
    }
}

/// All routes of the server. What is not listed here is attacked by what its row there says: a page in the menu
/// of some roles is theirs and nobody else's, any other page belongs to everybody who is signed in. A form is
/// always listed here: its fields are not known there.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = listed();
    for row in web::routes::ROUTES {
        if row.method == "GET" && !routes.iter().any(|one| one.takes == Takes::Get && one.path == row.path) {
            let may: Vec<&str> = row.menu_roles().iter().flat_map(|role| holders(*role)).copied().collect();
            let everybody = may.is_empty();
            let who = may.first().copied().unwrap_or("lee");
            routes.push(Route { everybody, ..get(row.path, who, may.leak()) });
        }
    }
    routes
}

fn get(path: &'static str, who: &'static str, may: &'static [&'static str]) -> Route {
    Route {
        path,
        takes: Takes::Get,
        who,
        may,
        open: false,
        everybody: false,
        asked: false,
        fields: &[],
        optional: &[],
    }
}

/// Routes of which more is to be said; a test holds this list against the table of the server.
fn listed() -> Vec<Route> {
    let open = |path| Route { open: true, ..get(path, "", &[]) };
    let post = |path, who, may, fields, optional| Route {
        takes: Takes::Post,
        fields,
        optional,
        ..get(path, who, may)
    };
    let asked = |route: Route| Route { asked: true, ..route };
    let back = &[("back", "/wall")];
    vec![
        asked(open("/sign-in")),
        Route {
            open: true,
            ..post(
                "/sign-in",
                "",
                &[],
                &[("login", "lee"), ("password", "wrong"), ("next", "/wall")],
                &["next"],
            )
        },
        open("/set-up"),
        Route { open: true, ..post("/set-up", "", &[], GOOD_SET_UP, &[]) },
        Route { everybody: true, ..post("/sign-out", "ada", &[], &[], &[]) },
        Route { open: true, ..post("/theme", "", &[], &[("theme", "dark"), ("back", "/help")], &["back"]) },
        asked(get("/patients/{patient}", "lee", &["lee", "amira"])),
        post("/patients/{patient}/limits", "lee", &["lee", "kim"], GOOD_LIMITS, &[]),
        post("/patients/{patient}/limits/back", "lee", &["lee", "kim"], &[("metric", "heart_rate")], &[]),
        post("/patients/{patient}/alarms/{condition}/acknowledge", "lee", &["lee", "kim"], back, &["back"]),
        post("/patients/{patient}/alarms/{condition}/silence", "lee", &["lee", "kim"], back, &["back"]),
        post("/patients/{patient}/alarms/{condition}/sound", "lee", &["lee", "kim"], back, &["back"]),
        post("/gateways/{gateway}/acknowledge", "lee", &["lee", "kim"], back, &["back"]),
        get("/patients/{patient}/unwatched", "lee", &["lee", "kim"]),
        post("/patients/{patient}/unwatched", "lee", &["lee", "kim"], &[("reason", "Went home")], &[]),
        asked(get("/me", "amira", &["amira", "bela"])),
        get("/me/record", "amira", &["amira", "bela"]),
        asked(get("/me/consents/new", "amira", &["amira", "bela"])),
        post(
            "/me/consents/preview",
            "amira",
            &["amira", "bela"],
            &GOOD_CONSENT[..GOOD_CONSENT_ENTERED],
            GOOD_CONSENT_OPTIONAL,
        ),
        post("/me/consents", "amira", &["amira", "bela"], GOOD_CONSENT, GOOD_CONSENT_OPTIONAL),
        get("/me/consents/{grant}/change", "amira", &["amira"]),
        post("/me/consents/{grant}/pause", "amira", &["amira"], &[], &[]),
        post("/me/consents/{grant}/resume", "amira", &["amira"], &[], &[]),
        post("/me/asks/{ask}/refuse", "amira", &["amira"], &[], &[]),
        asked(get("/asks", "lee", &["lee", "kim"])),
        post("/asks", "lee", &["lee", "kim"], GOOD_ASK, &["vitals", "environment", "alarms", "profile"]),
        get("/me/seen-by/{person}", "amira", &["amira", "bela"]),
        get("/me/consents/{grant}/revoke", "amira", &["amira"]),
        post("/me/consents/{grant}/revoke", "amira", &["amira"], &[("confirm", "yes")], &[]),
        post("/me/pause", "amira", &["amira", "bela"], &[("minutes", "30")], &[]),
        post("/me/resume", "amira", &["amira", "bela"], &[], &[]),
        post("/me/watch", "amira", &["amira", "bela"], &[("days", "30")], &[]),
        get("/proof/{index}", "lee", &["lee", "kim", "amira", "admin", "ada"]),
        asked(get("/admin/people", "admin", ADMINISTRATORS)),
        get("/admin/people/invite", "admin", ADMINISTRATORS),
        post("/admin/people/invite", "admin", ADMINISTRATORS, GOOD_INVITATION, &[]),
        asked(get("/admin/people/{person}", "admin", ADMINISTRATORS)),
        post("/admin/people/{person}/invitation/renew", "admin", ADMINISTRATORS, SEEN, &[]),
        post("/admin/people/{person}/invitation/withdraw", "admin", ADMINISTRATORS, SEEN, &[]),
        post("/admin/people/{person}/suspend", "admin", ADMINISTRATORS, GOOD_REASON, &[]),
        post("/admin/people/{person}/reinstate", "admin", ADMINISTRATORS, GOOD_REASON, &[]),
        post("/admin/people/{person}/password-link", "admin", ADMINISTRATORS, SEEN, &[]),
        post("/admin/people/{person}/sessions/end", "admin", ADMINISTRATORS, &[], &[]),
        post("/admin/people/{person}/sessions/{session}/end", "admin", ADMINISTRATORS, &[], &[]),
        open("/passwords/{token}"),
        Route { open: true, ..post("/passwords/{token}", "", &[], GOOD_PASSWORD, &[]) },
        open("/invitations/{token}"),
        Route { open: true, ..post("/invitations/{token}", "", &[], GOOD_ACCOUNT, &[]) },
        asked(get("/ledger", "ada", LOOKERS)),
        asked(get("/ledger/authorities", "admin", LOOKERS)),
        post("/ledger/proposals", "admin", &["admin"], GOOD_PROPOSAL, &["confirm"]),
        post("/ledger/proposals/{proposal}/vote", "admin", &["admin"], &[("confirm", "yes")], &["confirm"]),
        asked(get("/ledger/blocks/{height}", "ada", LOOKERS)),
        get("/ledger/heads/{height}", "kim", EVERYBODY),
        get("/ledger/transactions/{transaction}", "admin", LOOKERS),
        open("/help"),
        open("/healthz"),
        open("/metrics"),
        open("/assets/{hash}/{name}"),
        asked(get("/live", "lee", &["lee", "kim"])),
        post("/patients/{patient}/stay", "lee", &["lee"], &[], &[]),
    ]
}

impl Route {
    /// The address of something that is there.
    pub(crate) fn address(&self, scene: &Scene) -> String {
        if self.path.starts_with("/assets") {
            return web::assets::href("aceso.css").into();
        }
        self.path
            .replace("{patient}", &scene.amira.to_string())
            .replace("{grant}", &scene.consent.to_string())
            .replace("{ask}", &scene.ask)
            .replace("{condition}", "257")
            .replace("{person}", &self.person(scene).to_string())
            .replace("{session}", &"0".repeat(32))
            .replace(
                "{token}",
                if self.path.starts_with("/passwords") { &scene.password_link } else { &scene.link },
            )
            .replace("{gateway}", &scene.gateway.id().to_string())
            .replace("{proposal}", "1")
            .replace("{height}", "1")
            .replace("{transaction}", &scene.transaction())
            .replace("{index}", "0")
    }

    /// The person of the address: Dr Lee on pages of patients; for administrators one who is invited, or Fay.
    pub(crate) fn person(&self, scene: &Scene) -> PersonId {
        if !self.path.starts_with("/admin") {
            return scene.ward.as_("lee").person;
        }
        let of_account = ["/suspend", "/reinstate", "/password-link", "/end"];
        if of_account.iter().any(|end| self.path.ends_with(end)) {
            scene.ward.as_("fay").person
        } else {
            scene.invited
        }
    }

    /// The form's fields.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &'static str)> {
        self.fields.to_vec()
    }

    /// The token, for forms that carry one.
    pub(crate) fn csrf<'a>(&self, token: &'a str) -> Option<(&'static str, &'a str)> {
        (!self.open).then_some(("csrf", token))
    }

    /// The form as one of our pages sends it.
    pub(crate) fn body(&self, scene: &Scene, who: &str) -> String {
        let token = if who.is_empty() { String::new() } else { scene.csrf(who) };
        encode(self.fields().into_iter().chain(self.csrf(&token)))
    }

    pub(crate) fn at(&self, scene: &Scene, address: &str, who: &str) -> Request<Body> {
        let request = scene.form_by(self.takes.word(), address, who);
        let body = if self.takes == Takes::Post { self.body(scene, who) } else { String::new() };
        request.body(Body::from(body)).unwrap()
    }

    /// The request as one of our pages sends it.
    pub(crate) fn good(&self, scene: &Scene, who: &str) -> Request<Body> {
        self.at(scene, &self.address(scene), who)
    }
}

impl Scene {
    pub(crate) fn form_by(&self, method: &str, path: &str, who: &str) -> axum::http::request::Builder {
        self.request(method, path, who)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.app.refusals().map(|(_, count)| count).sum()
    }

    /// The record: what a request could write.
    fn log(&self) -> (u64, Hash) {
        self.ward.clinic.store().log_head()
    }

    /// Everything else a request could change: vault, ledger, alarms.
    pub(crate) fn state(&self) -> String {
        let vault = self.ward.clinic.vault();
        let people: Vec<_> =
            vault.accounts().into_iter().map(|one| (one.person, one.role == Role::Patient)).collect();
        let terms = |id| vault.terms_of(id).iter().map(|record| record.grant).collect::<Vec<_>>();
        let streams = |id| vault.streams_of(id).iter().map(|record| record.stream).collect::<Vec<StreamId>>();
        let of: Vec<_> = [self.amira, self.bela].map(|id| (terms(id), streams(id))).into_iter().collect();
        let counters = self.ward.clinic.counters();
        let invited = (vault.invitations().len(), vault.events_len(self.invited));
        let fay = self.ward.as_("fay").person;
        let changed = (vault.events_len(fay), vault.is_suspended(fay));
        format!(
            "{people:?} {invited:?} {changed:?} {of:?} {:?} {} {}",
            vault.withdrawals(),
            self.ward.ledger.submitted(),
            counters.alarms_raised,
        )
    }
}

/// Attempts on one scene.
pub(crate) struct Attempts {
    scene: std::rc::Rc<Scene>,
    tried: u32,
    wrong: Vec<String>,
}

impl Attempts {
    pub(crate) async fn on(scene: Scene) -> (std::rc::Rc<Scene>, Self) {
        let scene = std::rc::Rc::new(scene);
        (scene.clone(), Self { scene, tried: 0, wrong: Vec::new() })
    }

    pub(crate) async fn expect(&mut self, status: u16, case: &str, route: &Route, request: Request<Body>) {
        self.one_of(&[status], case, route, request).await;
    }

    /// Makes an attempt and checks what must hold of all: the status, a page that says something, nobody
    /// else in it, nothing changed, and counted once.
    pub(crate) async fn one_of(&mut self, wanted: &[u16], case: &str, route: &Route, request: Request<Body>) {
        self.tried += 1;
        let scene = self.scene.clone();
        let cookie =
            request.headers().get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let who = super::scene::CALLERS
            .into_iter()
            .find(|who| !who.is_empty() && cookie.contains(scene.token(who)));
        let (before, log, counted) = (scene.state(), scene.log(), scene.refusals());
        let response = scene.send(request).await;
        let status = response.status().as_u16();
        let mut no = |why: &str| {
            let case: String = case.chars().take(80).collect();
            self.wrong.push(format!("{} {} ({case}): {why}", route.takes.word(), route.path));
        };
        if !wanted.contains(&status) {
            no(&format!("answered {status}, not {wanted:?}"));
            return;
        }
        if status == 405 && !response.headers().contains_key(header::ALLOW) {
            no("names no method that would do");
        }
        let page = super::scene::text(response).await;
        if status >= 400 {
            if !page.starts_with("<!doctype html>") || !page.contains("<h1") {
                no("is no page of ours");
            }
            // The page of a form that did not fit is the caller's own page.
            if status != 422 {
                for (name, id) in [("amira", scene.amira.to_string()), ("alert(1)", scene.bela.to_string())] {
                    let own = who == Some(if name == "amira" { "amira" } else { "bela" });
                    if (page.contains(name) && !own) || page.contains(&id) {
                        no("tells of a patient");
                    }
                }
            }
            if page.contains("alert(1)") && who != Some("bela") {
                no("tells of another patient");
            }
        }
        // The page of a form that did not fit shows the record again, with the alarms of the ward around it:
        // a reading like any other, a look at the ward that is noted once for a session, and no more than that.
        let is_access = |index: u64| {
            let bytes = scene.ward.clinic.store().read_index(index).unwrap();
            bytes.is_some_and(|bytes| Envelope::decode(&bytes).unwrap().header.class == Class::Access)
        };
        let mut added = log.0..scene.log().0;
        let only_read = status == 422 && added.end - added.start <= 2 && added.all(is_access);
        if scene.state() != before || (scene.log() != log && !only_read) {
            no("changed something");
        }
        if scene.refusals() != counted + 1 {
            no("is not counted once");
        }
    }

    #[allow(clippy::print_stdout, reason = "how much was tried belongs into the report")]
    pub(crate) fn done(self, what: &str) {
        println!("{what}: {} attempts", self.tried);
        assert!(self.wrong.is_empty(), "{} of {}: {:#?}", self.wrong.len(), self.tried, self.wrong);
        assert!(self.tried > 0);
    }
}
