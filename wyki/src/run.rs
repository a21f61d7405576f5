//! Runs a service on one message, and tells what that costs.

use crate::costs;
use crate::ir::{Arithmetic, BlockIndex, Comparison, Ending, Operation, Placed, Register, Step, Terminator};
use crate::parts::{self, Outcome};
use crate::service::{Connection, Protocol, Service, State, Verdict};
use crate::table::Touch;
use crate::trace::{Meter, Trace};

/// Bytes of a field's description that the general parser keeps: place and length.
const DESCRIPTION_BYTES: u32 = 8;

/// Memory that bytes lie in.
#[derive(Clone, Copy, Debug)]
enum Source {
    Message,
    Literal(usize),
    Table(usize, u32),
}

/// What a register holds.
#[derive(Clone, Copy, Debug)]
enum Value {
    Number(u64),
    Bytes { source: Source, offset: usize, length: usize },
}

/// A check failed: the message is dropped.
struct Trap;

pub(crate) struct Run<'a, 't> {
    service: &'a Service,
    state: &'a mut State,
    connection: u32,
    message: &'a [u8],
    meter: Meter<'t>,
    registers: Vec<Value>,
    reply: Vec<u8>,
    cursor: usize,
    at: BlockIndex,
}

impl<'a, 't> Run<'a, 't> {
    pub fn new(
        service: &'a Service,
        state: &'a mut State,
        connection: u32,
        message: &'a [u8],
        trace: &'t mut dyn Trace,
    ) -> Run<'a, 't> {
        let registers = vec![Value::Number(0); service.flow.origins.len()];
        Run { service, state, connection, message, meter: Meter::new(trace), registers, reply: Vec::new(), cursor: 0, at: 0 }
    }

    pub fn run(mut self) -> Verdict {
        if self.message.len() > self.service.shape.message_bytes_max as usize {
            return Verdict::Up;
        }
        let ending = loop {
            match self.block() {
                Ok(None) => {}
                Ok(Some(ending)) => break ending,
                Err(Trap) => break Ending::Drop,
            }
        };
        self.meter.flush();
        match ending {
            Ending::Reply => Verdict::Reply(self.reply),
            Ending::Up => Verdict::Up,
            Ending::Drop => Verdict::Drop,
            Ending::More => Verdict::NeedMore,
        }
    }

    fn block(&mut self) -> Result<Option<Ending>, Trap> {
        let service = self.service;
        let block = &service.flow.blocks[self.at];
        let place = service.code.blocks[self.at];
        self.meter.code(place.first_line, place.lines);
        for operation in &block.operations {
            self.operation(operation)?;
        }
        Ok(self.terminator(&block.terminator))
    }

    fn number(&self, register: Register) -> u64 {
        match self.registers[register] {
            Value::Number(value) => value,
            Value::Bytes { .. } => 0,
        }
    }

    fn view(&self, register: Register) -> (Source, usize, usize) {
        match self.registers[register] {
            Value::Bytes { source, offset, length } => (source, offset, length),
            Value::Number(_) => (Source::Message, 0, 0),
        }
    }

    fn bytes(&self, register: Register) -> &[u8] {
        let (source, offset, length) = self.view(register);
        let whole = match source {
            Source::Message => self.message,
            Source::Literal(literal) => &self.service.flow.literals[literal],
            Source::Table(table, entry) => self.state.tables[table].value(entry),
        };
        whole.get(offset..offset + length).unwrap_or(&[])
    }

    /// Tells that some of a register's bytes were read. Literals are part of the code.
    fn read(&mut self, register: Register, from: usize, count: usize) {
        let (source, offset, _) = self.view(register);
        match source {
            Source::Message => self.meter.message(offset + from, count),
            Source::Literal(_) => {}
            Source::Table(table, entry) => {
                let start = self.service.shape.tables[table].value_offset(entry);
                self.meter.table(table, start + (offset + from) as u64, count, false);
            }
        }
    }

    fn set(&mut self, register: Register, value: u64) {
        self.registers[register] = Value::Number(value);
    }

    fn set_bytes(&mut self, register: Register, source: Source, offset: usize, length: usize) {
        self.registers[register] = Value::Bytes { source, offset, length };
    }

    fn operation(&mut self, placed: &Placed<Operation>) -> Result<(), Trap> {
        let operation = &placed.what;
        if *operation == Operation::Yield {
            self.meter.give_way();
            return Ok(());
        }
        self.meter.charge(costs::operation(operation).base);
        match operation {
            Operation::Constant { to, value } => self.set(*to, *value),
            Operation::Literal { to, literal } => {
                let length = self.service.flow.literals[*literal].len();
                self.set_bytes(*to, Source::Literal(*literal), 0, length);
            }
            Operation::Copy { to, from } => self.registers[*to] = self.registers[*from],
            Operation::Clamp { register, greatest } => self.set(*register, self.number(*register).min(*greatest)),
            Operation::Arithmetic { to, operator, left, right, .. } => {
                let value = calculate(*operator, self.number(*left), self.number(*right))?;
                self.set(*to, value);
            }
            Operation::Compare { to, comparison, left, right } => {
                let (left, right) = (self.number(*left), self.number(*right));
                self.set(*to, u64::from(holds(*comparison, left, right)));
            }
            Operation::Not { to, from } => self.set(*to, u64::from(self.number(*from) == 0)),
            Operation::Length { to, bytes } => self.set(*to, self.view(*bytes).2 as u64),
            Operation::Index { to, bytes, index, .. } => self.index(*to, *bytes, *index)?,
            Operation::Slice { to, bytes, start, end, .. } => self.slice(*to, *bytes, *start, *end)?,
            Operation::Remaining { to } => self.set(*to, (self.message.len() - self.cursor) as u64),
            Operation::Mark { to } => self.set(*to, self.cursor as u64),
            Operation::Rewind { to } => self.cursor = (self.number(*to) as usize).min(self.message.len()),
            Operation::EqualBytes { .. } | Operation::Contains { .. } => self.scan(operation, placed.chunk),
            Operation::PutBytes { .. } | Operation::PutInteger { .. } | Operation::PutDecimal { .. } => {
                self.put(operation, placed.chunk)
            }
            Operation::Value { .. } | Operation::Release { .. } => self.entry(operation, placed.chunk),
            Operation::LoadField { .. } => self.meter.state(self.connection, DESCRIPTION_BYTES, false),
            Operation::LoadConnection { to, field } => {
                let value = self.connection_state(false).fields[*field];
                self.set(*to, value);
            }
            Operation::StoreConnection { field, from } => {
                let value = self.number(*from);
                self.connection_state(true).fields[*field] = value;
            }
            Operation::Become { state } => self.connection_state(true).state = *state,
            Operation::ReleaseMessage | Operation::EnterParser | Operation::Yield => {}
        }
        Ok(())
    }

    fn connection_state(&mut self, store: bool) -> &mut Connection {
        let bytes = self.service.connection_bytes();
        if bytes > 0 {
            self.meter.state(self.connection, bytes, store);
        }
        let fields = &self.service.shape.fields;
        let opened = || Connection { state: 0, fields: fields.iter().map(|field| field.initial).collect() };
        self.state.connections.entry(self.connection).or_insert_with(opened)
    }

    fn index(&mut self, to: Register, bytes: Register, index: Register) -> Result<(), Trap> {
        let place = usize::try_from(self.number(index)).map_err(|_| Trap)?;
        let value = *self.bytes(bytes).get(place).ok_or(Trap)?;
        self.read(bytes, place, 1);
        self.set(to, u64::from(value));
        Ok(())
    }

    fn slice(&mut self, to: Register, bytes: Register, start: Register, end: Register) -> Result<(), Trap> {
        let (source, offset, length) = self.view(bytes);
        let (start, end) = (self.number(start), self.number(end));
        if start > end || end > length as u64 {
            return Err(Trap);
        }
        self.set_bytes(to, source, offset + start as usize, (end - start) as usize);
        Ok(())
    }

    fn scan(&mut self, operation: &Operation, chunk: u32) {
        match operation {
            Operation::EqualBytes { to, left, right, negated, .. } => {
                let (first, second) = (self.bytes(*left), self.bytes(*right));
                let same_length = first.len() == second.len();
                let (equal, count) = (first == second, if same_length { first.len() } else { 0 });
                self.read(*left, 0, count);
                self.read(*right, 0, count);
                self.meter.bulk(costs::compare(count as u64), chunk);
                self.set(*to, u64::from(equal != *negated));
            }
            Operation::Contains { to, bytes, literal, .. } => {
                let searched = parts::search(self.bytes(*bytes), &self.service.flow.literals[*literal]);
                self.read(*bytes, 0, searched.scanned);
                self.meter.bulk(costs::search(searched.scanned as u64, searched.candidates, 0), chunk);
                self.set(*to, u64::from(searched.place.is_some()));
            }
            _ => {}
        }
    }

    fn put(&mut self, operation: &Operation, chunk: u32) {
        let start = self.reply.len();
        match operation {
            Operation::PutBytes { from, .. } => {
                let bytes = self.bytes(*from).to_vec();
                self.read(*from, 0, bytes.len());
                self.meter.bulk(costs::copy(bytes.len() as u64), chunk);
                self.reply.extend_from_slice(&bytes);
            }
            Operation::PutInteger { from, width } => {
                let bytes = self.number(*from).to_be_bytes();
                self.reply.extend_from_slice(&bytes[bytes.len() - *width as usize..]);
            }
            Operation::PutDecimal { from, .. } => {
                let digits = self.number(*from).to_string();
                self.meter.bulk(costs::write_digits(digits.len() as u64), chunk);
                self.reply.extend_from_slice(digits.as_bytes());
            }
            _ => {}
        }
        self.meter.reply(start, self.reply.len() - start);
    }

    fn entry(&mut self, operation: &Operation, chunk: u32) {
        match operation {
            Operation::Value { to, entry } => {
                let index = self.number(*entry) as u32;
                let crate::ir::Origin::Table(table) = self.service.flow.origins[*to] else { return };
                let length = self.state.tables[table].value(index).len();
                // The length stands in the entry's header.
                self.meter.table(table, self.service.shape.tables[table].key_offset(index) - 4, 4, false);
                self.set_bytes(*to, Source::Table(table, index), 0, length);
            }
            Operation::Release { table, entry } => {
                let index = self.number(*entry) as u32;
                let mut touches = Vec::new();
                let probes = self.state.tables[*table].release(index, &mut |touch| touches.push(touch));
                self.touch(*table, &touches);
                self.meter.bulk(costs::probe(probes), chunk);
            }
            _ => {}
        }
    }

    fn touch(&mut self, table: usize, touches: &[Touch]) {
        for touch in touches {
            self.meter.table(table, touch.byte_offset, touch.bytes, touch.store);
        }
    }

    fn terminator(&mut self, placed: &Placed<Terminator>) -> Option<Ending> {
        let cost = costs::terminator(&placed.what, &self.service.flow.literals, self.service.options.inline_parsing);
        let falls_through = matches!(placed.what, Terminator::Go(_)) && self.service.code.blocks[self.at].falls_through;
        if !falls_through {
            self.meter.charge(cost.base);
        }
        self.at = match &placed.what {
            Terminator::Go(target) => *target,
            Terminator::Branch { condition, then, otherwise } => {
                if self.number(*condition) != 0 {
                    *then
                } else {
                    *otherwise
                }
            }
            Terminator::Count { counter, bound, within, exhausted } => {
                let rounds = self.number(*counter);
                self.set(*counter, rounds + 1);
                if rounds < *bound { *within } else { *exhausted }
            }
            Terminator::Parse { step, matched, mismatched, incomplete } => match self.parse(step, placed.chunk) {
                Outcome::Matched => *matched,
                Outcome::Mismatched => *mismatched,
                Outcome::Incomplete => *incomplete,
            },
            Terminator::Find { table, key, to, found, missing, .. } => {
                if self.find(*table, *key, *to, placed.chunk) {
                    *found
                } else {
                    *missing
                }
            }
            Terminator::Insert { table, key, value, done, full, .. } => {
                if self.insert(*table, *key, *value, placed.chunk) {
                    *done
                } else {
                    *full
                }
            }
            Terminator::Dispatch { targets } => targets[self.connection_state(false).state.min(targets.len() - 1)],
            Terminator::End(ending) => return Some(*ending),
        };
        None
    }

    fn find(&mut self, table: usize, key: Register, to: Register, chunk: u32) -> bool {
        let mut touches = Vec::new();
        let key_bytes = self.bytes(key).len();
        let walk = self.state.tables[table].find(self.bytes(key), &mut |touch| touches.push(touch));
        self.read(key, 0, key_bytes);
        self.touch(table, &touches);
        self.meter.bulk(costs::hash(key_bytes as u64) + costs::probe(walk.probes) + costs::compare(walk.compared_bytes), chunk);
        self.set(to, u64::from(walk.entry.unwrap_or(0)));
        walk.entry.is_some()
    }

    fn insert(&mut self, table: usize, key: Register, value: Register, chunk: u32) -> bool {
        let mut touches = Vec::new();
        let (key_bytes, value_bytes) = (self.bytes(key).to_vec(), self.bytes(value).to_vec());
        let result = self.state.tables[table].insert(&key_bytes, &value_bytes, &mut |touch| touches.push(touch));
        let (stored, walk) = match result {
            Ok(walk) => (true, walk),
            Err((walk, _)) => (false, walk),
        };
        self.read(key, 0, key_bytes.len());
        let mut count = costs::hash(key_bytes.len() as u64) + costs::probe(walk.probes) + costs::compare(walk.compared_bytes);
        if stored {
            self.read(value, 0, value_bytes.len());
            let new_key = if walk.compared_bytes == 0 { key_bytes.len() } else { 0 };
            count += costs::copy(new_key as u64) + costs::copy(value_bytes.len() as u64);
        }
        self.touch(table, &touches);
        self.meter.bulk(count, chunk);
        stored
    }

    fn parse(&mut self, step: &Step, chunk: u32) -> Outcome {
        if !self.service.options.inline_parsing {
            let routine = self.service.code.routine(step);
            self.meter.code(routine.first_line, routine.lines);
        }
        let rest = &self.message[self.cursor.min(self.message.len())..];
        let length = if let Step::Bytes { length, .. } = step { self.number(*length) } else { 0 };
        let whole = self.service.shape.protocol == Protocol::Udp;
        let part = parts::read(step, rest, length, &self.service.flow.literals, whole);
        self.meter.message(self.cursor, part.scanned_bytes);
        self.meter.bulk(part.bulk_instructions, chunk);
        if part.outcome != Outcome::Matched {
            return part.outcome;
        }
        match step {
            Step::Integer { to, .. } | Step::Decimal { to, .. } => self.set(*to, part.number),
            Step::Until { to, .. } | Step::Bytes { to, .. } | Step::Rest { to, .. } => {
                self.set_bytes(*to, Source::Message, self.cursor, part.field_bytes);
            }
            Step::Literal { .. } | Step::End => {}
        }
        let is_field = !matches!(step, Step::Literal { .. } | Step::End);
        if is_field && !self.service.options.inline_parsing {
            self.meter.state(self.connection, DESCRIPTION_BYTES, true);
        }
        self.cursor += part.taken_bytes;
        Outcome::Matched
    }
}

fn calculate(operator: Arithmetic, left: u64, right: u64) -> Result<u64, Trap> {
    Ok(match operator {
        Arithmetic::Add => left.saturating_add(right),
        Arithmetic::Subtract => left.saturating_sub(right),
        Arithmetic::Multiply => left.saturating_mul(right),
        Arithmetic::Divide => left.checked_div(right).ok_or(Trap)?,
        Arithmetic::Remainder => left.checked_rem(right).ok_or(Trap)?,
        Arithmetic::Minimum => left.min(right),
    })
}

fn holds(comparison: Comparison, left: u64, right: u64) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left < right,
        Comparison::LessEqual => left <= right,
    }
}
