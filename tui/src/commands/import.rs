//! `ringscope import`: a recording becomes a workload.

use crate::args::ImportArguments;
use crate::terminal::Terminal;
use crate::{output, render};
use anyhow::{Context, Result};
use traces::import::{ImportOptions, import as import_trace};
use traces::{open, workload_file};

/// Imports, says what was understood, and writes the workload file.
pub fn import(options: &ImportArguments, terminal: &Terminal) -> Result<()> {
    let opened = open::open(&options.file, options.lenient)?;
    let maps = options
        .maps
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("{}: can't be read", path.display())))
        .transpose()?;
    let import_options = ImportOptions {
        name: options.name.clone(),
        lenient: options.lenient,
        maps,
        base: options.base.clone(),
        ..ImportOptions::default()
    };
    let workload = import_trace(&opened, &import_options)?;
    if let Some(file) = &options.output {
        let name = file.display().to_string();
        output::write_file(file, &workload_file::write(&workload, &name)?)?;
        if !terminal.quiet {
            output::remark(&format!("wrote {name}; next: ringscope compare {name}"));
        }
    }
    output::print(&if options.json { render::workload_json(&workload)? } else { render::workload(&workload) })
}
