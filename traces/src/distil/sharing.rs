//! Which region each captured line belongs to: by address first, by who shares it where addresses say nothing.
//!
//! The rules are those of MODEL.md section 3. A *unit* is one recorded request with everything done for it.

use super::maps::{UserClass, UserMaps};
use super::recording::Recording;
use crate::capture::stream::is_kernel;
use crate::kernel_map::{DataClass, KernelMap, STACK_LINES};
use rustc_hash::FxHashMap;
use sim_core::block::{OpKind, Region};

/// Share of units whose first access to a recycled line is a store, in percent (EVIDENCE.md: "in at least 80 % of units").
const STORE_FIRST_PERCENT: u32 = 80;
/// Share of units that touch a recycled line, in percent (EVIDENCE.md: "at least 25 % of units touch it").
const POOL_UNITS_PERCENT: u32 = 25;
/// Share of its connection's units that touch a line of the connection. Below that a line touched for one connection only may be
/// chance: with 16 connections every sixteenth line touched twice is.
const CONNECTION_UNITS_PERCENT: u32 = 25;
/// A cache's item lines are touched in at most this share of units, in percent: with many keys each is asked for rarely.
const ITEM_UNITS_PERCENT: u32 = 5;
/// A line of several connections touched in fewer units than this share, in percent, is recycled memory whichever way it is first touched:
/// buffers and open files rotate through a free list. In the bundled captures such lines are touched in 1 to 13 % of the units, then
/// nothing up to 23 %, where the task's lines of rarer paths begin.
const ROTATING_UNITS_PERCENT: u32 = 18;
/// Share of later accesses that must find old content for a line to outlive the steps of its request, in percent.
const PERSISTENT_PERCENT: u32 = 50;
/// Lines per 4 KiB page.
const PAGE_LINES: u64 = 64;

/// One step of a unit.
#[derive(Clone, Debug)]
pub(super) struct UnitStep {
    /// Call number, or one of the numbers above 0xff00 for work outside calls.
    pub context: u16,
    /// Pieces of recorded ops.
    pub pieces: Vec<(u32, u32)>,
}

/// Context of user code in a signature.
pub(super) const USER_CONTEXT: u16 = 0xff01;
/// Context of softirq work in a signature.
pub(super) const SOFTIRQ_CONTEXT: u16 = 0xff02;

/// A request with everything done for it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub connection: u32,
    pub task: u32,
    pub steps: Vec<UnitStep>,
}

/// How the program shares lines; decides which rules apply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SharingModel {
    /// No units: everything that addresses do not decide is shared.
    pub sequential: bool,
    /// Connections carry one request each: what belongs to a connection is recycled from request to request.
    pub connection_per_request: bool,
    /// One socket for all clients: connections cannot be told apart.
    pub datagram: bool,
    /// Several processes: user memory at equal addresses is not shared.
    pub multi_process: bool,
    /// Several tasks serve requests.
    pub several_tasks: bool,
    /// The program stores items under keys.
    pub items: bool,
}

/// Where a captured line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A simulated line of its own; true when all captures of the kernel share it.
    Fixed { everywhere: bool },
    /// The same offset in every instance of the region.
    At(Region, u32),
    /// A page-wise dense offset in the region, shared by all captures.
    Paged(Region),
    /// Numbered afresh in every unit.
    PerUnit(Region),
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    units: u32,
    store_first: u32,
    /// Connection plus one; `MANY` when several.
    connection: u32,
    task: u32,
    last_unit: u32,
    last_step: u32,
    later_steps: u32,
    later_loads: u32,
    code: bool,
    stored: bool,
}

const MANY: u32 = u32::MAX;

/// First touch of a line: the step's context, the code line that touched it, and how many lines of its owner that code line had touched first.
type Signature = (Region, u16, u64, u32);

/// Dense offsets by signature, so that the same field of another instance gets the same offset, in every capture of a workload.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    offsets: FxHashMap<Signature, u32>,
    next: [u32; Region::COUNT],
}

impl Slots {
    fn offset(&mut self, signature: Signature) -> u32 {
        let next = &mut self.next[signature.0.index()];
        *self.offsets.entry(signature).or_insert_with(|| {
            *next += 1;
            *next - 1
        })
    }
}

/// Places of all lines of a recording.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub by_line: Vec<Place>,
    /// Lines whose class a rule decided that can be wrong, by what was decided.
    pub guessed: Vec<(&'static str, u64)>,
}

/// Classifies all lines of a recording. `others` are units outside requests (receive softirqs, interrupts); they decide only about lines
/// that no request touches.
pub(super) fn classify(
    recording: &Recording,
    units: &[Unit],
    others: &[Unit],
    model: SharingModel,
    maps: &UserMaps,
    slots: &mut Slots,
) -> Places {
    let uses = count_uses(recording, units);
    let other_uses = count_uses(recording, others);
    let mut units_of_connection: FxHashMap<u32, u32> = FxHashMap::default();
    for unit in units {
        *units_of_connection.entry(unit.connection + 1).or_default() += 1;
    }
    let judge = Judge { model, units: units.len() as u32, others: others.len() as u32, units_of_connection };
    let kernel = KernelMap::bundled();
    let mut places = Places { by_line: Vec::with_capacity(uses.len()), guessed: Vec::new() };
    let mut guesses = [0u64; 3];
    let mut pending: Vec<Option<Region>> = vec![None; uses.len()];
    for (number, (one, other)) in uses.iter().zip(&other_uses).enumerate() {
        let line = recording.line(number as u32);
        let place = if is_kernel(line) {
            kernel_place(kernel, line, one, other, &judge, &mut guesses)
        } else {
            user_place(maps, line, one, &judge)
        };
        places.by_line.push(match place {
            Decision::Final(place) => place,
            Decision::Slot(region) => {
                pending[number] = Some(region);
                Place::Fixed { everywhere: false }
            }
        });
    }
    assign_slots(recording, units, model, &mut pending, slots, &mut places);
    let texts = [
        "lines recycled too rarely for the pool: taken as private",
        "lines between recycled and shared: taken as shared",
        "lines of receive work only: taken as recycled",
    ];
    places.guessed = texts.into_iter().zip(guesses).filter(|guess| guess.1 > 0).collect();
    places
}

enum Decision {
    Final(Place),
    Slot(Region),
}

struct Judge {
    model: SharingModel,
    units: u32,
    others: u32,
    units_of_connection: FxHashMap<u32, u32>,
}

impl Judge {
    fn of_one_connection(&self, one: &Use) -> bool {
        if self.model.datagram || self.model.connection_per_request || one.connection == MANY {
            return false;
        }
        let all = self.units_of_connection.get(&one.connection).copied().unwrap_or(0);
        one.units >= 2 && one.units * 100 >= all * CONNECTION_UNITS_PERCENT
    }

    fn store_first(&self, one: &Use) -> bool {
        one.store_first * 100 >= one.units * STORE_FIRST_PERCENT
    }

    fn often(&self, one: &Use) -> bool {
        one.units * 100 >= self.units * POOL_UNITS_PERCENT
    }

    fn rotating(&self, one: &Use) -> bool {
        let of_several = one.connection == MANY || self.model.datagram;
        of_several && one.units * 100 < self.units * ROTATING_UNITS_PERCENT
    }

    fn persistent(&self, one: &Use) -> bool {
        one.later_steps >= one.units && one.later_loads * 100 >= one.later_steps * PERSISTENT_PERCENT
    }
}

fn kernel_place(kernel: &KernelMap, line: u64, one: &Use, other: &Use, judge: &Judge, guesses: &mut [u64; 3]) -> Decision {
    let shared = Decision::Final(Place::Fixed { everywhere: false });
    match kernel.class(line) {
        _ if one.code || other.code => return Decision::Final(Place::Fixed { everywhere: true }),
        DataClass::Shared => return Decision::Final(Place::Fixed { everywhere: true }),
        DataClass::PerCpu => return Decision::Final(Place::Paged(Region::PerCpu)),
        DataClass::Stack => return Decision::Final(Place::At(Region::KernelStack, (line % STACK_LINES) as u32)),
        DataClass::DirectMap if judge.model.sequential => return shared,
        DataClass::DirectMap => {}
    }
    if one.units == 0 {
        let recycled = other.units > 0 && judge.others > 0 && judge.store_first(other);
        guesses[2] += u64::from(recycled);
        return if recycled { Decision::Final(Place::PerUnit(Region::KernelPool)) } else { shared };
    }
    if judge.of_one_connection(one) {
        return Decision::Slot(Region::KernelConnection);
    }
    if judge.store_first(one) && judge.often(one) {
        let owned = judge.model.connection_per_request && judge.persistent(one);
        return Decision::Slot(if owned { Region::KernelConnection } else { Region::KernelPool });
    }
    if one.units == 1 {
        return Decision::Final(Place::PerUnit(Region::KernelPrivate));
    }
    if judge.rotating(one) || judge.store_first(one) {
        guesses[0] += 1;
        // Where a connection is a request, what is found filled at first is the connection's: it was made before the request came.
        let owned = judge.model.connection_per_request && !judge.store_first(one);
        return if owned {
            Decision::Slot(Region::KernelConnection)
        } else {
            Decision::Final(Place::PerUnit(Region::KernelPrivate))
        };
    }
    if judge.model.several_tasks && one.task != MANY {
        return Decision::Slot(Region::KernelTask);
    }
    if one.store_first * 2 >= one.units {
        guesses[1] += 1;
    }
    shared
}

fn user_place(maps: &UserMaps, line: u64, one: &Use, judge: &Judge) -> Decision {
    let shared = Decision::Final(Place::Fixed { everywhere: false });
    if one.code {
        return shared;
    }
    match maps.class(line) {
        UserClass::Stack { below_top_lines } => return Decision::Final(Place::At(Region::UserStack, below_top_lines)),
        _ if judge.model.sequential => return shared,
        _ if judge.model.multi_process && (one.stored || one.units == 0) => {
            return Decision::Final(Place::Paged(Region::UserProcess));
        }
        UserClass::File => return shared,
        UserClass::Anonymous if judge.model.multi_process => return shared,
        UserClass::Anonymous => {}
    }
    if one.units == 0 {
        return shared;
    }
    if judge.of_one_connection(one) {
        return Decision::Slot(Region::UserConnection);
    }
    if judge.model.items && one.units * 100 <= judge.units * ITEM_UNITS_PERCENT {
        return Decision::Final(Place::PerUnit(Region::UserItem));
    }
    if judge.store_first(one) && judge.often(one) {
        let owned = judge.model.connection_per_request && judge.persistent(one);
        return Decision::Slot(if owned { Region::UserConnection } else { Region::UserPool });
    }
    if one.units == 1 || judge.store_first(one) {
        return Decision::Final(Place::PerUnit(Region::UserPrivate));
    }
    if judge.rotating(one) {
        let owned = judge.model.connection_per_request;
        return if owned { Decision::Slot(Region::UserConnection) } else { Decision::Final(Place::PerUnit(Region::UserPrivate)) };
    }
    shared
}

fn merge(known: &mut u32, owner: u32) {
    if *known != owner {
        *known = if *known == 0 { owner } else { MANY };
    }
}

fn count_uses(recording: &Recording, units: &[Unit]) -> Vec<Use> {
    let mut uses = vec![Use::default(); recording.table.len()];
    let mut step_number = 0;
    for (unit_number, unit) in units.iter().enumerate() {
        let stamp = unit_number as u32 + 1;
        for step in &unit.steps {
            step_number += 1;
            for (start, end) in &step.pieces {
                for op in &recording.ops[*start as usize..*end as usize] {
                    let one = &mut uses[op.offset as usize];
                    if op.kind == OpKind::Fetch {
                        one.code = true;
                        continue;
                    }
                    one.stored |= op.kind == OpKind::Store;
                    if one.last_step == step_number {
                        continue;
                    }
                    one.last_step = step_number;
                    let store = op.kind == OpKind::Store;
                    if one.last_unit == stamp {
                        one.later_steps += 1;
                        one.later_loads += u32::from(!store);
                        continue;
                    }
                    one.last_unit = stamp;
                    one.units += 1;
                    one.store_first += u32::from(store);
                    merge(&mut one.connection, unit.connection + 1);
                    merge(&mut one.task, unit.task + 1);
                }
            }
        }
    }
    uses
}

/// Gives lines their offsets in order of first touch by their owner.
fn assign_slots(
    recording: &Recording,
    units: &[Unit],
    model: SharingModel,
    pending: &mut [Option<Region>],
    slots: &mut Slots,
    places: &mut Places,
) {
    let mut ordinals: FxHashMap<(Region, u32, u16, u64), u32> = FxHashMap::default();
    let mut last_unit = vec![0u32; pending.len()];
    for (unit_number, unit) in units.iter().enumerate() {
        let stamp = unit_number as u32 + 1;
        for step in &unit.steps {
            for (start, end) in &step.pieces {
                let mut code = 0;
                for op in &recording.ops[*start as usize..*end as usize] {
                    let number = op.offset as usize;
                    if op.kind == OpKind::Fetch {
                        code = recording.line(op.offset);
                        continue;
                    }
                    let Some(region) = pending[number] else { continue };
                    let per_unit =
                        model.connection_per_request && matches!(region, Region::KernelConnection | Region::UserConnection);
                    let seen = std::mem::replace(&mut last_unit[number], stamp);
                    if seen == stamp || (seen != 0 && !per_unit) {
                        continue;
                    }
                    let owner = match region {
                        _ if per_unit => stamp,
                        Region::KernelConnection | Region::UserConnection => unit.connection,
                        Region::KernelTask => unit.task,
                        _ => 0,
                    };
                    let ordinal = ordinals.entry((region, owner, step.context, code)).or_default();
                    let signature = (region, step.context, code, *ordinal);
                    *ordinal += 1;
                    if places.by_line[number] == (Place::Fixed { everywhere: false }) {
                        places.by_line[number] = Place::At(region, slots.offset(signature));
                    }
                }
            }
        }
    }
    // A line that has its place now keeps it.
    for (number, region) in pending.iter_mut().enumerate() {
        if matches!(places.by_line[number], Place::At(..)) {
            *region = None;
        }
    }
}

/// Page-wise dense numbering of a sparse region.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pages: FxHashMap<(Region, u64), u32>,
    next: [u32; Region::COUNT],
}

impl Pages {
    /// Offset of a line in its region; lines keep their place inside their page.
    pub fn offset(&mut self, region: Region, line: u64) -> u32 {
        let next = &mut self.next[region.index()];
        let page = *self.pages.entry((region, line / PAGE_LINES)).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        page * PAGE_LINES as u32 + (line % PAGE_LINES) as u32
    }
}
