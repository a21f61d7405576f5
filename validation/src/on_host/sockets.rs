//! Model twins of servers on sockets, and of parts of them: recorded receives, sends and waits, one by one or together.

use crate::on_host::OnHostError;
use crate::on_host::blocks::{self, ServeBlocks};
use crate::on_host::pieces::{PaceOf, Piece};
use crate::on_host::points::Place;
use crate::on_host::workload::{Maker, Model, POLLED, RING, RUN_INSTRUCTIONS, SOCKETS, SYNC, number, recording};
use mechanisms::variants::Way as ModelWay;
use sim_core::block::{BlockId, Cut, Op, OpKind, Region};
use sim_core::ids::Line;
use sim_core::layout::PageSize;
use sim_core::workload::{Object, Step, Workload};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use traces::call_loop;
use traces::kernel_functions::executions;
use twins::case::{EVENTS_MAX, Store, Way};
use twins::{connections, datagrams, local, parts};

/// Recorded calls on sockets of one kind.
pub(super) struct Sockets<'a> {
    /// Receives.
    pub receives: Vec<&'a Step>,
    /// Sends.
    pub sends: Vec<&'a Step>,
    /// Waits by the number of events that they return.
    waits: BTreeMap<u32, &'a Step>,
    /// Lines of one connection.
    lines: BTreeMap<Line, u32>,
}

impl<'a> Sockets<'a> {
    /// Of a recording.
    ///
    /// # Errors
    /// When it lacks a call.
    pub fn of(recording: &'a Workload, object: Object) -> Result<Sockets<'a>, OnHostError> {
        let pair = [number(datagrams::RECEIVE), number(datagrams::SEND)];
        let pairs = call_loop::recorded_groups(recording, &pair, "sockets")?;
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter(|pair| pair.iter().all(|step| step.object == object) && !transmits(recording, pair[0]))
            .collect();
        let waits = call_loop::recorded_steps(recording, number("epoll_wait"), "sockets")?;
        let on_socket = |step: &Step| step.object == object && ["recvfrom", "sendto"].contains(&step.call.name());
        let elsewhere = |step: &Step| !matches!(step.object, Object::Stream | Object::Listener | Object::Ring | Object::Epoll);
        let lines = if object == Object::Stream { blocks::lines_of(recording, on_socket, elsewhere) } else { BTreeMap::new() };
        Ok(Sockets {
            receives: pairs.iter().map(|pair| pair[0]).collect(),
            sends: pairs.iter().map(|pair| pair[1]).collect(),
            waits: by_events(recording, &waits),
            lines,
        })
    }

    /// The wait recorded with the number of events that is nearest.
    fn wait(&self, events: u32) -> Option<&'a Step> {
        self.waits.iter().min_by_key(|(recorded, _)| recorded.abs_diff(events)).map(|found| *found.1)
    }
}

/// True for a call that hands a packet to the device: a receive that sends an acknowledgement of its own. A connection's first receives do
/// (the kernel acknowledges at once until it knows that replies come); later ones leave it to the reply.
fn transmits(recording: &Workload, step: &Step) -> bool {
    recording.blocks.info(step.kernel).spans.iter().any(|span| span.cut == Cut::Transmit)
}

/// One recorded wait for each number of events: work grows evenly from one event to [`EVENTS_MAX`], which are the fewest and the most
/// recorded.
fn by_events<'a>(recording: &Workload, waits: &[&'a Step]) -> BTreeMap<u32, &'a Step> {
    let instructions = |step: &Step| recording.blocks.info(step.kernel).instructions;
    let (Some(least), Some(most)) =
        (waits.iter().map(|step| instructions(step)).min(), waits.iter().map(|step| instructions(step)).max())
    else {
        return BTreeMap::new();
    };
    let each = (most - least).max(1) / (EVENTS_MAX as u32 - 1);
    let events = |step: &Step| 1 + (instructions(step) - least + each / 2) / each.max(1);
    waits.iter().map(|step| (events(step), *step)).collect()
}

/// A server of `count` requests that wait: on one socket, or on a connection each.
pub(super) fn messages(store: Store, count: u32, place: &Place, object: Object) -> Result<Model, OnHostError> {
    let recording = recording(SOCKETS)?;
    let sockets = Sockets::of(recording, object)?;
    let mut maker = Maker::new(recording);
    let mut user = ServeBlocks::new(store, count, &mut maker.workload.layout);
    if place.series == parts::USER {
        return Ok(serve_alone(maker, &mut user, count, sockets.receives[0]));
    }
    let stride = sockets.lines.len() as u32 | 1;
    let own = maker.area(stride * count, PageSize::Large);
    let mut server = Server { maker, user, sockets, own, stride, count };
    let (way, cores) = server.serve(place, object)?;
    Ok(server.maker.finish("key-value server", way, cores, count))
}

/// The call whose entries are all that a place has, if it is such a part.
fn entries_alone(place: &Place) -> Option<&'static str> {
    local::CALLS.into_iter().find(|call| place.series == local::together(Way::Ring, call))
}

fn serve_alone(mut maker: Maker, user: &mut ServeBlocks, count: u32, last: &Step) -> Model {
    let mut ops = Vec::new();
    let rounds = (RUN_INSTRUCTIONS / (60 * count)).max(1);
    (0..rounds * count).for_each(|request| user.serve(request % count, &mut ops));
    let block = blocks::push_user(&mut maker.workload.blocks, &ops);
    maker.call(last, block, last.kernel, Vec::new());
    maker.finish("key-value store", SYNC, 1, rounds * count)
}

struct Server<'a> {
    maker: Maker,
    user: ServeBlocks,
    sockets: Sockets<'a>,
    /// First line of the connections' own lines, and lines of each.
    own: Line,
    stride: u32,
    count: u32,
}

impl Server<'_> {
    /// The calls of a place; returns how they are issued, and on how many cores.
    ///
    /// # Errors
    /// A recording that lacks a call for several messages.
    fn serve(&mut self, place: &Place, object: Object) -> Result<(ModelWay, u32), OnHostError> {
        const BOTH: [&str; 2] = local::CALLS;
        // on connections, all that wait are one batch
        let all = if object == Object::Stream { self.count } else { place.x };
        match place.series.as_str() {
            series if series == parts::call(datagrams::RECEIVE) || series == parts::RECEIVED => self.receives_alone(),
            series if series == parts::call(datagrams::SEND) => self.sends_alone(),
            parts::EPOLL => self.waits_alone(place.x),
            twins::hook::SERVER => self.rounds(),
            connections::SYNCHRONOUS | datagrams::SYNCHRONOUS => self.one_by_one(object == Object::Stream),
            series if series == Way::Messages.name() => self.message_batches(place.x, &BOTH)?,
            parts::RECEIVED_TOGETHER => self.message_batches(place.x, &[datagrams::RECEIVE])?,
            series => {
                match entries_alone(place) {
                    Some(call) => self.batches(place.x, &[call]),
                    None => self.batches(all, &BOTH),
                }
                return Ok(if series == Way::RingPolled.name() { (POLLED, 2) } else { (RING, 1) });
            }
        }
        Ok((SYNC, 1))
    }

    /// A call of a connection: the recorded one, on lines of its own.
    fn kernel(&mut self, step: &Step, connection: u32) -> BlockId {
        let store = &mut self.maker.workload.blocks;
        let block = blocks::with_softirq(store, step);
        if self.sockets.lines.is_empty() {
            return block;
        }
        let (lines, base) = (&self.sockets.lines, self.own + connection * self.stride);
        blocks::replaced(store, block, |op| {
            let data = matches!(op.kind, OpKind::Load | OpKind::Store) && op.region == Region::Fixed;
            lines.get(&op.offset).filter(|_| data).map_or(op, |line| Op { offset: base + line, ..op })
        })
    }

    fn receive(&mut self, connection: u32, depends: Vec<u16>) -> u16 {
        let step = self.sockets.receives[connection as usize % self.sockets.receives.len()];
        let kernel = self.kernel(step, connection);
        self.maker.call(step, BlockId::EMPTY, kernel, depends)
    }

    fn send(&mut self, connection: u32, work: BlockId, depends: Vec<u16>) -> u16 {
        let step = self.sockets.sends[connection as usize % self.sockets.sends.len()];
        let kernel = self.kernel(step, connection);
        self.maker.call(step, work, kernel, depends)
    }

    fn work(&mut self, messages: std::ops::Range<u32>) -> BlockId {
        let mut ops = Vec::new();
        messages.for_each(|message| self.user.serve(message, &mut ops));
        blocks::push_user(&mut self.maker.workload.blocks, &ops)
    }

    fn receives_alone(&mut self) {
        for connection in 0..self.count {
            self.receive(connection, Vec::new());
        }
    }

    fn sends_alone(&mut self) {
        for connection in 0..self.count {
            self.send(connection, BlockId::EMPTY, Vec::new());
        }
    }

    fn waits_alone(&mut self, events: u32) {
        if let Some(step) = self.sockets.wait(events) {
            for _ in 0..self.count {
                self.maker.call(step, BlockId::EMPTY, step.kernel, Vec::new());
            }
        }
    }

    /// Each request where it stands, with waits for as many connections as one returns.
    fn one_by_one(&mut self, with_waits: bool) {
        for connection in 0..self.count {
            let events = (self.count - connection).min(EVENTS_MAX as u32);
            if let Some(step) = self.sockets.wait(events).filter(|_| with_waits && connection % EVENTS_MAX as u32 == 0) {
                self.maker.call(step, BlockId::EMPTY, step.kernel, Vec::new());
            }
            let received = self.receive(connection, Vec::new());
            let work = self.work(connection..connection + 1);
            self.send(connection, work, vec![received]);
        }
    }

    /// A client's sends, the server's answers, the client's receives.
    fn rounds(&mut self) {
        self.sends_alone();
        self.one_by_one(false);
        self.receives_alone();
    }

    /// All receives of a batch together, then all sends; or one of the two alone.
    fn batches(&mut self, batch: u32, calls: &[&str]) {
        let mut before: Vec<u16> = Vec::new();
        for first in (0..self.count).step_by(batch as usize) {
            let members = first..(first + batch).min(self.count);
            let mut received = vec![None; members.len()];
            if calls.contains(&datagrams::RECEIVE) {
                let depends = std::mem::take(&mut before);
                received = members.clone().map(|message| Some(self.receive(message, depends.clone()))).collect();
            }
            if !calls.contains(&datagrams::SEND) {
                before = received.into_iter().flatten().collect();
                continue;
            }
            let depends = std::mem::take(&mut before);
            for (message, receive) in members.zip(received) {
                let work = if receive.is_some() { self.work(message..message + 1) } else { BlockId::EMPTY };
                before.push(self.send(message, work, receive.map_or_else(|| depends.clone(), |receive| vec![receive])));
            }
        }
    }

    /// One call for the receives of a batch and one for its sends; or one of the two alone.
    ///
    /// # Errors
    /// A recording without such a call.
    fn message_batches(&mut self, batch: u32, calls: &[&str]) -> Result<(), OnHostError> {
        for first in (0..self.count).step_by(batch as usize) {
            let members = first..(first + batch).min(self.count);
            if calls.contains(&datagrams::RECEIVE) {
                let steps = self.sockets.receives.clone();
                self.together(datagrams::RECEIVE, &steps, members.clone(), BlockId::EMPTY)?;
            }
            if calls.contains(&datagrams::SEND) {
                let work = if calls.len() > 1 { self.work(members.clone()) } else { BlockId::EMPTY };
                let steps = self.sockets.sends.clone();
                self.together(datagrams::SEND, &steps, members, work)?;
            }
        }
        Ok(())
    }

    /// One call for several messages: the recorded call for several without the messages' own work, and the work of recorded calls for one.
    fn together(&mut self, call: &'static str, steps: &[&Step], messages: Range<u32>, work: BlockId) -> Result<(), OnHostError> {
        let around = around_messages(call)?;
        let first = steps[messages.start as usize % steps.len()];
        let own = |ops: &[Op]| Piece { pace: PaceOf::Header, ops: ops.to_vec() };
        let of_call = |ops: &[Op]| Piece { pace: PaceOf::Call(call), ops: ops.to_vec() };
        let (ops, handler) = cut_at(&self.maker.workload, first.kernel, Cut::Handler);
        let (way_in, way_out) = (of_call(&ops[..handler.start]), of_call(&ops[handler.end..]));
        let mut pieces = vec![way_in, own(&around.before)];
        for message in messages {
            let block = blocks::with_softirq(&mut self.maker.workload.blocks, steps[message as usize % steps.len()]);
            let (ops, protocol) = cut_at(&self.maker.workload, block, Cut::Protocol);
            pieces.extend([own(&around.head), of_call(&ops[protocol]), own(&around.tail)]);
        }
        pieces.extend([own(&around.after), way_out]);
        let place = self.maker.call(first, work, first.kernel, Vec::new());
        self.maker.composed.push((place, pieces));
        Ok(())
    }
}

/// A block's ops and where a cut of it is; all of it when it has none.
fn cut_at(workload: &Workload, block: BlockId, cut: Cut) -> (&[Op], Range<usize>) {
    let ops = workload.blocks.ops(block);
    (ops, workload.blocks.info(block).span(cut).unwrap_or(0..ops.len()))
}

/// What a recorded call for several messages executes besides moving them: before the first and after the last one, and around each.
#[derive(Clone, Debug)]
struct AroundMessages {
    before: Vec<Op>,
    head: Vec<Op>,
    tail: Vec<Op>,
    after: Vec<Op>,
}

/// What the call for several messages executes around those that `call` moves one by one; cut out of the recording once.
///
/// # Errors
/// As [`AroundMessages::of`].
fn around_messages(call: &str) -> Result<&'static AroundMessages, OnHostError> {
    static RECEIVES: OnceLock<AroundMessages> = OnceLock::new();
    static SENDS: OnceLock<AroundMessages> = OnceLock::new();
    let (place, several, message, moves) = if call == datagrams::SEND {
        (&SENDS, "sendmmsg", "___sys_sendmsg", "udp_sendmsg")
    } else {
        (&RECEIVES, "recvmmsg", "___sys_recvmsg", "udp_recvmsg")
    };
    if let Some(cut) = place.get() {
        return Ok(cut);
    }
    let cut = AroundMessages::of(recording(SOCKETS)?, several, message, moves)?;
    Ok(place.get_or_init(|| cut))
}

impl AroundMessages {
    /// Of the recorded call with the most messages; `message` is the function that handles one, `moves` the one that moves it.
    ///
    /// # Errors
    /// A recording without the call or its functions.
    fn of(recording: &Workload, call: &'static str, message: &'static str, moves: &'static str) -> Result<Self, OnHostError> {
        let steps = recording.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        let messages = |step: &&Step| executions(recording, recording.blocks.ops(step.kernel), message).len();
        let lacks = |function| OnHostError::NotRecorded { recording: recording.name.clone(), call, function };
        let step = steps.filter(|step| step.call.name() == call).max_by_key(messages).ok_or_else(|| lacks(message))?;
        let (ops, handler) = cut_at(recording, step.kernel, Cut::Handler);
        let outer = executions(recording, ops, message);
        let (first, last) = (outer.first().ok_or_else(|| lacks(message))?, outer.last().ok_or_else(|| lacks(message))?);
        // one in the middle, if there is one: neither the first nor the last of its call
        let one = outer.len() / 2;
        let inner = executions(recording, ops, moves).into_iter().find(|inner| outer[one].contains(&inner.start));
        let inner = inner.ok_or_else(|| lacks(moves))?;
        let next = outer.get(one + 1).map_or(outer[one].end, |next| next.start);
        Ok(AroundMessages {
            before: ops[handler.start..first.start].to_vec(),
            head: ops[outer[one].start..inner.start].to_vec(),
            tail: ops[inner.end..next].to_vec(),
            after: ops[last.end..handler.end].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::paces::Paces;
    use crate::on_host::pieces::compose;
    use crate::on_host::workload::look::{calls, data, made, steps};
    use std::collections::BTreeSet;

    #[test]
    fn a_server_on_connections_waits_for_sixteen_at_a_time() {
        let epoll = made("tcp", "epoll", 64);
        assert_eq!(calls(&epoll).iter().filter(|call| **call == "epoll_wait").count(), 4);
        assert_eq!(calls(&epoll)[..3], ["epoll_wait", "recvfrom", "sendto"]);
        let work = |events| made("tcp", "part epoll_wait", events).workload;
        let instructions = |workload: &Workload| {
            let block = workload.classes[0].chains[0].steps[0].kernel;
            workload.blocks.info(block).instructions
        };
        assert!(instructions(&work(16)) > 3 * instructions(&work(1)));
        let (first, second) = (&steps(&epoll)[1], &steps(&epoll)[3]);
        assert_ne!(data(&epoll, first), data(&epoll, second), "each connection has lines of its own");
    }

    #[test]
    fn one_call_takes_the_messages_of_a_batch() {
        let batched = made("udp", "recvmmsg/sendmmsg", 16);
        assert_eq!(calls(&batched).len(), 8);
        let one = made("udp", "recvfrom/sendto", 1);
        let instructions = |model: &Model| -> u32 {
            let whole = compose(model.workload.clone(), &model.composed, &Paces::default());
            whole.classes[0].chains[0].steps.iter().map(|step| whole.blocks.info(step.kernel).instructions).sum()
        };
        // recorded: 24,217 instructions of a recvmmsg of 16 messages and 93,657 of a sendmmsg, with entry and exit; less the calls' own
        let (together, apart) = (instructions(&batched), instructions(&one));
        assert!(together.abs_diff(4 * (24_217 + 93_657)) < together / 20, "{together} {apart}");
        assert!(together < apart + apart / 10, "{together} {apart}");
    }

    #[test]
    fn d38_messages_that_wait_share_their_lines() {
        let one = made("udp", "recvfrom/sendto", 1);
        let receives: Vec<&Step> = steps(&one).iter().filter(|step| step.call.name() == "recvfrom").collect();
        let (first, second) = (data(&one, receives[0]), data(&one, receives[1]));
        assert!(first.intersection(&second).count() * 10 > first.len() * 8);
    }

    #[test]
    fn d39_model_twins_hold_the_servers_phase_alone() {
        for series in ["epoll", "io_uring", "io_uring, polled"] {
            let calls = calls(&made("tcp", series, 4)).into_iter().collect::<BTreeSet<_>>();
            assert!(calls.iter().all(|call| ["epoll_wait", "recvfrom", "sendto"].contains(call)), "{series}: {calls:?}");
            assert_eq!(made("tcp", series, 4).operations, 4);
        }
    }
}
