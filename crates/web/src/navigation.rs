//! The main menu: which roles see which page in it. Its rows stand in the table of routes.

use std::borrow::Cow;
use vitals::ledger::Role;

/// A link to a page of this site.
pub struct Link {
    /// Address.
    pub href: Cow<'static, str>,
    /// Text.
    pub label: &'static str,
    /// Is it the page that is shown?
    pub current: bool,
}

/// One page of the menu.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) href: &'static str,
    pub(crate) label: &'static str,
    /// Who has it in the menu; everybody if none is named.
    pub(crate) roles: &'static [Role],
}

/// The menu of everybody, in its order.
pub(crate) struct Navigation(Vec<Entry>);

impl Navigation {
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self(entries.into_iter().collect())
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.roles.is_empty() || entry.roles.contains(&role))
    }

    /// The menu of a role, on the page with this address.
    pub(crate) fn links(&self, role: Role, here: &str) -> Vec<Link> {
        let link =
            |entry: &Entry| Link { href: entry.href.into(), label: entry.label, current: entry.href == here };
        self.of(role).map(link).collect()
    }

    /// The first page of a role.
    pub(crate) fn home(&self, role: Role) -> &'static str {
        self.of(role).next().map_or("/help", |entry| entry.href)
    }
}
