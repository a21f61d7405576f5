//! `ringscope report`: results of sweeps, comparisons and runs as a table, a page with plots, CSV, JSON or Parquet.

use super::{Written, write_forms};
use crate::args::ReportArguments;
use crate::output::{self, FileFormat};
use crate::render::results as render;
use crate::results::{self, Reading, View, ViewOptions};
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use std::path::Path;

/// Reads results and shows them.
pub fn report(options: &ReportArguments, terminal: &Terminal) -> Result<()> {
    output::check_formats(&options.output, FileFormat::REPORTS)?;
    let results = results::read_files(&options.files, Reading { lenient: options.lenient })?;
    let view = View::new(&results, &ViewOptions { x: options.x.clone(), at: options.at.clone() })?;
    let page = options.output.iter().any(|file| matches!(output::format_of(file), Ok(FileFormat::Html)));
    let drawn = match page || options.plots.is_some() {
        true => Some(render::drawn(&results, &view, options.cell)?),
        false => None,
    };
    if let (Some(folder), Some((_, plots))) = (&options.plots, &drawn) {
        write_plots(folder, plots)?;
    }
    let json = results.to_json()?;
    let page = || Ok(drawn.as_ref().map(|drawn| drawn.0.clone()).unwrap_or_default());
    write_forms(&options.output, &Written { json: &json, rows: &results::columns::rows(&results), page: Some(&page) })?;
    if options.json {
        output::print(&json)
    } else if options.output.is_empty() && options.plots.is_none() {
        output::print(&render::text(&results, terminal))
    } else {
        if !terminal.quiet {
            let files = options.files.len();
            let noun = if files == 1 { "file" } else { "files" };
            output::remark(&format!("{} points of {files} {noun}", results.points.len()));
        }
        Ok(())
    }
}

fn write_plots(folder: &Path, plots: &[render::Plot]) -> Result<()> {
    let context = || format!("{}: the folder can't be made; check its parent and the rights", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    plots.iter().try_for_each(|plot| output::write_file(&folder.join(format!("{}.svg", plot.name)), plot.svg.as_bytes()))
}
