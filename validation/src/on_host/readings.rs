//! What processes measured of a case. Parts and points of curves part here, for good: what predicts gets [`Parts`], and no function
//! makes parts of curves.

use crate::on_host::OnHostError;
use crate::on_host::points::{Place, Point};
use host::statistics::{Summary, median};
use std::collections::BTreeMap;
use twins::{Measurement, parts};

/// Parts measured apart, nanoseconds: medians over the processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts(BTreeMap<Place, f64>);

/// Points of curves, nanoseconds by process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// By place; one value from each process.
    values: BTreeMap<Place, Vec<f64>>,
    /// System calls of an operation by process, of parts too.
    calls: BTreeMap<Place, Vec<f64>>,
    /// Parts by process: what some points are ratios to.
    parts: BTreeMap<Place, Vec<f64>>,
}

/// Cuts what several processes measured into parts and curves.
pub fn cut(processes: &[Vec<Measurement>]) -> (Parts, Curves) {
    let mut curves = Curves::default();
    for measurement in processes.iter().flatten() {
        let place = Place::new(measurement.series.clone(), measurement.x);
        curves.calls.entry(place.clone()).or_default().push(measurement.calls);
        if measurement.series.starts_with(parts::PREFIX) {
            curves.parts.entry(place).or_default().push(measurement.nanoseconds);
        } else {
            curves.values.entry(place).or_default().push(measurement.nanoseconds);
        }
    }
    let medians = curves.parts.iter().map(|(place, values)| (place.clone(), median(values))).collect();
    (Parts(medians), curves)
}

impl Parts {
    /// Nanoseconds of a part.
    ///
    /// # Errors
    /// When it was not measured.
    pub fn get(&self, series: &str, x: u32) -> Result<f64, OnHostError> {
        let place = Place::new(series, x);
        self.0.get(&place).copied().ok_or_else(|| OnHostError::NotMeasured(format!("{series} ({x})")))
    }

    /// Parts from a list.
    pub fn from_list(list: &[(&str, u32, f64)]) -> Parts {
        Parts(list.iter().map(|(series, x, nanoseconds)| (Place::new(*series, *x), *nanoseconds)).collect())
    }
}

impl Curves {
    /// A point's ratio to its base, one for each process, summed up; nothing when either was not measured.
    pub fn ratio(&self, point: &Point) -> Option<Summary> {
        let own = self.values.get(&point.place)?;
        let base = self.values.get(&point.base).or_else(|| self.parts.get(&point.base))?;
        let ratios: Vec<f64> = own.iter().zip(base).map(|(own, base)| own / base).collect();
        Summary::of(&ratios)
    }

    /// Nanoseconds of a place, summed up over the processes.
    pub fn nanoseconds(&self, place: &Place) -> Option<Summary> {
        Summary::of(self.values.get(place).or_else(|| self.parts.get(place))?)
    }

    /// System calls of an operation.
    pub fn calls(&self, place: &Place) -> Option<Summary> {
        Summary::of(self.calls.get(place)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(series: &str, x: u32, nanoseconds: f64) -> Measurement {
        Measurement { series: series.into(), x, nanoseconds, calls: 2.0, counts: Vec::new() }
    }

    #[test]
    fn ratios_are_taken_inside_each_process() {
        // the second process ran at half the speed: the ratio is the same
        let processes = [
            vec![measured("part user", 1, 5.0), measured("sync", 1, 10.0), measured("ring", 4, 8.0)],
            vec![measured("part user", 1, 10.0), measured("sync", 1, 20.0), measured("ring", 4, 16.0)],
        ];
        let (parts, curves) = cut(&processes);
        let point = Point { place: Place::new("ring", 4), base: Place::new("sync", 1) };
        let ratio = curves.ratio(&point).unwrap();
        assert_eq!((ratio.median, ratio.spread(), ratio.n), (0.8, 0.0, 2));
        assert_eq!(parts.get("part user", 1).unwrap(), 7.5);
        assert_eq!(curves.calls(&point.place).unwrap().median, 2.0);
        let to_part = Point { place: Place::new("ring", 4), base: Place::new("part user", 1) };
        assert_eq!(curves.ratio(&to_part).unwrap().median, 1.6);
    }

    #[test]
    fn curves_are_not_among_the_parts() {
        let (parts, _) = cut(&[vec![measured("part user", 1, 5.0), measured("sync", 1, 10.0)]]);
        assert!(parts.get("sync", 1).unwrap_err().to_string().contains("sync (1) was not measured"));
        assert_eq!(parts, Parts::from_list(&[("part user", 1, 5.0)]));
    }
}
