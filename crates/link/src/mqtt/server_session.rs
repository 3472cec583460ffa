//! The node's half of one MQTT connection, without I/O: bytes in, [`Happening`]s and bytes out.

use crate::ingress::{RefusalCode, Verdict};
use crate::mqtt::framing::{self, Framing};
use crate::mqtt::reason_string;
use crate::mqtt::topic::{self, Lane};
use crate::refusal::LinkRefusal;
use crate::{RECEIVE_MAXIMUM, UP_PACKET_BYTES_MAX};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Property, Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{
    DisconnectReasonCode, MqttError, PubackReasonCode, SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use std::collections::VecDeque;
use vitals::DeviceId;
use vitals::envelope::ENVELOPE_BYTES_MAX;

/// What bytes from the device led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Happening {
    /// The device is in; it promises a sign of life within this many seconds.
    Connected {
        /// Silence after which the connection is dead, milliseconds: one and a half times the keep-alive.
        silence_ms_max: u32,
    },
    /// The device listens on these lanes from now on.
    Listening(Vec<Lane>),
    /// The device no longer listens on these lanes.
    Deaf(Vec<Lane>),
    /// An envelope to be admitted; [`Session::answer`] takes its verdict.
    Offer {
        /// Its place in the order of acknowledgements.
        slot: u64,
        /// Published on the alarm lane.
        alarm: bool,
        /// The envelope.
        bytes: Vec<u8>,
    },
    /// Something was refused; the session goes on unless a [`Happening::Close`] follows.
    Refused(LinkRefusal),
    /// Send what is in [`Session::take_output`], then close, because of this.
    Close(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeConnect,
    Open,
    Closed,
}

#[derive(Debug)]
struct Unacked {
    packet_id: u16,
    verdict: Option<Verdict>,
}

/// One device's connection.
pub struct Session {
    device: DeviceId,
    core: Connection<role::Server>,
    framing: Framing,
    phase: Phase,
    /// What its CONNECT is answered with instead of a welcome.
    unwelcome: Option<LinkRefusal>,
    /// Version 5, known after CONNECT.
    v5: bool,
    /// The client wants to read reasons.
    wants_reasons: bool,
    /// In order of arrival; acknowledgements leave in this order (MQTT-4.6.0-2).
    unacked: VecDeque<Unacked>,
    /// Slot of the front of `unacked`.
    slot_front: u64,
    /// Bytes of a 3.1.1 client kept back while its window is full.
    held: Vec<u8>,
    out: Vec<u8>,
}

impl Session {
    /// A session with the owner of the certificate, `device`, before its CONNECT.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(UP_PACKET_BYTES_MAX);
        let mut core = Connection::with_options(Version::Undetermined, options);
        core.set_auto_ping_response(true);
        Self {
            device,
            core,
            framing: Framing::default(),
            phase: Phase::BeforeConnect,
            unwelcome: None,
            v5: false,
            wants_reasons: true,
            unacked: VecDeque::new(),
            slot_front: 0,
            held: Vec::new(),
            out: Vec::new(),
        }
    }

    /// A session that answers its CONNECT with this refusal.
    #[must_use]
    pub fn unwelcome(device: DeviceId, why: LinkRefusal) -> Self {
        Self { unwelcome: Some(why), ..Self::new(device) }
    }

    /// Packets received whole.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.framing.packets()
    }

    /// Has a packet begun that has not ended?
    #[must_use]
    pub fn is_within_packet(&self) -> bool {
        self.framing.is_within()
    }

    /// May more bytes be read from the device? A 3.1.1 client was told no window, so it is held back
    /// by not reading.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        self.phase != Phase::Closed && self.held.is_empty() && !self.is_full()
    }

    fn is_full(&self) -> bool {
        !self.v5 && self.unacked.len() >= usize::from(RECEIVE_MAXIMUM)
    }

    /// Bytes to send, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Envelopes without an acknowledgement.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// Takes bytes from the device.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Happening> {
        let mut happenings = Vec::new();
        let mut cursor = Cursor::new(bytes);
        loop {
            let read = usize::try_from(cursor.position()).unwrap_or(bytes.len());
            if self.phase == Phase::Closed || read >= bytes.len() {
                return happenings;
            }
            if self.is_full() {
                self.held.extend_from_slice(&bytes[read..]);
                return happenings;
            }
            // The protocol machine does not look at reserved bits.
            if !self.framing.is_within() && !framing::may_begin(bytes[read]) {
                happenings.extend(self.turn_away(LinkRefusal::MqttMalformed));
                return happenings;
            }
            let events = self.core.recv(&mut cursor);
            let end = usize::try_from(cursor.position()).unwrap_or(bytes.len());
            self.framing.pass(&bytes[read..end]);
            self.apply(events, &mut happenings);
        }
    }

    /// Takes the verdict on the envelope in `slot`.
    pub fn answer(&mut self, slot: u64, verdict: Verdict) -> Vec<Happening> {
        let mut happenings = Vec::new();
        let at = slot.checked_sub(self.slot_front).and_then(|at| usize::try_from(at).ok());
        if let Some(unacked) = at.and_then(|at| self.unacked.get_mut(at)) {
            unacked.verdict = Some(verdict);
        }
        self.release(&mut happenings);
        if !self.held.is_empty() && !self.is_full() {
            let held = std::mem::take(&mut self.held);
            happenings.extend(self.receive(&held));
        }
        happenings
    }

    /// Sends bytes down a lane, at most once: what is missed is sent again when the device asks by
    /// sending its envelope again. False if it does not fit what the device takes.
    pub fn deliver(&mut self, lane: Lane, bytes: Vec<u8>) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        let topic = topic::of(self.device, lane);
        let packet: Option<Packet> = if self.v5 {
            v5_0::Publish::builder()
                .topic_name(topic)
                .ok()
                .and_then(|p| p.qos(Qos::AtMostOnce).payload(bytes).build().ok())
                .map(Into::into)
        } else {
            v3_1_1::Publish::builder()
                .topic_name(topic)
                .ok()
                .and_then(|p| p.qos(Qos::AtMostOnce).payload(bytes).build().ok())
                .map(Into::into)
        };
        let Some(packet) = packet else { return false };
        let before = self.out.len();
        for event in self.core.send(packet) {
            if let Event::RequestSendPacket { packet, .. } = event {
                self.out.extend_from_slice(&packet.to_continuous_buffer());
            }
        }
        self.out.len() > before
    }

    /// Ends the session from this side.
    pub fn close(&mut self, code: DisconnectReasonCode, sentence: &str) -> Happening {
        if self.phase == Phase::Open && self.v5 {
            let mut packet = v5_0::Disconnect::builder().reason_code(code);
            if self.wants_reasons {
                packet = packet.props(reason_string::reason(sentence));
            }
            if let Ok(packet) = packet.build() {
                self.send_only(packet.into());
            }
        }
        self.phase = Phase::Closed;
        Happening::Close(sentence.to_owned())
    }

    /// Another connection of the same device has taken over.
    pub fn taken_over(&mut self) -> Happening {
        self.close(DisconnectReasonCode::SessionTakenOver, "the device connected again elsewhere")
    }

    /// The registry no longer admits the device.
    pub fn barred(&mut self, sentence: &str) -> Happening {
        self.close(DisconnectReasonCode::NotAuthorized, sentence)
    }

    /// Ends the session because of a refusal, under its code and with its sentence.
    pub fn turn_away(&mut self, why: LinkRefusal) -> [Happening; 2] {
        let code = why.mqtt().and_then(|code| DisconnectReasonCode::try_from(code).ok());
        let code = code.unwrap_or(DisconnectReasonCode::UnspecifiedError);
        [Happening::Refused(why), self.close(code, why.sentence())]
    }

    /// The node stops.
    pub fn shutting_down(&mut self) -> Happening {
        self.close(DisconnectReasonCode::ServerShuttingDown, "the node is shutting down")
    }

    fn send_only(&mut self, packet: Packet) {
        for event in self.core.send(packet) {
            if let Event::RequestSendPacket { packet, .. } = event {
                self.out.extend_from_slice(&packet.to_continuous_buffer());
            }
        }
    }

    fn apply(&mut self, events: Vec<Event>, happenings: &mut Vec<Happening>) {
        for event in events {
            if self.phase == Phase::Closed {
                return;
            }
            match event {
                Event::NotifyPacketReceived(packet) => self.received(packet, happenings),
                Event::RequestSendPacket { packet, .. } => {
                    self.out.extend_from_slice(&packet.to_continuous_buffer());
                }
                Event::NotifyError(error) => {
                    // The protocol machine has said goodbye itself for some errors; it then sends no
                    // second one.
                    happenings.extend(self.turn_away(broken(error)));
                }
                // The reason follows in a NotifyError; a close without one is a plain end.
                Event::RequestClose
                | Event::NotifyPacketIdReleased(_)
                | Event::RequestTimerReset { .. }
                | Event::RequestTimerCancel(_) => {}
            }
        }
    }

    fn received(&mut self, packet: Packet, happenings: &mut Vec<Happening>) {
        match packet {
            Packet::V5_0Connect(p) => {
                self.v5 = true;
                self.wants_reasons = !p
                    .props()
                    .iter()
                    .any(|p| matches!(p, Property::RequestProblemInformation(v) if v.val() == 0));
                // MQTT-3.2.2-12 and 13: a will beyond what the CONNACK would announce is no connection.
                let will = match (p.will_flag(), p.will_qos(), p.will_retain()) {
                    (true, Qos::ExactlyOnce, _) => Some(LinkRefusal::Qos),
                    (true, _, true) => Some(LinkRefusal::Retain),
                    _ => None,
                };
                self.connect(p.client_id(), p.keep_alive(), will, happenings);
            }
            Packet::V3_1_1Connect(p) => {
                // MQTT-3.1.3-8: a session to keep needs a name of its own.
                let nameless = p.client_id().is_empty() && !p.clean_session();
                let wrong = nameless.then_some(LinkRefusal::ClientId);
                self.connect(p.client_id(), p.keep_alive(), wrong, happenings);
            }
            Packet::V5_0Publish(p) => {
                self.publish(
                    p.qos(),
                    p.retain(),
                    p.packet_id(),
                    p.topic_name(),
                    p.payload().as_slice(),
                    happenings,
                );
            }
            Packet::V3_1_1Publish(p) => {
                self.publish(
                    p.qos(),
                    p.retain(),
                    p.packet_id(),
                    p.topic_name(),
                    p.payload().as_slice(),
                    happenings,
                );
            }
            Packet::V5_0Subscribe(p) => {
                let filters = p.entries().iter().map(|e| e.topic_filter().to_owned()).collect();
                let numbered = p.props().iter().any(|p| matches!(p, Property::SubscriptionIdentifier(_)));
                self.subscribe(p.packet_id(), filters, numbered, happenings);
            }
            Packet::V3_1_1Subscribe(p) => {
                let filters = p.entries().iter().map(|e| e.topic_filter().to_owned()).collect();
                self.subscribe(p.packet_id(), filters, false, happenings);
            }
            Packet::V5_0Unsubscribe(p) => {
                let lanes: Vec<Vec<Lane>> =
                    p.entries().iter().map(|f| topic::covered(f.as_str(), self.device)).collect();
                let codes = lanes
                    .iter()
                    .map(|lanes| match lanes.is_empty() {
                        true => UnsubackReasonCode::NoSubscriptionExisted,
                        false => UnsubackReasonCode::Success,
                    })
                    .collect();
                if let Ok(ack) =
                    v5_0::Unsuback::builder().packet_id(p.packet_id()).reason_codes(codes).build()
                {
                    self.send_only(ack.into());
                }
                happenings.push(Happening::Deaf(lanes.concat()));
            }
            Packet::V3_1_1Unsubscribe(p) => {
                let lanes: Vec<Vec<Lane>> =
                    p.entries().iter().map(|f| topic::covered(f.as_str(), self.device)).collect();
                if let Ok(ack) = v3_1_1::Unsuback::builder().packet_id(p.packet_id()).build() {
                    self.send_only(ack.into());
                }
                happenings.push(Happening::Deaf(lanes.concat()));
            }
            Packet::V5_0Disconnect(_) | Packet::V3_1_1Disconnect(_) => {
                self.phase = Phase::Closed;
                happenings.push(Happening::Close("the device said goodbye".into()));
            }
            // Answered by the protocol machine itself.
            Packet::V5_0Pingreq(_) | Packet::V3_1_1Pingreq(_) => {}
            _ => happenings.extend(self.turn_away(LinkRefusal::MqttProtocol)),
        }
    }

    fn publish(
        &mut self,
        qos: Qos,
        retain: bool,
        packet_id: Option<u16>,
        topic_name: &str,
        payload: &[u8],
        happenings: &mut Vec<Happening>,
    ) {
        let (Qos::AtLeastOnce, Some(packet_id)) = (qos, packet_id) else {
            happenings.extend(self.turn_away(LinkRefusal::Qos));
            return;
        };
        // The protocol machine lets it pass in 3.1.1.
        if packet_id == 0 {
            happenings.extend(self.turn_away(LinkRefusal::MqttMalformed));
            return;
        }
        if retain {
            happenings.extend(self.turn_away(LinkRefusal::Retain));
            return;
        }
        // The protocol machine lets a repeated packet id pass; two verdicts for one id would be a lie.
        if self.unacked.iter().any(|unacked| unacked.packet_id == packet_id) {
            happenings.extend(self.turn_away(LinkRefusal::PacketIdInUse));
            return;
        }
        let slot = self.slot_front + self.unacked.len() as u64;
        let refusal = match topic::parse(topic_name) {
            None => Some((RefusalCode::TopicInvalid, LinkRefusal::TopicUnknown)),
            Some((device, _)) if device != self.device => {
                Some((RefusalCode::NotAuthorized, LinkRefusal::TopicForeign))
            }
            Some((_, lane)) if !lane.is_up() => {
                Some((RefusalCode::NotAuthorized, LinkRefusal::TopicDownward))
            }
            Some(_) if payload.len() > ENVELOPE_BYTES_MAX => {
                Some((RefusalCode::PayloadInvalid, LinkRefusal::PayloadTooLong))
            }
            Some((_, lane)) => {
                let alarm = lane == Lane::Alarm;
                happenings.push(Happening::Offer { slot, alarm, bytes: payload.to_vec() });
                None
            }
        };
        let verdict = refusal.map(|(reason, why)| {
            happenings.push(Happening::Refused(why));
            Verdict::Refused { reason, sentence: why.sentence().to_owned() }
        });
        self.unacked.push_back(Unacked { packet_id, verdict });
        self.release(happenings);
    }

    /// Acknowledges from the front as far as verdicts are known.
    fn release(&mut self, happenings: &mut Vec<Happening>) {
        while self.phase == Phase::Open
            && let Some(Unacked { verdict: Some(_), .. }) = self.unacked.front()
            && let Some(Unacked { packet_id, verdict: Some(verdict) }) = self.unacked.pop_front()
        {
            self.slot_front += 1;
            if self.v5 {
                self.send_v5_ack(packet_id, verdict);
                continue;
            }
            match verdict {
                Verdict::Admitted | Verdict::Duplicate => {
                    if let Ok(ack) = v3_1_1::Puback::builder().packet_id(packet_id).build() {
                        self.send_only(ack.into());
                    }
                }
                // Version 3.1.1 has no word for it.
                Verdict::Refused { sentence, .. } => {
                    self.phase = Phase::Closed;
                    happenings.push(Happening::Close(format!("refused: {sentence}")));
                }
                Verdict::Busy => {
                    self.phase = Phase::Closed;
                    happenings.push(Happening::Close("the node is busy".into()));
                }
            }
        }
    }

    fn send_v5_ack(&mut self, packet_id: u16, verdict: Verdict) {
        let (code, sentence) = match verdict {
            Verdict::Admitted | Verdict::Duplicate => (PubackReasonCode::Success, None),
            Verdict::Busy => (PubackReasonCode::QuotaExceeded, Some(crate::ingress::Busy.to_string())),
            Verdict::Refused { reason, sentence } => (puback_code(reason), Some(sentence)),
        };
        let Some(sentence) = sentence else {
            if let Ok(ack) = v5_0::Puback::builder().packet_id(packet_id).build() {
                self.send_only(ack.into());
            }
            return;
        };
        let plain = || v5_0::Puback::builder().packet_id(packet_id).reason_code(code);
        let before = self.out.len();
        if self.wants_reasons
            && let Ok(ack) = plain().props(reason_string::reason(&sentence)).build()
        {
            self.send_only(ack.into());
        }
        // A client may take packets too small for the sentence.
        if self.out.len() == before
            && let Ok(ack) = plain().build()
        {
            self.send_only(ack.into());
        }
    }

    fn subscribe(
        &mut self,
        packet_id: u16,
        filters: Vec<String>,
        numbered: bool,
        happenings: &mut Vec<Happening>,
    ) {
        if packet_id == 0 {
            happenings.extend(self.turn_away(LinkRefusal::MqttMalformed));
            return;
        }
        // Identifiers were announced as not available: nothing is granted under one.
        let covered = |f: &String| if numbered { vec![] } else { topic::covered(f, self.device) };
        let lanes: Vec<Vec<Lane>> = filters.iter().map(covered).collect();
        if lanes.iter().any(Vec::is_empty) {
            happenings.push(Happening::Refused(LinkRefusal::SubscriptionForeign));
        }
        if self.v5 {
            let codes = lanes
                .iter()
                .zip(&filters)
                .map(|(lanes, filter)| match lanes.is_empty() {
                    false => SubackReasonCode::GrantedQos0,
                    true if numbered => SubackReasonCode::SubscriptionIdentifiersNotSupported,
                    true if filter.starts_with("$share/") => {
                        SubackReasonCode::SharedSubscriptionsNotSupported
                    }
                    true => SubackReasonCode::NotAuthorized,
                })
                .collect();
            let mut ack = v5_0::Suback::builder().packet_id(packet_id).reason_codes(codes);
            if self.wants_reasons && lanes.iter().any(Vec::is_empty) {
                ack = ack.props(reason_string::reason(LinkRefusal::SubscriptionForeign.sentence()));
            }
            if let Ok(ack) = ack.build() {
                self.send_only(ack.into());
            }
        } else {
            let codes = lanes
                .iter()
                .map(|lanes| match lanes.is_empty() {
                    true => SubackReturnCode::Failure,
                    false => SubackReturnCode::SuccessMaximumQos0,
                })
                .collect();
            if let Ok(ack) = v3_1_1::Suback::builder().packet_id(packet_id).return_codes(codes).build() {
                self.send_only(ack.into());
            }
        }
        let lanes = lanes.concat();
        if !lanes.is_empty() {
            happenings.push(Happening::Listening(lanes));
        }
    }
}

fn broken(error: MqttError) -> LinkRefusal {
    match error {
        MqttError::PacketTooLarge => LinkRefusal::PacketTooLong,
        MqttError::ReceiveMaximumExceeded => LinkRefusal::ReceiveMaximum,
        MqttError::TopicAliasInvalid => LinkRefusal::TopicAlias,
        MqttError::MalformedPacket | MqttError::InsufficientBytes => LinkRefusal::MqttMalformed,
        _ => LinkRefusal::MqttProtocol,
    }
}

fn puback_code(reason: RefusalCode) -> PubackReasonCode {
    match reason {
        RefusalCode::Conflict => PubackReasonCode::ImplementationSpecificError,
        RefusalCode::NotAuthorized => PubackReasonCode::NotAuthorized,
        RefusalCode::TopicInvalid => PubackReasonCode::TopicNameInvalid,
        RefusalCode::PayloadInvalid => PubackReasonCode::PayloadFormatInvalid,
    }
}

mod connack;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
