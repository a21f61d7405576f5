//! `ringscope tui`: the full-screen view.

use crate::args::ScreenArguments;
use crate::exit::Signalled;
use crate::screen::{self, Ended, Scenario, Theme};
use crate::terminal::Terminal;
use anyhow::{Result, bail};
use mechanisms::registry::Mechanism;
use std::io::{IsTerminal, stdout};

const WORKLOAD: &str = "memcached";

/// Shows the view.
pub fn tui(options: &ScreenArguments, terminal: &Terminal) -> Result<()> {
    if !stdout().is_terminal() {
        bail!("the full-screen view needs a terminal as standard output\n  `ringscope compare` prints the same answers");
    }
    let scenario = Scenario { workload: WORKLOAD.into(), experiment: options.experiment.clone(), focus: Mechanism::ExceptionLess };
    let mut scenario = options.experiment.config.iter().try_fold(scenario, |scenario, file| scenario.with_entry(file))?;
    if let Some(workload) = &options.workload {
        scenario.workload.clone_from(workload);
    }
    if let Some(name) = &options.mechanism {
        scenario.focus = super::way(name)?.mechanism;
    }
    let theme = Theme { no_color: !terminal.color, ..Theme::new(options.theme, options.ascii || !is_utf8()) };
    match screen::run(scenario, theme, options.threads)? {
        Ended::ByUser => Ok(()),
        Ended::BySignal(signal) => Err(Signalled(signal).into()),
    }
}

/// Whether the locale says that the terminal shows UTF-8; the first of these variables that is set decides.
fn is_utf8() -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let value = names.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    value.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}
