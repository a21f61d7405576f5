//! Settings of batched scripts.

use serde::{Deserialize, Serialize};

/// Forms of batched calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchedScriptVariant {
    /// A script that waits, receives from what is ready and makes the calls up to the next user work.
    #[default]
    Script,
    /// Batches through one io_uring_enter.
    IoUringEnter,
}

/// Batched scripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchedScriptSettings {
    /// Which form of the mechanism.
    pub variant: BatchedScriptVariant,
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
            variant: BatchedScriptVariant::default(),
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
