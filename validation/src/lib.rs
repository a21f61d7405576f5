//! Predicted beside published and measured results. The list of known deviations is `DEVIATIONS.md` of this crate.

pub mod ablation;
pub mod baseline;
pub mod calibration;
pub mod conditions;
pub mod figures;
pub mod lab;
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
    #[test]
    fn deviations_are_numbered_in_order() {
        let rows = super::DEVIATIONS.lines().filter(|line| line.starts_with("| D"));
        let numbers: Vec<usize> = rows.filter_map(|row| row[3..].split(' ').next()?.parse().ok()).collect();
        assert!(!numbers.is_empty());
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    }
}
