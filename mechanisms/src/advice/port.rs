//! What each way takes besides cycles: what must be written, what kernel it needs, what it gives up, and how far the model's word on it can
//! be trusted.

/// What a way needs of the kernel. In order: the less the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KernelNeeds {
    /// Nothing that distributions do not ship.
    Stock,
    /// A module that can be loaded into a stock kernel.
    Module,
    /// A changed kernel.
    Patch,
}

impl KernelNeeds {
    pub fn name(self) -> &'static str {
        match self {
            KernelNeeds::Stock => "stock kernel",
            KernelNeeds::Module => "kernel module",
            KernelNeeds::Patch => "patched kernel",
        }
    }
}

/// What a port to one way takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    /// `mechanism`, or `mechanism:variant` where a variant differs from the rest of its mechanism.
    label: &'static str,
    pub kernel: KernelNeeds,
    pub kernel_words: &'static str,
    pub effort: &'static str,
    pub risk: &'static str,
    /// It is another program, not the same one that issues its calls another way.
    pub rewrites: bool,
    /// Fraction by which a gain must exceed 1 before it is called one. A choice, not fitted: [`BACKED`] where a published throughput gain of
    /// the way stands beside the model's prediction, [`UNBACKED`] where none does.
    pub margin: f64,
}

/// Of the published throughput gains that the model predicts, one is over-predicted and the others are under-predicted, and none has the wrong
/// sign (validation/DEVIATIONS.md): 5 % is room for the first that would.
const BACKED: f64 = 0.05;
/// Nothing published stands beside the prediction: twice as much.
const UNBACKED: f64 = 0.10;

impl Port {
    /// True when published results stand beside the predictions.
    pub fn is_backed(&self) -> bool {
        self.margin <= BACKED
    }
}

/// A variant before its mechanism.
#[rustfmt::skip]
const PORTS: &[Port] = &[
    Port {
        label: "exception-less:io-uring", kernel: KernelNeeds::Stock, rewrites: false, margin: UNBACKED,
        kernel_words: "Linux 6.0 or later with io_uring allowed (some distributions and container runtimes block it)",
        effort: "the event loop becomes submit and reap: each call's continuation moves into a completion handler (liburing)",
        risk: "buffers must stay valid until completion; seccomp filters see io_uring_enter only",
    },
    Port {
        label: "exception-less:threads", kernel: KernelNeeds::Patch, rewrites: false, margin: BACKED,
        kernel_words: "a kernel with exception-less calls (FlexSC); no mainline kernel has them",
        effort: "a thread library instead of the system's; the program's source stays as it is (FlexSC-Threads)",
        risk: "a research system: you maintain the kernel patch and the thread library",
    },
    Port {
        label: "exception-less", kernel: KernelNeeds::Patch, rewrites: false, margin: BACKED,
        kernel_words: "a kernel with exception-less calls (FlexSC); no mainline kernel has them, io_uring is the nearest",
        effort: "the event loop is rewritten around completion callbacks (libflexsc); reads and accepts are posted before their data is there",
        risk: "a research system: you maintain the kernel patch",
    },
    Port {
        label: "batched-script:io-uring-enter", kernel: KernelNeeds::Stock, rewrites: false, margin: UNBACKED,
        kernel_words: "Linux 6.0 or later with io_uring allowed (some distributions and container runtimes block it)",
        effort: "the event loop stays; the calls of all ready connections are collected and submitted with one io_uring_enter",
        risk: "buffers must stay valid until completion; seccomp filters see io_uring_enter only",
    },
    Port {
        label: "batched-script:message-batch", kernel: KernelNeeds::Stock, rewrites: false, margin: UNBACKED,
        kernel_words: "none: recvmmsg and sendmmsg are in every Linux since 3.0",
        effort: "receive and send loops take vectors of messages; days rather than weeks",
        risk: "a reply waits for the others of its batch",
    },
    Port {
        label: "batched-script:multi-call", kernel: KernelNeeds::Patch, rewrites: false, margin: UNBACKED,
        kernel_words: "a multi-call interface; no mainline kernel has one",
        effort: "independent calls of a request are collected into a vector",
        risk: "errors in the middle of a vector must be handled afterwards",
    },
    Port {
        label: "batched-script:looped-multi-call", kernel: KernelNeeds::Patch, rewrites: false, margin: UNBACKED,
        kernel_words: "a multi-call interface; no mainline kernel has one",
        effort: "the calls of all ready requests are collected into vectors; the event loop works in phases",
        risk: "errors in the middle of a vector must be handled afterwards",
    },
    Port {
        label: "batched-script", kernel: KernelNeeds::Module, rewrites: false, margin: BACKED,
        kernel_words: "a module that runs sandboxed Lua scripts in the kernel (lua_syscall)",
        effort: "calls and the glue between them move into a script; long user work stays in the program, between invocations",
        risk: "an interpreter in the kernel; a script holds a core until its instruction limit",
    },
    Port {
        label: "in-kernel-dsl:recorded", kernel: KernelNeeds::Module, rewrites: false, margin: UNBACKED,
        kernel_words: "a kernel in which the receive path can call the program's code; eBPF covers what its verifier accepts",
        effort: "the request path, as it is, becomes code that runs in the kernel: no blocking, no page faults, bounded loops",
        risk: "its bugs are the kernel's; packets are served before the program's own work",
    },
    Port {
        label: "in-kernel-dsl", kernel: KernelNeeds::Module, rewrites: true, margin: BACKED,
        kernel_words: "a checked service in the kernel: a module made by its compiler (WYKIWYG); eBPF covers simple ones on a stock kernel",
        effort: "the request path is written again as a service; what it cannot answer stays in the program",
        risk: "another program than the one recorded: two implementations must agree; packets are served before the program's own work",
    },
    Port {
        label: "elevated-shortcut", kernel: KernelNeeds::Patch, rewrites: false, margin: UNBACKED,
        kernel_words: "a kernel that runs a process in supervisor mode (Kernel Mode Linux, UKL); no mainline kernel does",
        effort: "none in the source for calls by name; the program is linked against entry points of the kernel",
        risk: "no protection: a stray pointer in the program is one in the kernel",
    },
    Port {
        label: "sync", kernel: KernelNeeds::Stock, rewrites: false, margin: UNBACKED,
        kernel_words: "none",
        effort: "the program's own structure changes, its calls do not",
        risk: "none",
    },
];

/// What a port to a way takes, by its label.
pub(super) fn of(label: &str) -> &'static Port {
    let mechanism = label.split(':').next().unwrap_or(label);
    let exact = PORTS.iter().find(|port| port.label == label);
    // the last entry stands for ways that only change the program
    exact.or_else(|| PORTS.iter().find(|port| port.label == mechanism)).unwrap_or(&PORTS[PORTS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ALL;
    use crate::variants::VARIANTS;

    #[test]
    fn every_mechanism_has_a_port_and_every_port_is_of_a_way() {
        for entry in &ALL {
            assert!(PORTS.iter().any(|port| port.label == entry.name), "{}", entry.name);
        }
        let ways: Vec<String> = crate::variants::names();
        assert!(PORTS.iter().all(|port| ways.iter().any(|way| way == port.label)));
        assert_eq!(of("exception-less:queues").label, "exception-less");
        assert!(VARIANTS.iter().all(|variant| of(variant.mechanism.name()).label == variant.mechanism.name()));
    }
}
