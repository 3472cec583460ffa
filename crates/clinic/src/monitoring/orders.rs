//! What was asked of a patient's bedsides, and what is in force there: pure, one per bed.
//!
//! Of each alarm's answer, each alarm's pause and each metric's limits the newest order counts at each
//! sensor. It is sent until the bedside says what became of it, or its time is over. What limits a bedside
//! holds is known from its word alone: until it is that of the node, the stricter of both count.

use std::collections::BTreeMap;
use vitals::DeviceId;
use vitals::alarm::{Condition, Limits};
use vitals::command::{Action, Command, Confirmation, LIMITS_MS_MAX, Outcome, SignedCommand};
use vitals::ids::Hash;
use vitals::metric::Metric;

/// An order that was sent and has no answer is sent again after this long.
const AGAIN_MS: u64 = 10_000;
/// One that the connection did not take.
const NOT_TAKEN_MS: u64 = 1_000;
/// Limits are asked for again when this much of their time is left, so that they do not end while a
/// bedside is away for less than that.
const RENEW_MS: u64 = LIMITS_MS_MAX / 2;
/// Limits that the bedside refused are asked for again after this long.
const REFUSED_MS: u64 = 60_000;
/// Which sensors are at a bed is looked up this often.
const LOOK_MS: u64 = 10_000;
/// An order that needs no more attention is remembered for this long.
const REMEMBERED_MS: u64 = 10 * 60_000;

/// What an order is about: one of each kind is in question at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// The answer to an alarm.
    Answer(Condition),
    /// The pause of an alarm's sound, or its end.
    Pause(Condition),
    /// The limits of a metric.
    Limits(Metric),
}

impl About {
    fn of(action: &Action) -> Self {
        match action {
            Action::Acknowledge { condition, .. } => Self::Answer(*condition),
            Action::Silence { condition } | Action::EndSilence { condition } => Self::Pause(*condition),
            Action::Limits(limits) => Self::Limits(limits.metric),
        }
    }
}

/// What the bedside said last about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    pub(crate) limits: Option<Limits>,
    /// By the node's clock.
    pub(crate) at_ms: u64,
}

/// One order to one sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) signed: SignedCommand,
    hash: Hash,
    pub(crate) told: Option<Told>,
    /// The connection took it at least once.
    sent: bool,
    /// When to send it next.
    send_at_ms: u64,
}

impl Order {
    fn new(signed: SignedCommand) -> Self {
        Self { hash: signed.command.hash(), signed, told: None, sent: false, send_at_ms: 0 }
    }

    pub(crate) fn command(&self) -> &Command {
        &self.signed.command
    }

    /// Did the bedside take it?
    pub(crate) fn is_taken(&self) -> bool {
        self.told.is_some_and(|told| !told.outcome.is_refused())
    }

    fn waits(&self, now_ms: u64) -> bool {
        self.told.is_none() && now_ms <= self.command().deliver_by_ms
    }

    /// Is it time to ask for these limits again, which are wanted until then?
    fn renews(&self, limits: &Limits, until_ms: u64, now_ms: u64) -> bool {
        let command = self.command();
        if command.action != Action::Limits(*limits) {
            return true;
        }
        match self.told {
            None => !self.waits(now_ms),
            Some(told) if told.outcome.is_refused() => now_ms.saturating_sub(told.at_ms) >= REFUSED_MS,
            Some(told) => {
                let left_ms = command.in_force_until_ms.saturating_sub(now_ms);
                let longer = until_ms > command.in_force_until_ms;
                longer && (told.outcome == Outcome::Ended || left_ms < RENEW_MS)
            }
        }
    }
}

/// All orders of one bed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    /// By sensor.
    of: BTreeMap<DeviceId, BTreeMap<About, Order>>,
    last_seq: BTreeMap<DeviceId, u64>,
    /// The limits that a bedside said it took last.
    held: BTreeMap<(DeviceId, Metric), Limits>,
    /// The sensors at the bed, each with its gateway, and when that was looked up.
    sensors: Vec<(DeviceId, DeviceId)>,
    looked_ms: Option<u64>,
}

impl Orders {
    /// The number of the next order to a sensor: the time, so that it grows over restarts and restored
    /// backups too, and never one that was used.
    pub(crate) fn next_seq(&mut self, sensor: DeviceId, now_ms: u64) -> u64 {
        let last = self.last_seq.entry(sensor).or_default();
        *last = now_ms.max(*last + 1);
        *last
    }

    /// Notes an order; the newest of its kind counts.
    pub(crate) fn note(&mut self, signed: SignedCommand) {
        let command = &signed.command;
        let last = self.last_seq.entry(command.bedside).or_default();
        *last = (*last).max(command.seq);
        let orders = self.of.entry(command.bedside).or_default();
        let about = About::of(&command.action);
        if orders.get(&about).is_none_or(|old| old.command().seq < command.seq) {
            orders.insert(about, Order::new(signed));
        }
    }

    /// What the bedside says.
    pub(crate) fn confirmed(&mut self, sensor: DeviceId, words: &[Confirmation], now_ms: u64) {
        let Some(orders) = self.of.get_mut(&sensor) else { return };
        for word in words {
            let named = |order: &&mut Order| order.command().seq == word.seq && order.hash == word.command;
            let Some(order) = orders.values_mut().find(named) else { continue };
            // It was sent again before its answer came: the second time it is not newer.
            if order.is_taken() && word.outcome.is_refused() {
                continue;
            }
            order.told = Some(Told { outcome: word.outcome, limits: word.limits, at_ms: now_ms });
            if let Action::Limits(limits) = order.command().action {
                let own = Limits::adult(limits.metric);
                let held = match word.outcome {
                    Outcome::InForce | Outcome::Narrowed => Some(limits),
                    Outcome::Ended => Some(own.map_or(limits, |own| own.stricter(&limits))),
                    _ => None,
                };
                self.held.extend(held.map(|held| ((sensor, limits.metric), held)));
            }
        }
    }

    /// The limits at the bedsides that are not these: what counts beside them. A bedside that was never
    /// told any has those of an adult.
    pub(crate) fn elsewhere(&self, limits: &Limits) -> Option<Limits> {
        self.sensors
            .iter()
            .filter_map(|(sensor, _)| {
                let held = self.held.get(&(*sensor, limits.metric)).copied();
                held.or_else(|| Limits::adult(limits.metric))
            })
            .filter(|held| held != limits)
            .reduce(|one, other| one.stricter(&other))
    }

    /// What has to be asked for so that every bedside has these limits, wanted until their time or without
    /// an end: sensor, gateway, limits and until when.
    pub(crate) fn missing(
        &self,
        wanted: &[(Limits, Option<u64>)],
        now_ms: u64,
    ) -> Vec<(DeviceId, DeviceId, Limits, u64)> {
        let mut missing = Vec::new();
        for (sensor, gateway) in &self.sensors {
            for (limits, until_ms) in wanted {
                let longest_ms = now_ms.saturating_add(LIMITS_MS_MAX);
                let until_ms = until_ms.map_or(longest_ms, |until_ms| until_ms.min(longest_ms));
                let order = self.of.get(sensor).and_then(|orders| orders.get(&About::Limits(limits.metric)));
                let due = match order {
                    None => Some(*limits) != Limits::adult(limits.metric),
                    Some(order) => order.renews(limits, until_ms, now_ms),
                };
                if due && until_ms > now_ms {
                    missing.push((*sensor, *gateway, *limits, until_ms));
                }
            }
        }
        missing
    }

    /// The sensors at the bed, each with its gateway; what is not among them is asked for nothing.
    pub(crate) fn sensors_are(&mut self, sensors: Vec<(DeviceId, DeviceId)>, now_ms: u64) {
        self.of.retain(|sensor, _| sensors.iter().any(|(there, _)| there == sensor));
        self.held.retain(|(sensor, _), _| sensors.iter().any(|(there, _)| there == sensor));
        self.sensors = sensors;
        self.looked_ms = Some(now_ms);
    }

    /// Has it been looked up lately which sensors are at the bed?
    pub(crate) fn knows_sensors(&self, now_ms: u64) -> bool {
        self.looked_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < LOOK_MS)
    }

    /// Orders to send now to these gateways, each sensor's in the order of their numbers: behind one that
    /// the connection did not take, none that would overtake it.
    pub(crate) fn due(&self, connected: &dyn Fn(DeviceId) -> bool, now_ms: u64) -> Vec<SignedCommand> {
        let mut due = Vec::new();
        for orders in self.of.values() {
            let there = |order: &&Order| order.waits(now_ms) && connected(order.command().gateway);
            let mut waiting: Vec<&Order> = orders.values().filter(there).collect();
            waiting.sort_by_key(|order| order.command().seq);
            for order in waiting {
                if order.send_at_ms <= now_ms {
                    due.push(order.signed);
                } else if !order.sent {
                    break;
                }
            }
        }
        due
    }

    /// Notes that the connection took an order, or did not.
    pub(crate) fn sent(&mut self, command: &Command, taken: bool, now_ms: u64) {
        let orders = self.of.get_mut(&command.bedside);
        if let Some(order) = orders.and_then(|orders| orders.get_mut(&About::of(&command.action)))
            && order.command().seq == command.seq
        {
            order.sent |= taken;
            order.send_at_ms = now_ms + if taken { AGAIN_MS } else { NOT_TAKEN_MS };
        }
    }

    /// A gateway is there (again): what it has not answered goes at once.
    pub(crate) fn connected(&mut self, gateway: DeviceId) {
        let orders = self.of.values_mut().flat_map(BTreeMap::values_mut);
        for order in orders.filter(|order| order.command().gateway == gateway) {
            order.send_at_ms = 0;
        }
    }

    /// Does anything have to be looked at before long?
    pub(crate) fn is_empty(&self) -> bool {
        self.of.values().all(BTreeMap::is_empty)
    }

    /// Forgets answers and pauses whose time is over.
    pub(crate) fn forget_old(&mut self, now_ms: u64) {
        for orders in self.of.values_mut() {
            orders.retain(|about, order| {
                matches!(about, About::Limits(_))
                    || now_ms < order.command().in_force_until_ms.saturating_add(REMEMBERED_MS)
            });
        }
    }

    /// All orders, for people.
    pub(crate) fn all(&self) -> impl Iterator<Item = (About, &Order)> {
        self.of.values().flat_map(|orders| orders.iter().map(|(about, order)| (*about, order)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vitals::{Genesis, PatientId, PersonId};

    const SENSOR: DeviceId = DeviceId([1; 16]);
    const GATEWAY: DeviceId = DeviceId([9; 16]);
    const NOON_MS: u64 = 1_795_348_800_000;

    fn pulse(high: i32) -> Limits {
        Limits { above: [None, None, Some(high)], ..Limits::adult(Metric::HeartRate).unwrap() }
    }

    fn order(sensor: DeviceId, seq: u64, at_ms: u64, action: Action) -> SignedCommand {
        let until_ms = at_ms + action.force_ms_max();
        let command = Command {
            genesis: Genesis([1; 32]),
            gateway: GATEWAY,
            bedside: sensor,
            patient: PatientId([4; 16]),
            seq,
            at_ms,
            deliver_by_ms: until_ms,
            in_force_until_ms: until_ms,
            by: PersonId([7; 32]),
            action,
        };
        SignedCommand { command, signature: [0; 64] }
    }

    fn word(signed: &SignedCommand, outcome: Outcome) -> Confirmation {
        Confirmation {
            at_ms: 0,
            seq: signed.command.seq,
            command: signed.command.hash(),
            outcome,
            until_ms: 0,
            limits: None,
        }
    }

    #[test]
    fn an_order_is_sent_until_the_bedside_answers_and_not_beyond_its_time() {
        let mut orders = Orders::default();
        let pause =
            order(SENSOR, 1, NOON_MS, Action::Silence { condition: Condition::Above(Metric::HeartRate) });
        orders.note(pause);
        assert_eq!(orders.due(&|_| false, NOON_MS), [], "nobody is connected");
        assert_eq!(orders.due(&|gateway| gateway == GATEWAY, NOON_MS), [pause]);
        orders.sent(&pause.command, true, NOON_MS);
        assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS - 1), []);
        assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS), [pause]);
        orders.sent(&pause.command, true, NOON_MS + AGAIN_MS);
        orders.connected(GATEWAY);
        assert_eq!(orders.due(&|_| true, NOON_MS + AGAIN_MS), [pause], "it is back");
        assert_eq!(orders.due(&|_| true, pause.command.deliver_by_ms + 1), [], "too late");
        orders.confirmed(SENSOR, &[word(&pause, Outcome::InForce)], NOON_MS + 20_000);
        assert_eq!(orders.due(&|_| true, NOON_MS + 60_000), []);
    }

    #[test]
    fn until_every_bedside_has_taken_limits_those_at_the_others_count_beside_them() {
        let other = DeviceId([2; 16]);
        let mut orders = Orders::default();
        let adult = Limits::adult(Metric::HeartRate).unwrap();
        assert_eq!(orders.elsewhere(&pulse(1500)), None, "there is no bedside");
        orders.sensors_are(vec![(SENSOR, GATEWAY), (other, GATEWAY)], NOON_MS);
        assert_eq!(orders.elsewhere(&adult), None);
        let (one, two) = (
            order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500))),
            order(other, 1, NOON_MS, Action::Limits(pulse(1500))),
        );
        orders.note(one);
        orders.note(two);
        orders.confirmed(SENSOR, &[word(&one, Outcome::InForce)], NOON_MS);
        assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult), "the other has its own");
        orders.confirmed(other, &[word(&two, Outcome::TooLate)], NOON_MS);
        assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult), "refused there");
        orders.confirmed(other, &[word(&two, Outcome::Narrowed)], NOON_MS);
        orders.confirmed(other, &[word(&two, Outcome::NotNewer)], NOON_MS);
        assert_eq!(orders.elsewhere(&pulse(1500)), None);
        orders.confirmed(other, &[word(&two, Outcome::Ended)], NOON_MS);
        assert_eq!(orders.elsewhere(&pulse(1500)), Some(adult.stricter(&pulse(1500))));
    }

    #[test]
    fn a_word_about_an_order_that_was_overtaken_says_nothing_of_the_newer_one() {
        let mut orders = Orders::default();
        orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
        let (old, new) = (
            order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500))),
            order(SENSOR, 2, NOON_MS, Action::Limits(pulse(1600))),
        );
        orders.note(old);
        orders.note(new);
        orders.note(old);
        orders.confirmed(SENSOR, &[word(&old, Outcome::InForce)], NOON_MS);
        assert_eq!(orders.due(&|_| true, NOON_MS), [new]);
        assert!(orders.elsewhere(&pulse(1600)).is_some());
        orders.confirmed(SENSOR, &[word(&new, Outcome::InForce)], NOON_MS);
        assert_eq!(orders.elsewhere(&pulse(1600)), None);
    }

    #[test]
    fn limits_are_asked_for_where_they_are_missing_and_again_in_time() {
        let mut orders = Orders::default();
        let adult = Limits::adult(Metric::HeartRate).unwrap();
        orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
        assert_eq!(orders.missing(&[(adult, None)], NOON_MS), [], "a bedside has them by itself");
        let wanted = [(pulse(1500), None)];
        let longest_ms = NOON_MS + LIMITS_MS_MAX;
        assert_eq!(orders.missing(&wanted, NOON_MS), [(SENSOR, GATEWAY, pulse(1500), longest_ms)]);
        let first = order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500)));
        orders.note(first);
        assert_eq!(orders.missing(&wanted, NOON_MS), [], "asked for");
        orders.confirmed(SENSOR, &[word(&first, Outcome::InForce)], NOON_MS);
        assert_eq!(orders.missing(&wanted, NOON_MS + LIMITS_MS_MAX - RENEW_MS), []);
        assert_eq!(orders.missing(&wanted, NOON_MS + LIMITS_MS_MAX - RENEW_MS + 1).len(), 1, "half is left");
        // For a while only: not asked for beyond it, and what stood before is when it is over.
        let while_ms = Some(NOON_MS + LIMITS_MS_MAX);
        assert_eq!(orders.missing(&[(pulse(1500), while_ms)], NOON_MS + LIMITS_MS_MAX - 1), []);
        assert_eq!(orders.missing(&[(adult, None)], NOON_MS).len(), 1, "other limits than were asked for");
        orders.confirmed(SENSOR, &[word(&first, Outcome::Ended)], NOON_MS);
        assert_eq!(orders.missing(&wanted, NOON_MS + 1).len(), 1, "ended there, wanted here");
        orders.sensors_are(vec![], NOON_MS);
        assert_eq!(orders.missing(&wanted, NOON_MS), []);
        assert!(orders.is_empty());
    }

    #[test]
    fn no_order_overtakes_one_that_the_connection_did_not_take() {
        let mut orders = Orders::default();
        let first = order(SENSOR, 1, NOON_MS, Action::Limits(pulse(1500)));
        let second =
            order(SENSOR, 2, NOON_MS, Action::Silence { condition: Condition::Above(Metric::HeartRate) });
        orders.note(second);
        orders.note(first);
        assert_eq!(orders.due(&|_| true, NOON_MS), [first, second]);
        orders.sent(&first.command, false, NOON_MS);
        assert_eq!(orders.due(&|_| true, NOON_MS), [], "the first is tried again in a second");
        assert_eq!(orders.due(&|_| true, NOON_MS + NOT_TAKEN_MS), [first, second]);
        orders.sent(&first.command, true, NOON_MS + NOT_TAKEN_MS);
        assert_eq!(orders.due(&|_| true, NOON_MS + NOT_TAKEN_MS), [second], "it is on its way");
        // Lost on the way after all: the bedside took the second before.
        orders.confirmed(SENSOR, &[word(&first, Outcome::NotNewer)], NOON_MS + 2_000);
        orders.sensors_are(vec![(SENSOR, GATEWAY)], NOON_MS);
        let wanted = [(pulse(1500), None)];
        assert_eq!(orders.missing(&wanted, NOON_MS + 2_000), [], "not in haste");
        assert_eq!(orders.missing(&wanted, NOON_MS + 2_000 + REFUSED_MS).len(), 1);
    }

    proptest! {
        #[test]
        fn numbers_grow_whatever_the_clock_does(times in proptest::collection::vec(0..1_000u64, 1..100)) {
            let mut orders = Orders::default();
            let mut last = 0;
            for now_ms in times {
                let seq = orders.next_seq(SENSOR, now_ms);
                prop_assert!(seq > last && seq >= now_ms);
                last = seq;
            }
        }
    }
}
