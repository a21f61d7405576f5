//! `ringscope calibrate`: measures this host and describes it for the model.

use crate::args::CalibrateArguments;
use crate::render::calibration as render;
use crate::terminal::Terminal;
use crate::{cancel, output, progress};
use anyhow::{Context, Result, bail};
use host::effort::Effort;
use host::error::HostError;
use host::measurements::Measurements;
use host::{Request, measure};
use serde_json::json;
use sim_core::seed::SeedTree;
use std::path::{Path, PathBuf};
use validation::host_machine::{HostMachine, describe, kernel_ron, machine_ron, model_null_call};

/// Everything that a calibration writes.
struct Files {
    machine: PathBuf,
    kernel: PathBuf,
    series: PathBuf,
}

/// Measures the host.
pub fn calibrate(options: &CalibrateArguments, terminal: &Terminal) -> Result<()> {
    let files = options.output.as_deref().map(files).transpose()?;
    let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    let (host, measurements) = described(effort, options.seed, terminal)?;
    let document = document(&host, &measurements)?;
    if let Some(files) = &files {
        write(files, &host, &measurements, &document)?;
    }
    if options.json {
        return output::print(&document);
    }
    output::print(&render::text(&host, &measurements, terminal))?;
    if let (Some(files), false) = (&files, terminal.quiet) {
        output::remark(&format!(
            "use it: ringscope compare memcached --machine {} --config {}; raw series in {}",
            files.machine.display(),
            files.kernel.display(),
            files.series.display()
        ));
    }
    Ok(())
}

/// This host, measured and described.
///
/// # Errors
/// A host that cannot be measured, measurements that make no machine, or an interruption.
pub fn described(effort: Effort, seed: u64, terminal: &Terminal) -> Result<(HostMachine, Measurements)> {
    let display = progress::display(terminal);
    let request = Request {
        effort,
        seeds: SeedTree::new(seed),
        folder: std::env::temp_dir(),
        progress: display.as_ref(),
        cancel: cancel::flag(),
    };
    let measurements = match measure(&request) {
        Ok(measurements) => measurements,
        Err(HostError::Cancelled) => return Err(cancel::Interrupted.into()),
        Err(error) => return Err(error.into()),
    };
    let host = describe(&measurements, &model_null_call)?;
    Ok((host, measurements))
}

/// The file with the kernel's part that is written beside a machine's.
pub fn kernel_file(machine: &Path) -> PathBuf {
    machine.with_extension("kernel.ron")
}

/// Names of the files, after a look at whether they can be written: nobody measures for a minute to hear that.
fn files(machine: &Path) -> Result<Files> {
    if machine.extension().is_none_or(|ending| ending != "ron") {
        bail!("{}: a machine description is written as .ron; use -o host.ron", machine.display());
    }
    output::check_folders(&[machine])?;
    if machine.is_dir() {
        bail!("{}: is a folder; give the name of a file", machine.display());
    }
    let files = Files { machine: machine.to_owned(), kernel: kernel_file(machine), series: machine.with_extension("json") };
    let probe = machine.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&probe, "")
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("{}: can't be written; check the folder, its rights and the free space", machine.display()))?;
    Ok(files)
}

fn write(files: &Files, host: &HostMachine, measurements: &Measurements, document: &str) -> Result<()> {
    output::write_file(&files.machine, machine_ron(host, measurements).as_bytes())?;
    output::write_file(&files.kernel, kernel_ron(host, measurements).as_bytes())?;
    output::write_file(&files.series, document.as_bytes())
}

fn document(host: &HostMachine, measurements: &Measurements) -> Result<String> {
    let document = json!({
        "schema": measurements.schema,
        "base": host.base,
        "machine": host.machine,
        "parameters": host.parameters,
        "kernel": host.kernel,
        "findings": host.findings,
        "measurements": measurements,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ExperimentOptions;
    use crate::config::{Inputs, resolve};
    use cpu_model::Machine;
    use host::made_up::MadeUp;
    use os_model::kernel::Mitigations;

    /// A folder that goes with its owner.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("ringscope-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn what_is_written_is_accepted_as_machine_and_configuration() {
        let folder = Folder::new("calibrated");
        let measurements = MadeUp { virtual_machine: true, ..MadeUp::default() }.measurements();
        let host = describe(&measurements, &|_: &Machine, _| Ok(300.0)).unwrap();
        let files = files(&folder.0.join("host.ron")).unwrap();
        write(&files, &host, &measurements, &document(&host, &measurements).unwrap()).unwrap();
        let options = ExperimentOptions {
            machine: Some(files.machine.display().to_string()),
            config: vec![files.kernel.clone()],
            ..ExperimentOptions::default()
        };
        let settings = resolve(&Inputs { experiment: &options, ledger: None, folder: &folder.0 }).unwrap().settings;
        assert_eq!(settings.machine, host.machine);
        assert_eq!((settings.kernel.mitigations, settings.kernel.scheduler.tick_hz), (Mitigations::Default, 250));
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&files.series).unwrap()).unwrap();
        let series = serde_json::from_value::<Measurements>(document["measurements"].clone()).unwrap();
        assert_eq!(series.series.len(), measurements.series.len());
        assert_eq!(document["machine"]["name"], "host");
    }

    #[test]
    fn names_follow_from_the_machine_and_are_tried_first() {
        let folder = std::env::temp_dir();
        let names = files(&folder.join("ringscope-calibrate-test.ron")).unwrap();
        assert_eq!(names.kernel, folder.join("ringscope-calibrate-test.kernel.ron"));
        assert_eq!(names.series, folder.join("ringscope-calibrate-test.json"));
        assert!(!names.machine.exists(), "nothing is left behind");
    }

    #[test]
    fn names_that_cannot_be_written_are_refused() {
        let refused = |name: &str| files(Path::new(name)).map(drop).unwrap_err().to_string();
        assert!(refused("host.json").contains("use -o host.ron"));
        assert!(refused("no such folder/host.ron").contains("does not exist"));
        let folder = Folder::new("folder");
        std::fs::create_dir(folder.0.join("host.ron")).unwrap();
        let said = refused(&folder.0.join("host.ron").display().to_string());
        assert!(said.contains("is a folder"), "{said}");
    }
}
