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
/// One whose gateway is away is looked at again after this long; its return is told before.
const PARKED_MS: u64 = 10_000;
/// Limits are asked for again when this much of their time is left, so that they do not end while a
/// bedside is away for less than that.
const RENEW_MS: u64 = LIMITS_MS_MAX / 2;
/// Limits that the bedside refused are asked for again after this long.
const REFUSED_MS: u64 = 60_000;
/// Which sensors are at a bed is looked up this often.
const LOOK_MS: u64 = 10_000;
/// What could not be asked for is tried again after this long.
const TEND_AGAIN_MS: u64 = 1_000;
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
pub(crate) struct BedsideAnswer {
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
    pub(crate) answer: Option<BedsideAnswer>,
    /// The connection took it at least once.
    sent: bool,
    /// When to send it next.
    send_at_ms: u64,
}

impl Order {
    fn new(signed: SignedCommand) -> Self {
        Self { hash: signed.command.hash(), signed, answer: None, sent: false, send_at_ms: 0 }
    }

    pub(crate) fn command(&self) -> &Command {
        &self.signed.command
    }

    /// Did the bedside take it?
    pub(crate) fn is_taken(&self) -> bool {
        self.answer.is_some_and(|answer| !answer.outcome.is_refused())
    }

    fn waits(&self, now_ms: u64) -> bool {
        self.answer.is_none() && now_ms <= self.command().deliver_by_ms
    }

    /// From when on these limits have to be asked for again, which are wanted until their time or without an
    /// end; none if this order does for all of it.
    fn renews_ms(&self, limits: &Limits, until_ms: Option<u64>) -> Option<u64> {
        let command = self.command();
        if command.action != Action::Limits(*limits) {
            return Some(0);
        }
        let in_force_until_ms = command.in_force_until_ms;
        match self.answer {
            None => Some(command.deliver_by_ms.saturating_add(1)),
            Some(answer) if answer.outcome.is_refused() => Some(answer.at_ms.saturating_add(REFUSED_MS)),
            Some(_) if until_ms.is_some_and(|until_ms| until_ms <= in_force_until_ms) => None,
            Some(answer) => {
                // No order may last longer than that: sooner, a new one would not be longer.
                let longer_ms = (in_force_until_ms + 1).saturating_sub(LIMITS_MS_MAX);
                let short_ms = (in_force_until_ms + 1).saturating_sub(RENEW_MS);
                Some(if answer.outcome == Outcome::Ended { longer_ms } else { longer_ms.max(short_ms) })
            }
        }
    }
}

/// All orders of one bed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// By sensor.
    of: BTreeMap<DeviceId, BTreeMap<About, Order>>,
    last_seq: BTreeMap<DeviceId, u64>,
    /// The limits that a bedside said it took last.
    held: BTreeMap<(DeviceId, Metric), Limits>,
    /// The sensors at the bed, each with its gateway, and when that was looked up.
    sensors: Vec<(DeviceId, DeviceId)>,
    looked_ms: Option<u64>,
    /// When it was looked at last whether they have what they should.
    tended_ms: Option<u64>,
}

impl Orders {
    /// The number of the next order to a sensor: the time, so that it grows over restarts and restored
    /// backups too, and never one that was used.
    pub(crate) fn next_seq(&mut self, sensor: DeviceId, now_ms: u64) -> u64 {
        let last = self.last_seq.entry(sensor).or_default();
        *last = now_ms.max(*last + 1);
        *last
    }

    /// After a restart: the orders that stand in the record, and what the bedsides said of them.
    pub(crate) fn read_back(
        &mut self,
        orders: impl IntoIterator<Item = SignedCommand>,
        words: impl IntoIterator<Item = (DeviceId, Confirmation)>,
        now_ms: u64,
    ) {
        orders.into_iter().for_each(|signed| self.note(signed));
        words.into_iter().for_each(|(sensor, word)| self.confirmed(sensor, &[word], now_ms));
        self.forget_old(now_ms);
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
            order.answer = Some(BedsideAnswer { outcome: word.outcome, limits: word.limits, at_ms: now_ms });
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

    /// Does this order still matter: is it the newest of its kind, or of all to its sensor?
    pub(crate) fn holds(&self, signed: &SignedCommand) -> bool {
        let command = &signed.command;
        let held = self.of.get(&command.bedside).and_then(|orders| orders.get(&About::of(&command.action)));
        held.is_some_and(|order| order.signed == *signed)
            || self.last_seq.get(&command.bedside) == Some(&command.seq)
    }

    /// Is this a word about an order that is in question?
    pub(crate) fn asked(&self, sensor: DeviceId, word: &Confirmation) -> bool {
        let mut orders = self.of.get(&sensor).into_iter().flat_map(BTreeMap::values);
        orders.any(|order| order.command().seq == word.seq && order.hash == word.command)
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
            for (limits, wanted_until_ms) in wanted {
                let longest_ms = now_ms.saturating_add(LIMITS_MS_MAX);
                let until_ms = wanted_until_ms.map_or(longest_ms, |until_ms| until_ms.min(longest_ms));
                let due =
                    self.missing_ms(*sensor, limits, *wanted_until_ms).is_some_and(|at_ms| at_ms <= now_ms);
                if due && until_ms > now_ms {
                    missing.push((*sensor, *gateway, *limits, until_ms));
                }
            }
        }
        missing
    }

    /// From when on a sensor does not have these limits, or not for long enough, milliseconds.
    fn missing_ms(&self, sensor: DeviceId, limits: &Limits, until_ms: Option<u64>) -> Option<u64> {
        let order = self.of.get(&sensor).and_then(|orders| orders.get(&About::Limits(limits.metric)));
        match order {
            None => (Some(*limits) != Limits::adult(limits.metric)).then_some(0),
            Some(order) => order.renews_ms(limits, until_ms),
        }
    }

    /// When [`Orders::missing`] or [`Orders::knows_sensors`] changes by the mere passing of time, milliseconds.
    pub(crate) fn next_tend_ms(&self, wanted: &[(Limits, Option<u64>)]) -> u64 {
        let look_ms = self.looked_ms.map_or(0, |at_ms| at_ms.saturating_add(LOOK_MS));
        let of = |sensor: DeviceId| {
            wanted.iter().filter_map(move |(limits, until_ms)| self.missing_ms(sensor, limits, *until_ms))
        };
        let missing_ms = self.sensors.iter().flat_map(|(sensor, _)| of(*sensor)).min().unwrap_or(u64::MAX);
        let again_ms = self.tended_ms.map_or(0, |at_ms| at_ms.saturating_add(TEND_AGAIN_MS));
        look_ms.min(missing_ms).max(again_ms)
    }

    /// It was looked at whether anything is missing: forgets what is long over.
    pub(crate) fn tended(&mut self, now_ms: u64) {
        self.tended_ms = Some(now_ms);
        self.forget_old(now_ms);
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

    /// When the next order is to be sent, if its gateway is there, milliseconds.
    pub(crate) fn next_send_ms(&self) -> Option<u64> {
        let of_sensor = |orders: &BTreeMap<About, Order>| {
            let waits =
                |order: &&Order| order.answer.is_none() && order.send_at_ms <= order.command().deliver_by_ms;
            let mut waiting: Vec<&Order> = orders.values().filter(waits).collect();
            waiting.sort_by_key(|order| order.command().seq);
            // Behind one that the connection did not take, none goes sooner than that one.
            let mut not_before_ms: BTreeMap<DeviceId, u64> = BTreeMap::new();
            let times = waiting.into_iter().map(|order| {
                let not_before_ms = not_before_ms.entry(order.command().gateway).or_default();
                let at_ms = order.send_at_ms.max(*not_before_ms);
                if !order.sent {
                    *not_before_ms = at_ms;
                }
                at_ms
            });
            times.min()
        };
        self.of.values().filter_map(of_sensor).min()
    }

    /// Puts aside what is to be sent now and cannot be: its gateway is away, or its time is over.
    pub(crate) fn park(&mut self, connected: &dyn Fn(DeviceId) -> bool, now_ms: u64) {
        for order in self.of.values_mut().flat_map(BTreeMap::values_mut) {
            let command = &order.signed.command;
            if order.answer.is_some() || order.send_at_ms > now_ms {
                continue;
            }
            if now_ms > command.deliver_by_ms {
                order.send_at_ms = u64::MAX;
            } else if !connected(command.gateway) {
                order.send_at_ms = now_ms.saturating_add(PARKED_MS);
            }
        }
    }

    /// Is there an order for this gateway?
    pub(crate) fn any_for(&self, gateway: DeviceId) -> bool {
        self.of.values().flat_map(BTreeMap::values).any(|order| order.command().gateway == gateway)
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
mod tests;
