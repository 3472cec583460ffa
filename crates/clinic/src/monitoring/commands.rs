//! Orders to the bedsides: made from what people do, written into the record, sent, renewed, and confirmed by
//! the bedside.

use super::events::LiveEvent;
use super::monitored_patient::MonitoredPatient;
use super::orders::{About, Order};
use super::views::AlarmView;
use super::views::{OrderState, OrderView};
use crate::clinic::Clinic;
use std::collections::{BTreeMap, BTreeSet};
use vault::Entry;
use vitals::alarm::{Condition, Limits};
use vitals::body::Body;
use vitals::command::{Action, Command, Confirmation, Outcome, SignedCommand};
use vitals::ids::Class;
use vitals::metric::Metric;
use vitals::{DeviceId, PatientId, PersonId};

/// An answer that reaches the bedside later than this was for another moment.
const ANSWER_WITHIN_MS: u64 = 10 * 60_000;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrderRequest {
    pub(crate) action: Action,
    pub(crate) by: PersonId,
    /// In force until this time, milliseconds; as long as such an action may be if none is said.
    pub(crate) until_ms: Option<u64>,
}

impl OrderRequest {
    /// Answering an alarm as it stands in `view`.
    pub(crate) fn answer(view: &AlarmView, by: PersonId) -> Self {
        let (condition, priority, raised_at_ms) = (view.condition, view.priority, view.raised_at_ms);
        let action = Action::Acknowledge { condition, priority, raised_at_ms };
        Self { action, by, until_ms: None }
    }

    pub(crate) fn pause(condition: Condition, by: PersonId, until_ms: u64) -> Self {
        Self { action: Action::Silence { condition }, by, until_ms: Some(until_ms) }
    }

    pub(crate) fn end_pause(condition: Condition, by: PersonId) -> Self {
        Self { action: Action::EndSilence { condition }, by, until_ms: None }
    }

    pub(crate) fn limits(limits: Limits, until_ms: Option<u64>, by: PersonId) -> Self {
        Self { action: Action::Limits(limits), by, until_ms }
    }
}

impl Clinic {
    /// The sensors that write a patient's alarms, each with its gateway; none of those whose trust ended.
    fn bedsides(&self, patient: PatientId) -> Vec<(DeviceId, DeviceId)> {
        let height = self.ledger().tip().height;
        let own = self.vault().author();
        let streams = self.vault().streams_of(patient).into_iter();
        let sensors = streams.filter(|it| it.class == Class::Alarms && it.author != own).map(|it| it.author);
        let of = |sensor| {
            let device = self.registry.device(self.ledger(), height, sensor).ok().flatten()?;
            device.revoked.is_none().then_some((sensor, device.via))
        };
        sensors.filter_map(of).collect()
    }

    /// Signs what somebody asks for, for every bedside of the patient. Not sent before
    /// [`Clinic::send_orders`].
    pub(crate) fn orders_for(
        &self,
        patient: PatientId,
        request: OrderRequest,
        now_ms: u64,
    ) -> Vec<SignedCommand> {
        let bedsides = self.bedsides(patient);
        self.monitoring.of(patient, |bed| bed.orders.sensors_are(bedsides.clone(), now_ms));
        bedsides
            .into_iter()
            .filter_map(|(sensor, gateway)| self.order(patient, sensor, gateway, request, now_ms))
            .collect()
    }

    fn order(
        &self,
        patient: PatientId,
        bedside: DeviceId,
        gateway: DeviceId,
        request: OrderRequest,
        now_ms: u64,
    ) -> Option<SignedCommand> {
        let mut action = request.action;
        if let Action::Acknowledge { raised_at_ms, .. } = &mut action {
            *raised_at_ms = (*raised_at_ms).min(now_ms);
        }
        let longest_ms = now_ms.saturating_add(action.force_ms_max());
        let in_force_until_ms = request.until_ms.map_or(longest_ms, |until_ms| until_ms.min(longest_ms));
        let deliver_by_ms = match action {
            Action::Acknowledge { .. } => in_force_until_ms.min(now_ms.saturating_add(ANSWER_WITHIN_MS)),
            _ => in_force_until_ms,
        };
        let seq = self.monitoring.of(patient, |bed| bed.orders.next_seq(bedside, now_ms))?;
        let command = Command {
            genesis: self.genesis(),
            gateway,
            bedside,
            patient,
            seq,
            at_ms: now_ms,
            deliver_by_ms,
            in_force_until_ms,
            by: request.by,
            action,
        };
        command.is_bounded().then(|| self.vault().sign_command(command))
    }

    /// As they stand in the record.
    pub(crate) fn order_entries(patient: PatientId, orders: &[SignedCommand]) -> Vec<Entry> {
        let entry =
            |signed: &SignedCommand| Entry { patient, class: Class::Alarms, body: Body::Command(*signed) };
        orders.iter().map(entry).collect()
    }

    /// Queues orders for the gateways.
    pub(crate) fn send_orders(&self, patient: PatientId, orders: Vec<SignedCommand>) {
        if orders.is_empty() {
            return;
        }
        self.monitoring.of(patient, |bed| {
            orders.into_iter().for_each(|signed| bed.orders.note(signed));
            bed.weigh_limits();
        });
        self.publish(LiveEvent::Changed { patient });
    }

    /// Asks the bedsides for an answer or a pause. It does not wait for the disk: what an order does is
    /// recorded by the bedside too.
    pub(crate) fn ask_bedsides(&self, patient: PatientId, request: OrderRequest, now_ms: u64) {
        let orders = self.orders_for(patient, request, now_ms);
        if orders.is_empty() {
            return;
        }
        self.monitoring.to_write(Self::order_entries(patient, &orders));
        self.send_orders(patient, orders);
    }

    /// Orders that are to go down now to these gateways, each in the order of its numbers. Tell
    /// [`Clinic::order_sent`] of each. Costs what is due, whatever the number of beds.
    pub fn orders_due(&self, connected: &[DeviceId], now_ms: u64) -> Vec<SignedCommand> {
        let connected: BTreeSet<DeviceId> = connected.iter().copied().collect();
        let is_connected = |gateway| connected.contains(&gateway);
        let due = self.monitoring.to_send(now_ms).into_iter().filter_map(|patient| {
            self.monitoring.of(patient, |bed| {
                bed.orders.park(&is_connected, now_ms);
                bed.orders.due(&is_connected, now_ms)
            })
        });
        due.flatten().collect()
    }

    /// The connection took an order, or did not.
    pub fn order_sent(&self, order: &SignedCommand, taken: bool, now_ms: u64) {
        let command = &order.command;
        self.monitoring.of(command.patient, |bed| bed.orders.sent(command, taken, now_ms));
    }

    /// A gateway is there (again): it is told at once what it has not answered.
    pub(crate) fn orders_again(&self, gateway: DeviceId) {
        let waiting = self.monitoring.of_all(|patient, bed| bed.orders.any_for(gateway).then_some(patient));
        for patient in waiting {
            self.monitoring.of(patient, |bed| bed.orders.connected(gateway));
        }
    }

    /// Asks for limits wherever a bedside does not have those of its patient, or not for long enough, and
    /// forgets what is long over. Waits for no disk. Costs what is due, whatever the number of beds.
    pub(crate) fn tend_orders(&self, now_ms: u64) {
        for patient in self.monitoring.to_tend(now_ms) {
            let unknown = self.monitoring.of(patient, |bed| bed.lacks_sensors(now_ms));
            if unknown == Some(true) {
                let bedsides = self.bedsides(patient);
                self.monitoring.of(patient, |bed| {
                    bed.orders.sensors_are(bedsides, now_ms);
                    bed.weigh_limits();
                });
            }
            let missing = self.monitoring.of(patient, |bed| bed.tend_orders(now_ms));
            for (sensor, gateway, limits, until_ms) in missing.unwrap_or_default() {
                // No new decision: the node renews what somebody asked for.
                let request = OrderRequest::limits(limits, Some(until_ms), PersonId([0; 32]));
                let order = self.order(patient, sensor, gateway, request, now_ms);
                self.send_orders(patient, order.into_iter().collect());
            }
        }
    }
}

impl MonitoredPatient {
    /// Is there anything that a bedside has to be told, or was told?
    fn has_orders(&self, wanted: &[(Limits, Option<u64>)]) -> bool {
        let personal = |(limits, _): &(Limits, Option<u64>)| Some(*limits) != Limits::adult(limits.metric);
        self.expected && (!self.orders.is_empty() || wanted.iter().any(personal))
    }

    /// When the bedsides may next not hold what they should, milliseconds.
    pub(crate) fn next_tend_ms(&self) -> Option<u64> {
        let wanted = self.alarms.wanted_limits();
        self.has_orders(&wanted).then(|| self.orders.next_tend_ms(&wanted))
    }

    /// Has it to be looked up which sensors are at the bed?
    fn lacks_sensors(&self, now_ms: u64) -> bool {
        !self.orders.knows_sensors(now_ms) && self.has_orders(&self.alarms.wanted_limits())
    }

    /// Forgets what is long over, and gives what has to be asked for. Pure.
    fn tend_orders(&mut self, now_ms: u64) -> Vec<(DeviceId, DeviceId, Limits, u64)> {
        let wanted = self.alarms.wanted_limits();
        if !self.has_orders(&wanted) {
            return Vec::new();
        }
        self.orders.tended(now_ms);
        self.orders.missing(&wanted, now_ms)
    }

    /// Lets the limits at the bedsides count wherever they are not those of the node. Pure.
    pub(crate) fn weigh_limits(&mut self) {
        let elsewhere: BTreeMap<Metric, Limits> = self
            .alarms
            .limits()
            .all()
            .iter()
            .filter_map(|limits| Some((limits.metric, self.orders.elsewhere(limits)?)))
            .collect();
        self.alarms.limits_elsewhere(elsewhere);
    }

    /// The bedside confirms or refuses orders. Pure.
    pub(crate) fn confirmed(&mut self, sensor: DeviceId, confirmations: &[Confirmation], now_ms: u64) {
        self.orders.confirmed(sensor, confirmations, now_ms);
        self.weigh_limits();
    }

    /// After a restart: the orders that stand in the record, and the confirmations of the bedsides.
    pub(crate) fn orders_read_back(
        &mut self,
        orders: Vec<SignedCommand>,
        confirmations: Vec<(DeviceId, Confirmation)>,
        now_ms: u64,
    ) {
        self.orders.read_back(orders, confirmations, now_ms);
        self.weigh_limits();
    }

    /// Orders as people see them.
    pub(crate) fn orders_view(&self, now_ms: u64) -> Vec<OrderView> {
        let view = |(about, order): (About, &Order)| {
            let command = order.command();
            let seen_ms = self.heard_ms.get(&command.bedside).copied();
            let away_after_ms = self.alarms.stale_after_ms();
            let away = seen_ms.is_none_or(|seen_ms| now_ms.saturating_sub(seen_ms) > away_after_ms);
            let state = match order.answer.map(|answer| answer.outcome) {
                None if now_ms > command.deliver_by_ms => OrderState::Undelivered,
                None => OrderState::Asked { away_since_ms: away.then_some(seen_ms) },
                Some(Outcome::InForce) => OrderState::InForce,
                Some(Outcome::Narrowed) => OrderState::Narrowed,
                Some(Outcome::Ended) => OrderState::Ended,
                Some(Outcome::Nothing) => OrderState::Nothing,
                Some(refused) => OrderState::Refused(refused),
            };
            OrderView {
                about,
                ends: matches!(command.action, Action::EndSilence { .. }),
                state,
                asked_at_ms: command.at_ms,
                answered_at_ms: order.answer.map(|answer| answer.at_ms),
                until_ms: command.in_force_until_ms,
                limits: order.answer.and_then(|answer| answer.limits),
            }
        };
        self.orders.all().map(view).collect()
    }
}
