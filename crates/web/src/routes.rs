//! All addresses. A page is a handler, a template and a row here; what is not listed is not found. The menu is
//! made of the same rows.

use crate::app::App;
use crate::error::Error;
use crate::navigation::{Entry, Navigation};
use crate::pages::alarms::{self, AlarmAction};
use crate::pages::{
    admin, asks, consent_giving, consent_pauses, gateways, help, home, invitation, ledger, limits, me,
    monitoring_consent, password_link, patient, people, person, proof, record, seen_as, set_up, sign_in,
    to_wall, unwatched, wall,
};
use crate::{assets, live, metrics, middleware};
use axum::Router;
use axum::routing::{MethodRouter, get, post};
use vitals::ledger::Role;

/// One method of one address.
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The address, with `{names}` for its parts that vary.
    pub path: &'static str,
    handler: fn() -> MethodRouter<App>,
    menu: Option<(&'static str, &'static [Role])>,
}

impl Route {
    const fn get(path: &'static str, handler: fn() -> MethodRouter<App>) -> Self {
        Self { method: "GET", path, handler, menu: None }
    }

    const fn post(path: &'static str, handler: fn() -> MethodRouter<App>) -> Self {
        Self { method: "POST", path, handler, menu: None }
    }

    /// The same, also in the menu of these roles (of all roles if none is named) under this name. The menu has the
    /// order of the rows; its first entry is the role's first page.
    const fn in_menu(self, label: &'static str, roles: &'static [Role]) -> Self {
        Self { menu: Some((label, roles)), ..self }
    }

    /// The roles whose menu has this page; none where no menu has it, or all have.
    #[must_use]
    pub fn menu_roles(&self) -> &'static [Role] {
        self.menu.map_or(&[], |(_, roles)| roles)
    }
}

/// Every role, also one that a later contract adds.
const EVERYBODY: &[Role] = &[];

/// The table.
pub const ROUTES: &[Route] = &[
    Route::get("/", || get(home)),
    Route::get("/sign-in", || get(sign_in::form)),
    Route::post("/sign-in", || post(sign_in::submit)),
    Route::get("/set-up", || get(set_up::page)),
    Route::post("/set-up", || post(set_up::submit)),
    Route::post("/sign-out", || post(sign_in::leave)),
    Route::post("/theme", || post(sign_in::theme)),
    Route::get("/wall", || get(wall::page)).in_menu("Wall", &[Role::Clinician]),
    Route::get("/asks", || get(asks::page)).in_menu("Requests", &[Role::Clinician]),
    Route::post("/asks", || post(asks::ask)),
    Route::get("/patients", || get(to_wall)),
    Route::get("/patients/{patient}", || get(patient::page)),
    Route::post("/patients/{patient}/stay", || post(patient::stay)),
    Route::post("/patients/{patient}/limits", || post(limits::submit)),
    Route::post("/patients/{patient}/limits/back", || post(limits::back)),
    Route::post("/patients/{patient}/alarms/{condition}/acknowledge", || {
        post(|app, at, posted| alarms::submit(app, at, posted, AlarmAction::Acknowledge))
    }),
    Route::post("/patients/{patient}/alarms/{condition}/silence", || {
        post(|app, at, posted| alarms::submit(app, at, posted, AlarmAction::Silence))
    }),
    Route::post("/patients/{patient}/alarms/{condition}/sound", || {
        post(|app, at, posted| alarms::submit(app, at, posted, AlarmAction::EndSilence))
    }),
    Route::post("/gateways/{gateway}/acknowledge", || post(gateways::acknowledge)),
    Route::get("/patients/{patient}/unwatched", || get(unwatched::page)),
    Route::post("/patients/{patient}/unwatched", || post(unwatched::end)),
    Route::get("/me", || get(me::page)).in_menu("My values", &[Role::Patient]),
    Route::get("/me/record", || get(record::download)),
    Route::get("/me/consents/new", || get(consent_giving::page)),
    Route::post("/me/consents/preview", || post(consent_giving::preview)),
    Route::post("/me/consents", || post(consent_giving::give)),
    Route::get("/me/consents/{grant}/change", || get(consent_giving::change)),
    Route::post("/me/consents/{grant}/pause", || post(consent_pauses::pause)),
    Route::post("/me/consents/{grant}/resume", || post(consent_pauses::resume)),
    Route::post("/me/asks/{ask}/refuse", || post(asks::refuse)),
    Route::get("/me/seen-by/{person}", || get(seen_as::page)),
    Route::get("/me/consents/{grant}/revoke", || get(monitoring_consent::ask)),
    Route::post("/me/consents/{grant}/revoke", || post(monitoring_consent::revoke)),
    Route::post("/me/watch", || post(monitoring_consent::begin)),
    Route::post("/me/pause", || post(monitoring_consent::pause)),
    Route::post("/me/resume", || post(monitoring_consent::resume)),
    Route::get("/proof/{index}", || get(proof::page)),
    Route::get("/admin", || get(admin::page)).in_menu("Administration", &[Role::Administrator]),
    Route::get("/admin/people", || get(people::page)).in_menu("People", &[Role::Administrator]),
    Route::get("/admin/people/invite", || get(people::invite_form)),
    Route::post("/admin/people/invite", || post(people::invite)),
    Route::get("/admin/people/{person}", || get(person::page)),
    Route::post("/admin/people/{person}/invitation/renew", || post(person::renew_invitation)),
    Route::post("/admin/people/{person}/invitation/withdraw", || post(person::withdraw_invitation)),
    Route::post("/admin/people/{person}/suspend", || post(person::suspend)),
    Route::post("/admin/people/{person}/reinstate", || post(person::reinstate)),
    Route::post("/admin/people/{person}/password-link", || post(person::offer_password)),
    Route::post("/admin/people/{person}/sessions/end", || post(person::end_sessions)),
    Route::post("/admin/people/{person}/sessions/{session}/end", || post(person::end_session)),
    Route::get("/passwords/{token}", || get(password_link::page)),
    Route::post("/passwords/{token}", || post(password_link::set)),
    Route::get("/invitations/{token}", || get(invitation::page)),
    Route::post("/invitations/{token}", || post(invitation::accept)),
    Route::get("/ledger", || get(ledger::page)).in_menu("Ledger", &[Role::Administrator, Role::Auditor]),
    Route::get("/ledger/authorities", || get(ledger::authorities::page)),
    Route::post("/ledger/proposals", || post(ledger::proposals::propose)),
    Route::post("/ledger/proposals/{proposal}/vote", || post(ledger::proposals::vote)),
    Route::get("/ledger/blocks/{height}", || get(ledger::block::page)),
    Route::get("/ledger/heads/{height}", || get(ledger::block::head)),
    Route::get("/ledger/transactions/{transaction}", || get(ledger::block::transaction)),
    Route::get("/live", || get(live::page)),
    Route::get("/help", || get(help)).in_menu("Help", EVERYBODY),
    Route::get("/healthz", || get(metrics::health)),
    Route::get("/metrics", || get(metrics::metrics)),
    Route::get("/assets/{hash}/{name}", || get(assets::serve)),
];

/// The menu of all roles.
pub(crate) fn navigation() -> Navigation {
    Navigation::new(
        ROUTES
            .iter()
            .filter_map(|route| route.menu.map(|(label, roles)| Entry { href: route.path, label, roles })),
    )
}

/// The pages of this server.
pub fn router(app: App) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
        .fallback(|| async { Error::not_found() })
        .method_not_allowed_fallback(|| async { Error::other_method() })
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::around))
        .with_state(app)
}
