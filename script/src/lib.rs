//! Scripts that run in the kernel: real Lua under LuaJIT, in a sandbox, with bindings for system calls.
//!
//! A script runs as a coroutine. Each call of a binding hands the call out to whoever runs the script (the simulated kernel), which
//! resumes it with what the call returned. Instructions are counted exactly, and the same in every run. What a call costs is not known
//! here.

pub mod bindings;
pub mod bundled;
pub mod check;
pub mod engine;
pub mod failure;
mod lexer;
mod order;
mod sandbox;
mod stub;
pub mod value;

pub use engine::{Answer, Call, CallKind, Engine, Invocation, Limits, Step};
pub use failure::{Failure, FailureKind, LoadError};
pub use value::Value;

/// The entry point that a script offers for a program with nothing to do.
pub const WAIT: &str = "wait";

/// The entry point for requests whose next calls are due.
pub const WORK: &str = "work";
