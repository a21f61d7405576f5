//! `ringscope diff`: what differs between two sets of results, beyond the intervals.

use super::{Written, write_forms};
use crate::args::DiffArguments;
use crate::exit::Finding;
use crate::output::{self, FileFormat};
use crate::render::diff as render;
use crate::results::diff::{diff as compare, rows};
use crate::results::{Reading, read_files};
use crate::terminal::Terminal;
use anyhow::Result;

/// Compares two files and prints what differs. A difference that counts is a finding.
pub fn diff(options: &DiffArguments, terminal: &Terminal) -> Result<()> {
    output::check_formats(&options.output, FileFormat::DIFFERENCES)?;
    let reading = Reading { lenient: options.lenient };
    let before = read_files(&[&options.before], reading)?;
    let after = read_files(&[&options.after], reading)?;
    let diff = compare(&before, &after, options.tolerance)?;
    let json = diff.to_json()?;
    let page = || Ok(render::page(&diff));
    write_forms(&options.output, &Written { json: &json, rows: &rows(&diff), page: Some(&page) })?;
    if options.json { output::print(&json) } else { output::print(&render::text(&diff, terminal)) }?;
    if diff.counted() > 0 { Err(Finding(render::verdict_line(&diff)).into()) } else { Ok(()) }
}
