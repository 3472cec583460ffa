//! The node's half of one MQTT connection, without I/O: bytes in, [`Happening`]s and bytes out.

use crate::ingress::{RefusalCode, Verdict};
use crate::topic::{self, Lane};
use crate::{KEEP_ALIVE_S_MAX, RECEIVE_MAXIMUM, UP_PACKET_BYTES_MAX, wire};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{self, GenericPacketTrait, Packet, Property, Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, PubackReasonCode, SubackReasonCode,
    SubackReturnCode, UnsubackReasonCode,
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
        /// Silence after which the connection is dead, seconds.
        silence_s_max: u32,
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
    phase: Phase,
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
            phase: Phase::BeforeConnect,
            v5: false,
            wants_reasons: true,
            unacked: VecDeque::new(),
            slot_front: 0,
            held: Vec::new(),
            out: Vec::new(),
        }
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
            let events = self.core.recv(&mut cursor);
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
                packet = packet.props(wire::reason(sentence));
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

    /// The device kept silent longer than it promised.
    pub fn silent(&mut self) -> Happening {
        self.close(DisconnectReasonCode::KeepAliveTimeout, "no sign of life within the keep-alive time")
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
                    let code = u8::try_from(error as u16)
                        .ok()
                        .and_then(|code| DisconnectReasonCode::try_from(code).ok())
                        .unwrap_or(DisconnectReasonCode::ProtocolError);
                    happenings.push(self.close(code, &format!("MQTT protocol error: {error}")));
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
                self.connect(p.client_id().to_owned(), p.keep_alive(), happenings);
            }
            Packet::V3_1_1Connect(p) => {
                self.connect(p.client_id().to_owned(), p.keep_alive(), happenings);
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
                self.subscribe(p.packet_id(), filters, happenings);
            }
            Packet::V3_1_1Subscribe(p) => {
                let filters = p.entries().iter().map(|e| e.topic_filter().to_owned()).collect();
                self.subscribe(p.packet_id(), filters, happenings);
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
            _ => happenings.push(
                self.close(DisconnectReasonCode::ProtocolError, "a packet that has no place in this session"),
            ),
        }
    }

    fn connect(&mut self, client_id: String, keep_alive_s: u16, happenings: &mut Vec<Happening>) {
        let wanted = self.device.to_string();
        if !client_id.is_empty() && client_id != wanted {
            let sentence =
                format!("the client id must be empty or {wanted}, the id of the certificate's key");
            if self.v5 {
                let mut packet = v5_0::Connack::builder()
                    .session_present(false)
                    .reason_code(ConnectReasonCode::ClientIdentifierNotValid);
                if self.wants_reasons {
                    packet = packet.props(wire::reason(&sentence));
                }
                if let Ok(packet) = packet.build() {
                    self.send_only(packet.into());
                }
            } else if let Ok(packet) = v3_1_1::Connack::builder()
                .session_present(false)
                .return_code(ConnectReturnCode::IdentifierRejected)
                .build()
            {
                self.send_only(packet.into());
            }
            self.phase = Phase::Closed;
            happenings.push(Happening::Close(sentence));
            return;
        }
        let asked = if keep_alive_s == 0 { KEEP_ALIVE_S_MAX } else { keep_alive_s };
        let granted = asked.min(KEEP_ALIVE_S_MAX);
        if self.v5 {
            let packet = v5_0::Connack::builder()
                .session_present(false)
                .reason_code(ConnectReasonCode::Success)
                .props(connack_properties(client_id.is_empty().then_some(wanted.as_str()), granted))
                .build();
            if let Ok(packet) = packet {
                self.send_only(packet.into());
            }
        } else if let Ok(packet) =
            v3_1_1::Connack::builder().session_present(false).return_code(ConnectReturnCode::Accepted).build()
        {
            self.send_only(packet.into());
        }
        self.phase = Phase::Open;
        // A 3.1.1 client cannot be told a shorter time than it asked for.
        let seconds = if self.v5 { granted } else { asked };
        happenings.push(Happening::Connected { silence_s_max: u32::from(seconds) * 3 / 2 });
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
            let why = "envelopes are published with QoS 1";
            happenings.push(self.close(DisconnectReasonCode::QosNotSupported, why));
            return;
        };
        if retain {
            let why = "nothing is retained here; publish without the retain flag";
            happenings.push(self.close(DisconnectReasonCode::RetainNotSupported, why));
            return;
        }
        // The protocol machine lets a repeated packet id pass; two verdicts for one id would be a lie.
        if self.unacked.iter().any(|unacked| unacked.packet_id == packet_id) {
            let why = "the packet id is in use by a publish that has no acknowledgement yet";
            happenings.push(self.close(DisconnectReasonCode::ProtocolError, why));
            return;
        }
        let slot = self.slot_front + self.unacked.len() as u64;
        let refusal = match topic::parse(topic_name) {
            None => Some((RefusalCode::TopicInvalid, "publish on d/<device>/e or d/<device>/a")),
            Some((device, _)) if device != self.device => {
                Some((RefusalCode::NotAuthorized, "the topic belongs to another device"))
            }
            Some((_, lane)) if !lane.is_up() => {
                Some((RefusalCode::NotAuthorized, "only the node publishes on this topic"))
            }
            Some(_) if payload.len() > ENVELOPE_BYTES_MAX => {
                Some((RefusalCode::PayloadInvalid, "the payload is longer than the longest envelope"))
            }
            Some((_, lane)) => {
                let alarm = lane == Lane::Alarm;
                happenings.push(Happening::Offer { slot, alarm, bytes: payload.to_vec() });
                None
            }
        };
        let verdict = refusal.map(|(reason, why)| Verdict::Refused { reason, sentence: why.to_owned() });
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
            && let Ok(ack) = plain().props(wire::reason(&sentence)).build()
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

    fn subscribe(&mut self, packet_id: u16, filters: Vec<String>, happenings: &mut Vec<Happening>) {
        let lanes: Vec<Vec<Lane>> = filters.iter().map(|f| topic::covered(f, self.device)).collect();
        if self.v5 {
            let codes = lanes
                .iter()
                .map(|lanes| match lanes.is_empty() {
                    true => SubackReasonCode::NotAuthorized,
                    false => SubackReasonCode::GrantedQos0,
                })
                .collect();
            let mut ack = v5_0::Suback::builder().packet_id(packet_id).reason_codes(codes);
            if self.wants_reasons && lanes.iter().any(Vec::is_empty) {
                ack = ack.props(wire::reason("a device listens on its own topics d/<device>/r and /p only"));
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

fn puback_code(reason: RefusalCode) -> PubackReasonCode {
    match reason {
        RefusalCode::Conflict => PubackReasonCode::ImplementationSpecificError,
        RefusalCode::NotAuthorized => PubackReasonCode::NotAuthorized,
        RefusalCode::TopicInvalid => PubackReasonCode::TopicNameInvalid,
        RefusalCode::PayloadInvalid => PubackReasonCode::PayloadFormatInvalid,
    }
}

fn connack_properties(assigned: Option<&str>, keep_alive_s: u16) -> Vec<Property> {
    let properties: [Option<Property>; 8] = [
        packet::ReceiveMaximum::new(RECEIVE_MAXIMUM).ok().map(Into::into),
        packet::MaximumQos::new(1).ok().map(Into::into),
        packet::RetainAvailable::new(0).ok().map(Into::into),
        packet::SharedSubscriptionAvailable::new(0).ok().map(Into::into),
        packet::SubscriptionIdentifierAvailable::new(0).ok().map(Into::into),
        packet::SessionExpiryInterval::new(0).ok().map(Into::into),
        packet::ServerKeepAlive::new(keep_alive_s).ok().map(Into::into),
        assigned.and_then(|id| packet::AssignedClientIdentifier::new(id).ok()).map(Into::into),
    ];
    properties.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
