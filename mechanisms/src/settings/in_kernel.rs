//! Settings of in-kernel services.

use serde::{Deserialize, Serialize};

/// Forms of in-kernel services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InKernelVariant {
    /// A service written in WYKI answers the bytes of the requests in the receive softirq.
    #[default]
    Wyki,
    /// The service executes the program's recorded user work in the receive softirq.
    Recorded,
}

/// In-kernel services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InKernelSettings {
    /// Which form of the mechanism.
    pub variant: InKernelVariant,
    /// Instructions to find the service of a packet and to start it. Guess: a hash lookup and an indirect call.
    pub dispatch_instructions: u32,
    /// Instructions per call that the service makes of the protocol (checks that the compiler could not prove away). Guess.
    pub call_instructions: u32,
    /// Name of the service's file, for messages; empty: the bundled service of the workload's protocol.
    pub service: String,
    /// Text of the service; empty: the bundled one. `--service FILE` fills both.
    pub source: String,
    /// Tables in superpages of 2 MiB; off: in pages of 4 KiB, as `vmalloc` gives them (and eBPF's maps have them).
    pub superpages: bool,
    /// The service runs in the receive softirq; off: in a kernel thread per connection (per core for datagrams), which the packet wakes.
    pub thread_collapse: bool,
    /// The service calls the protocol; off: the socket layer.
    pub socket_collapse: bool,
    /// The parsing of a message is compiled into the service; off: it calls a general parser.
    pub inline_parsing: bool,
    /// Instructions between two yields of the service at most. Guess: about a microsecond, a small part of what a softirq may take.
    pub stretch_bound_instructions: u32,
    /// The program stores all its items in the service's table when it installs it, as the recorded servers held all theirs.
    pub preload: bool,
    /// Instructions of the kernel for one store of the program into a table, besides entry and exit of the call and the table's lines.
    /// Guess: copying the arguments, hashing the key and the checks of `bpf_map_update_elem`.
    pub store_instructions: u32,
    /// Malformed messages among the requests, in thousandths.
    pub malformed_permille: u32,
    /// Time after which a client sends a request again that got no answer, microseconds. Guess: well above the latencies here, so that
    /// a retry never overtakes an answer under way.
    pub retry_us: u32,
    /// Times that a client sends a request before it gives up.
    pub attempts: u32,
}

impl Default for InKernelSettings {
    fn default() -> Self {
        InKernelSettings {
            variant: InKernelVariant::default(),
            dispatch_instructions: 60,
            call_instructions: 10,
            service: String::new(),
            source: String::new(),
            superpages: true,
            thread_collapse: true,
            socket_collapse: true,
            inline_parsing: true,
            stretch_bound_instructions: 2000,
            preload: true,
            store_instructions: 250,
            malformed_permille: 0,
            retry_us: 2000,
            attempts: 3,
        }
    }
}
