//! Decimal numbers, kept as such from the text to the record: no binary fraction comes in between.

/// Decimal places kept. What lies beyond is cut off: less than any sensor measures, in any unit.
const PLACES: u32 = 24;
/// Significant digits read of a number; a double has 17.
const DIGITS_MAX: usize = 36;

/// A number with 24 decimal places, below 10^14.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decimal(i128);

/// Why a text is no decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDecimal {
    /// It is no number.
    Malformed,
    /// It is one of 10^14 or more.
    TooLarge,
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl Decimal {
    /// Reads a number as JSON writes them, with an exponent or without.
    pub(super) fn read(text: &str) -> Result<Self, NoDecimal> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| NoDecimal::Malformed)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || mantissa.ends_with('.') || !all_digits(whole) || !all_digits(fraction) {
            return Err(NoDecimal::Malformed);
        }
        let zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
        let digits = whole.len() + fraction.len() - zeros;
        let kept = digits.min(DIGITS_MAX);
        let mut number = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()).skip(zeros).take(kept) {
            number = number * 10 + i128::from(digit - b'0');
        }
        let length = |count: usize| i64::try_from(count).map_err(|_| NoDecimal::Malformed);
        // Places by which the digits read stand before the last place kept.
        let shift =
            i64::from(exponent) - length(fraction.len())? + length(digits - kept)? + i64::from(PLACES);
        let scale = u32::try_from(shift.unsigned_abs()).ok().and_then(power_of_ten);
        let number = match scale {
            _ if number == 0 => Some(0),
            Some(scale) if shift < 0 => Some(number / scale),
            None if shift < 0 => Some(0),
            scale => scale.and_then(|scale| number.checked_mul(scale)),
        };
        number.map(|number| Self(if negative { -number } else { number })).ok_or(NoDecimal::TooLarge)
    }

    /// The sum; nothing if it is too large.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// So many times as much; nothing if it is too large.
    pub(super) fn times(self, factor: u32) -> Option<Self> {
        self.0.checked_mul(factor.into()).map(Self)
    }

    /// Less so many hundredths; nothing if it is too large.
    pub(super) fn less_hundredths(self, hundredths: u32) -> Option<Self> {
        let part = power_of_ten(PLACES - 2)?.checked_mul(hundredths.into())?;
        self.0.checked_sub(part).map(Self)
    }

    /// In units of 10^-`decimals`, rounded half away from zero; nothing if it is too large.
    pub(super) fn rounded(self, decimals: u8) -> Option<i32> {
        let unit = power_of_ten(PLACES.checked_sub(decimals.into())?)?;
        let half = if self.0 < 0 { -(unit / 2) } else { unit / 2 };
        i32::try_from(self.0.checked_add(half)? / unit).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rounded(text: &str, decimals: u8) -> Option<i32> {
        Decimal::read(text).ok()?.rounded(decimals)
    }

    #[test]
    fn numbers_near_zero_are_numbers() {
        for text in
            ["5.9604645e-8", "-1.2e-7", "5.551115123125783e-17", "0", "-0", "-0.0", "4.9e-324", "1e-99999"]
        {
            assert_eq!(rounded(text, 1), Some(0), "{text}");
        }
        assert_eq!(rounded("5e-2", 1), Some(1));
        assert_eq!(rounded("-5E-2", 1), Some(-1));
        assert_eq!(rounded("0.049999999999999999999999999999999999999999", 1), Some(0));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_nothing() {
        for text in ["", "-", "+1", ".5", "5.", "1e", "1e+-1", "0x10", "1_0", "nan", "inf", "1 ", "--1"] {
            assert_eq!(Decimal::read(text), Err(NoDecimal::Malformed), "{text}");
        }
        for text in ["1e300", "1e15", "-1E+15", "99999999999999999999", "1e99999"] {
            assert_eq!(Decimal::read(text), Err(NoDecimal::TooLarge), "{text}");
        }
        assert_eq!(rounded("99999999999", 1), None);
        assert_eq!(Decimal::read("1e13").unwrap().times(1_000_000_000), None);
    }

    #[test]
    fn units_are_converted_exactly() {
        let kelvin = Decimal::read("309.71").unwrap().less_hundredths(27_315).unwrap();
        assert_eq!(kelvin.rounded(2), Some(3656));
        let kilograms = Decimal::read("1.25e-8").unwrap().times(1_000_000_000).unwrap();
        assert_eq!(kilograms, Decimal::read("12.5").unwrap());
    }

    proptest! {
        /// Written with any exponent, a number is the same number; rounding is that of the integers.
        #[test]
        fn a_decimal_is_the_number_its_text_says(
            number in -1_000_000_000_000_i64..1_000_000_000_000,
            places in 0_u32..12,
            exponent in -9_i32..9,
            decimals in 0_u8..3,
        ) {
            let scale = 10_i64.pow(places);
            let plain = format!(
                "{}{}.{:0width$}",
                if number < 0 { "-" } else { "" },
                number.abs() / scale,
                number.abs() % scale,
                width = usize::try_from(places).unwrap()
            );
            let plain = plain.trim_end_matches('.').to_owned();
            let shifted = format!("{number}e{}", exponent - i32::try_from(places).unwrap());
            let again = format!("{plain}e{exponent}");
            prop_assert_eq!(Decimal::read(&shifted), Decimal::read(&again), "{} {}", shifted, again);
            let unit = 10_i128.pow(places);
            let twice = i128::from(number.abs()) * 10_i128.pow(decimals.into()) * 2;
            let expected = (twice + unit) / (2 * unit);
            let expected = if number < 0 { -expected } else { expected };
            prop_assert_eq!(rounded(&plain, decimals), i32::try_from(expected).ok());
        }

        #[test]
        fn sums_are_exact(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000) {
            let read = |number: i64| Decimal::read(&format!("{number}e-6")).unwrap();
            prop_assert_eq!(read(a).plus(read(b)), Some(read(a + b)), "{} {}", a, b);
        }

        #[test]
        fn no_text_brings_it_down(text in "[-0-9.eE+]{0,60}") {
            let _ = Decimal::read(&text).ok().and_then(|number| number.rounded(2));
        }
    }
}
