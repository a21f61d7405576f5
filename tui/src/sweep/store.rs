//! The result file of a sweep that runs: one writer at a time, a line a finished point, in order of the points at the end.

use super::lines::{self, Contents, Entry, latest};
use crate::output;
use anyhow::{Context, Result, anyhow, bail};
use sim_core::sweep::{Header, line};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A result file that this program may write, and nobody else.
#[derive(Debug)]
pub struct Store {
    file: File,
    path: PathBuf,
    /// Bytes that are known to be whole lines.
    length: u64,
}

/// What becomes of a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is refused.
    Refuse,
    /// It is gone on with, if it is of the same sweep.
    Resume {
        /// Also with another program or workload.
        force: bool,
    },
}

impl Store {
    /// Opens the file, begins it or reads what it holds.
    ///
    /// # Errors
    /// The file exists and is not to be gone on with, is of another sweep, is written by another program, or can't be written.
    pub fn open(path: &Path, header: &Header, existing: Existing) -> Result<(Store, Vec<Entry>)> {
        let file = lock(path)?;
        let mut store = Store { file, path: path.to_owned(), length: 0 };
        match (lines::read(path, BufReader::new(&store.file))?, existing) {
            (None, _) => {
                store.file.set_len(0).with_context(|| unwritable(path))?;
                store.append(&line(header))?;
                Ok((store, Vec::new()))
            }
            (Some(_), Existing::Refuse) => {
                bail!("{}: holds results already\n  add --resume to go on with them, or name another file with -o", path.display())
            }
            (Some(contents), Existing::Resume { force }) => {
                check_header(path, &contents.header, header, force)?;
                store.repair(&contents)?;
                Ok((store, contents.entries))
            }
        }
    }

    /// Cuts off what a killed program has left of its last line.
    fn repair(&mut self, contents: &Contents) -> Result<()> {
        self.length = contents.whole;
        if contents.cut_off {
            self.file.set_len(self.length).with_context(|| unwritable(&self.path))?;
            let path = self.path.display();
            output::remark(&format!("{path}: the last line was cut off; it is taken out, and its point is run again"));
        }
        Ok(())
    }

    /// Adds a line. When that fails, what was there before stays whole.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append(&mut self, line: &str) -> Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(line.as_bytes()));
        if written.is_err() {
            // should this fail too, the next --resume cuts the rest off
            self.file.set_len(self.length).ok();
        } else {
            self.length += line.len() as u64;
        }
        written.with_context(|| unwritable(&self.path))
    }

    /// What is in the file.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn contents(&mut self) -> Result<Contents> {
        self.file.rewind().with_context(|| unwritable(&self.path))?;
        let contents = lines::read(&self.path, BufReader::new(&self.file))?;
        contents.with_context(|| format!("{}: was emptied by another program", self.path.display()))
    }

    /// Puts the lines in the order of the points, so that the file does not say in which order they ended.
    ///
    /// # Errors
    /// The file can't be written; then it stays as it was.
    pub fn put_in_order(&mut self) -> Result<()> {
        let contents = self.contents()?;
        let ordered = latest(&contents.entries);
        if ordered.len() == contents.entries.len() && ordered.iter().zip(&contents.entries).all(|(one, other)| *one == other) {
            return Ok(());
        }
        let source = &mut self.file;
        let lines = ordered.into_iter().map(|entry| lines::line_at(source, entry));
        write_lines(&self.path, &line(&contents.header), lines)
    }
}

/// Writes a whole result file: to a neighbour first, so that a full disk leaves what was there.
///
/// # Errors
/// A line can't be read, or the file can't be written.
pub fn write_lines(path: &Path, header: &str, lines: impl Iterator<Item = std::io::Result<Vec<u8>>>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut writer = BufWriter::new(File::create(&part)?);
        writer.write_all(header.as_bytes())?;
        for line in lines {
            writer.write_all(&line?)?;
        }
        writer.into_inner()?.sync_all()?;
        std::fs::rename(&part, path)
    };
    let written = write();
    if written.is_err() {
        std::fs::remove_file(&part).ok();
    }
    written.with_context(|| unwritable(path))
}

/// What to say of a file that can't be written.
fn unwritable(path: &Path) -> String {
    format!("{}: can't be written; check the folder, its rights and the free space, then go on with --resume", path.display())
}

/// Opens and locks a file. A file that was replaced between the two is opened again.
fn lock(path: &Path) -> Result<File> {
    const ATTEMPTS: u32 = 10;
    for _ in 0..ATTEMPTS {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| unwritable(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another program is writing it\n  wait until that one has ended, or name another file with -o",
                path.display()
            ),
            // some network file systems have no locks: two sweeps on one file are then the user's to avoid
            Err(TryLockError::Error(error)) => {
                output::remark(&format!("{}: can't be locked ({error}); let no other sweep write it", path.display()));
            }
        }
        if is_at(&file, path) {
            return Ok(file);
        }
    }
    Err(anyhow!("{}: is replaced again and again by another program", path.display()))
}

/// True when the open file is still the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((&file.metadata(), &std::fs::metadata(path)), (Ok(open), Ok(named)) if identity(open) == identity(named))
}

/// Elsewhere an open file can't be replaced.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// Refuses to go on with another sweep, and, unless forced, with another program or workload.
fn check_header(path: &Path, found: &Header, own: &Header, force: bool) -> Result<()> {
    let file = path.display();
    if (&found.command, &found.axes, found.points) != (&own.command, &own.axes, own.points) {
        bail!(
            "{file}: holds another sweep\n  there: {}\n  here:  {}\n  go on with the first one's options, or name another file with -o",
            found.command,
            own.command
        );
    }
    if found.shard != own.shard {
        let name = |shard: &Option<String>| shard.as_ref().map_or("the whole sweep".to_owned(), |shard| format!("shard {shard}"));
        bail!("{file}: holds {}, not {}; name another file with -o", name(&found.shard), name(&own.shard));
    }
    let other = if found.program_hash != own.program_hash {
        format!("another build of the program (version {})", found.version)
    } else if found.workload_hash != own.workload_hash {
        format!("another content of the workload {}", found.workload)
    } else {
        return Ok(());
    };
    if force {
        output::remark(&format!("{file}: was begun with {other}; its results are kept as they are"));
        return Ok(());
    }
    bail!(
        "{file}: was begun with {other}: results would not be comparable\n  name another file with -o, or add --force to keep what is there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::made_up;

    fn header() -> Header {
        made_up::header(3)
    }

    fn record(index: u64) -> String {
        line(&made_up::record(index, true))
    }

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ringscope-store-{}-{name}.jsonl", std::process::id()));
        std::fs::remove_file(&path).ok();
        path
    }

    const RESUME: Existing = Existing::Resume { force: false };

    #[test]
    fn lines_come_into_order_and_later_ones_replace_earlier_ones() {
        let path = file("order");
        let (mut store, _) = Store::open(&path, &header(), Existing::Refuse).unwrap();
        for index in [2, 0, 1, 2] {
            store.append(&record(index)).unwrap();
        }
        store.put_in_order().unwrap();
        let expected = line(&header()) + &record(0) + &record(1) + &record(2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        drop(store);
        let (mut store, entries) = Store::open(&path, &header(), RESUME).unwrap();
        assert_eq!(entries.len(), 3);
        store.put_in_order().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_second_writer_is_refused() {
        let path = file("lock");
        let first = Store::open(&path, &header(), Existing::Refuse).unwrap();
        assert!(Store::open(&path, &header(), RESUME).unwrap_err().to_string().contains("another program is writing it"));
        drop(first);
        assert!(Store::open(&path, &header(), RESUME).is_ok());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_cut_line_is_taken_out_and_a_cut_header_begins_anew() {
        let path = file("cut");
        let text = line(&header()) + &record(0);
        for cut in [text.len() - 3, 20, 0] {
            std::fs::write(&path, &text[..cut]).unwrap();
            let (mut store, entries) = Store::open(&path, &header(), RESUME).unwrap();
            assert!(entries.is_empty());
            store.append(&record(1)).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), line(&header()) + &record(1));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn other_sweeps_programs_and_workloads_are_refused() {
        let path = file("other");
        drop(Store::open(&path, &header(), Existing::Refuse).unwrap());
        let refusal = |header: &Header, existing| Store::open(&path, header, existing).unwrap_err().to_string();
        assert!(refusal(&header(), Existing::Refuse).contains("holds results already"));
        assert!(refusal(&Header { points: 4, ..header() }, RESUME).contains("holds another sweep"));
        assert!(
            refusal(&Header { shard: Some("1/2".into()), ..header() }, RESUME).contains("holds the whole sweep, not shard 1/2")
        );
        for other in [Header { program_hash: "q".into(), ..header() }, Header { workload_hash: "q".into(), ..header() }] {
            assert!(refusal(&other, RESUME).contains("--force"));
            assert!(Store::open(&path, &other, Existing::Resume { force: true }).is_ok());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
