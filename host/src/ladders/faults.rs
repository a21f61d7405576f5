//! Page faults that need no disk: a fresh anonymous page, and a page of a file that is in the page cache.

use super::Bench;
use crate::error::HostError;
use crate::memory::{Pages, Region, SMALL_PAGE_BYTES};
pub use crate::names::faults::{ANONYMOUS, FILE};
use crate::series::{Label, Series};
use crate::temporary::TemporaryFile;

/// Pages of one short run.
const PAGES: usize = 512;
/// The kernel maps this much of a file around a fault by default (`fault_around_bytes`).
const FAULT_AROUND_BYTES: usize = 64 << 10;

/// Measures both.
///
/// # Errors
/// No memory, no file, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let label = |name| Label { name, axis: "", unit: "cycles" };
    let fresh = || Region::new(PAGES * SMALL_PAGE_BYTES, Pages::Small);
    let anonymous = bench.series(label(ANONYMOUS), &[0], |_, _| bench.quietest_of(PAGES as u64, fresh, Region::touch))?;
    let bytes = PAGES * SMALL_PAGE_BYTES;
    let file = TemporaryFile::of(bench.folder, &vec![0; bytes])?;
    let faults = bytes / FAULT_AROUND_BYTES;
    let mapped = || Region::of_file(file.file(), bytes);
    let file = bench.series(label(FILE), &[0], |_, _| {
        bench.quietest_of(faults as u64, mapped, |region| region.read_each(FAULT_AROUND_BYTES))
    })?;
    Ok(vec![anonymous, file])
}
