//! The bindings: `sys.NAME` for every system call, and what those that scripts commonly use take and return.

use crate::value::Value;
use sim_core::calls::CALL_NAMES;
use sim_core::nearest::nearest;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A descriptor.
    Descriptor,
    /// A number of bytes, messages, events; an offset.
    Count,
    /// A path or a name.
    Text,
    /// A path, or a descriptor.
    PathOrDescriptor,
    /// Bytes to send: a number of them, a string, or a table of pieces.
    Bytes,
}

/// What a call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// A number of bytes moved, or of messages.
    Count,
    /// A new descriptor.
    Descriptor,
    /// 0.
    Zero,
    /// The number of ready descriptors, and a table of them.
    Events,
    /// The size of the file.
    Size,
}

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name after `sys.`.
    pub name: &'static str,
    /// Parameters in order.
    pub parameters: &'static [Kind],
    /// How many of them must be given.
    pub required: usize,
    /// What it returns when it succeeds.
    pub returns: Returns,
}

const fn call(name: &'static str, parameters: &'static [Kind], required: usize, returns: Returns) -> Signature {
    Signature { name, parameters, required, returns }
}

use Kind::{Bytes, Count, Descriptor, PathOrDescriptor, Text};

/// Calls with a signature. A call that is not here takes anything and returns its recorded result.
#[rustfmt::skip]
pub const SIGNATURES: &[Signature] = &[
    call("accept", &[Descriptor], 1, Returns::Descriptor),
    call("accept4", &[Descriptor, Count], 1, Returns::Descriptor),
    call("close", &[Descriptor], 1, Returns::Zero),
    call("epoll_ctl", &[Descriptor, Text, Descriptor], 3, Returns::Zero),
    call("epoll_wait", &[Descriptor, Count, Count], 1, Returns::Events),
    call("fstat", &[Descriptor], 1, Returns::Size),
    call("getpid", &[], 0, Returns::Count),
    call("getppid", &[], 0, Returns::Count),
    call("lseek", &[Descriptor, Count], 2, Returns::Count),
    call("newfstatat", &[PathOrDescriptor], 1, Returns::Size),
    call("openat", &[Text, Count], 1, Returns::Descriptor),
    call("poll", &[Descriptor, Count, Count], 1, Returns::Events),
    call("pread64", &[Descriptor, Count, Count], 3, Returns::Count),
    call("pwrite64", &[Descriptor, Bytes, Count], 3, Returns::Count),
    call("read", &[Descriptor, Count], 2, Returns::Count),
    call("readv", &[Descriptor, Count], 2, Returns::Count),
    call("recvfrom", &[Descriptor, Count], 2, Returns::Count),
    call("recvmmsg", &[Descriptor, Count], 2, Returns::Count),
    call("recvmsg", &[Descriptor, Count], 2, Returns::Count),
    call("sendfile", &[Descriptor, Descriptor, Count], 3, Returns::Count),
    call("sendmmsg", &[Descriptor, Count], 2, Returns::Count),
    call("sendmsg", &[Descriptor, Bytes], 2, Returns::Count),
    call("sendto", &[Descriptor, Bytes], 2, Returns::Count),
    call("setsockopt", &[Descriptor, Text, Count], 2, Returns::Zero),
    call("write", &[Descriptor, Bytes], 2, Returns::Count),
    call("writev", &[Descriptor, Bytes], 2, Returns::Count),
];

/// The signature of a call, if it has one.
pub fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|signature| signature.name == name)
}

/// The message for a call that no kernel has.
pub fn unknown(name: &str) -> String {
    let near = nearest(name, CALL_NAMES.iter().map(|entry| entry.1));
    let hint = near.map_or(String::new(), |near| format!("; did you mean sys.{near}?"));
    format!("unknown call sys.{name}{hint}")
}

impl Kind {
    fn takes(self, value: &Value) -> bool {
        let natural = value.as_integer().is_some_and(|value| value >= 0);
        match self {
            Kind::Descriptor | Kind::Count => natural,
            Kind::Text => value.as_text().is_some(),
            Kind::PathOrDescriptor => natural || value.as_text().is_some(),
            Kind::Bytes => natural || matches!(value, Value::Text(_) | Value::Table(_)),
        }
    }

    /// What an error says was expected.
    pub fn expected(self) -> &'static str {
        match self {
            Kind::Descriptor => "descriptor",
            Kind::Count => "number of at least 0",
            Kind::Text => "string",
            Kind::PathOrDescriptor => "path or descriptor",
            Kind::Bytes => "number of bytes, string or table of pieces",
        }
    }
}

impl Signature {
    /// What is wrong with arguments, as Lua's own library says it.
    pub fn misuse(&self, arguments: &[Value]) -> Option<String> {
        if let Some(message) = self.wrong_number(arguments.len()) {
            return Some(message);
        }
        let wrong = self.parameters.iter().zip(arguments).position(|(kind, value)| !kind.takes(value))?;
        let (expected, got) = (self.parameters[wrong].expected(), &arguments[wrong]);
        let got = got.as_integer().map_or(got.type_name().to_owned(), |number| number.to_string());
        Some(format!("bad argument #{} to 'sys.{}' ({expected} expected, got {got})", wrong + 1, self.name))
    }

    /// What is wrong with the number of arguments.
    pub fn wrong_number(&self, given: usize) -> Option<String> {
        let (least, most) = (self.required, self.parameters.len());
        if (least..=most).contains(&given) {
            return None;
        }
        let takes = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let plural = if takes == "1" { "" } else { "s" };
        Some(format!("sys.{} takes {takes} argument{plural}, not {given}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::calls::CallNumber;

    #[test]
    fn signatures_are_of_calls_that_exist_and_in_order() {
        assert!(SIGNATURES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for signature in SIGNATURES {
            assert_eq!(CallNumber::from_name(signature.name).unwrap().name(), signature.name);
            assert!(signature.required <= signature.parameters.len());
        }
    }

    #[test]
    fn misuse_is_named() {
        let read = signature("read").unwrap();
        assert_eq!(read.misuse(&[Value::Integer(3), Value::Integer(10)]), None);
        assert_eq!(read.misuse(&[Value::Integer(3)]).unwrap(), "sys.read takes 2 arguments, not 1");
        let nil = read.misuse(&[Value::Nil, Value::Integer(10)]).unwrap();
        assert_eq!(nil, "bad argument #1 to 'sys.read' (descriptor expected, got nil)");
        assert_eq!(unknown("raed"), "unknown call sys.raed; did you mean sys.read?");
    }
}
