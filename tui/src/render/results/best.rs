//! Which mechanism has the highest throughput where, and what its interval can't tell from it.

use crate::numbers::fixed;
use crate::results::{Facet, Point, View};
use sim_core::estimate::Estimate;
use sim_core::report::{LimitedBy, RunReport};
use sim_core::sweep::plain_text;

/// A table: headers and rows of a facet each. Nothing when there is only one mechanism.
pub fn table(view: &View) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    if view.mechanisms.len() < 2 {
        return None;
    }
    let values: Vec<Option<&serde_json::Value>> = match view.x {
        Some(axis) => axis.values.iter().map(Some).collect(),
        None => vec![None],
    };
    let header = |value: &Option<&serde_json::Value>| match (view.x, value) {
        (Some(axis), Some(value)) => format!("{} {}", axis.path, plain_text(value)),
        _ => "highest throughput".to_owned(),
    };
    let headers = std::iter::once(String::new()).chain(values.iter().map(header)).collect();
    let row = |facet: &Facet| {
        let cells = values.iter().map(|value| cell(&measured(view, facet, *value)));
        std::iter::once(facet.name.clone()).chain(cells).collect()
    };
    Some((headers, view.facets.iter().map(row).collect()))
}

fn measured<'a>(view: &View, facet: &Facet<'a>, value: Option<&serde_json::Value>) -> Vec<&'a RunReport> {
    let here = |point: &Point| match (view.x, value) {
        (Some(axis), Some(value)) => point.value(&axis.path).as_ref() == Some(value),
        _ => true,
    };
    facet.points.iter().filter(|point| here(point)).filter_map(|point| point.measured()).collect()
}

/// The best, with its speed-up, and what can't be told from it.
fn cell(reports: &[&RunReport]) -> String {
    let known = reports.iter().filter(|report| report.throughput_rps.mean.is_finite());
    let mut order: Vec<&&RunReport> = known.collect();
    order.sort_by(|left, right| right.throughput_rps.mean.total_cmp(&left.throughput_rps.mean));
    let Some((best, others)) = order.split_first() else { return "-".into() };
    let close = others.iter().filter(|other| !above(&best.throughput_rps, &other.throughput_rps));
    let names: Vec<String> = std::iter::once(best.label()).chain(close.map(|other| other.label())).collect();
    let speedup = best.speedup_vs_sync.filter(|_| names.len() == 1 && best.label() != "sync");
    let speedup = speedup.map_or(String::new(), |speedup| format!(" {}x", fixed(speedup.mean, 2)));
    let limit = best.limited_by.filter(|limit| *limit != LimitedBy::Server);
    let limit = limit.map_or(String::new(), |limit| format!(" (the {} is the limit)", limit.name()));
    format!("{}{speedup}{limit}", names.join(" or "))
}

/// True when the intervals do not overlap. Without an interval nothing can be told.
fn above(best: &Estimate, other: &Estimate) -> bool {
    best.n > 1 && other.n > 1 && best.low > other.high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::ViewOptions;
    use crate::results::tests::{point, results};
    use serde_json::json;

    #[test]
    fn what_intervals_cannot_separate_stands_together() {
        let at = |connections: u32, name: &str, mean: f64| point(&[("connections", json!(connections))], name, mean);
        let points = vec![
            at(8, "sync", 100.0),
            at(8, "exception-less", 101.0),
            at(8, "elevated-shortcut", 90.0),
            at(64, "sync", 100.0),
            at(64, "exception-less", 200.0),
        ];
        let results = results(&[("connections", vec![json!(8), json!(64), json!(512)])], points);
        let view = View::new(&results, &ViewOptions::default()).unwrap();
        let (headers, rows) = table(&view).unwrap();
        assert_eq!(headers, ["", "connections 8", "connections 64", "connections 512"]);
        assert_eq!(rows, [["", "exception-less or sync", "exception-less", "-"]]);
    }
}
