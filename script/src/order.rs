//! Tables in a fixed order. LuaJIT walks string keys by a hash whose seed changes from run to run.

use mlua::{Function, Lua, Result, Table, Value};
use std::cmp::Ordering;

/// Keys of a table: numbers ascending, then strings by bytes, then `false`, `true`.
fn keys(table: &Table) -> Result<Vec<Value>> {
    let mut keys = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        if rank(&key).is_none() {
            let kind = key.type_name();
            return Err(mlua::Error::RuntimeError(format!(
                "a {kind} as a key has no fixed order: pairs and next cannot walk this table"
            )));
        }
        keys.push(key);
    }
    keys.sort_by(compare);
    Ok(keys)
}

fn rank(key: &Value) -> Option<u8> {
    match key {
        Value::Integer(_) | Value::Number(_) => Some(0),
        Value::String(_) => Some(1),
        Value::Boolean(_) => Some(2),
        _ => None,
    }
}

fn compare(left: &Value, right: &Value) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| match (left, right) {
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(&right.as_bytes()),
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (left, right) => number(left).total_cmp(&number(right)),
    })
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Integer(value) => *value as f64,
        Value::Number(value) => *value,
        _ => 0.0,
    }
}

/// `pairs`: walks the keys that were there when the loop began and still have values.
pub(crate) fn pairs(lua: &Lua) -> Result<Function> {
    lua.create_function(|lua, table: Table| {
        let mut rest = keys(&table)?.into_iter();
        let walked = table.clone();
        let iterator = lua.create_function_mut(move |_, ()| {
            for key in rest.by_ref() {
                let value: Value = walked.raw_get(key.clone())?;
                if !value.is_nil() {
                    return Ok((key, value));
                }
            }
            Ok((Value::Nil, Value::Nil))
        })?;
        Ok((iterator, table, Value::Nil))
    })
}

/// `next`: the key after one in the fixed order.
pub(crate) fn next(lua: &Lua) -> Result<Function> {
    lua.create_function(|_, (table, after): (Table, Value)| {
        let keys = keys(&table)?;
        let found = match &after {
            Value::Nil => keys.into_iter().next(),
            key => keys.into_iter().find(|candidate| compare(candidate, key) == Ordering::Greater),
        };
        match found {
            Some(key) => {
                let value: Value = table.raw_get(key.clone())?;
                Ok((key, value))
            }
            None => Ok((Value::Nil, Value::Nil)),
        }
    })
}
