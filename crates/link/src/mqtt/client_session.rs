//! The device's half of one MQTT 5 connection, without I/O.

use super::refusal::{CODE_TAKEN_OVER, rejection_of};
use super::topic::{self, Lane};
use super::{DOWN_PACKET_BYTES_MAX, RECEIVE_MAXIMUM, reason_string};
use crate::COMMAND_PAYLOAD_MAX;
use crate::sessions::Downlink;
use crate::uplink::{Event as UplinkEvent, PublishId};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Property, Qos, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, PubackReasonCode};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use std::collections::HashMap;
use vitals::DeviceId;

/// What bytes from the node led to.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The node accepted the session; this many publishes may be unacknowledged.
    Ready {
        /// The node's receive maximum, no more than [`RECEIVE_MAXIMUM`].
        window: u16,
    },
    /// The node refused the connection.
    Refused {
        /// CONNACK reason code.
        code: u8,
        /// The node's sentence.
        reason: String,
    },
    /// For the holder of the uplink.
    Uplink(UplinkEvent),
    /// Send the output, then close.
    Close {
        /// Another connection of this device took over.
        taken_over: bool,
        /// Why, a sentence.
        why: String,
    },
}

impl ClientEvent {
    fn close(why: impl Into<String>) -> Self {
        Self::Close { taken_over: false, why: why.into() }
    }
}

/// One connection to a node.
pub struct ClientSession {
    device: DeviceId,
    core: Connection<role::Client>,
    ids: HashMap<u16, PublishId>,
    window: u16,
    closed: bool,
    out: Vec<u8>,
}

impl ClientSession {
    /// A connection whose first output is its CONNECT.
    #[must_use]
    pub fn new(device: DeviceId, keep_alive_s: u16) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(DOWN_PACKET_BYTES_MAX);
        let mut core = Connection::with_options(Version::V5_0, options);
        // The node sends at QoS 0 only. If the protocol engine answered other packets by itself, a packet
        // id of 0 would make it panic (found by fuzzing).
        core.set_auto_pub_response(false);
        let mut session = Self {
            device,
            core,
            ids: HashMap::new(),
            window: RECEIVE_MAXIMUM,
            closed: false,
            out: Vec::new(),
        };
        let connect = v5_0::Connect::builder()
            .client_id(device.to_string())
            .and_then(|connect| connect.clean_start(true).keep_alive(keep_alive_s).build());
        if let Ok(connect) = connect {
            session.send(connect.into());
        }
        session
    }

    /// Bytes to send, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn send(&mut self, packet: Packet) -> bool {
        let before = self.out.len();
        for event in self.core.send(packet) {
            if let Event::RequestSendPacket { packet, .. } = event {
                self.out.extend_from_slice(&packet.to_continuous_buffer());
            }
        }
        self.out.len() > before
    }

    /// Publishes one envelope. False if the window is full or the packet too long for the node.
    pub fn publish(&mut self, id: PublishId, alarm: bool, bytes: Vec<u8>) -> bool {
        if self.closed || self.ids.len() >= usize::from(self.window) {
            return false;
        }
        let Ok(packet_id) = self.core.acquire_packet_id() else { return false };
        let lane = if alarm { Lane::Alarm } else { Lane::Envelope };
        let packet = v5_0::Publish::builder()
            .topic_name(topic::of(self.device, lane))
            .and_then(|p| p.qos(Qos::AtLeastOnce).packet_id(packet_id).payload(bytes).build());
        let sent = packet.is_ok_and(|packet| self.send(packet.into()));
        if sent {
            self.ids.insert(packet_id, id);
        }
        sent
    }

    /// Asks the node for a sign of life.
    pub fn ping(&mut self) {
        if let Ok(ping) = v5_0::Pingreq::builder().build() {
            self.send(ping.into());
        }
    }

    /// Ends the session from this side.
    pub fn goodbye(&mut self) {
        if let Ok(bye) = v5_0::Disconnect::builder().build() {
            self.send(bye.into());
        }
        self.closed = true;
    }

    /// Takes bytes from the node.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<ClientEvent> {
        let mut happened = Vec::new();
        let mut cursor = Cursor::new(bytes);
        while !self.closed && usize::try_from(cursor.position()).is_ok_and(|read| read < bytes.len()) {
            for event in self.core.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => self.received(packet, &mut happened),
                    Event::RequestSendPacket { packet, .. } => {
                        self.out.extend_from_slice(&packet.to_continuous_buffer());
                    }
                    Event::NotifyError(error) => {
                        self.closed = true;
                        happened.push(ClientEvent::close(format!("MQTT protocol error: {error}")));
                    }
                    Event::RequestClose
                    | Event::NotifyPacketIdReleased(_)
                    | Event::RequestTimerReset { .. }
                    | Event::RequestTimerCancel(_) => {}
                }
            }
        }
        happened
    }

    fn received(&mut self, packet: Packet, happened: &mut Vec<ClientEvent>) {
        match packet {
            Packet::V5_0Connack(p) if p.reason_code() == ConnectReasonCode::Success => {
                for prop in p.props() {
                    if let Property::ReceiveMaximum(max) = prop {
                        self.window = max.val().min(RECEIVE_MAXIMUM);
                    }
                }
                self.subscribe(happened);
            }
            Packet::V5_0Connack(p) => {
                self.closed = true;
                let reason = reason_string::reason_of(p.props());
                happened.push(ClientEvent::Refused { code: p.reason_code() as u8, reason });
            }
            Packet::V5_0Suback(p) => {
                // A node of an earlier version knows no commands: its refusal of that topic is accepted.
                let needed = Downlink::ALL.iter().filter(|what| **what != Downlink::Command).count();
                if p.reason_codes().iter().take(needed).all(|code| code.is_success()) {
                    happened.push(ClientEvent::Ready { window: self.window });
                } else {
                    self.goodbye();
                    happened.push(ClientEvent::close("the node refused our own topics"));
                }
            }
            Packet::V5_0Puback(p) => {
                let Some(id) = self.ids.remove(&p.packet_id()) else { return };
                let code = p.reason_code().unwrap_or(PubackReasonCode::Success);
                let event = if code.is_success() {
                    UplinkEvent::Acked { id }
                } else {
                    let sentence = p.props().as_deref().map(reason_string::reason_of).unwrap_or_default();
                    UplinkEvent::Refused { id, why: rejection_of(code), sentence }
                };
                happened.push(ClientEvent::Uplink(event));
            }
            Packet::V5_0Publish(p) if p.qos() != Qos::AtMostOnce => {
                self.goodbye();
                happened.push(ClientEvent::close("the node publishes at a QoS nobody asked for"));
            }
            Packet::V5_0Publish(p) => {
                let bytes = p.payload().as_slice().to_vec();
                match topic::parse(p.topic_name()) {
                    Some((device, Lane::Receipt)) if device == self.device => {
                        happened.push(ClientEvent::Uplink(UplinkEvent::Receipt(bytes)));
                    }
                    Some((device, Lane::Proof)) if device == self.device => {
                        happened.push(ClientEvent::Uplink(UplinkEvent::Proof(bytes)));
                    }
                    Some((device, Lane::Command)) if device == self.device => {
                        // Only the length is checked here; the gateway judges the content.
                        happened.push(ClientEvent::Uplink(if bytes.len() <= COMMAND_PAYLOAD_MAX {
                            UplinkEvent::Command(bytes)
                        } else {
                            UplinkEvent::CommandTooLong(bytes.len())
                        }));
                    }
                    _ => {}
                }
            }
            Packet::V5_0Disconnect(p) => {
                self.closed = true;
                let reason = p.props().as_deref().map(reason_string::reason_of).unwrap_or_default();
                let code = p.reason_code().map_or(0, |code| code as u8);
                let why = format!("the node ended the session (0x{code:02x}): {reason}");
                happened.push(ClientEvent::Close { taken_over: code == CODE_TAKEN_OVER, why });
            }
            _ => {}
        }
    }

    fn subscribe(&mut self, happened: &mut Vec<ClientEvent>) {
        let entries: Result<Vec<SubEntry>, _> = Downlink::ALL
            .into_iter()
            .map(|what| {
                SubEntry::new(topic::of(self.device, what.into()), SubOpts::new().set_qos(Qos::AtMostOnce))
            })
            .collect();
        let subscribe = entries.and_then(|entries| {
            let packet_id = self.core.acquire_packet_id()?;
            v5_0::Subscribe::builder().packet_id(packet_id).entries(entries).build()
        });
        match subscribe {
            Ok(subscribe) => {
                self.send(subscribe.into());
            }
            Err(error) => {
                self.closed = true;
                happened.push(ClientEvent::close(format!("could not subscribe: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests;
