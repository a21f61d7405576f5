//! What names mean: settings, keys of a report, components of the cycle stack, evictors. The texts behind `ringscope explain` and the
//! remarks of `ringscope config template`.

use sim_core::stack::{Cause, Component, CrossingPart, Domain};

/// A name of a report and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// The name; in a list of a report without its position.
    pub name: &'static str,
    /// What it means.
    pub text: &'static str,
}

const fn topic(name: &'static str, text: &'static str) -> Topic {
    Topic { name, text }
}

/// Settings that need words, by path.
pub const SETTINGS: &[Topic] = &[
    topic(
        "machine",
        "The processors. `preset` chooses a description (`ringscope list machines`); `ringscope explain NAME --verbose` prints it with the source of each number.",
    ),
    topic(
        "machine.exposure",
        "Share of a miss's latency that stalls the core, in thousandths: the rest hides behind other work. Results are sensitive to the instruction side; `compare` reports the speed-up at 500 and 1000.",
    ),
    topic("machine.base_cpi_kernel_milli", "Cycles per thousand kernel instructions when nothing misses."),
    topic(
        "machine.base_cpi_user_milli",
        "Cycles per thousand user instructions when nothing misses, for programs that do not say themselves.",
    ),
    topic(
        "machine.crossing",
        "Direct costs of crossings between user and kernel, each in cycles. `--set 'machine.crossing.*=0'` makes crossings free.",
    ),
    topic("machine.prefetch", "Prefetchers, each on or off."),
    topic("machine.facts", "What decides which mitigations apply when `kernel.mitigations` is `default`."),
    topic("kernel", "The kernel: what a capture cannot hold. `preset` chooses a description (`ringscope list kernels`)."),
    topic(
        "kernel.mitigations",
        "`off`, or `default` for what the kernel chooses on this machine: page-table isolation, barriers, return-stack filling.",
    ),
    topic("kernel.slice_cycles", "Longest stretch a core executes before interrupts, preemption and other cores act."),
    topic("kernel.work", "Kernel work of calls compared with the recorded kernel: for kernels that nobody recorded."),
    topic("kernel.work.permille", "Thousandths of the recorded kernel instructions and footprint, where nothing more is known."),
    topic("kernel.work.calls", "Published kernel instructions of single calls, or of several together."),
    topic("kernel.scheduler", "Scheduler constants."),
    topic("kernel.network", "Network card and receive path of the server."),
    topic(
        "kernel.network.accept_backlog",
        "Connections at most that wait to be accepted at a listening socket; of partly open clients more are turned away.",
    ),
    topic("kernel.network.interrupt_moderation_us", "Least time between two interrupts of a receive queue."),
    topic(
        "kernel.user_call_depth",
        "Frames of user code on the return stack at a system call beyond the recorded ones: so many returns are predicted wrongly afterwards.",
    ),
    topic("clients", "The other end of the wire."),
    topic(
        "clients.kind",
        "`remote`: another machine behind a link. `recorded`: as in the captures, one client on the server's own core over loopback.",
    ),
    topic(
        "clients.arrival",
        "`closed`: each connection sends its next request when it has the reply. `open(rate_rps: 50000)`: requests arrive at a rate whatever the replies. `sessions(rate_rps: 50000, requests_per_connection: 20)`: partly open, as httperf: connections arrive at the rate divided by 20, at a fixed period (`spacing: periodic`) or as a Poisson stream (`spacing: poisson`); each sends 20 requests, the next when it has the reply, and closes; `run.connections` are the most at the same time. `steps([(2000, 20000), (5000, 80000)])`: the same at a rate that changes, as (microseconds, requests/s); durations count from the opening of the measured window, and the last rate stays.",
    ),
    topic("clients.think_us", "Pause between a reply and the next request of a connection in a closed loop."),
    topic("clients.link_rate_mbps", "Rate of the link, each direction."),
    topic("clients.link_delay_us", "One-way delay of the link with its switch."),
    topic("clients.cores", "Cores of the client machine."),
    topic("clients.service_us", "Processor time of the client machine per request."),
    topic("mechanism", "What each way of issuing system calls can be set to."),
    topic("mechanism.sync", "Synchronous calls: how the program asks for readiness and shares its listening socket."),
    topic(
        "mechanism.sync.accept",
        "Several event loops: `per-loop` (a listening socket each, SO_REUSEPORT), `shared` (a new connection wakes every sleeping loop) `shared-exclusive` (it wakes one, EPOLLEXCLUSIVE) or `mutex` (only the loop that holds a lock learns of it: nginx's accept_mutex).",
    ),
    topic("mechanism.sync.accept_mutex_delay_us", "With `mutex`: how long a loop without the lock sleeps before it tries again."),
    topic("mechanism.sync.poll_scan_instructions", "Variant poll: user instructions per descriptor to go through the result."),
    topic("mechanism.sync.reread_instructions", "Variant epoll-edge: user instructions from a served request to the next read."),
    topic(
        "mechanism.exception_less",
        "Syscall pages and syscall threads (FlexSC). Instruction counts are hand counts within a factor of two, four of them fitted to published batch costs within it.",
    ),
    topic(
        "mechanism.exception_less.kernel_cores",
        "Cores besides the program's own that execute posted calls; 0: all. The core split: the program's core, these, and the rest idle.",
    ),
    topic(
        "mechanism.exception_less.kernel_cores_wait",
        "How a core without posted calls waits: `poll` the pages or for an `interrupt`, both for kernel_core_idle_us; or `sleep` at once.",
    ),
    topic(
        "mechanism.exception_less.variant",
        "`pages`, `queues`, `epoll`, `non-blocking` or `threads`: `ringscope list variants` says what each is.",
    ),
    topic("mechanism.exception_less.queue_index_instructions", "`queues`: instructions to compare and move a queue's indices."),
    topic("mechanism.exception_less.continuation_lines", "`non-blocking`: lines that hold the state of a call that waits."),
    topic(
        "mechanism.exception_less.continuation_instructions",
        "`non-blocking`: kernel instructions to save or take up that state.",
    ),
    topic("mechanism.exception_less.switch_instructions", "`threads`: user instructions to switch between user threads."),
    topic(
        "mechanism.exception_less.kernel_core_idle_us",
        "A core that polls or waits for an interrupt goes to sleep after so long without work.",
    ),
    topic(
        "mechanism.exception_less.flow_steering",
        "true: a connection's interrupts go to the core where its read waits; false: they stay spread over the kernel cores.",
    ),
    topic(
        "mechanism.exception_less.own_core_calls",
        "With at most so many submitted calls the program's own core executes them: no sleeping core is worth waking.",
    ),
    topic(
        "mechanism.exception_less.entries",
        "Entries in the syscall pages; 0: as many as can be in use. With fewer the library delays calls while all are busy.",
    ),
    topic(
        "mechanism.exception_less.read_timeout_us",
        "A read that has waited so long is cancelled and posted again; 0: never. The call can still win the race.",
    ),
    topic(
        "mechanism.exception_less.make_room_after_us",
        "With a limit on entries: a read that has waited so long gives its entry up when other calls are delayed.",
    ),
    topic("mechanism.exception_less.no_callback", "Calls whose result the program ignores: `[\"close\", \"setsockopt\"]`."),
    topic(
        "mechanism.exception_less.synchronous_calls",
        "Calls that the port left synchronous, each with its crossing: `[\"newfstatat\"]`.",
    ),
    topic(
        "mechanism.exception_less.hands_over",
        "true: `flexsc_wait` and resting syscall threads switch stacks directly; false: by the scheduler's context switch.",
    ),
    topic("mechanism.exception_less.accepts_outstanding", "Accepts posted at the same time."),
    topic("mechanism.batched_script", "Scripts that make many calls in one crossing (lua_syscall)."),
    topic("mechanism.batched_script.limit", "Requests in one batch at most (option --batch)."),
    topic(
        "mechanism.batched_script.script",
        "The script's file (option --script); empty: the bundled script of the program's kind.",
    ),
    topic("mechanism.batched_script.source", "The script's text, read from its file."),
    topic("mechanism.batched_script.code", "`interpreter` or `compiled`: which price a Lua instruction has."),
    topic(
        "mechanism.batched_script.instruction_limit",
        "Lua instructions of one invocation at most; a script that needs more is ended.",
    ),
    topic("mechanism.batched_script.memory_limit_kib", "Memory of one Lua state at most; a script that needs more is ended."),
    topic(
        "mechanism.batched_script.glue_instructions",
        "User work of at most so many instructions between two calls is done by the script itself.",
    ),
    topic(
        "mechanism.io_uring",
        "io_uring, in the variants `exception-less:io-uring`, `exception-less:io-uring-poll-same-core`, `exception-less:io-uring-poll-other-core` and `batched-script:io-uring-enter`.",
    ),
    topic("mechanism.io_uring.entries", "Entries of a submission ring; the completion ring has twice as many."),
    topic("mechanism.io_uring.links", "Link dependent calls that need no more than the end of the one before."),
    topic(
        "mechanism.io_uring.direct_descriptors",
        "Open files into the ring's own table, so that calls on them can be linked to their open.",
    ),
    topic(
        "mechanism.io_uring.task_run",
        "When the receive of an armed poll runs: `at-enter` (IORING_SETUP_DEFER_TASKRUN) or `interrupt` (the default of a ring).",
    ),
    topic("mechanism.io_uring.poll_idle_us", "The polling thread sleeps after so long without work."),
    topic(
        "mechanism.io_uring.completion_poll_us",
        "With a polling thread on another core: how long the program looks for completions before it waits in the kernel.",
    ),
    topic("mechanism.io_uring.multishot_accept", "One accept stays armed for all connections."),
    topic("mechanism.io_uring.multishot_receive", "A connection's receive stays armed for all its requests."),
    topic(
        "mechanism.io_uring.punted",
        "Calls that the kernel never executes inline: `direct` (the port keeps them as ordinary calls) or `worker` (worker threads).",
    ),
    topic("mechanism.io_uring.worker_calls", "Calls on files that the kernel never executes inline."),
    topic("mechanism.io_uring.storage_permille", "Thousandths of file reads and opens that wait for storage, in a worker."),
    topic("mechanism.io_uring.workers_max", "Worker threads at most; 0: four a core."),
    topic("mechanism.in_kernel_dsl", "A service in the kernel answers requests in the receive softirq (WYKIWYG, eBPF)."),
    topic(
        "mechanism.in_kernel_dsl.service",
        "File of the service in WYKI (option --service); empty: the bundled one of the protocol.",
    ),
    topic("mechanism.in_kernel_dsl.source", "Text of the service, read from that file."),
    topic("mechanism.in_kernel_dsl.superpages", "The service's tables lie in pages of 2 MiB; off: of 4 KiB."),
    topic("mechanism.in_kernel_dsl.thread_collapse", "The service runs in the softirq; off: in kernel threads that packets wake."),
    topic("mechanism.in_kernel_dsl.socket_collapse", "The service calls the protocol; off: the socket layer."),
    topic("mechanism.in_kernel_dsl.inline_parsing", "Parsing is compiled into the service; off: a general parser is called."),
    topic("mechanism.in_kernel_dsl.preload", "The program fills the table when it installs the service; off: only SETs do."),
    topic("mechanism.in_kernel_dsl.malformed_permille", "Malformed messages among the requests, in thousandths."),
    topic("mechanism.in_kernel_dsl.retry_us", "Microseconds after which a client without an answer sends again."),
    topic("mechanism.in_kernel_dsl.attempts", "Times that a client sends a request before it gives up."),
    topic("mechanism.elevated_shortcut", "The program runs in supervisor mode (chronokernel)."),
    topic(
        "mechanism.elevated_shortcut.depth",
        "Where calls enter the kernel: `whole` (entry and exit code too, only no crossing), `entry` (the system-call function), `file` (no dispatch) or `protocol` (no descriptor lookup, no file layer). For the variants `call` and `int3`; the others name their depth themselves.",
    ),
    topic("mechanism.elevated_shortcut.probe_instructions", "Variant int3: instructions of the probe's handler, per call."),
    topic(
        "mechanism.elevated_shortcut.true_call_every",
        "Every so many calls of a thread is a true system call: lower, cross, elevate again; 0: none.",
    ),
    topic(
        "mechanism.elevated_shortcut.elevated_threads",
        "Which threads or event loops run elevated: `all`, `first(2)` or `percent(50)`; the others cross for each call.",
    ),
    topic(
        "mechanism.elevated_shortcut.preemption",
        "Where elevated code can be preempted: `none`, `voluntary` (once per call, as the recorded kernel) or `full`.",
    ),
    topic(
        "mechanism.elevated_shortcut.deferred_work",
        "When the work of the system-call exit is done: at `each-call`, or at the next `true-call`.",
    ),
    topic("run", "How much is simulated."),
    topic("run.cores", "Cores of the server (option --cores)."),
    topic("run.connections", "Client connections (option --connections)."),
    topic("run.seed", "Root of the seed tree; repetition i uses seed + i (option --seed)."),
    topic("run.reps", "Repetitions with different seeds; 0: until the speed-up's 95 % interval is at most 2 % (option --reps)."),
    topic("run.requests", "Measured requests per repetition; 0: as many as the program needs (option --requests)."),
    topic("run.shadow", "Also count what each mode would miss alone: `off`, `full` or `sampled(8)` (option --shadow)."),
    topic("run.ledger", "Keep who evicted what. Indirect cost needs it; off only for speed."),
    topic("run.exposure_range", "Also run at instruction exposure 0.5 and 1.0 and report the range of the speed-up."),
];

/// Keys of reports, without positions in lists.
pub const KEYS: &[Topic] = &[
    topic("schema", "Version of the JSON. Keys may be added under the same number, never renamed or removed."),
    topic(
        "manifest",
        "What it takes to make the report again: version, canonical command (without threads, output and verbosity), hash of the resolved configuration, hash of the recording.",
    ),
    topic(
        "requests",
        "Measured requests over all repetitions: replies completely received by the clients in the measured windows. For a sequential program a request is one run of it.",
    ),
    topic("reps", "Repetitions with different seeds."),
    topic(
        "throughput_rps",
        "Replies completely received by the clients in the measured window, by elapsed simulated time, per second: mean, ends of the 95 % interval (Student's t over seeds) and number of samples.",
    ),
    topic(
        "speedup_vs_sync",
        "Throughput by that of `sync`, paired over seeds (the same random numbers for both), with its 95 % interval. 1 is no change.",
    ),
    topic(
        "processor_time_vs_sync",
        "Processor time per request by that of `sync`, paired over seeds, with its 95 % interval. Below 1 is less. Waiting loops of kernel cores count here, though they are idle in the cycle stack.",
    ),
    topic(
        "exposure_range",
        "The speed-up with half and with all of an instruction miss's latency exposed: the model's least certain factor.",
    ),
    topic(
        "gain_parts",
        "Cycles per request saved relative to `sync`, by reason: order (misses that no longer happen), removed (work no longer done, less the mechanism's own), crossing, idle. They sum to the difference of cycles_total.",
    ),
    topic(
        "latency_us",
        "From the last byte of the request sent to the last byte of the reply received, in microseconds of simulated time: mean, p50, p90, p99, p999, max.",
    ),
    topic(
        "modes",
        "Instructions, cycles, cycles per instruction and misses of user and kernel mode, as a privilege-filtered hardware counter would show them: the drain before and the refetch after a crossing count as user, from entry to exit as kernel; elevated application code counts as kernel.",
    ),
    topic("cpi", "Cycles per instruction of one mode, stalls included, idle time not."),
    topic(
        "misses_per_kinstr",
        "Misses per thousand instructions of the same mode, by structure: l1i, l1d, l2, l3, itlb, dtlb, stlb, branch.",
    ),
    topic(
        "cycle_stack",
        "Where the cycles went: cycles per request by component. The components, idle included, sum exactly to per_request.cycles_total; there is no `other`. `ringscope explain kernel.fetch_l2` explains one.",
    ),
    topic("per_request", "Averages per measured request."),
    topic("instructions_user", "Instructions in user mode per request."),
    topic("instructions_kernel", "Instructions in kernel mode per request."),
    topic("cycles_total", "Cores x elapsed cycles / requests, idle included."),
    topic("syscalls", "System calls executed per request, however they were issued: executions of a handler."),
    topic("crossings", "Entries into the kernel with their return, per request: system calls, interrupts, exceptions."),
    topic("context_switches", "Switches from one task to another per request."),
    topic(
        "direct_cycles",
        "Direct cost of crossings per request: the components crossing.drain, entry, exit, page_table, barrier and refetch.",
    ),
    topic(
        "indirect_cycles",
        "Indirect cost per request: exposed stall cycles of misses and mispredictions whose line was pushed out by the other mode, or lost in a flush. Cycles hidden by overlap count nowhere.",
    ),
    topic("mechanism_cycles", "Work that the mechanism adds per request: posting, scanning, interpreting, checking."),
    topic("indirect_by_mode", "Indirect cycles per request by the mode that waits."),
    topic(
        "per_call",
        "One row per system call: executions per request, kernel instructions and cycles per execution, without the crossing.",
    ),
    topic(
        "evictors",
        "Misses by structure, by the mode that missed and by who had pushed the line out: each miss has exactly one evictor. `ringscope explain coherence` explains one.",
    ),
    topic(
        "shadow",
        "With --shadow: what each mode would have missed had it run alone. destructive: misses that would not have happened alone; constructive: misses saved because the other mode had brought the line. Another quantity than `evictors`: the fill that pushed a line out need not be the one without which it would have stayed.",
    ),
    topic("misses_alone", "Misses had this mode run alone (with --shadow)."),
    topic("destructive", "Misses that would not have happened had this mode run alone (with --shadow)."),
    topic("constructive", "Misses saved because the other mode had brought the line (with --shadow)."),
    topic(
        "batch",
        "How many calls the mechanism had under way together when it entered the kernel: mean, median, 99th percentile, largest, and what ended batches most often. A result, not a setting: it depends on how many connections are ready and on what the calls depend on.",
    ),
    topic(
        "batch.limited_by",
        "What most often ended a batch: `ready connections` (no more had work), `dependencies` (the next calls need results or user work), `limit` (--batch), `mechanism` (one call at a time).",
    ),
    topic(
        "limited_by",
        "What bounded the throughput: the server's cores, the client (number of connections, think time, its processors) or the link. Unless it is the server, throughput hides what the server saves: compare cpu_us_per_request.",
    ),
    topic("cpu_us_per_request", "Time of the server's cores that were not idle, in microseconds per request."),
    topic(
        "over_seeds",
        "Latency and cpu_us_per_request as means over the seeds with 95 % intervals (low, high, n). The keys without it are over the requests of all seeds together. Only with several seeds; `ringscope diff` judges by it.",
    ),
    topic(
        "synthetic_cycle_share",
        "Fraction of the busy cycles that came from synthetic blocks: work that was not recorded, estimated from a named source. The rest is recorded.",
    ),
    topic("applicable", "False when the mechanism can't run this workload; `reason` says why."),
    topic(
        "cores_used",
        "Cores' worth of time in user mode, in kernel mode, idle, and in a recorded client; they sum to the number of cores.",
    ),
    topic(
        "cores_over_time",
        "Use of each core in stretches of the first repetition's window, as fractions: program (its own code in either mode), calls (kernel code on their behalf), softirq, interrupt, scheduler, crossings, mechanism, client, idle. Not in CSV and Parquet.",
    ),
    topic("core_split", "cores_used over time, as fractions, in stretches of the first repetition's window."),
    topic(
        "occurrences",
        "What else the mechanism counts (cancelled calls, enters of a ring, yields), in all windows and per request.",
    ),
    topic("mechanism_memory_bytes", "Memory that the mechanism itself takes: pages, rings, thread stacks, script states, tables."),
    topic("window", "Warm-up and measured window: the test that opened the window, requests and cycles before it, cycles in it."),
    topic("why", "One line: where the gain or loss comes from, in cycles per request."),
    topic("notes", "Limits reached, assumptions made, what the numbers do not contain."),
    topic("timing", "Speed of the simulation on the host. Only with --timing: it differs from run to run."),
    topic("miss_rate", "Misses by references, 0 to 1 (replay)."),
];

/// Who can have pushed a line out.
pub const EVICTORS: &[Topic] = &[
    topic("never", "The line had never been in the structure: a cold miss."),
    topic(
        "same",
        "Code of the mode that misses had pushed the line out itself: a capacity or conflict miss that would happen without the other mode too.",
    ),
    topic("coherence", "Another core wrote the line, or the shared last-level cache lost it: it travels between cores."),
    topic(
        "flush",
        "A flush took the translation: a page-table switch with page-table isolation, or a switch of address spaces, without PCID. Counts as indirect cost.",
    ),
    topic("user", "User code had pushed a kernel line out. Counts as indirect cost of the kernel."),
    topic("interrupt", "Interrupt entry and hard-interrupt handlers had pushed the line out."),
    topic("softirq", "Softirqs had pushed the line out: the network receive path."),
    topic("scheduler", "Scheduler and context switch had pushed the line out."),
    topic("mechanism", "The mechanism's own work in kernel mode had pushed the line out."),
    topic("elevated", "Application code that runs in kernel mode had pushed the line out."),
];

/// Cache-like structures.
pub const STRUCTURES: &[Topic] = &[
    topic("l1i", "First-level instruction cache. In recorded servers 75 to 95 % of the indirect cost are instruction misses."),
    topic("l1d", "First-level data cache. Reads of page walks go through it too."),
    topic("l2", "Second-level cache, private to a core, instructions and data."),
    topic("l3", "Last-level cache, shared by the cores of a socket or cluster."),
    topic("itlb", "Instruction TLB: translations of code pages."),
    topic("dtlb", "Data TLB: translations of data pages."),
    topic("stlb", "Second-level TLB. What misses here walks the page tables."),
    topic("branch", "Branch prediction: target buffer and direction of taken branches between lines."),
];

/// Words for the setting at a path.
pub fn setting(path: &str) -> Option<&'static str> {
    find(SETTINGS, path)
}

/// The text of a name in a list of topics.
pub fn find(topics: &[Topic], name: &str) -> Option<&'static str> {
    topics.iter().find(|topic| topic.name == name).map(|topic| topic.text)
}

/// What a component of the cycle stack means.
pub fn component(component: Component) -> String {
    match component {
        Component::Work(domain, cause) => format!("{} {}", domain_text(domain), cause_text(cause)),
        Component::Crossing(part) => {
            format!("Direct cost of crossings: {} Counted as {} time.", crossing_text(part), part.mode().name())
        }
        Component::Client => {
            "A recorded client that runs on the server's own core (--client recorded): its instructions are counted in the \
                              recording, its lines are not recorded."
                .into()
        }
        Component::Idle => "The core had nothing to run. A kernel core that polls syscall pages counts as idle too.".into(),
    }
}

fn domain_text(domain: Domain) -> &'static str {
    match domain {
        Domain::User => "Cycles of the program's own code, in whatever ring it runs.",
        Domain::Kernel => "Cycles of kernel code: calls, interrupts, softirqs, scheduling.",
        Domain::Mechanism => "Cycles of work that the mechanism adds: posting, scanning, interpreting, checking.",
    }
}

fn cause_text(cause: Cause) -> &'static str {
    match cause {
        Cause::Base => "Instructions at the base CPI: what they would take if nothing missed.",
        Cause::FetchL2 => "Stalls for instruction lines that the first level lacked and the second level had.",
        Cause::FetchL3 => "Stalls for instruction lines that the last-level cache had.",
        Cause::FetchMemory => "Stalls for instruction lines that came from memory.",
        Cause::FirstPass => "What kernel code takes more where it is gone through for the first time since the kernel was entered.",
        Cause::DataL2 => "Exposed stalls for data that the first level lacked and the second level had.",
        Cause::DataL3 => "Exposed stalls for data that the last-level cache had.",
        Cause::DataMemory => "Exposed stalls for data that came from memory.",
        Cause::Transfer => "Stalls for lines that came from another core's cache.",
        Cause::TlbInstruction => "Stalls for translations of code pages: second-level TLB and page walks.",
        Cause::TlbData => "Stalls for translations of data pages: second-level TLB and page walks.",
        Cause::Branch => "Mispredicted branches, and taken branches that the target buffer did not know.",
        Cause::Copy => "Start-up and per-line time of repeated string copies.",
    }
}

fn crossing_text(part: CrossingPart) -> &'static str {
    match part {
        CrossingPart::Drain => "the window drains before the crossing.",
        CrossingPart::Entry => "the entry instruction, or the delivery of an interrupt.",
        CrossingPart::Exit => "the return instruction.",
        CrossingPart::PageTable => "writes to CR3, with page-table isolation or between processes.",
        CrossingPart::Barrier => "speculation barriers and return-stack mitigations.",
        CrossingPart::Refetch => "the front end refills after the return.",
    }
}

/// What a mechanism does, when it gains and when it loses.
pub fn mechanism(name: &str) -> Option<&'static str> {
    let text = match name {
        "sync" => {
            "Each call is one crossing, made where the program makes it: the baseline. Event loops sleep in epoll_wait, other servers block \
             in their receive. User and kernel share the first-level caches and push each other's lines out: the indirect cost is usually \
             many times the direct one."
        }
        "exception-less" => {
            "The program writes calls into pages shared with the kernel and goes on; syscall threads execute them in batches, on the same core \
             or on others, and write results back. It gains when many connections are ready, because user and kernel code then run in long \
             stretches; it loses with few connections, where each request still pays posting, scanning, flexsc_wait and two context switches."
        }
        "batched-script" => {
            "One crossing runs a script in the kernel that makes many calls, for up to --batch ready connections. It saves crossings and the \
             entry code, and pays interpretation. How deep a batch a server can reach is a result: it depends on how many connections are \
             ready and on user work between calls."
        }
        "in-kernel-dsl" => {
            "A service installed in the kernel answers a request in the receive softirq: nothing wakes up and nothing crosses. It applies to \
             requests that only receive, look something up and send; what it cannot answer goes up to user space. Sequential programs report \
             that it does not apply."
        }
        "elevated-shortcut" => {
            "The program runs in supervisor mode and calls kernel functions directly, at a depth (`entry`, `file`, `protocol`). Crossings and \
             entry code go away; what stays is that kernel code and data still displace the program's, so the gain is bounded."
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_words() {
        for one in Component::all() {
            assert!(component(one).len() > 30, "{}", one.name());
        }
    }

    #[test]
    fn every_mechanism_has_words() {
        for entry in &mechanisms::registry::ALL {
            assert!(mechanism(entry.name).is_some(), "{}", entry.name);
        }
    }

    #[test]
    fn every_setting_with_words_exists() {
        let settings = mechanisms::experiment::Settings::preset("nehalem", "linux-6.1").unwrap();
        let tree = serde_json::to_value(&settings).unwrap();
        for topic in SETTINGS {
            assert!(crate::config::lookup(&tree, topic.name).is_some(), "{}", topic.name);
        }
    }
}
