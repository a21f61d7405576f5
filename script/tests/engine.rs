//! Scripts in their Lua state: counts, sandbox, limits, calls.

use script::{Answer, Engine, FailureKind, Limits, Step, Value};

const LIMITS: Limits = Limits { instructions: 10_000, memory_bytes: 1 << 20 };

fn engine(source: &str) -> Engine {
    Engine::new(source, "test.lua", LIMITS, 7).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `work` to its end; calls are answered with 1. Returns the last step, the calls' names and the instructions.
fn run(engine: &Engine) -> (Step, Vec<String>, u64) {
    engine.take_instructions();
    let (invocation, mut step) = engine.start("work", &[]);
    let mut invocation = invocation.unwrap();
    let mut calls = Vec::new();
    while let Step::Call(call) = &step {
        calls.push(call.name());
        step = engine.resume(&mut invocation, &Answer::Values(vec![Value::Integer(1)]));
    }
    (step, calls, engine.take_instructions())
}

fn instructions(body: &str) -> u64 {
    let (step, _, instructions) = run(&engine(&format!("function work() {body} end")));
    assert_eq!(step, Step::Finished, "{body}");
    instructions
}

#[test]
fn instructions_are_counted_one_by_one() {
    // LuaJIT's `-bl` lists RET0 for the empty function
    assert_eq!(instructions(""), 1);
    // KSHORT, KSHORT, KSHORT, FORI, n x FORL, RET0
    for turns in [1, 2, 10, 1000] {
        assert_eq!(instructions(&format!("for i = 1, {turns} do end")), 5 + turns);
    }
    // one more instruction in the loop is one more a turn
    for turns in [1, 10, 1000] {
        assert_eq!(instructions(&format!("local x = 0 for i = 1, {turns} do x = x + i end")), 6 + 2 * turns);
    }
}

#[test]
fn a_binding_costs_the_script_what_a_c_function_costs() {
    // GGET, TGETS, (KSHORT for the argument), CALL, RET0
    assert_eq!(instructions("sys.getppid()"), 4);
    assert_eq!(instructions("sys.close(4)"), 5);
    assert_eq!(instructions("math.abs(4)"), 5);
    let calls = "sys.getppid() ".repeat(20);
    assert_eq!(instructions(&calls), 61);
}

/// Runs `work` and returns what it assigned to the global `result` of a fresh script, as text.
fn result(body: &str) -> String {
    let engine = engine(&format!("function work() {body} sys.openat(tostring(result)) end"));
    let (_, step) = engine.start("work", &[]);
    match step {
        Step::Call(call) => call.arguments[0].as_text().unwrap().to_owned(),
        other => panic!("{body}: {other:?}"),
    }
}

fn failure(body: &str) -> script::Failure {
    match run(&engine(&format!("function work()\n{body}\nend"))).0 {
        Step::Failed(failure) => failure,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn calls_pass_arguments_and_results() {
    let engine = engine("function work(a, b)\n local n, e = sys.read(a.fd, b)\n sys.write(a.fd, n or e)\nend");
    let arguments = [Value::Record(vec![("fd", Value::Integer(5))]), Value::Integer(100)];
    for (answer, passed) in
        [(Answer::Values(vec![Value::Integer(64)]), Value::Integer(64)), (Answer::Error("EAGAIN"), Value::Text("EAGAIN".into()))]
    {
        let (invocation, step) = engine.start("work", &arguments);
        let mut invocation = invocation.unwrap();
        let Step::Call(read) = step else { panic!("{step:?}") };
        assert_eq!((read.name().as_str(), &read.arguments[..]), ("sys.read", &[Value::Integer(5), Value::Integer(100)][..]));
        let Step::Call(write) = engine.resume(&mut invocation, &answer) else { panic!("no write") };
        assert_eq!(write.arguments, [Value::Integer(5), passed]);
        assert_eq!(engine.resume(&mut invocation, &Answer::Values(Vec::new())), Step::Finished);
        assert_eq!(invocation.calls, 2);
    }
}

#[test]
fn misuse_is_raised_on_the_script_s_line() {
    let engine = engine("function work()\n\n sys.read(1, 2)\nend");
    let (invocation, _) = engine.start("work", &[]);
    let step = engine.resume(&mut invocation.unwrap(), &Answer::Misuse("bad argument".into()));
    let Step::Failed(failure) = step else { panic!("{step:?}") };
    assert_eq!((failure.message.as_str(), failure.line), ("test.lua:3: bad argument", Some(3)));
}

#[test]
fn tables_are_walked_in_one_order() {
    let walk = "local t = {zeta = 1, [3] = 2, alpha = 3, [1] = 4, [true] = 5, beta = 6} \
                result = '' for k, v in pairs(t) do result = result .. tostring(k) .. '=' .. v .. ' ' end";
    for _ in 0..5 {
        assert_eq!(result(walk), "1=4 3=2 alpha=3 beta=6 zeta=1 true=5 ");
    }
    assert_eq!(result("local t = {b = 1, a = 2} local k = next(t) result = k .. next(t, k) .. tostring(next(t, 'b'))"), "abnil");
    // a key that goes away during the walk is not visited
    assert_eq!(result("local t = {a = 1, b = 2} result = '' for k in pairs(t) do t.b = nil result = result .. k end"), "a");
    assert!(failure("for k in pairs({[{}] = 1}) do end").message.contains("no fixed order"));
}

#[test]
fn nothing_of_the_host_is_there() {
    for name in [
        "os",
        "io",
        "debug",
        "package",
        "require",
        "load",
        "loadstring",
        "dofile",
        "collectgarbage",
        "coroutine",
        "jit",
        "ffi",
        "print",
        "setfenv",
    ] {
        assert_eq!(result(&format!("result = type({name})")), "nil", "{name}");
    }
    for text in ["tostring({})", "tostring(work)", "string.format('%s %s', {}, work)"] {
        let shown = result(&format!("result = {text}"));
        assert!(!shown.contains("0x") && shown.chars().all(|letter| letter.is_alphabetic() || letter == ' '), "{shown}");
    }
    assert!(failure("string.format('%p', {})").message.contains("%p is not available"));
    assert!(failure("error({})").message.chars().all(|letter| !letter.is_ascii_digit()), "no address");
}

#[test]
fn random_numbers_follow_the_seed() {
    let numbers = |seed| {
        let source = "function work() sys.getpid(math.random(1000000), math.random(1000000)) end";
        let engine = Engine::new(source, "test.lua", LIMITS, seed).unwrap();
        match engine.start("work", &[]).1 {
            Step::Call(call) => call.arguments,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(numbers(1 << 40), numbers(1 << 40));
    assert_ne!(numbers(1 << 40), numbers(2 << 40));
}

#[test]
fn endless_scripts_are_ended_where_they_stand() {
    let found = failure("while true do end");
    assert_eq!(found.kind, FailureKind::InstructionLimit);
    assert_eq!(found.message, "test.lua:2: the script ran more than 10000 instructions in one invocation");
    // no pcall keeps it alive
    let caught = failure("while true do pcall(function() while true do end end) end");
    assert_eq!(caught.kind, FailureKind::InstructionLimit);
}

#[test]
fn hungry_scripts_are_ended_and_the_next_invocation_finds_memory() {
    let engine = engine(
        "function work(fine)\n if fine then return end\n local t = {}\n while true do t[#t + 1] = string.rep('x', 100000) .. #t end\nend",
    );
    let (_, step) = engine.start("work", &[]);
    let Step::Failed(failure) = step else { panic!("{step:?}") };
    assert_eq!(failure.kind, FailureKind::MemoryLimit);
    assert_eq!(failure.message, "not enough memory: the script's state may take 1048576 bytes");
    assert!(engine.memory_bytes() < 500_000, "{}", engine.memory_bytes());
    assert_eq!(engine.start("work", &[Value::Boolean(true)]).1, Step::Finished);
}

#[test]
fn errors_name_their_line() {
    let found = failure("local x = nil\nreturn x.y");
    assert_eq!((found.kind, found.line), (FailureKind::Error, Some(3)));
    assert_eq!(found.message, "test.lua:3: attempt to index local 'x' (a nil value)");
    assert_eq!(failure("sys.raed(1)").message, "test.lua:2: unknown call sys.raed; did you mean sys.read?");
}

#[test]
fn texts_that_cannot_be_loaded() {
    let error = |source| Engine::new(source, "test.lua", LIMITS, 0).unwrap_err();
    assert_eq!(error("function work(\n").line, Some(2));
    assert!(error("while true do end").message.contains("more than 10000 instructions"));
    assert!(error("sys.getppid()").message.contains("calls belong into functions"));
    assert_eq!(error("error('no')").message, "test.lua:1: no");
}
