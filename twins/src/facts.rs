//! What twins need of the host.

use crate::error::TwinError;
use std::path::PathBuf;

/// A folder on a disk file system for the file that is read: tmpfs hands reads of io_uring to worker threads.
///
/// # Errors
/// When all that can be written lie in memory.
pub fn disk_folder() -> Result<PathBuf, TwinError> {
    let candidates = [std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from(".")];
    let on_disk = |folder: &PathBuf| {
        nix::sys::statfs::statfs(folder).is_ok_and(|found| {
            let kind = found.filesystem_type();
            kind != nix::sys::statfs::TMPFS_MAGIC && kind != nix::sys::statfs::OVERLAYFS_SUPER_MAGIC
        })
    };
    candidates.into_iter().find(on_disk).ok_or_else(|| {
        TwinError::Lacking(
            "the temporary folders lie in memory or on an overlay; set TMPDIR to a folder on a disk file system".into(),
        )
    })
}
