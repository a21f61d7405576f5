//! Checks names and types and makes the control-flow graph, in one walk over the program: what a value is and which bounds it keeps is
//! known exactly where its operation is made.

mod declarations;
mod expressions;
mod messages;
mod statements;

use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Block, BlockIndex, Ending, Flow, Loop, MESSAGE, Operation, Origin, Placed, Register, Terminator};
use crate::service::{Options, Shape};
use crate::syntax::{Constant, Name, Program, Span, Width};
use std::collections::BTreeMap;

/// Lowest and highest number that a value can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub low: u64,
    pub high: u64,
}

impl Interval {
    fn exactly(value: u64) -> Interval {
        Interval { low: value, high: value }
    }

    fn to(high: u64) -> Interval {
        Interval { low: 0, high }
    }
}

/// The type of a value, with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer(Interval),
    Boolean,
    /// Bytes with so many of them, and whose memory they lie in.
    Bytes(Interval, Origin),
    Entry(usize),
    /// A value whose fault has been reported.
    Unknown,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::Integer(_) => "a number",
            Kind::Boolean => "true or false",
            Kind::Bytes(..) => "bytes",
            Kind::Entry(_) => "an entry of a table",
            Kind::Unknown => "unknown",
        }
    }
}

/// A value in a register.
#[derive(Clone, Debug)]
struct Operand {
    register: Register,
    kind: Kind,
    span: Span,
}

/// What a name means.
#[derive(Clone, Debug)]
enum Binding {
    Value(Register, Kind),
    Variable(Register, Width),
    /// Fields of a received message by their path.
    Message(BTreeMap<String, (Register, Kind)>),
}

/// Makes the graph of a program.
///
/// # Errors
/// Everything that is wrong with names, types, bounds and paths.
pub(crate) fn lower(program: &Program, options: &Options) -> Result<(Shape, Flow), Vec<Diagnostic>> {
    let mut lowering = Lowering::new(program, options);
    let shape = lowering.declare();
    lowering.states();
    let Lowering { mut diagnostics, flow, .. } = lowering;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    match shape {
        Some(shape) if diagnostics.is_empty() => Ok((shape, flow)),
        _ => Err(diagnostics),
    }
}

struct Lowering<'a> {
    program: &'a Program,
    options: &'a Options,
    flow: Flow,
    /// Where operations go; `None` after a statement that ends the run.
    current: Option<BlockIndex>,
    scopes: Vec<BTreeMap<String, Binding>>,
    /// Loops around the place, innermost last.
    loops: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
    constants: BTreeMap<String, u64>,
    /// Per table: the greatest key and value in bytes.
    tables: Vec<(u64, u64)>,
    message_bytes_max: u64,
}

impl<'a> Lowering<'a> {
    fn new(program: &'a Program, options: &'a Options) -> Lowering<'a> {
        let mut lowering = Lowering {
            program,
            options,
            flow: Flow::default(),
            current: None,
            scopes: Vec::new(),
            loops: Vec::new(),
            diagnostics: Vec::new(),
            constants: BTreeMap::new(),
            tables: Vec::new(),
            message_bytes_max: 0,
        };
        let message = lowering.register(Origin::Message);
        debug_assert_eq!(message, MESSAGE);
        lowering
    }

    /// The graph of all states, behind one entry that chooses the connection's.
    fn states(&mut self) {
        let entry = self.block();
        self.current = Some(entry);
        let targets: Vec<BlockIndex> = self.program.states.iter().map(|_| self.block()).collect();
        let span = self.program.name.span.clone();
        match targets.as_slice() {
            [] => {
                let missing = Diagnostic::new(Code::Path, &span, "a service needs a state", "no state is declared");
                self.diagnostics.push(missing.help("state ready { … }"));
                self.end(Terminator::End(Ending::Drop), &span);
            }
            [only] => self.end(Terminator::Go(*only), &span),
            _ => self.end(Terminator::Dispatch { targets: targets.clone() }, &span),
        }
        for (state, target) in self.program.states.iter().zip(targets) {
            self.current = Some(target);
            self.body(&state.body);
            if self.current.is_some() {
                let end = state.body.span.end;
                let message = format!("the state `{}` can end without an answer", state.name.text);
                let fault = Diagnostic::new(Code::Path, &(end.saturating_sub(1)..end), message, "the run must not come here");
                self.diagnostics.push(fault.help("end every path with reply, up, drop or more"));
                self.end(Terminator::End(Ending::Drop), &(end..end));
            }
        }
    }

    fn error(&mut self, code: Code, span: &Span, message: impl Into<String>, label: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, span, message, label));
    }

    fn register(&mut self, origin: Origin) -> Register {
        self.flow.origins.push(origin);
        self.flow.origins.len() - 1
    }

    fn literal(&mut self, bytes: &[u8]) -> usize {
        if let Some(found) = self.flow.literals.iter().position(|known| known == bytes) {
            return found;
        }
        self.flow.literals.push(bytes.to_vec());
        self.flow.literals.len() - 1
    }

    /// A new block in the loop around the place.
    fn block(&mut self) -> BlockIndex {
        let inside = self.loops.last().copied();
        let terminator = Placed::new(Terminator::End(Ending::Drop), &(0..0));
        self.flow.blocks.push(Block { operations: Vec::new(), terminator, inside });
        self.flow.blocks.len() - 1
    }

    fn emit(&mut self, operation: Operation, span: &Span) {
        if let Some(current) = self.current {
            self.flow.blocks[current].operations.push(Placed::new(operation, span));
        }
    }

    /// Ends the current block.
    fn end(&mut self, terminator: Terminator, span: &Span) {
        if let Some(current) = self.current.take() {
            self.flow.blocks[current].terminator = Placed::new(terminator, span);
        }
    }

    /// Ends the current block and goes on in another.
    fn end_and_go_on(&mut self, terminator: Terminator, span: &Span, next: BlockIndex) {
        self.end(terminator, span);
        self.current = Some(next);
    }

    /// A new loop around what follows; its header becomes the current block.
    fn enter_loop(&mut self, bound: u64, span: &Span) -> usize {
        let exit = self.block();
        let parent = self.loops.last().copied();
        let index = self.flow.loops.len();
        self.flow.loops.push(Loop { header: 0, exit, bound, parent });
        self.loops.push(index);
        let header = self.block();
        self.flow.loops[index].header = header;
        self.end_and_go_on(Terminator::Go(header), span, header);
        index
    }

    /// Back to the header, and on behind the loop.
    fn leave_loop(&mut self, index: usize, span: &Span) {
        let Loop { header, exit, .. } = self.flow.loops[index];
        self.end(Terminator::Go(header), span);
        self.loops.pop();
        self.current = Some(exit);
    }

    fn bind(&mut self, name: &Name, binding: Binding) {
        let known = self.scopes.iter().any(|scope| scope.contains_key(&name.text));
        if known || self.constants.contains_key(&name.text) {
            self.error(Code::Name, &name.span, format!("`{}` is the name of something else here", name.text), "declared twice");
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.text.clone(), binding);
        }
    }

    fn binding(&self, name: &str) -> Option<&Binding> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    fn constant(&mut self, constant: &Constant) -> Option<u64> {
        match constant {
            Constant::Number(value, _) => Some(*value),
            Constant::Named(name) => {
                let found = self.constants.get(&name.text).copied();
                if found.is_none() {
                    self.error(Code::Name, &name.span, format!("no constant is called `{}`", name.text), "not a constant");
                }
                found
            }
        }
    }

    /// A constant that must lie in a range; the least of the range where it does not.
    fn constant_within(&mut self, constant: &Constant, least: u64, greatest: u64, what: &str) -> u64 {
        let Some(value) = self.constant(constant) else { return least };
        if (least..=greatest).contains(&value) {
            return value;
        }
        let message = format!("{what} must lie between {least} and {greatest}, not at {value}");
        self.error(Code::TableBound, constant.span(), message, "out of range");
        least
    }

    fn table(&mut self, name: &Name) -> Option<usize> {
        let found = self.program.tables.iter().position(|table| table.name.text == name.text);
        if found.is_none() {
            self.error(Code::Name, &name.span, format!("no table is called `{}`", name.text), "not a table");
        }
        found
    }
}
