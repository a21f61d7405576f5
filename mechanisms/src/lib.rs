//! The five ways of issuing system calls, and the experiments that compare them.

pub mod advice;
pub mod assemble;
pub mod batched_script;
pub mod close_up;
pub mod compare;
pub mod elevated;
pub mod exception_less;
pub mod experiment;
pub mod gain;
pub mod in_kernel;
pub mod io_uring;
pub mod issue;
pub mod program;
pub mod progress;
pub mod refinement;
pub mod registry;
pub mod replay;
mod rows;
pub mod settings;
pub mod simulate;
pub mod study;
pub mod sweep;
pub mod under_kernel;
pub mod variants;
