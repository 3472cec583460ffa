//! What surrounds a page's content: top bar, alarm strip, notices of the whole server.

use crate::app::App;
use crate::caller::{Caller, Ward};
use crate::format;
use crate::navigation::Link;
use crate::pages::alarms::{self, AlarmsPart};
use crate::secret_address::holds_secret;
use crate::time::{self, Moment};
use crate::visit::Visit;
use clinic::views::LedgerHealth;
use vitals::PatientId;
use vitals::ledger::Role;

/// Who is signed in, as the top bar says it.
pub(crate) struct Viewer {
    /// Name.
    pub(crate) name: String,
    /// Role.
    pub(crate) role: &'static str,
}

/// The frame of a page.
pub(crate) struct Layout {
    pub(crate) hospital: String,
    pub(crate) viewer: Option<Viewer>,
    pub(crate) nav: Vec<Link>,
    pub(crate) theme: Option<&'static str>,
    pub(crate) csrf: String,
    pub(crate) path: String,
    pub(crate) now: Moment,
    /// What the page follows live beside the alarm strip: names of topics.
    pub(crate) live: Option<String>,
    /// Names the session for the pages of one browser.
    pub(crate) mark: String,
    /// The alarms of all beds, on every page of a clinician.
    pub(crate) strip: Option<AlarmsPart>,
    /// The alarms could not be read.
    pub(crate) alarms_unknown: bool,
    /// What stands before the title while there are alarms.
    pub(crate) alarm_title: String,
    /// The wall itself: all alarms are shown, and it reloads without scripts.
    pub(crate) is_wall: bool,
    pub(crate) halt: Halt,
    /// What is wrong with the clocks, in words.
    pub(crate) clock_fault: Option<String>,
    /// What the browser remembers; only for somebody signed in, at a node that keeps blocks.
    pub(crate) head: Option<Head>,
    /// Withdrawn consents that should have been on the ledger long ago.
    pub(crate) late: usize,
    /// The page's address holds a secret: nothing on the page repeats it or sends it on.
    pub(crate) secret: bool,
}

/// The newest block, for the browser that compares it with the one it saw before (`assets/witness.js`).
pub(crate) struct Head {
    /// Of the genesis document: which ledger.
    pub(crate) ledger: String,
    pub(crate) height: u64,
    /// Of the block's header.
    pub(crate) digest: String,
}

/// Whether the ledger stands still.
pub(crate) struct Halt {
    /// It does.
    pub(crate) on: bool,
    /// Its newest block.
    pub(crate) since: Moment,
    /// How long ago that is.
    pub(crate) age: String,
    /// Withdrawn consents that wait for it.
    pub(crate) waiting: usize,
}

impl Halt {
    fn of(health: &LedgerHealth) -> Self {
        Self {
            on: health.stale,
            since: Moment(health.tip_ms),
            age: time::age(health.age_ms),
            waiting: health.withdrawals_waiting,
        }
    }
}

impl Layout {
    /// The frame of a page for this visit; `caller` when somebody is signed in.
    pub(crate) fn new(app: &App, visit: &Visit, caller: Option<&Caller>, here: &str) -> Self {
        let nav = caller.map_or_else(Vec::new, |caller| app.navigation().links(caller.session.role, here));
        let health = app.clinic().health(app.now_ms());
        let ward = caller.and_then(|caller| match &caller.ward {
            Ward::Known(wall) => Some(&**wall),
            Ward::Unknown | Ward::NotAsked => None,
        });
        // Staff may know that there is such a withdrawal, not whose it is.
        let staff = caller.is_some_and(|caller| {
            matches!(caller.session.role, Role::Administrator | Role::Auditor | Role::Clinician)
        });
        Self {
            hospital: app.settings().hospital.clone(),
            viewer: caller
                .map(|caller| Viewer { name: caller.session.name.clone(), role: caller.session.role.word() }),
            nav,
            theme: visit.theme,
            csrf: caller.map(Caller::csrf).unwrap_or_default(),
            secret: holds_secret(&visit.path),
            path: visit.path.clone(),
            now: Moment(app.now_ms()),
            live: caller.filter(|caller| caller.session.role == Role::Clinician).map(|_| String::new()),
            mark: caller.map(Caller::browser_mark).unwrap_or_default(),
            alarms_unknown: caller.is_some_and(|caller| matches!(caller.ward, Ward::Unknown)),
            alarm_title: ward.map(alarms::title).unwrap_or_default(),
            strip: caller.and_then(|caller| match &caller.ward {
                Ward::Known(wall) => Some(alarms::strip(wall, caller, None)),
                Ward::NotAsked if caller.session.role == Role::Clinician => Some(alarms::not_asked()),
                Ward::NotAsked | Ward::Unknown => None,
            }),
            is_wall: false,
            halt: Halt::of(&health),
            clock_fault: (!health.clocks.is_empty()).then(|| health.clocks.to_string()),
            head: caller.and(health.tip).map(|digest| Head {
                ledger: format::hex(&app.clinic().genesis().0),
                height: health.height,
                digest: format::hex(&digest),
            }),
            late: if staff { health.withdrawals_late } else { 0 },
        }
    }

    /// The frame of a signed-in caller's page.
    pub(crate) fn of(app: &App, caller: &Caller, here: &str) -> Self {
        Self::new(app, &caller.visit, Some(caller), here)
    }

    /// The frame of a page that follows something of its own.
    pub(crate) fn live(mut self, topic: String) -> Self {
        self.live = Some(topic);
        self
    }

    /// The frame of the wall.
    pub(crate) fn wall(self) -> Self {
        Self { is_wall: true, ..self.live(crate::live_topics::WALL.into()) }
    }

    /// The frame of a page on which this patient's alarms have a place of their own.
    pub(crate) fn beside(mut self, caller: &Caller, patient: PatientId) -> Self {
        if let Ward::Known(wall) = &caller.ward {
            self.strip = Some(alarms::strip(wall, caller, Some(patient)));
        }
        self
    }

    pub(crate) fn signed_in(&self) -> bool {
        self.viewer.is_some()
    }

    pub(crate) fn theme_word(&self) -> &'static str {
        self.theme.unwrap_or("auto")
    }

    pub(crate) fn next_theme(&self) -> &'static str {
        match self.theme {
            None => "dark",
            Some("dark") => "light",
            Some(_) => "auto",
        }
    }
}
