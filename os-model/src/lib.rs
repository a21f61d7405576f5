//! The simulated operating system: tasks and scheduler, sockets and pollers, the network card with its interrupts and softirq, and
//! the clients on the other end of the wire. It executes what a mechanism decides, and does not know how a call was issued.

pub mod action;
pub mod bind;
pub mod calls;
pub mod clients;
pub mod connection;
pub mod core_use;
pub mod kernel;
pub mod network;
pub mod stats;
pub mod system;
pub mod task;
pub mod timeline;

pub use action::{Action, Effect, Slot};
pub use kernel::{Kernel, Mitigations};
pub use system::{Driver, Next, Size, System, SystemError};
