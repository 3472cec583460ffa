//! The form in which a patient says whom they allow what and how long: how it is filled, and how it is read.

use crate::fields::Fields;
use crate::format;
use crate::labels;
use crate::layout::Layout;
use crate::time::Moment;
use askama::Template;
use clinic::views::{AskView, GrantState, GrantView};
use clinic::{AskId, ConsentWish, GrantField, GrantRefusal};
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use vitals::PersonId;
use vitals::ids::Class;
use vitals::ledger::Role;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: u64 = 86_400_000;
const WEEK_MS: u64 = 7 * DAY_MS;
/// No zone is further from UTC, minutes.
const OFFSET_MINUTES_MAX: i64 = 16 * 60;

/// What can be allowed: the field, the class, and what it holds in the patient's words.
pub(super) const CLASSES: [(&str, Class, &str); 4] = [
    ("vitals", Class::Vitals, "heart rate, temperature, and how they were before"),
    ("environment", Class::Environment, "warmth, humidity and air of your room"),
    ("alarms", Class::Alarms, "what rang, and who answered"),
    ("profile", Class::Profile, "your name and where your bed is"),
];

/// How long: the field's value, the label, and what it means.
const LENGTHS: [(&str, &str, &str); 4] = [
    ("day", "One day", "until midnight of the day on which it begins"),
    ("week", "A week", "seven days"),
    ("stay", "My stay", "30 days at most; take it back when you go home"),
    ("date", "Until a date", "which you choose below; the end of that day"),
];
/// Where a consent is changed: its end stays what it is.
const LENGTH_SAME: &str = "same";
/// The one that is chosen unless another is.
const LENGTH_USUAL: &str = "week";

/// What this form sends. A box that is not ticked sends nothing.
pub(super) const FIELDS: [&str; 13] = [
    "who",
    "other",
    "vitals?",
    "environment?",
    "alarms?",
    "profile?",
    "from",
    "length",
    "until",
    "offsets",
    "ends?",
    "replaces?",
    "answers?",
];

/// Why what was entered is not taken: the part of the form, and a sentence.
pub(super) struct Problem {
    field: GrantField,
    pub(super) sentence: String,
    /// A link to what stands in the way.
    instead: Option<String>,
}

impl Problem {
    fn of(field: GrantField, sentence: &str) -> Self {
        Self { field, sentence: sentence.into(), instead: None }
    }
}

impl From<GrantRefusal> for Problem {
    fn from(why: GrantRefusal) -> Self {
        let instead = match why {
            GrantRefusal::Overlaps { grant } => Some(format!("/me#consent-{grant}")),
            _ => None,
        };
        Self { field: why.field(), sentence: format::sentence(&why.to_string()), instead }
    }
}

struct Person {
    id: String,
    label: String,
    chosen: bool,
}

struct Choice {
    name: &'static str,
    label: String,
    hint: String,
    chosen: bool,
}

/// The form.
#[derive(Template)]
#[template(path = "pages/consent_form.html")]
pub(super) struct ConsentForm {
    layout: Layout,
    people: Vec<Person>,
    other: String,
    classes: Vec<Choice>,
    from: String,
    lengths: Vec<Choice>,
    until: String,
    /// When the consent that is changed ends now, milliseconds.
    ends: String,
    /// The consent that is changed.
    replaces: String,
    /// The request that is answered.
    answers: String,
    problem: Option<Problem>,
    /// The part that does not fit.
    wrong: &'static str,
}

impl ConsentForm {
    /// The form with what was entered.
    pub(super) fn of(
        layout: Layout,
        people: &[(PersonId, String, Role)],
        entered: &Fields,
        problem: Option<Problem>,
    ) -> Self {
        let field = |name: &str| entered.get(name).map_or("", String::as_str);
        let person = |(id, name, role): &(PersonId, String, Role)| {
            let id = id.to_string();
            Person { label: format!("{name}, {}", role.word()), chosen: field("who") == id, id }
        };
        let class = |(name, class, hint): (&'static str, Class, &'static str)| Choice {
            name,
            label: format::capital(labels::class(class)),
            hint: hint.into(),
            chosen: field(name) == YES,
        };
        let chosen = if field("length").is_empty() { LENGTH_USUAL } else { field("length") };
        let length = |(name, label, hint): (&'static str, &'static str, &'static str)| Choice {
            name,
            label: label.into(),
            hint: hint.into(),
            chosen: name == chosen,
        };
        let ends: Option<u64> = super::named(field("ends"));
        let same = ends.map(|ends_ms| Choice {
            name: LENGTH_SAME,
            label: "As it is now".into(),
            hint: format!("until {}", Moment(ends_ms).full()),
            chosen: chosen == LENGTH_SAME,
        });
        let all: Vec<Person> = people.iter().map(person).collect();
        let listed = all.iter().any(|one| one.chosen);
        // A change, and an answer, is for whom it is for, whether or not they are in the list.
        let changes = !field("replaces").is_empty() || !field("answers").is_empty();
        let shown = all.into_iter().filter(|one| !changes || one.chosen).collect();
        let other =
            if changes && !listed && field("other").is_empty() { field("who") } else { field("other") };
        let other = other.to_owned();
        Self {
            layout,
            people: shown,
            other,
            classes: CLASSES.into_iter().map(class).collect(),
            from: field("from").into(),
            lengths: same.into_iter().chain(LENGTHS.into_iter().map(length)).collect(),
            ends: field("ends").into(),
            until: field("until").into(),
            replaces: field("replaces").into(),
            answers: field("answers").into(),
            wrong: problem.as_ref().map_or("", |problem| match problem.field {
                GrantField::Grantee => "who",
                GrantField::Classes => "what",
                GrantField::From => "from",
                GrantField::Until => "until",
            }),
            problem,
        }
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.wrong == field
    }
}

/// The value of a box that is ticked.
pub(super) const YES: &str = "yes";

/// What is entered at first: what most people mean.
pub(super) fn usual() -> Fields {
    CLASSES.map(|(name, ..)| (name.to_owned(), YES.to_owned())).into()
}

/// What is entered at first where a consent is changed: what it says now.
pub(super) fn of_grant(grant: &GrantView) -> Fields {
    let ticked = CLASSES.into_iter().filter(|(_, class, _)| grant.classes.contains(class));
    let mut fields: Fields = ticked.map(|(name, ..)| (name.to_owned(), YES.to_owned())).collect();
    fields.extend([
        ("who".to_owned(), grant.person.to_string()),
        ("length".to_owned(), LENGTH_SAME.to_owned()),
        ("ends".to_owned(), grant.until_ms.to_string()),
        ("replaces".to_owned(), grant.grant.to_string()),
    ]);
    if grant.state == GrantState::Future {
        // The day whose midnight it is, wherever that is: no zone is further than half a day from UTC but a few.
        let near_ms = i64::try_from(grant.from_ms.saturating_add(DAY_MS / 2)).unwrap_or(i64::MAX);
        let day = Timestamp::from_millisecond(near_ms).map(|at| Offset::UTC.to_datetime(at).date());
        fields.insert("from".to_owned(), day.map(|day| day.to_string()).unwrap_or_default());
    }
    fields
}

/// What is entered at first where a request is answered: what was asked for, beside what is `held` already.
pub(super) fn of_ask(ask: &AskView, held: Option<&GrantView>) -> Fields {
    let holds = |class: &Class| held.is_some_and(|held| held.classes.contains(class));
    let ticked = CLASSES.into_iter().filter(|(_, class, _)| ask.classes.contains(class) || holds(class));
    let mut fields: Fields = ticked.map(|(name, ..)| (name.to_owned(), YES.to_owned())).collect();
    let length = match ask.for_ms {
        for_ms if for_ms <= DAY_MS => "day",
        for_ms if for_ms <= WEEK_MS => "week",
        _ => "stay",
    };
    fields.extend([
        ("who".to_owned(), ask.clinician.to_string()),
        ("length".to_owned(), length.to_owned()),
        ("answers".to_owned(), format::hex(&ask.id)),
    ]);
    if let Some(held) = held {
        fields.insert("replaces".to_owned(), held.grant.to_string());
    }
    fields
}

/// The request that a field or an address names, as this site writes it; none for an empty text.
pub(super) fn ask_id(text: &str) -> Result<Option<AskId>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut id = AskId::default();
    hex::decode_to_slice(text, &mut id).map_err(|_| ())?;
    if format::hex(&id) == text { Ok(Some(id)) } else { Err(()) }
}

/// The classes that are ticked.
///
/// # Errors
/// A box that says something else than yes.
pub(super) fn classes(fields: &Fields) -> Result<Vec<Class>, Problem> {
    let mut classes = Vec::new();
    for (name, class, _) in CLASSES {
        match fields.get(name).map(String::as_str) {
            None => {}
            Some(YES) => classes.push(class),
            Some(_) => {
                return Err(Problem::of(GrantField::Classes, "There is no such kind of data to choose."));
            }
        }
    }
    Ok(classes)
}

/// The consent that a form asks for, at this time.
///
/// # Errors
/// The part that cannot be read, and why.
pub(super) fn wish(fields: &Fields, now_ms: u64) -> Result<ConsentWish, Problem> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str).trim();
    let grantee = match (field("who"), field("other")) {
        ("", "") => Err("Choose a person, or enter the id of one."),
        ("", id) | (id, "") => super::named(id)
            .ok_or("An id has 64 digits, 0 to 9 and a to f. The person’s own help page shows it."),
        _ => Err("Choose a person or enter an id, not both."),
    };
    let grantee = grantee.map_err(|why| Problem::of(GrantField::Grantee, why))?;
    let classes = classes(fields)?;
    let [offset, from_offset, until_offset] = offsets(field("offsets"));
    let day = |name, of| {
        let text = field(name);
        let written = || Date::strptime("%Y-%m-%d", text).ok().filter(|date| date.to_string() == text);
        let why = "This is no day. Write year, month and day, such as 2027-03-01.";
        written().ok_or_else(|| Problem::of(of, why))
    };
    let too_far = |of| Problem::of(of, "This day cannot be chosen.");
    let today = local(now_ms, offset).ok_or_else(|| too_far(GrantField::From))?.date();
    let begins = match field("from") {
        "" => None,
        _ => Some(day("from", GrantField::From)?).filter(|date| *date != today),
    };
    let from_ms = match begins {
        None => None,
        Some(date) => Some(midnight_ms(date, from_offset).ok_or_else(|| too_far(GrantField::From))?),
    };
    let begins_ms = from_ms.unwrap_or(now_ms);
    let end_of = |date: Date, offset| {
        let next = date.checked_add(1.day()).ok().and_then(|next| midnight_ms(next, offset));
        next.ok_or_else(|| too_far(GrantField::Until))
    };
    let until_ms = match field("length") {
        "day" => end_of(begins.unwrap_or(today), if begins.is_some() { from_offset } else { offset })?,
        "week" => begins_ms.saturating_add(WEEK_MS),
        "stay" => begins_ms.saturating_add(30 * DAY_MS),
        "date" => end_of(day("until", GrantField::Until)?, until_offset)?,
        LENGTH_SAME => super::named(field("ends"))
            .ok_or_else(|| Problem::of(GrantField::Until, "Choose how long it is to last."))?,
        _ => return Err(Problem::of(GrantField::Until, "Choose how long it is to last.")),
    };
    let replaces = match field("replaces") {
        "" => None,
        id => Some(super::named(id).ok_or_else(|| {
            Problem::of(GrantField::Grantee, "There is no such consent to change. Begin again on your page.")
        })?),
    };
    let answers = ask_id(field("answers")).map_err(|()| {
        Problem::of(GrantField::Grantee, "There is no such request to answer. Begin again on your page.")
    })?;
    Ok(ConsentWish { grantee, classes, from_ms, until_ms, replaces, answers })
}

/// How far the viewer's clock is ahead of UTC now, on the first day and on the last, minutes: the page's script
/// says so. Without it days are those of UTC, as are all times of such a page.
fn offsets(text: &str) -> [i64; 3] {
    let mut minutes = text.split(',').map(|part| {
        let minutes: i64 = part.parse().unwrap_or(0);
        minutes.clamp(-OFFSET_MINUTES_MAX, OFFSET_MINUTES_MAX)
    });
    [(); 3].map(|()| minutes.next().unwrap_or(0))
}

fn local(now_ms: u64, offset_minutes: i64) -> Option<DateTime> {
    let ms = i64::try_from(now_ms).ok()?.checked_add(offset_minutes * MINUTE_MS)?;
    Some(Offset::UTC.to_datetime(Timestamp::from_millisecond(ms).ok()?))
}

fn midnight_ms(date: Date, offset_minutes: i64) -> Option<u64> {
    let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    u64::try_from(midnight.as_millisecond() - offset_minutes * MINUTE_MS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOON_MS: u64 = 1_795_348_800_000;
    const HOUR_MS: u64 = 3_600_000;

    fn form(fields: &[(&str, &str)]) -> Fields {
        let all = [("who", "11".repeat(32)), ("vitals", "yes".into()), ("length", "day".into())];
        let mut form: Fields = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        form
    }

    fn until_ms(fields: &[(&str, &str)]) -> u64 {
        wish(&form(fields), NOON_MS).ok().expect("it can be read").until_ms
    }

    #[test]
    fn days_end_at_the_viewer_s_midnight_and_without_a_script_at_that_of_utc() {
        assert_eq!(until_ms(&[]), NOON_MS + 12 * HOUR_MS);
        assert_eq!(until_ms(&[("offsets", "60,60,60")]), NOON_MS + 11 * HOUR_MS, "Berlin");
        assert_eq!(until_ms(&[("offsets", "-300,-300,-300")]), NOON_MS + 17 * HOUR_MS, "New York");
        assert_eq!(until_ms(&[("offsets", "780,780,780")]), NOON_MS + 23 * HOUR_MS, "it is tomorrow there");
        assert_eq!(until_ms(&[("length", "week")]), NOON_MS + 7 * DAY_MS);
        let date = [("length", "date"), ("until", "2027-04-01")];
        let end_ms = 1_806_624_000_000; // 2027-04-02 00:00:00 UTC
        assert_eq!(until_ms(&date), end_ms);
        let summer = [date[0], date[1], ("offsets", "60,60,120")];
        assert_eq!(until_ms(&summer), end_ms - 2 * HOUR_MS, "the offset is the one of that day");
        for odd in ["x", "60", ",,,,", "99999,99999,99999"] {
            assert!(wish(&form(&[("offsets", odd)]), NOON_MS).is_ok(), "{odd}");
        }
    }

    #[test]
    fn a_later_first_day_begins_at_its_midnight_and_today_is_now() {
        let from_ms = |from| wish(&form(&[("from", from)]), NOON_MS).ok().expect("it can be read").from_ms;
        assert_eq!(from_ms(""), None);
        assert_eq!(from_ms("2026-11-22"), None);
        assert_eq!(from_ms("2026-11-23"), Some(NOON_MS + 12 * HOUR_MS));
        assert_eq!(until_ms(&[("from", "2026-11-23")]), NOON_MS + 36 * HOUR_MS);
    }

    #[test]
    fn what_cannot_be_read_names_its_part() {
        let part = |fields: &[(&str, &str)]| wish(&form(fields), NOON_MS).err().map(|problem| problem.field);
        let id = "22".repeat(32);
        assert_eq!(part(&[("who", "")]), Some(GrantField::Grantee));
        assert_eq!(part(&[("other", &id)]), Some(GrantField::Grantee), "both");
        assert_eq!(part(&[("who", ""), ("other", &id)]), None);
        assert_eq!(part(&[("who", "lee")]), Some(GrantField::Grantee));
        assert_eq!(part(&[("who", &id.to_uppercase()), ("other", "")]), None, "digits only");
        assert_eq!(part(&[("vitals", "no")]), Some(GrantField::Classes));
        for odd in ["tomorrow", "2026-13-01", "2026-2-1", "+2026-11-23", "22.11.2026", "99999-01-01"] {
            assert_eq!(part(&[("from", odd)]), Some(GrantField::From), "{odd}");
            assert_eq!(part(&[("length", "date"), ("until", odd)]), Some(GrantField::Until), "{odd}");
        }
        assert_eq!(part(&[("length", "date")]), Some(GrantField::Until));
        assert_eq!(part(&[("length", "ever")]), Some(GrantField::Until));
    }
}
