//! Typed identities and units that every other crate speaks.

use serde::{Deserialize, Serialize};

/// Simulated processor cycles. All simulated time is an integer number of cycles of the machine's clock.
pub type Cycles = u64;

/// A 64-byte line of the simulated address space: an address divided by 64.
///
/// The simulated space is compact: at most [`MAX_LINE`] lines (64 GiB), so that tag arrays can hold 32-bit tags with two flag bits.
/// Raw captured addresses reach it through [`crate::layout::AddressMap`].
pub type Line = u32;

/// Lines are below this number: the two upper bits of a 32-bit tag are free for flags.
pub const MAX_LINE: Line = 1 << 30;

/// Bytes in a line.
pub const LINE_BYTES: u64 = 64;

/// Lines in a 4 KiB page.
pub const PAGE_LINES: u32 = 64;

/// Lines in a *chunk* of 2 MiB: the unit in which the simulated address space is handed out and in which its page size is known.
pub const CHUNK_LINES: u32 = 1 << 15;

/// A core of the simulated machine, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CoreId(pub u16);

impl CoreId {
    /// The core as an index into per-core arrays.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A task of the simulated system (user thread, syscall thread, kernel thread, recorded client).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The task as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A client connection (or, for datagrams, one client's slot), from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The connection as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Processor mode, as a privilege-filtered hardware counter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Ring 3.
    User,
    /// Ring 0: kernel, interrupts, softirqs; also application code that runs elevated.
    Kernel,
}

impl Mode {
    /// Both modes, in report order.
    pub const ALL: [Mode; 2] = [Mode::User, Mode::Kernel];

    /// 0 for user, 1 for kernel.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Lower-case name as used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Mode::User => "user",
            Mode::Kernel => "kernel",
        }
    }
}
