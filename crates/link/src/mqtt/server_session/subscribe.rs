//! What a SUBSCRIBE and an UNSUBSCRIBE are answered with.

use super::{ServerEvent, ServerSession};
use crate::mqtt::reason_string;
use crate::mqtt::refusal::MqttRefusal;
use crate::mqtt::topic;
use crate::sessions::Downlink;
use mqtt_protocol_core::mqtt::packet::{Packet, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{SubackReasonCode, SubackReturnCode, UnsubackReasonCode};

impl ServerSession {
    /// Grants what is the device's own, and nothing else. `numbered`: with a subscription identifier.
    pub(super) fn subscribe(
        &mut self,
        packet_id: u16,
        filters: Vec<String>,
        numbered: bool,
        happened: &mut Vec<ServerEvent>,
    ) {
        if packet_id == 0 {
            happened.extend(self.turn_away(MqttRefusal::Malformed));
            return;
        }
        // Identifiers were announced as not available: nothing is granted under one.
        let covered = |f: &String| if numbered { vec![] } else { topic::covered(f, self.device) };
        let granted: Vec<Vec<Downlink>> = filters.iter().map(covered).collect();
        if granted.iter().any(Vec::is_empty) {
            happened.push(ServerEvent::Refused(MqttRefusal::SubscriptionForeign));
        }
        if self.v5 {
            self.send_v5_suback(packet_id, &filters, numbered, &granted);
        } else {
            let codes = granted
                .iter()
                .map(|granted| match granted.is_empty() {
                    true => SubackReturnCode::Failure,
                    false => SubackReturnCode::SuccessMaximumQos0,
                })
                .collect();
            if let Ok(ack) = v3_1_1::Suback::builder().packet_id(packet_id).return_codes(codes).build() {
                self.send_only(ack.into());
            }
        }
        let granted = granted.concat();
        if !granted.is_empty() {
            happened.push(ServerEvent::Subscribed(granted));
        }
    }

    fn send_v5_suback(
        &mut self,
        packet_id: u16,
        filters: &[String],
        numbered: bool,
        granted: &[Vec<Downlink>],
    ) {
        let codes = granted
            .iter()
            .zip(filters)
            .map(|(granted, filter)| match granted.is_empty() {
                false => SubackReasonCode::GrantedQos0,
                true if numbered => SubackReasonCode::SubscriptionIdentifiersNotSupported,
                true if filter.starts_with("$share/") => SubackReasonCode::SharedSubscriptionsNotSupported,
                true => SubackReasonCode::NotAuthorized,
            })
            .collect();
        let mut ack = v5_0::Suback::builder().packet_id(packet_id).reason_codes(codes);
        if self.wants_reasons && granted.iter().any(Vec::is_empty) {
            ack = ack.props(reason_string::reason(MqttRefusal::SubscriptionForeign.sentence()));
        }
        if let Ok(ack) = ack.build() {
            self.send_only(ack.into());
        }
    }

    pub(super) fn unsubscribe(&mut self, packet_id: u16, filters: &[&str], happened: &mut Vec<ServerEvent>) {
        let covered: Vec<Vec<Downlink>> =
            filters.iter().map(|filter| topic::covered(filter, self.device)).collect();
        let ack: Option<Packet> = if self.v5 {
            let codes = covered
                .iter()
                .map(|covered| match covered.is_empty() {
                    true => UnsubackReasonCode::NoSubscriptionExisted,
                    false => UnsubackReasonCode::Success,
                })
                .collect();
            v5_0::Unsuback::builder().packet_id(packet_id).reason_codes(codes).build().ok().map(Into::into)
        } else {
            v3_1_1::Unsuback::builder().packet_id(packet_id).build().ok().map(Into::into)
        };
        if let Some(ack) = ack {
            self.send_only(ack);
        }
        happened.push(ServerEvent::Unsubscribed(covered.concat()));
    }
}
