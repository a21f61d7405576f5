//! The script of a batched-script run: read from its file and checked before anything runs.

use super::place::{ConfigError, Place};
use mechanisms::settings::MechanismSettings;
use script::check::before_run;
use std::path::Path;

/// Reads the text of the script that the settings name.
///
/// # Errors
/// A file that can't be read; a syntax error, an unknown call or a wrong number of arguments, with its place.
pub fn read(settings: &mut MechanismSettings) -> Result<(), ConfigError> {
    let own = &mut settings.batched_script;
    if own.script.is_empty() {
        return Ok(());
    }
    if own.source.is_empty() {
        own.source = std::fs::read_to_string(Path::new(&own.script)).map_err(|error| ConfigError {
            problem: format!("{}: can't be read: {error}", own.script),
            place: None,
            label: String::new(),
            help: Some("--script takes a file with a Lua script; examples are in examples/scripts".into()),
        })?;
    }
    match before_run(&own.source, &own.script, own.limits()).into_iter().next() {
        Some(finding) => Err(at(&own.script, &own.source, &finding)),
        None => Ok(()),
    }
}

/// A finding of a script as an error with its source line.
pub fn at(name: &str, source: &str, finding: &script::check::Finding) -> ConfigError {
    let place = Place { file: name.into(), text: source.into(), span: finding.span.clone() };
    // the place is shown with its line: a message of Lua need not say it again
    let message = finding.message.strip_prefix(&format!("{name}:{}: ", finding.line)).unwrap_or(&finding.message);
    let mut error = ConfigError::at(place, message, "here");
    error.help = finding.help.clone();
    error
}
