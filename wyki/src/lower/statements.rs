//! Statements.

use super::{Binding, Interval, Kind, Lowering, Operand};
use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Arithmetic, BlockIndex, Comparison, Ending, Operation, Origin, Terminator};
use crate::syntax::{Block, Constant, Expression, ExpressionKind, Name, Piece, Span, Statement, StatementKind, Width};
use std::collections::BTreeMap;

/// Rounds of one loop at most. A guess of what no request needs.
const LOOP_MAX: u64 = 65_536;

impl Lowering<'_> {
    pub(super) fn body(&mut self, block: &Block) {
        self.scopes.push(BTreeMap::new());
        for statement in &block.statements {
            if self.current.is_none() {
                let span = statement.span.clone();
                self.error(Code::Path, &span, "no path leads to this statement", "never reached");
                break;
            }
            self.statement(statement);
        }
        self.scopes.pop();
    }

    /// One block behind several.
    pub(super) fn join(&mut self, open: &[BlockIndex], span: &Span) {
        match open {
            [] => self.current = None,
            [only] => self.current = Some(*only),
            _ => {
                let next = self.block();
                for block in open {
                    self.current = Some(*block);
                    self.end(Terminator::Go(next), span);
                }
                self.current = Some(next);
            }
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let span = &statement.span;
        match &statement.kind {
            StatementKind::Let(name, value) => self.let_value(name, value),
            StatementKind::Var(name, width, value) => self.variable(name, *width, value),
            StatementKind::Assign(name, value) => self.assign(name, value),
            StatementKind::AssignConnection(name, value) => self.assign_connection(name, value),
            StatementKind::If(condition, then, otherwise) => self.condition(condition, then, otherwise.as_ref(), span),
            StatementKind::While { condition, max, body } => self.while_loop(condition, max.as_ref(), body, span),
            StatementKind::For { variable, start, end, max, body } => {
                self.for_loop(variable, (start, end), max.as_ref(), body, span)
            }
            StatementKind::Break => self.leave(span),
            StatementKind::Match { value, arms, otherwise } => self.match_value(value, arms, otherwise, span),
            StatementKind::Receive { cases, incomplete, otherwise } => self.receive(cases, incomplete.as_ref(), otherwise, span),
            StatementKind::Find { table, key, entry, found, missing } => self.find(table, key, entry, (found, missing), span),
            StatementKind::Insert { table, key, value, full } => self.insert(table, key, value, full, span),
            StatementKind::Release(name) => self.release(name),
            StatementKind::Put(pieces) => self.put(pieces),
            StatementKind::Reply(pieces) => {
                self.put(pieces);
                self.end(Terminator::End(Ending::Reply), span);
            }
            StatementKind::Up => self.end(Terminator::End(Ending::Up), span),
            StatementKind::Drop => self.end(Terminator::End(Ending::Drop), span),
            StatementKind::More => self.more(span),
            StatementKind::Become(name) => self.change_state(name, span),
        }
    }

    fn more(&mut self, span: &Span) {
        if self.program.udp {
            let fault = Diagnostic::new(Code::Type, span, "there is no more of a datagram than what came", "only for tcp");
            self.diagnostics.push(fault.help("use drop or up"));
        }
        self.end(Terminator::End(Ending::More), span);
    }

    fn let_value(&mut self, name: &Name, value: &Expression) {
        let value = self.expression(value);
        self.bind(name, Binding::Value(value.register, value.kind));
    }

    fn variable(&mut self, name: &Name, width: Width, value: &Expression) {
        let value = self.number(value);
        let register = self.register(Origin::None);
        self.store(register, width, &value);
        self.bind(name, Binding::Variable(register, width));
    }

    /// Stores a number in a variable; one that is too large saturates.
    fn store(&mut self, register: usize, width: Width, value: &Operand) {
        self.emit(Operation::Copy { to: register, from: value.register }, &value.span);
        if !matches!(value.kind, Kind::Integer(interval) if interval.high <= width.greatest()) {
            self.emit(Operation::Clamp { register, greatest: width.greatest() }, &value.span);
        }
    }

    fn assign(&mut self, name: &Name, value: &Expression) {
        let value = self.number(value);
        match self.binding(&name.text) {
            Some(Binding::Variable(register, width)) => {
                let (register, width) = (*register, *width);
                self.store(register, width, &value);
            }
            Some(_) => {
                let fault = Diagnostic::new(Code::Type, &name.span, format!("`{}` does not change", name.text), "not a variable");
                self.diagnostics.push(fault.help("declare it with var and a width: var count: u32 = 0;"));
            }
            None => self.error(Code::Name, &name.span, format!("nothing is called `{}` here", name.text), "unknown name"),
        }
    }

    fn assign_connection(&mut self, name: &Name, value: &Expression) {
        let value = self.number(value);
        let Some(field) = self.connection_field(name) else { return };
        let width = self.program.fields[field].width;
        let from = self.register(Origin::None);
        self.store(from, width, &value);
        self.emit(Operation::StoreConnection { field, from }, &name.span);
    }

    fn condition(&mut self, condition: &Expression, then: &Block, otherwise: Option<&Block>, span: &Span) {
        let (yes, no) = (self.block(), self.block());
        self.branch(condition, yes, no);
        self.current = Some(yes);
        self.body(then);
        let mut open: Vec<BlockIndex> = self.current.take().into_iter().collect();
        self.current = Some(no);
        if let Some(otherwise) = otherwise {
            self.body(otherwise);
        }
        open.extend(self.current.take());
        self.join(&open, span);
    }

    fn loop_max(&mut self, max: &Constant) -> u64 {
        let Some(value) = self.constant(max) else { return 1 };
        if value > LOOP_MAX {
            let fault = Diagnostic::new(
                Code::UnboundedLoop,
                max.span(),
                format!("a loop of {value} rounds; at most {LOOP_MAX}"),
                "too many",
            );
            self.diagnostics.push(fault);
        }
        value.min(LOOP_MAX)
    }

    fn while_loop(&mut self, condition: &Expression, max: Option<&Constant>, body: &Block, span: &Span) {
        let Some(max) = max else {
            let message = "this loop has no bound, so the service might never end";
            let fault = Diagnostic::new(Code::UnboundedLoop, &(span.start..condition.span.end), message, "no bound");
            self.diagnostics.push(fault.help("say how many rounds at most: while … max 16 { … }"));
            return;
        };
        let bound = self.loop_max(max);
        let index = self.begin_counted(bound, span);
        let (within, exit) = (self.block(), self.flow.loops[index].exit);
        self.branch(condition, within, exit);
        self.current = Some(within);
        self.body(body);
        self.leave_loop(index, span);
    }

    /// A loop whose rounds are counted at its head.
    fn begin_counted(&mut self, bound: u64, span: &Span) -> usize {
        let counter = self.register(Origin::None);
        self.emit(Operation::Constant { to: counter, value: 0 }, span);
        let index = self.enter_loop(bound, span);
        let within = self.block();
        let exhausted = self.flow.loops[index].exit;
        self.end_and_go_on(Terminator::Count { counter, bound, within, exhausted }, span, within);
        index
    }

    fn for_loop(&mut self, name: &Name, range: (&Expression, &Expression), max: Option<&Constant>, body: &Block, span: &Span) {
        let (start, end) = (self.number(range.0), self.number(range.1));
        let bounds = |operand: &Operand| if let Kind::Integer(interval) = operand.kind { interval } else { Interval::exactly(0) };
        let (first, last) = (bounds(&start), bounds(&end));
        let rounds = last.high.saturating_sub(first.low);
        let declared = max.map(|max| self.loop_max(max));
        if declared.is_none() && rounds > LOOP_MAX {
            let place = range.0.span.start..range.1.span.end;
            let message = format!("this loop may take {rounds} rounds; at most {LOOP_MAX} can be proven to end in time");
            let fault = Diagnostic::new(Code::UnboundedLoop, &place, message, "no static bound");
            self.diagnostics.push(fault.help("say how many rounds at most: for … in … .. … max 16 { … }"));
            return;
        }
        let bound = declared.unwrap_or(rounds).min(rounds);
        let counter = self.register(Origin::None);
        self.emit(Operation::Copy { to: counter, from: start.register }, span);
        let index = if bound < rounds { self.begin_counted(bound, span) } else { self.enter_loop(bound, span) };
        let inside = self.register(Origin::None);
        self.emit(Operation::Compare { to: inside, comparison: Comparison::Less, left: counter, right: end.register }, span);
        let (within, exit) = (self.block(), self.flow.loops[index].exit);
        self.end_and_go_on(Terminator::Branch { condition: inside, then: within, otherwise: exit }, span, within);
        self.scopes.push(BTreeMap::new());
        let kind = Kind::Integer(Interval { low: first.low, high: last.high.saturating_sub(1).max(first.low) });
        self.bind(name, Binding::Value(counter, kind));
        self.body(body);
        self.scopes.pop();
        let one = self.register(Origin::None);
        self.emit(Operation::Constant { to: one, value: 1 }, span);
        self.emit(
            Operation::Arithmetic { to: counter, operator: Arithmetic::Add, left: counter, right: one, checked: false },
            span,
        );
        self.leave_loop(index, span);
    }

    fn leave(&mut self, span: &Span) {
        match self.loops.last() {
            Some(index) => {
                let exit = self.flow.loops[*index].exit;
                self.end(Terminator::Go(exit), span);
            }
            None => self.error(Code::Path, span, "there is no loop to leave here", "outside of a loop"),
        }
    }

    fn match_value(&mut self, value: &Expression, arms: &[(Vec<Expression>, Block)], otherwise: &Block, span: &Span) {
        let value = self.expression(value);
        let mut open = Vec::new();
        for (patterns, body) in arms {
            let (taken, next) = (self.block(), self.block());
            for (index, pattern) in patterns.iter().enumerate() {
                let pattern = self.expression(pattern);
                let condition = self.equal(&value, &pattern, false, span);
                let other = if index + 1 == patterns.len() { next } else { self.block() };
                self.end_and_go_on(Terminator::Branch { condition, then: taken, otherwise: other }, span, other);
            }
            self.current = Some(taken);
            self.body(body);
            open.extend(self.current.take());
            self.current = Some(next);
        }
        self.body(otherwise);
        open.extend(self.current.take());
        self.join(&open, span);
    }

    /// A key or a value that must fit into a table's bound.
    fn fits(&mut self, operand: &Operand, bound: u64, what: &str, table: &Name) -> u64 {
        let Kind::Bytes(length, _) = operand.kind else { return 0 };
        if length.high > bound {
            let message = format!(
                "a {what} of up to {} bytes for the table `{}`, whose {what}s have at most {bound}",
                length.high, table.text
            );
            let declared = self.program.tables.iter().find(|known| known.name.text == table.text);
            let mut fault = Diagnostic::new(Code::TableBound, &operand.span, message, format!("up to {} bytes", length.high));
            if let Some(declared) = declared {
                fault = fault.also(&declared.name.span, format!("{what}s of at most {bound} bytes"));
            }
            self.diagnostics.push(fault.help(format!("bound the field with max {bound}, or declare a larger {what}")));
        }
        length.high
    }

    fn find(&mut self, table: &Name, key: &Expression, entry: &Name, bodies: (&Block, &Block), span: &Span) {
        let key = self.bytes(key);
        let Some(index) = self.table(table) else { return };
        let key_bytes_max = self.fits(&key, self.tables[index].0, "key", table);
        let to = self.register(Origin::Table(index));
        let (found, missing) = (self.block(), self.block());
        self.end(Terminator::Find { table: index, key: key.register, to, key_bytes_max, found, missing }, span);
        self.current = Some(found);
        self.scopes.push(BTreeMap::new());
        self.bind(entry, Binding::Value(to, Kind::Entry(index)));
        self.body(bodies.0);
        self.scopes.pop();
        let mut open: Vec<BlockIndex> = self.current.take().into_iter().collect();
        self.current = Some(missing);
        self.body(bodies.1);
        open.extend(self.current.take());
        self.join(&open, span);
    }

    fn insert(&mut self, table: &Name, key: &Expression, value: &Expression, full_body: &Block, span: &Span) {
        let (key, value) = (self.bytes(key), self.bytes(value));
        let Some(index) = self.table(table) else { return };
        let key_bytes_max = self.fits(&key, self.tables[index].0, "key", table);
        let value_bytes_max = self.fits(&value, self.tables[index].1, "value", table);
        let (done, full) = (self.block(), self.block());
        let (key, value) = (key.register, value.register);
        self.end(Terminator::Insert { table: index, key, value, key_bytes_max, value_bytes_max, done, full }, span);
        self.current = Some(full);
        self.body(full_body);
        let mut open = vec![done];
        open.extend(self.current.take());
        self.join(&open, span);
    }

    fn release(&mut self, name: &Name) {
        if name.text == "message" {
            self.emit(Operation::ReleaseMessage, &name.span);
            return;
        }
        match self.binding(&name.text) {
            Some(Binding::Value(entry, Kind::Entry(table))) => {
                let operation = Operation::Release { table: *table, entry: *entry };
                self.emit(operation, &name.span);
            }
            Some(_) => {
                self.error(Code::Type, &name.span, "only an entry of a table or the message can be released", "not an entry")
            }
            None => self.error(Code::Name, &name.span, format!("nothing is called `{}` here", name.text), "unknown name"),
        }
    }

    fn change_state(&mut self, name: &Name, span: &Span) {
        match self.program.states.iter().position(|state| state.name.text == name.text) {
            Some(state) => self.emit(Operation::Become { state }, span),
            None => self.error(Code::Name, &name.span, format!("no state is called `{}`", name.text), "not a state"),
        }
    }

    fn put(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Bytes(value) => {
                    let value = self.put_bytes(value);
                    if let Kind::Bytes(length, _) = value.kind {
                        self.emit(Operation::PutBytes { from: value.register, bytes_max: length.high }, &value.span);
                    }
                }
                Piece::Integer(width, value) => {
                    let value = self.number(value);
                    self.emit(Operation::PutInteger { from: value.register, width: width.0 }, &value.span);
                }
                Piece::Decimal(value) => {
                    let value = self.number(value);
                    if let Kind::Integer(interval) = value.kind {
                        let digits_max = u64::from(interval.high.checked_ilog10().unwrap_or(0)) + 1;
                        self.emit(Operation::PutDecimal { from: value.register, digits_max }, &value.span);
                    }
                }
            }
        }
    }

    fn put_bytes(&mut self, value: &Expression) -> Operand {
        let operand = self.expression(value);
        if matches!(operand.kind, Kind::Integer(_)) && !matches!(value.kind, ExpressionKind::Bytes(_)) {
            let fault = Diagnostic::new(Code::Type, &operand.span, "a number needs a form in the reply", "a number");
            self.diagnostics.push(fault.help("decimal(…) writes digits, u8(…) to u64(…) write bytes, the highest first"));
            return Operand { kind: Kind::Unknown, ..operand };
        }
        self.need_bytes(operand)
    }
}
