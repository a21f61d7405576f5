//! What the structures hold, for experiments that count what a stretch of execution pushed out. Looking changes nothing, and no access
//! is slower for it.

use crate::counters::Structure;
use crate::cpu::Cpu;
use sim_core::ids::{CoreId, Line, Mode};

impl Cpu {
    /// True when a structure of a core, or the last level that it shares, holds a line or the translation of its page. `mode` says whose
    /// instance is looked at where the modes have structures of their own. Branch tables hold no lines: always false.
    pub fn holds(&mut self, core: CoreId, mode: Mode, structure: Structure, line: Line) -> bool {
        let code = mode.index();
        let side = &mut self.machine_side;
        let physical = side.frames.physical(line);
        let large = side.frames.is_large(line);
        let masks = side.shape.masks;
        let domain = core.index() / side.shape.shared_by;
        let part = &side.cores[core.index()];
        match structure {
            Structure::L1i => part.l1i[code & masks.l1i].contains(line),
            Structure::L1d => part.l1d[code & masks.l1d].contains(line),
            Structure::L2 => part.l2[code & masks.l2].contains(physical),
            Structure::L3 => side.l3[domain * 2 + (code & masks.l3)].contains(physical),
            Structure::Itlb => part.tlbs.instruction.holds(code, line, large),
            Structure::Dtlb => part.tlbs.data.holds(code, line, large),
            Structure::Stlb => part.tlbs.second_holds(code, line, large),
            Structure::Branch => false,
        }
    }
}
