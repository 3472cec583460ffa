//! A pause: nobody watches for a while, and then watching goes on by itself.

use clinic::views::{GrantState, PauseView};
use clinic::{ChartRequest, ClinicError, Denied};
use testward::{Ward, denied};
use vitals::alarm::Condition;
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::metric::Metric;

const PAUSE_MS: u64 = 600_000;
const FAST: Condition = Condition::Above(Metric::HeartRate);

fn tiles(ward: &Ward) -> usize {
    ward.clinic.wall(&ward.as_("lee"), ward.now_ms).unwrap().tiles.len()
}

#[test]
fn a_pause_is_bounded_touches_no_consent_and_ends_by_itself() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    let own = ward.as_("amira");
    for for_ms in [0, 59_999, clinic::PAUSE_MS_MAX + 1, u64::MAX] {
        let refused = ward.clinic.pause_watching(&own, for_ms, ward.now_ms);
        assert!(matches!(refused, Err(ClinicError::Wrong(_))), "{for_ms}");
    }
    let strangers = ward.clinic.pause_watching(&ward.as_("lee"), PAUSE_MS, ward.now_ms);
    assert!(matches!(strangers, Err(ClinicError::Denied(_))));
    assert_eq!(tiles(&ward), 1);
    ward.clinic.pause_watching(&own, PAUSE_MS, ward.now_ms).unwrap();
    let until_ms = ward.now_ms + PAUSE_MS;
    let lee = ward.as_("lee");
    assert_eq!(tiles(&ward), 0, "at once");
    let page = ward.clinic.own_page(&own, ward.now_ms).unwrap();
    assert_eq!(page.pause, Some(PauseView::Until { until_ms }));
    assert!(page.grants.iter().all(|grant| grant.state == GrantState::Live), "no consent is touched");
    ward.beats(&mut gateway, 1400, 20);
    assert_eq!(ward.clinic.counters().alarms_raised, 1, "nobody looks, and only that is an alarm");
    let watching = ward.clinic.acknowledge(&lee, amira, FAST, ward.now_ms);
    assert_eq!(denied(watching), Denied::Paused);
    // Its end comes with time alone.
    ward.now_ms = until_ms - 1000;
    ward.beats(&mut gateway, 1400, 1);
    ward.beats(&mut gateway, 1400, 14);
    assert_eq!(tiles(&ward), 1, "watching goes on by itself");
    let wall = ward.clinic.wall(&lee, ward.now_ms).unwrap();
    assert_eq!(wall.strip.iter().map(|alarm| alarm.condition).collect::<Vec<_>>(), [FAST], "and alarms");
    let page = ward.clinic.own_page(&own, ward.now_ms).unwrap();
    assert_eq!(page.pause, Some(PauseView::OverSince { at_ms: until_ms }), "and says so");
}

#[test]
fn a_pause_outlives_a_restart_and_is_ended_early() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.beats(&mut gateway, 720, 3);
    ward.clinic.pause_watching(&ward.as_("amira"), PAUSE_MS, ward.now_ms).unwrap();
    let mut ward = ward.reopened();
    ward.block();
    assert_eq!(tiles(&ward), 0, "whoever asked for a pause is not watched after a restart either");
    ward.clinic.resume_watching(&ward.as_("amira"), ward.now_ms).unwrap();
    let again = ward.clinic.resume_watching(&ward.as_("amira"), ward.now_ms);
    assert!(matches!(again, Err(ClinicError::Wrong(_))), "there is none any more");
    ward.pass(2_000);
    assert_eq!(tiles(&ward), 1);
    let mut ward = ward.reopened();
    ward.block();
    assert_eq!(tiles(&ward), 1, "and it does not come back");
}

#[test]
fn a_pause_is_of_watching_only() {
    let (mut ward, [amira, bruno]) = Ward::with(["amira", "bruno"]);
    let mut gateway = ward.gateway(1, &[amira, bruno]);
    ward.beats(&mut gateway, 720, 3);
    ward.granting("amira", "lee", Purpose::Treatment, &[Class::Vitals]);
    ward.clinic.pause_watching(&ward.as_("amira"), PAUSE_MS, ward.now_ms).unwrap();
    let span_ms = (ward.now_ms - 60_000, ward.now_ms);
    let classes = vec![Class::Vitals];
    let ask = ChartRequest { patient: amira, purpose: Purpose::Treatment, classes, span_ms, make_do: false };
    assert!(ward.clinic.open_chart(&ward.as_("lee"), &ask, ward.now_ms).is_ok(), "treatment goes on");
    let monitoring = ChartRequest { purpose: Purpose::Monitoring, ..ask };
    let why = denied(ward.clinic.open_chart(&ward.as_("lee"), &monitoring, ward.now_ms));
    assert_eq!(why, Denied::Paused);
    assert_eq!(tiles(&ward), 1, "Bruno is watched as before");
}

#[test]
fn a_pause_does_not_grow_when_the_clock_is_set_back() {
    let (mut ward, [amira]) = Ward::with(["amira"]);
    let mut gateway = ward.gateway(1, &[amira]);
    ward.now_ms += 2 * 3_600_000;
    ward.block();
    ward.beats(&mut gateway, 720, 3);
    let now_as = |ward: &Ward, login| ward.clinic.sign_in(login, "a secret word", ward.now_ms).unwrap().1;
    let shown = |ward: &Ward| ward.clinic.wall(&now_as(ward, "lee"), ward.now_ms).unwrap().tiles.len();
    ward.clinic.pause_watching(&now_as(&ward, "amira"), PAUSE_MS, ward.now_ms).unwrap();
    assert_eq!(shown(&ward), 0);
    ward.now_ms -= 3_600_000;
    ward.block();
    ward.pass(1_000);
    assert_eq!(shown(&ward), 1, "no pause lasts for an hour and ten minutes");
}
