//! A file that goes with its owner.

use crate::error::HostError;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file with a name of its own.
#[derive(Debug)]
pub struct TemporaryFile {
    file: File,
    path: PathBuf,
}

impl TemporaryFile {
    /// Makes a file with this content.
    ///
    /// # Errors
    /// The folder takes no file.
    pub fn of(folder: &Path, content: &[u8]) -> Result<TemporaryFile, HostError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("ringscope-host-{}-{number}", std::process::id()));
        let refused =
            |path: &Path| HostError::system(format!("{}: making a file", path.display()), "set TMPDIR to a folder with free space");
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(refused(&path))?;
        let mut made = TemporaryFile { file, path };
        made.file.write_all(content).map_err(refused(&made.path))?;
        Ok(made)
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // A file that somebody else has removed is gone as well.
        std::fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_as_long_as_its_owner() {
        let file = TemporaryFile::of(&std::env::temp_dir(), b"abc").unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        drop(file);
        assert!(!path.exists());
        let error = TemporaryFile::of(Path::new("no such folder"), b"").unwrap_err().to_string();
        assert!(error.contains("no such folder") && error.contains("TMPDIR"), "{error}");
    }
}
