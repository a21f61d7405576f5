//! What can be wrong with a machine description or with what is asked of it.

/// A machine description, or a request on one, that can't be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// No preset has the name.
    #[error("no machine is called `{name}`; the nearest is `{nearest}`. Known machines: {known}")]
    UnknownPreset {
        /// As given.
        name: String,
        /// Known name with the smallest edit distance.
        nearest: String,
        /// All names, joined by commas.
        known: String,
    },
    /// The RON text can't be read.
    #[error("machine description, line {line}, column {column}: {message}")]
    Parse {
        /// Line from 1.
        line: usize,
        /// Column from 1.
        column: usize,
        /// What the RON reader says, with the valid names for an unknown field.
        message: String,
    },
    /// A field lies outside what the model can simulate.
    #[error("machine.{field} = {value}: {expected}")]
    Field {
        /// Path of the field, as `--set machine.` takes it.
        field: &'static str,
        /// Value found.
        value: String,
        /// What would be valid.
        expected: String,
    },
    /// A number of cores that the machine does not have.
    #[error("{asked} cores asked for, but `{machine}` has 1 to {most}; ask for fewer or raise machine.cores_max (at most 64)")]
    Cores {
        /// Name of the machine.
        machine: String,
        /// Cores asked for.
        asked: usize,
        /// Cores possible.
        most: usize,
    },
    /// A sampled shadow that this machine's caches can't be sampled for.
    #[error(
        "a shadow of one set in {asked} is not possible on `{machine}`: use a power of two from 2 to {most}, or the full shadow"
    )]
    Sampling {
        /// Name of the machine.
        machine: String,
        /// Sampling asked for.
        asked: u32,
        /// Largest possible.
        most: u32,
    },
    /// The program's base CPI is impossible on the machine.
    #[error(
        "a user base CPI of {asked} thousandths is not possible on `{machine}`: it must lie between {least} (1 / width) and 100000"
    )]
    BaseCpi {
        /// Name of the machine.
        machine: String,
        /// As asked for.
        asked: u32,
        /// Thousandths of 1 / width, rounded up.
        least: u32,
    },
}

impl MachineError {
    pub(crate) fn unknown_preset(name: &str, known: &[&str]) -> MachineError {
        let nearest = known.iter().min_by_key(|candidate| edit_distance(name, candidate)).copied().unwrap_or_default();
        MachineError::UnknownPreset { name: name.into(), nearest: nearest.into(), known: known.join(", ") }
    }

    pub(crate) fn parse(error: &ron::error::SpannedError) -> MachineError {
        let at = error.span.start;
        MachineError::Parse { line: at.line, column: at.col, message: error.code.to_string() }
    }
}

/// Levenshtein distance by characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, to) in right.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replace.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_changes() {
        assert_eq!(edit_distance("nehalem", "nehalem"), 0);
        assert_eq!(edit_distance("nehalm", "nehalem"), 1);
        assert_eq!(edit_distance("", "zen4"), 4);
        assert_eq!(edit_distance("zen3", "zen4"), 1);
    }

    #[test]
    fn unknown_preset_names_the_nearest() {
        let error = MachineError::unknown_preset("nehalme", &["zen4", "nehalem", "nehalem-atc11"]);
        assert!(error.to_string().contains("the nearest is `nehalem`"), "{error}");
    }
}
