//! Calls that do nothing, in the loop itself and under nested functions: how much a call costs, and how many returns after it go wrong
//! because the kernel has used or cleared the return stack.

use super::Bench;
use crate::code::{Bottom, Code};
use crate::error::HostError;
pub use crate::names::null_call::{GETPPID_CALL, GETUID_CALL, INVALID_NUMBER, NO_CALL};
use crate::series::{Label, Series};
use crate::syscall::{GETPPID, GETUID, INVALID};

/// Depths under which calls are made.
pub const DEPTHS: [u64; 14] = [0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32];
/// Deeper, to find the end of the return stack.
const DEPTHS_WITHOUT_CALL: [u64; 8] = [33, 34, 36, 40, 44, 48, 56, 64];
/// Calls of one short run: under a tenth of a millisecond, over a thousand steps of the clock.
const CALLS: u64 = 256;

/// Measures all four.
///
/// # Errors
/// Code may not be made, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let without: Vec<u64> = DEPTHS.into_iter().chain(DEPTHS_WITHOUT_CALL).collect();
    let ladders: [(&str, &[u64], Bottom); 4] = [
        (NO_CALL, &without, Bottom::Nothing),
        (INVALID_NUMBER, &DEPTHS, Bottom::SystemCall(INVALID)),
        (GETUID_CALL, &DEPTHS, Bottom::SystemCall(GETUID)),
        (GETPPID_CALL, &DEPTHS, Bottom::SystemCall(GETPPID)),
    ];
    let ladder = |(name, depths, bottom): (&str, &[u64], Bottom)| {
        let label = Label { name, axis: "nested functions", unit: "cycles" };
        bench.series(label, depths, |depth, _| {
            let code = Code::nested_calls(depth as u32, bottom)?;
            code.run(CALLS);
            Ok(bench.quietest(CALLS, || code.run(CALLS)))
        })
    };
    ladders.into_iter().map(ladder).collect()
}
