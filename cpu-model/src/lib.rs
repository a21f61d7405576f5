//! The processor: machine descriptions, caches, TLBs, page walks, branch structures, prefetch, coherence between cores, the interval
//! core that turns ops into cycles, crossing costs, the evictor ledger and the shadow. Knows nothing of tasks or handlers.
//!
//! [`Machine`] describes a processor; [`Cpu`] is one with some of its cores, driven op slice by op slice with [`Cpu::run`]. Everything
//! that lets cycles pass names one component of the core's cycle stack, so that the stack sums to the clock exactly.
//!
//! | file | idea |
//! |---|---|
//! | `machine`, `machine_check`, `error` | the RON description, its limits, what can be wrong |
//! | `level`, `slots`, `order`, `paged` | set-associative structures: where a key is or who pushed it out, what goes next, sparse tables |
//! | `frames` | pages, frames, page-table lines |
//! | `hierarchy`, `below`, `directory`, `tlb`, `branch`, `prefetch` | the structures, without time |
//! | `timing`, `crossing` | what waits for what |
//! | `ledger`, `shadow`, `counters` | what is counted |
//! | `cpu`, `run`, `hits` | the interface, what executes one op, the loop over ops that hit everywhere |

mod below;
mod branch;
mod contents;
mod counters;
mod cpu;
mod crossing;
mod directory;
mod error;
mod frames;
mod hierarchy;
mod hits;
mod ledger;
mod level;
mod machine;
mod machine_check;
mod order;
mod paged;
mod passes;
mod prefetch;
mod run;
mod shadow;
mod slots;
mod timing;
mod tlb;

pub use counters::{AgentCounters, Counters, ModeCounters, Structure};
pub use cpu::{Cpu, CpuOptions};
pub use crossing::CrossingKind;
pub use error::MachineError;
pub use ledger::{LedgerRow, LedgerSummary, VictimLedger};
pub use machine::{
    BranchSpec, CacheSpec, CopySpec, CrossingSpec, Exposure, Facts, Holds, Machine, PrefetchSpec, Replacement, SharedCacheSpec,
    SharedPolicy, TlbSpec, WalkSpec,
};
pub use shadow::{Shadow, ShadowRow};
