//! The list of mechanisms: names, what they need, how a driver is made. A new mechanism is one file and one line here; the names on the
//! command line, the help, the sweep axis and the contract tests follow.

use crate::batched_script::BatchedScript;
use crate::elevated::Elevated;
use crate::exception_less;
use crate::in_kernel::{self, InKernel, ServiceError, WykiService};
use crate::io_uring::{self, IoUring, Style};
use crate::issue::Issuer;
use crate::program::{Direct, has_connection_threads};
use crate::settings::{ExceptionLessVariant, InKernelVariant, MechanismSettings, SyncSettings, SyncVariant};
use os_model::system::{Driver, System};
use serde::{Deserialize, Serialize};
use sim_core::workload::{Program, Workload};

/// A way of issuing system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// One crossing per call.
    Sync,
    /// Syscall pages and syscall threads (FlexSC).
    ExceptionLess,
    /// One crossing, many calls (lua_syscall).
    BatchedScript,
    /// The request is answered in the kernel (WYKIWYG, eBPF).
    InKernelDsl,
    /// The program runs in supervisor mode and calls kernel functions.
    ElevatedShortcut,
}

/// What one mechanism is.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// Name on the command line and in reports.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The paper or system it follows.
    pub source: &'static str,
}

/// All mechanisms, in report order; the first is the baseline.
pub const ALL: [Description; 5] = [
    Description {
        mechanism: Mechanism::Sync,
        name: "sync",
        summary: "one crossing per call; epoll or blocking threads",
        source: "stock Linux",
    },
    Description {
        mechanism: Mechanism::ExceptionLess,
        name: "exception-less",
        summary: "calls are written to shared pages and executed by syscall threads, batched or on other cores",
        source: "FlexSC (OSDI'10), libflexsc (ATC'11)",
    },
    Description {
        mechanism: Mechanism::BatchedScript,
        name: "batched-script",
        summary: "one crossing runs a script in the kernel that makes many calls",
        source: "lua_syscall (Koomsin, Shinjo)",
    },
    Description {
        mechanism: Mechanism::InKernelDsl,
        name: "in-kernel-dsl",
        summary: "a service in the kernel answers requests in the receive softirq",
        source: "WYKIWYG; eBPF today",
    },
    Description {
        mechanism: Mechanism::ElevatedShortcut,
        name: "elevated-shortcut",
        summary: "the program runs in supervisor mode and calls kernel functions directly",
        source: "chronokernel; Kernel Mode Linux, UKL",
    },
];

/// What a mechanism asks of the system before it is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Tasks.
    pub tasks: u32,
    /// Lines of its own memory.
    pub memory_lines: u32,
    /// Lines of its own memory in superpages.
    pub superpage_lines: u32,
    /// Event loops.
    pub pollers: u32,
    /// Memory that the mechanism takes in a real system, its threads' included.
    pub memory_bytes: u64,
}

/// An unknown mechanism.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mechanism '{name}'; known: {known}")]
pub struct UnknownMechanism {
    /// What was asked for.
    pub name: String,
    /// All names.
    pub known: String,
}

impl Mechanism {
    /// The baseline.
    pub const BASELINE: Mechanism = Mechanism::Sync;

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// What it is.
    pub fn description(self) -> &'static Description {
        &ALL[self as usize]
    }

    /// By name.
    ///
    /// # Errors
    /// With all known names.
    pub fn from_name(name: &str) -> Result<Mechanism, UnknownMechanism> {
        ALL.iter().find(|entry| entry.name == name).map(|entry| entry.mechanism).ok_or_else(|| UnknownMechanism {
            name: name.into(),
            known: ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Why the mechanism, in the variant that the settings choose, cannot run the workload, if it cannot.
    pub fn inapplicable(self, workload: &Workload, settings: &MechanismSettings) -> Option<String> {
        if let Some(style) = self.ring_style(settings) {
            return style.inapplicable(workload);
        }
        match self {
            Mechanism::ExceptionLess
                if settings.exception_less.variant == ExceptionLessVariant::Epoll
                    && (workload.program != Program::EventLoop || workload.wait.is_none()) =>
            {
                Some("the program has no event loop whose readiness calls could be posted".into())
            }
            Mechanism::Sync | Mechanism::ElevatedShortcut => unfit(workload, &settings.sync),
            Mechanism::InKernelDsl if settings.in_kernel_dsl.variant == InKernelVariant::Wyki => {
                in_kernel::reason_without(workload)
            }
            Mechanism::BatchedScript => BatchedScript::inapplicable(&settings.batched_script, workload),
            Mechanism::InKernelDsl if workload.program == Program::Sequential => {
                Some("a sequential program serves no requests that an in-kernel service could answer".into())
            }
            Mechanism::InKernelDsl if !workload.classes.iter().any(|class| class.in_kernel) => {
                Some("no request class can be answered by an in-kernel service".into())
            }
            _ => None,
        }
    }

    /// How io_uring is used, when the variant that the settings choose does.
    fn ring_style(self, settings: &MechanismSettings) -> Option<Style> {
        match self {
            Mechanism::ExceptionLess => Style::of_exception_less(settings.exception_less.variant),
            Mechanism::BatchedScript => Style::of_batched_script(settings),
            _ => None,
        }
    }

    /// What the mechanism needs for a workload.
    pub fn needs(self, workload: &Workload, settings: &MechanismSettings, cores: u32, connections: u32) -> Needs {
        let program_tasks = match workload.program {
            // redis and other single loops are recorded with one thread; a server with worker threads gets one a core
            Program::EventLoop => event_loops(workload, cores),
            Program::ThreadPerConnection | Program::ProcessPerConnection => connections,
            Program::Sequential => 1,
        };
        let direct = matches!(self, Mechanism::Sync | Mechanism::ElevatedShortcut);
        if direct && has_connection_threads(workload, &settings.sync) {
            return Needs { tasks: connections, pollers: 1, ..Needs::default() };
        }
        let loops = if workload.program == Program::EventLoop { event_loops(workload, cores) } else { 1 };
        if let Some(style) = self.ring_style(settings) {
            return io_uring::needs(workload, &settings.io_uring, style, cores, connections);
        }
        match self {
            Mechanism::ExceptionLess => exception_less::needs(workload, &settings.exception_less, cores, connections),
            Mechanism::BatchedScript => Needs {
                tasks: program_tasks,
                memory_lines: BatchedScript::memory_lines(&settings.batched_script, program_tasks),
                pollers: loops,
                memory_bytes: BatchedScript::memory_bytes(&settings.batched_script, program_tasks),
                ..Needs::default()
            },
            Mechanism::InKernelDsl if settings.in_kernel_dsl.variant == InKernelVariant::Wyki => {
                let program = Needs { tasks: program_tasks, pollers: loops, ..Needs::default() };
                // a service that cannot be installed needs nothing: making its driver says why
                match in_kernel::choose(workload, &settings.in_kernel_dsl) {
                    Ok(service) => in_kernel::needs(&service, program, cores, connections),
                    Err(_) => program,
                }
            }
            _ => Needs { tasks: program_tasks, pollers: loops, ..Needs::default() },
        }
    }

    /// Makes the driver, with its tasks.
    ///
    /// # Errors
    /// When an in-kernel service cannot be installed.
    pub fn driver(self, system: &mut System, settings: &MechanismSettings) -> Result<Box<dyn Driver>, ServiceError> {
        if let Some(style) = self.ring_style(settings) {
            return Ok(Box::new(IoUring::new(system, &settings.io_uring, style)));
        }
        Ok(match self {
            Mechanism::Sync => Box::new(Direct::new(system, &settings.sync, |_| Issuer::Crossing)),
            Mechanism::ExceptionLess => exception_less::driver(system, &settings.exception_less),
            Mechanism::BatchedScript => Box::new(BatchedScript::new(system, &settings.batched_script)),
            Mechanism::InKernelDsl => match settings.in_kernel_dsl.variant {
                InKernelVariant::Wyki => Box::new(WykiService::new(system, &settings.in_kernel_dsl)?),
                InKernelVariant::Recorded => Box::new(InKernel::new(system, &settings.in_kernel_dsl)),
            },
            Mechanism::ElevatedShortcut => {
                let own = &settings.elevated_shortcut;
                let issuer = |thread: u32| match own.elevated_threads.includes(thread) {
                    true => Issuer::Elevated(Elevated::new(own)),
                    false => Issuer::Crossing,
                };
                Box::new(Direct::new(system, &settings.sync, issuer))
            }
        })
    }
}

/// Why a program cannot be run in a variant of its structure.
fn unfit(workload: &Workload, settings: &SyncSettings) -> Option<String> {
    if settings.variant == SyncVariant::Recorded {
        return None;
    }
    if workload.program != Program::EventLoop {
        return Some("the program was not recorded as an event loop: it has no readiness call that could be another one".into());
    }
    match settings.variant {
        SyncVariant::EpollEdge if workload.readiness.again.is_empty() => {
            Some("no read that finds nothing is recorded; import the recording again".into())
        }
        SyncVariant::Poll if workload.readiness.poll.is_none() => {
            Some("no poll over several descriptors is recorded; import the recording again".into())
        }
        SyncVariant::Threads if workload.blocking.sleep.is_empty() => {
            Some("no blocking receive is recorded; import the recording again".into())
        }
        _ => None,
    }
}

/// Event loops of a server on so many cores. A single-threaded server (redis) has one, whatever the cores.
pub fn event_loops(workload: &Workload, cores: u32) -> u32 {
    if workload.single_threaded { 1 } else { cores }
}
