//! A kernel that records what a script asks for and answers at once: for checking scripts without a simulation.

use crate::bindings::{Returns, signature};
use crate::engine::{Answer, Call, CallKind, Engine, Step};
use crate::failure::Failure;
use crate::value::Value;
use crate::{WAIT, WORK};
use sim_core::calls::CallNumber;

/// How the stub answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Every call succeeds.
    Succeeds,
    /// Every call but the readiness call fails with `EAGAIN`.
    Fails,
    /// Nothing is ever ready.
    Empty,
}

/// All moods.
pub(crate) const MOODS: [Mood; 3] = [Mood::Succeeds, Mood::Fails, Mood::Empty];

const SET: i64 = 3;
const LISTENER: i64 = 4;
const CONNECTION: i64 = 16;

/// Runs an entry point to its end. Returns how it ended.
pub(crate) fn run(engine: &Engine, entry: &str, first_call: &str, mood: Mood) -> Result<(), Failure> {
    let arguments =
        if entry == WAIT { vec![Value::Integer(SET), Value::Integer(16)] } else { vec![requests(first_call), Value::Integer(16)] };
    let (invocation, mut step) = engine.start(entry, &arguments);
    let Some(mut invocation) = invocation else { return Ok(()) };
    let mut handed = 0;
    loop {
        match step {
            Step::Finished => return Ok(()),
            Step::Failed(failure) => return Err(failure),
            Step::Call(call) => {
                let answer = answer(&call, mood, first_call, entry, &mut handed);
                step = engine.resume(&mut invocation, &answer);
            }
        }
    }
}

fn requests(first_call: &str) -> Value {
    let request = |index: i64| {
        Value::Record(vec![
            ("fd", Value::Integer(CONNECTION + index)),
            ("call", Value::Text(first_call.into())),
            ("bytes", Value::Integer(512)),
            ("path", Value::Text("/served/1".into())),
            ("log", Value::Integer(CONNECTION + 3)),
        ])
    };
    Value::List(vec![request(0), request(1)])
}

fn answer(call: &Call, mood: Mood, first_call: &str, entry: &str, handed: &mut u32) -> Answer {
    let CallKind::System(number) = call.kind else { return next_of_program(call, first_call, entry, handed) };
    let Some(known) = signature(number.name()) else { return Answer::Values(vec![Value::Integer(0)]) };
    if let Some(wrong) = known.misuse(&call.arguments) {
        return Answer::Misuse(wrong);
    }
    if known.returns == Returns::Events {
        return events(mood);
    }
    if mood != Mood::Succeeds {
        return Answer::Error("EAGAIN");
    }
    Answer::Values(vec![Value::Integer(match known.returns {
        Returns::Descriptor => CONNECTION + 2,
        Returns::Zero => 0,
        Returns::Count | Returns::Size | Returns::Events => 512,
    })])
}

/// One call per request, then the program's own work.
fn next_of_program(call: &Call, first_call: &str, entry: &str, handed: &mut u32) -> Answer {
    *handed += 1;
    let fd = call.arguments.first().cloned().unwrap_or(Value::Nil);
    let name = if entry == WORK { first_call } else { "recvfrom" };
    let known = CallNumber::from_name(name).and_then(|number| signature(number.name()));
    if !handed.is_multiple_of(2)
        && let Some(known) = known
    {
        let arguments = known.parameters[..known.required].iter().map(|kind| match kind {
            crate::bindings::Kind::Text => Value::Text("/served/1".into()),
            crate::bindings::Kind::Count | crate::bindings::Kind::Bytes => Value::Integer(512),
            _ => fd.clone(),
        });
        return Answer::Values(std::iter::once(Value::Text(known.name.into())).chain(arguments).collect());
    }
    Answer::Values(vec![Value::Nil])
}

fn events(mood: Mood) -> Answer {
    if mood == Mood::Empty {
        return Answer::Values(vec![Value::Integer(0), Value::List(Vec::new())]);
    }
    let listener = Value::Record(vec![("fd", Value::Integer(LISTENER)), ("listener", Value::Boolean(true))]);
    let connection = Value::Record(vec![("fd", Value::Integer(CONNECTION))]);
    Answer::Values(vec![Value::Integer(2), Value::List(vec![listener, connection])])
}
