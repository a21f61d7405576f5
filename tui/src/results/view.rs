//! How points are laid out for plots: one axis lies horizontally, mechanisms are curves, and every combination of the other axes'
//! values has a facet of its own.

use super::{Point, Results};
use anyhow::{Result, bail};
use serde_json::Value;
use sim_core::report::RunReport;
use sim_core::sweep::{Axis, plain_text};

/// Axes that are laid horizontally before others: the load that the server is under.
const LOADS: [&str; 3] = ["connections", "rate", "run.connections"];

/// What the user wants to see.
#[derive(Clone, Debug, Default)]
pub struct ViewOptions {
    /// Axis that lies horizontally.
    pub x: Option<String>,
    /// Its value at which details are shown.
    pub at: Option<String>,
}

/// Points of one combination of values of the axes that do not lie horizontally.
#[derive(Clone, Debug)]
pub struct Facet<'a> {
    /// `cores 2, batch 16`; empty when there is only one.
    pub name: String,
    /// Its points, in order.
    pub points: Vec<&'a Point>,
}

/// Points laid out.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The horizontal axis; none when nothing but the mechanism varies.
    pub x: Option<&'a Axis>,
    /// Labels of the mechanisms; a mechanism has the same colour, marker and dashes in every plot.
    pub mechanisms: Vec<String>,
    /// At least one.
    pub facets: Vec<Facet<'a>>,
    at: Option<Value>,
}

impl<'a> View<'a> {
    /// Lays points out.
    ///
    /// # Errors
    /// An axis or a value that the results do not have.
    pub fn new(results: &'a Results, options: &ViewOptions) -> Result<View<'a>> {
        let x = horizontal(results, options.x.as_deref())?;
        let at = match (&options.at, x) {
            (None, _) => None,
            (Some(text), Some(axis)) => Some(value_of(axis, text)?),
            (Some(text), None) => bail!("--at {text}: nothing but the mechanism varies in these results"),
        };
        let zipped = x.is_some_and(|axis| axis.zipped);
        let others: Vec<&Axis> = results
            .axes
            .iter()
            .filter(|axis| axis.values.len() > 1 && x.is_none_or(|x| x.path != axis.path) && !(zipped && axis.zipped))
            .collect();
        Ok(View { x, mechanisms: results.mechanisms(), facets: facets(results, &others), at })
    }

    /// Place of a point on the horizontal axis: its number, or the position of its value among the axis' values.
    pub fn place(&self, point: &Point) -> Option<f64> {
        let axis = self.x?;
        let value = point.value(&axis.path)?;
        if is_numeric(axis) {
            value.as_f64()
        } else {
            axis.values.iter().position(|other| *other == value).map(|place| place as f64)
        }
    }

    /// Position of a mechanism, which decides its colour, marker and dashes.
    pub fn mechanism(&self, point: &Point) -> usize {
        let name = point.mechanism();
        self.mechanisms.iter().position(|other| *other == name).unwrap_or(0)
    }

    /// What is measured in a facet, by mechanism.
    pub fn measured(&self, facet: &Facet<'a>, mechanism: usize) -> impl Iterator<Item = (&'a Point, &'a RunReport)> {
        let own = facet.points.iter().filter(move |point| self.mechanism(point) == mechanism);
        own.filter_map(|point| point.measured().map(|report| (*point, report))).collect::<Vec<_>>().into_iter()
    }

    /// The points of a facet at which details are shown, and where that is, in words. Without a wish it is the highest value at which
    /// most mechanisms were measured.
    pub fn details(&self, facet: &Facet<'a>) -> (String, Vec<(&'a Point, &'a RunReport)>) {
        let measured = |value: Option<&Value>| -> Vec<(&'a Point, &'a RunReport)> {
            let at = |point: &Point| match (self.x, value) {
                (Some(axis), Some(value)) => point.value(&axis.path).as_ref() == Some(value),
                _ => true,
            };
            let here = facet.points.iter().filter(|point| at(point));
            here.filter_map(|point| point.measured().map(|report| (*point, report))).collect()
        };
        let Some(axis) = self.x else { return (facet.name.clone(), measured(None)) };
        let value = self.at.as_ref().or_else(|| axis.values.iter().max_by_key(|value| measured(Some(value)).len()));
        let at = value.map(|value| format!("{} {}", axis.path, plain_text(value)));
        let name: Vec<String> = [facet.name.clone()].into_iter().filter(|name| !name.is_empty()).chain(at).collect();
        (name.join(", "), measured(value))
    }
}

/// True when all values are numbers.
pub fn is_numeric(axis: &Axis) -> bool {
    axis.values.iter().all(Value::is_number)
}

fn horizontal<'a>(results: &'a Results, wanted: Option<&str>) -> Result<Option<&'a Axis>> {
    if let Some(path) = wanted {
        if let Some(axis) = results.axes.iter().find(|axis| axis.path == path) {
            return Ok(Some(axis));
        }
        let known: Vec<&str> = results.axes.iter().map(|axis| axis.path.as_str()).collect();
        let near = sim_core::nearest::nearest(path, known.iter().copied());
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!("--x {path}: these results have no such axis{near}\n  what varies: {}", listed(&known));
    }
    let varied = || results.axes.iter().filter(|axis| axis.values.len() > 1);
    let load = varied().find(|axis| LOADS.contains(&axis.path.as_str()) && is_numeric(axis));
    // of axes of equal length the first one
    let longest = || varied().filter(|axis| is_numeric(axis)).rev().max_by_key(|axis| axis.values.len());
    Ok(load.or_else(longest).or_else(|| varied().next()))
}

fn value_of(axis: &Axis, text: &str) -> Result<Value> {
    let same = |value: &&Value| plain_text(value) == text || value.as_f64().is_some_and(|number| text.parse() == Ok(number));
    match axis.values.iter().find(same) {
        Some(value) => Ok(value.clone()),
        None => {
            let known: Vec<String> = axis.values.iter().map(plain_text).collect();
            bail!("--at {text}: {} was not varied to it\n  its values: {}", axis.path, known.join(", "))
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "only the mechanism".into() } else { names.join(", ") }
}

/// Every combination of the axes' values that has points, in the order of the values; the first axis varies slowest.
fn facets<'a>(results: &'a Results, axes: &[&Axis]) -> Vec<Facet<'a>> {
    let place = |point: &Point| -> Vec<usize> {
        let position = |axis: &&Axis| {
            let value = point.value(&axis.path);
            axis.values.iter().position(|other| Some(other) == value.as_ref()).unwrap_or(usize::MAX)
        };
        axes.iter().map(position).collect()
    };
    let name = |point: &Point| {
        let parts = axes.iter().filter_map(|axis| Some(format!("{} {}", axis.path, plain_text(&point.value(&axis.path)?))));
        parts.collect::<Vec<_>>().join(", ")
    };
    let mut found: std::collections::BTreeMap<Vec<usize>, Facet<'a>> = std::collections::BTreeMap::new();
    for point in &results.points {
        let facet = found.entry(place(point)).or_insert_with(|| Facet { name: name(point), points: Vec::new() });
        facet.points.push(point);
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{point, results};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_load_lies_horizontally_and_the_rest_makes_facets() {
        let axes = [("cores", vec![json!(1), json!(2), json!(4)]), ("connections", vec![json!(8), json!(64)])];
        let mut points = Vec::new();
        for cores in [1, 2, 4] {
            for connections in [8, 64] {
                points.push(point(&[("cores", json!(cores)), ("connections", json!(connections))], "sync", 10.0));
            }
        }
        let results = results(&axes, points);
        let view = View::new(&results, &ViewOptions::default()).unwrap();
        assert_eq!(view.x.map(|axis| axis.path.as_str()), Some("connections"));
        let names: Vec<&str> = view.facets.iter().map(|facet| facet.name.as_str()).collect();
        assert_eq!(names, ["cores 1", "cores 2", "cores 4"]);
        assert_eq!(view.details(&view.facets[1]).0, "cores 2, connections 64");
        let at = View::new(&results, &ViewOptions { x: Some("cores".into()), at: Some("2".into()) }).unwrap();
        assert_eq!(at.details(&at.facets[0]).0, "connections 8, cores 2");
    }

    #[test]
    fn axes_and_values_that_are_not_there_are_named() {
        let results = results(&[("cores", vec![json!(1), json!(2)])], vec![point(&[("cores", json!(1))], "sync", 1.0)]);
        let options = |x: &str, at: &str| ViewOptions { x: Some(x.into()), at: Some(at.into()) };
        let unknown = View::new(&results, &options("core", "1")).unwrap_err().to_string();
        assert!(unknown.contains("did you mean `cores`?"), "{unknown}");
        let value = View::new(&results, &options("cores", "3")).unwrap_err().to_string();
        assert!(value.contains("its values: 1, 2"), "{value}");
    }

    #[test]
    fn details_stand_where_most_was_measured() {
        let axes = [("cores", vec![json!(1), json!(2)])];
        let mut lonely = point(&[("cores", json!(2))], "elevated-shortcut", 1.0);
        lonely.outcome = sim_core::sweep::PointOutcome::Failed { error: "why".into() };
        let cores = |number: u32, name| point(&[("cores", json!(number))], name, 1.0);
        let results = results(&axes, vec![cores(1, "sync"), cores(1, "elevated-shortcut"), cores(2, "sync"), lonely]);
        let view = View::new(&results, &ViewOptions::default()).unwrap();
        let (place, reports) = view.details(&view.facets[0]);
        assert_eq!((place.as_str(), reports.len()), ("cores 1", 2));
    }
}
