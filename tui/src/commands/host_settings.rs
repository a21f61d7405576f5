//! Under which machine and kernel `validate host` predicts: those of a file that `calibrate` wrote with the kernel's part beside it, a
//! preset, those that an earlier run has kept, or, when nothing is given, the host itself, calibrated on the spot.

use super::calibrate;
use crate::args::ExperimentOptions;
use crate::output;
use crate::terminal::Terminal;
use anyhow::Result;
use cpu_model::Machine;
use host::effort::Effort;
use mechanisms::experiment::Settings;
use os_model::kernel::Kernel;
use std::path::Path;

/// Machine and kernel, and where they come from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// In words.
    pub origin: String,
    /// The machine.
    pub machine: Machine,
    /// The kernel.
    pub kernel: Kernel,
}

impl Described {
    /// Of a preset's name, or of a file with the kernel's part beside it when there is one.
    ///
    /// # Errors
    /// An unknown name, or a file that is no machine.
    pub fn named(name: &str) -> Result<Described> {
        let kernel =
            Some(calibrate::kernel_file(Path::new(name))).filter(|_| Path::new(name).is_file()).filter(|file| file.is_file());
        let origin = match &kernel {
            Some(file) => format!("{name}, with {}", file.display()),
            None => name.to_owned(),
        };
        let experiment = ExperimentOptions {
            machine: Some(name.to_owned()),
            config: kernel.into_iter().collect(),
            ..ExperimentOptions::default()
        };
        let Settings { machine, kernel, .. } = super::configuration(&experiment)?.settings;
        Ok(Described { origin, machine, kernel })
    }

    /// Of this host, measured briefly.
    ///
    /// # Errors
    /// As [`calibrate::described`].
    pub fn measured(terminal: &Terminal) -> Result<Described> {
        if !terminal.quiet {
            output::remark("no --machine: calibrating this host briefly; `ringscope calibrate -o host.ron` measures longer");
        }
        let (host, _) = calibrate::described(Effort::QUICK, 1, terminal)?;
        let origin = "this host, calibrated briefly just before".to_owned();
        let kernel = host.described_kernel()?;
        Ok(Described { origin, machine: host.machine, kernel })
    }

    /// All other settings as they are by default.
    ///
    /// # Errors
    /// None as long as the defaults can be used.
    pub fn settings(&self) -> Result<Settings> {
        let defaults = super::configuration(&ExperimentOptions::default())?.settings;
        Ok(Settings { machine: self.machine.clone(), kernel: self.kernel.clone(), ..defaults })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use os_model::kernel::Mitigations;

    #[test]
    fn the_kernels_part_beside_a_machine_is_read_and_need_not_be_there() {
        let folder = std::env::temp_dir().join(format!("ringscope-host-settings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("host.ron");
        std::fs::write(&file, Machine::preset_text("zen4").unwrap()).unwrap();
        let name = file.display().to_string();
        let alone = Described::named(&name).unwrap();
        std::fs::write(folder.join("host.kernel.ron"), "(kernel: (preset: \"linux-6.1\", mitigations: default))").unwrap();
        let with_kernel = Described::named(&name).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((alone.machine.name.as_str(), alone.origin.as_str()), ("zen4", name.as_str()));
        assert_eq!([alone.kernel.mitigations, with_kernel.kernel.mitigations], [Mitigations::Off, Mitigations::Default]);
        assert!(with_kernel.origin.contains("host.kernel.ron"));
        assert_eq!(with_kernel.settings().unwrap().kernel, with_kernel.kernel);
    }

    #[test]
    fn a_preset_has_no_file_beside_it_and_an_unknown_name_is_refused() {
        assert_eq!(Described::named("nehalem").unwrap().origin, "nehalem");
        assert!(Described::named("nehalim").unwrap_err().to_string().contains("nehal"));
    }
}
