//! The program at the XDP hook: compiled by clang when it is asked for, loaded, attached, timed by the kernel.

use crate::case::{MESSAGE_BYTES, Store};
use crate::error::TwinError;
use crate::hook::namespace::LOOPBACK;
use crate::table::Table;
use aya::maps::{Array, MapError};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfError};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What clang compiles.
const SOURCE: &str = include_str!("../../bpf/udp_get.c");
/// Port that the program answers for; each namespace has all ports to itself.
pub const PORT: u16 = 11211;
/// Program that answers requests.
pub const ANSWER: &str = "answer";
/// Program that drops them.
pub const DROP: &str = "drop";
/// Ethernet, IPv4 and UDP headers.
const HEADER_BYTES: usize = 14 + 20 + 8;

/// A loaded program with its values.
pub struct Loaded(Ebpf);

fn lacks(what: &str) -> TwinError {
    TwinError::Lacking(format!("the host lacks {what}"))
}

/// Arguments of clang.
fn arguments(store: Store) -> Vec<String> {
    let constants =
        [format!("-DENTRIES={}", store.entries.max(1)), format!("-DMESSAGE_BYTES={MESSAGE_BYTES}"), format!("-DPORT={PORT}")];
    // types for debuggers are what describes the map; a verifier wants optimised code
    let fixed = ["-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-x", "c", "-c", "-", "-o", "-"];
    fixed.into_iter().map(str::to_owned).chain(constants).collect()
}

/// The program as clang compiles it.
fn compiled(store: Store) -> Result<Vec<u8>, TwinError> {
    let started =
        Command::new("clang").args(arguments(store)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut clang = started.map_err(|error| lacks(&format!("clang with the bpf target (clang: {error})")))?;
    // the source is shorter than a pipe; a clang that has ended meanwhile says why
    let written = clang.stdin.take().map(|mut input| input.write_all(SOURCE.as_bytes()));
    let output = clang.wait_with_output().map_err(TwinError::host("waiting for clang"))?;
    drop(written);
    if output.status.success() { Ok(output.stdout) } else { Err(lacks(&refused_by_clang(&output))) }
}

/// What is lacking when clang refuses.
fn refused_by_clang(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().find(|line| line.contains("error")).or(said.lines().next()).unwrap_or("it says nothing").trim();
    if said.contains("No available targets") || said.contains("unknown target triple") {
        format!("the bpf target of clang ({error})")
    } else {
        format!("a clang that compiles the program ({}: {error})", output.status)
    }
}

/// What is lacking when the kernel does not take the program.
fn refused_by_kernel(error: &ProgramError) -> TwinError {
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let log = verifier_log.to_string();
        if let Some(last) = log.lines().rfind(|line| !line.trim().is_empty()) {
            return lacks(&format!("a verifier that takes the program ({io_error}; its log ends: {})", last.trim()));
        }
        return without_bpf(io_error);
    }
    lacks(&format!("a kernel that takes the program ({})", with_causes(error)))
}

/// What is lacking when the kernel refuses a call for BPF.
fn without_bpf(error: &std::io::Error) -> TwinError {
    lacks(&match error.raw_os_error() {
        Some(libc::ENOSYS) => "a kernel with CONFIG_BPF_SYSCALL".into(),
        Some(libc::EPERM | libc::EACCES) => format!("the right to load BPF programs (CAP_BPF and CAP_NET_ADMIN: {error})"),
        _ => format!("a kernel that takes BPF programs ({error})"),
    })
}

/// An error with what lies behind it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn refused_map(error: &MapError) -> TwinError {
    match error {
        MapError::SyscallError(refused) => without_bpf(&refused.io_error),
        MapError::CreateError { io_error, .. } => without_bpf(io_error),
        _ => lacks(&format!("a kernel that takes the program's map ({})", with_causes(error))),
    }
}

fn refused_object(error: &EbpfError) -> TwinError {
    match error {
        EbpfError::MapError(error) => refused_map(error),
        EbpfError::ProgramError(error) => refused_by_kernel(error),
        _ => lacks(&format!("an object file of clang that can be loaded ({})", with_causes(error))),
    }
}

impl Loaded {
    /// Compiles and loads the programs, and stores the values that a server has.
    ///
    /// # Errors
    /// What the host lacks.
    pub fn of(store: Store) -> Result<Loaded, TwinError> {
        let mut object = Ebpf::load(&compiled(store)?).map_err(|error| refused_object(&error))?;
        let map = object.map_mut("values").ok_or_else(|| lacks("the map in the compiled program"))?;
        let mut values = Array::<_, [u8; MESSAGE_BYTES]>::try_from(map).map_err(|error| refused_map(&error))?;
        for (place, value) in Table::new(store).values().iter().enumerate() {
            values.set(place as u32, value, 0).map_err(|error| refused_map(&error))?;
        }
        let mut loaded = Loaded(object);
        for name in [ANSWER, DROP] {
            loaded.program(name)?.load().map_err(|error| refused_by_kernel(&error))?;
        }
        Ok(loaded)
    }

    fn program(&mut self, name: &str) -> Result<&mut Xdp, TwinError> {
        let program = self.0.program_mut(name).ok_or_else(|| lacks(&format!("`{name}` in the compiled program")))?;
        program.try_into().map_err(|error| refused_by_kernel(&error))
    }

    /// Attaches a program to the loopback device of this thread's namespace, in generic mode: the device has no driver that runs it.
    /// It stays as long as this value.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&mut self, name: &str) -> Result<(), TwinError> {
        self.program(name)?.attach_to_if_index(LOOPBACK, XdpMode::Skb).map(drop).map_err(|error| refused_by_kernel(&error))
    }

    /// The kernel runs the program that answers so many times on a request in its own buffer; returns what that took.
    ///
    /// # Errors
    /// When the kernel refuses, or the program does not answer.
    pub fn run_alone(&mut self, message: &[u8; MESSAGE_BYTES], times: u32) -> Result<Duration, TwinError> {
        let packet = packet(message);
        let options = TestRunOptions { data_in: Some(&packet), repeat: times, ..TestRunOptions::new() };
        let ran = self.program(ANSWER)?.test_run(options).map_err(|error| refused_by_kernel(&error))?;
        const SENT_BACK: i64 = 3;
        crate::error::expect_result("the program at the XDP hook", ran.return_value.into(), SENT_BACK)?;
        // the kernel says how long one run took, in whole nanoseconds
        Ok(ran.duration * times)
    }
}

/// A request from and to the program's port: sent back it is a request again, so that the kernel can run the program on it repeatedly.
fn packet(message: &[u8; MESSAGE_BYTES]) -> Vec<u8> {
    const IPV4: [u8; 2] = [0x08, 0x00];
    const LOCALHOST: [u8; 4] = [127, 0, 0, 1];
    let length = |of: usize| (of as u16).to_be_bytes();
    let mut packet = vec![0; 12];
    packet.extend(IPV4);
    packet.extend([0x45, 0]);
    packet.extend(length(HEADER_BYTES - 14 + MESSAGE_BYTES));
    // no identification, not in pieces, 64 hops, UDP, and a header checksum that nobody looks at here
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend([LOCALHOST, LOCALHOST].concat());
    packet.extend([PORT.to_be_bytes(), PORT.to_be_bytes(), length(8 + MESSAGE_BYTES), [0, 0]].concat());
    packet.extend(message);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::request;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn a_packet_has_its_fields_where_the_program_looks_for_them() {
        let packet = packet(&request(7));
        assert_eq!(packet.len(), HEADER_BYTES + MESSAGE_BYTES);
        assert_eq!((packet[12..15].to_vec(), packet[23]), (vec![8, 0, 0x45], 17));
        assert_eq!(packet[34..36], packet[36..38], "sent back it is a request again");
        assert_eq!(packet[HEADER_BYTES..][..8], 7u64.to_be_bytes());
    }

    #[test]
    fn the_program_gets_the_numbers_of_the_case() {
        let all = arguments(Store { entries: 77 }).join(" ");
        for part in ["-target bpf", "-DENTRIES=77", "-DMESSAGE_BYTES=64", "-DPORT=11211"] {
            assert!(all.contains(part), "{part}: {all}");
        }
        assert!(["ENTRIES", "MESSAGE_BYTES", "PORT", "int answer(", "int drop("].iter().all(|name| SOURCE.contains(name)));
    }

    fn lacking(stderr: &str) -> String {
        let status = ExitStatus::from_raw(1 << 8);
        refused_by_clang(&Output { status, stdout: Vec::new(), stderr: stderr.into() })
    }

    #[test]
    fn what_clang_refuses_is_said_in_its_words() {
        let without = lacking(
            "error: unable to create target: 'No available targets are compatible with triple \"bpf\"'\n1 error generated.\n",
        );
        assert!(without.starts_with("the bpf target of clang (error: unable to create target"), "{without}");
        let other = lacking("<stdin>:3:1: error: unknown type name 'x'\n");
        assert!(other.contains("exit status: 1: <stdin>:3:1: error: unknown type"), "{other}");
        assert!(lacking("").contains("it says nothing"));
    }

    #[test]
    fn what_the_kernel_refuses_names_the_right_or_the_option_that_is_missing() {
        let of = |number| without_bpf(&std::io::Error::from_raw_os_error(number)).to_string();
        assert!(of(libc::ENOSYS).contains("CONFIG_BPF_SYSCALL"));
        assert!(of(libc::EPERM).contains("CAP_BPF"), "{}", of(libc::EPERM));
        assert!(of(libc::ENOMEM).contains("takes BPF programs"));
    }
}
