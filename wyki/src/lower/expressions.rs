//! Expressions: types, bounds of numbers and lengths, and which checks can be left out.

use super::{Binding, Interval, Kind, Lowering, Operand};
use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Arithmetic, BlockIndex, Comparison, Operation, Origin, Register, Terminator};
use crate::syntax::{Binary, Expression, ExpressionKind, Name, Span};

impl Lowering<'_> {
    pub(super) fn expression(&mut self, expression: &Expression) -> Operand {
        let span = &expression.span;
        match &expression.kind {
            ExpressionKind::Number(value) => self.number_constant(*value, span),
            ExpressionKind::Bytes(bytes) => {
                let literal = self.literal(bytes);
                let length = Interval::exactly(bytes.len() as u64);
                self.value(Kind::Bytes(length, Origin::Literal), span, |to| Operation::Literal { to, literal })
            }
            ExpressionKind::Boolean(value) => {
                let value = u64::from(*value);
                self.value(Kind::Boolean, span, |to| Operation::Constant { to, value })
            }
            ExpressionKind::Name(name) => self.name(name, span),
            ExpressionKind::Field(..) => self.field_path(expression),
            ExpressionKind::Call(name, arguments) => self.call(name, arguments, span),
            ExpressionKind::Index(bytes, index) => self.index(bytes, index, span),
            ExpressionKind::Slice(bytes, start, end) => self.slice(bytes, (start, end), span),
            ExpressionKind::Not(inner) => {
                let inner = self.boolean(inner);
                self.value(Kind::Boolean, span, |to| Operation::Not { to, from: inner.register })
            }
            ExpressionKind::Binary(Binary::And | Binary::Or, ..) => self.truth_of(expression),
            ExpressionKind::Binary(operator, left, right) => self.binary(*operator, left, right, span),
        }
    }

    /// A new register filled by an operation.
    fn value(&mut self, kind: Kind, span: &Span, operation: impl FnOnce(Register) -> Operation) -> Operand {
        let origin = if let Kind::Bytes(_, origin) = kind { origin } else { Origin::None };
        let register = self.register(origin);
        self.emit(operation(register), span);
        Operand { register, kind, span: span.clone() }
    }

    fn number_constant(&mut self, value: u64, span: &Span) -> Operand {
        self.value(Kind::Integer(Interval::exactly(value)), span, |to| Operation::Constant { to, value })
    }

    fn unknown(&mut self, span: &Span) -> Operand {
        let register = self.register(Origin::None);
        Operand { register, kind: Kind::Unknown, span: span.clone() }
    }

    fn mismatch(&mut self, operand: Operand, needed: &str) -> Operand {
        if operand.kind != Kind::Unknown {
            let found = operand.kind.words();
            self.error(Code::Type, &operand.span, format!("expected {needed}, found {found}"), found);
        }
        Operand { kind: Kind::Unknown, ..operand }
    }

    pub(super) fn number(&mut self, expression: &Expression) -> Operand {
        let operand = self.expression(expression);
        if matches!(operand.kind, Kind::Integer(_)) { operand } else { self.mismatch(operand, "a number") }
    }

    pub(super) fn bytes(&mut self, expression: &Expression) -> Operand {
        let operand = self.expression(expression);
        self.need_bytes(operand)
    }

    pub(super) fn need_bytes(&mut self, operand: Operand) -> Operand {
        if matches!(operand.kind, Kind::Bytes(..)) { operand } else { self.mismatch(operand, "bytes") }
    }

    fn boolean(&mut self, expression: &Expression) -> Operand {
        let operand = self.expression(expression);
        if operand.kind == Kind::Boolean { operand } else { self.mismatch(operand, "true or false") }
    }

    /// `&&` and `||` as a value: both ways store it.
    fn truth_of(&mut self, expression: &Expression) -> Operand {
        let span = &expression.span;
        let to = self.register(Origin::None);
        let (yes, no, after) = (self.block(), self.block(), self.block());
        self.branch(expression, yes, no);
        for (block, value) in [(yes, 1), (no, 0)] {
            self.current = Some(block);
            self.emit(Operation::Constant { to, value }, span);
            self.end(Terminator::Go(after), span);
        }
        self.current = Some(after);
        Operand { register: to, kind: Kind::Boolean, span: span.clone() }
    }

    /// Goes one way or the other; the right side of `&&` and `||` is looked at only where it matters.
    pub(super) fn branch(&mut self, condition: &Expression, then: BlockIndex, otherwise: BlockIndex) {
        match &condition.kind {
            ExpressionKind::Not(inner) => self.branch(inner, otherwise, then),
            ExpressionKind::Binary(Binary::And, left, right) => {
                let next = self.block();
                self.branch(left, next, otherwise);
                self.current = Some(next);
                self.branch(right, then, otherwise);
            }
            ExpressionKind::Binary(Binary::Or, left, right) => {
                let next = self.block();
                self.branch(left, then, next);
                self.current = Some(next);
                self.branch(right, then, otherwise);
            }
            _ => {
                let value = self.boolean(condition);
                self.end(Terminator::Branch { condition: value.register, then, otherwise }, &condition.span);
            }
        }
    }

    fn name(&mut self, name: &str, span: &Span) -> Operand {
        if let Some(value) = self.constants.get(name).copied() {
            return self.number_constant(value, span);
        }
        match self.binding(name) {
            Some(Binding::Value(register, kind)) => Operand { register: *register, kind: *kind, span: span.clone() },
            Some(Binding::Variable(register, width)) => {
                // A copy: the variable may change before the value is used.
                let (from, greatest) = (*register, width.greatest());
                self.value(Kind::Integer(Interval::to(greatest)), span, |to| Operation::Copy { to, from })
            }
            Some(Binding::Message(_)) => {
                let fault = Diagnostic::new(Code::Type, span, format!("`{name}` is a message, not a value"), "a message");
                self.diagnostics.push(fault.help(format!("use one of its fields: {name}.…")));
                self.unknown(span)
            }
            None => {
                self.error(Code::Name, span, format!("nothing is called `{name}` here"), "unknown name");
                self.unknown(span)
            }
        }
    }

    /// `request.key`, `request.frame.id`, `entry.value`, `connection.count`.
    fn field_path(&mut self, expression: &Expression) -> Operand {
        let span = &expression.span;
        let mut path = Vec::new();
        let mut root = expression;
        while let ExpressionKind::Field(inner, name) = &root.kind {
            path.push(name);
            root = inner;
        }
        path.reverse();
        let ExpressionKind::Name(base) = &root.kind else {
            self.error(Code::Type, span, "only messages, entries and the connection have fields", "no fields");
            return self.unknown(span);
        };
        if base == "connection" && path.len() == 1 {
            return self.load_connection(path[0], span);
        }
        match self.binding(base) {
            Some(Binding::Message(fields)) => {
                let joined = path.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(".");
                match fields.get(&joined).copied() {
                    Some((register, kind)) => self.message_field(register, kind, span),
                    None => {
                        let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                        let fault =
                            Diagnostic::new(Code::Name, span, format!("the message has no field `{joined}`"), "no such field");
                        self.diagnostics.push(fault.help(format!("its fields: {known}")));
                        self.unknown(span)
                    }
                }
            }
            Some(Binding::Value(entry, Kind::Entry(table))) if path.len() == 1 && path[0].text == "value" => {
                let (entry, table) = (*entry, *table);
                let length = Interval::to(self.tables[table].1);
                self.value(Kind::Bytes(length, Origin::Table(table)), span, |to| Operation::Value { to, entry })
            }
            Some(Binding::Value(_, Kind::Entry(_))) => {
                self.error(Code::Name, span, "an entry has only one field: value", "no such field");
                self.unknown(span)
            }
            Some(_) => {
                self.error(Code::Type, span, format!("`{base}` has no fields"), "no fields");
                self.unknown(span)
            }
            None => {
                self.error(Code::Name, &root.span, format!("nothing is called `{base}` here"), "unknown name");
                self.unknown(span)
            }
        }
    }

    fn message_field(&mut self, register: Register, kind: Kind, span: &Span) -> Operand {
        if !self.options.inline_parsing {
            self.emit(Operation::LoadField { register }, span);
        }
        Operand { register, kind, span: span.clone() }
    }

    pub(super) fn connection_field(&mut self, name: &Name) -> Option<usize> {
        let found = self.program.fields.iter().position(|field| field.name.text == name.text);
        if found.is_none() {
            self.error(Code::Name, &name.span, format!("the connection has no field `{}`", name.text), "no such field");
        }
        found
    }

    fn load_connection(&mut self, name: &Name, span: &Span) -> Operand {
        let Some(field) = self.connection_field(name) else { return self.unknown(span) };
        let greatest = self.program.fields[field].width.greatest();
        self.value(Kind::Integer(Interval::to(greatest)), span, |to| Operation::LoadConnection { to, field })
    }

    fn call(&mut self, name: &Name, arguments: &[Expression], span: &Span) -> Operand {
        let count = match name.text.as_str() {
            "len" => 1,
            "remaining" => 0,
            "contains" | "min" => 2,
            other => {
                let fault = Diagnostic::new(Code::Name, &name.span, format!("no function is called `{other}`"), "unknown function");
                self.diagnostics.push(fault.help("known: len, remaining, contains, min"));
                return self.unknown(span);
            }
        };
        if arguments.len() != count {
            let message = format!("`{}` takes {count} values, not {}", name.text, arguments.len());
            self.error(Code::Type, span, message, "wrong number of values");
            return self.unknown(span);
        }
        match name.text.as_str() {
            "len" => self.length(&arguments[0], span),
            "remaining" => {
                let interval = Interval::to(self.message_bytes_max);
                self.value(Kind::Integer(interval), span, |to| Operation::Remaining { to })
            }
            "contains" => self.contains(&arguments[0], &arguments[1], span),
            _ => self.binary_numbers(Arithmetic::Minimum, &arguments[0], &arguments[1], span),
        }
    }

    fn length(&mut self, bytes: &Expression, span: &Span) -> Operand {
        let bytes = self.bytes(bytes);
        let Kind::Bytes(interval, _) = bytes.kind else { return self.unknown(span) };
        self.value(Kind::Integer(interval), span, |to| Operation::Length { to, bytes: bytes.register })
    }

    fn contains(&mut self, bytes: &Expression, part: &Expression, span: &Span) -> Operand {
        let bytes = self.bytes(bytes);
        let ExpressionKind::Bytes(part_bytes) = &part.kind else {
            self.error(Code::Type, &part.span, "what is looked for must stand in quotes", "not known when compiled");
            return self.unknown(span);
        };
        if part_bytes.is_empty() {
            self.error(Code::Type, &part.span, "everything contains nothing", "empty");
            return self.unknown(span);
        }
        let literal = self.literal(part_bytes);
        let Kind::Bytes(length, _) = bytes.kind else { return self.unknown(span) };
        let bytes_max = length.high;
        self.value(Kind::Boolean, span, |to| Operation::Contains { to, bytes: bytes.register, literal, bytes_max })
    }

    fn index(&mut self, bytes: &Expression, index: &Expression, span: &Span) -> Operand {
        let (bytes, index) = (self.bytes(bytes), self.number(index));
        let (Kind::Bytes(length, _), Kind::Integer(place)) = (bytes.kind, index.kind) else { return self.unknown(span) };
        if place.low >= length.high {
            let message = format!("byte {} of at most {} bytes: the access is never inside", place.low, length.high);
            let fault = Diagnostic::new(Code::OutOfBounds, &index.span, message, "out of bounds");
            self.diagnostics.push(fault.help("the first byte is number 0"));
        }
        let checked = place.high >= length.low;
        let kind = Kind::Integer(Interval::to(u64::from(u8::MAX)));
        self.value(kind, span, |to| Operation::Index { to, bytes: bytes.register, index: index.register, checked })
    }

    fn slice(&mut self, bytes: &Expression, range: (&Expression, &Expression), span: &Span) -> Operand {
        let bytes = self.bytes(bytes);
        let (start, end) = (self.number(range.0), self.number(range.1));
        let (Kind::Bytes(length, origin), Kind::Integer(first), Kind::Integer(last)) = (bytes.kind, start.kind, end.kind) else {
            return self.unknown(span);
        };
        if first.low > last.high || last.low > length.high {
            let message =
                format!("bytes {} to {} of at most {} bytes: the slice is never inside", first.low, last.low, length.high);
            self.error(Code::OutOfBounds, &(range.0.span.start..range.1.span.end), message, "out of bounds");
        }
        let checked = first.high > last.low || last.high > length.low;
        let longest = last.high.min(length.high).saturating_sub(first.low);
        let shortest = last.low.saturating_sub(first.high).min(longest);
        let kind = Kind::Bytes(Interval { low: shortest, high: longest }, origin);
        let operation = |to| Operation::Slice { to, bytes: bytes.register, start: start.register, end: end.register, checked };
        self.value(kind, span, operation)
    }

    fn binary(&mut self, operator: Binary, left: &Expression, right: &Expression, span: &Span) -> Operand {
        let arithmetic = match operator {
            Binary::Add => Arithmetic::Add,
            Binary::Subtract => Arithmetic::Subtract,
            Binary::Multiply => Arithmetic::Multiply,
            Binary::Divide => Arithmetic::Divide,
            Binary::Remainder => Arithmetic::Remainder,
            _ => return self.comparison(operator, left, right, span),
        };
        self.binary_numbers(arithmetic, left, right, span)
    }

    fn binary_numbers(&mut self, operator: Arithmetic, left: &Expression, right: &Expression, span: &Span) -> Operand {
        let (left, right) = (self.number(left), self.number(right));
        let (Kind::Integer(first), Kind::Integer(second)) = (left.kind, right.kind) else { return self.unknown(span) };
        let divides = matches!(operator, Arithmetic::Divide | Arithmetic::Remainder);
        if divides && second.high == 0 {
            self.error(Code::OutOfBounds, &right.span, "a division by zero", "always zero");
        }
        let interval = range_of(operator, first, second);
        if interval.low == interval.high && !divides {
            return self.number_constant(interval.low, span);
        }
        let checked = divides && second.low == 0;
        let operation = |to| Operation::Arithmetic { to, operator, left: left.register, right: right.register, checked };
        self.value(Kind::Integer(interval), span, operation)
    }

    fn comparison(&mut self, operator: Binary, left: &Expression, right: &Expression, span: &Span) -> Operand {
        if matches!(operator, Binary::Equal | Binary::NotEqual) {
            let (left, right) = (self.expression(left), self.expression(right));
            let register = self.equal(&left, &right, operator == Binary::NotEqual, span);
            return Operand { register, kind: Kind::Boolean, span: span.clone() };
        }
        let (left, right) = (self.number(left), self.number(right));
        let (comparison, swapped) = match operator {
            Binary::Less => (Comparison::Less, false),
            Binary::LessEqual => (Comparison::LessEqual, false),
            Binary::Greater => (Comparison::Less, true),
            _ => (Comparison::LessEqual, true),
        };
        let (left, right) = if swapped { (right, left) } else { (left, right) };
        self.value(Kind::Boolean, span, |to| Operation::Compare { to, comparison, left: left.register, right: right.register })
    }

    /// Equality of two values of one type.
    pub(super) fn equal(&mut self, left: &Operand, right: &Operand, negated: bool, span: &Span) -> Register {
        let to = self.register(Origin::None);
        let (first, second) = (left.register, right.register);
        let operation = match (left.kind, right.kind) {
            (Kind::Bytes(one, _), Kind::Bytes(other, _)) => {
                Operation::EqualBytes { to, left: first, right: second, bytes_max: one.high.min(other.high), negated }
            }
            (Kind::Integer(_), Kind::Integer(_)) | (Kind::Boolean, Kind::Boolean) => {
                let comparison = if negated { Comparison::NotEqual } else { Comparison::Equal };
                Operation::Compare { to, comparison, left: first, right: second }
            }
            (Kind::Unknown, _) | (_, Kind::Unknown) => return to,
            (one, other) => {
                let message = format!("{} cannot be compared with {}", one.words(), other.words());
                let fault = Diagnostic::new(Code::Type, &right.span, message, other.words()).also(&left.span, one.words());
                self.diagnostics.push(fault);
                return to;
            }
        };
        self.emit(operation, span);
        to
    }
}

/// The bounds of a result from those of its operands. All operators saturate, so all but the remainder are monotone.
fn range_of(operator: Arithmetic, left: Interval, right: Interval) -> Interval {
    match operator {
        Arithmetic::Add => Interval { low: left.low.saturating_add(right.low), high: left.high.saturating_add(right.high) },
        Arithmetic::Subtract => Interval { low: left.low.saturating_sub(right.high), high: left.high.saturating_sub(right.low) },
        Arithmetic::Multiply => Interval { low: left.low.saturating_mul(right.low), high: left.high.saturating_mul(right.high) },
        Arithmetic::Divide => Interval { low: left.low / right.high.max(1), high: left.high / right.low.max(1) },
        Arithmetic::Remainder => Interval::to(right.high.saturating_sub(1).min(left.high)),
        Arithmetic::Minimum => Interval { low: left.low.min(right.low), high: left.high.min(right.high) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_lie_in_their_range() {
        let interval = |low, high| Interval { low, high };
        let cases = [
            (Arithmetic::Add, interval(1, 2), interval(3, u64::MAX), interval(4, u64::MAX)),
            (Arithmetic::Subtract, interval(1, 5), interval(2, 3), interval(0, 3)),
            (Arithmetic::Multiply, interval(2, 3), interval(4, 5), interval(8, 15)),
            (Arithmetic::Divide, interval(10, 20), interval(0, 5), interval(2, 20)),
            (Arithmetic::Remainder, interval(0, 100), interval(1, 8), interval(0, 7)),
            (Arithmetic::Remainder, interval(0, 3), Interval::to(u64::MAX), interval(0, 3)),
            (Arithmetic::Minimum, interval(0, 100), interval(7, 8), interval(0, 8)),
        ];
        for (operator, left, right, expected) in cases {
            assert_eq!(range_of(operator, left, right), expected, "{operator:?}");
        }
    }
}
