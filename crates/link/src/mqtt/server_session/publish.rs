//! What a PUBLISH is answered with.

use super::{Acknowledgement, Phase, ServerEvent, ServerSession, Unacked};
use crate::ingress::Verdict;
use crate::mqtt::reason_string;
use crate::mqtt::refusal::{MqttRefusal, puback_code};
use crate::mqtt::topic::{self, Lane};
use crate::refusal::LinkRefusal;
use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::PubackReasonCode;
use vitals::envelope::ENVELOPE_BYTES_MAX;

impl ServerSession {
    /// Takes one PUBLISH: offers its envelope, or refuses it.
    pub(super) fn publish(
        &mut self,
        qos: Qos,
        retain: bool,
        packet_id: Option<u16>,
        topic_name: &str,
        payload: &[u8],
        happened: &mut Vec<ServerEvent>,
    ) {
        let (Qos::AtLeastOnce, Some(packet_id)) = (qos, packet_id) else {
            happened.extend(self.turn_away(MqttRefusal::Qos));
            return;
        };
        // The protocol machine lets it pass in 3.1.1.
        if packet_id == 0 {
            happened.extend(self.turn_away(MqttRefusal::Malformed));
            return;
        }
        if retain {
            happened.extend(self.turn_away(MqttRefusal::Retain));
            return;
        }
        // The protocol machine lets a repeated packet id pass; two verdicts for one id would be a lie.
        if self.unacked.iter().any(|unacked| unacked.packet_id == packet_id) {
            happened.extend(self.turn_away(MqttRefusal::PacketIdInUse));
            return;
        }
        let slot = self.slot_front + self.unacked.len() as u64;
        let refusal = match topic::parse(topic_name) {
            None => Some(MqttRefusal::TopicUnknown),
            Some((device, _)) if device != self.device => Some(MqttRefusal::TopicForeign),
            Some((_, lane)) if !lane.is_up() => Some(MqttRefusal::TopicDownward),
            Some(_) if payload.len() > ENVELOPE_BYTES_MAX => Some(LinkRefusal::PayloadTooLong.into()),
            Some((_, lane)) => {
                let alarm = lane == Lane::Alarm;
                happened.push(ServerEvent::Offer { slot, alarm, bytes: payload.to_vec() });
                None
            }
        };
        happened.extend(refusal.map(ServerEvent::Refused));
        self.unacked.push_back(Unacked { packet_id, answer: refusal.map(Acknowledgement::Refused) });
        self.release(happened);
    }

    /// Acknowledges from the front as far as answers are known.
    pub(super) fn release(&mut self, happened: &mut Vec<ServerEvent>) {
        while self.phase == Phase::Open
            && let Some(Unacked { answer: Some(_), .. }) = self.unacked.front()
            && let Some(Unacked { packet_id, answer: Some(answer) }) = self.unacked.pop_front()
        {
            self.slot_front += 1;
            if self.v5 {
                self.send_v5_ack(packet_id, answer);
            } else if let Err(why) = self.send_v3_ack(packet_id, answer) {
                self.phase = Phase::Closed;
                happened.push(ServerEvent::Close(why));
            }
        }
    }

    /// Version 3.1.1 has no code for a refusal: the error says why to close.
    fn send_v3_ack(&mut self, packet_id: u16, answer: Acknowledgement) -> Result<(), String> {
        match answer {
            Acknowledgement::Verdict(Verdict::Admitted | Verdict::Duplicate) => {
                if let Ok(ack) = v3_1_1::Puback::builder().packet_id(packet_id).build() {
                    self.send_only(ack.into());
                }
                Ok(())
            }
            Acknowledgement::Verdict(Verdict::Busy) => Err("the node is busy".into()),
            Acknowledgement::Verdict(Verdict::Refused { sentence, .. }) => {
                Err(format!("refused: {sentence}"))
            }
            Acknowledgement::Refused(why) => Err(format!("refused: {}", why.sentence())),
        }
    }

    fn send_v5_ack(&mut self, packet_id: u16, answer: Acknowledgement) {
        let refused = |why: MqttRefusal| {
            let code = why.reason_code().and_then(|code| PubackReasonCode::try_from(code).ok());
            (code.unwrap_or(PubackReasonCode::UnspecifiedError), Some(why.sentence().to_owned()))
        };
        let (code, sentence) = match answer {
            Acknowledgement::Verdict(Verdict::Admitted | Verdict::Duplicate) => {
                (PubackReasonCode::Success, None)
            }
            Acknowledgement::Verdict(Verdict::Busy) => refused(LinkRefusal::Busy.into()),
            Acknowledgement::Verdict(Verdict::Refused { reason, sentence }) => {
                (puback_code(reason), Some(sentence))
            }
            Acknowledgement::Refused(why) => refused(why),
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
}
