//! Which service answers a workload's requests, and where its memory lies.

use crate::registry::Needs;
use crate::settings::InKernelSettings;
use sim_core::ids::{LINE_BYTES, Line};
use sim_core::payload::Protocol;
use sim_core::workload::{Program, Workload};
use wyki::{Diagnostic, Options, Service};

/// A service that comes with the program.
struct Bundled {
    protocols: &'static [Protocol],
    file: &'static str,
    source: &'static str,
}

macro_rules! bundled {
    ($file:literal, $($protocol:ident)+) => {
        Bundled { protocols: &[$(Protocol::$protocol),+], file: $file, source: include_str!(concat!("../../../examples/wyki/", $file)) }
    };
}

/// The bundled service of each protocol.
#[rustfmt::skip]
const BUNDLED: [Bundled; 4] = [
    bundled!("memcached-get-tcp.wyki", Memcached),
    bundled!("memcached-get-udp.wyki", MemcachedUdp),
    bundled!("static-files.wyki", Http HttpKeepAlive),
    bundled!("redis-get.wyki", Redis),
];

/// A service that cannot be installed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ServiceError {
    /// Nothing is known of the requests' bytes.
    #[error("{0}")]
    NoBytes(String),
    /// The compiler refuses the service.
    #[error("{}", refused(file, diagnostics))]
    Refused {
        /// The file.
        file: String,
        /// What is wrong with it, and where.
        diagnostics: Vec<Diagnostic>,
    },
    /// Tables that do not fit the simulated address space.
    #[error("{file}: its tables take {bytes} bytes; the simulated kernel has room for {} GiB. Declare fewer or smaller entries", TABLE_BYTES_MAX >> 30)]
    TooLarge {
        /// The file.
        file: String,
        /// Bytes of all tables.
        bytes: u64,
    },
}

/// Bytes of tables at most: an eighth of the simulated address space of 64 GiB, which everything else shares.
const TABLE_BYTES_MAX: u64 = 8 << 30;
/// Lines of a core's buffer in which the service builds a reply: 16 KiB, more than the longest reply of a bundled service. A longer one
/// wraps around.
pub(super) const REPLY_LINES: u32 = 256;
/// Memory of a kernel thread that serves a connection: its stack (THREAD_SIZE, 16 KiB) and its `task_struct` (about 10 KiB).
const THREAD_BYTES: u64 = 26 * 1024;

fn refused(file: &str, diagnostics: &[Diagnostic]) -> String {
    let first = diagnostics.first().map(|one| format!("{}: {}", one.code, one.message)).unwrap_or_default();
    format!("{file} is not a safe service: {first}. `ringscope dsl check {file}` shows where")
}

/// Why no service can answer the workload's requests, if none can.
pub fn reason_without(workload: &Workload) -> Option<String> {
    if workload.program == Program::Sequential {
        return Some("a sequential program serves no requests that an in-kernel service could answer".into());
    }
    if workload.payload.is_none() {
        return Some(format!(
            "which protocol the clients of {} speak is not known, so its requests have no bytes that a service could read; the variant \
             `recorded` needs none",
            workload.name
        ));
    }
    None
}

/// The service for a workload: the user's, or the bundled one of its protocol.
///
/// # Errors
/// A workload without bytes, a service that the compiler refuses, or one whose tables do not fit.
pub fn choose(workload: &Workload, settings: &InKernelSettings) -> Result<Service, ServiceError> {
    let Some(payload) = workload.payload.filter(|_| workload.program != Program::Sequential) else {
        return Err(ServiceError::NoBytes(reason_without(workload).unwrap_or_default()));
    };
    let own = (!settings.source.is_empty()).then_some((settings.service.as_str(), settings.source.as_str()));
    let bundled = BUNDLED.iter().find(|entry| entry.protocols.contains(&payload.protocol)).map(|entry| (entry.file, entry.source));
    let (file, source) = own.or(bundled).unwrap_or_default();
    let options = Options {
        superpages: settings.superpages,
        thread_collapse: settings.thread_collapse,
        socket_collapse: settings.socket_collapse,
        inline_parsing: settings.inline_parsing,
        stretch_bound_instructions: settings.stretch_bound_instructions,
    };
    let service = wyki::compile(source, file, &options)
        .map_err(|diagnostics| ServiceError::Refused { file: file.to_owned(), diagnostics })?;
    let bytes = table_bytes(&service);
    if bytes > TABLE_BYTES_MAX {
        return Err(ServiceError::TooLarge { file: file.to_owned(), bytes });
    }
    Ok(service)
}

fn table_bytes(service: &Service) -> u64 {
    service.tables().iter().map(|table| table.bytes).sum()
}

fn table_lines(service: &Service) -> u32 {
    service.tables().iter().map(|table| lines(table.bytes)).sum()
}

fn lines(bytes: u64) -> u32 {
    bytes.div_ceil(LINE_BYTES) as u32
}

/// Where everything of a service lies.
#[derive(Clone, Debug)]
pub struct Places {
    /// Code.
    pub code: Line,
    /// State of the connections, one after the other.
    pub states: Line,
    /// Lines of one connection's state.
    pub state_lines: u32,
    /// Reply buffers, one a core.
    pub replies: Line,
    /// First line of each table.
    pub tables: Vec<Line>,
    /// One past the last line outside superpages.
    end: Line,
}

/// What a service needs besides what the program needs.
pub fn needs(service: &Service, program: Needs, cores: u32, connections: u32) -> Needs {
    let (memory_lines, superpage_lines) = sizes(service, cores, connections);
    Needs {
        tasks: program.tasks + threads(service, cores, connections),
        memory_lines,
        superpage_lines,
        memory_bytes: memory_bytes(service, cores, connections),
        ..program
    }
}

/// Lines of a service's memory: outside superpages and in them.
fn sizes(service: &Service, cores: u32, connections: u32) -> (u32, u32) {
    let places = Places::new(service, cores, connections, 0, 0);
    if service.options().superpages { (places.end, table_lines(service)) } else { (places.end + table_lines(service), 0) }
}

/// Bytes that the service takes in a real kernel: code, tables, states, reply buffers, and threads where they are not collapsed.
fn memory_bytes(service: &Service, cores: u32, connections: u32) -> u64 {
    let (small, large) = sizes(service, cores, connections);
    u64::from(small + large) * LINE_BYTES + u64::from(threads(service, cores, connections)) * THREAD_BYTES
}

/// Threads that serve sessions: one a connection, or one a core where there are no connections. None when they are collapsed.
pub fn threads(service: &Service, cores: u32, connections: u32) -> u32 {
    match (service.options().thread_collapse, service.protocol()) {
        (true, _) => 0,
        (false, wyki::Protocol::Udp) => cores,
        (false, wyki::Protocol::Tcp) => connections,
    }
}

impl Places {
    /// Lays a service out from `small` on, its tables in superpages from `large` on if it has them there.
    pub fn new(service: &Service, cores: u32, connections: u32, small: Line, large: Line) -> Places {
        let state_lines = lines(u64::from(service.connection_bytes()));
        let states = small + service.code_lines();
        let replies = states + state_lines * connections;
        let end = replies + REPLY_LINES * cores;
        let mut next = if service.options().superpages { large } else { end };
        let mut tables = Vec::new();
        for table in service.tables() {
            tables.push(next);
            next += lines(table.bytes);
        }
        Places { code: small, states, state_lines, replies, tables, end }
    }
}
