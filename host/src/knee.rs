//! Plateaus and knees of a ladder: where latency stays level, and where it leaves the level.
//!
//! Pure functions on (place, value) in rising order of place, where values are medians of repetitions.

/// A stretch on which the value stays level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// First place.
    pub first: u64,
    /// Last place.
    pub last: u64,
    /// The place after it; nothing at the end of the ladder.
    pub beyond: Option<u64>,
    /// Median of its values.
    pub value: f64,
}

/// How far a value may be from its plateau's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// As a share of the value.
    pub share: f64,
    /// In units of the value, whichever allows more.
    pub absolute: f64,
    /// Points that make a plateau.
    pub points_least: usize,
}

impl Level {
    fn holds(&self, level: f64, value: f64) -> bool {
        (value - level).abs() <= (self.share * level.abs()).max(self.absolute)
    }
}

fn median(points: &[(u64, f64)]) -> f64 {
    crate::statistics::median(&points.iter().map(|point| point.1).collect::<Vec<f64>>())
}

/// All plateaus in their order. A single point off the level, with the next one on it again, does not end a plateau.
pub fn plateaus(points: &[(u64, f64)], level: Level) -> Vec<Plateau> {
    let mut found: Vec<Plateau> = Vec::new();
    let mut start = 0;
    while start < points.len() {
        let end = end_of_level(points, start, level);
        if end - start >= level.points_least {
            let value = median(&points[start..end]);
            found.push(Plateau {
                first: points[start].0,
                last: points[end - 1].0,
                beyond: points.get(end).map(|point| point.0),
                value,
            });
            start = end;
        } else {
            start += 1;
        }
    }
    found
}

/// One past the last point on the level that begins at `start`.
fn end_of_level(points: &[(u64, f64)], start: usize, level: Level) -> usize {
    let mut end = start + 1;
    while end < points.len() {
        let value = median(&points[start..end]);
        let on = |index: usize| points.get(index).is_some_and(|point| level.holds(value, point.1));
        if on(end) {
            end += 1;
        } else if end - start >= 2 && on(end + 1) {
            end += 2;
        } else {
            break;
        }
    }
    end
}

/// Where a rising ladder crosses a value for good: the last place below it, and the first place from which on all lie above. Nothing
/// when it never does, or begins above.
pub fn crossing(points: &[(u64, f64)], value: f64) -> Option<(u64, u64)> {
    let last_below = points.iter().rposition(|point| point.1 < value)?;
    Some((points[last_below].0, points.get(last_below + 1)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level { share: 0.08, absolute: 0.0, points_least: 3 };

    /// Latency by size as a machine with random replacement shows it, with noise of a few percent that only lengthens.
    fn ladder(levels: &[(u64, f64)], noise: f64) -> Vec<(u64, f64)> {
        let mut sizes: Vec<u64> = Vec::new();
        for octave in 0..14 {
            sizes.extend([4, 5, 6, 7].map(|part| part << octave));
        }
        let latency = |size: u64| {
            let level = levels.iter().position(|level| size <= level.0).unwrap_or(levels.len() - 1);
            match level {
                0 => levels[0].1,
                // what no longer fits is missed in proportion
                _ => {
                    let (before, after) = (levels[level - 1], levels[level]);
                    let share = (2.0 * (size - before.0) as f64 / before.0 as f64).min(1.0);
                    before.1 + (after.1 - before.1) * share
                }
            }
        };
        // a fixed pattern of disturbances
        let disturbed = |index: usize| 1.0 + noise * f64::from([0u8, 3, 1, 4, 1, 0, 2, 6, 0, 3][index % 10]) / 6.0;
        sizes.iter().enumerate().map(|(index, size)| (*size, latency(*size) * disturbed(index))).collect()
    }

    #[test]
    fn levels_and_their_ends_are_found_in_spite_of_noise() {
        let levels = [(32, 4.0), (1024, 14.0), (16384, 50.0), (u64::MAX, 400.0)];
        for noise in [0.0, 0.03, 0.05] {
            let found = plateaus(&ladder(&levels, noise), LEVEL);
            assert!(found.len() >= 3, "{noise}: {found:?}");
            for (plateau, (size, latency)) in found.iter().zip(&levels[..3]) {
                assert_eq!(plateau.last, *size, "{noise}: {found:?}");
                assert!((plateau.value / latency - 1.0).abs() <= noise, "{noise}: {found:?}");
            }
        }
    }

    #[test]
    fn one_disturbed_point_does_not_end_a_plateau() {
        let mut points: Vec<(u64, f64)> = (1..10).map(|place| (place, 4.0)).collect();
        points[4].1 = 9.0;
        let found = plateaus(&points, LEVEL);
        assert_eq!(found, [Plateau { first: 1, last: 9, beyond: None, value: 4.0 }]);
        points[5].1 = 9.0;
        assert_eq!(plateaus(&points, LEVEL).first().unwrap().last, 4, "two are a change");
    }

    #[test]
    fn a_slope_is_no_plateau() {
        let points: Vec<(u64, f64)> = (0..20).map(|place| (place, 1.2f64.powi(place as i32))).collect();
        assert_eq!(plateaus(&points, LEVEL), []);
        assert_eq!(plateaus(&[], LEVEL), []);
    }

    #[test]
    fn small_values_are_level_within_an_absolute_distance() {
        let level = Level { absolute: 0.5, ..LEVEL };
        let points = [(1, 0.1), (2, 0.4), (3, -0.1), (4, 0.2), (5, 7.0), (6, 7.2), (7, 7.1)];
        let found = plateaus(&points, level);
        assert_eq!(found.iter().map(|plateau| plateau.last).collect::<Vec<_>>(), [4, 7]);
    }

    #[test]
    fn crossings_are_for_good() {
        let points = [(8, 0.0), (16, 9.0), (32, 0.0), (64, 7.0), (128, 8.0)];
        assert_eq!(crossing(&points, 4.0), Some((32, 64)));
        assert_eq!(crossing(&points, 40.0), None);
        assert_eq!(crossing(&points[3..], 4.0), None);
    }
}
