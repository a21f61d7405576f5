//! The scripts that come with the program: what a server of each kind would put into the kernel.

/// A bundled script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundled {
    /// Name to ask for.
    pub name: &'static str,
    /// The Lua text.
    pub source: &'static str,
}

/// For event loops: wait, receive from what is ready, then the calls after each piece of the program's own work.
pub const EVENT_LOOP: Bundled = Bundled { name: "event-loop.lua", source: include_str!("../scripts/event-loop.lua") };

/// For a thread or process per connection, and for sequential programs: the longest run of calls without the program's own work.
pub const CHAIN: Bundled = Bundled { name: "chain.lua", source: include_str!("../scripts/chain.lua") };
