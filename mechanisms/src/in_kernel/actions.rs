//! From what a service did with a message to what a core executes.

use super::service::{Places, REPLY_LINES};
use os_model::action::Action;
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::{CoreId, LINE_BYTES, Line};
use wyki::Trace;

/// Turns a service's trace into actions.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// What the core executes.
    pub actions: Vec<Action>,
    /// Yield points passed.
    pub yields: u64,
    places: &'a Places,
    message: Line,
    reply: Line,
}

impl<'a> Recorder<'a> {
    /// A recorder for a message that lies at a line, on a core.
    pub fn new(places: &'a Places, message: Line, core: CoreId) -> Recorder<'a> {
        let reply = places.replies + u32::from(core.0) * REPLY_LINES;
        Recorder { actions: Vec::new(), yields: 0, places, message, reply }
    }

    fn touch(&mut self, line: Line, kind: OpKind) {
        // the program's own work in another ring, as under the elevated shortcut
        self.actions.push(Action::Touch(Context::ELEVATED, line, kind));
    }

    fn touch_bytes(&mut self, first: Line, offset: u64, bytes: u32, kind: OpKind) {
        if bytes == 0 {
            return;
        }
        for line in offset / LINE_BYTES..=(offset + u64::from(bytes) - 1) / LINE_BYTES {
            self.touch(first + line as Line, kind);
        }
    }
}

fn access(store: bool) -> OpKind {
    if store { OpKind::Store } else { OpKind::Load }
}

impl Trace for Recorder<'_> {
    fn instructions(&mut self, count: u32) {
        match self.actions.last_mut() {
            Some(Action::Instructions(_, last)) => *last += count,
            _ => self.actions.push(Action::Instructions(Context::ELEVATED, count)),
        }
    }

    fn code(&mut self, first_line: u32, lines: u32) {
        for line in first_line..first_line + lines {
            self.touch(self.places.code + line, OpKind::Fetch);
        }
    }

    fn table(&mut self, table: usize, byte_offset: u64, bytes: u32, store: bool) {
        self.touch_bytes(self.places.tables[table], byte_offset, bytes, access(store));
    }

    fn message(&mut self, byte_offset: u32, bytes: u32) {
        self.touch_bytes(self.message, u64::from(byte_offset), bytes, OpKind::Load);
    }

    fn reply(&mut self, byte_offset: u32, bytes: u32) {
        let wrapped = u64::from(byte_offset) % (u64::from(REPLY_LINES) * LINE_BYTES);
        self.touch_bytes(self.reply, wrapped, bytes, OpKind::Store);
    }

    fn state(&mut self, connection: u32, bytes: u32, store: bool) {
        self.touch_bytes(self.places.states + connection * self.places.state_lines, 0, bytes, access(store));
    }

    fn yield_point(&mut self) {
        self.yields += 1;
    }
}
