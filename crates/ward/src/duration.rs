//! Times as people type them.

use std::time::Duration;

/// Reads `500ms`, `30s`, `10m` or `2h`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let count: u64 =
        digits.parse().map_err(|_| format!("`{text}` is not a duration; write for example 30s or 10m"))?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3600)),
        "" => Err(format!("`{text}` has no unit of time; write for example {text}s or {text}m")),
        unit => Err(format!("`{unit}` is not a unit of time; use ms, s, m or h")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(super::parse("30s").unwrap().as_secs(), 30);
        assert_eq!(super::parse("250ms").unwrap().as_millis(), 250);
        assert_eq!(super::parse("2h").unwrap().as_secs(), 7200);
        assert!(super::parse("30").unwrap_err().contains("has no unit of time; write for example 30s"));
        assert!(super::parse("30d").unwrap_err().contains("`d` is not a unit"));
        assert!(super::parse("soon").unwrap_err().contains("not a duration"));
    }
}
