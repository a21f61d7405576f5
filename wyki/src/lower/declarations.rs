//! Limits, constants, tables and connection fields.

use super::Lowering;
use crate::diagnostic::{Code, Diagnostic};
use crate::service::{ConnectionFieldShape, MessageShape, Protocol, Shape};
use crate::syntax::{Name, Part};
use crate::table::TableShape;

/// Entries of a table at most: positions are kept in 32 bits.
const ENTRIES_MAX: u64 = 1 << 24;
/// Bytes of a key at most: its length is kept in 16 bits.
const KEY_BYTES_MAX: u64 = 4096;
/// Bytes of a value at most.
const VALUE_BYTES_MAX: u64 = 1 << 20;
/// Memory of all tables at most: pinned kernel memory is taken from everybody. A guess of what an administrator would grant.
const TABLES_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a message or a reply at most.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Without `limit message`: what fits into one Ethernet frame after the headers of TCP, and is less than what UDP leaves.
const MESSAGE_BYTES: u64 = 1448;
/// Without `limit reply`.
const REPLY_BYTES: u64 = 65_536;

impl Lowering<'_> {
    /// All declarations; `None` when no shape can be made.
    pub(super) fn declare(&mut self) -> Option<Shape> {
        for (name, value) in &self.program.constants {
            if self.constants.insert(name.text.clone(), *value).is_some() {
                self.error(Code::Name, &name.span, format!("the constant `{}` is declared twice", name.text), "again");
            }
        }
        self.unique(self.program.tables.iter().map(|table| &table.name), "table");
        self.unique(self.program.layouts.iter().map(|layout| &layout.name), "layout");
        self.unique(self.program.messages.iter().map(|message| &message.name), "message");
        self.unique(self.program.fields.iter().map(|field| &field.name), "field of the connection");
        self.unique(self.program.states.iter().map(|state| &state.name), "state");
        let (message_bytes_max, reply_bytes_max) = self.limits();
        self.message_bytes_max = message_bytes_max;
        let tables = self.table_shapes();
        let fields = self.connection_fields();
        let port = self.constant_within(&self.program.port, 1, 65_535, "a port");
        Some(Shape {
            name: self.program.name.text.clone(),
            protocol: if self.program.udp { Protocol::Udp } else { Protocol::Tcp },
            port: u16::try_from(port).ok()?,
            tables,
            fields,
            states: self.program.states.iter().map(|state| state.name.text.clone()).collect(),
            messages: self.program.messages.iter().map(message_shape).collect(),
            message_bytes_max: u32::try_from(message_bytes_max).ok()?,
            reply_bytes_max: u32::try_from(reply_bytes_max).ok()?,
        })
    }

    fn unique<'n>(&mut self, names: impl Iterator<Item = &'n Name>, what: &str) {
        let mut known: Vec<&Name> = Vec::new();
        for name in names {
            if let Some(first) = known.iter().find(|other| other.text == name.text) {
                let fault =
                    Diagnostic::new(Code::Name, &name.span, format!("the {what} `{}` is declared twice", name.text), "again");
                self.diagnostics.push(fault.also(&first.span, "first here"));
            }
            known.push(name);
        }
    }

    fn limits(&mut self) -> (u64, u64) {
        let (mut message, mut reply) = (MESSAGE_BYTES, REPLY_BYTES);
        for limit in &self.program.limits {
            let place = match limit.name.text.as_str() {
                "message" => &mut message,
                "reply" => &mut reply,
                other => {
                    self.error(Code::Name, &limit.name.span, format!("`{other}` has no limit"), "expected message or reply");
                    continue;
                }
            };
            *place = self.constant_within(&limit.value, 1, MESSAGE_BYTES_MAX, "this limit");
        }
        (message, reply)
    }

    fn table_shapes(&mut self) -> Vec<TableShape> {
        let mut shapes = Vec::new();
        let mut bytes = 0_u64;
        for table in &self.program.tables {
            let entries = self.constant_within(&table.entries, 1, ENTRIES_MAX, "the number of entries");
            let key = self.constant_within(&table.key, 1, KEY_BYTES_MAX, "the bytes of a key");
            let value = self.constant_within(&table.value, 1, VALUE_BYTES_MAX, "the bytes of a value");
            self.tables.push((key, value));
            let shape = TableShape::new(&table.name.text, entries as u32, key as u32, value as u32);
            bytes += shape.bytes;
            if bytes > TABLES_BYTES_MAX && bytes - shape.bytes <= TABLES_BYTES_MAX {
                let message =
                    format!("the tables up to `{}` take {bytes} bytes; at most {TABLES_BYTES_MAX} can be pinned", shape.name);
                let label = format!("{} entries of {} bytes", shape.entries, shape.entry_bytes);
                let fault = Diagnostic::new(Code::TableBound, &table.name.span, message, label);
                self.diagnostics.push(fault.help("declare fewer entries, or shorter keys or values"));
            }
            shapes.push(shape);
        }
        shapes
    }

    fn connection_fields(&mut self) -> Vec<ConnectionFieldShape> {
        let mut shapes = Vec::new();
        for field in &self.program.fields {
            let initial = self.constant_within(&field.initial, 0, field.width.greatest(), "the first value");
            shapes.push(ConnectionFieldShape { name: field.name.text.clone(), bytes: field.width.0, initial });
        }
        shapes
    }
}

fn message_shape(message: &crate::syntax::Message) -> MessageShape {
    let field = |part: &Part| match part {
        Part::Field(name, _) => Some(name.text.clone()),
        Part::Literal(..) | Part::End(_) => None,
    };
    MessageShape { name: message.name.text.clone(), fields: message.parts.iter().filter_map(field).collect() }
}
