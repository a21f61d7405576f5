//! The intermediate form: straight pieces of operations on registers, joined by terminators into a control-flow graph.
//!
//! Loops are kept beside the graph with their bounds, because every loop of the language has one.

use crate::syntax::Span;
use petgraph::graph::{DiGraph, NodeIndex};

/// A place for one value. Register 0 stands for the message itself: what reads the message uses it.
pub type Register = usize;
/// Index of a block in [`Flow::blocks`].
pub type BlockIndex = usize;

/// The register that stands for the message.
pub const MESSAGE: Register = 0;

/// Whose memory a register's bytes lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Not bytes.
    None,
    /// The received message.
    Message,
    /// The program itself.
    Literal,
    /// An entry of a table.
    Table(usize),
}

/// Calculations on numbers; results saturate at 0 and 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Minimum,
}

/// Comparisons of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
}

/// What can be done without leaving a block. `checked` operations end the run with Drop when their check fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Constant {
        to: Register,
        value: u64,
    },
    Literal {
        to: Register,
        literal: usize,
    },
    Copy {
        to: Register,
        from: Register,
    },
    /// Saturates at the width of a variable.
    Clamp {
        register: Register,
        greatest: u64,
    },
    Arithmetic {
        to: Register,
        operator: Arithmetic,
        left: Register,
        right: Register,
        checked: bool,
    },
    Compare {
        to: Register,
        comparison: Comparison,
        left: Register,
        right: Register,
    },
    EqualBytes {
        to: Register,
        left: Register,
        right: Register,
        bytes_max: u64,
        negated: bool,
    },
    Not {
        to: Register,
        from: Register,
    },
    Length {
        to: Register,
        bytes: Register,
    },
    Index {
        to: Register,
        bytes: Register,
        index: Register,
        checked: bool,
    },
    Slice {
        to: Register,
        bytes: Register,
        start: Register,
        end: Register,
        checked: bool,
    },
    Contains {
        to: Register,
        bytes: Register,
        literal: usize,
        bytes_max: u64,
    },
    Remaining {
        to: Register,
    },
    /// A field of a message, loaded from the parser's descriptor: only without inlined parsing.
    LoadField {
        register: Register,
    },
    LoadConnection {
        to: Register,
        field: usize,
    },
    StoreConnection {
        field: usize,
        from: Register,
    },
    Become {
        state: usize,
    },
    /// The value of a table's entry, as bytes in the table.
    Value {
        to: Register,
        entry: Register,
    },
    Release {
        table: usize,
        entry: Register,
    },
    ReleaseMessage,
    PutBytes {
        from: Register,
        bytes_max: u64,
    },
    PutInteger {
        from: Register,
        width: u32,
    },
    PutDecimal {
        from: Register,
        digits_max: u64,
    },
    /// Keeps the place up to which the message is read.
    Mark {
        to: Register,
    },
    /// Goes back to a kept place.
    Rewind {
        to: Register,
    },
    /// Calls the general parser: only without inlined parsing.
    EnterParser,
    /// Gives way, if something else wants to run.
    Yield,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Literal { literal: usize },
    Integer { to: Register, width: u32 },
    Until { to: Register, delimiter: usize, without: usize, bytes_max: u64 },
    Decimal { to: Register, digits_max: u64 },
    Bytes { to: Register, length: Register, bytes_max: u64 },
    Rest { to: Register, bytes_max: u64 },
    End,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Reply,
    Up,
    Drop,
    More,
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    Go(BlockIndex),
    Branch {
        condition: Register,
        then: BlockIndex,
        otherwise: BlockIndex,
    },
    /// The head of a loop: counts rounds up to the bound.
    Count {
        counter: Register,
        bound: u64,
        within: BlockIndex,
        exhausted: BlockIndex,
    },
    Parse {
        step: Step,
        matched: BlockIndex,
        mismatched: BlockIndex,
        incomplete: BlockIndex,
    },
    Find {
        table: usize,
        key: Register,
        to: Register,
        key_bytes_max: u64,
        found: BlockIndex,
        missing: BlockIndex,
    },
    Insert {
        table: usize,
        key: Register,
        value: Register,
        key_bytes_max: u64,
        value_bytes_max: u64,
        done: BlockIndex,
        full: BlockIndex,
    },
    /// Goes to the block of the connection's state.
    Dispatch {
        targets: Vec<BlockIndex>,
    },
    End(Ending),
}

impl Terminator {
    /// Where it may lead.
    pub fn targets(&self) -> Vec<BlockIndex> {
        match self {
            Terminator::Go(target) => vec![*target],
            Terminator::Branch { then, otherwise, .. } => vec![*then, *otherwise],
            Terminator::Count { within, exhausted, .. } => vec![*within, *exhausted],
            Terminator::Parse { matched, mismatched, incomplete, .. } => vec![*matched, *mismatched, *incomplete],
            Terminator::Find { found, missing, .. } => vec![*found, *missing],
            Terminator::Insert { done, full, .. } => vec![*done, *full],
            Terminator::Dispatch { targets } => targets.clone(),
            Terminator::End(_) => Vec::new(),
        }
    }

    /// Renames the targets.
    pub fn retarget(&mut self, rename: impl Fn(BlockIndex) -> BlockIndex) {
        let change = |target: &mut BlockIndex| *target = rename(*target);
        match self {
            Terminator::Go(target) => change(target),
            Terminator::Branch { then, otherwise, .. } => [then, otherwise].into_iter().for_each(change),
            Terminator::Count { within, exhausted, .. } => [within, exhausted].into_iter().for_each(change),
            Terminator::Parse { matched, mismatched, incomplete, .. } => {
                [matched, mismatched, incomplete].into_iter().for_each(change);
            }
            Terminator::Find { found, missing, .. } => [found, missing].into_iter().for_each(change),
            Terminator::Insert { done, full, .. } => [done, full].into_iter().for_each(change),
            Terminator::Dispatch { targets } => targets.iter_mut().for_each(change),
            Terminator::End(_) => {}
        }
    }
}

/// Something with its place in the source, and the instructions after which its inner loop gives way (0: never).
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub what: T,
    pub span: Span,
    pub chunk: u32,
}

impl<T> Placed<T> {
    pub fn new(what: T, span: &Span) -> Placed<T> {
        Placed { what, span: span.clone(), chunk: 0 }
    }
}

/// A straight piece.
#[derive(Clone, Debug)]
pub struct Block {
    pub operations: Vec<Placed<Operation>>,
    pub terminator: Placed<Terminator>,
    /// The innermost loop that it belongs to.
    pub inside: Option<usize>,
}

/// A loop.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    pub header: BlockIndex,
    /// Where it leads when it ends.
    pub exit: BlockIndex,
    /// Rounds at most.
    pub bound: u64,
    pub parent: Option<usize>,
}

/// A whole service.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Block 0 is the entry.
    pub blocks: Vec<Block>,
    pub loops: Vec<Loop>,
    /// Whose memory each register's bytes lie in.
    pub origins: Vec<Origin>,
    pub literals: Vec<Vec<u8>>,
}

impl Flow {
    /// The control flow as a graph: a node per block, in order.
    pub fn graph(&self) -> DiGraph<BlockIndex, ()> {
        self.edges(|_, target| target)
    }

    /// The control flow without circles: an edge back to a loop's header leads to the loop's exit instead.
    pub fn forward_graph(&self) -> DiGraph<BlockIndex, ()> {
        self.edges(|from, target| self.back_edge(from, target).map_or(target, |index| self.loops[index].exit))
    }

    /// The loop whose header `target` is, when `from` lies inside.
    fn back_edge(&self, from: BlockIndex, target: BlockIndex) -> Option<usize> {
        self.enclosing(from).find(|index| self.loops[*index].header == target)
    }

    fn edges(&self, place: impl Fn(BlockIndex, BlockIndex) -> BlockIndex) -> DiGraph<BlockIndex, ()> {
        let mut graph = DiGraph::with_capacity(self.blocks.len(), self.blocks.len() * 2);
        for index in 0..self.blocks.len() {
            graph.add_node(index);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            for target in block.terminator.what.targets() {
                graph.update_edge(NodeIndex::new(index), NodeIndex::new(place(index, target)), ());
            }
        }
        graph
    }

    /// The loops around a block, innermost first.
    pub fn enclosing(&self, block: BlockIndex) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.blocks[block].inside, |index| self.loops[*index].parent)
    }

    /// How often a block runs at most in one run; a header runs once more than its loop's rounds, for the last check.
    pub fn rounds(&self, block: BlockIndex) -> u64 {
        let count = |index: usize| self.loops[index].bound + u64::from(self.loops[index].header == block);
        self.enclosing(block).map(count).fold(1, u64::saturating_mul)
    }
}

impl Operation {
    /// Registers that it reads.
    pub fn uses(&self) -> Vec<Register> {
        match self {
            Operation::Constant { .. }
            | Operation::Literal { .. }
            | Operation::LoadConnection { .. }
            | Operation::Become { .. }
            | Operation::ReleaseMessage
            | Operation::EnterParser
            | Operation::Yield => Vec::new(),
            Operation::Copy { from, .. } | Operation::Not { from, .. } | Operation::StoreConnection { from, .. } => vec![*from],
            Operation::Clamp { register, .. } | Operation::LoadField { register } => vec![*register],
            Operation::Arithmetic { left, right, .. }
            | Operation::Compare { left, right, .. }
            | Operation::EqualBytes { left, right, .. } => vec![*left, *right],
            Operation::Length { bytes, .. } | Operation::Contains { bytes, .. } => vec![*bytes],
            Operation::Index { bytes, index, .. } => vec![*bytes, *index],
            Operation::Slice { bytes, start, end, .. } => vec![*bytes, *start, *end],
            Operation::Remaining { .. } | Operation::Mark { .. } => vec![MESSAGE],
            Operation::Rewind { to } => vec![MESSAGE, *to],
            Operation::Value { entry, .. } | Operation::Release { entry, .. } => vec![*entry],
            Operation::PutBytes { from, .. } | Operation::PutInteger { from, .. } | Operation::PutDecimal { from, .. } => {
                vec![*from]
            }
        }
    }

    /// The register that it writes.
    pub fn defines(&self) -> Option<Register> {
        match self {
            Operation::Constant { to, .. }
            | Operation::Literal { to, .. }
            | Operation::Copy { to, .. }
            | Operation::Arithmetic { to, .. }
            | Operation::Compare { to, .. }
            | Operation::EqualBytes { to, .. }
            | Operation::Not { to, .. }
            | Operation::Length { to, .. }
            | Operation::Index { to, .. }
            | Operation::Slice { to, .. }
            | Operation::Contains { to, .. }
            | Operation::Remaining { to }
            | Operation::LoadConnection { to, .. }
            | Operation::Value { to, .. }
            | Operation::Mark { to } => Some(*to),
            _ => None,
        }
    }
}

impl Terminator {
    /// Registers that it reads.
    pub fn uses(&self) -> Vec<Register> {
        match self {
            Terminator::Branch { condition, .. } => vec![*condition],
            Terminator::Parse { step: Step::Bytes { length, .. }, .. } => vec![MESSAGE, *length],
            Terminator::Parse { .. } => vec![MESSAGE],
            Terminator::Find { key, .. } => vec![*key],
            Terminator::Insert { key, value, .. } => vec![*key, *value],
            Terminator::Count { counter, .. } => vec![*counter],
            Terminator::Go(_) | Terminator::Dispatch { .. } | Terminator::End(_) => Vec::new(),
        }
    }

    /// The register that it writes, on whatever way it is left.
    pub fn defines(&self) -> Option<Register> {
        match self {
            Terminator::Find { to, .. } => Some(*to),
            Terminator::Parse { step, .. } => match step {
                Step::Integer { to, .. }
                | Step::Until { to, .. }
                | Step::Decimal { to, .. }
                | Step::Bytes { to, .. }
                | Step::Rest { to, .. } => Some(*to),
                Step::Literal { .. } | Step::End => None,
            },
            _ => None,
        }
    }
}
