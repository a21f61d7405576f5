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
use sim_core::workload::{Step, Workload};

/// Recorded user work between two calls, ascending by instructions; several blocks where the base makes calls in between that the
/// recording does not.
type Recorded = Vec<(u32, Vec<BlockId>)>;

/// Positions in a request before which made-up work has code of its own; in longer ones (runs of sequential programs) the rest shares
/// code by call, as loops do.
const DISTINCT_POSITIONS: usize = 16;

pub(super) struct UserBlocks<'a> {
    calls: &'a [StraceCall],
    gaps: &'a Gaps,
    options: &'a DistilOptions,
    base: usize,
    /// The base's chains, when it is the same program: call and user block of each step.
    chains: Vec<Vec<(CallNumber, u32, BlockId)>>,
    /// Recorded work between two calls, looked up in the chains when first asked for.
    between: FxHashMap<(Option<CallNumber>, CallNumber), Recorded>,
    joined: FxHashMap<Vec<BlockId>, BlockId>,
    /// All gaps between two calls, ascending.
    pairs: FxHashMap<(&'a str, &'a str), Vec<u64>>,
    maker: Maker,
    stretched: FxHashMap<(BlockId, u64), BlockId>,
    /// Blocks taken from recordings as they are, stretched, made up.
    pub as_recorded: u64,
    pub stretched_count: u64,
    pub made_up: u64,
    /// Median instructions of the library's user blocks: the length of made-up work when the recording has no times.
    pub typical_instructions: u64,
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
        let chains = if same_program { chains(library[base]) } else { Vec::new() };
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
            chains,
            between: FxHashMap::default(),
            joined: FxHashMap::default(),
            pairs,
            maker: Maker::new(Profile::of(library)),
            stretched: FxHashMap::default(),
            as_recorded: 0,
            stretched_count: 0,
            made_up: 0,
            typical_instructions: typical_instructions(library),
            instructions_by_gaps: 0,
            instructions_chosen: 0,
        }
    }

    /// The user block before call `index`, which follows `previous` in its request and stands at `position` in it.
    pub fn block(&mut self, copier: &mut Copier<'_>, index: usize, previous: Option<CallNumber>, position: usize) -> BlockId {
        let call = &self.calls[index];
        let by_gap = self.instructions(index);
        let recorded = call.number.map_or_else(Recorded::new, |number| {
            let chains = &self.chains;
            self.between.entry((previous, number)).or_insert_with(|| between(chains, previous, number)).clone()
        });
        let block = match (recorded.as_slice(), self.options.user_work) {
            ([_, ..], UserWork::Auto) => {
                self.as_recorded += 1;
                self.join(copier, &recorded[self.rank(index, recorded.len())].1)
            }
            ([first, ..], UserWork::Gaps) => {
                let wanted = by_gap.unwrap_or_else(|| u64::from(recorded[recorded.len() / 2].0));
                let nearest = recorded.iter().min_by_key(|(instructions, _)| u64::from(*instructions).abs_diff(wanted));
                let (instructions, blocks) = nearest.unwrap_or(first);
                self.stretch(copier, *instructions, blocks, wanted)
            }
            _ => {
                let number = call.number.map_or(0, |number| u32::from(number.0));
                let place = (number * 131 + position.min(DISTINCT_POSITIONS) as u32 * 193) % synthetic::PLACES;
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
        let named = self.calls.iter().enumerate().filter(|(_, call)| call.name == name);
        let mut values: Vec<u64> = named.filter_map(|(index, _)| self.instructions(index)).collect();
        values.sort_unstable();
        let median = values.get(values.len() / 2).copied().unwrap_or(self.typical_instructions);
        self.made_up += 1;
        self.maker.block(copier, median.max(1), 0)
    }

    /// Instructions in the gap before a call; `None` when the recording has no times or the task's work before it was not seen.
    fn instructions(&self, index: usize) -> Option<u64> {
        let work_ns = self.gaps.work_ns[index].filter(|_| self.options.timed)?;
        let instructions = gaps::instructions(work_ns, self.options.clock_mhz, self.options.instructions_per_cycle_milli);
        Some(instructions.min(INSTRUCTIONS_MAX))
    }

    /// What stands in for a gap that was not seen: the median before calls of the name.
    fn median(&self, index: usize) -> u64 {
        if !self.options.timed {
            return self.typical_instructions;
        }
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

    /// One block of the base, or several after one another.
    fn join(&mut self, copier: &mut Copier<'_>, blocks: &[BlockId]) -> BlockId {
        if let [one] = blocks {
            return copier.copy(self.base, *one, None);
        }
        if let Some(done) = self.joined.get(blocks) {
            return *done;
        }
        let mut ops = Vec::new();
        for block in blocks {
            let copied = copier.copy(self.base, *block, None);
            ops.extend_from_slice(copier.blocks.ops(copied));
        }
        let joined = copier.blocks.push(Mode::User, Origin::Recorded, &ops, Vec::new());
        self.joined.insert(blocks.to_vec(), joined);
        joined
    }

    /// Recorded work repeated or cut to a length; as it is when it is within a third of it.
    fn stretch(&mut self, copier: &mut Copier<'_>, instructions: u32, blocks: &[BlockId], wanted: u64) -> BlockId {
        let own = self.join(copier, blocks);
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

/// Median instructions of the user blocks in the steps of the workloads; 1 when there are none.
fn typical_instructions(library: &[&Workload]) -> u64 {
    let mut all: Vec<u32> = Vec::new();
    for workload in library {
        let steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        all.extend(steps.filter(|step| step.user != BlockId::EMPTY).map(|step| workload.blocks.info(step.user).instructions));
    }
    all.sort_unstable();
    all.get(all.len() / 2).map_or(1, |median| u64::from(*median))
}

fn chains(workload: &Workload) -> Vec<Vec<(CallNumber, u32, BlockId)>> {
    let entry = |step: &Step| (step.call, workload.blocks.info(step.user).instructions, step.user);
    let chains = workload.classes.iter().flat_map(|class| &class.chains);
    chains.map(|chain| chain.steps.iter().map(entry).collect()).collect()
}

/// The user work in the chains from `previous` (or the beginning) to the next `call`. Calls in between are jumped over with their
/// work kept: a program that remembers what it looked up (nginx's file cache) leaves out the calls, not the handling around them.
/// Where no chain has the two in this order, the work right before `call`.
fn between(chains: &[Vec<(CallNumber, u32, BlockId)>], previous: Option<CallNumber>, call: CallNumber) -> Recorded {
    let mut found: Recorded = Vec::new();
    for chain in chains {
        let starts: Vec<usize> = match previous {
            None => vec![0],
            Some(previous) => (0..chain.len()).filter(|place| chain[*place].0 == previous).map(|place| place + 1).collect(),
        };
        let stretch = |start: usize| {
            let end = start + chain[start..].iter().position(|(own, _, _)| *own == call)?;
            Some(&chain[start..=end])
        };
        if let Some(shortest) = starts.into_iter().filter_map(stretch).min_by_key(|steps| steps.len()) {
            let blocks: Vec<BlockId> =
                shortest.iter().map(|(_, _, block)| *block).filter(|block| *block != BlockId::EMPTY).collect();
            let instructions = shortest.iter().map(|(_, instructions, _)| instructions).sum();
            found.push((instructions, blocks));
        }
    }
    if found.is_empty() {
        let own = chains.iter().flatten().filter(|(own, _, block)| *own == call && *block != BlockId::EMPTY);
        found.extend(own.map(|(_, instructions, block)| (*instructions, vec![*block])));
    }
    found.retain(|(_, blocks)| !blocks.is_empty());
    found.sort();
    found
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
