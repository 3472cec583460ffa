//! How numbers, lists and identifiers are written on a page.

use vitals::metric::Metric;

/// Decimals a page shows; records keep all of them.
#[must_use]
pub fn shown_decimals(metric: Metric) -> u8 {
    match metric {
        Metric::BodyTemperature | Metric::AmbientTemperature => 1,
        _ => 0,
    }
}

/// How many raw units one shown unit has.
fn raw_per_step(metric: Metric) -> i64 {
    10i64.pow(u32::from(metric.info().decimals.saturating_sub(shown_decimals(metric))))
}

/// A raw value as a page shows it: rounded half away from zero, with a real minus sign.
#[must_use]
pub fn value(metric: Metric, raw: i32) -> String {
    let per_step = raw_per_step(metric);
    let raw = i64::from(raw);
    let steps = (raw.abs() + per_step / 2) / per_step;
    let sign = if raw < 0 && steps != 0 { "−" } else { "" };
    match shown_decimals(metric) {
        0 => format!("{sign}{steps}"),
        _ => format!("{sign}{}.{}", steps / 10, steps % 10),
    }
}

/// A difference with its sign: `+3`, `−0.2`, `±0`.
#[must_use]
pub fn change(metric: Metric, raw: i32) -> String {
    let text = value(metric, raw);
    match text.chars().any(|c| ('1'..='9').contains(&c)) {
        false => "±0".into(),
        true if raw > 0 => format!("+{text}"),
        true => text,
    }
}

/// A word with a capital first letter.
#[must_use]
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Words joined as in speech: `one, two and three`.
#[must_use]
pub fn joined(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Sequence numbers, from inclusive ranges: `3–5, 9`.
#[must_use]
pub fn numbers(ranges: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

/// A clinic's clause as a sentence.
#[must_use]
pub fn sentence(clause: &str) -> String {
    let mut text = capital(clause);
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// A count with thin spaces: `1 204`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = format!("{number}");
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The two ends of a long hexadecimal text: `9c1e4a…40b2`.
#[must_use]
pub fn short_hex(bytes: &[u8]) -> String {
    let text = hex(bytes);
    match text.len() {
        0..=12 => text,
        len => format!("{}…{}", &text[..6], &text[len - 4..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_half_away_from_zero_and_signed_with_a_minus() {
        assert_eq!(value(Metric::HeartRate, 1344), "134");
        assert_eq!(value(Metric::HeartRate, 1345), "135");
        assert_eq!(value(Metric::BodyTemperature, 3684), "36.8");
        assert_eq!(value(Metric::AmbientTemperature, -54), "−5.4");
        assert_eq!(value(Metric::AmbientTemperature, 0), "0.0");
        assert_eq!(value(Metric::Pm25, -4), "0");
        assert_eq!(change(Metric::HeartRate, -63), "−6");
        assert_eq!(change(Metric::BodyTemperature, 4), "±0");
        assert_eq!(change(Metric::BodyTemperature, 30), "+0.3");
    }

    #[test]
    fn counts_and_lists_read_as_in_speech() {
        assert_eq!(count(1_204_991), "1\u{202f}204\u{202f}991");
        assert_eq!(count(999), "999");
        assert_eq!(numbers(&[(3, 5), (9, 9)]), "3–5, 9");
        assert_eq!(short_hex(&[0xab; 32]), "ababab…abab");
    }
}
