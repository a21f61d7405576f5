//! Values that pass between scripts and the simulated kernel.

/// An argument or a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number: descriptors, lengths, counts.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(String),
    /// A table with elements 1, 2, 3 …
    List(Vec<Value>),
    /// A table with named fields.
    Record(Vec<(&'static str, Value)>),
    /// A table given by a script: only its length is passed on.
    Table(usize),
    /// A function, or whatever else no call takes.
    Other(&'static str),
}

impl Value {
    /// The Lua name of the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) | Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) | Value::Record(_) | Value::Table(_) => "table",
            Value::Other(name) => name,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(value) => Some(*value),
            Value::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn from_lua(value: &mlua::Value) -> Value {
        match value {
            mlua::Value::Nil => Value::Nil,
            mlua::Value::Boolean(value) => Value::Boolean(*value),
            mlua::Value::Integer(value) => Value::Integer(*value),
            mlua::Value::Number(value) => match Value::Number(*value).as_integer() {
                Some(whole) => Value::Integer(whole),
                None => Value::Number(*value),
            },
            mlua::Value::String(text) => Value::Text(text.to_string_lossy()),
            mlua::Value::Table(table) => Value::Table(table.raw_len()),
            other => Value::Other(other.type_name()),
        }
    }

    pub(crate) fn to_lua(&self, lua: &mlua::Lua) -> mlua::Result<mlua::Value> {
        Ok(match self {
            Value::Nil | Value::Table(_) | Value::Other(_) => mlua::Value::Nil,
            Value::Boolean(value) => mlua::Value::Boolean(*value),
            Value::Integer(value) => mlua::Value::Number(*value as f64),
            Value::Number(value) => mlua::Value::Number(*value),
            Value::Text(text) => mlua::Value::String(lua.create_string(text)?),
            Value::List(values) => {
                let table = lua.create_table_with_capacity(values.len(), 0)?;
                for (index, value) in values.iter().enumerate() {
                    table.raw_set(index + 1, value.to_lua(lua)?)?;
                }
                mlua::Value::Table(table)
            }
            Value::Record(fields) => {
                let table = lua.create_table_with_capacity(0, fields.len())?;
                for (name, value) in fields {
                    table.raw_set(*name, value.to_lua(lua)?)?;
                }
                mlua::Value::Table(table)
            }
        })
    }
}
