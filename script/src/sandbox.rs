//! What a script finds in its Lua state: the language's own functions that give the same results every run, and nothing that reaches
//! outside.

use crate::order;
use mlua::{Function, Lua, MultiValue, Result, Table, Value, Variadic};

/// Global names that are taken away: they load code, reach outside, depend on memory, or would run calls on another coroutine.
pub(crate) const REMOVED: &[&str] = &[
    "collectgarbage",
    "coroutine",
    "debug",
    "dofile",
    "ffi",
    "gcinfo",
    "getfenv",
    "io",
    "jit",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "os",
    "package",
    "print",
    "require",
    "setfenv",
];

/// Functions of `string` that are taken away: patterns can take unbounded time without an instruction, `dump` holds addresses.
pub(crate) const REMOVED_STRING: &[&str] = &["dump", "find", "gfind", "gmatch", "gsub", "match"];

/// Takes away what does not belong and replaces what is not the same every run. `seed` starts `math.random`.
pub(crate) fn close(lua: &Lua, seed: u64) -> Result<()> {
    let globals = lua.globals();
    let strings: Table = globals.get("string")?;
    let numbers: Table = globals.get("math")?;
    // 52 bits pass through a Lua number whole
    numbers.get::<Function>("randomseed")?.call::<()>((seed >> 12) as f64)?;
    numbers.set("randomseed", Value::Nil)?;
    for name in REMOVED {
        globals.set(*name, Value::Nil)?;
    }
    for name in REMOVED_STRING {
        strings.set(*name, Value::Nil)?;
    }
    globals.set("pairs", order::pairs(lua)?)?;
    globals.set("next", order::next(lua)?)?;
    let original: Function = globals.get("tostring")?;
    let plain = original.clone();
    globals.set("tostring", lua.create_function(move |_, value: Value| text(&plain, value))?)?;
    let format: Function = strings.get("format")?;
    strings.set(
        "format",
        lua.create_function(move |_, (pattern, values): (String, Variadic<Value>)| {
            if pattern.contains("%p") {
                return Err(mlua::Error::RuntimeError(
                    "string.format: %p is not available: addresses change from run to run".into(),
                ));
            }
            let mut arguments = MultiValue::new();
            for value in values {
                let plain = !matches!(value, Value::Table(_) | Value::Function(_) | Value::Thread(_) | Value::UserData(_));
                arguments.push_back(if plain { value } else { text(&original, value)? });
            }
            format.call::<Value>((pattern, arguments))
        })?,
    )
}

/// `tostring` without addresses.
fn text(original: &Function, value: Value) -> Result<Value> {
    match &value {
        Value::Table(table) => {
            let own = table.metatable().map(|meta| meta.raw_get::<Value>("__tostring")).transpose()?;
            match own {
                Some(Value::Function(function)) => function.call(value),
                _ => original.call("table"),
            }
        }
        Value::Function(_) | Value::Thread(_) | Value::UserData(_) | Value::LightUserData(_) => original.call(value.type_name()),
        _ => original.call(value),
    }
}
