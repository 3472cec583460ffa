//! Consents are paused, resumed, narrowed, extended and withdrawn: never more is open than is said, and what stays is
//! not interrupted.

use clinic::views::{GrantState, GrantView};
use clinic::{ChartRequest, ClinicError, ConsentWish, Denied, GrantRefusal, MONITORED};
use std::collections::BTreeSet;
use testward::{Ward, denied};
use vitals::ids::Class;
use vitals::ledger::{Ledger, Purpose, Role};
use vitals::{GrantId, PatientId};

const DAY_MS: u64 = 86_400_000;
const CLASSES: [Class; 3] = [Class::Vitals, Class::Environment, Class::Alarms];

struct Scene {
    ward: Ward,
    amira: PatientId,
    number: u8,
}

impl Scene {
    fn new() -> Self {
        let (mut ward, [amira]) = Ward::with(["amira"]);
        ward.person("nadia", Role::Family);
        ward.block();
        let mut gateway = ward.gateway(1, &[amira]);
        ward.beats(&mut gateway, 720, 2);
        Self { ward, amira, number: 0 }
    }

    /// What Dr Lee's chart opens for treatment now.
    fn opened(&self) -> BTreeSet<Class> {
        let span_ms = (self.ward.now_ms - 1_000, self.ward.now_ms);
        let (patient, purpose, classes) = (self.amira, Purpose::Treatment, MONITORED.to_vec());
        let ask = ChartRequest { patient, purpose, classes, span_ms, make_do: true };
        let chart = self.ward.clinic.open_chart(&self.ward.now_as("lee"), &ask, self.ward.now_ms);
        chart.map_or_else(|_| BTreeSet::new(), |chart| chart.classes.into_iter().collect())
    }

    fn wish(&self, classes: &BTreeSet<Class>, replaces: Option<GrantId>) -> ConsentWish {
        ConsentWish {
            grantee: self.ward.as_("lee").person,
            classes: classes.iter().copied().collect(),
            from_ms: None,
            until_ms: self.ward.now_ms + 7 * DAY_MS,
            replaces,
            answers: None,
        }
    }

    fn give(&mut self, wish: &ConsentWish) -> Result<GrantId, ClinicError> {
        self.number += 1;
        let own = self.ward.now_as("amira");
        self.ward
            .clinic
            .give_consent(&own, wish, [self.number; 32], self.ward.now_ms)
            .map(|given| given.grant)
    }

    fn given(&mut self, classes: &[Class]) -> GrantId {
        let grant = self.give(&self.wish(&classes.iter().copied().collect(), None)).unwrap();
        self.ward.block();
        grant
    }

    fn view(&self, grant: GrantId) -> GrantView {
        let own = self.ward.clinic.own_consents(&self.ward.now_as("amira"), self.ward.now_ms).unwrap();
        own.into_iter().find(|view| view.grant == grant).unwrap()
    }

    fn revoke(&mut self, grant: GrantId) {
        self.ward.clinic.revoke_grant(&self.ward.now_as("amira"), grant, self.ward.now_ms).unwrap();
    }

    fn is_revoked(&self, grant: GrantId) -> bool {
        self.ward.ledger.grant(grant).unwrap().is_some_and(|there| there.revoked_at_ms != 0)
    }
}

fn set(classes: &[Class]) -> BTreeSet<Class> {
    classes.iter().copied().collect()
}

/// Every choice of classes that is not empty.
fn choices() -> Vec<BTreeSet<Class>> {
    let of = |bits: usize| CLASSES.into_iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
    (1..8).map(|bits| of(bits).map(|(_, class)| class).collect()).collect()
}

#[test]
fn a_paused_consent_opens_nothing_here_closes_pages_and_survives_a_restart() {
    let mut scene = Scene::new();
    let grant = scene.given(&[Class::Vitals]);
    let (amira, lee) = (scene.ward.as_("amira"), scene.ward.as_("lee"));
    let now_ms = scene.ward.now_ms;
    let mut page = scene.ward.clinic.follow_patient(&lee, scene.amira, Purpose::Treatment, now_ms).unwrap();
    assert!(page.check(now_ms).is_ok());
    scene.ward.ledger.set_down(true);
    scene.ward.clinic.pause_consent(&amira, grant, now_ms).unwrap();
    scene.ward.ledger.set_down(false);
    assert_eq!(page.check(now_ms), Err(Denied::ConsentPaused), "at once");
    assert!(page.tile(scene.amira, now_ms).is_err());
    let size = scene.ward.clinic.store().size();
    assert!(scene.opened().is_empty());
    assert_eq!(scene.ward.clinic.store().size(), size, "nothing read, nothing written");
    assert!(!scene.is_revoked(grant), "the ledger knows nothing of it");
    scene.ward.clinic.pause_consent(&amira, grant, now_ms + 5).unwrap();
    assert_eq!(scene.view(grant).paused_since_ms, Some(now_ms), "twice is once");
    // Watching is another consent.
    assert_eq!(scene.ward.clinic.wall(&lee, now_ms).unwrap().tiles.len(), 1);
    for who in ["lee", "nadia"] {
        let other = scene.ward.clinic.resume_consent(&scene.ward.as_(who), grant, now_ms);
        assert!(matches!(other, Err(ClinicError::Denied(_))), "{who}");
    }
    drop(page);
    scene.ward = scene.ward.killed();
    scene.ward.block();
    assert!(scene.opened().is_empty(), "a restart resumes nothing");
    let own = scene.ward.as_("amira");
    scene.ward.clinic.resume_consent(&own, grant, scene.ward.now_ms).unwrap();
    assert_eq!(scene.opened(), set(&[Class::Vitals]));
    scene.ward.clinic.resume_consent(&own, grant, scene.ward.now_ms).unwrap();
    let monitoring = scene.ward.clinic.own_consents(&own, scene.ward.now_ms).unwrap();
    let monitoring = monitoring.iter().find(|view| view.purpose == Purpose::Monitoring).unwrap().grant;
    let watching = scene.ward.clinic.pause_consent(&own, monitoring, scene.ward.now_ms);
    assert!(matches!(watching, Err(ClinicError::Wrong(_))));
    let strange = scene.ward.clinic.pause_consent(&own, GrantId([7; 32]), scene.ward.now_ms);
    assert_eq!(denied(strange), Denied::NoSuchPatient);
    scene.revoke(grant);
    assert!(scene.ward.clinic.resume_consent(&own, grant, scene.ward.now_ms).is_err());
    assert!(scene.opened().is_empty());
}

#[test]
fn a_change_opens_no_more_than_both_say_until_the_ledger_holds_it_and_then_what_it_says() {
    let mut scene = Scene::new();
    for old in choices() {
        for new in choices() {
            let first = scene.give(&scene.wish(&old, None)).unwrap();
            scene.ward.block();
            assert_eq!(scene.opened(), old);
            let second = scene.give(&scene.wish(&new, Some(first))).unwrap();
            let both: BTreeSet<Class> = old.intersection(&new).copied().collect();
            assert_eq!(scene.opened(), both, "from {old:?} to {new:?}, at once");
            assert_eq!(scene.view(second).state, GrantState::Pending);
            // The block holds the new one; nobody has withdrawn the old one there yet.
            scene.ward.ledger.block(scene.ward.now_ms);
            assert_eq!(scene.opened(), new, "from {old:?} to {new:?}, confirmed");
            scene.ward.block();
            scene.ward.block();
            assert!(scene.is_revoked(first), "the old one is withdrawn everywhere");
            assert_eq!(scene.view(first).state, GrantState::Withdrawn);
            assert_eq!(scene.view(first).replaced_by, Some(second));
            assert_eq!(scene.opened(), new);
            scene.revoke(second);
            scene.ward.block();
            assert!(scene.opened().is_empty());
        }
    }
}

#[test]
fn a_narrowed_consent_closes_a_page_that_shows_more_at_once_and_an_extended_one_interrupts_nothing() {
    let mut scene = Scene::new();
    let wide = scene.given(&[Class::Vitals, Class::Alarms]);
    let lee = scene.ward.as_("lee");
    let now_ms = scene.ward.now_ms;
    let follow = |scene: &Scene| {
        scene.ward.clinic.follow_patient(&lee, scene.amira, Purpose::Treatment, scene.ward.now_ms).unwrap()
    };
    let mut page = follow(&scene);
    let narrow = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(wide))).unwrap();
    assert_eq!(page.check(now_ms), Err(Denied::ClassNotCovered { class: Class::Alarms }));
    scene.ward.block();
    let mut page = follow(&scene);
    let longer = ConsentWish {
        until_ms: now_ms + 30 * DAY_MS,
        ..scene.wish(&set(&[Class::Vitals, Class::Environment]), Some(narrow))
    };
    let long = scene.give(&longer).unwrap();
    for _ in 0..4 {
        assert!(page.check(scene.ward.now_ms).is_ok(), "what stays open stays open");
        scene.ward.block();
    }
    assert!(scene.is_revoked(narrow));
    scene.ward.now_ms += 20 * DAY_MS;
    scene.ward.block();
    assert_eq!(scene.opened(), set(&[Class::Vitals, Class::Environment]), "longer than the old one");
    assert_eq!(scene.view(long).state, GrantState::Live);
}

#[test]
fn a_change_that_begins_later_or_ends_sooner_holds_from_the_moment_it_is_made() {
    let mut scene = Scene::new();
    let first = scene.given(&[Class::Vitals]);
    let later = ConsentWish {
        from_ms: Some(scene.ward.now_ms + DAY_MS),
        ..scene.wish(&set(&[Class::Vitals]), Some(first))
    };
    scene.give(&later).unwrap();
    assert!(scene.opened().is_empty(), "both say it from tomorrow on");
    scene.ward.block();
    scene.ward.block();
    assert!(scene.opened().is_empty() && scene.is_revoked(first));
    scene.ward.now_ms += DAY_MS + 1_000;
    scene.ward.block();
    assert_eq!(scene.opened(), set(&[Class::Vitals]));
}

#[test]
fn a_change_that_the_ledger_refused_leaves_what_both_say_and_can_be_made_again() {
    let mut scene = Scene::new();
    let first = scene.given(&[Class::Vitals, Class::Alarms]);
    let short = ConsentWish {
        until_ms: scene.ward.now_ms + 1_000,
        ..scene.wish(&set(&[Class::Vitals]), Some(first))
    };
    let refused = scene.give(&short).unwrap();
    let again = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(refused)));
    assert!(matches!(again, Err(ClinicError::Grant(GrantRefusal::NotInForce))), "not confirmed yet");
    let beside = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(first)));
    assert!(matches!(beside, Err(ClinicError::Grant(GrantRefusal::Overlaps { .. }))), "one change at a time");
    scene.ward.later(60_000);
    assert_eq!(scene.view(refused).state, GrantState::Refused);
    assert!(scene.opened().is_empty(), "never more than both say");
    let second = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(first))).unwrap();
    assert_eq!(scene.opened(), set(&[Class::Vitals]));
    scene.ward.block();
    scene.ward.block();
    assert!(scene.is_revoked(first) && scene.view(second).state == GrantState::Live);
    // For somebody else it is no change, and what is over is not changed.
    let other = ConsentWish {
        grantee: scene.ward.as_("nadia").person,
        ..scene.wish(&set(&[Class::Vitals]), Some(second))
    };
    assert!(matches!(scene.give(&other), Err(ClinicError::Grant(GrantRefusal::OtherPerson))));
    let over = scene.wish(&set(&[Class::Vitals]), Some(first));
    assert!(matches!(scene.give(&over), Err(ClinicError::Grant(GrantRefusal::NotInForce))));
    let strange = scene.wish(&set(&[Class::Vitals]), Some(GrantId([7; 32])));
    assert_eq!(denied(scene.give(&strange)), Denied::NoSuchPatient);
}

#[test]
fn who_withdraws_the_narrower_consent_does_not_keep_the_wider_one() {
    let mut scene = Scene::new();
    let wide = scene.given(&[Class::Vitals, Class::Alarms]);
    let narrow = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(wide))).unwrap();
    scene.revoke(narrow);
    assert!(scene.opened().is_empty(), "at once");
    scene.ward.block();
    scene.ward.block();
    assert!(scene.opened().is_empty() && scene.is_revoked(wide) && scene.is_revoked(narrow));
}

#[test]
fn what_is_paused_stays_paused_through_a_change() {
    let mut scene = Scene::new();
    let first = scene.given(&[Class::Vitals]);
    let own = scene.ward.as_("amira");
    scene.ward.clinic.pause_consent(&own, first, scene.ward.now_ms).unwrap();
    let second = scene.give(&scene.wish(&set(&[Class::Vitals, Class::Alarms]), Some(first))).unwrap();
    for _ in 0..3 {
        assert!(scene.opened().is_empty());
        scene.ward.block();
    }
    assert!(scene.view(second).paused_since_ms.is_some());
    scene.ward.clinic.resume_consent(&own, second, scene.ward.now_ms).unwrap();
    assert_eq!(scene.opened(), set(&[Class::Vitals, Class::Alarms]));
    // And a pause of the new one holds while the old one still stands.
    let third = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(second))).unwrap();
    assert_eq!(scene.opened(), set(&[Class::Vitals]));
    scene.ward.clinic.pause_consent(&own, third, scene.ward.now_ms).unwrap();
    assert!(scene.opened().is_empty());
}

#[test]
fn a_change_survives_a_restart_before_and_after_its_block() {
    let mut scene = Scene::new();
    for before in [true, false] {
        let wide = scene.given(&[Class::Vitals, Class::Alarms]);
        let narrow = scene.give(&scene.wish(&set(&[Class::Vitals]), Some(wide))).unwrap();
        if !before {
            scene.ward.ledger.block(scene.ward.now_ms);
        }
        scene.ward = scene.ward.killed();
        assert_eq!(scene.opened(), set(&[Class::Vitals]), "no restart opens what was taken back");
        scene.ward.now_ms += 10_000;
        for _ in 0..3 {
            scene.ward.block();
            assert_eq!(scene.opened(), set(&[Class::Vitals]));
        }
        assert!(scene.is_revoked(wide));
        scene.revoke(narrow);
        scene.ward.block();
    }
}
