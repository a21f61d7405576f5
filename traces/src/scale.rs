//! A workload of another kernel or program version, made from a recorded one by a stated rule.
//!
//! Published results name instructions per call of kernels and programs that nobody recorded. Their blocks are made from the recorded
//! ones so that footprint follows work:
//!
//! - **Less work** (a factor below one): code is thinned by groups of [`GROUP_LINES`] lines. A group is kept or left out *everywhere*,
//!   by a hash of its address, so that code and data footprint shrink with the instructions and what calls share stays shared.
//! - **More work** (a factor above one): each group is executed once more at a copy of its address for every whole step of the factor,
//!   and for the rest of the groups that the hash chooses: a program that does more has more code.
//!
//! Data touches follow the code that makes them; a copy touches the same data again.

use sim_core::block::{BlockId, BlockStore, Op, OpKind, Origin, Region, Span};
use sim_core::ids::{CHUNK_LINES, Mode};
use sim_core::layout::{Layout, PageSize};
use sim_core::workload::Workload;

/// Lines of code that are kept or left out together: a short function or one branch of a longer one.
pub const GROUP_LINES: u32 = 4;
/// A copy's chunk is turned by so many lines a step: copies at the same place of their chunks would all compete for the same cache
/// sets. A whole number of groups, and of pages and a half (64 lines each), so that copies spread over sets of all caches.
const TURN_LINES: u32 = 8 * 1_357;
/// The factor that changes nothing.
pub const UNCHANGED: u32 = 1000;

/// The workload with the work of each block changed by a factor in thousandths. Blocks, their order, and everything else stay.
pub fn scaled(workload: &Workload, factor_permille: impl Fn(BlockId) -> u32) -> Workload {
    let mut scaled = workload.clone();
    let copies = Copies::new(workload, &factor_permille, &mut scaled.layout);
    let mut blocks = BlockStore::new();
    for id in ids(workload) {
        let info = workload.blocks.info(id);
        let factor = factor_permille(id);
        let (ops, spans) = copies.block(workload.blocks.ops(id), &info.spans, factor);
        blocks.push(info.mode, if factor == UNCHANGED { info.origin } else { Origin::Synthetic }, &ops, spans);
    }
    scaled.blocks = blocks;
    scaled
}

/// The workload with all work of one mode changed by a factor.
pub fn scaled_mode(workload: &Workload, mode: Mode, permille: u32) -> Workload {
    scaled(workload, |id| if workload.blocks.info(id).mode == mode { permille } else { UNCHANGED })
}

/// The workload with the instructions of each block changed by a factor in thousandths while all its lines and their order stay: what the
/// same code costs on another processor when nothing misses.
pub fn paced(mut workload: Workload, factor_permille: impl Fn(BlockId) -> u32) -> Workload {
    for id in (1..workload.blocks.len() as u32).map(BlockId) {
        let factor = factor_permille(id);
        if factor != UNCHANGED {
            workload.blocks.change(id, |ops| pace(ops, factor));
        }
    }
    workload
}

/// Ops with the instructions of each line changed by a factor in thousandths.
pub fn paced_ops(ops: &[Op], factor_permille: u32) -> Vec<Op> {
    let mut own = ops.to_vec();
    pace(&mut own, factor_permille);
    own
}

fn pace(ops: &mut [Op], factor_permille: u32) {
    // what rounding leaves goes to the next line, so that the sum is kept
    let mut owed = 0;
    for op in ops.iter_mut().filter(|op| op.kind == OpKind::Fetch) {
        owed += u64::from(op.count) * u64::from(factor_permille);
        op.count = u16::try_from(owed / 1000).unwrap_or(u16::MAX);
        owed -= u64::from(op.count) * 1000;
    }
}

fn ids(workload: &Workload) -> impl Iterator<Item = BlockId> {
    (1..workload.blocks.len() as u32).map(BlockId)
}

/// Where copies of code stand: chunks of their own, one for each chunk of code and step.
struct Copies {
    /// Chunk of a code line and step of the factor to the first line of the copy's chunk.
    chunks: rustc_hash::FxHashMap<(u32, u32), u32>,
}

impl Copies {
    fn new(workload: &Workload, factor_permille: impl Fn(BlockId) -> u32, layout: &mut Layout) -> Copies {
        let mut wanted = std::collections::BTreeSet::new();
        for id in ids(workload) {
            let steps = factor_permille(id).saturating_sub(1) / 1000;
            for op in workload.blocks.ops(id).iter().filter(|op| op.kind == OpKind::Fetch && op.region == Region::Fixed) {
                wanted.extend((1..=steps).map(|step| (op.offset / CHUNK_LINES, step)));
            }
        }
        let size = |chunk: u32| workload.layout.pages().get(chunk as usize).copied().unwrap_or(PageSize::Small);
        let chunks = wanted.into_iter().map(|(chunk, step)| ((chunk, step), layout.chunk(size(chunk)))).collect();
        Copies { chunks }
    }

    fn block(&self, ops: &[Op], spans: &[Span], permille: u32) -> (Vec<Op>, Vec<Span>) {
        let mut out = Vec::new();
        // new position of each old one
        let mut places = Vec::with_capacity(ops.len() + 1);
        let mut at = 0;
        while at < ops.len() {
            let end = group_end(ops, at);
            let group = &ops[at..end];
            let first = out.len() as u32;
            self.group(group, permille, &mut out);
            // inside a group a cut keeps its distance as far as the group goes
            let kept = out.len() as u32 - first;
            places.extend((0..group.len() as u32).map(|inside| first + inside.min(kept)));
            at = end;
        }
        places.push(out.len() as u32);
        let moved = |span: &Span| Span { cut: span.cut, start: places[span.start as usize], end: places[span.end as usize] };
        (out, spans.iter().map(moved).collect())
    }

    fn group(&self, group: &[Op], permille: u32, out: &mut Vec<Op>) {
        let Some(code) = group.iter().find(|op| op.kind == OpKind::Fetch) else {
            // touches before the first fetch have no code to follow
            out.extend_from_slice(group);
            return;
        };
        let share = hash_permille(code.region, code.offset / GROUP_LINES);
        let (whole, rest) = (permille / 1000, permille % 1000);
        for step in 0..whole + u32::from(share < rest) {
            out.extend(group.iter().map(|op| self.copy(*op, step)));
        }
    }

    fn copy(&self, op: Op, step: u32) -> Op {
        if step == 0 || op.kind != OpKind::Fetch || op.region != Region::Fixed {
            return op;
        }
        let chunk = self.chunks.get(&(op.offset / CHUNK_LINES, step));
        let inside = (op.offset + step * TURN_LINES) % CHUNK_LINES;
        Op { offset: chunk.map_or(op.offset, |first| first + inside), ..op }
    }
}

/// One past the last op of the group that begins at `at`: fetches from the same lines' group, with their data touches. A string copy
/// and its touches stay together.
fn group_end(ops: &[Op], at: usize) -> usize {
    let key = |op: &Op| (op.region, op.offset / GROUP_LINES);
    let first = ops[at..].iter().find(|op| op.kind == OpKind::Fetch).map(key);
    let mut seen = false;
    for (index, op) in ops.iter().enumerate().skip(at) {
        if op.kind == OpKind::Fetch {
            if Some(key(op)) != first {
                return index;
            }
            seen = true;
        } else if !seen && ops[index..].iter().any(|op| op.kind == OpKind::Fetch) && index == at {
            // leading touches of a block form a group of their own
            return ops.iter().skip(at).position(|op| op.kind == OpKind::Fetch).map_or(ops.len(), |offset| at + offset);
        }
    }
    ops.len()
}

/// A number below 1000 for a group of lines: the finaliser of MurmurHash3, which spreads neighbouring keys evenly.
fn hash_permille(region: Region, group: u32) -> u32 {
    let mut hash = group ^ (region as u32) << 28;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^= hash >> 16;
    hash % 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, server};
    use sim_core::block::instructions_of;

    fn totals(workload: &Workload) -> [u64; 2] {
        let mut sums = [0; 2];
        for index in 1..workload.blocks.len() {
            let info = workload.blocks.info(BlockId(index as u32));
            sums[info.mode.index()] += u64::from(info.instructions);
        }
        sums
    }

    fn lines(workload: &Workload, mode: Mode) -> usize {
        let mut lines = std::collections::BTreeSet::new();
        for index in 1..workload.blocks.len() {
            let id = BlockId(index as u32);
            if workload.blocks.info(id).mode == mode {
                let fetches = workload.blocks.ops(id).iter().filter(|op| op.kind == OpKind::Fetch);
                lines.extend(fetches.map(|op| (op.region, op.offset)));
            }
        }
        lines.len()
    }

    #[test]
    fn instructions_and_footprint_follow_the_factors() {
        let workload = server(Shape { user_lines: 400, kernel_lines: 800, ..Shape::default() });
        let before = totals(&workload);
        for (user, kernel) in [(1000, 1000), (2800, 650), (1500, 300)] {
            let scaled = scaled_mode(&scaled_mode(&workload, Mode::User, user), Mode::Kernel, kernel);
            let after = totals(&scaled);
            for (mode, permille) in [(Mode::User, user), (Mode::Kernel, kernel)] {
                let expected = before[mode.index()] * u64::from(permille) / 1000;
                let off = after[mode.index()].abs_diff(expected) as f64 / expected as f64;
                assert!(off < 0.06, "{mode:?} {permille}: {} for {expected}", after[mode.index()]);
                let footprint = lines(&workload, mode) as f64 * f64::from(permille) / 1000.0;
                assert!((lines(&scaled, mode) as f64 / footprint - 1.0).abs() < 0.06, "{mode:?} {permille}");
            }
        }
    }

    #[test]
    fn pacing_changes_instructions_and_leaves_lines_where_they_are() {
        let workload = server(Shape::default());
        let paced = paced(workload.clone(), |_| 1_450);
        let lines =
            |workload: &Workload, id| workload.blocks.ops(id).iter().map(|op| (op.region, op.offset, op.kind)).collect::<Vec<_>>();
        for id in ids(&workload) {
            assert_eq!(lines(&paced, id), lines(&workload, id));
            let (before, after) = (workload.blocks.info(id).instructions, paced.blocks.info(id).instructions);
            assert_eq!(after, before * 1_450 / 1000);
        }
    }

    #[test]
    fn nothing_changes_at_a_factor_of_one() {
        let workload = server(Shape::default());
        let same = scaled(&workload, |_| UNCHANGED);
        assert_eq!(same.blocks, workload.blocks);
    }

    #[test]
    fn cuts_stay_inside_their_blocks_and_in_order() {
        let workload = server(Shape::default());
        let scaled = scaled_mode(&scaled_mode(&workload, Mode::User, 700), Mode::Kernel, 550);
        for index in 1..scaled.blocks.len() {
            let id = BlockId(index as u32);
            let ops = scaled.blocks.ops(id);
            for (span, old) in scaled.blocks.info(id).spans.iter().zip(&workload.blocks.info(id).spans) {
                assert!(span.start <= span.end && span.end as usize <= ops.len());
                let inside = |ops: &[Op], span: &Span| f64::from(instructions_of(&ops[span.start as usize..span.end as usize]));
                let before = inside(workload.blocks.ops(id), old);
                let share = inside(ops, span) / before.max(1.0);
                // each group is kept with probability 0.55: four standard deviations of the share that is kept
                let groups = before / f64::from(Shape::default().line_instructions) / f64::from(GROUP_LINES);
                let most = 4.0 * (0.55 * 0.45 / groups).sqrt();
                assert!((share - 0.55).abs() <= most || before < 200.0, "{share} of {before}");
            }
        }
    }
}
