//! Made-up workloads with a stated shape: for tests, and for studying the model where no recording is wanted.

use sim_core::block::{BlockId, BlockStore, Cut, Op, OpKind, Origin, Region, Span};
use sim_core::calls::CallNumber;
use sim_core::ids::{Mode, PAGE_LINES};
use sim_core::layout::{Layout, PageSize};
use sim_core::payload::{Payload, Protocol};
use sim_core::workload::{
    BlockingPath, Certainty, Chain, ConnectionWork, Effect, KernelBlocks, Note, Object, PacketKind, PollCall, Program, Readiness,
    RecordedClient, RequestClass, RingBlocks, Source, Step, WaitLoop, Workload,
};

/// Shape of a made-up server.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Kind of program.
    pub program: Program,
    /// Lines of code that the user work between two calls runs through.
    pub user_lines: u32,
    /// Lines of code that a call runs through.
    pub kernel_lines: u32,
    /// Instructions on each line of code.
    pub line_instructions: u16,
    /// Data lines per block.
    pub data_lines: u32,
    /// A connection carries one request only.
    pub connection_per_request: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            program: Program::EventLoop,
            user_lines: 60,
            kernel_lines: 120,
            line_instructions: 7,
            data_lines: 20,
            connection_per_request: false,
        }
    }
}

/// Bytes of a request: memcached's `get` of a 34-byte key.
const REQUEST_BYTES: u32 = 40;
/// Bytes of a reply.
const REPLY_BYTES: u32 = 500;
/// What memcached's reply to a GET of such a key adds to the value: `VALUE`, the key, flags, length and `END` with their line ends.
const REPLY_OVERHEAD_BYTES: u32 = 55;

/// Hands out code lines and makes blocks of straight-line code with data touches.
struct Maker {
    blocks: BlockStore,
    kernel_text: u32,
    user_text: u32,
    shape: Shape,
}

impl Maker {
    fn kernel(&mut self, lines: u32) -> BlockId {
        let first = self.kernel_text;
        self.kernel_text += lines;
        self.block(Mode::Kernel, first, lines, &[Region::KernelStack, Region::KernelConnection, Region::KernelPool, Region::PerCpu])
    }

    fn user(&mut self, lines: u32) -> BlockId {
        let first = self.user_text;
        self.user_text += lines;
        self.block(Mode::User, first, lines, &[Region::UserStack, Region::UserConnection, Region::UserProcess])
    }

    fn block(&mut self, mode: Mode, first: u32, lines: u32, regions: &[Region]) -> BlockId {
        let mut ops = Vec::new();
        for line in 0..lines {
            ops.push(Op { offset: first + line, count: self.shape.line_instructions, region: Region::Fixed, kind: OpKind::Fetch });
            if line < self.shape.data_lines {
                let region = regions[line as usize % regions.len()];
                let kind = if line % 3 == 2 { OpKind::Store } else { OpKind::Load };
                ops.push(Op { offset: line / regions.len() as u32, count: 0, region, kind });
            }
        }
        let end = ops.len() as u32;
        // the outer tenth at each end stands for entry and exit code; deeper cuts lie inside
        let cut = |cut, depth: u32| Span { cut, start: end * depth / 20, end: end - end * depth / 20 };
        let spans = match mode {
            Mode::Kernel => vec![cut(Cut::Handler, 2), cut(Cut::FileLayer, 4), cut(Cut::Protocol, 6), cut(Cut::Transmit, 9)],
            Mode::User => Vec::new(),
        };
        self.blocks.push(mode, Origin::Synthetic, &ops, spans)
    }

    fn step(&mut self, name: &str, object: Object, effect: Effect, bytes: u32, depends: &[u16]) -> Step {
        let call = CallNumber::from_name(name).unwrap_or(CallNumber::READ);
        let user = self.user(self.shape.user_lines);
        let kernel = self.kernel(self.shape.kernel_lines);
        Step {
            user,
            call,
            object,
            effect,
            bytes,
            kernel,
            client_softirq: BlockId::EMPTY,
            deferred: false,
            depends: depends.to_vec(),
        }
    }
}

/// A made-up server: receive, look up, send; with accept and close around it when a connection carries one request, or five
/// independent and dependent file calls when it is sequential.
pub fn server(shape: Shape) -> Workload {
    let mut layout = Layout::new();
    let kernel_text = layout.chunk(PageSize::Large);
    let user_text = layout.chunk(PageSize::Small);
    let mut maker = Maker { blocks: BlockStore::new(), kernel_text, user_text, shape };
    let steps = steps(&mut maker);
    let lines = shape.kernel_lines;
    let quarter = (lines / 4).max(1);
    let wait = (shape.program == Program::EventLoop).then(|| WaitLoop {
        call: CallNumber::from_name("epoll_wait").unwrap_or(CallNumber::POLL),
        user: vec![maker.user(quarter)],
        user_events: vec![1],
        head: vec![maker.kernel(quarter)],
        item: vec![maker.kernel(quarter)],
        tail: vec![maker.kernel(quarter)],
        sleep: vec![maker.kernel(lines)],
        wake: vec![maker.kernel(quarter)],
        max_events: 32,
    });
    let blocking = BlockingPath { sleep: vec![maker.kernel(lines)], wake: vec![maker.kernel(quarter)], ..BlockingPath::default() };
    let kernel = kernel_blocks(&mut maker, lines, quarter);
    let readiness = Readiness {
        again: vec![maker.kernel(quarter)],
        poll: Some(PollCall {
            head: vec![maker.kernel(quarter)],
            lookup: vec![maker.kernel(quarter)],
            asked: vec![maker.kernel(quarter)],
            queue: vec![maker.kernel(quarter)],
            put: vec![maker.kernel(quarter)],
            release: vec![maker.kernel(quarter)],
            tail: vec![maker.kernel(quarter)],
            rest_instructions: 5,
        }),
    };
    let connection = connection_work(&mut maker);
    let mut region_lines = [PAGE_LINES; Region::COUNT];
    region_lines[Region::KernelStack.index()] = 256;
    Workload {
        name: "synthetic".into(),
        description: "made-up server".into(),
        source: Source { format: "synthetic".into(), ..Source::default() },
        program: shape.program,
        datagram: false,
        connection_per_request: shape.connection_per_request,
        threads: 1,
        single_threaded: false,
        connections: 16,
        requests: 100,
        classes: vec![RequestClass {
            name: "request".into(),
            recorded: 100,
            request_bytes: REQUEST_BYTES,
            reply_bytes: REPLY_BYTES,
            in_kernel: true,
            chains: vec![Chain { steps }],
        }],
        connection,
        wait,
        blocking,
        readiness,
        kernel,
        client: RecordedClient { instructions_user: 2_000, instructions_kernel: 10_000 },
        blocks: maker.blocks,
        kernel_chunks: Vec::new(),
        layout,
        region_lines,
        keys: 100,
        payload: Some(Payload {
            protocol: Protocol::Memcached,
            key_bytes: REQUEST_BYTES - Protocol::Memcached.get_overhead_bytes(),
            value_bytes: REPLY_BYTES - REPLY_OVERHEAD_BYTES,
        }),
        user_base_cpi_milli: None,
        stated_kernel_work: Vec::new(),
        user_call_depth: None,
        user_loads_depend: false,
        notes: vec![Note { certainty: Certainty::Guessed, text: "every block is made up".into(), count: 1 }],
    }
}

fn steps(maker: &mut Maker) -> Vec<Step> {
    let receive = |maker: &mut Maker, depends: &[u16]| maker.step("read", Object::Stream, Effect::Receive, REQUEST_BYTES, depends);
    if maker.shape.program == Program::Sequential {
        return vec![
            maker.step("openat", Object::File, Effect::None, 0, &[]),
            maker.step("read", Object::File, Effect::None, 4096, &[0]),
            maker.step("openat", Object::File, Effect::None, 0, &[]),
            maker.step("read", Object::File, Effect::None, 4096, &[2]),
            maker.step("close", Object::File, Effect::None, 0, &[1]),
        ];
    }
    if maker.shape.connection_per_request {
        return vec![
            maker.step("accept4", Object::Listener, Effect::Accept, 0, &[]),
            receive(maker, &[0]),
            maker.step("sendmsg", Object::Stream, Effect::SendLast, REPLY_BYTES, &[1]),
            maker.step("close", Object::Stream, Effect::Close, 0, &[2]),
        ];
    }
    vec![receive(maker, &[]), maker.step("sendmsg", Object::Stream, Effect::SendLast, REPLY_BYTES, &[0])]
}

/// The ends of connections that carry several requests.
fn connection_work(maker: &mut Maker) -> ConnectionWork {
    if maker.shape.connection_per_request || maker.shape.program == Program::Sequential {
        return ConnectionWork::default();
    }
    let mut opening = vec![maker.step("accept4", Object::Listener, Effect::Accept, 0, &[])];
    if maker.shape.program == Program::EventLoop {
        opening.push(maker.step("epoll_ctl", Object::Epoll, Effect::None, 0, &[0]));
    }
    let closing = vec![
        maker.step("read", Object::Stream, Effect::Receive, 0, &[]),
        maker.step("close", Object::Stream, Effect::Close, 0, &[0]),
    ];
    ConnectionWork { opening: vec![Chain { steps: opening }], closing: vec![Chain { steps: closing }] }
}

fn kernel_blocks(maker: &mut Maker, lines: u32, quarter: u32) -> KernelBlocks {
    let kinds = [PacketKind::Syn, PacketKind::Handshake, PacketKind::Data, PacketKind::Fin];
    KernelBlocks {
        interrupt_entry: vec![maker.kernel(quarter)],
        interrupt_exit: vec![maker.kernel(quarter)],
        poll: vec![maker.kernel(quarter)],
        driver_receive: vec![maker.kernel(quarter)],
        receive: kinds.into_iter().map(|kind| (kind, maker.kernel(lines))).collect(),
        transmit: vec![maker.kernel(quarter)],
        switch_out: vec![maker.kernel(quarter)],
        switch_in: vec![maker.kernel(quarter)],
        tick: vec![maker.kernel(quarter)],
        null_call: vec![maker.kernel(quarter)],
        ring: ring_blocks(maker, quarter),
    }
}

/// Shares of a call as the recorded pieces of io_uring have them: an entry costs a fraction of a call around its own work.
fn ring_blocks(maker: &mut Maker, quarter: u32) -> RingBlocks {
    let small = (quarter / 4).max(1);
    let mut one = |lines: u32| vec![maker.kernel(lines)];
    let mut ring = RingBlocks {
        enter: one(small),
        begin: one(small),
        next: one(small),
        nop: one(small),
        arm: one(quarter),
        punt: one(quarter),
        flush: one(small),
        flush_item: one(small),
        flush_none: one(small),
        leave: one(small),
        sleep: one(quarter),
        wait: one(quarter),
        wake: one(quarter),
        wake_task: one(quarter),
        poll_wake: one(small),
        task_work_begin: one(small),
        task_work_end: one(small),
        poll_thread_wake: one(small),
        poll_thread_pass: one(small),
        poll_thread_sleep: one(small),
        ..RingBlocks::default()
    };
    let mut around = || vec![(maker.kernel(small), maker.kernel(small))];
    ring.receive = around();
    ring.send = around();
    ring.read = around();
    ring.task_receive = around();
    ring.worker = around();
    ring.poll_thread_submit = around();
    ring
}
