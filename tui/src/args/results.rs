//! Options of `report` and `diff`.

use crate::render::results::Cell;
use clap::Args;
use std::path::PathBuf;

/// `ringscope report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Results: a sweep's JSON lines, or what `compare --json` or `run --json` have printed; several are put together
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the results to a file: .html, .csv, .json or .parquet (may be repeated)
    #[arg(short, long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Write each plot as an SVG file into this folder, which is made if it is missing
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// Axis that lies horizontally in plots [default: the load, or the longest axis of numbers]
    #[arg(long, value_name = "AXIS")]
    pub x: Option<String>,
    /// Value of that axis at which cycles, evictors and core use are shown [default: the highest]
    #[arg(long, value_name = "VALUE")]
    pub at: Option<String>,
    /// What the map of evictors shows
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Cell::Cycles)]
    pub cell: Cell,
    /// Use what is complete of a damaged file, instead of failing
    #[arg(long)]
    pub lenient: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `ringscope diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// Results before: a sweep's JSON lines, or what `compare --json` or `run --json` have printed
    pub before: PathBuf,
    /// Results after
    pub after: PathBuf,
    /// Count a metric without an interval as different when it changes by more than this, such as 2%
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub tolerance: Option<f64>,
    /// Also write the differences to a file: .json, .csv or .html (may be repeated)
    #[arg(short, long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Use what is complete of a damaged file, instead of failing
    #[arg(long)]
    pub lenient: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A share from a percentage: `2%` or `2`.
fn percentage(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.map(|value| value / 100.0).ok_or_else(|| "not a percentage; write a number such as 2%".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        assert_eq!((percentage("2%"), percentage("0.5 %"), percentage("3")), (Ok(0.02), Ok(0.005), Ok(0.03)));
        assert!(["", "%", "two", "-1", "inf"].iter().all(|text| percentage(text).is_err()));
    }
}
