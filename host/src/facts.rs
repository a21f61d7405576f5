//! What the operating system says of the host: processor, kernel, mitigations, virtual or not. Text of `/proc` and `/sys` only, so that
//! reading it can be tested anywhere.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// A cache as the operating system reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedCache {
    /// 1, 2 or 3.
    pub level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub kind: String,
    /// Capacity.
    pub size_kib: u32,
    /// Lines per set; 0 when it is not said.
    pub ways: u32,
    /// Processors that share it.
    pub shared_by: u32,
}

/// Whether a weakness of the processor is dealt with, in the kernel's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weakness {
    /// Its name, as `spectre_v2`.
    pub name: String,
    /// `Not affected`, `Mitigation: …` or `Vulnerable…`.
    pub status: String,
}

/// The host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Day, as 2026-01-31 (UTC).
    pub date: String,
    /// Name of the processor.
    pub processor: String,
    /// `AuthenticAMD`, `GenuineIntel` …
    pub vendor: String,
    /// Family.
    pub family: u32,
    /// Model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Microcode, as the kernel prints it.
    pub microcode: String,
    /// A hypervisor runs below.
    pub virtual_machine: bool,
    /// The processor tags TLB entries with an address space.
    pub pcid: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Parameters that the kernel was booted with and that matter to a measurement.
    pub boot_parameters: Vec<String>,
    /// Weaknesses and mitigations, those that do not affect this processor left out.
    pub weaknesses: Vec<Weakness>,
    /// Caches of processor 0.
    pub caches: Vec<ReportedCache>,
    /// Processors online.
    pub processors: u32,
    /// Setting of transparent huge pages.
    pub huge_pages: String,
    /// What the kernel keeps time with.
    pub clock_source: String,
    /// Timer ticks a second; 0 when it is not known.
    pub tick_hz: u32,
    /// Running and waiting threads, mean of the last minute, before the measurement.
    pub load: f64,
}

/// Boot parameters that change what is measured.
const BOOT_PARAMETERS: [&str; 10] =
    ["mitigations", "nosmt", "isolcpus", "nohz_full", "idle", "spectre_v2", "spec_rstack_overflow", "retbleed", "pti", "nopti"];

impl Facts {
    /// Of the host; what it does not say stays empty.
    pub fn read() -> Facts {
        Facts::under(Path::new("/"), &today())
    }

    /// The same from files under another root.
    pub fn under(root: &Path, date: &str) -> Facts {
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default().trim().to_owned();
        let processor = text("proc/cpuinfo");
        let field = |name: &str| first_field(&processor, name).to_owned();
        let number = |name: &str| first_field(&processor, name).parse().unwrap_or(0);
        let flags = first_field(&processor, "flags");
        let has = |flag: &str| flags.split(' ').any(|word| word == flag);
        Facts {
            date: date.to_owned(),
            processor: field("model name"),
            vendor: field("vendor_id"),
            family: number("cpu family"),
            model: number("model"),
            stepping: number("stepping"),
            microcode: field("microcode"),
            virtual_machine: has("hypervisor"),
            pcid: has("pcid"),
            kernel: text("proc/sys/kernel/osrelease"),
            boot_parameters: boot_parameters(&text("proc/cmdline")),
            weaknesses: weaknesses(&root.join("sys/devices/system/cpu/vulnerabilities")),
            caches: caches(&root.join("sys/devices/system/cpu/cpu0/cache")),
            processors: count_of_list(&text("sys/devices/system/cpu/online")),
            huge_pages: chosen(&text("sys/kernel/mm/transparent_hugepage/enabled")),
            clock_source: text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            tick_hz: 0,
            load: text("proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// The reported cache of a level: the one for `kind`, or the unified one.
    pub fn cache(&self, level: u32, kind: &str) -> Option<&ReportedCache> {
        self.caches.iter().find(|cache| cache.level == level && (cache.kind == kind || cache.kind == "Unified"))
    }

    /// True when a weakness is mitigated and its status names one of these words.
    pub fn mitigates(&self, weakness: &str, words: &[&str]) -> bool {
        let found = self.weaknesses.iter().find(|other| other.name == weakness);
        found.is_some_and(|found| words.iter().any(|word| found.status.contains(word)))
    }

    /// Any mitigation is in force.
    pub fn any_mitigation(&self) -> bool {
        self.weaknesses.iter().any(|weakness| weakness.status.starts_with("Mitigation") || weakness.status.contains("Safe RET"))
    }

    /// The host in one line.
    pub fn line(&self) -> String {
        let place = if self.virtual_machine { "virtual machine" } else { "no hypervisor" };
        format!(
            "{} ({}, family {} model {} stepping {}, microcode {}, {place}), Linux {}, {} processors",
            self.processor, self.vendor, self.family, self.model, self.stepping, self.microcode, self.kernel, self.processors
        )
    }

    /// The mitigations in one line.
    pub fn mitigations_line(&self) -> String {
        let each: Vec<String> = self.weaknesses.iter().map(|weakness| format!("{}: {}", weakness.name, weakness.status)).collect();
        if each.is_empty() { "no known weakness reported".into() } else { each.join("; ") }
    }
}

/// The day in UTC.
fn today() -> String {
    let now = time::OffsetDateTime::now_utc();
    format!("{:04}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day())
}

/// The first value of a name in `/proc/cpuinfo`.
fn first_field<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.split_once(':').filter(|pair| pair.0.trim() == name).map(|pair| pair.1.trim());
    text.lines().find_map(value).unwrap_or_default()
}

fn boot_parameters(line: &str) -> Vec<String> {
    let matters = |word: &&str| BOOT_PARAMETERS.contains(&word.split('=').next().unwrap_or_default());
    line.split_whitespace().filter(matters).map(str::to_owned).collect()
}

/// The word in brackets.
fn chosen(text: &str) -> String {
    text.split_once('[').and_then(|rest| rest.1.split_once(']')).map_or(text, |inner| inner.0).to_owned()
}

/// How many numbers a list such as `0-3,8` holds.
fn count_of_list(list: &str) -> u32 {
    let length = |range: &str| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some(high.trim().parse::<u32>().ok()?.checked_sub(low.trim().parse().ok()?)? + 1)
    };
    list.split(',').filter_map(length).sum()
}

/// Files of a folder in the order of their names, with their text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap_or_default().trim().to_owned();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

fn weaknesses(folder: &Path) -> Vec<Weakness> {
    let known = files(folder).into_iter().filter(|(_, status)| !status.is_empty() && status != "Not affected");
    known.map(|(name, status)| Weakness { name, status }).collect()
}

fn caches(folder: &Path) -> Vec<ReportedCache> {
    files(folder).into_iter().filter(|file| file.0.starts_with("index")).filter_map(|file| cache(&folder.join(file.0))).collect()
}

fn cache(folder: &Path) -> Option<ReportedCache> {
    let text = |name: &str| Some(std::fs::read_to_string(folder.join(name)).ok()?.trim().to_owned());
    Some(ReportedCache {
        level: text("level")?.parse().ok()?,
        kind: text("type")?,
        size_kib: text("size")?.trim_end_matches('K').parse().ok()?,
        ways: text("ways_of_associativity").and_then(|ways| ways.parse().ok()).unwrap_or(0),
        shared_by: text("shared_cpu_list").map_or(1, |list| count_of_list(&list)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_host_is_read_from_its_files() {
        let root = std::env::temp_dir().join(format!("ringscope-facts-{}", std::process::id()));
        write(
            &root,
            "proc/cpuinfo",
            "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\
             microcode\t: 0x1000065\nflags\t\t: fpu pcid hypervisor\n\nvendor_id\t: other\n",
        );
        write(&root, "proc/sys/kernel/osrelease", "6.1.0\n");
        write(&root, "proc/cmdline", "quiet mitigations=auto root=/dev/x nopti\n");
        write(&root, "proc/loadavg", "1.25 0 0 1/2 3\n");
        write(&root, "sys/devices/system/cpu/online", "0-1,4\n");
        write(&root, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        write(&root, "sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n");
        write(&root, "sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", "Mitigation: Safe RET\n");
        for (file, text) in
            [("level", "2"), ("type", "Unified"), ("size", "1024K"), ("ways_of_associativity", "8"), ("shared_cpu_list", "0")]
        {
            write(&root, &format!("sys/devices/system/cpu/cpu0/cache/index2/{file}"), text);
        }
        let facts = Facts::under(&root, "2026-01-31");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((facts.family, facts.model, facts.processors, facts.load), (25, 17, 3, 1.25));
        assert!(facts.virtual_machine && facts.pcid && facts.any_mitigation());
        assert_eq!(facts.boot_parameters, ["mitigations=auto", "nopti"]);
        assert_eq!(facts.weaknesses.len(), 1, "what does not affect is left out");
        assert!(facts.mitigates("spec_rstack_overflow", &["Safe RET"]) && !facts.mitigates("meltdown", &["PTI"]));
        assert_eq!(facts.huge_pages, "madvise");
        let l2 = facts.cache(2, "Instruction").unwrap();
        assert_eq!((l2.size_kib, l2.ways, l2.shared_by), (1024, 8, 1));
        assert!(
            facts
                .line()
                .starts_with("AMD EPYC (AuthenticAMD, family 25 model 17 stepping 1, microcode 0x1000065, virtual machine)")
        );
    }

    #[test]
    fn a_host_that_says_nothing_has_no_facts() {
        let facts = Facts::under(Path::new("no such folder"), "2026-01-31");
        assert_eq!(facts, Facts { date: "2026-01-31".into(), ..Facts::default() });
        assert_eq!(facts.mitigations_line(), "no known weakness reported");
    }
}
