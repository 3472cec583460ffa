#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::alarms::{PatientAlarms, Source};
use super::super::clocks::Heard;
use super::super::views::AlarmView;
use super::*;
use proptest::prelude::*;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Limits, Priority};
use vitals::body::LimitsChangeDetails;
use vitals::command::{Action, Command, Outcome};
use vitals::envelope::{ClockQuality, Header};
use vitals::ids::{Class, Genesis, StreamId};
use vitals::metric::{Reading, Sample};
use vitals::{PatientId, PersonId};

const NOON_MS: u64 = 1_795_348_800_000;
const NODE: DeviceId = DeviceId([0xee; 16]);
const PATIENT: PatientId = PatientId([4; 16]);
const PULSE: Metric = Metric::HeartRate;
const CONDITIONS: [Condition; 5] = [
    Condition::Above(PULSE),
    Condition::Below(PULSE),
    Condition::Stale,
    Condition::SensorOff(PULSE),
    Condition::Unsteady(PULSE),
];
const KINDS: [AlarmEventKind; 9] = [
    AlarmEventKind::Raised,
    AlarmEventKind::Worsened,
    AlarmEventKind::Returned,
    AlarmEventKind::Acknowledged,
    AlarmEventKind::Silenced,
    AlarmEventKind::SilenceEnded,
    AlarmEventKind::Escalated,
    AlarmEventKind::Recovered,
    AlarmEventKind::Closed,
];
const PRIORITIES: [Priority; 4] = [Priority::Technical, Priority::Low, Priority::Medium, Priority::High];
const OUTCOMES: [Outcome; 4] = [Outcome::InForce, Outcome::Narrowed, Outcome::Ended, Outcome::NotNewer];

fn sensor(number: u8) -> DeviceId {
    DeviceId([number; 16])
}

fn header(author: DeviceId, seq: u64) -> Header {
    Header {
        genesis: Genesis([1; 32]),
        stream: StreamId([author.0[0]; 16]),
        class: Class::Alarms,
        author,
        epoch: 0,
        run: [u8::try_from(seq / 40).unwrap_or(u8::MAX); 16],
        seq,
        prev: [0; 32],
        first_ms: 0,
        last_ms: 0,
        count: 1,
        clock: ClockQuality::Synced,
        key_commitment: [0; 16],
        ciphertext_hash: [0; 32],
    }
}

/// One thing that happens, drawn: what, by whom, about which, how, and how long after the one before.
type Drawn = (u8, u8, u8, u8, i32, i64);

/// The record of what was drawn.
fn record(drawn: &[Drawn]) -> Vec<RecordItem> {
    let (mut at_ms, mut orders, mut items) = (NOON_MS, Vec::<SignedCommand>::new(), Vec::new());
    for (index, (what, who, which, how, value, passed_ms)) in (0..).zip(drawn.iter().copied()) {
        at_ms = at_ms.saturating_add_signed(passed_ms);
        let pick = |len: usize| usize::from(which) % len;
        let by = PersonId([who % 3; 32]);
        let (author, said) = match what {
            0..6 => {
                let author = if who % 3 == 0 { NODE } else { sensor(who % 3) };
                let event = AlarmEvent {
                    at_ms,
                    condition: CONDITIONS[pick(CONDITIONS.len())],
                    episode: u32::from(how),
                    kind: KINDS[usize::from(how) % KINDS.len()],
                    priority: PRIORITIES[usize::from(who / 3) % PRIORITIES.len()],
                    value,
                    by: if author == NODE { by } else { PersonId([0; 32]) },
                };
                let bedside = (author != NODE).then(|| Source::of(&header(author, index)));
                (author, Said::Event(Recorded { event, bedside, name: Some(format!("person {}", who % 3)) }))
            }
            6 | 7 => {
                let metric = [PULSE, Metric::BodyTemperature][pick(2)];
                let before = Limits::adult(metric).unwrap();
                let limits = Limits { above: [None, None, Some(value.abs() + 1_000)], ..before };
                let until_ms = (how % 2 == 0).then(|| at_ms + u64::from(how) * 10_000);
                let details = LimitsChangeDetails { before, reason: "why".into(), until_ms };
                let change = LimitsChange { at_ms, by, limits, details: Some(details) };
                (NODE, Said::Limits(change, format!("person {}", who % 3)))
            }
            8 => {
                let condition = CONDITIONS[pick(2)];
                let adult = Limits::adult(PULSE).unwrap();
                let action = match how % 3 {
                    0 => Action::Silence { condition },
                    1 => Action::EndSilence { condition },
                    _ => Action::Limits(Limits { above: [None, None, Some(value.abs() + 1_000)], ..adult }),
                };
                let command = Command {
                    genesis: Genesis([1; 32]),
                    gateway: sensor(9),
                    bedside: sensor(1 + who % 2),
                    patient: PATIENT,
                    seq: NOON_MS + index,
                    at_ms,
                    deliver_by_ms: at_ms + 60_000,
                    in_force_until_ms: at_ms + 60_000,
                    by,
                    action,
                };
                let signed = SignedCommand { command, signature: [0; 64] };
                orders.push(signed);
                (NODE, Said::Order(signed))
            }
            _ => {
                let Some(signed) = orders.iter().rev().nth(usize::from(which) % 3) else { continue };
                let word = Confirmation {
                    at_ms,
                    seq: signed.command.seq,
                    command: signed.command.hash(),
                    outcome: OUTCOMES[usize::from(how) % OUTCOMES.len()],
                    until_ms: 0,
                    limits: None,
                };
                (signed.command.bedside, Said::Confirmation(word))
            }
        };
        // Three of an envelope, as far as one author goes on.
        items.push(RecordItem { at: (index / 3, index % 3), author, seq: index, said });
    }
    items
}

/// A bed after a start that read this.
fn bed(items: Vec<RecordItem>, newest: Option<i32>, now_ms: u64) -> (PatientAlarms, Orders) {
    let Sorted { events, limits, orders, confirmations } = AlarmRecord::of(items).sorted();
    let (mut alarms, mut asked) = (PatientAlarms::new(PATIENT, now_ms), Orders::default());
    limits.iter().for_each(|(change, name)| alarms.change_limits(change, name));
    asked.read_back(orders, confirmations, now_ms);
    alarms.replay(&events, |_| newest.map(Sample::Measured), now_ms);
    alarms.watched(true, now_ms);
    (alarms, asked)
}

/// All that is seen of it. The number of an episode is counted anew where only a bedside spoke of it.
fn seen(alarms: &PatientAlarms, now_ms: u64) -> impl PartialEq + use<> {
    let view = |condition: Condition| {
        let view = alarms.view(condition).map(|view| AlarmView { episode: 1, ..view });
        (view, alarms.answer_to(condition).map(|(name, at_ms)| (name.to_owned(), at_ms)))
    };
    let limits = alarms.limits();
    let of_limits = (limits.all(), limits.temporary(), limits.came_back(now_ms), alarms.next_due_ms());
    let open: Vec<Condition> = alarms.open().into_iter().map(|view| view.condition).collect();
    (CONDITIONS.map(view), of_limits, open, alarms.is_stale())
}

/// What a bed does next: an event that comes late, values, and time.
fn goes_on(
    alarms: &mut PatientAlarms,
    late: &RecordItem,
    value: i32,
    now_ms: u64,
) -> Vec<impl PartialEq + use<>> {
    let heard = Heard { live: true, offset_ms: 0 };
    let mut changes = Vec::new();
    if let Said::Event(Recorded { event, bedside: Some(source), .. }) = &late.said {
        changes.push(alarms.events(core::slice::from_ref(event), *source, heard, now_ms));
    }
    changes.push(alarms.bedside_runs(Source::of(&header(sensor(1), 10_000)), now_ms, now_ms));
    for (passed_ms, value) in [(1_000, value), (30_000, value), (70_000, 720), (140_000, 720)] {
        let reading = Reading { metric: PULSE, at_ms: now_ms + passed_ms, sample: Sample::Measured(value) };
        changes.push(alarms.readings(&[reading], heard, now_ms + passed_ms));
        changes.push(alarms.tick(now_ms + passed_ms + 500));
    }
    let told = changes.into_iter().map(|changes| {
        let events = changes.record.into_iter().map(|event| AlarmEvent { episode: 1, ..event });
        (events.collect::<Vec<_>>(), changes.limits, changes.changed, changes.redraw, changes.raised)
    });
    told.collect()
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let passed_ms = prop_oneof![8 => 0..200_000i64, 1 => -400_000..0i64, 1 => 0..4_000_000i64];
    let one = (0u8..11, any::<u8>(), any::<u8>(), any::<u8>(), -900..2_500i32, passed_ms);
    proptest::collection::vec(one, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Any number of points one after the other, at any envelope: what is found is what all of the record says.
    #[test]
    fn a_start_from_a_resume_point_finds_what_a_start_that_reads_everything_finds(
        drawn in drawn(),
        cuts in proptest::collection::btree_set(0u64..50, 0..5),
        newest in proptest::option::of(0..2_500i32),
        value in 0..2_500i32,
        late in any::<prop::sample::Index>(),
        later_ms in 0..4_000_000u64,
    ) {
        let all = record(&drawn);
        let last_ms = |items: &[RecordItem]| {
            let of_events = items.iter().filter_map(|item| match &item.said {
                Said::Event(recorded) => Some(recorded.event.at_ms),
                _ => None,
            });
            of_events.max().unwrap_or(NOON_MS)
        };
        let (mut kept, mut from): (BTreeSet<(u64, u64)>, u64) = (BTreeSet::new(), 0);
        let read = |kept: &BTreeSet<(u64, u64)>, from: u64| -> Vec<RecordItem> {
            all.iter().filter(|item| item.at.0 >= from || kept.contains(&item.at)).cloned().collect()
        };
        for size in cuts {
            let record = AlarmRecord::of(read(&kept, from)).before(size);
            let now_ms = last_ms(&record.0);
            (kept, from) = (record.fewest(now_ms).into_iter().collect(), size);
        }
        let now_ms = last_ms(&all) + later_ms;
        let (mut whole, orders) = bed(all.clone(), newest, now_ms);
        let (mut resumed, orders_resumed) = bed(read(&kept, from), newest, now_ms);
        prop_assert!(orders == orders_resumed, "orders");
        prop_assert!(seen(&whole, now_ms) == seen(&resumed, now_ms), "before anything happens");
        if let Some(late) = (!all.is_empty()).then(|| late.get(&all)) {
            let (one, other) =
                (goes_on(&mut whole, late, value, now_ms), goes_on(&mut resumed, late, value, now_ms));
            prop_assert!(one == other, "what happens next");
            prop_assert!(seen(&whole, now_ms) == seen(&resumed, now_ms), "after that");
        }
    }
}

fn event(index: u64, condition: Condition, kind: AlarmEventKind, priority: Priority) -> RecordItem {
    let (at_ms, by) = (NOON_MS + index * 60_000, PersonId([0; 32]));
    let event = AlarmEvent { at_ms, condition, episode: 1, kind, priority, value: 1_400, by };
    let said = Said::Event(Recorded { event, bedside: None, name: None });
    RecordItem { at: (index, 0), author: NODE, seq: index, said }
}

#[test]
fn of_years_of_alarms_a_few_places_stay() {
    let kinds = [AlarmEventKind::Raised, AlarmEventKind::Closed];
    let of =
        |index: u64| event(index, Condition::Stale, kinds[usize::from(index % 2 == 1)], Priority::Technical);
    let mut items: Vec<RecordItem> = (0..20_000).map(of).collect();
    // One that stands the whole time: raised first, and said again and again.
    let again = [AlarmEventKind::Raised, AlarmEventKind::Worsened, AlarmEventKind::Silenced];
    items.extend((0..3_000).map(|number| {
        let mut one = event(
            20_000 + number,
            CONDITIONS[0],
            again[usize::try_from(number % 3).unwrap()],
            Priority::High,
        );
        one.at.0 += number;
        one
    }));
    let kept = AlarmRecord::of(items).fewest(NOON_MS + 86_400_000);
    assert!(kept.len() <= 8, "{kept:?}");
    assert!(kept.contains(&(19_999, 0)), "the last of what is over is what a late answer is told");
}

#[test]
fn a_standing_limit_and_its_order_stay_however_old_they_are() {
    let drawn: Vec<Drawn> = std::iter::once((6, 1, 0, 1, 400, 0))
        .chain([(8, 1, 0, 2, 400, 10), (9, 0, 0, 0, 0, 10)])
        .chain((0..900).map(|number| (0, 0, 2, if number % 2 == 0 { 0 } else { 8 }, 0, 60_000)))
        .collect();
    let all = record(&drawn);
    let kept = AlarmRecord::of(all.clone()).fewest(NOON_MS + 86_400_000);
    assert!(kept.starts_with(&[(0, 0), (0, 1), (0, 2)]), "limits, order and confirmation: {kept:?}");
    assert!(kept.len() <= 6, "{kept:?}");
}
