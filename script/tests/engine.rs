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
