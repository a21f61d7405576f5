//! Which lines of kernel code a core has gone through since it entered the kernel.

use crate::paged::Paged;
use sim_core::ids::Line;

/// The lines of one core. An entry forgets all of them at no cost: lines are stamped with the number of the entry.
#[derive(Clone, Debug)]
pub(crate) struct Passes {
    entry: u32,
    stamps: Paged<u32>,
}

impl Passes {
    pub fn new() -> Passes {
        Passes { entry: 1, stamps: Paged::new(0) }
    }

    /// The kernel was entered.
    pub fn enter(&mut self) {
        self.entry = self.entry.wrapping_add(1).max(1);
    }

    /// True when the line was not gone through since the last entry; now it was.
    #[inline]
    pub fn is_first(&mut self, line: Line) -> bool {
        std::mem::replace(self.stamps.entry(line), self.entry) != self.entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_forgets_all_lines() {
        let mut passes = Passes::new();
        assert_eq!([7, 8, 7].map(|line| passes.is_first(line)), [true, true, false]);
        passes.enter();
        assert_eq!([7, 7].map(|line| passes.is_first(line)), [true, false]);
        passes.entry = u32::MAX;
        passes.enter();
        assert!(passes.is_first(9), "a line never seen is new under every number");
    }
}
