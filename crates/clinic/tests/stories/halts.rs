//! The ledger stands still, or leaves something out: what goes on, and what waits.

use clinic::views::GrantState;
use clinic::{ChartRequest, Denied, GrantRequest, LATE_BLOCKS, NewPerson, VIEW_AGE_MAX_MS, Verdict};
use testward::{Ward, denied};
use vitals::PersonId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

#[test]
fn on_a_ledger_that_stands_still_the_ward_goes_on_and_new_trust_waits() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals, Class::Alarms]);
    let org = PersonId::of_organisation(ward.clinic.org());
    let request = |from_ms| GrantRequest {
        grantee: org,
        purpose: Purpose::Monitoring,
        classes: vec![Class::Vitals, Class::Alarms],
        from_ms,
        until_ms: from_ms + 86_400_000,
    };
    let monitoring = ward.clinic.grant(&ward.as_("amira"), &request(ward.now_ms), ward.now_ms).unwrap();
    ward.block();
    ward.done(&monitoring);
    assert!(!ward.clinic.health(ward.now_ms).stale);
    ward.pass(VIEW_AGE_MAX_MS + 1);
    let health = ward.clinic.health(ward.now_ms);
    assert!(health.stale && health.age_ms > VIEW_AGE_MAX_MS);

    // Known devices are admitted, alarms are raised, home charts open.
    let bytes = gateway.sensors[0].pulse(1900, ward.now_ms);
    let answers = ward.carry(gateway.id(), &[bytes]);
    assert!(matches!(answers[0].verdict, Verdict::Admitted { .. }));
    for _ in 0..20 {
        ward.pass(1000);
        let bytes = gateway.sensors[0].pulse(1900, ward.now_ms);
        ward.carry(gateway.id(), &[bytes]);
    }
    assert!(ward.clinic.counters().alarms_raised > 0, "alarms ring without consensus");
    let span_ms = (ward.now_ms - 600_000, ward.now_ms);
    let ask = ChartRequest {
        patient: amira,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        span_ms,
        make_do: false,
    };
    assert!(!ward.clinic.open_chart(&ward.as_("lee"), &ask, ward.now_ms).unwrap().series.is_empty());

    // Consents, people and devices wait, and hear why.
    let stale = |why: Denied| {
        assert!(matches!(why, Denied::LedgerStale { .. }), "{why:?}");
        assert!(why.to_string().contains("nothing new can be decided"), "{why}");
    };
    stale(denied(ward.clinic.grant(&ward.as_("amira"), &request(ward.now_ms), ward.now_ms)));
    let new = NewPerson { login: "new", name: "new", password: "a secret word", role: Role::Clinician };
    stale(denied(ward.clinic.create_person(&ward.admin, &new, ward.now_ms)));
    stale(denied(ward.clinic.pair(&ward.admin, &[], &[], ward.now_ms)));

    // The ledger moves again, and so does everything.
    ward.block();
    assert!(ward.clinic.create_person(&ward.admin, &new, ward.now_ms).is_ok());
}

#[test]
fn a_withdrawal_that_stays_out_of_twenty_blocks_raises_a_technical_alarm() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    let grant = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.ledger.set_withholding_withdrawals(true);
    let amira = ward.as_("amira");
    ward.clinic.revoke_grant(&amira, grant, ward.now_ms).unwrap();
    let of = |ward: &Ward| {
        let health = ward.clinic.health(ward.now_ms);
        (health.withdrawals_waiting, health.withdrawals_late, ward.clinic.counters().withdrawals_late)
    };
    let late = |ward: &Ward| {
        let page = ward.clinic.own_page(&ward.as_("amira"), ward.now_ms).unwrap();
        let view = page.grants.iter().find(|view| view.grant == grant).unwrap();
        assert_eq!(view.state, GrantState::Withdrawn, "here at once");
        view.late
    };
    for _ in 1..LATE_BLOCKS {
        ward.pass(1000);
        ward.block();
        assert_eq!(of(&ward), (1, 0, 0));
    }
    assert!(!late(&ward));
    ward.pass(1000);
    ward.block();
    assert_eq!(of(&ward), (1, 1, 1));
    assert!(late(&ward));
    ward.pass(1000);
    ward.block();
    assert_eq!(of(&ward), (1, 1, 1), "counted once");
    ward.ledger.set_withholding_withdrawals(false);
    ward.pass(1000);
    ward.block();
    assert_eq!(of(&ward), (0, 0, 1), "over when the ledger holds it");
    assert!(!late(&ward));
}

#[test]
fn a_withdrawal_in_time_alarms_nobody_and_a_restart_forgets_none_under_way() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    let first = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.clinic.revoke_grant(&ward.as_("amira"), first, ward.now_ms).unwrap();
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 1);
    ward.block();
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 0);
    let second = ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.ledger.set_withholding_withdrawals(true);
    ward.clinic.revoke_grant(&ward.as_("amira"), second, ward.now_ms).unwrap();
    let mut ward = ward.reopened();
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 1, "the arrived one is not");
    for _ in 0..LATE_BLOCKS {
        ward.pass(1000);
        ward.block();
    }
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_late, 1);
}

#[test]
fn a_consent_withdrawn_on_its_way_is_waited_for_until_its_nonce_is_burnt() {
    let (mut ward, [_]) = Ward::with(["amira"]);
    let (amira, now_ms) = (ward.as_("amira"), ward.now_ms);
    let request = GrantRequest {
        grantee: ward.as_("lee").person,
        purpose: Purpose::Treatment,
        classes: vec![Class::Vitals],
        from_ms: now_ms,
        until_ms: now_ms + 86_400_000,
    };
    ward.clinic.grant(&amira, &request, now_ms).unwrap();
    let grant = ward.clinic.vault().terms_of(amira.patient.unwrap())[0].grant;
    ward.clinic.revoke_grant(&amira, grant, now_ms).unwrap();
    ward.clinic.tick(now_ms);
    assert_eq!(ward.clinic.health(now_ms).withdrawals_waiting, 1, "it may still arrive");
    ward.block();
    ward.pass(10_000);
    ward.block();
    assert_eq!(ward.clinic.health(ward.now_ms).withdrawals_waiting, 0);
}
