//! Model twins of sends whose messages a program at the XDP hook sees, on the loopback device.
//!
//! The recorded send runs the receiver's softirq inside it. In generic mode the hook stands in `__netif_receive_skb_core`; each packet
//! that comes to it from a socket has too little room before its data, so that the kernel gives it a new head (`pskb_expand_head`).
//! What the program sends back goes through the device again (`loopback_xmit`), is taken from the backlog by the same `process_backlog`,
//! and comes to the hook a second time: then there is room, and the program lets it through. All of that but the hook itself is in the
//! recording and executed again; the hook's own lines are made up in the sizes of its functions, and its pace is anchored.

use crate::on_host::OnHostError;
use crate::on_host::blocks::op;
use crate::on_host::pieces::{Code, PaceOf, Piece};
use crate::on_host::workload::{Maker, Model, SYNC};
use sim_core::block::{BlockId, Cut, Op, OpKind};
use sim_core::ids::Line;
use sim_core::layout::PageSize;
use sim_core::workload::{Step, Workload};
use std::ops::Range;
use traces::call_loop;
use traces::kernel_functions::executions;
use twins::case::Store;
use twins::work;

/// Where the hook stands.
const CORE: &str = "__netif_receive_skb_core.constprop.0";
/// Hands a packet to the backlog of its receiver.
const DEVICE: &str = "loopback_xmit";
/// Takes packets from the backlog.
const BACKLOG: &str = "process_backlog";
/// All that happens to one packet of the backlog.
const PACKET: &str = "__netif_receive_skb";
/// Gives the sender its room back, which happens once a packet.
const SENDER: &str = "sock_wfree";
/// Allocates the head of a packet.
const HEAD: &str = "kmalloc_reserve";
/// Frees a packet that was received.
const FREE: &str = "__consume_stateless_skb";

// Lines: about two thirds of the functions' sizes in a kernel 6.18 for x86-64 (/proc/kallsyms), since conditions leave the rest out.
// Instructions: four bytes each. The pace of all of them is anchored in a send that the program lets through.
/// `do_xdp_generic` (816 bytes) and `bpf_prog_run_generic_xdp` (944 bytes): each visit of the hook.
const VISIT: Code = Code { lines: 18, instructions: 16 };
/// `pskb_expand_head` (768 bytes), `skb_free_head` and `kfree` (some 300 bytes executed): a new head in place of the old one.
const EXPAND: Code = Code { lines: 12, instructions: 16 };
/// `generic_xdp_tx` (448 bytes).
const SEND_BACK: Code = Code { lines: 5, instructions: 16 };
/// The program that answers: some 75 instructions that clang makes of twins/bpf/udp_get.c, five bytes each as the kernel translates them.
const ANSWER: Code = Code { lines: 6, instructions: 13 };
/// As far as it goes with a packet that is no request, and the program that drops.
const LOOK: Code = Code { lines: 2, instructions: 9 };
/// All of them, one behind the other.
const STRETCHES: [Code; 5] = [VISIT, EXPAND, SEND_BACK, ANSWER, LOOK];
/// Lines of a packet with 42 bytes of headers and a message of 64.
const PACKET_LINES: u32 = 2;
/// Lines of `struct skb_shared_info` behind a packet's data: 320 bytes, copied to a new head.
const SHARED_LINES: u32 = 5;
/// Runs of the program alone in one call of the model twin: the call itself hardly shows.
const RUNS: u32 = 512;

/// What the program does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Answers it.
    Answer,
    /// Lets it through.
    Pass,
    /// Drops it.
    Drop,
}

/// Where a send's ops come to the hook and go on from it.
struct Cuts {
    core: Range<usize>,
    device: Range<usize>,
    sender: Option<Range<usize>>,
    backlog: usize,
    packet: usize,
    head: Range<usize>,
}

/// The hook and the program: lines of their own.
pub struct Around {
    code: Line,
    head: Line,
    values: Vec<Line>,
    asked: usize,
}

impl Around {
    /// Places code, a new head and the values.
    pub(super) fn new(maker: &mut Maker, store: Store) -> Around {
        let all = STRETCHES.iter().map(|code| u32::from(code.lines)).sum();
        let code = maker.area(all, PageSize::Large);
        let head = maker.area(PACKET_LINES + SHARED_LINES, PageSize::Large);
        // maps are mapped by pages
        let values = maker.area(store.entries.max(1), PageSize::Small);
        let order = work::order(store.entries.max(1) as usize);
        Around { code, head, values: order.into_iter().map(|value| values + value as Line).collect(), asked: 0 }
    }

    /// One of [`STRETCHES`].
    fn code(&self, place: usize) -> Vec<Op> {
        let first: u16 = STRETCHES[..place].iter().map(|code| code.lines).sum();
        STRETCHES[place].ops(self.code + Line::from(first)).collect()
    }

    fn packet(&self, kind: OpKind) -> impl Iterator<Item = Op> {
        (self.head..self.head + PACKET_LINES).map(move |line| op(kind, line, 0))
    }

    fn visit(&self) -> Piece {
        Piece { pace: PaceOf::Hook, ops: self.code(0) }
    }

    /// A new head: an allocation as in the send, the old one's data and shared information copied.
    fn expanded(&self, allocation: &[Op]) -> Vec<Piece> {
        let all = self.head..self.head + PACKET_LINES + SHARED_LINES;
        let mut ops = self.code(1);
        ops.extend(all.map(|line| op(OpKind::Store, line, 0)));
        let allocation = Piece { pace: PaceOf::Call("sendto"), ops: allocation.to_vec() };
        vec![allocation, Piece { pace: PaceOf::Hook, ops }]
    }

    fn answered(&mut self) -> Piece {
        let mut ops: Vec<Op> = self.packet(OpKind::Load).collect();
        ops.extend(self.code(3));
        ops.push(op(OpKind::Load, self.values[self.asked], 0));
        ops.extend(self.packet(OpKind::Store));
        self.asked = (self.asked + 1) % self.values.len();
        Piece { pace: PaceOf::Program, ops }
    }

    fn looked_at(&self) -> Piece {
        let ops = self.code(4).into_iter().chain(self.packet(OpKind::Load).take(1)).collect();
        Piece { pace: PaceOf::Program, ops }
    }

    /// A recorded send with its softirq, whose message the program sees; `receive` holds what frees a packet.
    ///
    /// # Errors
    /// A recording without a function on the way.
    pub fn sent(&mut self, workload: &Workload, send: BlockId, receive: &Step, visit: Visit) -> Result<Vec<Piece>, OnHostError> {
        let ops = workload.blocks.ops(send);
        let cuts = Cuts::of(workload, ops)?;
        let of_send = |range: Range<usize>| Piece { pace: PaceOf::Call("sendto"), ops: ops[range].to_vec() };
        let mut pieces = vec![of_send(0..cuts.core.end), self.visit()];
        pieces.extend(self.expanded(&ops[cuts.head.clone()]));
        match visit {
            Visit::Pass => pieces.extend([self.looked_at(), of_send(cuts.core.end..ops.len())]),
            Visit::Drop => {
                let received = workload.blocks.ops(receive.kernel);
                let free = found(workload, received, FREE, "recvfrom")?;
                let free = Piece { pace: PaceOf::Call("recvfrom"), ops: received[free].to_vec() };
                pieces.extend([self.looked_at(), free, of_send(cuts.packet..ops.len())]);
            }
            Visit::Answer => {
                pieces.extend([self.answered(), Piece { pace: PaceOf::Hook, ops: self.code(2) }]);
                let sender = cuts.sender.unwrap_or(cuts.device.end..cuts.device.end);
                pieces.extend([cuts.device.start..sender.start, sender.end..cuts.device.end].map(of_send));
                pieces.extend([of_send(cuts.backlog..cuts.core.end), self.visit(), self.looked_at()]);
                pieces.push(of_send(cuts.core.end..ops.len()));
            }
        }
        Ok(pieces)
    }
}

impl Cuts {
    fn of(workload: &Workload, ops: &[Op]) -> Result<Cuts, OnHostError> {
        let of = |function| found(workload, ops, function, "sendto");
        let device = of(DEVICE)?;
        let sender = executions(workload, ops, SENDER).into_iter().find(|inner| device.contains(&inner.start));
        Ok(Cuts { core: of(CORE)?, device, sender, backlog: of(BACKLOG)?.start, packet: of(PACKET)?.end, head: of(HEAD)? })
    }
}

/// Where a recorded call runs a function first.
fn found(workload: &Workload, ops: &[Op], function: &'static str, call: &'static str) -> Result<Range<usize>, OnHostError> {
    let first = executions(workload, ops, function).into_iter().next();
    first.ok_or_else(|| OnHostError::NotRecorded { recording: workload.name.clone(), call, function })
}

/// The program again and again, without a crossing between: inside a null call.
///
/// # Errors
/// A recording that lacks the null call.
pub fn program_alone(recording: &Workload, store: Store) -> Result<Model, OnHostError> {
    let recorded = call_loop::recorded_steps(recording, call_loop::null_call(), "a program alone")?;
    let mut maker = Maker::new(recording);
    let mut around = Around::new(&mut maker, store);
    let null = maker.workload.blocks.ops(recorded[0].kernel).to_vec();
    let handler = maker.workload.blocks.info(recorded[0].kernel).span(Cut::Handler).map_or(0, |handler| handler.end);
    let of_null = |range: &[Op]| Piece { pace: PaceOf::Call("getppid"), ops: range.to_vec() };
    let mut pieces = vec![of_null(&null[..handler])];
    for _ in 0..RUNS {
        // the kernel runs it on one packet, which asks for few values
        around.asked = 0;
        pieces.push(around.answered());
    }
    pieces.push(of_null(&null[handler..]));
    let step = maker.call(recorded[0], BlockId::EMPTY, recorded[0].kernel, Vec::new());
    maker.composed.push((step, pieces));
    Ok(maker.finish("a program alone", SYNC, 1, RUNS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::paces::Paces;
    use crate::on_host::pieces::compose;
    use crate::on_host::points::Place;
    use crate::on_host::workload::model;
    use sim_core::block::instructions_of;

    fn made(series: &str, x: u32) -> Model {
        model(&twins::case::find("xdp").unwrap(), &Place::new(series, x)).unwrap()
    }

    /// Instructions and ops of a step of a composed model, at recorded paces.
    fn of_step(model: &Model, step: usize) -> (u32, Vec<Op>) {
        let whole = compose(model.workload.clone(), &model.composed, &Paces::default());
        let ops = whole.blocks.ops(whole.classes[0].chains[0].steps[step].kernel).to_vec();
        (instructions_of(&ops), ops)
    }

    fn runs(model: &Model, ops: &[Op], function: &str) -> usize {
        executions(&model.workload, ops, function).len()
    }

    #[test]
    fn a_message_that_is_sent_back_comes_in_twice_and_reaches_a_socket_once() {
        let (plain, passed, answered, dropped) =
            (made("part sendto", 1), made(twins::hook::PASSED, 1), made(twins::hook::HOOK, 4), made(twins::hook::DROPPED, 1));
        let [(plain, _), (through, _), (back, ops), (gone, without)] =
            [of_step(&plain, 0), of_step(&passed, 0), of_step(&answered, 0), of_step(&dropped, 0)];
        let visit = |code: Code| u32::from(code.lines) * u32::from(code.instructions);
        assert!(through > plain + visit(VISIT) + visit(EXPAND), "{plain} {through}");
        assert!(back > through + visit(VISIT) + visit(ANSWER) && gone < through, "{through} {back} {gone}");
        assert_eq!([DEVICE, CORE, "udp_sendmsg", "ip_rcv"].map(|name| runs(&answered, &ops, name)), [2, 2, 1, 1]);
        assert_eq!([DEVICE, CORE, FREE, "ip_rcv"].map(|name| runs(&dropped, &without, name)), [1, 1, 1, 0]);
    }

    #[test]
    fn the_client_keeps_its_calls_and_the_server_has_none() {
        let calls = |model: &Model| -> Vec<&str> {
            model.workload.classes[0].chains[0].steps.iter().map(|step| step.call.name()).collect()
        };
        assert_eq!(calls(&made(twins::hook::HOOK, 2)), ["sendto", "sendto", "recvfrom", "recvfrom"]);
        let served = made(twins::hook::SERVER, 2);
        assert_eq!(calls(&served), ["sendto", "sendto", "recvfrom", "sendto", "recvfrom", "sendto", "recvfrom", "recvfrom"]);
        assert!(served.composed.is_empty());
    }

    #[test]
    fn each_piece_has_its_own_pace() {
        let alone = made(twins::hook::PROGRAM, 1);
        let at = |program: u32| {
            let paces = Paces { program, ..Paces::default() };
            let whole = compose(alone.workload.clone(), &alone.composed, &paces);
            whole.blocks.info(whole.classes[0].chains[0].steps[0].kernel).instructions
        };
        let each = u32::from(ANSWER.lines) * u32::from(ANSWER.instructions);
        assert_eq!(at(2000) - at(1000), RUNS * each);
    }

    #[test]
    fn d44_the_hook_is_no_mechanism_of_the_model() {
        // the mechanism in-kernel-dsl answers behind the protocol's receive path; the twin stands in front of it, so that it is a
        // program of recorded calls under synchronous issue
        assert_eq!(made(twins::hook::HOOK, 1).way, SYNC);
        let (_, ops) = of_step(&made(twins::hook::HOOK, 1), 0);
        assert_eq!(executions(&made(twins::hook::HOOK, 1).workload, &ops, "udp_recvmsg"), []);
    }

    #[test]
    fn a_recording_without_a_function_on_the_way_is_named() {
        let recording = crate::on_host::workload::recording(call_loop::RECORDING).unwrap();
        let null = call_loop::recorded_steps(recording, call_loop::null_call(), "x").unwrap()[0];
        let mut maker = Maker::new(recording);
        let mut around = Around::new(&mut maker, Store { entries: 4 });
        let error = around.sent(&maker.workload, null.kernel, null, Visit::Pass).unwrap_err().to_string();
        assert!(error.contains("loopback_xmit") && error.contains("build it again"), "{error}");
    }
}
