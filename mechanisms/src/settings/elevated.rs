//! Settings of the elevated shortcut.

use os_model::calls::Part;
use serde::{Deserialize, Serialize};

/// Forms of the elevated shortcut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElevatedVariant {
    /// Elevated code calls kernel functions at the depth that `depth` says.
    #[default]
    Call,
    /// By call, with the kernel's entry and exit code but without crossings, whatever `depth` says.
    Whole,
    /// By call, at the file or socket layer, whatever `depth` says.
    File,
    /// By call, at the protocol, whatever `depth` says.
    Protocol,
    /// Through an INT3 probe in front of the function, at the depth that `depth` says.
    Int3,
}

/// Where elevated code enters the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The kernel's entry code, without the crossing.
    Whole,
    /// The system-call function.
    #[default]
    Entry,
    /// The file layer (`ksys_write`): no dispatch.
    File,
    /// The protocol (`tcp_sendmsg`): no descriptor lookup, no VFS.
    Protocol,
}

impl Depth {
    /// Name in settings and notes.
    pub fn name(self) -> &'static str {
        match self {
            Depth::Whole => "whole",
            Depth::Entry => "entry",
            Depth::File => "file",
            Depth::Protocol => "protocol",
        }
    }

    /// The part of a recorded call that is executed.
    pub fn part(self) -> Part {
        match self {
            Depth::Whole => Part::Whole,
            Depth::Entry => Part::Handler,
            Depth::File => Part::FileLayer,
            Depth::Protocol => Part::Protocol,
        }
    }
}

/// Which of the program's threads or event loops run elevated; the others cross for each call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElevatedThreads {
    /// All of them.
    #[default]
    All,
    /// The first so many.
    First(u32),
    /// So many in a hundred, spread evenly.
    Percent(u32),
}

impl ElevatedThreads {
    /// Whether the thread of this number runs elevated.
    pub fn includes(self, thread: u32) -> bool {
        match self {
            ElevatedThreads::All => true,
            ElevatedThreads::First(count) => thread < count,
            ElevatedThreads::Percent(percent) => {
                let upto = |threads: u64| threads * u64::from(percent) / 100;
                upto(u64::from(thread) + 1) > upto(u64::from(thread))
            }
        }
    }
}

/// Where the kernel lets a thread that runs in kernel mode be preempted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelPreemption {
    /// Nowhere (PREEMPT_NONE): a due rescheduling waits for the next system-call exit or sleep.
    None,
    /// At the points that kernel functions offer (PREEMPT_VOLUNTARY), here once per call. What the recorded kernel, Debian 6.1, does.
    #[default]
    Voluntary,
    /// Anywhere (PREEMPT).
    Full,
}

/// When the work is done that a system-call exit would have done: rescheduling, the last close of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeferredWork {
    /// The code around each call looks for it and does it.
    #[default]
    EachCall,
    /// At the next true call. A call that may sleep is made a true one while work is waiting: a sleeping thread would never do it.
    TrueCall,
}

/// Elevated shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElevatedSettings {
    /// Which form of the mechanism.
    pub variant: ElevatedVariant,
    /// Where calls enter, for the variants that do not say it themselves.
    pub depth: Depth,
    /// Instructions per call for the call itself and the check for pending work (rescheduling, signals) that the system-call exit
    /// would have made: a load, a test, a branch, a call and a return.
    pub glue_instructions: u32,
    /// Instructions of the probe's handler, for INT3: the trap handler, the lookup of the probe, the change of the return address. A
    /// probe costs 0.33 us on a 2.33 GHz Xeon E5410 (boosted, without single step), 769 cycles; less about 400 for INT3 and IRET
    /// with drain and refetch that leaves some 370 cycles. A guess from that.
    pub probe_instructions: u32,
    /// Every so many calls of a thread is a true system call; 0: none.
    pub true_call_every: u32,
    /// Which threads run elevated.
    pub elevated_threads: ElevatedThreads,
    /// Where elevated code can be preempted.
    pub preemption: KernelPreemption,
    /// When the work of the system-call exit is done.
    pub deferred_work: DeferredWork,
}

impl Default for ElevatedSettings {
    fn default() -> Self {
        ElevatedSettings {
            variant: ElevatedVariant::default(),
            depth: Depth::default(),
            glue_instructions: 6,
            probe_instructions: 300,
            true_call_every: 0,
            elevated_threads: ElevatedThreads::default(),
            preemption: KernelPreemption::default(),
            deferred_work: DeferredWork::default(),
        }
    }
}

impl ElevatedSettings {
    /// The depth that the variant names, or the one that the settings say.
    pub fn effective_depth(&self) -> Depth {
        match self.variant {
            ElevatedVariant::Call | ElevatedVariant::Int3 => self.depth,
            ElevatedVariant::Whole => Depth::Whole,
            ElevatedVariant::File => Depth::File,
            ElevatedVariant::Protocol => Depth::Protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_threads_is_spread_evenly() {
        let elevated = |threads: ElevatedThreads| (0..8).filter(|thread| threads.includes(*thread)).collect::<Vec<u32>>();
        assert_eq!(elevated(ElevatedThreads::Percent(50)), [1, 3, 5, 7]);
        assert!(elevated(ElevatedThreads::Percent(0)).is_empty());
        assert_eq!(elevated(ElevatedThreads::Percent(100)).len(), 8);
        assert_eq!(elevated(ElevatedThreads::First(3)), [0, 1, 2]);
        assert_eq!(elevated(ElevatedThreads::All).len(), 8);
    }

    #[test]
    fn a_variant_that_names_a_depth_overrules_the_setting() {
        let of = |variant| ElevatedSettings { variant, depth: Depth::Protocol, ..ElevatedSettings::default() }.effective_depth();
        assert_eq!(of(ElevatedVariant::File), Depth::File);
        assert_eq!(of(ElevatedVariant::Whole), Depth::Whole);
        assert_eq!((of(ElevatedVariant::Call), of(ElevatedVariant::Int3)), (Depth::Protocol, Depth::Protocol));
    }
}
