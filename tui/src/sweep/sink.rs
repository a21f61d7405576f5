//! Where the records of a running sweep go: the result file, or memory when none was named.

use super::lines::{self, Entry};
use super::store::Store;
use crate::output;
use anyhow::Result;
use sim_core::sweep::{Header, Record, line};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes records from all threads.
#[derive(Debug)]
pub struct Sink {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kept: Kept,
    error: Option<anyhow::Error>,
}

#[derive(Debug)]
enum Kept {
    File(Store),
    /// Lines with their index.
    Memory {
        header: String,
        lines: Vec<(u64, String)>,
    },
}

impl Sink {
    /// Records go to a file.
    pub fn file(store: Store) -> Sink {
        Sink { state: Mutex::new(State { kept: Kept::File(store), error: None }) }
    }

    /// Records stay in memory.
    pub fn memory(header: &Header) -> Sink {
        Sink { state: Mutex::new(State { kept: Kept::Memory { header: line(header), lines: Vec::new() }, error: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record. False when it can't be kept: then the sweep has to stop.
    pub fn keep(&self, record: &Record) -> bool {
        let text = line(record);
        let mut state = self.state();
        if state.error.is_some() {
            return false;
        }
        let kept = match &mut state.kept {
            Kept::File(store) => store.append(&text),
            Kept::Memory { lines, .. } => {
                lines.push((record.index, text));
                Ok(())
            }
        };
        state.error = kept.err();
        state.error.is_none()
    }

    /// Ends the sweep: puts the lines in order when all points are there, and says what was kept.
    ///
    /// # Errors
    /// A record could not be kept, or the file can't be put in order.
    pub fn finish(self, points: usize) -> Result<Outcome> {
        let State { kept, error } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        match kept {
            Kept::File(mut store) => {
                let entries = latest(store.contents()?.entries);
                if entries.len() == points {
                    store.put_in_order()?;
                }
                Ok(Outcome { entries, text: None })
            }
            Kept::Memory { header, mut lines } => {
                lines.sort_by_key(|line| line.0);
                let text = header + &lines.into_iter().map(|line| line.1).collect::<String>();
                let contents = lines::read(Path::new("results"), text.as_bytes())?;
                let entries = contents.map_or_else(Vec::new, |contents| latest(contents.entries));
                Ok(Outcome { entries, text: Some(text) })
            }
        }
    }
}

fn latest(entries: Vec<Entry>) -> Vec<Entry> {
    lines::latest(&entries).into_iter().cloned().collect()
}

/// What a sweep has kept.
#[derive(Debug)]
pub struct Outcome {
    /// The last record of each point, by index.
    pub entries: Vec<Entry>,
    /// The lines, when they are in no file.
    text: Option<String>,
}

impl Outcome {
    /// Prints the lines.
    ///
    /// # Errors
    /// The file can't be read or standard output can't be written.
    pub fn print_lines(&self, file: Option<&Path>) -> Result<()> {
        match (&self.text, file) {
            (Some(text), _) => output::print(text),
            (None, Some(file)) => {
                let mut stdout = std::io::stdout().lock();
                std::io::copy(&mut std::fs::File::open(file)?, &mut stdout)?;
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }
}
