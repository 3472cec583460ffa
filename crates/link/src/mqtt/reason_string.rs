//! The Reason String of MQTT 5: the sentence that goes with a code.

use super::REASON_BYTES_MAX;
use mqtt_protocol_core::mqtt::packet::{Property, ReasonString};

/// A Reason String property, cut at a character so that it fits its bound.
pub(crate) fn reason(sentence: &str) -> Vec<Property> {
    let mut end = sentence.len().min(REASON_BYTES_MAX);
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    // A text the wire does not allow (control characters) is left out rather than failing the packet.
    ReasonString::new(&sentence[..end]).map(|reason| vec![reason.into()]).unwrap_or_default()
}

/// The Reason String among properties.
pub(crate) fn reason_of(props: &[Property]) -> String {
    props
        .iter()
        .find_map(|prop| match prop {
            Property::ReasonString(reason) => Some(reason.val().to_owned()),
            _ => None,
        })
        .unwrap_or_default()
}
