//! Names of the captured kernel: symbols of instruction lines, classes of data addresses, kernel stacks.
//!
//! All captures come from one kernel binary booted without address randomisation, so one set of tables serves all of them.

use crate::capture::stream::is_kernel;
use rustc_hash::FxHashMap;
use sim_core::ids::LINE_BYTES;
use sim_core::layout::PageSize;
use std::sync::OnceLock;

const LINES: &str = include_str!("../data/captures/kernel-lines.csv");
const DATA: &str = include_str!("../data/captures/kernel-data.csv");
const STACKS: &str = include_str!("../data/captures/kernel-stacks.csv");

/// First address of the direct map of physical memory (x86-64 with four-level page tables, no randomisation).
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// First address of vmalloc space.
const VMALLOC: u64 = 0xffff_c900_0000_0000;
/// First address of the page structs.
const VMEMMAP: u64 = 0xffff_ea00_0000_0000;
/// First address of the kernel image.
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// First address of module space.
const MODULES: u64 = 0xffff_ffff_c000_0000;
/// Kernel stacks are 16 KiB and aligned to that (THREAD_SIZE of x86-64).
pub const STACK_LINES: u64 = 256;

/// What lies at a kernel address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataClass {
    /// Direct map: slab objects, page cache, packet buffers, page tables.
    DirectMap,
    /// Per-CPU data, interrupt stack, CPU entry area, local APIC.
    PerCpu,
    /// Kernel stack of a task.
    Stack,
    /// Kernel image, modules, page structs: one instance for all.
    Shared,
}

/// A symbol's number, in order of first appearance in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub u16);

/// What a symbol is to somebody who follows calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// A function.
    Function,
    /// An indirect-branch thunk or static-call trampoline: it lies between a call and the function called.
    Trampoline,
    /// An entry of 32-bit programs. None was recorded, but these begin on lines of the functions before them.
    Foreign,
}

fn symbol_kind(name: &str) -> SymbolKind {
    if name.starts_with("__x86_indirect_") || name.starts_with("__SCT__") || name == "__x86_return_thunk" {
        SymbolKind::Trampoline
    } else if name.starts_with("__ia32_") {
        SymbolKind::Foreign
    } else {
        SymbolKind::Function
    }
}

/// The tables of the captured kernel.
#[derive(Debug)]
pub struct KernelMap {
    names: Vec<String>,
    numbers: FxHashMap<String, SymbolId>,
    first_lines: Vec<u64>,
    kinds: Vec<SymbolKind>,
    lines: FxHashMap<u64, Vec<SymbolId>>,
    ranges: Vec<(u64, u64, DataClass)>,
    stacks: Vec<StackRow>,
}

/// Where a task's kernel stack lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackRow {
    /// Name of the capture.
    pub trace: String,
    /// Task id inside the capture.
    pub task: u64,
    /// First line of the stack.
    pub first_line: u64,
}

impl KernelMap {
    /// The tables that come with the program.
    pub fn bundled() -> &'static KernelMap {
        static MAP: OnceLock<KernelMap> = OnceLock::new();
        MAP.get_or_init(|| KernelMap::parse(LINES, DATA, STACKS))
    }

    /// Builds the tables from their text; rows that cannot be read are left out.
    pub fn parse(lines: &str, data: &str, stacks: &str) -> KernelMap {
        let mut map = KernelMap {
            names: Vec::new(),
            numbers: FxHashMap::default(),
            first_lines: Vec::new(),
            kinds: Vec::new(),
            lines: FxHashMap::default(),
            ranges: data.lines().filter_map(parse_range).collect(),
            stacks: stacks.lines().filter_map(parse_stack).collect(),
        };
        for (address, symbols) in lines.lines().filter_map(|row| row.split_once(',')) {
            if let Some(line) = line_of(address) {
                let symbols = symbols.split('|').map(|name| map.intern(name, line)).collect();
                map.lines.insert(line, symbols);
            }
        }
        // Inner ranges after outer ones of the same start, so that the last match is the innermost.
        map.ranges.sort_by_key(|range| (range.0, std::cmp::Reverse(range.1)));
        map
    }

    fn intern(&mut self, name: &str, line: u64) -> SymbolId {
        let id = match self.numbers.get(name) {
            Some(id) => *id,
            None => {
                let id = SymbolId(self.names.len() as u16);
                self.names.push(name.to_owned());
                self.first_lines.push(line);
                self.kinds.push(symbol_kind(name));
                self.numbers.insert(name.to_owned(), id);
                id
            }
        };
        let first = &mut self.first_lines[usize::from(id.0)];
        *first = line.min(*first);
        id
    }

    /// Symbols that overlap an instruction line, in address order.
    pub fn symbols(&self, line: u64) -> &[SymbolId] {
        self.lines.get(&line).map_or(&[], Vec::as_slice)
    }

    /// The symbol of a name, if any capture ran on its lines.
    pub fn symbol(&self, name: &str) -> Option<SymbolId> {
        self.numbers.get(name).copied()
    }

    /// Name of a symbol.
    pub fn name(&self, symbol: SymbolId) -> &str {
        &self.names[usize::from(symbol.0)]
    }

    /// First line of a symbol.
    pub fn first_line(&self, symbol: SymbolId) -> u64 {
        self.first_lines[usize::from(symbol.0)]
    }

    /// Kind of a symbol.
    pub fn kind(&self, symbol: SymbolId) -> SymbolKind {
        self.kinds[usize::from(symbol.0)]
    }

    /// Number of symbols.
    pub fn symbol_count(&self) -> usize {
        self.names.len()
    }

    /// First line of the kernel stack of a task of a capture, where it is known.
    pub fn stack(&self, trace: &str, task: u64) -> Option<u64> {
        self.stacks.iter().find(|row| row.trace == trace && row.task == task).map(|row| row.first_line)
    }

    /// Class of a kernel data line, by the innermost range that holds its first byte, or by address where no range does.
    pub fn class(&self, line: u64) -> DataClass {
        let address = line << 6;
        let after = self.ranges.partition_point(|range| range.0 <= address);
        let innermost = self.ranges[..after].iter().rev().take(64).find(|range| address < range.1);
        match innermost {
            Some(range) => range.2,
            None if (VMALLOC..VMEMMAP).contains(&address) => DataClass::Stack,
            None if (DIRECT_MAP..VMALLOC).contains(&address) => DataClass::DirectMap,
            None => DataClass::Shared,
        }
    }
}

/// Page size behind a raw line: 2 MiB pages for the kernel's image, page structs and direct map, 4 KiB for everything else.
pub fn page_size_by_address(line: u64) -> PageSize {
    let address = line << 6;
    let large = (DIRECT_MAP..VMALLOC).contains(&address)
        || (VMEMMAP..VMEMMAP + (1 << 40)).contains(&address)
        || (IMAGE..MODULES).contains(&address);
    if is_kernel(line) && large { PageSize::Large } else { PageSize::Small }
}

fn line_of(address: &str) -> Option<u64> {
    u64::from_str_radix(address, 16).ok().map(|address| address / LINE_BYTES)
}

fn parse_range(row: &str) -> Option<(u64, u64, DataClass)> {
    let mut fields = row.splitn(3, ',');
    let start = u64::from_str_radix(fields.next()?, 16).ok()?;
    let end = u64::from_str_radix(fields.next()?, 16).ok()?;
    let kind = fields.next()?.rsplit(',').next()?;
    let class = match kind {
        "directmap" => DataClass::DirectMap,
        "stack" | "vmalloc" => DataClass::Stack,
        "percpu" | "percpu-static" | "percpu-reserved" | "percpu-dynamic" | "percpu-chunk" | "irqstack" | "cpuentry"
        | "idlestack" => DataClass::PerCpu,
        "mmio" if row.contains("local APIC") => DataClass::PerCpu,
        _ if start >= VMALLOC || kind == "directmap-image" => DataClass::Shared,
        _ => DataClass::DirectMap,
    };
    Some((start, end, class))
}

fn parse_stack(row: &str) -> Option<StackRow> {
    let fields: Vec<&str> = row.split(',').collect();
    let [trace, task, _, _, start, _] = fields[..] else { return None };
    Some(StackRow { trace: trace.to_owned(), task: task.parse().ok()?, first_line: line_of(start)? })
}
