//! Variants of the mechanisms: names, what they are, where they come from. A new variant is one value of its mechanism's enum in
//! `settings/`, its code, and one line here; the names on the command line, the lists and the contract tests follow.

use crate::registry::{ALL as MECHANISMS, Mechanism, UnknownMechanism};
use crate::settings::MechanismSettings;
use serde::de::DeserializeOwned;
use sim_core::workload::Workload;

/// A variant of a mechanism.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// Name in `mechanism:variant` and in the settings.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The paper or system it follows.
    pub source: &'static str,
}

const fn variant(mechanism: Mechanism, name: &'static str, summary: &'static str, source: &'static str) -> Variant {
    Variant { mechanism, name, summary, source }
}

/// All variants, by mechanism; each mechanism's first is its default.
#[rustfmt::skip]
pub const VARIANTS: &[Variant] = &[
    variant(Mechanism::Sync, "recorded", "the readiness call and the threads of the recording", "stock Linux"),
    variant(Mechanism::Sync, "epoll-edge", "edge-triggered epoll: one event per arrival, and reads until EAGAIN", "stock Linux, epoll(7)"),
    variant(Mechanism::Sync, "poll", "poll over all descriptors: its work grows with their number", "stock Linux, poll(2)"),
    variant(Mechanism::Sync, "threads", "a blocking thread per connection", "stock Linux"),
    variant(Mechanism::ExceptionLess, "pages", "syscall pages that syscall threads scan, under an event library", "FlexSC (OSDI'10), libflexsc (ATC'11)"),
    variant(Mechanism::ExceptionLess, "queues", "two message queues instead of scanned pages", "libflexsc (ATC'11), section 7"),
    variant(Mechanism::ExceptionLess, "epoll", "the event loop stays and posts its calls, the readiness call included", "libflexsc (ATC'11), section 7"),
    variant(Mechanism::ExceptionLess, "non-blocking", "one syscall thread a core; calls that wait are continuations", "libflexsc (ATC'11), section 7"),
    variant(Mechanism::ExceptionLess, "threads", "FlexSC-Threads: a user-level scheduler a core under threads that make blocking calls", "FlexSC (OSDI'10)"),
    variant(Mechanism::ExceptionLess, "io-uring", "submission and completion rings, one io_uring_enter per batch", "io_uring (Linux 5.1 and later; recorded on 6.1)"),
    variant(Mechanism::ExceptionLess, "io-uring-poll-same-core", "rings that a kernel thread on the program's own core polls", "io_uring, IORING_SETUP_SQPOLL"),
    variant(Mechanism::ExceptionLess, "io-uring-poll-other-core", "rings that a kernel thread on another core polls", "io_uring, IORING_SETUP_SQPOLL with IORING_SETUP_SQ_AFF"),
    variant(Mechanism::BatchedScript, "script", "a Lua script in the kernel makes the calls; the program works between its invocations", "lua_syscall (Koomsin, Shinjo)"),
    variant(Mechanism::BatchedScript, "multi-call", "a vector of a request's calls in one crossing; none may need another's result", "multi-calls (Xen's multicall, Rajagopalan et al.)"),
    variant(Mechanism::BatchedScript, "looped-multi-call", "the vectors of all requests that are ready in one crossing", "looped multi-calls (Rajagopalan et al.)"),
    variant(Mechanism::BatchedScript, "message-batch", "one call receives or sends the messages of many requests on a datagram socket", "recvmmsg, sendmmsg (Linux)"),
    variant(Mechanism::BatchedScript, "io-uring-enter", "an event loop that batches the calls of all ready connections into one io_uring_enter", "io_uring (Linux 5.1 and later; recorded on 6.1)"),
    variant(Mechanism::InKernelDsl, "wyki", "a service written in WYKI answers the bytes of the requests in the receive softirq", "WYKIWYG (Bhatia, Consel)"),
    variant(Mechanism::InKernelDsl, "recorded", "the service executes the program's recorded user work in the receive softirq", "WYKIWYG; eBPF today"),
    variant(Mechanism::ElevatedShortcut, "call", "elevated code calls kernel functions", "chronokernel; Kernel Mode Linux, UKL"),
    variant(Mechanism::ElevatedShortcut, "whole", "by call, the kernel's entry and exit code included: what the crossings alone cost", "study of the model"),
    variant(Mechanism::ElevatedShortcut, "file", "by call, at the file or socket layer", "chronokernel"),
    variant(Mechanism::ElevatedShortcut, "protocol", "by call, at the protocol: no descriptor lookup, no file layer", "chronokernel"),
    variant(Mechanism::ElevatedShortcut, "int3", "each call reaches the kernel function through an INT3 probe", "early chronokernel; kprobes"),
];

/// A way of issuing calls: a mechanism, and a variant of it when it is not the one that the settings choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The variant's name; `None`: as the settings say.
    pub variant: Option<&'static str>,
}

impl From<Mechanism> for Way {
    fn from(mechanism: Mechanism) -> Way {
        Way { mechanism, variant: None }
    }
}

/// A way that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownWay {
    /// The mechanism.
    #[error(transparent)]
    Mechanism(#[from] UnknownMechanism),
    /// The variant.
    #[error("mechanism {mechanism} has no variant '{name}'; it has: {known}")]
    Variant {
        /// The mechanism.
        mechanism: &'static str,
        /// What was asked for.
        name: String,
        /// The mechanism's variants.
        known: String,
    },
}

/// The variants of a mechanism.
pub fn of(mechanism: Mechanism) -> impl Iterator<Item = &'static Variant> {
    VARIANTS.iter().filter(move |variant| variant.mechanism == mechanism)
}

/// All names that [`Way::from_name`] takes: mechanisms, then `mechanism:variant`.
pub fn names() -> Vec<String> {
    let full = VARIANTS.iter().map(|variant| format!("{}:{}", variant.mechanism.name(), variant.name));
    MECHANISMS.iter().map(|entry| entry.name.to_owned()).chain(full).collect()
}

impl Way {
    /// The baseline of comparisons.
    pub const BASELINE: Way = Way { mechanism: Mechanism::BASELINE, variant: None };

    /// By `mechanism` or `mechanism:variant`.
    ///
    /// # Errors
    /// With all known names.
    pub fn from_name(name: &str) -> Result<Way, UnknownWay> {
        let (mechanism, wanted) = name.split_once(':').map_or((name, None), |(mechanism, variant)| (mechanism, Some(variant)));
        let mechanism = Mechanism::from_name(mechanism)?;
        let Some(wanted) = wanted else { return Ok(Way { mechanism, variant: None }) };
        match of(mechanism).find(|variant| variant.name == wanted) {
            Some(variant) => Ok(Way { mechanism, variant: Some(variant.name) }),
            None => Err(UnknownWay::Variant {
                mechanism: mechanism.name(),
                name: wanted.into(),
                known: of(mechanism).map(|variant| variant.name).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// `mechanism` or `mechanism:variant`.
    pub fn name(self) -> String {
        match self.variant {
            Some(variant) => format!("{}:{variant}", self.mechanism.name()),
            None => self.mechanism.name().to_owned(),
        }
    }

    /// Puts the variant into the settings.
    pub fn apply(self, settings: &mut MechanismSettings) {
        let Some(name) = self.variant else { return };
        match self.mechanism {
            Mechanism::Sync => choose(&mut settings.sync.variant, name),
            Mechanism::ExceptionLess => choose(&mut settings.exception_less.variant, name),
            Mechanism::BatchedScript => choose(&mut settings.batched_script.variant, name),
            Mechanism::InKernelDsl => choose(&mut settings.in_kernel_dsl.variant, name),
            Mechanism::ElevatedShortcut => choose(&mut settings.elevated_shortcut.variant, name),
        }
    }

    /// This way, or, where the settings leave the variant open and the default cannot run the workload, the mechanism's next variant that
    /// can (an in-kernel service falls back on the recorded user work when nobody knows the requests' bytes).
    #[must_use]
    pub fn resolved(self, workload: &Workload, settings: &MechanismSettings) -> Way {
        if self.variant.is_some() || self.inapplicable(workload, settings).is_none() {
            return self;
        }
        let current = self.variant_under(settings);
        let others = of(self.mechanism).filter(|variant| variant.name != current);
        let mut ways = others.map(|variant| Way { mechanism: self.mechanism, variant: Some(variant.name) });
        ways.find(|way| way.inapplicable(workload, settings).is_none()).unwrap_or(self)
    }

    /// Why this way cannot run the workload, if it cannot.
    pub fn inapplicable(self, workload: &Workload, settings: &MechanismSettings) -> Option<String> {
        let mut own = settings.clone();
        self.apply(&mut own);
        self.mechanism.inapplicable(workload, &own)
    }

    /// The variant that runs under these settings, when it is not the mechanism's default.
    pub fn named_under(self, settings: &MechanismSettings) -> Option<String> {
        let name = self.variant_under(settings);
        let default = of(self.mechanism).next().map(|variant| variant.name);
        (Some(name.as_str()) != default).then_some(name)
    }

    /// The variant that runs under these settings.
    pub fn variant_under(self, settings: &MechanismSettings) -> String {
        if let Some(name) = self.variant {
            return name.to_owned();
        }
        let value = match self.mechanism {
            Mechanism::Sync => serde_json::to_value(settings.sync.variant),
            Mechanism::ExceptionLess => serde_json::to_value(settings.exception_less.variant),
            Mechanism::BatchedScript => serde_json::to_value(settings.batched_script.variant),
            Mechanism::InKernelDsl => serde_json::to_value(settings.in_kernel_dsl.variant),
            Mechanism::ElevatedShortcut => serde_json::to_value(settings.elevated_shortcut.variant),
        };
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Names of [`VARIANTS`] are the enums' own serialised names (a test checks it), so that settings files and options agree.
fn choose<V: DeserializeOwned>(field: &mut V, name: &str) {
    if let Ok(value) = serde_json::from_value(serde_json::Value::String(name.to_owned())) {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_a_value_of_its_setting_and_the_first_is_the_default() {
        for entry in VARIANTS {
            let way = Way::from_name(&format!("{}:{}", entry.mechanism.name(), entry.name)).unwrap();
            let mut settings = MechanismSettings::default();
            way.apply(&mut settings);
            let chosen = Way::from(entry.mechanism).variant_under(&settings);
            assert_eq!(chosen, entry.name, "{}", entry.mechanism.name());
        }
        for description in MECHANISMS {
            let first = of(description.mechanism).next().unwrap().name;
            assert_eq!(Way::from(description.mechanism).variant_under(&MechanismSettings::default()), first);
        }
    }

    #[test]
    fn unknown_variants_name_the_known_ones() {
        let error = Way::from_name("exception-less:nothing").unwrap_err().to_string();
        assert!(error.contains("has no variant 'nothing'") && error.contains("pages"), "{error}");
    }
}
