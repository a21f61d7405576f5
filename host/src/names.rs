//! Names of the series and places on their axes, for whoever reads them without being able to measure.

/// Core frequency while working.
pub const CORE_FREQUENCY: &str = "clock.core_frequency";

/// Data caches.
pub mod data {
    /// Latency over huge pages, all lines in random order: caches alone. A page's lines in a row would wake prefetchers of regions.
    pub const HUGE_PAGES: &str = "data.huge_pages";
    /// Latency over 4 KiB pages, pages in random order, lines in random order inside each: 64 loads share a translation.
    pub const SMALL_PAGES: &str = "data.small_pages";
    /// Over 4 KiB pages, all lines in random order: each load may also miss the TLB.
    pub const SMALL_PAGES_RANDOM: &str = "data.small_pages_random";
}

/// Translation.
pub mod translation {
    /// One line in each 4 KiB page.
    pub const SPREAD: &str = "translation.spread";
    /// As many lines, packed.
    pub const PACKED: &str = "translation.packed";
}

/// Instruction cache, branch targets, instruction TLB.
pub mod instructions {
    /// A jump in each line of 64 bytes.
    pub const EACH_LINE: &str = "instructions.jump_each_64_bytes";
    /// A jump every 16 bytes.
    pub const DENSE: &str = "instructions.jump_each_16_bytes";
    /// A jump in each page of 4 KiB.
    pub const EACH_PAGE: &str = "instructions.jump_each_page";
}

/// Wrong predictions.
pub mod branches {
    /// Cycles per turn; on the axis 0 for the same direction always, 1 for random directions.
    pub const TURNS: &str = "branches.turn";
}

/// Calls that do nothing.
pub mod null_call {
    /// Nested functions without a call to the kernel.
    pub const NO_CALL: &str = "null_call.none";
    /// A number that does not exist.
    pub const INVALID_NUMBER: &str = "null_call.invalid_number";
    /// `getuid`.
    pub const GETUID_CALL: &str = "null_call.getuid";
    /// `getppid`.
    pub const GETPPID_CALL: &str = "null_call.getppid";
}

/// Line transfer.
pub mod transfer {
    /// Cycles of one way, half of a round.
    pub const ONE_WAY: &str = "transfer.one_way";
}

/// Switches and wake-ups.
pub mod switches {
    /// Half a round of one byte through pipes.
    pub const PIPE: &str = "switch.pipe";
    /// Half a round through a futex.
    pub const FUTEX: &str = "switch.futex";
    /// One byte written to a pipe and read by the same thread: what half a round holds besides switch and wake-up.
    pub const PIPE_ALONE: &str = "switch.pipe_alone";
}

/// Page faults.
pub mod faults {
    /// Cycles of the first write to an anonymous page.
    pub const ANONYMOUS: &str = "fault.anonymous";
    /// Cycles of the first read in 64 KiB of a mapped file: the kernel maps up to 16 cached pages at once.
    pub const FILE: &str = "fault.file";
}

/// Calls of the bundled workloads.
pub mod call_costs {
    /// Beginning of the names of all series: `call.recvfrom`.
    pub const PREFIX: &str = "call.";
    /// On the axis: in a loop.
    pub const HOT: u64 = 0;
    /// On the axis: after private caches, TLBs and branch structures were filled with something else.
    pub const COLD: u64 = 1;
}
