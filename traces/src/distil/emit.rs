//! Turning recorded ops into blocks of a workload.

use super::recording::Recording;
use super::sharing::{Pages, Place, Places};
use crate::capture::copies::push_with_copies;
use crate::kernel_map::page_size_by_address;
use rustc_hash::FxHashMap;
use sim_core::block::{BlockId, BlockStore, Op, OpKind, Origin, Region, Span};
use sim_core::ids::Mode;
use sim_core::layout::AddressMap;

/// Address space of lines that all captures share.
pub(super) const SPACE_EVERYWHERE: u32 = 0;

/// Lines of one unit that are numbered afresh.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitLines {
    offsets: FxHashMap<u32, u32>,
    next: [u32; Region::COUNT],
}

/// A recording with the places of its lines and an address space for the shared ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceLines<'a> {
    pub recording: &'a Recording,
    pub places: &'a Places,
    pub space: u32,
}

/// Collects the blocks of a workload.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    pub map: AddressMap,
    pub blocks: BlockStore,
    pub region_lines: [u32; Region::COUNT],
    pages: Pages,
}

impl Emitter {
    /// Adds a block; no ops give the empty block.
    pub fn block(&mut self, source: SourceLines<'_>, unit: &mut UnitLines, mode: Mode, ops: &[Op], spans: &[Span]) -> BlockId {
        if ops.is_empty() {
            return BlockId::EMPTY;
        }
        let placed: Vec<Op> = ops.iter().map(|op| self.place(source, unit, *op)).collect();
        let mut out = Vec::with_capacity(placed.len() + 8);
        push_with_copies(&placed, &mut out);
        let spans = moved_spans(&out, spans);
        self.blocks.push(mode, Origin::Recorded, &out, spans)
    }

    fn place(&mut self, source: SourceLines<'_>, unit: &mut UnitLines, op: Op) -> Op {
        let line = source.recording.line(op.offset);
        let (region, offset) = match source.places.by_line[op.offset as usize] {
            Place::Fixed { everywhere } => {
                let space = if everywhere { SPACE_EVERYWHERE } else { source.space };
                (Region::Fixed, self.map.line(space, line, page_size_by_address(line)))
            }
            Place::At(region, offset) => (region, offset),
            Place::Paged(region) => (region, self.pages.offset(region, line)),
            Place::PerUnit(region) => {
                let next = &mut unit.next[region.index()];
                let offset = *unit.offsets.entry(op.offset).or_insert_with(|| {
                    *next += 1;
                    *next - 1
                });
                (region, offset)
            }
        };
        if region != Region::Fixed {
            let lines = &mut self.region_lines[region.index()];
            *lines = (*lines).max(offset + 1);
        }
        Op { offset, region, ..op }
    }
}

/// Spans after copy marks were put in: a span begins and ends at the same recorded op as before.
fn moved_spans(out: &[Op], spans: &[Span]) -> Vec<Span> {
    if spans.is_empty() {
        return Vec::new();
    }
    let mut positions: Vec<u32> = Vec::with_capacity(out.len() + 1);
    for (position, op) in out.iter().enumerate() {
        if op.kind != OpKind::Copy {
            positions.push(position as u32);
        }
    }
    positions.push(out.len() as u32);
    let moved = |at: u32| positions[at as usize];
    let mut spans: Vec<Span> = spans.iter().map(|span| Span { start: moved(span.start), end: moved(span.end), ..*span }).collect();
    spans.sort_by_key(|span| (span.cut, span.start));
    spans
}
