//! The JSON header of a capture.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Header of a capture. Keys that are not listed are ignored, as the format asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// `systrace`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Name of the trace.
    pub name: String,
    /// What ran.
    pub workload: WorkloadHeader,
    /// Name and version as the program prints it.
    pub server: String,
    /// `uname -r` and `uname -v` of the guest.
    pub kernel: String,
    /// Kernel command line.
    pub kernel_arguments: String,
    /// `off` or `auto` (the kernel's default).
    pub mitigations: String,
    /// True when page-table isolation was on.
    pub kpti: bool,
    /// CPU model of the emulator.
    pub cpu_model: String,
    /// Emulator and version.
    pub emulator: String,
    /// Recorder and version.
    pub recorder: String,
    /// Virtual processors: always 1.
    pub vcpus: u32,
    /// Memory of the guest in MiB.
    pub memory_mib: u32,
    /// Bytes in a line: always 64.
    pub line_bytes: u32,
    /// Entry point name by vector index of interrupt records.
    pub interrupt_vectors: Vec<String>,
    /// Name by number of the calls that occur.
    pub syscall_names: BTreeMap<String, String>,
    /// What the recorder counted on its own.
    pub totals: HeaderTotals,
}

/// What ran while the capture was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WorkloadHeader {
    /// One line for people.
    pub description: String,
    /// Kind of workload (`mc`, `mcudp`, `nginx`, `redis`, `ubench`, `find` …).
    pub mode: String,
    /// Requests answered to the client between start and end.
    pub requests: u64,
    /// Client connections.
    pub connections: u32,
    /// Bytes of a stored value.
    pub value_bytes: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Stored keys.
    pub keys: u32,
    /// Worker threads of the server.
    pub server_threads: u32,
    /// Bytes of the file served.
    pub file_bytes: u32,
    /// Rounds of each phase of a microbenchmark.
    pub calls_per_phase: u32,
    /// Phase number to name of a microbenchmark.
    pub phases: BTreeMap<String, String>,
}

/// What the recorder counted on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeaderTotals {
    /// Recorded instructions, user mode.
    pub user_instructions: u64,
    /// Recorded instructions, kernel mode.
    pub kernel_instructions: u64,
    /// Instructions of tasks that are not kept, user mode.
    pub dropped_user_instructions: u64,
    /// Instructions of tasks that are not kept, kernel mode.
    pub dropped_kernel_instructions: u64,
    /// Length of the decompressed event stream.
    pub raw_bytes: u64,
    /// True when softirq stretches of every task are recorded.
    pub clientsoftirq: bool,
}
