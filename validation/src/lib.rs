//! Predicted beside published and measured results. The list of known deviations is `DEVIATIONS.md` of this crate.

pub mod ablation;
pub mod baseline;
pub mod calibration;
pub mod conditions;
pub mod figures;
pub mod host_machine;
pub mod lab;
pub mod on_host;
pub mod outcome;
pub mod papers;
pub mod published;
pub mod registry;
pub mod rows;
pub mod sensitivity;
pub mod server_run;
pub mod tolerance;
pub mod verdict;

/// The known deviations, as shipped with the program.
pub const DEVIATIONS: &str = include_str!("../DEVIATIONS.md");

#[cfg(test)]
mod tests {
    use crate::baseline::Baseline;
    use crate::calibration::report::{Certainty, Fitted, Report};
    use crate::published::{Use, Value, rows};
    use crate::tolerance::Tolerance;
    use std::collections::BTreeSet;

    /// Rows that a deviation's last column names after `rows`.
    fn missed_rows(line: &str) -> impl Iterator<Item = String> {
        let column = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let named = column.split_once("rows ").map_or("", |(_, rows)| rows);
        named.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    /// A row that begins to hold, or one that no longer does, has to be told in `DEVIATIONS.md`.
    #[test]
    fn every_graded_row_is_held_or_a_deviation() {
        let deviations: BTreeSet<String> =
            super::DEVIATIONS.lines().filter(|line| line.starts_with("| D")).flat_map(missed_rows).collect();
        let held = Baseline::committed().unwrap().held;
        let graded = rows().unwrap().into_iter().filter(|row| {
            let word = matches!(row.value, Value::Word(_));
            row.usage != Use::Input && (word || row.tolerance != Tolerance::None)
        });
        let missed: BTreeSet<String> = graded.map(|row| row.id).filter(|id| !held.contains(id)).collect();
        let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| left.difference(right).cloned().collect::<Vec<_>>();
        assert_eq!(only(&missed, &deviations), [""; 0], "missed in the baseline, and no deviation names them");
        assert_eq!(only(&deviations, &missed), [""; 0], "named by a deviation, but they hold in the baseline");
    }

    /// A test's name in the list leads to a test; a gap without test and rows says why it has none.
    #[test]
    fn every_deviation_has_a_test_or_says_why_not() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for line in super::DEVIATIONS.lines().filter(|line| line.starts_with("| D")) {
            let column = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
            let named = column.split('`').filter_map(|word| word.split_once(".rs::"));
            let tests: Vec<(&str, &str)> = named.collect();
            let reason = column.strip_prefix("none: ").is_some_and(|reason| reason.len() > 20);
            assert!(!tests.is_empty() || column.contains("rows ") || reason, "{line}");
            for (file, test) in tests {
                let text = std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
                assert!(text.contains(&format!("fn {test}()")), "{file}.rs has no test {test}");
            }
        }
    }

    fn fitted(name: &str) -> Fitted {
        let groups = Report::committed().unwrap().groups;
        groups.into_iter().flat_map(|group| group.fitted).find(|fitted| fitted.name == name).unwrap()
    }

    #[test]
    fn d6_the_size_of_the_branch_history_is_at_its_bound_and_hardly_determined() {
        let history = fitted("machine.branch.history_entries");
        assert!(history.at_bound);
        assert_eq!(history.determined, Certainty::Hardly);
    }

    #[test]
    fn d7_no_row_determines_what_posting_and_dispatching_execute() {
        for count in ["post_instructions", "dispatch_instructions"] {
            assert_eq!(fitted(&format!("mechanism.exception_less.{count}")).determined, Certainty::Hardly, "{count}");
        }
    }

    #[test]
    fn d27_httperf_has_few_connections() {
        assert_eq!(crate::rows::httperf::MOST_CONNECTIONS, 128);
    }

    #[test]
    fn deviations_are_numbered_in_order() {
        let rows = super::DEVIATIONS.lines().filter(|line| line.starts_with("| D"));
        let numbers: Vec<usize> = rows.filter_map(|row| row[3..].split(' ').next()?.parse().ok()).collect();
        assert!(!numbers.is_empty());
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    }
}
