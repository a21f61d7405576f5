//! Settings of the elevated shortcut.

use serde::{Deserialize, Serialize};

/// Forms of the elevated shortcut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElevatedVariant {
    /// Elevated code calls kernel functions.
    #[default]
    Call,
}

/// Where elevated code enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The system-call function.
    Entry,
    /// The file layer (`ksys_write`): no dispatch.
    File,
    /// The protocol (`tcp_sendmsg`): no descriptor lookup, no VFS.
    Protocol,
}

/// Elevated shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElevatedSettings {
    /// Which form of the mechanism.
    pub variant: ElevatedVariant,
    /// Where calls enter.
    pub depth: Depth,
    /// Instructions per call for the call itself and the check for pending work (rescheduling, signals) that the system-call exit
    /// would have made: a load, a test, a branch, a call and a return.
    pub glue_instructions: u32,
}

impl Default for ElevatedSettings {
    fn default() -> Self {
        ElevatedSettings { variant: ElevatedVariant::default(), depth: Depth::Entry, glue_instructions: 6 }
    }
}
