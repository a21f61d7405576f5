//! All tests of the mechanisms in one program: each file is a module.

mod captured;
mod close_up;
mod common;
mod contract;
mod deviations;
mod elevated;
mod exception_less;
mod exception_less_variants;
mod in_kernel;
mod interrupted;
mod invariants;
mod io_uring;
mod load_steps;
mod refinement;
mod scripts;
mod sessions;
mod sweep;
mod synchronous;
