//! User work before a call: recorded blocks of the same program where the library has it, made-up ones otherwise.

use super::copy::Copier;
use super::distil::{DistilOptions, UserWork};
use super::gaps::{self, Gaps};
use super::synthetic::{INSTRUCTIONS_MAX, Maker, Profile, round};
use super::{StraceCall, synthetic};
use rustc_hash::FxHashMap;
use sim_core::block::{BlockId, Op, Origin};
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::workload::Workload;

/// Recorded user blocks before a call, by instructions.
type Recorded = Vec<(u32, BlockId)>;

pub(super) struct UserBlocks<'a> {
    calls: &'a [StraceCall],
    gaps: &'a Gaps,
    options: &'a DistilOptions,
    base: usize,
    /// By the call before it in the request, and by the call alone.
    after: FxHashMap<(Option<CallNumber>, CallNumber), Recorded>,
    before: FxHashMap<CallNumber, Recorded>,
    /// All gaps between two calls, ascending.
    pairs: FxHashMap<(&'a str, &'a str), Vec<u64>>,
    maker: Maker,
    stretched: FxHashMap<(BlockId, u64), BlockId>,
    /// Blocks taken from recordings as they are, stretched, made up.
    pub as_recorded: u64,
    pub stretched_count: u64,
    pub made_up: u64,
    /// Instructions by the gaps, and of the blocks chosen.
    pub instructions_by_gaps: u64,
    pub instructions_chosen: u64,
}

impl<'a> UserBlocks<'a> {
    pub fn new(
        calls: &'a [StraceCall],
        gaps: &'a Gaps,
        options: &'a DistilOptions,
        library: &[&Workload],
        base: usize,
        same_program: bool,
    ) -> Self {
        let (mut after, mut before) = (FxHashMap::default(), FxHashMap::default());
        if same_program {
            (after, before) = recorded(library[base]);
        }
        let mut pairs: FxHashMap<(&str, &str), Vec<u64>> = FxHashMap::default();
        for (index, call) in calls.iter().enumerate() {
            if let (Some(previous), Some(work_ns)) = (gaps.before[index], gaps.work_ns[index]) {
                pairs.entry((&calls[previous].name, &call.name)).or_default().push(work_ns);
            }
        }
        pairs.values_mut().for_each(|values| values.sort_unstable());
        UserBlocks {
            calls,
            gaps,
            options,
            base,
            after,
            before,
            pairs,
            maker: Maker::new(Profile::of(library)),
            stretched: FxHashMap::default(),
            as_recorded: 0,
            stretched_count: 0,
            made_up: 0,
            instructions_by_gaps: 0,
            instructions_chosen: 0,
        }
    }

    /// The user block before call `index`, which follows `previous` in its request and stands at `position` in it.
    pub fn block(&mut self, copier: &mut Copier<'_>, index: usize, previous: Option<CallNumber>, position: usize) -> BlockId {
        let call = &self.calls[index];
        let by_gap = self.instructions(index);
        let recorded = call.number.and_then(|number| self.after.get(&(previous, number)).or_else(|| self.before.get(&number)));
        let block = match (recorded, self.options.user_work) {
            (Some(recorded), UserWork::Auto) => {
                let rank = self.rank(index, recorded.len());
                self.as_recorded += 1;
                copier.copy(self.base, recorded[rank].1, None)
            }
            (Some(recorded), UserWork::Gaps) => {
                let wanted = by_gap.unwrap_or_else(|| u64::from(recorded[recorded.len() / 2].0));
                let nearest = *recorded.iter().min_by_key(|(instructions, _)| u64::from(*instructions).abs_diff(wanted)).unwrap_or(&recorded[0]);
                self.stretch(copier, nearest, wanted)
            }
            _ => {
                let number = call.number.map_or(0, |number| u32::from(number.0));
                let place = (number * 131 + position as u32 * 193) % synthetic::PLACES;
                self.made_up += 1;
                self.maker.block(copier, by_gap.unwrap_or_else(|| self.median(index)), place)
            }
        };
        self.instructions_by_gaps += by_gap.unwrap_or(0);
        self.instructions_chosen += u64::from(copier.blocks.info(block).instructions);
        block
    }

    /// A made-up block for the median work before calls of one name: what a readiness call has before it.
    pub fn typical(&mut self, copier: &mut Copier<'_>, name: &str) -> BlockId {
        let mut values: Vec<u64> = self.calls.iter().enumerate().filter(|(_, c)| c.name == name).filter_map(|(i, _)| self.instructions(i)).collect();
        values.sort_unstable();
        let median = values.get(values.len() / 2).copied().unwrap_or(0);
        self.made_up += 1;
        self.maker.block(copier, median.max(1), 0)
    }

    /// Instructions in the gap before a call; `None` when the recording has no times or the task's work before it was not seen.
    fn instructions(&self, index: usize) -> Option<u64> {
        let work_ns = self.gaps.work_ns[index].filter(|_| self.options.timed)?;
        let instructions = gaps::instructions(work_ns, self.options.clock_mhz, self.options.instructions_per_cycle_milli);
        Some(instructions.min(INSTRUCTIONS_MAX))
    }

    fn median(&self, index: usize) -> u64 {
        let name = &self.calls[index].name;
        let mut values: Vec<u64> = Vec::new();
        for ((_, call), works) in &self.pairs {
            if call == name {
                values.extend(works);
            }
        }
        values.sort_unstable();
        let work_ns = values.get(values.len() / 2).copied().unwrap_or(0);
        gaps::instructions(work_ns, self.options.clock_mhz, self.options.instructions_per_cycle_milli)
    }

    /// Where the gap stands among the gaps between the same two calls, as an index into `length` blocks ordered by instructions.
    fn rank(&self, index: usize, length: usize) -> usize {
        let gap = self.gaps.before[index].zip(self.gaps.work_ns[index]);
        let Some((previous, work_ns)) = gap else { return length / 2 };
        let Some(all) = self.pairs.get(&(self.calls[previous].name.as_str(), self.calls[index].name.as_str())) else {
            return length / 2;
        };
        // Equal gaps (the clock ticks in microseconds) take the middle of their places.
        let places = all.partition_point(|other| *other < work_ns) + all.partition_point(|other| *other <= work_ns);
        (places * length / (2 * all.len())).min(length - 1)
    }

    /// A recorded block repeated or cut to a length; as it is when it is within a third of it.
    fn stretch(&mut self, copier: &mut Copier<'_>, (instructions, block): (u32, BlockId), wanted: u64) -> BlockId {
        let own = copier.copy(self.base, block, None);
        let length = u64::from(instructions);
        if length == 0 || (wanted * 4 >= length * 3 && wanted * 3 <= length * 4) {
            self.as_recorded += 1;
            return own;
        }
        self.stretched_count += 1;
        let wanted = round(wanted);
        if wanted == 0 {
            return BlockId::EMPTY;
        }
        *self.stretched.entry((own, wanted)).or_insert_with(|| {
            let ops = repeated(copier.blocks.ops(own), wanted);
            copier.blocks.push(Mode::User, Origin::Synthetic, &ops, Vec::new())
        })
    }
}

/// User blocks of a workload's steps by the calls around them.
fn recorded(workload: &Workload) -> (FxHashMap<(Option<CallNumber>, CallNumber), Recorded>, FxHashMap<CallNumber, Recorded>) {
    let (mut after, mut before): (FxHashMap<_, Recorded>, FxHashMap<_, Recorded>) = Default::default();
    for chain in workload.classes.iter().flat_map(|class| &class.chains) {
        let mut previous = None;
        for step in &chain.steps {
            let entry = (workload.blocks.info(step.user).instructions, step.user);
            if step.user != BlockId::EMPTY {
                after.entry((previous, step.call)).or_default().push(entry);
                before.entry(step.call).or_default().push(entry);
            }
            previous = Some(step.call);
        }
    }
    after.values_mut().for_each(|list| list.sort_unstable());
    before.values_mut().for_each(|list| list.sort_unstable());
    (after, before)
}

/// The ops over and over until so many instructions are there.
fn repeated(ops: &[Op], wanted: u64) -> Vec<Op> {
    let mut found = Vec::new();
    let mut instructions = 0;
    for op in ops.iter().cycle() {
        if op.kind == sim_core::block::OpKind::Fetch {
            if instructions >= wanted {
                break;
            }
            instructions += u64::from(op.count);
        }
        found.push(*op);
    }
    found
}
