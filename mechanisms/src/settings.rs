//! What each mechanism can be set to. Every number names its source or says that it is a guess; `--set mechanism.…` changes it.

use serde::{Deserialize, Serialize};

/// Settings of all mechanisms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MechanismSettings {
    /// Exception-less calls.
    pub exception_less: ExceptionLessSettings,
    /// Batched scripts.
    pub batched_script: BatchedScriptSettings,
    /// In-kernel services.
    pub in_kernel_dsl: InKernelSettings,
    /// Elevated shortcut.
    pub elevated_shortcut: ElevatedSettings,
}

/// Exception-less calls. Instruction counts are of straightforward code for the work described in the papers, counted by hand on its
/// x86-64 assembly (stores of number, six arguments and status; a compare and a branch per entry scanned; and so on): guesses within a
/// factor of two that calibration on the published batch costs can replace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExceptionLessSettings {
    /// User instructions to write an entry.
    pub post_instructions: u32,
    /// User instructions per entry looked at when polling.
    pub scan_instructions: u32,
    /// User instructions from a completed entry to its callback.
    pub callback_instructions: u32,
    /// Kernel instructions from a submitted entry to its handler (lookup of the call, arguments into registers).
    pub dispatch_instructions: u32,
    /// Kernel instructions from the handler's return to the entry's status.
    pub complete_instructions: u32,
    /// Accepts posted at the same time (ATC'11, section 4: several accepts outstanding).
    pub accepts_outstanding: u32,
    /// Extra lines touched when a result that stood on the stack (fstat) lives in its own memory.
    pub stat_result_lines: u32,
    /// Kernel cores notice posts by polling the pages (true), or are woken only by `flexsc_wait` (false).
    pub kernel_cores_poll: bool,
}

impl Default for ExceptionLessSettings {
    fn default() -> Self {
        ExceptionLessSettings {
            post_instructions: 24,
            scan_instructions: 5,
            callback_instructions: 60,
            dispatch_instructions: 40,
            complete_instructions: 15,
            accepts_outstanding: 32,
            stat_result_lines: 3,
            kernel_cores_poll: true,
        }
    }
}

/// Batched scripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchedScriptSettings {
    /// Requests per script invocation at most (16 in the published use).
    pub limit: u32,
    /// Bytecodes of the script per call: fetch the binding, arguments, call, test the result, loop. Guess from the length of such
    /// loops in `luajit -bl`.
    pub bytecodes_per_call: u32,
    /// Machine instructions per bytecode. LuaJIT's interpreter dispatches in about 5 to 10; compiled code takes 1 to 2.
    pub instructions_per_bytecode: u32,
    /// Instructions to pass from a script to a C binding and back (stack checks, conversion of arguments and results). Guess.
    pub binding_instructions: u32,
    /// Instructions to find and enter the Lua state behind the descriptor, and to leave it. Guess.
    pub invocation_instructions: u32,
    /// User work of at most so many instructions between two calls is glue that the script does itself; longer work must return to
    /// the program.
    pub glue_instructions: u32,
    /// Lines of the Lua state that an invocation touches (stack, constants, bytecode). Guess.
    pub state_lines: u32,
}

impl Default for BatchedScriptSettings {
    fn default() -> Self {
        BatchedScriptSettings {
            limit: 16,
            bytecodes_per_call: 12,
            instructions_per_bytecode: 8,
            binding_instructions: 80,
            invocation_instructions: 200,
            glue_instructions: 250,
            state_lines: 24,
        }
    }
}

/// In-kernel services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InKernelSettings {
    /// Instructions to find the service of a packet and to start it. Guess: a hash lookup and an indirect call.
    pub dispatch_instructions: u32,
    /// Instructions per call that the service makes of the protocol (checks that the compiler could not prove away). Guess.
    pub call_instructions: u32,
}

impl Default for InKernelSettings {
    fn default() -> Self {
        InKernelSettings { dispatch_instructions: 60, call_instructions: 10 }
    }
}

/// Where elevated code enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The system-call function.
    Entry,
    /// The file layer (`ksys_write`): no dispatch.
    File,
    /// The protocol (`tcp_sendmsg`): no descriptor lookup, no VFS.
    Protocol,
}

/// Elevated shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElevatedSettings {
    /// Where calls enter.
    pub depth: Depth,
    /// Instructions per call for the call itself and the check for pending work (rescheduling, signals) that the system-call exit
    /// would have made: a load, a test, a branch, a call and a return.
    pub glue_instructions: u32,
}

impl Default for ElevatedSettings {
    fn default() -> Self {
        ElevatedSettings { depth: Depth::Entry, glue_instructions: 6 }
    }
}
