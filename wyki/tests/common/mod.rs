//! What the tests share: the example services, and a listener that adds up what a run costs.

use wyki::{Options, Service, State, Trace, Verdict, compile};

pub const ECHO: &str = include_str!("../../../examples/wyki/echo.wyki");
pub const MEMCACHED_UDP: &str = include_str!("../../../examples/wyki/memcached-get-udp.wyki");
pub const MEMCACHED_TCP: &str = include_str!("../../../examples/wyki/memcached-get-tcp.wyki");
pub const KEY_VALUE: &str = include_str!("../../../examples/wyki/key-value.wyki");
pub const STATIC_FILES: &str = include_str!("../../../examples/wyki/static-files.wyki");
pub const REDIS: &str = include_str!("../../../examples/wyki/redis-get.wyki");

/// Compiles, or shows why not.
pub fn service(source: &str, options: &Options) -> Service {
    compile(source, "test.wyki", options).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// Adds up what a run costs, and checks that it stays inside its memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub instructions: u64,
    pub longest_stretch: u64,
    pub stretch: u64,
    pub yields: u64,
    pub code_end_line: u32,
    pub table_end_bytes: u64,
    pub table_stores: u64,
    pub message_end_bytes: u32,
    pub reply_end_bytes: u32,
    pub state_accesses: u64,
}

impl Trace for Count {
    fn instructions(&mut self, count: u32) {
        self.instructions += u64::from(count);
        self.stretch += u64::from(count);
        self.longest_stretch = self.longest_stretch.max(self.stretch);
    }

    fn code(&mut self, first_line: u32, lines: u32) {
        self.code_end_line = self.code_end_line.max(first_line + lines);
    }

    fn table(&mut self, _table: usize, byte_offset: u64, bytes: u32, store: bool) {
        self.table_end_bytes = self.table_end_bytes.max(byte_offset + u64::from(bytes));
        self.table_stores += u64::from(store);
    }

    fn message(&mut self, byte_offset: u32, bytes: u32) {
        self.message_end_bytes = self.message_end_bytes.max(byte_offset + bytes);
    }

    fn reply(&mut self, byte_offset: u32, bytes: u32) {
        self.reply_end_bytes = self.reply_end_bytes.max(byte_offset + bytes);
    }

    fn state(&mut self, _connection: u32, _bytes: u32, _store: bool) {
        self.state_accesses += 1;
    }

    fn yield_point(&mut self) {
        self.stretch = 0;
        self.yields += 1;
    }
}

/// Handles a message, checking every promise that the service makes about its bounds.
pub fn handle(service: &Service, state: &mut State, connection: u32, message: &[u8]) -> (Verdict, Count) {
    let mut count = Count::default();
    let verdict = service.handle(state, connection, message, &mut count);
    assert!(
        count.longest_stretch <= u64::from(service.longest_stretch_instructions()),
        "stretch {} of {}",
        count.longest_stretch,
        service.longest_stretch_instructions()
    );
    assert!(count.instructions <= service.longest_run_instructions());
    assert!(count.code_end_line <= service.code_lines());
    assert!(count.message_end_bytes as usize <= message.len());
    assert!(u64::from(count.reply_end_bytes) <= service.longest_reply_bytes());
    assert!(count.table_end_bytes <= service.tables().iter().map(|table| table.bytes).max().unwrap_or(0));
    for (index, table) in service.tables().iter().enumerate() {
        assert!(state.entries(index) <= table.entries as usize);
    }
    (verdict, count)
}

/// The answer as text, or what else became of the message.
pub fn answer(service: &Service, state: &mut State, message: &[u8]) -> String {
    match handle(service, state, 1, message).0 {
        Verdict::Reply(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    }
}
