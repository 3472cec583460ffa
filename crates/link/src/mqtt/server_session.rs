//! The node's half of one MQTT connection, without I/O: bytes in, [`ServerEvent`]s and bytes out.

mod connack;
mod publish;
mod subscribe;

use super::framing::{self, Framing};
use super::refusal::{MqttRefusal, of_error};
use super::topic;
use super::{RECEIVE_MAXIMUM, UP_PACKET_BYTES_MAX, reason_string};
use crate::ingress::Verdict;
use crate::refusal::LinkRefusal;
use crate::sessions::Downlink;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Property, Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::DisconnectReasonCode;
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use std::collections::VecDeque;
use vitals::DeviceId;

/// What bytes from the device lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// The device is in.
    Connected {
        /// Silence after which the connection is dead, milliseconds: one and a half times the keep-alive.
        silence_ms_max: u32,
    },
    /// The device takes these from now on.
    Subscribed(Vec<Downlink>),
    /// The device no longer takes these.
    Unsubscribed(Vec<Downlink>),
    /// An envelope to be admitted; [`ServerSession::answer`] takes its verdict.
    Offer {
        /// Its place in the order of acknowledgements.
        slot: u64,
        /// Published on the alarm lane.
        alarm: bool,
        /// The envelope.
        bytes: Vec<u8>,
    },
    /// Something was refused; the session goes on unless a [`ServerEvent::Close`] follows.
    Refused(MqttRefusal),
    /// Send what is in [`ServerSession::take_output`], then close, because of this.
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
    answer: Option<Acknowledgement>,
}

/// What a PUBLISH is answered with.
#[derive(Debug)]
enum Acknowledgement {
    /// What admission decided.
    Verdict(Verdict),
    /// Refused before admission saw it.
    Refused(MqttRefusal),
}

/// One device's connection.
pub struct ServerSession {
    device: DeviceId,
    core: Connection<role::Server>,
    framing: Framing,
    phase: Phase,
    /// What its CONNECT is refused with.
    refuse_with: Option<LinkRefusal>,
    /// Version 5, known after CONNECT.
    v5: bool,
    /// The client wants to read reasons.
    wants_reasons: bool,
    /// In order of arrival; acknowledgements leave in this order (MQTT-4.6.0-2).
    unacked: VecDeque<Unacked>,
    /// Slot of the front of `unacked`.
    slot_front: u64,
    /// Bytes kept back while the window is full.
    held: Vec<u8>,
    out: Vec<u8>,
}

impl ServerSession {
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
            refuse_with: None,
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
    pub fn refusing(device: DeviceId, why: LinkRefusal) -> Self {
        Self { refuse_with: Some(why), ..Self::new(device) }
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

    /// May more bytes be read from the device? One that publishes beyond its window is held back by not
    /// reading: a client of 3.1.1 is told no window, and widespread clients of 5 do not look at theirs.
    #[must_use]
    pub fn can_receive(&self) -> bool {
        self.phase != Phase::Closed && self.held.is_empty() && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.unacked.len() >= usize::from(RECEIVE_MAXIMUM)
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
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<ServerEvent> {
        let mut happened = Vec::new();
        let mut cursor = Cursor::new(bytes);
        loop {
            let read = usize::try_from(cursor.position()).unwrap_or(bytes.len());
            if self.phase == Phase::Closed || read >= bytes.len() {
                return happened;
            }
            if self.is_full() {
                self.held.extend_from_slice(&bytes[read..]);
                return happened;
            }
            // The protocol machine does not look at reserved bits.
            if !self.framing.is_within() && !framing::may_begin(bytes[read]) {
                happened.extend(self.turn_away(MqttRefusal::Malformed));
                return happened;
            }
            let events = self.core.recv(&mut cursor);
            let end = usize::try_from(cursor.position()).unwrap_or(bytes.len());
            self.framing.pass(&bytes[read..end]);
            self.apply(events, &mut happened);
        }
    }

    /// Takes the verdict on the envelope in `slot`.
    pub fn answer(&mut self, slot: u64, verdict: Verdict) -> Vec<ServerEvent> {
        let mut happened = Vec::new();
        let at = slot.checked_sub(self.slot_front).and_then(|at| usize::try_from(at).ok());
        if let Some(unacked) = at.and_then(|at| self.unacked.get_mut(at)) {
            unacked.answer = Some(Acknowledgement::Verdict(verdict));
        }
        self.release(&mut happened);
        if !self.held.is_empty() && !self.is_full() {
            let held = std::mem::take(&mut self.held);
            happened.extend(self.receive(&held));
        }
        happened
    }

    /// Sends bytes to the device, at most once: what is missed is sent again when the device asks by
    /// sending its envelope again. False if it does not fit what the device takes.
    pub fn deliver(&mut self, what: Downlink, bytes: Vec<u8>) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        let topic = topic::of(self.device, what.into());
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
    pub fn close(&mut self, code: DisconnectReasonCode, sentence: &str) -> ServerEvent {
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
        ServerEvent::Close(sentence.to_owned())
    }

    /// Another connection of the same device has taken over.
    pub fn taken_over(&mut self) -> ServerEvent {
        self.close(DisconnectReasonCode::SessionTakenOver, "the device connected again elsewhere")
    }

    /// The registry no longer admits the device.
    pub fn expelled(&mut self, sentence: &str) -> ServerEvent {
        self.close(DisconnectReasonCode::NotAuthorized, sentence)
    }

    /// Ends the session because of a refusal, under its code and with its sentence.
    pub fn turn_away(&mut self, why: impl Into<MqttRefusal>) -> [ServerEvent; 2] {
        let why = why.into();
        let code = why.reason_code().and_then(|code| DisconnectReasonCode::try_from(code).ok());
        let code = code.unwrap_or(DisconnectReasonCode::UnspecifiedError);
        [ServerEvent::Refused(why), self.close(code, why.sentence())]
    }

    /// The node stops.
    pub fn shutting_down(&mut self) -> ServerEvent {
        self.close(DisconnectReasonCode::ServerShuttingDown, "the node is shutting down")
    }

    fn send_only(&mut self, packet: Packet) {
        for event in self.core.send(packet) {
            if let Event::RequestSendPacket { packet, .. } = event {
                self.out.extend_from_slice(&packet.to_continuous_buffer());
            }
        }
    }

    fn apply(&mut self, events: Vec<Event>, happened: &mut Vec<ServerEvent>) {
        for event in events {
            if self.phase == Phase::Closed {
                return;
            }
            match event {
                Event::NotifyPacketReceived(packet) => self.received(packet, happened),
                Event::RequestSendPacket { packet, .. } => {
                    self.out.extend_from_slice(&packet.to_continuous_buffer());
                }
                Event::NotifyError(error) => {
                    // For some errors the protocol machine has sent its own DISCONNECT; it then sends no
                    // second one.
                    happened.extend(self.turn_away(of_error(error)));
                }
                // The reason follows in a NotifyError; a close without one is a plain end.
                Event::RequestClose
                | Event::NotifyPacketIdReleased(_)
                | Event::RequestTimerReset { .. }
                | Event::RequestTimerCancel(_) => {}
            }
        }
    }

    fn received(&mut self, packet: Packet, happened: &mut Vec<ServerEvent>) {
        match packet {
            Packet::V5_0Connect(p) => self.connect_v5(&p, happened),
            Packet::V3_1_1Connect(p) => {
                // MQTT-3.1.3-8: a session to keep needs a name of its own.
                let nameless = p.client_id().is_empty() && !p.clean_session();
                let wrong = nameless.then_some(MqttRefusal::ClientId);
                self.connect(p.client_id(), p.keep_alive(), wrong, happened);
            }
            Packet::V5_0Publish(p) => {
                let payload = p.payload().as_slice();
                self.publish(p.qos(), p.retain(), p.packet_id(), p.topic_name(), payload, happened);
            }
            Packet::V3_1_1Publish(p) => {
                let payload = p.payload().as_slice();
                self.publish(p.qos(), p.retain(), p.packet_id(), p.topic_name(), payload, happened);
            }
            Packet::V5_0Subscribe(p) => {
                let filters = p.entries().iter().map(|e| e.topic_filter().to_owned()).collect();
                let numbered = p.props().iter().any(|p| matches!(p, Property::SubscriptionIdentifier(_)));
                self.subscribe(p.packet_id(), filters, numbered, happened);
            }
            Packet::V3_1_1Subscribe(p) => {
                let filters = p.entries().iter().map(|e| e.topic_filter().to_owned()).collect();
                self.subscribe(p.packet_id(), filters, false, happened);
            }
            Packet::V5_0Unsubscribe(p) => {
                let filters: Vec<&str> = p.entries().iter().map(|f| f.as_str()).collect();
                self.unsubscribe(p.packet_id(), &filters, happened);
            }
            Packet::V3_1_1Unsubscribe(p) => {
                let filters: Vec<&str> = p.entries().iter().map(|f| f.as_str()).collect();
                self.unsubscribe(p.packet_id(), &filters, happened);
            }
            Packet::V5_0Disconnect(_) | Packet::V3_1_1Disconnect(_) => {
                self.phase = Phase::Closed;
                happened.push(ServerEvent::Close("the device said goodbye".into()));
            }
            // Answered by the protocol machine itself.
            Packet::V5_0Pingreq(_) | Packet::V3_1_1Pingreq(_) => {}
            _ => happened.extend(self.turn_away(MqttRefusal::Protocol)),
        }
    }

    fn connect_v5(&mut self, packet: &v5_0::Connect, happened: &mut Vec<ServerEvent>) {
        self.v5 = true;
        let asks_for_none =
            |p: &Property| matches!(p, Property::RequestProblemInformation(v) if v.val() == 0);
        self.wants_reasons = !packet.props().iter().any(asks_for_none);
        // MQTT-3.2.2-12 and 13: a will beyond what the CONNACK would announce is no connection.
        let will = match (packet.will_flag(), packet.will_qos(), packet.will_retain()) {
            (true, Qos::ExactlyOnce, _) => Some(MqttRefusal::Qos),
            (true, _, true) => Some(MqttRefusal::Retain),
            _ => None,
        };
        self.connect(packet.client_id(), packet.keep_alive(), will, happened);
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
