//! A long curve with fewer points.

use super::views::Point;
use vitals::metric::Sample;

/// Most points of one metric in a chart; beyond that each slice of time keeps its lowest and highest.
pub const POINTS_MAX: usize = 20_000;

/// Keeps the lowest and the highest value of each slice, and every absence that begins one.
pub(super) fn thin(points: Vec<Point>) -> Vec<Point> {
    let slices = POINTS_MAX / 2;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return points };
    if points.len() <= POINTS_MAX {
        return points;
    }
    let first_ms = first.at_ms;
    let slice_ms = (last.at_ms - first_ms).div_ceil(slices as u64).max(1);
    let mut kept = Vec::with_capacity(POINTS_MAX);
    for slice in points.chunk_by(|a, b| (a.at_ms - first_ms) / slice_ms == (b.at_ms - first_ms) / slice_ms) {
        let value = |point: &&Point| match point.sample {
            Sample::Measured(value) => Some(value),
            Sample::Absent(_) => None,
        };
        let measured = || slice.iter().filter(|point| value(point).is_some());
        let low = measured().min_by_key(value);
        let high = measured().max_by_key(value);
        let mut ends: Vec<&Point> = [low, high].into_iter().flatten().collect();
        if ends.is_empty() {
            ends.extend(slice.first());
        }
        ends.sort_by_key(|point| point.at_ms);
        ends.dedup_by_key(|point| point.at_ms);
        kept.extend(ends.into_iter().copied());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_extremes() {
        let point = |second: u64| {
            let value = if second == 43_210 { 1900 } else { 700 };
            Point { at_ms: second * 1000, sample: Sample::Measured(value), envelope: 0 }
        };
        let thinned = thin((0..86_400).map(point).collect());
        assert!(thinned.len() <= POINTS_MAX);
        assert!(thinned.iter().any(|point| point.sample == Sample::Measured(1900)));
        assert!(thinned.is_sorted_by_key(|point| point.at_ms));
    }

    #[test]
    fn a_short_curve_is_left_alone() {
        let points: Vec<Point> =
            (0..100).map(|at_ms| Point { at_ms, sample: Sample::Measured(1), envelope: 0 }).collect();
        assert_eq!(thin(points.clone()).len(), points.len());
    }
}
