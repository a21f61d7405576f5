//! Who is executing: the mode that counters see, the domain of the cycle stack, and the *agent* that the evictor ledger names.

use crate::calls::CallNumber;
use crate::ids::Mode;
use crate::stack::Domain;

/// Whose fill pushed a line out, or why it was absent. Fits a `u16`: the ledger keeps one per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent(pub u16);

impl Agent {
    /// The line was never in the structure.
    pub const NEVER: Agent = Agent(0);
    /// Another core's write (or the loss of the last-level copy to another core) took it.
    pub const COHERENCE: Agent = Agent(1);
    /// A flush (TLB, page-table switch) took it.
    pub const FLUSH: Agent = Agent(2);
    /// User code.
    pub const USER: Agent = Agent(3);
    /// Interrupt entry and hard-interrupt handlers.
    pub const INTERRUPT: Agent = Agent(4);
    /// Softirqs: the network receive path.
    pub const SOFTIRQ: Agent = Agent(5);
    /// Scheduler and context switch.
    pub const SCHEDULER: Agent = Agent(6);
    /// The mechanism's own work in kernel mode.
    pub const MECHANISM: Agent = Agent(7);
    /// Application code that runs in kernel mode (elevated, or an in-kernel service).
    pub const ELEVATED: Agent = Agent(8);
    const CALLS: u16 = 16;

    /// Kernel code on behalf of a call.
    pub fn call(number: CallNumber) -> Agent {
        Agent(Agent::CALLS + number.0)
    }

    /// The call, if the agent is one.
    pub fn as_call(self) -> Option<CallNumber> {
        self.0.checked_sub(Agent::CALLS).map(CallNumber)
    }

    /// Mode of the agent's code; `None` for never, coherence and flush.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Agent::NEVER | Agent::COHERENCE | Agent::FLUSH => None,
            Agent::USER => Some(Mode::User),
            _ => Some(Mode::Kernel),
        }
    }

    /// Name in reports: `never`, `coherence`, `flush`, `user`, `softirq`, or the call's name.
    pub fn name(self) -> String {
        match self {
            Agent::NEVER => "never".into(),
            Agent::COHERENCE => "coherence".into(),
            Agent::FLUSH => "flush".into(),
            Agent::USER => "user".into(),
            Agent::INTERRUPT => "interrupt".into(),
            Agent::SOFTIRQ => "softirq".into(),
            Agent::SCHEDULER => "scheduler".into(),
            Agent::MECHANISM => "mechanism".into(),
            Agent::ELEVATED => "elevated".into(),
            Agent(other) => match Agent(other).as_call() {
                Some(number) => number.name().into(),
                None => format!("agent-{other}"),
            },
        }
    }
}

/// The context in which ops execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Privilege mode: selects counters, base CPI and exposure.
    pub mode: Mode,
    /// Domain of the cycle stack.
    pub domain: Domain,
    /// Named as evictor of what this context's fills push out.
    pub agent: Agent,
}

impl Context {
    /// The program's own code in user mode.
    pub const USER: Context = Context { mode: Mode::User, domain: Domain::User, agent: Agent::USER };

    /// The program's own code in kernel mode (elevated, in-kernel service). It keeps the user domain: the same work, another ring.
    pub const ELEVATED: Context = Context { mode: Mode::Kernel, domain: Domain::User, agent: Agent::ELEVATED };

    /// Kernel code on behalf of a call.
    pub fn call(number: CallNumber) -> Context {
        Context::kernel(Agent::call(number))
    }

    /// Kernel code of any other agent.
    pub fn kernel(agent: Agent) -> Context {
        Context { mode: Mode::Kernel, domain: Domain::Kernel, agent }
    }

    /// Whose code it is, for base CPI and exposure: 0 user, 1 kernel. The program's own code stays the program's in kernel mode.
    #[inline(always)]
    pub fn code_index(self) -> usize {
        match self.domain {
            Domain::User => Mode::User.index(),
            Domain::Kernel => Mode::Kernel.index(),
            Domain::Mechanism => self.mode.index(),
        }
    }

    /// The mechanism's own work.
    pub fn mechanism(mode: Mode) -> Context {
        let agent = match mode {
            Mode::User => Agent::USER,
            Mode::Kernel => Agent::MECHANISM,
        };
        Context { mode, domain: Domain::Mechanism, agent }
    }
}
