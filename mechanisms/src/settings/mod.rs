//! What each mechanism can be set to. Every number names its source or says that it is a guess; `--set mechanism.…` changes it.

mod batched_script;
mod elevated;
mod exception_less;
mod in_kernel;
mod io_uring;
mod synchronous;

pub use batched_script::{BatchedScriptSettings, BatchedScriptVariant, Code};
pub use elevated::{DeferredWork, Depth, ElevatedSettings, ElevatedThreads, ElevatedVariant, KernelPreemption};
pub use exception_less::{ExceptionLessError, ExceptionLessSettings, ExceptionLessVariant, FEWEST_ENTRIES, KernelCoreWait};
pub use in_kernel::{InKernelSettings, InKernelVariant};
pub use io_uring::{IoUringSettings, Punted, TaskRun};
pub use synchronous::{SyncSettings, SyncVariant};

use serde::{Deserialize, Serialize};

/// Settings of all mechanisms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MechanismSettings {
    /// Synchronous calls.
    pub sync: SyncSettings,
    /// Exception-less calls.
    pub exception_less: ExceptionLessSettings,
    /// Batched scripts.
    pub batched_script: BatchedScriptSettings,
    /// In-kernel services.
    pub in_kernel_dsl: InKernelSettings,
    /// io_uring, in the variants of other mechanisms that use it.
    pub io_uring: IoUringSettings,
    /// Elevated shortcut.
    pub elevated_shortcut: ElevatedSettings,
}
