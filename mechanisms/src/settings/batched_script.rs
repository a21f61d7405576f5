//! Settings of batched scripts.

use script::Limits;
use script::bundled::{CHAIN, EVENT_LOOP};
use serde::{Deserialize, Serialize};
use sim_core::workload::Program;

/// Forms of batched calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchedScriptVariant {
    /// A Lua script in the kernel.
    #[default]
    Script,
    /// A fixed vector of calls of one request: none may need another's result.
    MultiCall,
    /// Such vectors of all requests that are ready.
    LoopedMultiCall,
    /// `recvmmsg` and `sendmmsg`.
    MessageBatch,
    /// Batches through one io_uring_enter.
    IoUringEnter,
}

/// How scripts are executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// LuaJIT's interpreter.
    #[default]
    Interpreter,
    /// LuaJIT's compiler, warmed up.
    Compiled,
}

/// Batched scripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchedScriptSettings {
    /// Which form of the mechanism.
    pub variant: BatchedScriptVariant,
    /// Requests per script invocation at most (16 in the published use).
    pub limit: u32,
    /// Name of the script's file for messages; empty: the bundled script of the program's kind.
    pub script: String,
    /// The script's text; `--script FILE` reads it from the file.
    pub source: String,
    /// How scripts are executed.
    pub code: Code,
    /// Machine instructions per thousand Lua instructions under LuaJIT's interpreter. Counted with callgrind on x86-64 (LuaJIT 2.1,
    /// compiler off): 23.7 each in a loop over a table of requests that reads fields, compares strings and adds.
    pub interpreter_instructions_milli: u32,
    /// Machine instructions per thousand Lua instructions in compiled code: 3.3 each in the same loop. LuaJIT does not compile calls of
    /// C functions, so a script with many calls comes out too cheap.
    pub compiled_instructions_milli: u32,
    /// Instructions to pass from a script to a C binding and back (stack checks, conversion of arguments and results). Counted the same
    /// way with a function of two numbers: 87.
    pub binding_instructions: u32,
    /// Instructions to find and enter the Lua state behind the descriptor, and to leave it. Guess.
    pub invocation_instructions: u32,
    /// Instructions of `register_lua_syscall`: a new Lua state with its libraries, and the script's text compiled. Guess.
    pub registration_instructions: u32,
    /// User work of at most so many instructions between two calls is glue that the script does itself; longer work must return to
    /// the program.
    pub glue_instructions: u32,
    /// Lines of the Lua state that an invocation touches (stack, constants, bytecode). Guess.
    pub state_lines: u32,
    /// Lua instructions of one invocation at most.
    pub instruction_limit: u64,
    /// Memory of one Lua state at most.
    pub memory_limit_kib: u32,
    /// Instructions per entry of a multi-call's vector: load it, dispatch, store the result. Hand count, within a factor of two.
    pub vector_entry_instructions: u32,
}

impl Default for BatchedScriptSettings {
    fn default() -> Self {
        BatchedScriptSettings {
            variant: BatchedScriptVariant::default(),
            limit: 16,
            script: String::new(),
            source: String::new(),
            code: Code::default(),
            interpreter_instructions_milli: 23_700,
            compiled_instructions_milli: 3300,
            binding_instructions: 87,
            invocation_instructions: 200,
            registration_instructions: 200_000,
            glue_instructions: 250,
            state_lines: 24,
            instruction_limit: 100_000,
            memory_limit_kib: 1024,
            vector_entry_instructions: 25,
        }
    }
}

impl BatchedScriptSettings {
    /// Name and text of the script for a kind of program.
    pub fn text(&self, program: Program) -> (&str, &str) {
        let bundled = if program == Program::EventLoop { EVENT_LOOP } else { CHAIN };
        match (self.script.as_str(), self.source.as_str()) {
            ("", "") => (bundled.name, bundled.source),
            ("", source) => ("script", source),
            (name, source) => (name, source),
        }
    }

    /// What a script may use.
    pub fn limits(&self) -> Limits {
        Limits { instructions: self.instruction_limit, memory_bytes: self.memory_limit_kib as usize * 1024 }
    }

    /// Machine instructions per thousand Lua instructions.
    pub fn code_milli(&self) -> u32 {
        match self.code {
            Code::Interpreter => self.interpreter_instructions_milli,
            Code::Compiled => self.compiled_instructions_milli,
        }
    }
}
