//! `receive`: tries messages in their order, each part by part.

use super::{Binding, Interval, Kind, Lowering};
use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{BlockIndex, Ending, Operation, Origin, Register, Step, Terminator};
use crate::syntax::{Block, Constant, FieldKind, Message, Name, Part, ReceiveCase, Span, Width};
use std::collections::BTreeMap;

/// Digits of a number: 2^64 has twenty.
const DIGITS_MAX: u64 = 20;

/// Where the parts of a message lead when they do not match.
struct Ways {
    mismatched: BlockIndex,
    incomplete: BlockIndex,
}

impl Lowering<'_> {
    pub(super) fn receive(&mut self, cases: &[ReceiveCase], incomplete: Option<&Block>, otherwise: &Block, span: &Span) {
        if let Some(block) = incomplete.filter(|_| self.program.udp) {
            let place = block.span.start..block.span.start + 1;
            let fault =
                Diagnostic::new(Code::Type, &place, "a datagram is never incomplete: it comes whole or not at all", "only for tcp");
            self.diagnostics.push(fault.help("a datagram that is too short goes to `else`"));
        }
        let mark = self.register(Origin::None);
        self.emit(Operation::Mark { to: mark }, span);
        let wants_more = self.block();
        let mut continues = Vec::new();
        for case in cases {
            let next = self.block();
            let ways = Ways { mismatched: next, incomplete: if self.program.udp { next } else { wants_more } };
            let fields = self.message_parts(&case.message, &ways);
            self.scopes.push(BTreeMap::new());
            if let Some(binding) = &case.binding {
                self.bind(binding, Binding::Message(fields));
            }
            self.body(&case.body);
            self.scopes.pop();
            continues.extend(self.current.take());
            self.current = Some(next);
            self.emit(Operation::Rewind { to: mark }, span);
        }
        self.body(otherwise);
        continues.extend(self.current.take());
        self.current = Some(wants_more);
        match incomplete {
            Some(block) => {
                self.emit(Operation::Rewind { to: mark }, span);
                self.body(block);
            }
            None => self.end(Terminator::End(Ending::More), span),
        }
        continues.extend(self.current.take());
        self.join(&continues, span);
    }

    fn message_parts(&mut self, name: &Name, ways: &Ways) -> BTreeMap<String, (Register, Kind)> {
        let mut fields = BTreeMap::new();
        let Some(message) = self.program.messages.iter().find(|message| message.name.text == name.text) else {
            self.error(Code::Name, &name.span, format!("no message is called `{}`", name.text), "not a message");
            return fields;
        };
        if !self.options.inline_parsing {
            self.emit(Operation::EnterParser, &name.span);
        }
        for part in &message.parts {
            self.message_part(message, part, &mut fields, ways);
        }
        fields
    }

    fn message_part(&mut self, message: &Message, part: &Part, fields: &mut BTreeMap<String, (Register, Kind)>, ways: &Ways) {
        match part {
            Part::Literal(bytes, span) => {
                let literal = self.literal(bytes);
                self.step(Step::Literal { literal }, span, ways);
            }
            Part::End(span) => self.step(Step::End, span, ways),
            Part::Field(name, FieldKind::Layout(layout)) => {
                let Some(found) = self.program.layouts.iter().find(|known| known.name.text == layout.text) else {
                    self.error(Code::Name, &layout.span, format!("no layout is called `{}`", layout.text), "not a layout");
                    return;
                };
                for (inner, width) in &found.fields {
                    let path = format!("{}.{}", name.text, inner.text);
                    self.integer(path, name, *width, fields, ways);
                }
            }
            Part::Field(name, FieldKind::Integer(width)) => self.integer(name.text.clone(), name, *width, fields, ways),
            Part::Field(name, kind) => {
                let origin = if matches!(kind, FieldKind::Decimal { .. }) { Origin::None } else { Origin::Message };
                let to = self.register(origin);
                let Some((step, kind)) = self.field_step(message, kind, to, fields) else { return };
                self.field(name.text.clone(), name, (to, kind), fields);
                self.step(step, &name.span, ways);
            }
        }
    }

    fn integer(&mut self, path: String, name: &Name, width: Width, fields: &mut BTreeMap<String, (Register, Kind)>, ways: &Ways) {
        let to = self.register(Origin::None);
        self.field(path, name, (to, Kind::Integer(Interval::to(width.greatest()))), fields);
        self.step(Step::Integer { to, width: width.0 }, &name.span, ways);
    }

    fn field(&mut self, path: String, name: &Name, value: (Register, Kind), fields: &mut BTreeMap<String, (Register, Kind)>) {
        if fields.insert(path, value).is_some() {
            // Once for each place where the message is received would be once too often.
            let known = self.diagnostics.iter().any(|diagnostic| diagnostic.span == name.span);
            if !known {
                self.error(Code::Name, &name.span, format!("the message has two fields called `{}`", name.text), "again");
            }
        }
    }

    fn field_step(
        &mut self,
        message: &Message,
        kind: &FieldKind,
        to: Register,
        fields: &BTreeMap<String, (Register, Kind)>,
    ) -> Option<(Step, Kind)> {
        let bytes = |max: u64| Kind::Bytes(Interval::to(max), Origin::Message);
        match kind {
            FieldKind::Until { delimiter, without, max, span } => {
                if delimiter.is_empty() {
                    self.error(Code::Type, span, "a field cannot end before nothing", "empty delimiter");
                    return None;
                }
                let max = self.field_max(max);
                let (delimiter, without) = (self.literal(delimiter), self.literal(without));
                Some((Step::Until { to, delimiter, without, bytes_max: max }, bytes(max)))
            }
            FieldKind::Decimal { max } => {
                let digits = self.constant_within(max, 1, DIGITS_MAX, "the digits of a number");
                let greatest = 10_u64.checked_pow(digits as u32).map_or(u64::MAX, |power| power - 1);
                Some((Step::Decimal { to, digits_max: digits }, Kind::Integer(Interval::to(greatest))))
            }
            FieldKind::Bytes { length, max } => {
                let max = self.field_max(max);
                let length = self.field_length(message, length, fields)?;
                Some((Step::Bytes { to, length, bytes_max: max }, bytes(max)))
            }
            FieldKind::Rest { max } => {
                let max = self.field_max(max);
                Some((Step::Rest { to, bytes_max: max }, bytes(max)))
            }
            FieldKind::Integer(_) | FieldKind::Layout(_) => None,
        }
    }

    /// A field is never longer than the message.
    fn field_max(&mut self, max: &Constant) -> u64 {
        let greatest = self.message_bytes_max;
        let Some(value) = self.constant(max) else { return greatest };
        if value > greatest {
            let message = format!("a field of {value} bytes does not fit into a message of {greatest}");
            let fault = Diagnostic::new(Code::OutOfBounds, max.span(), message, "longer than the message");
            let known = self.diagnostics.contains(&fault);
            if !known {
                self.diagnostics.push(fault.help("raise `limit message`, or let longer messages go up"));
            }
        }
        value.min(greatest)
    }

    fn field_length(
        &mut self,
        message: &Message,
        length: &Constant,
        fields: &BTreeMap<String, (Register, Kind)>,
    ) -> Option<Register> {
        if let Constant::Named(name) = length {
            if let Some((register, Kind::Integer(_))) = fields.get(&name.text) {
                return Some(*register);
            }
            if !self.constants.contains_key(&name.text) {
                let text =
                    format!("`{}` is neither a constant nor a number that stands before in `{}`", name.text, message.name.text);
                self.error(Code::Name, &name.span, text, "not a length");
                return None;
            }
        }
        let value = self.constant(length)?;
        let to = self.register(Origin::None);
        self.emit(Operation::Constant { to, value }, length.span());
        Some(to)
    }

    fn step(&mut self, step: Step, span: &Span, ways: &Ways) {
        let matched = self.block();
        let terminator = Terminator::Parse { step, matched, mismatched: ways.mismatched, incomplete: ways.incomplete };
        self.end_and_go_on(terminator, span, matched);
    }
}
