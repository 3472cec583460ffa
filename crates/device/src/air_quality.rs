//! The air quality index from fine particles, US EPA table in force since 6 May 2024.
//!
//! The concentration is cut (not rounded) to 0.1 µg/m³, which is the raw unit of the metric, and the
//! index is rounded to the nearest whole number.

/// `(lowest concentration, highest, lowest index, highest)`, tenths of a microgram per cubic metre.
const PM2_5_TABLE: [(i64, i64, i64, i64); 6] = [
    (0, 90, 0, 50),
    (91, 354, 51, 100),
    (355, 554, 101, 150),
    (555, 1254, 151, 200),
    (1255, 2254, 201, 300),
    (2255, 3254, 301, 500),
];
/// Beyond the table the last line is drawn on, up to here.
pub const AQI_MAX: i32 = 1000;

/// The index for a concentration in tenths of a microgram per cubic metre; none below zero, which no
/// sensor can mean.
///
/// The value of one moment is an index "now", not the 24-hour index of the EPA: pages must say so.
#[must_use]
pub fn aqi_of_pm2_5(tenths: i32) -> Option<i32> {
    let concentration = i64::from(tenths);
    if concentration < 0 {
        return None;
    }
    let last = PM2_5_TABLE[PM2_5_TABLE.len() - 1];
    let (low, high, index_low, index_high) =
        PM2_5_TABLE.into_iter().find(|(_, high, ..)| concentration <= *high).unwrap_or(last);
    let rise = (index_high - index_low) * (concentration - low);
    let run = high - low;
    // Half a step more, then cut: rounding half up, as the EPA does.
    let index = index_low + (2 * rise + run) / (2 * run);
    Some(i32::try_from(index).unwrap_or(AQI_MAX).min(AQI_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_2024_is_met_at_every_edge() {
        let table = [
            (0, 0),
            (50, 28),
            (90, 50),
            (91, 51),
            (120, 56),
            (350, 99),
            (354, 100),
            (355, 101),
            (554, 150),
            (555, 151),
            (1254, 200),
            (1255, 201),
            (2254, 300),
            (2255, 301),
            (3254, 500),
        ];
        for (tenths, index) in table {
            assert_eq!(aqi_of_pm2_5(tenths), Some(index), "{tenths} tenths");
        }
    }

    #[test]
    fn the_index_is_rounded_and_not_cut() {
        // 5.0 µg/m³ is 27.8 on the line from 0 to 50.
        assert_eq!(aqi_of_pm2_5(50), Some(28));
    }

    #[test]
    fn the_index_never_falls_while_the_air_gets_worse() {
        let mut before = 0;
        for tenths in 0..60_000 {
            let index = aqi_of_pm2_5(tenths).unwrap();
            assert!(index >= before && index <= AQI_MAX);
            before = index;
        }
    }

    #[test]
    fn a_negative_concentration_has_no_index() {
        assert_eq!(aqi_of_pm2_5(-1), None);
        assert_eq!(aqi_of_pm2_5(i32::MIN), None);
        assert_eq!(aqi_of_pm2_5(i32::MAX), Some(AQI_MAX));
    }
}
