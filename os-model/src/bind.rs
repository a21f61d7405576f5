//! Instances: which addresses the regions of a block bind to, by core, task and request.

use sim_core::block::{Binding, Region};
use sim_core::ids::{Line, PAGE_LINES};
use sim_core::layout::{Layout, PageSize};
use sim_core::workload::Workload;

/// Lines of a kernel stack (16 KiB, THREAD_SIZE of x86-64).
const KERNEL_STACK_LINES: u32 = 256;
/// Guard between two user stacks, so that consecutive threads' frames fall into different cache sets
/// (glibc places each thread's stack at its own mapping; the offset inside a page differs by the TLS and guard layout).
const USER_STACK_GUARD_LINES: u32 = 37;

/// How many instances of each kind a run needs.
#[derive(Clone, Copy, Debug)]
pub struct Instances {
    /// Cores.
    pub cores: u32,
    /// Tasks, idle ones included.
    pub tasks: u32,
    /// User threads.
    pub threads: u32,
    /// Processes.
    pub processes: u32,
    /// Connections.
    pub connections: u32,
    /// Requests in flight at most.
    pub in_flight: u32,
    /// Stored items (keys).
    pub items: u32,
    /// Distinct copies of request-private lines before they come round again.
    pub private: u32,
    /// Lines of the mechanism's own memory.
    pub mechanism_lines: u32,
    /// Lines of it in superpages.
    pub mechanism_superpage_lines: u32,
}

/// First line and stride of each region's instances.
#[derive(Clone, Debug)]
pub struct Bases {
    first: [Line; Region::COUNT],
    stride: [u32; Region::COUNT],
    superpages: Line,
}

/// The indices that select an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Who {
    /// Core.
    pub core: u32,
    /// Task.
    pub task: u32,
    /// User thread.
    pub thread: u32,
    /// Process.
    pub process: u32,
    /// Connection.
    pub connection: u32,
    /// Pool instance of the request.
    pub pool: u32,
    /// Private instance of the request.
    pub private: u32,
    /// Item of the request.
    pub item: u32,
}

impl Bases {
    /// Hands out address space for all instances of a run.
    pub fn new(workload: &Workload, instances: &Instances, layout: &mut Layout) -> Bases {
        let mut bases = Bases { first: [0; Region::COUNT], stride: [0; Region::COUNT], superpages: 0 };
        for region in Region::ALL {
            if let Some((count, stride, page)) = shape(region, workload, instances) {
                bases.first[region.index()] = layout.area(u64::from(count.max(1)) * u64::from(stride), page);
                bases.stride[region.index()] = stride;
            }
        }
        if instances.mechanism_superpage_lines > 0 {
            bases.superpages = layout.area(u64::from(instances.mechanism_superpage_lines), PageSize::Large);
        }
        bases
    }

    /// The base of each region for one execution.
    #[inline]
    pub fn bind(&self, who: &Who) -> Binding {
        let mut binding = Binding::default();
        let mut set = |region: Region, instance: u32| {
            let index = region.index();
            binding.base[index] = self.first[index] + self.stride[index] * instance;
        };
        set(Region::PerCpu, who.core);
        set(Region::KernelStack, who.task);
        set(Region::KernelTask, who.task);
        set(Region::KernelConnection, who.connection);
        set(Region::KernelPool, who.pool);
        set(Region::KernelPrivate, who.private);
        set(Region::UserStack, who.thread);
        set(Region::UserConnection, who.connection);
        set(Region::UserPool, who.pool);
        set(Region::UserPrivate, who.private);
        set(Region::UserItem, who.item);
        set(Region::UserProcess, who.process);
        set(Region::Mechanism, 0);
        set(Region::SyntheticKernel, 0);
        set(Region::SyntheticUser, who.process);
        binding
    }

    /// First line of the mechanism's own memory.
    pub fn mechanism(&self) -> Line {
        self.first[Region::Mechanism.index()]
    }

    /// First line of the mechanism's memory that lies in superpages.
    pub fn mechanism_superpages(&self) -> Line {
        self.superpages
    }

    /// First line of a user thread's stack.
    pub fn user_stack(&self, thread: u32) -> Line {
        self.first[Region::UserStack.index()] + thread * self.stride[Region::UserStack.index()]
    }

    /// First line of a task's description in the kernel.
    pub fn kernel_task(&self, task: u32) -> Line {
        self.first[Region::KernelTask.index()] + task * self.stride[Region::KernelTask.index()]
    }

    /// First line of a core's own kernel data.
    pub fn per_cpu(&self, core: u32) -> Line {
        self.first[Region::PerCpu.index()] + core * self.stride[Region::PerCpu.index()]
    }

    /// First line of a task's kernel stack.
    pub fn kernel_stack(&self, task: u32) -> Line {
        self.first[Region::KernelStack.index()] + task * self.stride[Region::KernelStack.index()]
    }
}

/// Number of instances, lines of each, and page size; `None` for [`Region::Fixed`].
fn shape(region: Region, workload: &Workload, instances: &Instances) -> Option<(u32, u32, PageSize)> {
    let lines = workload.region_lines[region.index()].max(1);
    // An odd number of lines: equal fields of consecutive instances fall into different sets, as slab objects of odd sizes do.
    let odd = lines | 1;
    let paged = lines.next_multiple_of(PAGE_LINES);
    Some(match region {
        Region::Fixed => return None,
        Region::PerCpu => (instances.cores, paged + PAGE_LINES, PageSize::Large),
        Region::KernelStack => (instances.tasks, KERNEL_STACK_LINES.max(paged), PageSize::Small),
        Region::KernelTask => (instances.tasks, odd, PageSize::Large),
        Region::KernelConnection => (instances.connections + 1, odd, PageSize::Large),
        Region::KernelPool => (instances.in_flight + 1, odd, PageSize::Large),
        Region::KernelPrivate => (instances.private, odd, PageSize::Large),
        Region::UserStack => (instances.threads, paged + USER_STACK_GUARD_LINES, PageSize::Small),
        Region::UserConnection => (instances.connections + 1, odd, PageSize::Small),
        Region::UserPool => (instances.in_flight + 1, odd, PageSize::Small),
        Region::UserPrivate => (instances.private, odd, PageSize::Small),
        Region::UserItem => (instances.items, odd, PageSize::Small),
        Region::UserProcess => (instances.processes, paged, PageSize::Small),
        Region::Mechanism => (1, instances.mechanism_lines.max(1), PageSize::Small),
        Region::SyntheticKernel => (1, paged, PageSize::Large),
        Region::SyntheticUser => (instances.processes, paged, PageSize::Small),
    })
}
