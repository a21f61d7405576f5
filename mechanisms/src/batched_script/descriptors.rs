//! Descriptors and paths as scripts see them, and what they stand for.

use os_model::action::Slot;
use script::Value;
use sim_core::ids::ConnectionId;

/// What a descriptor or a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The event loop's epoll set.
    Set,
    /// The listening socket.
    Listener,
    /// A connection.
    Connection(ConnectionId),
    /// A file of a request, or a request of a program without connections.
    Request(Slot),
}

/// The first connection's descriptor; 0 to 2 are the standard ones, then set and listener.
const FIRST_CONNECTION: i64 = 16;
/// Files have the descriptors after those of all connections that a run can have.
const FIRST_FILE: i64 = 1 << 20;
const SET: i64 = 3;
const LISTENER: i64 = 4;
const PATH: &str = "/served/";

impl Target {
    /// The descriptor.
    pub fn descriptor(self) -> Value {
        Value::Integer(match self {
            Target::Set => SET,
            Target::Listener => LISTENER,
            Target::Connection(connection) => FIRST_CONNECTION + i64::from(connection.0),
            Target::Request(slot) => FIRST_FILE + i64::from(slot.0),
        })
    }

    /// What a descriptor or a path stands for, if it was handed out. `connections` and `slots` are how many there are.
    pub fn of(value: &Value, connections: usize, slots: usize) -> Option<Target> {
        if let Some(path) = value.as_text() {
            let slot = path.strip_prefix(PATH)?.parse().ok()?;
            return (slot < slots as u32).then_some(Target::Request(Slot(slot)));
        }
        let below = |number: i64, end: usize| u32::try_from(number).ok().filter(|number| (*number as usize) < end);
        match value.as_integer()? {
            SET => Some(Target::Set),
            LISTENER => Some(Target::Listener),
            number if number >= FIRST_FILE => below(number - FIRST_FILE, slots).map(|slot| Target::Request(Slot(slot))),
            number => below(number - FIRST_CONNECTION, connections).map(|index| Target::Connection(ConnectionId(index))),
        }
    }
}

/// The path of the file that a request is about.
pub fn path(slot: Slot) -> Value {
    Value::Text(format!("{PATH}{}", slot.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_and_paths_come_back() {
        for target in [Target::Set, Target::Listener, Target::Connection(ConnectionId(5)), Target::Request(Slot(7))] {
            assert_eq!(Target::of(&target.descriptor(), 6, 8), Some(target));
        }
        assert_eq!(Target::of(&path(Slot(7)), 6, 8), Some(Target::Request(Slot(7))));
    }

    #[test]
    fn what_was_never_handed_out_stands_for_nothing() {
        for wrong in [Value::Integer(-1), Value::Integer(5), Value::Integer(22), Value::Integer(i64::MAX), Value::Nil] {
            assert_eq!(Target::of(&wrong, 6, 8), None, "{wrong:?}");
        }
        assert_eq!(Target::of(&Value::Text("/etc/passwd".into()), 6, 8), None);
    }
}
