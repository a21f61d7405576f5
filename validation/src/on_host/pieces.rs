//! Kernel work that is put together of several pieces, each at a pace of its own: recorded stretches, and code that no recording holds.

use crate::on_host::blocks::op;
use crate::on_host::paces::Paces;
use sim_core::block::{Op, OpKind, Origin};
use sim_core::ids::{Line, Mode};
use sim_core::workload::Workload;
use traces::scale::{UNCHANGED, paced_ops};

/// Whose pace a piece has.
#[derive(Clone, Debug, PartialEq)]
pub enum PaceOf {
    /// That of a recorded call.
    Call(&'static str),
    /// That of the XDP hook.
    Hook,
    /// That of the program at the hook.
    Program,
    /// That of what a call for several messages does for each besides moving it.
    Header,
}

/// A stretch of kernel work with a pace of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its pace.
    pub pace: PaceOf,
    /// Its ops.
    pub ops: Vec<Op>,
}

impl Piece {
    fn paced(&self, paces: &Paces) -> Vec<Op> {
        let permille = match &self.pace {
            PaceOf::Call(name) => paces.calls.get(*name).copied().unwrap_or(UNCHANGED),
            PaceOf::Hook => paces.hook,
            PaceOf::Program => paces.program,
            PaceOf::Header => paces.header,
        };
        paced_ops(&self.ops, permille)
    }
}

/// The workload with the kernel work of some steps put together of pieces, each at its pace.
pub fn compose(mut workload: Workload, composed: &[(u16, Vec<Piece>)], paces: &Paces) -> Workload {
    for (step, pieces) in composed {
        let ops: Vec<Op> = pieces.iter().flat_map(|piece| piece.paced(paces)).collect();
        let block = workload.blocks.push(Mode::Kernel, Origin::Synthetic, &ops, Vec::new());
        workload.classes[0].chains[0].steps[usize::from(*step)].kernel = block;
    }
    workload
}

/// A stretch of made-up code: lines, and the instructions executed on each.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Lines.
    pub lines: u16,
    /// Instructions on each.
    pub instructions: u16,
}

impl Code {
    /// Its ops, on lines from `first` on.
    pub fn ops(self, first: Line) -> impl Iterator<Item = Op> {
        (0..self.lines).map(move |line| op(OpKind::Fetch, first + Line::from(line), self.instructions))
    }
}
