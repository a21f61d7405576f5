//! A Lua state with one script in it, and its invocations.

use crate::bindings;
use crate::failure::{Failure, LoadError};
use crate::sandbox;
use crate::value::Value;
use mlua::{ChunkMode, Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Thread, VmState};
use sim_core::calls::CallNumber;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What a script may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of one invocation.
    pub instructions: u64,
    /// Memory of the Lua state.
    pub memory_bytes: usize,
}

/// Instructions of `prelude.lua` per call of a binding: a binding in a real kernel is C, so they do not count as the script's.
/// A test counts them.
const PRELUDE_INSTRUCTIONS: u64 = 9;

/// The number that stands for `program.next` where others are calls.
const PROGRAM_NEXT: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Counter {
    /// Since the engine was made.
    instructions: Cell<u64>,
    /// The count at which the invocation ends.
    end: Cell<u64>,
    /// Where the limit was reached.
    reached: RefCell<Option<String>>,
}

/// A Lua state that holds one script.
pub struct Engine {
    lua: Lua,
    counter: Rc<Counter>,
    limits: Limits,
    taken: Cell<u64>,
    instructions_to_load: u64,
}

/// A running or finished invocation.
#[derive(Debug)]
pub struct Invocation {
    thread: Thread,
    /// System calls that the script made so far.
    pub calls: u32,
}

/// What a script asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What.
    pub kind: CallKind,
    /// Arguments.
    pub arguments: Vec<Value>,
}

/// Kind of a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A system call.
    System(CallNumber),
    /// `program.next(fd)`: the call that the program makes next.
    ProgramNext,
}

/// What the kernel answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Results.
    Values(Vec<Value>),
    /// `nil` and the error's name (`EAGAIN`).
    Error(&'static str),
    /// The script's mistake: raised as a Lua error on its line.
    Misuse(String),
}

/// How far an invocation came.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It waits for the answer to a call.
    Call(Call),
    /// It returned.
    Finished,
    /// It ended with an error.
    Failed(Failure),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes a Lua state, registers the bindings and runs the script's text once: it defines the entry points.
    ///
    /// # Errors
    /// Syntax errors; errors and limits while the text runs; a text that calls the system.
    pub fn new(source: &str, name: &str, limits: Limits, seed: u64) -> Result<Engine, LoadError> {
        // without the library `jit` LuaJIT's compiler stays off: the interpreter executes, and counts, every instruction
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::default()).map_err(|error| LoadError::of(&error))?;
        let counter = Rc::new(Counter::default());
        let engine = Engine { lua, counter, limits, taken: Cell::new(0), instructions_to_load: 0 };
        engine.furnish(seed).map_err(|error| LoadError::of(&error))?;
        engine.load(source, name)
    }

    fn furnish(&self, seed: u64) -> mlua::Result<()> {
        let globals = self.lua.globals();
        let yields: Function = globals.get::<mlua::Table>("coroutine")?.get("yield")?;
        let raise: Function = globals.get("error")?;
        let prelude = self.lua.load(include_str!("prelude.lua")).set_name("=bindings").set_mode(ChunkMode::Text);
        let bind: Function = prelude.into_function()?.call((yields, raise))?;
        let program = self.lua.create_table()?;
        program.set("next", bind.call::<Function>(PROGRAM_NEXT)?)?;
        globals.set("program", program)?;
        globals.set("sys", self.system_table(bind)?)?;
        sandbox::close(&self.lua, seed)
    }

    /// `sys`: a binding is made when its name is first used.
    fn system_table(&self, bind: Function) -> mlua::Result<mlua::Table> {
        let table = self.lua.create_table()?;
        let counter = Rc::clone(&self.counter);
        let index = self.lua.create_function(move |lua, (table, name): (mlua::Table, String)| {
            let Some(call) = CallNumber::from_name(&name) else {
                let place = lua.inspect_stack(1, |debug| {
                    let line = debug.current_line()?;
                    Some(format!("{}:{line}: ", debug.source().short_src?))
                });
                let place = place.flatten().unwrap_or_default();
                return Err(mlua::Error::RuntimeError(place + &bindings::unknown(&name)));
            };
            let before = counter.instructions.get();
            let binding: Function = bind.call(u32::from(call.0))?;
            counter.instructions.set(before);
            table.raw_set(name, binding.clone())?;
            Ok(binding)
        })?;
        let meta = self.lua.create_table()?;
        meta.set("__index", index)?;
        table.set_metatable(Some(meta))?;
        Ok(table)
    }

    fn load(mut self, source: &str, name: &str) -> Result<Engine, LoadError> {
        let chunk = self.lua.load(source).set_name(format!("@{name}")).set_mode(ChunkMode::Text);
        let main = chunk.into_function().map_err(|error| LoadError::of(&error))?;
        self.count(name).map_err(|error| LoadError::of(&error))?;
        self.lua.set_memory_limit(self.limits.memory_bytes).map_err(|error| LoadError::of(&error))?;
        match self.begin(main, MultiValue::new()).1 {
            Step::Finished => {}
            Step::Failed(failure) => return Err(failure.into()),
            Step::Call(call) => {
                let message =
                    format!("{name}: {} is called while the script is registered: calls belong into functions", call.name());
                return Err(LoadError { message, line: None });
            }
        }
        self.instructions_to_load = self.take_instructions();
        Ok(self)
    }

    /// Every instruction calls the hook once: the count is exact.
    fn count(&self, name: &str) -> mlua::Result<()> {
        let counter = Rc::clone(&self.counter);
        let name = name.to_owned();
        self.lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), move |_, debug| {
            let instructions = counter.instructions.get() + 1;
            counter.instructions.set(instructions);
            if instructions <= counter.end.get() {
                return Ok(VmState::Continue);
            }
            let place = match debug.current_line() {
                Some(line) => format!("{name}:{line}"),
                None => name.clone(),
            };
            counter.reached.borrow_mut().get_or_insert(place);
            Err(mlua::Error::RuntimeError("instruction limit".into()))
        })
    }

    /// True when the script defines a function of this name.
    pub fn has(&self, entry: &str) -> bool {
        self.lua.globals().raw_get::<mlua::Value>(entry).is_ok_and(|value| value.is_function())
    }

    /// Starts an invocation of an entry point.
    pub fn start(&self, entry: &str, arguments: &[Value]) -> (Option<Invocation>, Step) {
        self.counter.end.set(u64::MAX);
        let prepared = self.lua.globals().raw_get::<Function>(entry).and_then(|function| {
            let values: mlua::Result<MultiValue> = arguments.iter().map(|value| value.to_lua(&self.lua)).collect();
            Ok((function, values?))
        });
        match prepared {
            Ok((function, values)) => self.begin(function, values),
            Err(error) => (None, Step::Failed(self.failure(&error))),
        }
    }

    fn begin(&self, function: Function, arguments: MultiValue) -> (Option<Invocation>, Step) {
        self.counter.end.set(self.counter.instructions.get() + self.limits.instructions);
        self.counter.reached.replace(None);
        match self.lua.create_thread(function) {
            Ok(thread) => {
                let mut invocation = Invocation { thread, calls: 0 };
                let step = self.go_on(&mut invocation, arguments);
                (Some(invocation), step)
            }
            Err(error) => (None, Step::Failed(self.failure(&error))),
        }
    }

    /// Goes on with the answer to the call that the invocation waits for.
    pub fn resume(&self, invocation: &mut Invocation, answer: &Answer) -> Step {
        let values: mlua::Result<MultiValue> = match answer {
            Answer::Values(values) => {
                let results = values.iter().map(|value| value.to_lua(&self.lua));
                std::iter::once(Ok(mlua::Value::Nil)).chain(results).collect()
            }
            Answer::Error(name) => {
                let name = self.lua.create_string(name).map(mlua::Value::String);
                [Ok(mlua::Value::Nil), Ok(mlua::Value::Nil), name].into_iter().collect()
            }
            Answer::Misuse(message) => {
                self.lua.create_string(message).map(|text| [mlua::Value::String(text)].into_iter().collect())
            }
        };
        match values {
            Ok(values) => self.go_on(invocation, values),
            Err(error) => Step::Failed(self.failure(&error)),
        }
    }

    fn go_on(&self, invocation: &mut Invocation, values: MultiValue) -> Step {
        let handed: MultiValue = match invocation.thread.resume(values) {
            Ok(handed) => handed,
            Err(error) => return Step::Failed(self.failure(&error)),
        };
        if invocation.thread.status() != mlua::ThreadStatus::Resumable {
            return Step::Finished;
        }
        // half of the prelude's work comes after the answer; all of it is taken off here
        self.discount(PRELUDE_INSTRUCTIONS);
        let mut values = handed.iter().map(Value::from_lua);
        let number = values.next().and_then(|value| value.as_integer()).unwrap_or_default();
        let kind = match u16::try_from(number) {
            Ok(number) => CallKind::System(CallNumber(number)),
            Err(_) => CallKind::ProgramNext,
        };
        invocation.calls += u32::from(kind != CallKind::ProgramNext);
        let mut arguments: Vec<Value> = values.collect();
        // `f(a, nil)` gives as much as `f(a)`
        arguments.truncate(arguments.iter().rposition(|value| *value != Value::Nil).map_or(0, |last| last + 1));
        Step::Call(Call { kind, arguments })
    }

    fn discount(&self, instructions: u64) {
        // the limit is on the script's own instructions
        self.counter.end.set(self.counter.end.get().saturating_add(instructions));
        self.taken.set(self.taken.get() + instructions);
    }

    fn failure(&self, error: &mlua::Error) -> Failure {
        let failure = Failure::of(error, self.counter.reached.borrow_mut().take(), self.limits);
        // what the invocation held is garbage now; without this the next one would meet the same limit
        if self.lua.gc_collect().and_then(|()| self.lua.gc_collect()).is_err() {
            return Failure { kind: crate::FailureKind::MemoryLimit, ..failure };
        }
        failure
    }

    /// Instructions of the script since the last time they were taken.
    pub fn take_instructions(&self) -> u64 {
        let now = self.counter.instructions.get();
        let taken = self.taken.get();
        if now <= taken {
            return 0;
        }
        self.taken.set(now);
        now - taken
    }

    /// Instructions that running the script's text took.
    pub fn instructions_to_load(&self) -> u64 {
        self.instructions_to_load
    }

    /// Bytes that the Lua state holds now.
    pub fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }
}

impl Call {
    /// Name as a script writes it.
    pub fn name(&self) -> String {
        match self.kind {
            CallKind::System(call) => format!("sys.{}", call.name()),
            CallKind::ProgramNext => "program.next".into(),
        }
    }
}
