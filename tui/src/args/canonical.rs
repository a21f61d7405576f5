//! The canonical command of an experiment: what has to be typed to get the same numbers, without threads, output and verbosity.

use super::ExperimentOptions;
use clap::ValueEnum;
use std::path::Path;

/// The command as a shell takes it. `project_file` is the configuration file of the current folder, if one was read.
pub fn canonical_command(words: &[&str], experiment: &ExperimentOptions, project_file: Option<&Path>) -> String {
    let mut command = vec!["ringscope".to_owned()];
    command.extend(words.iter().map(|word| quoted(word)));
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command.push(name.to_owned());
            command.push(quoted(&value));
        }
    };
    option("--machine", experiment.machine.clone());
    option("--kernel", experiment.kernel.clone());
    option("--cores", experiment.cores.map(|value| value.to_string()));
    option("--connections", experiment.connections.map(|value| value.to_string()));
    option("--rate", experiment.rate.map(|value| value.to_string()));
    option("--requests-per-connection", experiment.requests_per_connection.map(|value| value.to_string()));
    option("--client", experiment.client.and_then(|value| value.to_possible_value()).map(|value| value.get_name().to_owned()));
    option("--batch", experiment.batch.map(|value| value.to_string()));
    option("--service", experiment.service.as_ref().map(|path| path.display().to_string()));
    option("--script", experiment.script.as_ref().map(|path| path.display().to_string()));
    option("--seed", experiment.seed.map(|value| value.to_string()));
    option("--reps", experiment.reps.map(|value| value.to_string()));
    option("--requests", experiment.requests.map(|value| value.to_string()));
    for file in project_file.into_iter().chain(experiment.config.iter().map(|path| path.as_path())) {
        option("--config", Some(file.display().to_string()));
    }
    for assignment in &experiment.set {
        option("--set", Some(assignment.clone()));
    }
    if let Some(shadow) = &experiment.shadow {
        command.push(format!("--shadow={shadow}"));
    }
    command.join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,+%@".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_one_order_and_are_quoted() {
        let experiment = ExperimentOptions {
            set: vec!["machine.crossing.*=0".into()],
            cores: Some(2),
            machine: Some("my machine.ron".into()),
            shadow: Some("1/8".into()),
            ..ExperimentOptions::default()
        };
        assert_eq!(
            canonical_command(&["compare", "memcached"], &experiment, Some(Path::new("ringscope.ron"))),
            "ringscope compare memcached --machine 'my machine.ron' --cores 2 --config ringscope.ron \
             --set 'machine.crossing.*=0' --shadow=1/8"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
