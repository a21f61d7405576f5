//! Tasks and cores of the simulated system.

use crate::action::Action;
use sim_core::calls::CallNumber;
use sim_core::ids::{CoreId, Cycles, Mode, TaskId};
use std::collections::VecDeque;

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// The idle task of a core.
    Idle,
    /// The thread that handles packets which a core's softirq left.
    Softirq,
    /// A thread of the program or of the mechanism: the driver says what it does.
    Program,
    /// The recorded client.
    Client,
}

/// Scheduling state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// On its core's processor.
    Running,
    /// In the run queue.
    Runnable,
    /// Waits for a wake-up.
    Sleeping,
}

/// One task.
#[derive(Debug)]
pub struct Task {
    /// What it is.
    pub kind: TaskKind,
    /// Scheduling state.
    pub state: TaskState,
    /// The core it is pinned to.
    pub core: CoreId,
    /// Address space.
    pub process: u32,
    /// Instance of thread-bound regions (user stack).
    pub thread: u32,
    /// Virtual runtime, cycles.
    pub vruntime: Cycles,
    /// Smaller goes first: a task never preempts, and is not chosen before, one with a smaller number.
    pub priority: u8,
    /// What it does next.
    pub actions: VecDeque<Action>,
    /// A wake-up came while it was still on its way to sleep.
    pub wake_pending: bool,
    /// Mode in which its own code runs: kernel mode while it is elevated.
    pub level: Mode,
    /// The scheduler may take the processor from it between any two actions; otherwise only at preemption points.
    pub preemptible: bool,
    /// It left the processor where only its stack pointer and callee-saved registers count: [`HandOver`] can bring it back.
    pub rests: bool,
    /// Cycles of its crossing into the kernel for a call that has not begun.
    pub(crate) entry_cycles: Cycles,
    /// The call that began last since it crossed into the kernel: its crossing back is that call's.
    pub(crate) call: Option<CallNumber>,
}

/// A direct switch between two tasks of one process that both stand in the kernel, at a call of the same function: callee-saved
/// registers and the stack pointer change, and no scheduler is asked, for it is known who goes on. The address space, the thread
/// pointer and the state of the floating-point unit stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Instructions of the switch and of its bookkeeping.
    pub instructions: u32,
}

impl Task {
    /// A sleeping task.
    pub fn new(kind: TaskKind, core: CoreId, process: u32, thread: u32) -> Task {
        Task {
            kind,
            state: TaskState::Sleeping,
            core,
            process,
            thread,
            vruntime: 0,
            priority: 0,
            actions: VecDeque::new(),
            wake_pending: false,
            level: Mode::User,
            preemptible: true,
            rests: false,
            entry_cycles: 0,
            call: None,
        }
    }
}

/// Work of a core that stands above its current task: interrupts, softirqs, the scheduler. Not interruptible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FrameStep {
    /// Executes an action under the current task's bindings.
    Do(Action),
    /// Polls the receive queue: a packet, or the end of the softirq.
    Poll,
    /// The task on the processor changes.
    SwitchTo(TaskId),
}

/// How far a softirq has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftirqProgress {
    /// When it began.
    pub since: Cycles,
    /// Passes begun.
    pub passes: u32,
    /// When the current pass began.
    pub pass_since: Cycles,
    /// Packets of the current pass.
    pub pass_packets: usize,
    /// Packets since the driver's last poll.
    pub polled_packets: usize,
}

/// One core.
#[derive(Debug)]
pub struct Core {
    /// The task on the processor (the idle task when there is none).
    pub current: TaskId,
    /// Its idle task.
    pub idle: TaskId,
    /// Runnable tasks.
    pub run_queue: Vec<TaskId>,
    /// Work above the current task.
    pub frame: VecDeque<FrameStep>,
    /// The network card asks for this core.
    pub interrupt_pending: bool,
    /// The timer's next interrupt; an idle core skips its ticks (NO_HZ).
    pub next_tick: Cycles,
    /// A woken task is to run instead of the current one.
    pub reschedule: bool,
    /// Least virtual runtime of the queue, for newcomers.
    pub least_vruntime: Cycles,
    /// An idle core that was woken executes nothing before this time (idle exit).
    pub awake_at: Option<Cycles>,
    /// How far its softirq has come.
    pub softirq: SoftirqProgress,
    /// Virtual runtime is charged from here.
    pub charged_until: Cycles,
    /// A task that rests and is on the processor while nothing runs here, waiting for work in a loop: going idle means that it goes on.
    pub spins: Option<TaskId>,
}

impl Core {
    /// A core that runs its idle task; its timer fires first at `next_tick`.
    pub fn new(idle: TaskId, next_tick: Cycles) -> Core {
        Core {
            current: idle,
            idle,
            run_queue: Vec::new(),
            frame: VecDeque::new(),
            interrupt_pending: false,
            next_tick,
            reschedule: false,
            least_vruntime: 0,
            awake_at: None,
            softirq: SoftirqProgress::default(),
            charged_until: 0,
            spins: None,
        }
    }

    /// True when the core has something to execute.
    pub fn is_active(&self) -> bool {
        !self.frame.is_empty() || self.interrupt_pending || self.current != self.idle || !self.run_queue.is_empty()
    }
}
