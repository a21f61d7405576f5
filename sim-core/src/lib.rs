//! The shared vocabulary of Ringscope: integer cycles, typed identities, the call table, blocks and workloads, the event queue,
//! the seed tree, statistics, the cycle stack and run reports. Knows nothing of CPUs, kernels or files.

pub mod block;
pub mod calls;
pub mod context;
pub mod ids;
pub mod layout;
pub mod stack;
pub mod workload;
