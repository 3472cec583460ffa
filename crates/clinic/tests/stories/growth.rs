//! What gathers over the years, and must not cost more for it. Work is counted, not timed.

use clinic::views::GrantState;
use clinic::{ChartRequest, Denied};
use testward::{NOON_MS, Ward, denied};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::Purpose;

/// Consents that are given and withdrawn, each on the ledger before the next.
fn given_and_withdrawn(ward: &mut Ward, consents: usize) {
    for _ in 0..consents {
        ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
        let own = ward.now_as("amira");
        let given = ward.clinic.own_consents(&own, ward.now_ms).unwrap();
        let live = given.iter().find(|view| view.state == GrantState::Live).unwrap();
        ward.clinic.revoke_grant(&own, live.grant, ward.now_ms).unwrap();
        ward.block();
    }
}

/// How many consents the ledger is asked for by a minute of passing time, and by one decision.
fn asked(ward: &mut Ward, patient: PatientId) -> (u64, u64) {
    // What is settled by now is noticed.
    for _ in 0..3 {
        ward.later(5_000);
    }
    let before = ward.ledger.grants_asked();
    for _ in 0..12 {
        ward.pass(5_000);
    }
    let minute = ward.ledger.grants_asked();
    let span_ms = (NOON_MS, ward.now_ms);
    let classes = vec![Class::Vitals];
    let ask = ChartRequest { patient, purpose: Purpose::Treatment, classes, span_ms, make_do: false };
    // The first decision after a change may look at all of them once.
    for _ in 0..2 {
        assert_eq!(denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms)), Denied::Withdrawn);
    }
    let twice = ward.ledger.grants_asked();
    assert_eq!(denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms)), Denied::Withdrawn);
    (minute - before, ward.ledger.grants_asked() - twice)
}

#[test]
fn withdrawn_consents_cost_nothing_once_the_ledger_has_them() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    given_and_withdrawn(&mut ward, 3);
    let few = asked(&mut ward, amira);
    given_and_withdrawn(&mut ward, 60);
    let many = asked(&mut ward, amira);
    println!("questions about consents: 3 withdrawn {few:?}, 63 withdrawn {many:?}");
    assert_eq!(many, few);
    assert!(many.1 <= 2, "a decision looks at what may open something, and at one that says why not");
    let mut ward = ward.reopened();
    assert_eq!(asked(&mut ward, amira), few, "after a restart too");
    let shown = ward.clinic.own_consents(&ward.now_as("amira"), ward.now_ms).unwrap();
    assert_eq!(shown.iter().filter(|view| view.state == GrantState::Withdrawn).count(), 63, "all are shown");
}

#[test]
fn a_consent_withdrawn_here_opens_nothing_while_the_ledger_does_not_know() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.ledger.set_withholding_withdrawals(true);
    ward.clinic.revoke_grant(&ward.as_("amira"), grant, ward.now_ms).unwrap();
    let classes = vec![Class::Vitals];
    for minute in 0..12 {
        ward.later(60_000);
        let span_ms = (NOON_MS, ward.now_ms);
        let ask = ChartRequest {
            patient: amira,
            purpose: Purpose::Treatment,
            classes: classes.clone(),
            span_ms,
            make_do: false,
        };
        let why = denied(ward.clinic.open_chart(&ward.now_as("lee"), &ask, ward.now_ms));
        assert_eq!(why, Denied::Withdrawn, "minute {minute}");
    }
    ward.ledger.set_withholding_withdrawals(false);
    ward.later(10_000);
    ward.later(10_000);
    let there = vitals::ledger::Ledger::grant(&*ward.ledger, grant).unwrap().unwrap();
    assert_ne!(there.revoked_at_ms, 0);
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 0);
}

#[test]
fn an_organisation_where_nothing_happens_anchors_nothing() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    ward.anchor();
    ward.anchor();
    let before = (ward.ledger.submitted(), ward.clinic.store().size());
    // Half a day of blocks, one a minute.
    for _ in 0..720 {
        ward.later(60_000);
    }
    assert_eq!((ward.ledger.submitted(), ward.clinic.store().size()), before);
}
