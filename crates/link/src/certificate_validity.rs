//! When a certificate begins and ends: the fields of it that somebody has to know beforehand.

use rustls::pki_types::CertificateDer;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// The time in which a certificate is valid, seconds since 1970, both ends included (RFC 5280, section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub begins_s: i64,
    /// `notAfter`.
    pub ends_s: i64,
}

/// When the certificate begins and ends; none if it cannot be read.
#[must_use]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (certificate, _) = element(certificate, 0x30)?;
    let (mut rest, _) = element(certificate, 0x30)?;
    // The version may be left out; serial number, algorithm and issuer stand before the validity.
    if let Some((_, after)) = element(rest, 0xa0) {
        rest = after;
    }
    for tag in [0x02, 0x30, 0x30] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, 0x30)?;
    let (begins_s, until) = time(validity)?;
    Some(Validity { begins_s, ends_s: time(until)?.0 })
}

/// When the certificate ends, seconds since 1970; none if it cannot be read.
#[must_use]
pub fn ends_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    Some(validity(certificate)?.ends_s)
}

/// The content of an element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ ..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as seconds since 1970, and what follows it.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, year_digits) = match element(bytes, 0x17) {
        Some((text, rest)) => (text, rest, 2),
        None => element(bytes, 0x18).map(|(text, rest)| (text, rest, 4))?,
    };
    let number = |from: usize, digits: usize| -> Option<i64> {
        std::str::from_utf8(text.get(from..from + digits)?).ok()?.parse().ok()
    };
    let year = match (year_digits, number(0, year_digits)?) {
        (2, year) if year < 50 => 2000 + year,
        (2, year) => 1900 + year,
        (_, year) => year,
    };
    let at = |n: usize| number(year_digits + 2 * n, 2);
    let (month, day, hour, minute, second) = (at(0)?, at(1)?, at(2)?, at(3)?, at(4)?);
    ((1..=12).contains(&month) && text.last() == Some(&b'Z'))
        .then(|| (days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second, rest))
}

/// Days since 1970-01-01 of a day of the Gregorian calendar: years begin in March, leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_certificate_is_read_from_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, month, day, ends) in [
            (1970, 1, 1, 0),
            (2026, 11, 30, 1_795_996_800),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (2400, 2, 29, 13_574_563_200),
            (4096, 1, 1, 67_090_118_400),
        ] {
            let mut params = rcgen::CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(ends_s(certificate.der()), Some(ends), "{year}-{month}-{day}");
            params.not_before = rcgen::date_time_ymd(1970, 1, 2);
            let certificate = params.self_signed(&key).unwrap();
            let expected = Validity { begins_s: DAY_S, ends_s: ends };
            assert_eq!(validity(certificate.der()), Some(expected), "{year}-{month}-{day}");
            let bytes = certificate.der().to_vec();
            for end in 0..bytes.len() {
                assert!(ends_s(&CertificateDer::from(&bytes[..end])).is_none_or(|cut| cut == ends));
            }
        }
        assert_eq!(ends_s(&CertificateDer::from(b"no certificate".as_slice())), None);
    }
}
