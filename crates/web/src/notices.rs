//! What has just been done, said once: the page one is sent to says "saved", and does not when it is loaded again. And
//! one-time links, shown once to whoever made them. Each owns its lock.

use clinic::Token;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use vitals::PersonId;

/// Most sessions with a notice that no page has said yet; beyond, all are dropped: what was done stands all the same.
const NOTICES_MAX: usize = 1_024;

/// The newest notice of each session that no page has said.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    of_session: Mutex<HashMap<String, String>>,
    count: AtomicU64,
}

impl Notices {
    /// A number that no notice had before.
    pub(crate) fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// The session's next page with this mark in its address says its notice.
    pub(crate) fn put(&self, session: String, mark: String) {
        let mut of_session = self.of_session.lock();
        if of_session.len() >= NOTICES_MAX {
            of_session.clear();
        }
        of_session.insert(session, mark);
    }

    /// Is this the mark of the session's notice? From then on it is not.
    pub(crate) fn take(&self, session: &str, mark: &str) -> bool {
        let mut of_session = self.of_session.lock();
        let is_own = of_session.get(session).is_some_and(|own| own == mark);
        if is_own {
            of_session.remove(session);
        }
        is_own
    }
}

/// Most sessions with a link that no page has shown yet; beyond, all are dropped: a new one is made in their place.
const LINKS_MAX: usize = 256;

/// The newest one-time link of each session, until a page has shown it. It is in memory only here.
#[derive(Debug, Default)]
pub(crate) struct UnshownLinks(Mutex<HashMap<String, (PersonId, Token)>>);

impl UnshownLinks {
    /// The next page about this person shows it to this session.
    pub(crate) fn put(&self, session: String, person: PersonId, secret: Token) {
        let mut of_session = self.0.lock();
        if of_session.len() >= LINKS_MAX {
            of_session.clear();
        }
        of_session.insert(session, (person, secret));
    }

    /// The link about this person that this session made and has not seen; from then on it is gone.
    pub(crate) fn take(&self, session: &str, person: PersonId) -> Option<Token> {
        let mut of_session = self.0.lock();
        of_session.get(session).filter(|(about, _)| *about == person)?;
        of_session.remove(session).map(|(_, secret)| secret)
    }
}
