//! Settings of synchronous calls.

use serde::{Deserialize, Serialize};

/// Forms of synchronous calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncVariant {
    /// The readiness call and the threads of the recording.
    #[default]
    Recorded,
}

/// Synchronous calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncSettings {
    /// Which form of the mechanism.
    pub variant: SyncVariant,
}
