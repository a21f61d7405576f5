//! Settings of in-kernel services.

use serde::{Deserialize, Serialize};

/// Forms of in-kernel services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InKernelVariant {
    /// The service executes the program's recorded user work in the receive softirq.
    #[default]
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
}

impl Default for InKernelSettings {
    fn default() -> Self {
        InKernelSettings { variant: InKernelVariant::default(), dispatch_instructions: 60, call_instructions: 10 }
    }
}
