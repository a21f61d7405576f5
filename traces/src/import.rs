//! From an opened file of any format to a workload.

use crate::bundled;
use crate::distil::distil;
use crate::error::TraceError;
use crate::formats::{FORMATS, Format};
use crate::open::Opened;
use crate::strace::{self, Recording, distil::UserWork};
use crate::{ftrace, workload_file};
use sim_core::workload::{Certainty, Note, Workload};

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Name of the workload; the file's name without directories and endings when `None`.
    pub name: Option<String>,
    /// Use what was understood before damage.
    pub lenient: bool,
    /// Text of `/proc/PID/maps` for a capture.
    pub maps: Option<String>,
    /// See [`strace::distil::DistilOptions::tracer_cost_ns`].
    pub tracer_cost_ns: Option<u64>,
    /// See [`strace::distil::DistilOptions::clock_mhz`].
    pub clock_mhz: Option<u64>,
    /// See [`strace::distil::DistilOptions::instructions_per_cycle_milli`].
    pub instructions_per_cycle_milli: Option<u64>,
    /// See [`UserWork`].
    pub user_work: UserWork,
    /// Bundled workload that lends kernel work to a recording of calls; the most similar one when `None`.
    pub base: Option<String>,
}

/// Makes a workload of an opened file.
///
/// # Errors
/// A format that can't become a workload, damage (unless lenient), nothing usable in the file, an unknown base.
pub fn import(opened: &Opened, options: &ImportOptions) -> Result<Workload, TraceError> {
    let mut workload = match opened.format {
        Format::Capture => import_capture(opened, options)?,
        Format::Workload => workload_file::read(&opened.bytes, &opened.file)?,
        Format::Strace | Format::Ftrace => import_calls(opened, options)?,
        Format::Lackey => {
            let others: Vec<&str> = FORMATS.iter().filter(|entry| entry.imports).map(|entry| entry.name).collect();
            let problem = "a memory trace has no system calls, so it can't become a workload";
            let advice = format!("Use `ringscope replay`, or import one of: {}", others.join(", "));
            return Err(TraceError::content(&opened.file, problem, advice));
        }
    };
    if let Some(damage) = &opened.damage {
        workload.notes.push(Note { certainty: Certainty::Dropped, text: format!("what follows the damage: {damage}"), count: 1 });
    }
    Ok(workload)
}

/// Reads the calls of an strace or ftrace file.
///
/// # Errors
/// Damage with its line, unless lenient; no finished call; another format.
pub fn read_calls(opened: &Opened, lenient: bool) -> Result<Recording, TraceError> {
    match opened.format {
        Format::Ftrace => ftrace::read(&opened.bytes, &opened.file, lenient),
        _ => strace::read(&opened.bytes, &opened.file, lenient),
    }
}

fn import_capture(opened: &Opened, options: &ImportOptions) -> Result<Workload, TraceError> {
    let name = workload_name(opened, options);
    let mut own = bundled::library_options();
    own.name = &name;
    own.file = &opened.file;
    own.maps = options.maps.as_deref();
    own.lenient = options.lenient;
    let mut workload = distil(&opened.bytes, &own)?;
    workload.source.sha256.clone_from(&opened.sha256);
    Ok(workload)
}

fn import_calls(opened: &Opened, options: &ImportOptions) -> Result<Workload, TraceError> {
    let recording = read_calls(opened, options.lenient)?;
    let (calls, program) = strace::distil::kept_calls(&recording);
    let library = bundled::load_all(&bundled::needed(&calls, program, options.base.as_deref())?)?;
    let library: Vec<&Workload> = library.iter().collect();
    let mut own = strace::distil::DistilOptions::new(&workload_name(opened, options), &opened.file);
    own.sha256.clone_from(&opened.sha256);
    own.tracer_cost_ns = options.tracer_cost_ns;
    own.clock_mhz = options.clock_mhz.unwrap_or(own.clock_mhz);
    own.instructions_per_cycle_milli = options.instructions_per_cycle_milli.unwrap_or(own.instructions_per_cycle_milli);
    own.user_work = options.user_work;
    own.base.clone_from(&options.base);
    strace::distil::distil(&recording, &library, &own)
}

fn workload_name(opened: &Opened, options: &ImportOptions) -> String {
    let from_file = || {
        let file = opened.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.split('.').next().unwrap_or_default();
        if stem.is_empty() || stem == "-" { "imported".to_owned() } else { stem.to_owned() }
    };
    options.name.clone().unwrap_or_else(from_file)
}
