//! Settings of synchronous calls.

use os_model::connection::AcceptSharing;
use serde::{Deserialize, Serialize};

/// Forms of synchronous calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncVariant {
    /// The readiness call and the threads of the recording.
    #[default]
    Recorded,
    /// Edge-triggered epoll: one event per arrival, and the program reads until it meets EAGAIN.
    EpollEdge,
    /// `poll` over all descriptors.
    Poll,
    /// A blocking thread per connection.
    Threads,
}

/// Synchronous calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncSettings {
    /// Which form of the mechanism.
    pub variant: SyncVariant,
    /// How several event loops share the listening socket; also of an elevated program.
    pub accept: AcceptSharing,
    /// With `mutex`: how long a loop without the lock sleeps before it tries again, microseconds (nginx's `accept_mutex_delay`, 500 ms).
    pub accept_mutex_delay_us: f64,
    /// User instructions from a served request back to the next read, with edge-triggered events. Guess: a loop branch, the buffer's
    /// address and room, the call of the read function.
    pub reread_instructions: u32,
    /// User instructions per descriptor to go through poll's result. Guess: a load, a test, a branch, the next index.
    pub poll_scan_instructions: u32,
}

impl Default for SyncSettings {
    fn default() -> Self {
        SyncSettings {
            variant: SyncVariant::default(),
            accept: AcceptSharing::default(),
            accept_mutex_delay_us: 500_000.0,
            reread_instructions: 30,
            poll_scan_instructions: 4,
        }
    }
}
