//! The people of this organisation, for its administrators: the list, and the form that invites.

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format::{self, sentence};
use crate::forms::{Posted, Query};
use crate::layout::Layout;
use crate::people_text::{self, StateText};
use crate::refusals::{self, Reason};
use crate::time::Moment;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use clinic::views::PersonLine;
use clinic::{ClinicError, InviteOutcome, InviteRequest};
use vitals::ledger::Role;

/// Address of the list.
const LIST: &str = "/admin/people";
/// People on one page of the list.
const SHOWN_MAX: usize = 100;
/// Longest text to search for, bytes.
const FIND_BYTES_MAX: usize = 200;

struct PersonRow {
    href: String,
    name: String,
    login: String,
    role: &'static str,
    state: StateText,
    sessions: String,
    signed_in: Option<Moment>,
}

#[derive(Template)]
#[template(path = "pages/people.html")]
struct PeoplePage {
    layout: Layout,
    find: String,
    /// How many there are, in words.
    count: String,
    people: Vec<PersonRow>,
    /// Addresses of the pages of the list before and after this one.
    newer: Option<String>,
    older: Option<String>,
}

fn row(line: &PersonLine) -> PersonRow {
    PersonRow {
        href: format!("{LIST}/{}", line.person),
        name: if line.name.is_empty() { "No name yet".into() } else { line.name.clone() },
        login: line.login.clone(),
        role: line.role.word(),
        state: people_text::state(&line.state),
        sessions: match line.sessions {
            0 => "no open session".into(),
            1 => "1 open session".into(),
            n => format!("{} open sessions", format::count(n as u64)),
        },
        signed_in: line.signed_in_ms.map(Moment),
    }
}

/// Does the page print this text about somebody?
fn says(line: &PersonLine, find: &str) -> bool {
    let state = people_text::state(&line.state).words;
    [line.name.as_str(), &line.login, line.role.word(), state]
        .iter()
        .any(|text| text.to_lowercase().contains(find))
}

fn address(find: &str, page: usize) -> String {
    let find: String = find.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("{LIST}?find={find}&page={page}")
}

/// `/admin/people`.
pub(crate) async fn page(State(app): State<App>, query: Query, caller: Caller) -> Answer {
    let session = caller.session.clone();
    let all = app.ask(move |clinic, now_ms| clinic.people(&session, now_ms)).await?;
    let find = query.field("find").trim();
    if find.len() > FIND_BYTES_MAX {
        return Err(Error::wrong("This is longer than any name. Search for a part of it.")
            .back(LIST, "To all people"));
    }
    let wanted = find.to_lowercase();
    let found: Vec<&PersonLine> = all.iter().filter(|line| says(line, &wanted)).collect();
    let page = match query.field("page") {
        "" => 1,
        text => super::named(text)
            .filter(|page| (1..=all.len().max(1)).contains(page))
            .ok_or_else(|| Error::wrong("The list has no such page.").back(LIST, "To its first page"))?,
    };
    let begin = (page - 1) * SHOWN_MAX;
    let shown = found.iter().skip(begin).take(SHOWN_MAX);
    let of =
        |n: usize| if n == 1 { "1 person".into() } else { format!("{} people", format::count(n as u64)) };
    Ok(app.render(&PeoplePage {
        layout: Layout::of(&app, &caller, LIST),
        count: if find.is_empty() { of(all.len()) } else { format!("{} of {}", found.len(), of(all.len())) },
        newer: (page > 1).then(|| address(find, page - 1)),
        older: (found.len() > begin + SHOWN_MAX).then(|| address(find, page + 1)),
        people: shown.map(|line| row(line)).collect(),
        find: find.into(),
    }))
}

/// What the form of an invitation holds.
#[derive(Default)]
struct Entered {
    role: String,
    name: String,
    bed: String,
    form: String,
}

struct RoleChoice {
    value: &'static str,
    label: String,
    hint: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "pages/invite.html")]
struct InvitePage {
    layout: Layout,
    roles: Vec<RoleChoice>,
    entered: Entered,
    /// The field that does not fit, and why.
    problem: Option<(&'static str, String)>,
}

impl InvitePage {
    /// Why a field does not fit.
    fn fault(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }
}

fn hint(role: Role) -> &'static str {
    match role {
        Role::Patient => "Sees the own record, and decides who else may.",
        Role::Clinician => "Watches the ward, and opens records that patients allow.",
        Role::Administrator => "Manages people, devices and the ledger. Opens no record.",
        Role::Family => "Follows a patient who allows it.",
        Role::Auditor => "Checks proofs and the ledger. Opens no record.",
        Role::Other(_) => "",
    }
}

fn render_form(
    app: &App,
    caller: &Caller,
    entered: Entered,
    problem: Option<(&'static str, String)>,
) -> Response {
    let choice = |role: &Role| RoleChoice {
        value: role.word(),
        label: format::capital(role.word()),
        hint: hint(*role),
        chosen: entered.role == role.word(),
    };
    let roles = Role::NAMED.iter().filter(|role| role.is_founding()).map(choice).collect();
    let mut layout = Layout::of(app, caller, LIST);
    layout.path = format!("{LIST}/invite");
    app.render(&InvitePage { layout, roles, entered, problem })
}

/// `GET /admin/people/invite`.
pub(crate) async fn invite_form(State(app): State<App>, caller: Caller) -> Answer {
    let session = caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let form = hex::encode(app.clinic().vault().random::<16>());
    Ok(render_form(&app, &caller, Entered { form, ..Entered::default() }, None))
}

/// Invites somebody, and leads to the page that shows the link.
pub(crate) async fn invite(State(app): State<App>, posted: Posted) -> Answer {
    posted.fits(&["role", "name", "bed", "form"])?;
    let field = |name| posted.field(name).trim().to_string();
    let entered =
        Entered { role: field("role"), name: field("name"), bed: field("bed"), form: field("form") };
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.may_administer(&session, now_ms)).await?;
    let mut form = [0; 16];
    if hex::decode_to_slice(&entered.form, &mut form).is_err() {
        return Err(
            Error::wrong("This form is not one of ours. Nothing was changed.").back(LIST, "To all people")
        );
    }
    let role = Role::NAMED.iter().find(|role| role.is_founding() && role.word() == entered.role);
    let Some(role) = role.copied() else {
        return Ok(refused(&app, &posted.caller, entered, ("role", "Choose one of the roles.".into())));
    };
    let session = posted.caller.session.clone();
    let (name, bed) = (entered.name.clone(), entered.bed.clone());
    let outcome = app.run(move |clinic, now_ms| {
        clinic.invite(&session, &InviteRequest { role, name: &name, bed: &bed, form }, now_ms)
    });
    let person = match outcome.await? {
        Ok(InviteOutcome::Now(person, secret)) => {
            app.unshown_links().put(posted.caller.browser_mark(), person, secret);
            person
        }
        Ok(InviteOutcome::Before(person)) => person,
        Err(ClinicError::Field { field, why }) => {
            return Ok(refused(&app, &posted.caller, entered, (field, sentence(why))));
        }
        Err(why) => return Err(why.into()),
    };
    Ok(Redirect::to(&format!("{LIST}/{person}")).into_response())
}

fn refused(app: &App, caller: &Caller, entered: Entered, problem: (&'static str, String)) -> Response {
    let mut response = refusals::mark(render_form(app, caller, entered, Some(problem)), Reason::Wrong);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use clinic::views::PersonState;
    use vitals::PersonId;

    #[test]
    fn people_are_found_by_whatever_the_page_prints_of_them() {
        let line = PersonLine {
            person: PersonId([1; 32]),
            name: "Dr Özlem Lee".into(),
            login: "olee".into(),
            role: Role::Clinician,
            state: PersonState::Unconfirmed,
            sessions: 0,
            signed_in_ms: None,
            vault_kept: true,
        };
        for find in ["", "özlem", "olee", "clinician", "not confirmed"] {
            assert!(says(&line, find), "{find}");
        }
        assert!(!says(&line, "active") && !says(&line, "auditor"));
    }
}
