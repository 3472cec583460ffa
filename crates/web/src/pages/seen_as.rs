//! A patient's record as somebody else sees it, in the patient's words.

use super::patient::CLASSES;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::At;
use crate::labels;
use crate::layout::Layout;
use crate::time::{self, Moment};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use clinic::views::{Reach, SeenAs, SeenClass};
use vitals::PersonId;

/// One class: before a consent, and after it where one is looked at.
struct SeenRow {
    label: String,
    now: String,
    after: Option<String>,
    /// What there is, in words.
    kept: String,
    first: Option<Moment>,
    last: Option<Moment>,
}

fn reach(class: &SeenClass) -> String {
    let records = |count: u64| match count {
        1 => "1 sealed record".into(),
        count => format!("{} sealed records", format::count(count)),
    };
    match class.reach {
        Reach::Nothing => "Nothing".into(),
        Reach::Back(_) if class.opened == 0 => "The last 2 hours: nothing there now".into(),
        Reach::Back(back_ms) => {
            format!("The last {}: {}", time::age(back_ms).replace(" h", " hours"), records(class.opened))
        }
        Reach::Whole if class.opened == 0 => "All of it; there is nothing yet".into(),
        Reach::Whole => format!("All of it: {}", records(class.opened)),
    }
}

/// What somebody sees of a record, class by class.
#[derive(Template)]
#[template(path = "parts/seen_as.html")]
pub(super) struct SeenTable {
    caption: &'static str,
    /// Are there two states to compare?
    compares: bool,
    rows: Vec<SeenRow>,
}

impl HtmlSafe for SeenTable {}

/// The table: now, and after a consent if there is one to compare with.
pub(super) fn table(now: &SeenAs, after: Option<&SeenAs>) -> SeenTable {
    let row = |(at, class): (usize, &SeenClass)| SeenRow {
        label: format::capital(labels::class(class.class)),
        now: reach(class),
        after: after.and_then(|after| after.classes.get(at)).map(reach),
        kept: format::count(class.kept),
        first: class.first_ms.map(Moment),
        last: class.last_ms.map(Moment),
    };
    SeenTable {
        caption: if after.is_some() {
            "What they see now, and under this consent"
        } else {
            "What they see now"
        },
        compares: after.is_some(),
        rows: now.classes.iter().enumerate().map(row).collect(),
    }
}

/// Who it is, as the patient knows them.
pub(super) fn name(seen: &SeenAs) -> String {
    match &seen.name {
        Some(name) => name.clone(),
        None => format!("The person with the id {}", format::short_hex(&seen.person.0)),
    }
}

#[derive(Template)]
#[template(path = "pages/seen_as.html")]
struct SeenAsPage {
    layout: Layout,
    name: String,
    role: &'static str,
    ours: bool,
    table: SeenTable,
}

/// `GET /me/seen-by/{person}`: what that person could open now. Nobody has looked.
pub(crate) async fn page(State(app): State<App>, At(person): At<String>, caller: Caller) -> Answer {
    let person: PersonId = super::named(&person).ok_or_else(Error::not_found)?;
    let session = caller.session.clone();
    let seen = app.ask(move |clinic, now_ms| clinic.seen_as(&session, person, &CLASSES, now_ms)).await?;
    let layout = Layout::of(&app, &caller, "/me");
    let (name, role, ours) = (name(&seen), seen.role.word(), seen.ours);
    Ok(app.render(&SeenAsPage { layout, name, role, ours, table: table(&seen, None) }))
}
