//! The formats that can be read. A new one is a file with its reader and one line in [`FORMATS`].

use crate::{ftrace, lackey, strace, workload_file};
use serde::{Deserialize, Serialize};

/// A format of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Full-system capture.
    Capture,
    /// A workload written by this program.
    Workload,
    /// Memory trace of valgrind's lackey.
    Lackey,
    /// System calls as strace prints them.
    Strace,
    /// System calls as the kernel's ftrace prints them.
    Ftrace,
}

/// What the program knows of a format.
#[derive(Clone, Copy)]
pub struct FormatEntry {
    /// Which format.
    pub format: Format,
    /// Name for messages and reports.
    pub name: &'static str,
    /// What it is and how to record it, for people.
    pub description: &'static str,
    /// Recognises the format by the first bytes.
    pub sniff: fn(&[u8]) -> bool,
    /// True when the format can be turned into a workload.
    pub imports: bool,
    /// True when the format can go straight through the memory hierarchy.
    pub replays: bool,
}

/// All formats, in the order in which they are tried: magic bytes first, then text from strict to free.
#[rustfmt::skip]
pub static FORMATS: [FormatEntry; 5] = [
    FormatEntry { format: Format::Capture, name: "capture", description: "full-system capture (SYSTRACE)", sniff: |bytes| bytes.starts_with(b"SYSTRACE"), imports: true, replays: true },
    FormatEntry { format: Format::Workload, name: "workload", description: "workload written by `ringscope import -o`", sniff: workload_file::sniff, imports: true, replays: false },
    FormatEntry { format: Format::Lackey, name: "lackey", description: "valgrind --tool=lackey --trace-mem=yes --log-file=FILE PROGRAM", sniff: lackey::sniff, imports: false, replays: true },
    FormatEntry { format: Format::Ftrace, name: "ftrace", description: "kernel ftrace text with sys_enter and sys_exit events", sniff: ftrace::sniff, imports: true, replays: false },
    FormatEntry { format: Format::Strace, name: "strace", description: "strace -f -ttt -T -yy -o FILE PROGRAM", sniff: strace::sniff, imports: true, replays: false },
];

impl Format {
    /// What the program knows of this format.
    pub fn entry(self) -> &'static FormatEntry {
        FORMATS.iter().find(|entry| entry.format == self).unwrap_or(&FORMATS[0])
    }

    /// Name for messages and reports.
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}

/// Recognises a format by the first bytes of the decompressed file.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    FORMATS.iter().find(|entry| (entry.sniff)(bytes)).map(|entry| entry.format)
}

/// All names with how to make a file of the format, for messages.
pub fn names() -> String {
    FORMATS.iter().map(|entry| format!("{} ({})", entry.name, entry.description)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_entry() {
        for format in [Format::Capture, Format::Workload, Format::Lackey, Format::Strace, Format::Ftrace] {
            assert_eq!(FORMATS.iter().filter(|entry| entry.format == format).count(), 1);
            assert_eq!(format.entry().format, format);
        }
    }

    #[test]
    fn content_decides() {
        assert_eq!(sniff(b"SYSTRACE\x02\0\0\0"), Some(Format::Capture));
        assert_eq!(sniff(b"==12== Lackey\n==12==\nI  04001000,3\n"), Some(Format::Lackey));
        assert_eq!(sniff(b" M 1ffefffe50,8\n"), Some(Format::Lackey));
        assert_eq!(sniff(b"12 1795239049.5 read(3, \"\", 10) = 0 <0.1>\n"), Some(Format::Strace));
        assert_eq!(
            sniff(b"# tracer: nop\n#\n nginx-1 [000] ..... 1.5: sys_enter: NR 1 (6, 0, 0, 0, 0, 0)\n"),
            Some(Format::Ftrace)
        );
        assert_eq!(sniff(b"printf(\"hello\")\n"), None);
    }
}
