//! Which functions ran when: a shadow call stack from instruction lines and symbols alone.
//!
//! The captures hold no call and return instructions. A function is entered when execution comes to its first line from a line that
//! it does not own; it has returned when execution is on the line that held the call, or on the one after, again. Both rules are
//! exact up to lines that two functions share; those are decided by where execution goes next.

use crate::kernel_map::{KernelMap, SymbolId, SymbolKind};
use sim_core::block::{Op, OpKind};

/// One execution of a function inside a list of ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activation {
    /// The function.
    pub symbol: SymbolId,
    /// Its first op.
    pub start: u32,
    /// One past its last op.
    pub end: u32,
    /// Activations that were open when it was entered.
    pub depth: u32,
}

/// What the shadow stack needs to know of a line.
pub(crate) trait Code {
    /// Raw line of a line number.
    fn line(&self, number: u32) -> u64;
    /// Symbols on the line, in address order.
    fn symbols(&self, number: u32) -> &[SymbolId];
}

impl Code for super::recording::Recording {
    fn line(&self, number: u32) -> u64 {
        self.table.line(number)
    }

    fn symbols(&self, number: u32) -> &[SymbolId] {
        self.symbols[number as usize]
    }
}

struct Open {
    activation: usize,
    call_line: u64,
    caller: SymbolId,
}

/// Finds all activations in a list of ops, in order of entry. Functions that never return end with the list.
pub(crate) fn activations(ops: &[Op], code: &impl Code, kernel: &KernelMap) -> Vec<Activation> {
    let runs: Vec<u32> = (0..ops.len() as u32).filter(|index| ops[*index as usize].kind == OpKind::Fetch).collect();
    let number = |run: usize| ops[runs[run] as usize].offset;
    let mut found: Vec<Activation> = Vec::new();
    let mut stack: Vec<Open> = Vec::new();
    // The last line that is not a trampoline: the line that holds the call.
    let mut caller: Option<u32> = None;
    for run in 0..runs.len() {
        let here = number(run);
        let symbols = code.symbols(here);
        if is_trampoline(symbols, kernel) {
            continue;
        }
        let line = code.line(here);
        let next = (run + 1 < runs.len()).then(|| code.symbols(number(run + 1)));
        let returns = |open: &Open| returns_to(open, line, symbols);
        let entry = if stack.last().is_some_and(returns) { Entry::No } else { entry(code, kernel, here, caller, next) };
        let deeper = stack.iter().rposition(returns);
        // A function that calls from its first line comes back to it; recursion is the rarer reading.
        let active = |symbol: SymbolId| stack.iter().any(|open| found[open.activation].symbol == symbol);
        let entry = match entry {
            Entry::Clear(symbol) if deeper.is_some() && active(symbol) => Entry::No,
            other => other,
        };
        match (entry, deeper) {
            (Entry::Clear(symbol), _) | (Entry::Likely(symbol), None) => {
                let call_line = caller.map_or(u64::MAX - 1, |caller| code.line(caller));
                let caller_symbol = caller.and_then(|caller| code.symbols(caller).first().copied()).unwrap_or(symbol);
                found.push(Activation { symbol, start: runs[run], end: ops.len() as u32, depth: stack.len() as u32 });
                stack.push(Open { activation: found.len() - 1, call_line, caller: caller_symbol });
            }
            (_, Some(level)) => {
                for open in stack.drain(level..) {
                    found[open.activation].end = runs[run];
                }
            }
            (Entry::No, None) => {}
        }
        caller = Some(here);
    }
    found
}

/// True when a line is where the callee of `open` goes back to: the line of the call, or the next one of the same function.
fn returns_to(open: &Open, line: u64, symbols: &[SymbolId]) -> bool {
    line == open.call_line || (line == open.call_line.wrapping_add(1) && symbols.contains(&open.caller))
}

/// Whether coming to a line enters a function.
enum Entry {
    No,
    /// The line holds nothing else, or execution goes on in the function.
    Clear(SymbolId),
    /// Another function ends on the line, and execution does not go on in either of them.
    Likely(SymbolId),
}

/// The function that is entered by coming to line `here` from line `caller`, if one is; `next` are the symbols of the line after.
fn entry(code: &impl Code, kernel: &KernelMap, here: u32, caller: Option<u32>, next: Option<&[SymbolId]>) -> Entry {
    let line = code.line(here);
    let symbols = code.symbols(here);
    let before = caller.map_or(&[][..], |caller| code.symbols(caller));
    let starts = |symbol: &&SymbolId| {
        kernel.first_line(**symbol) == line && !before.contains(symbol) && kernel.kind(**symbol) != SymbolKind::Foreign
    };
    let mut candidates = symbols.iter().filter(starts);
    let Some(first) = candidates.next() else { return Entry::No };
    if symbols.len() == 1 {
        return Entry::Clear(*first);
    }
    let goes_on_in = |symbol: &&SymbolId| next.is_some_and(|next| next.contains(symbol));
    if let Some(symbol) = symbols.iter().filter(starts).rev().find(goes_on_in) {
        return Entry::Clear(*symbol);
    }
    // Execution that was in the function that ends here is still in it.
    if symbols.iter().any(|symbol| before.contains(symbol)) {
        return Entry::No;
    }
    Entry::Likely(*candidates.next_back().unwrap_or(first))
}

/// Execution on such a line is between a call and the function called.
fn is_trampoline(symbols: &[SymbolId], kernel: &KernelMap) -> bool {
    !symbols.is_empty() && symbols.iter().all(|symbol| kernel.kind(*symbol) == SymbolKind::Trampoline)
}

/// The first activation of one of several functions, the earlier name in the list preferred, inside an op range.
pub(crate) fn first_of(found: &[Activation], kernel: &KernelMap, names: &[&str], within: (u32, u32)) -> Option<Activation> {
    names.iter().find_map(|name| {
        let symbol = kernel.symbol(name)?;
        found
            .iter()
            .find(|activation| activation.symbol == symbol && activation.start >= within.0 && activation.start < within.1)
            .copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::Region;

    /// Lines are their own numbers.
    struct Lines<'a>(&'a KernelMap);

    impl Code for Lines<'_> {
        fn line(&self, number: u32) -> u64 {
            u64::from(number)
        }
        fn symbols(&self, number: u32) -> &[SymbolId] {
            self.0.symbols(u64::from(number))
        }
    }

    fn map() -> KernelMap {
        // caller on lines 10-12, callee on 20-21, a function that shares line 21 with the callee's end on 21-22, a trampoline on 40.
        let rows = "280,caller\n2c0,caller\n300,caller\n500,callee\n540,callee|other\n580,other\na00,__x86_indirect_thunk_rax\n";
        KernelMap::parse(rows, "", "")
    }

    fn run(lines: &[u32]) -> Vec<(String, u32, u32)> {
        let map = map();
        let fetch = |line: &u32| Op { offset: *line, count: 1, region: Region::Fixed, kind: OpKind::Fetch };
        let ops: Vec<Op> = lines.iter().map(fetch).collect();
        let found = activations(&ops, &Lines(&map), &map);
        found.iter().map(|one| (map.name(one.symbol).to_owned(), one.start, one.end)).collect()
    }

    fn expect(lines: &[u32], expected: &[(&str, u32, u32)]) {
        let expected: Vec<_> = expected.iter().map(|one| (one.0.to_owned(), one.1, one.2)).collect();
        assert_eq!(run(lines), expected);
    }

    #[test]
    fn a_call_ends_where_its_line_goes_on() {
        expect(&[10, 20, 10, 11], &[("caller", 0, 4), ("callee", 1, 2)]);
    }

    #[test]
    fn a_call_at_the_end_of_a_line_returns_to_the_next() {
        expect(&[10, 20, 21, 20, 11], &[("caller", 0, 5), ("callee", 1, 4)]);
    }

    #[test]
    fn a_shared_line_belongs_to_the_function_that_runs_on() {
        expect(&[10, 20, 21, 10], &[("caller", 0, 4), ("callee", 1, 3)]);
        expect(&[10, 21, 22, 10], &[("caller", 0, 4), ("other", 1, 3)]);
    }

    #[test]
    fn trampolines_are_not_callers() {
        expect(&[10, 40, 20, 10], &[("caller", 0, 4), ("callee", 2, 3)]);
    }

    #[test]
    fn a_function_that_never_returns_ends_with_the_block() {
        expect(&[11, 20, 21], &[("callee", 1, 3)]);
    }

    #[test]
    fn a_tail_call_returns_to_the_first_caller() {
        expect(&[10, 20, 21, 22, 10, 12], &[("caller", 0, 6), ("callee", 1, 4), ("other", 2, 4)]);
    }
}
