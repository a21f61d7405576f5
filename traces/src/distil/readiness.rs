//! Readiness asked for in other ways than the program was recorded with: a read that finds nothing, and `poll`.

use super::calls::CallBlock;
use super::chains::evenly;
use super::emit::{SourceLines, UnitLines};
use super::functions::Activation;
use super::requests::CallRecord;
use super::sharing::Place;
use super::waits::{EXEMPLARS_MAX, Exemplars};
use crate::kernel_map::KernelMap;
use rustc_hash::FxHashMap;
use sim_core::block::{BlockId, Cut, Op, OpKind, Region, Span, instructions_of};
use sim_core::ids::Mode;
use sim_core::workload::PollCall;
use std::ops::Range;

/// What `poll` asks of an event descriptor, what it asks of a socket, and how it puts the task into a wait queue and takes it out.
const ASK_EVENT: &str = "eventfd_poll";
const ASK_SOCKET: &str = "sock_poll";
const QUEUE: &str = "__pollwait";
const RELEASE: &str = "remove_wait_queue";
/// Descriptors of the calls that are cut, and of those that they are compared with.
const MANY: u64 = 64;
const SOME: u64 = 16;

/// One recorded `poll` call, cut.
struct Cuts {
    block: CallBlock,
    /// Per descriptor: from its lookup to the next one's, with where it is asked and where the task is queued.
    items: Vec<[Range<usize>; 3]>,
    releases: Vec<Range<usize>>,
}

impl Cuts {
    fn new(block: CallBlock) -> Option<Cuts> {
        let kernel = KernelMap::bundled();
        let of = |name: &str| -> Vec<&Activation> {
            let symbol = kernel.symbol(name);
            block.activations.iter().filter(|one| Some(one.symbol) == symbol).collect()
        };
        let range = |one: &Activation| one.start as usize..one.end as usize;
        let (asked, queued, released) = (of(ASK_EVENT), of(QUEUE), of(RELEASE));
        // the lookup is the last function before the question that was entered from the same place
        let lookup = |asked: &Activation| {
            block.activations.iter().rfind(|one| one.depth == asked.depth && one.end <= asked.start).map(|one| one.start as usize)
        };
        let starts: Vec<usize> = asked.iter().filter_map(|one| lookup(one)).collect();
        if starts.len() != asked.len() || queued.len() != asked.len() || released.len() < 2 || starts.len() < 2 {
            return None;
        }
        let items = starts
            .windows(2)
            .zip(asked.iter().zip(&queued))
            .map(|(window, (asked, queued))| [window[0]..window[1], range(asked), range(queued)]);
        let items: Vec<_> = items.collect();
        let releases = released.windows(2).map(|window| window[0].start as usize..window[1].start as usize).collect();
        Some(Cuts { block, items, releases })
    }

    /// What lies before, between and after the descriptors: their last one, which ends differently, counts as one more.
    fn rest(&self) -> [Range<usize>; 3] {
        let (first, last) = (&self.items[0][0], &self.items[self.items.len() - 1][0]);
        let (first_release, last_release) = (&self.releases[0], &self.releases[self.releases.len() - 1]);
        let between = (last.end + last.len()).min(first_release.start);
        let after = (last_release.end + last_release.len()).min(self.block.ops.len());
        [0..first.start, between..first_release.start, after..self.block.ops.len()]
    }

    fn rest_instructions(&self) -> u32 {
        self.rest().into_iter().map(|range| instructions_of(&self.block.ops[range])).sum()
    }
}

impl Exemplars<'_, '_> {
    /// How a socket of this program answers the question for its readiness.
    pub(super) fn socket_questions(&mut self, calls: &[CallRecord], list: &mut Vec<BlockId>) {
        let waits: Vec<&CallRecord> =
            calls.iter().filter(|call| call.role == super::descriptors::Role::Readiness && call.result > 0).collect();
        let symbol = KernelMap::bundled().symbol(ASK_SOCKET);
        for index in evenly(waits.len(), EXEMPLARS_MAX) {
            let block = self.extract(waits[index]);
            let found = block.activations.iter().find(|one| Some(one.symbol) == symbol);
            if let Some(range) = found.map(|one| one.start as usize..one.end as usize) {
                self.add_piece(list, &block, range);
            }
        }
    }

    /// `poll` over any number of descriptors, out of calls with many; `None` when it was not recorded.
    pub(super) fn poll_call(&mut self, calls: &[CallRecord], asked: Vec<BlockId>) -> Option<PollCall> {
        let with = |count: u64| calls.iter().filter(move |call| call.number.name() == "poll" && call.arguments[1] == count);
        let cut = |exemplars: &Self, call: &CallRecord| Cuts::new(exemplars.extract(call));
        let many = with(MANY).find_map(|call| cut(self, call))?;
        let some = with(SOME).find_map(|call| cut(self, call))?;
        let more = many.rest_instructions().saturating_sub(some.rest_instructions());
        let mut poll = PollCall { asked, rest_instructions: more / (MANY - SOME) as u32, ..PollCall::default() };
        let [head, between, after] = some.rest();
        self.add_piece(&mut poll.head, &some.block, head);
        let tail: Vec<Op> = [&some.block.ops[between], &some.block.ops[after]].concat();
        self.per_descriptor(&mut poll.tail, &tail, &FxHashMap::default());
        let own = own_lines(&many, self.emitter.region_lines[Region::KernelConnection.index()]);
        for index in evenly(many.items.len(), EXEMPLARS_MAX) {
            let [whole, question, queue] = many.items[index].clone();
            self.per_descriptor(&mut poll.lookup, &many.block.ops[whole.start..question.start], &own);
            self.per_descriptor(&mut poll.queue, &many.block.ops[queue], &own);
            self.per_descriptor(&mut poll.put, &many.block.ops[question.end..whole.end], &own);
        }
        for index in evenly(many.releases.len(), EXEMPLARS_MAX) {
            self.per_descriptor(&mut poll.release, &many.block.ops[many.releases[index].clone()], &own);
        }
        Some(poll)
    }

    fn per_descriptor(&mut self, list: &mut Vec<BlockId>, ops: &[Op], own: &FxHashMap<u32, u32>) {
        if ops.is_empty() || list.len() >= EXEMPLARS_MAX {
            return;
        }
        let end = ops.len() as u32;
        let spans = [Cut::Handler, Cut::FileLayer].map(|cut| Span { cut, start: 0, end });
        let mut places = self.lines.places.clone();
        for (line, offset) in own {
            places.by_line[*line as usize] = Place::At(Region::KernelConnection, *offset);
        }
        let lines = SourceLines { places: &places, ..self.lines };
        list.push(self.emitter.block(lines, &mut UnitLines::default(), Mode::Kernel, ops, &spans));
    }
}

/// Data lines that belong to one descriptor only (its file, its wait queue, its entry in the table of queues), numbered from `first` on
/// in the order in which its work comes to them: the same number for the same thing of each descriptor.
fn own_lines(cuts: &Cuts, first: u32) -> FxHashMap<u32, u32> {
    let mut users: FxHashMap<u32, Option<usize>> = FxHashMap::default();
    let mut orders: Vec<Vec<u32>> = vec![Vec::new(); cuts.items.len()];
    for (item, [whole, ..]) in cuts.items.iter().enumerate() {
        let released = cuts.releases.get(item).cloned().unwrap_or(0..0);
        for op in cuts.block.ops[whole.clone()].iter().chain(&cuts.block.ops[released]) {
            if !matches!(op.kind, OpKind::Load | OpKind::Store) {
                continue;
            }
            match users.get(&op.offset) {
                None => {
                    users.insert(op.offset, Some(item));
                    orders[item].push(op.offset);
                }
                Some(Some(other)) if *other != item => {
                    users.insert(op.offset, None);
                }
                Some(_) => {}
            }
        }
    }
    let alone = |line: &u32| users[line].is_some();
    let numbered = |lines: Vec<u32>| lines.into_iter().filter(alone).zip(first..).collect::<Vec<_>>();
    orders.into_iter().flat_map(numbered).collect()
}
