//! A synthetic op stream with the proportions of a recorded memcached request: about 480 user and 1,650 kernel text lines, 6.5
//! instructions a fetch, two data touches a fetch of which most go to the stack and to a few hundred hot lines.

use cpu_model::Cpu;
use sim_core::block::{Binding, Op, OpKind, Region};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{CoreId, Cycles, Line};
use sim_core::layout::{Layout, PageSize};

/// A 64-bit linear congruential generator (Knuth's MMIX constants), upper bits.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }
}

/// Segments of one request, in order, and the address space they live in.
pub struct Stream {
    pub layout: Layout,
    pub segments: Vec<(Context, Vec<Op>)>,
}

struct Memory {
    text: (Line, u32),
    stack: Line,
    hot: (Line, u32),
    wide: (Line, u32),
}

fn op(line: Line, count: u16, kind: OpKind) -> Op {
    Op { offset: line, count, region: Region::Fixed, kind }
}

fn segment(random: &mut Random, memory: &Memory, fetches: u32) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut line = memory.text.0;
    for _ in 0..fetches {
        line = if random.below(3) == 0 { memory.text.0 + random.below(memory.text.1) } else { line + 1 };
        ops.push(op(line, 1 + random.below(12) as u16, OpKind::Fetch));
        for _ in 0..random.below(5) {
            let data = match random.below(100) {
                0..70 => memory.stack + random.below(10),
                70..98 => memory.hot.0 + random.below(memory.hot.1),
                _ => memory.wide.0 + random.below(memory.wide.1),
            };
            let kind = if random.below(3) == 0 { OpKind::Store } else { OpKind::Load };
            ops.push(op(data, 0, kind));
        }
    }
    ops
}

/// `requests` requests of two calls each; text repeats from request to request, some data does not.
pub fn stream(requests: u32, seed: u64) -> Stream {
    let mut layout = Layout::new();
    let user_text = layout.chunk(PageSize::Small);
    let user_data = layout.chunk(PageSize::Small);
    let kernel_text = layout.area(1 << 15, PageSize::Large);
    let kernel_data = layout.area(1 << 16, PageSize::Large);
    let kernel_stack = layout.chunk(PageSize::Small);
    let user = Memory { text: (user_text, 480), stack: user_data + 30_000, hot: (user_data, 300), wide: (user_data, 10_000) };
    let kernel = Memory { text: (kernel_text, 1650), stack: kernel_stack, hot: (kernel_data, 400), wide: (kernel_data, 2400) };
    let (read, send) = (Context::call(CallNumber(0)), Context::call(CallNumber(46)));
    let mut segments = Vec::new();
    for request in 0..requests {
        let mut random = Random(seed + u64::from(request % 8));
        for (context, memory, fetches) in
            [(Context::USER, &user, 200), (read, &kernel, 300), (Context::USER, &user, 200), (send, &kernel, 900)]
        {
            segments.push((context, segment(&mut random, memory, fetches)));
        }
    }
    Stream { layout, segments }
}

/// Runs all segments, in turn on all cores; returns the number of ops.
pub fn play(cpu: &mut Cpu, stream: &Stream) -> usize {
    let binding = Binding::default();
    let cores = cpu.cores();
    let mut ops = 0;
    for (index, (context, segment)) in stream.segments.iter().enumerate() {
        let core = CoreId((index / 4 % cores) as u16);
        ops += cpu.run(core, *context, segment, &binding, Cycles::MAX);
    }
    ops
}

/// Text of one mode in order of execution: runs of lines with jumps between them, as a list of functions that call each other leaves
/// behind. Each request walks the same runs; a few loops repeat.
fn walk_text(random: &mut Random, text: (Line, u32)) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut at = text.0;
    while lines.len() < text.1 as usize * 2 {
        let run = 1 + random.below(6);
        let turns = if random.below(12) == 0 { 2 + random.below(6) } else { 1 };
        for _ in 0..turns {
            lines.extend(at..at + run);
        }
        at = text.0 + random.below(text.1);
    }
    lines
}

/// Data of a walk: two of three touches repeat one of the last few dozen lines, the others go to the stack, to hot lines, and now and
/// then far away.
struct Locality {
    recent: [Line; 32],
    place: usize,
}

impl Locality {
    fn line(&mut self, random: &mut Random, memory: &Memory) -> Line {
        if random.below(3) > 0 {
            return self.recent[random.below(32) as usize];
        }
        let line = match random.below(100) {
            0..40 => memory.stack + random.below(40),
            40..90 => memory.hot.0 + random.below(memory.hot.1),
            _ => memory.wide.0 + random.below(memory.wide.1),
        };
        self.recent[self.place % 32] = line;
        self.place += 1;
        line
    }
}

fn local_segment(random: &mut Random, memory: &Memory) -> Vec<Op> {
    let mut ops = Vec::new();
    // The path through the text is the same each time, the data are not.
    let path = walk_text(&mut Random(memory.text.0.into()), memory.text);
    let mut locality = Locality { recent: [memory.stack; 32], place: 0 };
    for line in path {
        ops.push(op(line, 1 + random.below(12) as u16, OpKind::Fetch));
        for _ in 0..random.below(5) {
            let kind = if random.below(3) == 0 { OpKind::Store } else { OpKind::Load };
            ops.push(op(locality.line(random, memory), 0, kind));
        }
    }
    ops
}

/// Requests with the locality of a recorded server: text runs forward through about 700 lines of kernel and 200 of user code, stack
/// and a few hundred lines are hot.
#[allow(dead_code, reason = "the benchmark plays it, not every test does")]
pub fn local_stream(requests: u32, seed: u64) -> Stream {
    let mut layout = Layout::new();
    let user_text = layout.chunk(PageSize::Small);
    let user_data = layout.chunk(PageSize::Small);
    let kernel_text = layout.area(1 << 15, PageSize::Large);
    let kernel_data = layout.area(1 << 16, PageSize::Large);
    let kernel_stack = layout.chunk(PageSize::Small);
    let user = Memory { text: (user_text, 200), stack: user_data + 30_000, hot: (user_data, 300), wide: (user_data, 10_000) };
    let kernel = Memory { text: (kernel_text, 700), stack: kernel_stack, hot: (kernel_data, 400), wide: (kernel_data, 2400) };
    let (read, send) = (Context::call(CallNumber(0)), Context::call(CallNumber(46)));
    let mut segments = Vec::new();
    for request in 0..requests {
        let mut random = Random(seed + u64::from(request));
        for (context, memory) in [(Context::USER, &user), (read, &kernel), (Context::USER, &user), (send, &kernel)] {
            segments.push((context, local_segment(&mut random, memory)));
        }
    }
    Stream { layout, segments }
}
