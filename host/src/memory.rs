//! Memory straight from the kernel, in pages of a chosen size.

use crate::error::HostError;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::fs::File;
use std::ptr::{NonNull, null_mut};

/// Bytes of a small page.
pub const SMALL_PAGE_BYTES: usize = 4096;
/// Bytes of a huge page.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

const NEXT: &str = "free some memory, or raise the limits of this process";

/// Page sizes that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// 4 KiB.
    Small,
    /// 2 MiB where the kernel gives them (`transparent_hugepage` at `always` or `madvise`), else 4 KiB.
    Huge,
}

/// A mapping that ends with its owner. Its words begin zero.
#[derive(Debug)]
pub struct Region {
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    /// First byte of the part that is used: at a huge page's boundary.
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a region is memory with one owner, as a `Vec` is; nothing of it belongs to a thread.
unsafe impl Send for Region {}

impl Region {
    /// Private memory, not touched yet.
    ///
    /// # Errors
    /// The kernel has no memory to give.
    pub fn new(bytes: usize, pages: Pages) -> Result<Region, HostError> {
        let bytes = bytes.max(1).next_multiple_of(SMALL_PAGE_BYTES);
        let mapping_bytes = bytes.next_multiple_of(HUGE_PAGE_BYTES) + HUGE_PAGE_BYTES;
        let refused = HostError::system(format!("mapping {mapping_bytes} bytes"), NEXT);
        // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that exists.
        let mapping = unsafe { mmap_anonymous(null_mut(), mapping_bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        let mapping = mapping.map_err(refused)?.cast::<u8>();
        // SAFETY: the kernel never maps the page at address 0 of its own choice.
        let mapping = unsafe { NonNull::new_unchecked(mapping) };
        let offset = mapping.as_ptr().align_offset(HUGE_PAGE_BYTES);
        // SAFETY: the mapping is one huge page longer than what is used of it, so the offset and the used bytes lie inside.
        let start = unsafe { mapping.add(offset) };
        let advice = if pages == Pages::Huge { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        // A kernel without huge pages refuses; the mapping is good without them, and `huge_bytes` tells.
        // SAFETY: the range is part of the mapping, and this advice changes page sizes only.
        unsafe { madvise(start.as_ptr().cast(), bytes.next_multiple_of(HUGE_PAGE_BYTES), advice) }.ok();
        Ok(Region { mapping, mapping_bytes, start, bytes })
    }

    /// The first `bytes` of a file, for reading, shared with the page cache.
    ///
    /// # Errors
    /// The file can't be mapped.
    pub fn of_file(file: &File, bytes: usize) -> Result<Region, HostError> {
        let refused = HostError::system(format!("mapping {bytes} bytes of a file"), "use a file system whose files can be mapped");
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists. It is only read, and only by
        // `read_each`, which takes whatever it holds.
        let mapping = unsafe { mmap(null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, file, 0) }.map_err(refused)?;
        // SAFETY: the kernel never maps the page at address 0 of its own choice.
        let mapping = unsafe { NonNull::new_unchecked(mapping.cast::<u8>()) };
        Ok(Region { mapping, mapping_bytes: bytes, start: mapping, bytes })
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Address of the first byte.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Writes a word; `offset` in bytes is rounded down to a whole word.
    ///
    /// # Panics
    /// The offset lies outside.
    #[inline]
    pub fn write(&mut self, offset: usize, word: usize) {
        let offset = offset & !7;
        assert!(offset + 8 <= self.bytes, "offset {offset} of {} bytes", self.bytes);
        // SAFETY: inside the region, as just checked, which is mapped for writing (regions of files are never handed out mutably) and
        // aligned, since the region begins at a page.
        unsafe { self.start.as_ptr().add(offset).cast::<usize>().write_volatile(word) };
    }

    /// Reads a byte every `step` bytes, whatever it holds.
    pub fn read_each(&self, step: usize) {
        for offset in (0..self.bytes).step_by(step.max(1)) {
            // SAFETY: inside the region, which is mapped for reading; any byte is a valid u8. Nobody writes meanwhile: private memory has
            // one owner, and the files that are mapped are this process's own.
            unsafe { self.start.as_ptr().add(offset).read_volatile() };
        }
    }

    /// Writes a word in each small page, so that all pages are there.
    pub fn touch(&mut self) {
        for offset in (0..self.bytes).step_by(SMALL_PAGE_BYTES) {
            self.write(offset, 0);
        }
    }

    /// How much of this region lies in huge pages; nothing where the kernel does not say.
    pub fn huge_bytes(&self) -> Option<usize> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        huge_bytes_of(&maps, self.address())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by this region, and nothing borrowed from it outlives it. A failure leaves it mapped.
        unsafe { munmap(self.mapping.as_ptr().cast(), self.mapping_bytes) }.ok();
    }
}

/// `AnonHugePages` of the mapping that holds an address, from the text of `smaps`.
fn huge_bytes_of(maps: &str, address: usize) -> Option<usize> {
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let range =
            range.and_then(|(low, high)| Some((usize::from_str_radix(low, 16).ok()?, usize::from_str_radix(high, 16).ok()?)));
        match range {
            Some((low, high)) => inside = (low..high).contains(&address),
            None if inside => {
                if let Some(rest) = line.strip_prefix("AnonHugePages:") {
                    return Some(rest.trim().trim_end_matches("kB").trim().parse::<usize>().ok()? << 10);
                }
            }
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn regions_begin_at_a_huge_page_and_can_be_written_to_the_end() {
        for pages in [Pages::Small, Pages::Huge] {
            let mut region = Region::new(3 * SMALL_PAGE_BYTES - 1, pages).unwrap();
            assert_eq!(region.bytes(), 3 * SMALL_PAGE_BYTES);
            assert_eq!(region.address() % HUGE_PAGE_BYTES, 0);
            region.touch();
            region.write(region.bytes() - 8, 7);
            region.read_each(1);
        }
    }

    #[test]
    #[should_panic(expected = "offset 4096 of 4096 bytes")]
    fn a_write_outside_is_refused() {
        Region::new(1, Pages::Small).unwrap().write(4096, 1);
    }

    #[test]
    fn small_pages_are_not_huge() {
        let mut region = Region::new(4 * HUGE_PAGE_BYTES, Pages::Small).unwrap();
        region.touch();
        assert_eq!(region.huge_bytes(), Some(0));
    }

    #[test]
    fn the_mapping_around_the_address_counts() {
        let maps = "1000-3000 rw-p 0 0\nSize: 8 kB\nAnonHugePages:      2048 kB\n3000-9000 rw-p 0 0\nAnonHugePages:  4096 kB\n";
        assert_eq!(huge_bytes_of(maps, 0x2000), Some(2048 << 10));
        assert_eq!(huge_bytes_of(maps, 0x3000), Some(4096 << 10));
        assert_eq!(huge_bytes_of(maps, 0x9000), None);
    }

    #[test]
    fn a_file_can_be_read() {
        let path = std::env::temp_dir().join(format!("ringscope-memory-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&vec![1; 2 * SMALL_PAGE_BYTES]).unwrap();
        let region = Region::of_file(&file, 2 * SMALL_PAGE_BYTES).unwrap();
        region.read_each(64);
        assert_eq!(region.bytes(), 2 * SMALL_PAGE_BYTES);
    }
}
