//! Workloads by bundled name or from a file of any format.

use anyhow::{Result, bail};
use sim_core::nearest::nearest;
use sim_core::workload::Workload;
use std::path::Path;
use traces::import::{ImportOptions, import};
use traces::{named, open};

/// Loads a workload: a bundled name, or else a file. A file of the name of a bundled workload is reached as `./name`.
///
/// # Errors
/// Neither, with the nearest bundled name; a file that can't be read or holds no requests.
pub fn load(name: &str) -> Result<Workload> {
    if let Some(workload) = named::load(name) {
        return Ok(workload?);
    }
    let path = Path::new(name);
    if name != "-" && !path.exists() {
        let known: Vec<&str> = named::entries().iter().map(|entry| entry.name).collect();
        let near = nearest(name, known.iter().copied()).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!("no workload and no file is called `{name}`{near}\n  bundled workloads: {}", known.join(", "));
    }
    let opened = open::open(path, false)?;
    Ok(import(&opened, &ImportOptions::default())?)
}
