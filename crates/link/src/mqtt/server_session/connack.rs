//! What a CONNECT is answered with.

use super::{Phase, ServerEvent, ServerSession};
use crate::mqtt::refusal::MqttRefusal;
use crate::mqtt::{KEEP_ALIVE_S_MAX, RECEIVE_MAXIMUM, reason_string};
use mqtt_protocol_core::mqtt::packet::{self, Property, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode};

impl ServerSession {
    /// Lets the device in, unless `wrong` or something else speaks against it.
    pub(super) fn connect(
        &mut self,
        client_id: &str,
        keep_alive_s: u16,
        wrong: Option<MqttRefusal>,
        happened: &mut Vec<ServerEvent>,
    ) {
        let wanted = self.device.to_string();
        let foreign = !client_id.is_empty() && client_id != wanted;
        if let Some(why) =
            self.refuse_with.map(Into::into).or(foreign.then_some(MqttRefusal::ClientId)).or(wrong)
        {
            happened.extend(self.refuse_connect(why));
            return;
        }
        // As the device asked, in both versions: one of 3.1.1 cannot be told another time, and widespread
        // clients of 5 do not look at the one they are told.
        let keep_alive_s = if keep_alive_s == 0 { KEEP_ALIVE_S_MAX } else { keep_alive_s };
        if self.v5 {
            let packet = v5_0::Connack::builder()
                .session_present(false)
                .reason_code(ConnectReasonCode::Success)
                .props(connack_properties(client_id.is_empty().then_some(wanted.as_str()), keep_alive_s))
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
        happened.push(ServerEvent::Connected { silence_ms_max: u32::from(keep_alive_s) * 1500 });
    }

    fn refuse_connect(&mut self, why: MqttRefusal) -> [ServerEvent; 2] {
        if self.v5 {
            let code = why.reason_code().and_then(|code| ConnectReasonCode::try_from(code).ok());
            let mut packet = v5_0::Connack::builder()
                .session_present(false)
                .reason_code(code.unwrap_or(ConnectReasonCode::UnspecifiedError));
            if self.wants_reasons {
                packet = packet.props(reason_string::reason(why.sentence()));
            }
            if let Ok(packet) = packet.build() {
                self.send_only(packet.into());
            }
        } else {
            let code = match why {
                MqttRefusal::ClientId => ConnectReturnCode::IdentifierRejected,
                _ => ConnectReturnCode::ServerUnavailable,
            };
            let packet = v3_1_1::Connack::builder().session_present(false).return_code(code).build();
            if let Ok(packet) = packet {
                self.send_only(packet.into());
            }
        }
        self.phase = Phase::Closed;
        [ServerEvent::Refused(why), ServerEvent::Close(why.sentence().to_owned())]
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
