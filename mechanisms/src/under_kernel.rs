//! A workload under a kernel on which it was not recorded: kernel blocks scaled to the work that is known of that kernel.

use os_model::Kernel;
use os_model::kernel::CallWork;
use rustc_hash::FxHashMap;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::workload::{Certainty, Note, Step, Workload};
use std::borrow::Cow;
use traces::scale::{UNCHANGED, scaled};

/// Factors of a call's work that are believed: anything outside says that the recording shows another call.
const FACTORS_PERMILLE: std::ops::RangeInclusive<u64> = 50..=20_000;

/// The call of the library's null calls.
const NULL_CALL: &str = "getppid";

/// The workload with the kernel work of `kernel`. What the workload itself states of that kernel comes first and holds for all kernel
/// blocks; otherwise published calls get their published instructions and everything else the kernel's general factor.
pub fn under_kernel<'a>(workload: &'a Workload, kernel: &Kernel) -> Cow<'a, Workload> {
    let stated = workload.stated_kernel_work.iter().find(|work| work.kernel == kernel.name);
    let general = stated.map_or(kernel.work.permille, |work| work.permille);
    let by_call = if stated.is_some() { FxHashMap::default() } else { call_factors(workload, &kernel.work.calls) };
    let null_calls = null_call_factors(workload, &kernel.work.calls);
    if general == UNCHANGED && by_call.is_empty() && null_calls.is_empty() {
        return Cow::Borrowed(workload);
    }
    let mut of_blocks: FxHashMap<BlockId, u32> = steps(workload)
        .chain(workload.connection.steps())
        .filter_map(|step| Some((step.kernel, *by_call.get(&step.call)?)))
        .collect();
    of_blocks.extend(null_calls);
    let mut made = scaled(workload, |id| match workload.blocks.info(id).mode {
        Mode::User => UNCHANGED,
        Mode::Kernel => of_blocks.get(&id).copied().unwrap_or(general),
    });
    // what was stated is in the blocks now
    made.stated_kernel_work.clear();
    let source = stated.map_or(kernel.source.as_str(), |work| work.source.as_str());
    let text = format!("kernel work scaled to {}: {general} thousandths of the recorded ({source})", kernel.name);
    made.notes.push(Note { certainty: Certainty::Guessed, text, count: 1 });
    Cow::Owned(made)
}

fn steps(workload: &Workload) -> impl Iterator<Item = &Step> {
    workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps)
}

/// Thousandths by call: published instructions / mean instructions of the workload's executions of the call.
fn call_factors(workload: &Workload, published: &[CallWork]) -> FxHashMap<CallNumber, u32> {
    let mut factors = FxHashMap::default();
    for work in published {
        let calls: Vec<CallNumber> = work.calls.iter().filter_map(|name| CallNumber::from_name(name)).collect();
        let means: Option<Vec<u64>> = calls.iter().map(|call| mean_instructions(workload, *call)).collect();
        let recorded: u64 = means.unwrap_or_default().iter().sum();
        if recorded == 0 {
            continue;
        }
        let factor = u64::from(work.instructions) * 1000 / recorded;
        if FACTORS_PERMILLE.contains(&factor) {
            factors.extend(calls.into_iter().map(|call| (call, factor as u32)));
        }
    }
    factors
}

/// Thousandths of the library's null calls, which stand for the entry and exit of any call: a fact of the kernel, whatever the workload.
fn null_call_factors(workload: &Workload, published: &[CallWork]) -> Vec<(BlockId, u32)> {
    let Some(work) = published.iter().find(|work| work.calls == [NULL_CALL]) else { return Vec::new() };
    let recorded = |id: &BlockId| workload.blocks.info(*id).instructions.max(1);
    let blocks = workload.kernel.null_call.iter();
    blocks.map(|id| (*id, (u64::from(work.instructions) * 1000 / u64::from(recorded(id))) as u32)).collect()
}

fn mean_instructions(workload: &Workload, call: CallNumber) -> Option<u64> {
    let blocks = steps(workload).filter(|step| step.call == call).map(|step| workload.blocks.info(step.kernel).instructions);
    let (sum, count) = blocks.fold((0, 0), |(sum, count), instructions| (sum + u64::from(instructions), count + 1));
    (count > 0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::workload::StatedKernelWork;
    use traces::call_loop::CallLoop;
    use traces::synthetic::{Shape, server};

    fn kernel_instructions(workload: &Workload) -> f64 {
        let infos = (1..workload.blocks.len()).map(|index| workload.blocks.info(BlockId(index as u32)));
        infos.filter(|info| info.mode == Mode::Kernel).map(|info| f64::from(info.instructions)).sum()
    }

    #[test]
    fn the_recorded_kernel_changes_nothing() {
        let workload = server(Shape::default());
        assert!(matches!(under_kernel(&workload, &Kernel::preset("linux-6.1").unwrap()), Cow::Borrowed(_)));
    }

    #[test]
    fn a_published_call_gets_its_instructions_and_the_rest_the_general_factor() {
        let kernel = Kernel::preset("linux-2.6.33").unwrap();
        let workload = CallLoop::of_call("pwrite64").unwrap().load().unwrap();
        let made = under_kernel(&workload, &kernel);
        let mean = mean_instructions(&made, CallNumber::from_name("pwrite64").unwrap()).unwrap() as f64;
        assert!((mean / 5689.0 - 1.0).abs() < 0.05, "{mean}");
        let tick = |workload: &Workload| f64::from(workload.blocks.info(workload.kernel.tick[0]).instructions);
        let null = |workload: &Workload| f64::from(workload.blocks.info(workload.kernel.null_call[0]).instructions);
        assert!((null(&made) / 80.0 - 1.0).abs() < 0.3, "{} of {}", null(&made), null(&workload));
        assert!((tick(&made) / tick(&workload) / 0.857 - 1.0).abs() < 0.15, "{} {}", tick(&made), tick(&workload));
    }

    #[test]
    fn what_a_workload_states_comes_first() {
        let kernel = Kernel::preset("linux-2.6.33").unwrap();
        let mut workload = server(Shape { kernel_lines: 800, ..Shape::default() });
        workload.stated_kernel_work.push(StatedKernelWork { kernel: kernel.name.clone(), permille: 600, source: "test".into() });
        let made = under_kernel(&workload, &kernel);
        let ratio = kernel_instructions(&made) / kernel_instructions(&workload);
        assert!((ratio - 0.6).abs() < 0.05, "{ratio}");
        // prepared once, prepared for good
        assert!(made.stated_kernel_work.is_empty());
    }
}
