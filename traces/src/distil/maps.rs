//! User address space of the recorded processes, from the text of `/proc/PID/maps`.

use sim_core::ids::LINE_BYTES;

/// Top of the main thread's stack area on x86-64 without randomisation: stacks lie below 0x7ffffffff000, and the kernel's default limit is 8 MiB.
const MAIN_STACK: (u64, u64) = (0x7fff_ff7f_f000, 0x7fff_ffff_f000);
/// glibc's default thread stack, guard page included.
const THREAD_STACK_BYTES: u64 = 8 << 20;
/// glibc puts one inaccessible page below a thread's stack; other inaccessible areas (the tails of malloc arenas) are larger.
const GUARD_BYTES: u64 = 4096;

/// What a user data line is, by address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserClass {
    /// A thread's stack, with the line's distance from the stack's top.
    Stack { below_top_lines: u32 },
    /// Mapped from a file: program and library data.
    File,
    /// Heap and anonymous memory.
    Anonymous,
}

/// Ranges of one or several processes, merged: without address randomisation equal addresses mean equal things.
#[derive(Clone, Debug, Default)]
pub(super) struct UserMaps {
    stacks: Vec<(u64, u64)>,
    files: Vec<(u64, u64)>,
}

impl UserMaps {
    /// Reads the maps of all recorded processes; each line follows the process id. Lines that cannot be read are left out.
    pub fn parse(text: &str) -> UserMaps {
        let mut maps = UserMaps { stacks: vec![MAIN_STACK], files: Vec::new() };
        let mut guard: Option<(u64, u64)> = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let Some(range) = fields.get(1).and_then(|range| parse_range(range)) else { continue };
            let access = fields.get(2).copied().unwrap_or_default();
            let path = fields.get(6).copied().unwrap_or_default();
            let above_guard = guard.is_some_and(|guard| guard.1 == range.0 && guard.1 - guard.0 == GUARD_BYTES);
            if path == "[stack]" {
                maps.stacks.push(range);
            } else if path.starts_with('/') || path == "[vdso]" || path == "[vvar]" {
                maps.files.push(range);
            } else if above_guard && access.starts_with("rw") {
                // Neighbouring anonymous areas are merged into one line; the stack is the 8 MiB from its guard page on.
                let top = (range.0 - GUARD_BYTES + THREAD_STACK_BYTES + GUARD_BYTES).min(range.1);
                maps.stacks.push((range.0, top));
            }
            guard = access.starts_with("---").then_some(range);
        }
        maps.stacks.sort_unstable();
        maps.stacks.dedup();
        maps.files.sort_unstable();
        maps.files.dedup();
        maps
    }

    /// Class of a user data line.
    pub fn class(&self, line: u64) -> UserClass {
        let address = line * LINE_BYTES;
        let inside = |range: &&(u64, u64)| (range.0..range.1).contains(&address);
        // The main stack's area is wide; a narrower one that holds the address knows better where the top is.
        if let Some(stack) = self.stacks.iter().filter(inside).min_by_key(|range| range.1 - range.0) {
            return UserClass::Stack { below_top_lines: ((stack.1 - address) / LINE_BYTES) as u32 };
        }
        if self.files.iter().any(|range| inside(&range)) { UserClass::File } else { UserClass::Anonymous }
    }
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_files_and_heap_are_told_apart() {
        let text = "# comment\n\
            7 555555582000-555555592000 r--p 0002e000 00:02 3786 /usr/bin/memcached\n\
            7 7ffff0021000-7ffff4000000 ---p 00000000 00:00 0 \n\
            7 7ffff4000000-7ffff4021000 rw-p 00000000 00:00 0 \n\
            7 7ffff67b6000-7ffff67b7000 ---p 00000000 00:00 0 \n\
            7 7ffff67b7000-7ffff7038000 rw-p 00000000 00:00 0 \n\
            7 7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
        let maps = UserMaps::parse(text);
        let class = |address: u64| maps.class(address / LINE_BYTES);
        assert_eq!(class(0x5555_5558_2040), UserClass::File);
        assert_eq!(class(0x7fff_f400_0040), UserClass::Anonymous, "an arena above another arena's tail");
        assert_eq!(
            class(0x7fff_f6fb_1c40),
            UserClass::Stack { below_top_lines: (0x7fff_f6fb_7000u64 - 0x7fff_f6fb_1c40) as u32 / 64 }
        );
        assert_eq!(class(0x7fff_f700_0000), UserClass::Anonymous, "merged behind the stack");
        assert_eq!(class(0x7fff_ffff_e000), UserClass::Stack { below_top_lines: 64 });
    }
}
