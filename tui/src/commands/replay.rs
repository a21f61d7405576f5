//! `ringscope replay`: a recording straight through the memory hierarchy.

use super::write_files;
use crate::args::{ExperimentOptions, ReplayArguments, Switch, canonical_command};
use crate::config::{Inputs, resolve};
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render};
use anyhow::{Result, bail};
use mechanisms::replay::{ReplayJob, ReplayOptions, ReplayReport, ReplayTiming, replay_capture, replay_lackey};
use sim_core::manifest::PartsHash;
use std::path::Path;
use std::time::Instant;
use traces::bundled;
use traces::capture::Capture;
use traces::formats::{FORMATS, Format};
use traces::open;

/// Replays and prints what was found; after an interruption what was found so far.
pub fn replay(options: &ReplayArguments, terminal: &Terminal) -> Result<()> {
    output::check_files(&options.output.output)?;
    let experiment = ExperimentOptions {
        machine: options.machine.clone(),
        shadow: options.shadow.clone(),
        seed: options.seed,
        set: options.set.clone(),
        config: options.config.clone(),
        ..ExperimentOptions::default()
    };
    let ledger = (options.ledger == Switch::Off).then_some(false);
    let configuration = resolve(&Inputs { experiment: &experiment, ledger, folder: Path::new(".") })?;
    let settings = &configuration.settings;
    let replay_options = ReplayOptions {
        ledger: settings.run.ledger,
        shadow: settings.run.shadow,
        seed: settings.run.seed,
        lenient: options.lenient,
    };
    let display = progress::display(terminal);
    let job = ReplayJob { progress: display.as_ref(), cancel: cancel::flag() };

    let (mut report, host_seconds, trace_hash) = match source(&options.file, options.lenient)? {
        Source::Capture(capture, trace_hash) => {
            let begun = Instant::now();
            (replay_capture(&capture, &settings.machine, &replay_options, &job)?, begun.elapsed(), trace_hash)
        }
        Source::Lackey(stream) => {
            let begun = Instant::now();
            let report = replay_lackey(stream.reader, &stream.file, &settings.machine, &replay_options, &job)?;
            (report, begun.elapsed(), String::new())
        }
    };
    let file = options.file.display().to_string();
    let mut words = vec!["replay", file.as_str()];
    words.extend(ledger.map(|_| "--ledger=off"));
    words.extend(options.lenient.then_some("--lenient"));
    report.manifest.command = canonical_command(&words, &experiment, configuration.project_file.as_deref());
    report.manifest.trace_hash = trace_hash;
    report.manifest.config_hash = PartsHash::new().serialized("settings", settings)?.finish();
    if options.output.timing {
        add_timing(&mut report, host_seconds.as_secs_f64());
    }
    let json = report.to_json_pretty();
    write_files(&options.output.output, &json, &[render::flat(&report)])?;
    output::print(&if options.output.json { json } else { render::replay(&report, terminal) })?;
    cancel::check()
}

enum Source {
    Capture(Box<Capture>, String),
    Lackey(open::Stream),
}

/// A capture (also a bundled one by its workload's name) is read whole, a memory trace in pieces: it can be longer than memory.
fn source(file: &Path, lenient: bool) -> Result<Source> {
    let bundled = file.to_str().filter(|_| !file.exists()).and_then(|name| bundled::find(name).ok());
    if let Some(bundled) = bundled {
        let capture = Capture::read(bundled.capture)?;
        return Ok(Source::Capture(Box::new(capture), sim_core::manifest::content_hash(bundled.capture)));
    }
    if file.as_os_str() == "-" {
        return of_opened(open::open(file, lenient)?, lenient);
    }
    let stream = open::stream(file)?;
    match stream.format {
        Format::Lackey => Ok(Source::Lackey(stream)),
        _ => of_opened(open::open(file, lenient)?, lenient),
    }
}

fn of_opened(opened: open::Opened, lenient: bool) -> Result<Source> {
    match opened.format {
        Format::Capture if lenient => Ok(Source::Capture(Box::new(Capture::read_lenient(&opened.bytes)?.0), opened.sha256)),
        Format::Capture => Ok(Source::Capture(Box::new(Capture::read(&opened.bytes)?), opened.sha256)),
        Format::Lackey => {
            let stream =
                open::Stream { file: opened.file, format: opened.format, reader: Box::new(std::io::Cursor::new(opened.bytes)) };
            Ok(Source::Lackey(stream))
        }
        other => {
            let known: Vec<&str> = FORMATS.iter().filter(|entry| entry.replays).map(|entry| entry.name).collect();
            bail!(
                "{}: a file of format `{}` holds no memory references, so it can't be replayed\n  formats that can: {}; use `ringscope compare` for this one",
                opened.file,
                other.name(),
                known.join(", ")
            )
        }
    }
}

fn add_timing(report: &mut ReplayReport, host_seconds: f64) {
    let millions = report.instructions() as f64 / 1e6;
    let speed = millions / host_seconds.max(1e-9);
    report.timing = Some(ReplayTiming { host_seconds, instructions_per_second_millions: speed });
    output::remark(&format!("replayed {millions:.1} million instructions in {host_seconds:.2} s: {speed:.1} MIPS"));
}
