//! The shared vocabulary of Ringscope: integer cycles, typed identities, the call table, blocks and workloads, the event queue,
//! the seed tree, statistics, the cycle stack and run reports. Knows nothing of CPUs, kernels or files.

pub mod block;
pub mod calls;
pub mod context;
pub mod digits;
pub mod distribution;
pub mod estimate;
pub mod event_queue;
pub mod histogram;
pub mod ids;
pub mod layout;
pub mod manifest;
pub mod nearest;
pub mod numbers;
pub mod parallel;
pub mod payload;
pub mod progress;
pub mod report;
pub mod seed;
pub mod stack;
pub mod sweep;
pub mod work_queue;
pub mod workload;
