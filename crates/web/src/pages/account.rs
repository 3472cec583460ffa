//! Somebody's own account: how they sign in, and what happened to it.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format::sentence;
use crate::forms::{Posted, Query};
use crate::layout::Layout;
use crate::passkey_forms;
use crate::people_text::{self, HistoryRow};
use crate::refusals::{self, Reason};
use crate::time::Moment;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use clinic::views::{OwnAccount, PasskeyLine};
use clinic::{ClinicError, LinkRefused, SignInRefused};
use webauthn::RelyingParty;

const HERE: &str = "/account";
/// With so few recovery codes left the page says that new ones are due.
const CODES_FEW: usize = 3;

/// The authenticator app, if one is asked for.
struct AppLine {
    since: Moment,
    codes_left: usize,
    codes_made: Moment,
    /// Few recovery codes are left.
    few: bool,
}

/// One passkey.
struct PasskeyRow {
    id: String,
    name: String,
    /// Where it lives.
    place: &'static str,
    added: Moment,
    used: Option<Moment>,
    /// The name it works under, where that is another one than the page's.
    elsewhere: Option<String>,
}

fn passkey_row(one: PasskeyLine, here: Option<&RelyingParty>) -> PasskeyRow {
    let place = match (one.backed_up, one.backup_eligible) {
        (true, _) => "kept by a password manager, on all its devices",
        (false, true) => "on one device, and may come to others",
        (false, false) => "on this one device or key only",
    };
    PasskeyRow {
        id: hex::encode(one.id),
        name: one.name,
        place,
        added: Moment(one.added_ms),
        used: one.used_ms.map(Moment),
        elsewhere: (here.map(RelyingParty::id) != Some(&one.rp_id)).then_some(one.rp_id),
    }
}

#[derive(Template)]
#[template(path = "pages/account.html")]
struct AccountPage {
    layout: Layout,
    name: String,
    login: String,
    role: &'static str,
    /// May this session change the account now?
    is_fresh: bool,
    passkeys: Vec<PasskeyRow>,
    /// Do browsers have passkeys under the name by which this page was reached?
    takes_passkeys: bool,
    app: Option<AppLine>,
    other_sessions: usize,
    history: Vec<HistoryRow>,
    saved: Option<&'static str>,
    /// The field of the password's form that does not fit, and why.
    problem: Option<(&'static str, String)>,
}

impl AccountPage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

async fn show(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    saved: Option<&'static str>,
    problem: Option<(&'static str, String)>,
) -> Answer {
    let session = caller.session.clone();
    let (view, is_fresh): (OwnAccount, bool) = app
        .ask(move |clinic, now_ms| {
            Ok((clinic.own_account(&session, now_ms)?, clinic.is_fresh(&session, now_ms)))
        })
        .await?;
    let caller = caller.clone().with_ward(app).await;
    let mut layout = Layout::of(app, &caller, HERE);
    layout.path = HERE.into();
    let party = passkey_forms::party(app, headers);
    let factors = view.factors;
    let few = factors.codes_left <= CODES_FEW;
    let codes_made = Moment(factors.codes_made_ms);
    Ok(app.render(&AccountPage {
        layout,
        name: caller.session.name.clone(),
        login: caller.session.login.clone(),
        role: caller.session.role.word(),
        is_fresh,
        takes_passkeys: party.is_some(),
        passkeys: view.passkeys.into_iter().map(|one| passkey_row(one, party.as_ref())).collect(),
        app: factors.app_since_ms.map(|since_ms| AppLine {
            since: Moment(since_ms),
            codes_left: factors.codes_left,
            codes_made,
            few,
        }),
        other_sessions: view.other_sessions,
        history: view.history.into_iter().map(|one| people_text::history_row(one, "You")).collect(),
        saved,
        problem,
    }))
}

/// What a query says was done, in words; only this server can make a page say so.
const DONE: [(&str, &str); 6] = [
    (
        "added",
        "The passkey is added: it signs you in without login and password. Everywhere else you are signed out.",
    ),
    (
        "removed",
        "The passkey is removed here. Remove it on the device as well, so that it is not offered any more.",
    ),
    ("renamed", "The passkey has its new name."),
    ("password", "The password is changed. Everywhere else you are signed out."),
    (
        "app",
        "The authenticator app is removed, and its recovery codes with it. Everywhere else you are signed out.",
    ),
    ("confirmed", "You confirmed that it is you. For five minutes you can change how you sign in."),
];

/// Back to the account, which says what was done.
pub(super) fn done(app: &App, posted: &Posted, what: &str) -> Answer {
    let mark = posted.caller.done(app);
    Ok(Redirect::to(&format!("{HERE}?{what}={mark}")).into_response())
}

/// `GET /account`.
pub(crate) async fn page(State(app): State<App>, query: Query, headers: HeaderMap, caller: Caller) -> Answer {
    let saved = DONE.iter().find(|(name, _)| caller.was_done(&app, query.field(name))).map(|(_, text)| *text);
    show(&app, &caller, &headers, saved, None).await
}

/// A new password.
pub(crate) async fn change_password(State(app): State<App>, headers: HeaderMap, posted: Posted) -> Answer {
    posted.fits(&["password", "again"])?;
    let (password, session) = (posted.field("password").to_string(), posted.caller.session.clone());
    let changed = if posted.field("again") != password {
        let why = "the two passwords differ: type both again";
        Err(ClinicError::Field { field: "again", why })
    } else {
        let Some(permit) = app.sign_ins().take(posted.caller.origin).await else {
            return Err(Error::link(&LinkRefused::Later(SignInRefused::Busy)));
        };
        let change = move |clinic: &std::sync::Arc<clinic::Clinic>, now_ms| {
            let _permit = permit;
            clinic.change_password(&session, &password, now_ms)
        };
        app.run(change).await?
    };
    match changed {
        Ok(()) => done(&app, &posted, "password"),
        Err(ClinicError::Field { field, why }) => {
            let page = show(&app, &posted.caller, &headers, None, Some((field, sentence(why)))).await?;
            let mut response = refusals::mark(page, Reason::Wrong);
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(why) => Err(why.into()),
    }
}
