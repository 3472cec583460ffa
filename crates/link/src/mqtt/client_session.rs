//! The device's half of one MQTT 5 connection, without I/O.

use crate::mqtt::client::{Event as Told, PublishId};
use crate::mqtt::reason_string;
use crate::mqtt::topic::{self, Lane};
use crate::{COMMAND_PAYLOAD_MAX, DOWN_PACKET_BYTES_MAX, RECEIVE_MAXIMUM};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Property, Qos, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, PubackReasonCode};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use std::collections::HashMap;
use vitals::DeviceId;

/// What bytes from the node led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Happening {
    /// The node let us in and listens; this many publishes may be unacknowledged.
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
    /// Something for the owner of the client.
    Told(Told),
    /// Send the output, then close.
    Close(String),
}

/// One connection to a node.
pub struct Uplink {
    device: DeviceId,
    core: Connection<role::Client>,
    ids: HashMap<u16, PublishId>,
    window: u16,
    closed: bool,
    out: Vec<u8>,
}

impl Uplink {
    /// A connection whose first output is its CONNECT.
    #[must_use]
    pub fn new(device: DeviceId, keep_alive_s: u16) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(DOWN_PACKET_BYTES_MAX);
        let mut core = Connection::with_options(Version::V5_0, options);
        // The node sends at QoS 0 alone. Answering others by itself, the protocol engine falls over a
        // packet id of 0 (found by fuzzing).
        core.set_auto_pub_response(false);
        let mut uplink = Self {
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
            uplink.send(connect.into());
        }
        uplink
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

    /// Says "still here".
    pub fn ping(&mut self) {
        if let Ok(ping) = v5_0::Pingreq::builder().build() {
            self.send(ping.into());
        }
    }

    /// Says goodbye.
    pub fn goodbye(&mut self) {
        if let Ok(bye) = v5_0::Disconnect::builder().build() {
            self.send(bye.into());
        }
        self.closed = true;
    }

    /// Takes bytes from the node.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Happening> {
        let mut happenings = Vec::new();
        let mut cursor = Cursor::new(bytes);
        while !self.closed && usize::try_from(cursor.position()).is_ok_and(|read| read < bytes.len()) {
            for event in self.core.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => self.received(packet, &mut happenings),
                    Event::RequestSendPacket { packet, .. } => {
                        self.out.extend_from_slice(&packet.to_continuous_buffer());
                    }
                    Event::NotifyError(error) => {
                        self.closed = true;
                        happenings.push(Happening::Close(format!("MQTT protocol error: {error}")));
                    }
                    Event::RequestClose
                    | Event::NotifyPacketIdReleased(_)
                    | Event::RequestTimerReset { .. }
                    | Event::RequestTimerCancel(_) => {}
                }
            }
        }
        happenings
    }

    fn received(&mut self, packet: Packet, happenings: &mut Vec<Happening>) {
        match packet {
            Packet::V5_0Connack(p) if p.reason_code() == ConnectReasonCode::Success => {
                for prop in p.props() {
                    if let Property::ReceiveMaximum(max) = prop {
                        self.window = max.val().min(RECEIVE_MAXIMUM);
                    }
                }
                self.subscribe(happenings);
            }
            Packet::V5_0Connack(p) => {
                self.closed = true;
                let reason = reason_string::reason_of(p.props());
                happenings.push(Happening::Refused { code: p.reason_code() as u8, reason });
            }
            Packet::V5_0Suback(p) => {
                // A node that knows no commands yet refuses the last one, and is none the worse for it.
                let needed = Lane::DOWN.iter().filter(|lane| **lane != Lane::Command).count();
                if p.reason_codes().iter().take(needed).all(|code| code.is_success()) {
                    happenings.push(Happening::Ready { window: self.window });
                } else {
                    self.goodbye();
                    happenings.push(Happening::Close("the node refused our own topics".into()));
                }
            }
            Packet::V5_0Puback(p) => {
                let Some(id) = self.ids.remove(&p.packet_id()) else { return };
                let code = p.reason_code().unwrap_or(PubackReasonCode::Success);
                let told = if code.is_success() {
                    Told::Acked { id }
                } else {
                    let reason = p.props().as_deref().map(reason_string::reason_of).unwrap_or_default();
                    Told::Refused { id, code: code as u8, reason }
                };
                happenings.push(Happening::Told(told));
            }
            Packet::V5_0Publish(p) if p.qos() != Qos::AtMostOnce => {
                self.goodbye();
                happenings.push(Happening::Close("the node publishes at a QoS nobody asked for".into()));
            }
            Packet::V5_0Publish(p) => {
                let bytes = p.payload().as_slice().to_vec();
                match topic::parse(p.topic_name()) {
                    Some((device, Lane::Receipt)) if device == self.device => {
                        happenings.push(Happening::Told(Told::Receipt(bytes)));
                    }
                    Some((device, Lane::Proof)) if device == self.device => {
                        happenings.push(Happening::Told(Told::Proof(bytes)));
                    }
                    Some((device, Lane::Command)) if device == self.device => {
                        // Refused by its length alone; what it says is for the gateway to judge.
                        happenings.push(Happening::Told(if bytes.len() <= COMMAND_PAYLOAD_MAX {
                            Told::Command(bytes)
                        } else {
                            Told::CommandTooLong(bytes.len())
                        }));
                    }
                    _ => {}
                }
            }
            Packet::V5_0Disconnect(p) => {
                self.closed = true;
                let reason = p.props().as_deref().map(reason_string::reason_of).unwrap_or_default();
                let code = p.reason_code().map_or(0, |code| code as u8);
                happenings
                    .push(Happening::Close(format!("the node ended the session (0x{code:02x}): {reason}")));
            }
            _ => {}
        }
    }

    fn subscribe(&mut self, happenings: &mut Vec<Happening>) {
        let entries: Result<Vec<SubEntry>, _> = Lane::DOWN
            .into_iter()
            .map(|lane| SubEntry::new(topic::of(self.device, lane), SubOpts::new().set_qos(Qos::AtMostOnce)))
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
                happenings.push(Happening::Close(format!("could not subscribe: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests;
