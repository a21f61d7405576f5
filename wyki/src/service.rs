//! A compiled service: what it is, and the calls that run it.

use crate::ir::Flow;
use crate::layout::Code;
use crate::run::Run;
use crate::table::{Table, TableShape, Touch};
use crate::trace::{Silent, Trace};
use std::collections::BTreeMap;
use thiserror::Error;

/// Less cannot be kept: one step of the longest single operations would not fit.
pub const STRETCH_BOUND_LEAST: u32 = 128;

/// Optimisations, each of which can be switched alone. Only inlined parsing changes the code; the others are for whoever runs the
/// service: they say where its tables lie and what it runs instead of threads and sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tables in superpages.
    pub superpages: bool,
    /// No thread: the service runs where the packet arrives.
    pub thread_collapse: bool,
    /// No socket: the service takes data from the protocol and gives it back.
    pub socket_collapse: bool,
    /// Each message's parser compiled for its place; otherwise a general parser reads a description of the message.
    pub inline_parsing: bool,
    /// Instructions between two yields at most. The default is a guess: about a microsecond, a small part of what a softirq may take.
    pub stretch_bound_instructions: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            superpages: true,
            thread_collapse: true,
            socket_collapse: true,
            inline_parsing: true,
            stretch_bound_instructions: 2000,
        }
    }
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A stream: a message may come in pieces.
    Tcp,
    /// Datagrams: a message comes whole.
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if *self == Protocol::Tcp { "tcp" } else { "udp" })
    }
}

/// A message and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageShape {
    /// Its name.
    pub name: String,
    /// Names of its fields.
    pub fields: Vec<String>,
}

/// A number kept for each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFieldShape {
    /// Its name.
    pub name: String,
    /// Its width.
    pub bytes: u32,
    /// Its value when the connection opens.
    pub initial: u64,
}

/// What a program declares.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub tables: Vec<TableShape>,
    pub fields: Vec<ConnectionFieldShape>,
    pub states: Vec<String>,
    pub messages: Vec<MessageShape>,
    pub message_bytes_max: u32,
    pub reply_bytes_max: u32,
}

/// What the compiler proved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub longest_stretch_instructions: u32,
    pub longest_run_instructions: u64,
    pub longest_reply_bytes: u64,
    pub yields: u32,
}

/// A compiled service. It holds no data: see [`State`].
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) file: String,
    pub(crate) shape: Shape,
    pub(crate) options: Options,
    pub(crate) flow: Flow,
    pub(crate) code: Code,
    pub(crate) bounds: Bounds,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service answers.
    Reply(Vec<u8>),
    /// User space shall answer: the message goes the usual way.
    Up,
    /// Nobody answers.
    Drop,
    /// The message is not complete: call again with more of it, from its beginning.
    NeedMore,
}

/// A table that user space cannot store into.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// No such table.
    #[error("the service {service} has no table called `{table}`; its tables: {known}")]
    NoTable {
        /// The service.
        service: String,
        /// The table that was asked for.
        table: String,
        /// Tables that there are.
        known: String,
    },
    /// A key or value over its bound.
    #[error("table {table}: a {what} of {bytes} bytes; at most {bytes_max} are declared, so this item stays in user space")]
    TooLong {
        /// The table.
        table: String,
        /// Key or value.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// Its bound.
        bytes_max: u32,
    },
    /// No room.
    #[error("table {table} has no room for another key among its {entries} entries; this item stays in user space")]
    Full {
        /// The table.
        table: String,
        /// Its bound.
        entries: u32,
    },
}

impl Service {
    /// Its name in the program.
    pub fn name(&self) -> &str {
        &self.shape.name
    }

    /// The file that it was compiled from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What carries its messages.
    pub fn protocol(&self) -> Protocol {
        self.shape.protocol
    }

    /// The port that it serves.
    pub fn port(&self) -> u16 {
        self.shape.port
    }

    /// The options that it was compiled with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Lines of 64 bytes that its code takes.
    pub fn code_lines(&self) -> u32 {
        self.code.lines
    }

    /// Its tables, in the order of their declaration.
    pub fn tables(&self) -> &[TableShape] {
        &self.shape.tables
    }

    /// The messages that it knows.
    pub fn messages(&self) -> &[MessageShape] {
        &self.shape.messages
    }

    /// States of a connection; the first is the one in which it opens.
    pub fn states(&self) -> &[String] {
        &self.shape.states
    }

    /// Numbers kept for each connection.
    pub fn connection_fields(&self) -> &[ConnectionFieldShape] {
        &self.shape.fields
    }

    /// Bytes kept for each connection: the state, where there are several, and the fields.
    pub fn connection_bytes(&self) -> u32 {
        let state = if self.shape.states.len() > 1 { 4 } else { 0 };
        state + self.shape.fields.iter().map(|field| field.bytes).sum::<u32>()
    }

    /// The longest message that it takes; longer ones go up.
    pub fn message_bytes_max(&self) -> u32 {
        self.shape.message_bytes_max
    }

    /// The longest reply that a run can make, proven.
    pub fn longest_reply_bytes(&self) -> u64 {
        self.bounds.longest_reply_bytes
    }

    /// Instructions at most between two yields, from the beginning to the first and from the last to the end; proven.
    pub fn longest_stretch_instructions(&self) -> u32 {
        self.bounds.longest_stretch_instructions
    }

    /// Instructions at most for one message; proven.
    pub fn longest_run_instructions(&self) -> u64 {
        self.bounds.longest_run_instructions
    }

    /// Places where the service gives way between two operations. Long operations give way inside as well.
    pub fn yields(&self) -> u32 {
        self.bounds.yields
    }

    /// Blocks of the control-flow graph.
    pub fn blocks(&self) -> usize {
        self.flow.blocks.len()
    }

    /// Handles one message. Whatever its bytes are, the run ends, stays inside its memory and gives a verdict.
    pub fn handle(&self, state: &mut State, connection: u32, message: &[u8], trace: &mut dyn Trace) -> Verdict {
        Run::new(self, state, connection, message, trace).run()
    }

    /// What the user-space program does when a message that changes an item went up: it stores the item, so that the next request for
    /// it finds it in the kernel.
    ///
    /// # Errors
    /// The item does not fit; an older value of the same key is then gone, so that nobody is served a stale one.
    pub fn user_space_store(&self, state: &mut State, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.user_space_store_traced(state, table, key, value, &mut Silent)
    }

    /// The same, telling what the kernel touches for it.
    ///
    /// # Errors
    /// As [`Service::user_space_store`].
    pub fn user_space_store_traced(
        &self,
        state: &mut State,
        table: &str,
        key: &[u8],
        value: &[u8],
        trace: &mut dyn Trace,
    ) -> Result<(), StoreError> {
        let index = self.table_index(table)?;
        let shape = &self.shape.tables[index];
        let too_long = |what, bytes, bytes_max| StoreError::TooLong { table: table.to_owned(), what, bytes, bytes_max };
        if key.len() > shape.key_bytes as usize {
            return Err(too_long("key", key.len(), shape.key_bytes));
        }
        if value.len() > shape.value_bytes as usize {
            self.user_space_remove(state, table, key)?;
            return Err(too_long("value", value.len(), shape.value_bytes));
        }
        let full = |_| StoreError::Full { table: table.to_owned(), entries: shape.entries };
        let mut tell = |touch: Touch| trace.table(index, touch.byte_offset, touch.bytes as u32, touch.store);
        state.tables[index].insert(key, value, &mut tell).map(|_| ()).map_err(full)
    }

    /// What the user-space program does when an item is deleted. True when the table held it.
    ///
    /// # Errors
    /// No such table.
    pub fn user_space_remove(&self, state: &mut State, table: &str, key: &[u8]) -> Result<bool, StoreError> {
        let index = self.table_index(table)?;
        let found = state.tables[index].find(key, &mut |_| {}).entry;
        if let Some(entry) = found {
            state.tables[index].release(entry, &mut |_| {});
        }
        Ok(found.is_some())
    }

    fn table_index(&self, table: &str) -> Result<usize, StoreError> {
        self.shape.tables.iter().position(|shape| shape.name == table).ok_or_else(|| StoreError::NoTable {
            service: self.shape.name.clone(),
            table: table.to_owned(),
            known: self.shape.tables.iter().map(|shape| shape.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// What is kept for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub state: usize,
    pub fields: Vec<u64>,
}

/// The data of a running service: tables and connections.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) tables: Vec<Table>,
    pub(crate) connections: BTreeMap<u32, Connection>,
}

impl State {
    /// Empty tables, no connections.
    pub fn new(service: &Service) -> State {
        State { tables: service.shape.tables.iter().map(Table::new).collect(), connections: BTreeMap::new() }
    }

    /// Forgets a connection that has closed.
    pub fn close(&mut self, connection: u32) {
        self.connections.remove(&connection);
    }

    /// Entries in use of a table, by its number.
    pub fn entries(&self, table: usize) -> usize {
        self.tables.get(table).map_or(0, Table::len)
    }

    /// The value of a key in a table, by the table's number.
    pub fn value(&self, table: usize, key: &[u8]) -> Option<&[u8]> {
        let table = self.tables.get(table)?;
        table.find(key, &mut |_| {}).entry.map(|entry| table.value(entry))
    }
}
