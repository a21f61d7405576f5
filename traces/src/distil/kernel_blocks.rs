//! Kernel work outside calls: interrupts, the receive path, transmit, the timer.

use super::calls::{extract, visited};
use super::chains::evenly;
use super::functions::{Activation, activations};
use super::recording::{FrameRecord, Piece, Recording, SoftirqRecord};
use super::requests::CallRecord;
use super::sharing::{SOFTIRQ_CONTEXT, Unit, UnitStep};
use super::waits::{EXEMPLARS_MAX, Exemplars};
use crate::capture::frames::FrameKind;
use crate::kernel_map::KernelMap;
use sim_core::block::{BlockId, Cut, Op};
use sim_core::ids::Mode;
use sim_core::workload::{KernelBlocks, PacketKind};
use std::collections::VecDeque;

/// Vector index of device interrupts (FORMAT.md: "1 = a device interrupt").
const DEVICE_VECTOR: u64 = 1;
/// Softirq stretches looked at for exemplars.
const STRETCHES_MAX: usize = 1024;
/// Handing one packet to the protocols.
const PROTOCOL_ENTRY: &[&str] = &["__netif_receive_skb", "__netif_receive_skb_one_core"];
/// Handing a batch of packets to the protocols, behind a driver.
const BATCH_ENTRY: &[&str] = &["netif_receive_skb_list_internal", "__netif_receive_skb_list_core"];
/// Handing one packet from the driver to receive offload.
const DRIVER_HANDOVER: &[&str] = &["napi_gro_receive"];

/// Units of work outside requests, for the classification of lines: the receive softirqs of tasks that are not kept.
pub(super) fn other_units(recording: &Recording, everything: bool) -> Vec<Unit> {
    let wanted = |softirq: &&SoftirqRecord| softirq.receives && (everything || !softirq.in_kept_task);
    let unit = |softirq: &SoftirqRecord| Unit {
        connection: 0,
        task: 0,
        steps: vec![UnitStep { context: SOFTIRQ_CONTEXT, pieces: softirq.pieces.clone() }],
    };
    recording.softirqs.iter().filter(wanted).map(unit).collect()
}

/// Protocol work of one packet.
struct Packet {
    start: usize,
    end: usize,
    to_server: bool,
    kind: PacketKind,
}

/// Packets of a softirq stretch over the loopback device, in order. The backlog is a queue: packets that were in it before come
/// first, then those that their processing sent, which go the other way.
fn packets(found: &[Activation], kernel: &KernelMap, first_to_server: bool) -> Vec<Packet> {
    let entry =
        PROTOCOL_ENTRY.iter().filter_map(|name| kernel.symbol(name)).find(|symbol| found.iter().any(|one| one.symbol == *symbol));
    let enqueue = kernel.symbol("enqueue_to_backlog");
    let outer: Vec<&Activation> = found.iter().filter(|one| Some(one.symbol) == entry).collect();
    let sent_by = |packet: &Activation| {
        found.iter().filter(|one| Some(one.symbol) == enqueue && one.start >= packet.start && one.start < packet.end).count()
    };
    let sent: usize = outer.iter().map(|packet| sent_by(packet)).sum();
    let mut queue: VecDeque<bool> = std::iter::repeat_n(first_to_server, outer.len().saturating_sub(sent)).collect();
    let mut packets = Vec::new();
    for packet in outer {
        let to_server = queue.pop_front().unwrap_or(first_to_server);
        queue.extend(std::iter::repeat_n(!to_server, sent_by(packet)));
        let inside: Vec<Activation> =
            found.iter().filter(|one| one.start >= packet.start && one.start < packet.end).copied().collect();
        let kind = packet_kind(&inside, kernel);
        packets.push(Packet { start: packet.start as usize, end: packet.end as usize, to_server, kind });
    }
    packets
}

/// Kind of a packet by the functions that dealt with it.
fn packet_kind(found: &[Activation], kernel: &KernelMap) -> PacketKind {
    let kinds: [(PacketKind, &[&str]); 5] = [
        (PacketKind::Syn, &["tcp_conn_request"]),
        (PacketKind::Handshake, &["tcp_v4_syn_recv_sock", "tcp_check_req"]),
        (PacketKind::Fin, &["tcp_fin"]),
        (PacketKind::Data, &["tcp_data_ready", "tcp_data_queue", "tcp_queue_rcv"]),
        (PacketKind::Datagram, &["udp_queue_rcv_skb", "udp_queue_rcv_one_skb"]),
    ];
    kinds.iter().find(|(_, names)| visited(found, kernel, names)).map_or(PacketKind::Ack, |(kind, _)| *kind)
}

impl Exemplars<'_, '_> {
    /// Receive work of the server by kind of packet, over the loopback device.
    pub(super) fn receive(&mut self, receive: &mut Vec<(PacketKind, BlockId)>) {
        let recording = self.lines.recording;
        let kernel = KernelMap::bundled();
        let known: Vec<PacketKind> = receive.iter().map(|(kind, _)| *kind).collect();
        let stretches: Vec<&SoftirqRecord> = recording.softirqs.iter().filter(|softirq| softirq.receives).collect();
        let mut found_kinds: Vec<(PacketKind, Vec<BlockId>)> = Vec::new();
        for index in evenly(stretches.len(), STRETCHES_MAX) {
            let softirq = stretches[index];
            let ops = recording.gather(&softirq.pieces);
            let found = activations(&ops, recording, kernel);
            for packet in packets(&found, kernel, !softirq.in_kept_task) {
                if !packet.to_server || known.contains(&packet.kind) {
                    continue;
                }
                let at = found_kinds.iter().position(|(kind, _)| *kind == packet.kind).unwrap_or_else(|| {
                    found_kinds.push((packet.kind, Vec::new()));
                    found_kinds.len() - 1
                });
                self.add(&mut found_kinds[at].1, Mode::Kernel, &ops[packet.start..packet.end]);
            }
        }
        found_kinds.sort();
        receive.extend(found_kinds.into_iter().flat_map(|(kind, blocks)| blocks.into_iter().map(move |block| (kind, block))));
    }

    /// Interrupt, poll and driver work of a capture with a network card.
    pub(super) fn network_card(&mut self, calls: &[CallRecord], kernel_blocks: &mut KernelBlocks) {
        let recording = self.lines.recording;
        for frame in recording.frames.iter().filter(|frame| is_quiet_device_interrupt(frame)) {
            let (before, after) = around_softirq(recording, frame);
            self.add(&mut kernel_blocks.interrupt_entry, Mode::Kernel, &before);
            self.add(&mut kernel_blocks.interrupt_exit, Mode::Kernel, &after);
        }
        let stretches: Vec<&SoftirqRecord> = recording.softirqs.iter().filter(|softirq| softirq.receives).collect();
        for index in evenly(stretches.len(), STRETCHES_MAX) {
            self.poll(stretches[index], kernel_blocks);
        }
        let sends: Vec<&CallRecord> = calls.iter().filter(|call| call.role == super::descriptors::Role::Send).collect();
        for index in evenly(sends.len(), EXEMPLARS_MAX * 2) {
            let block = extract(recording, &recording.frames[sends[index].frame as usize], KernelMap::bundled());
            if let Some(span) = block.spans.iter().find(|span| span.cut == Cut::Transmit) {
                self.add(&mut kernel_blocks.transmit, Mode::Kernel, &block.ops[span.start as usize..span.end as usize]);
            }
        }
    }

    /// Splits the polling of one packet into the driver's work for the packet and the rest, the protocols left out.
    fn poll(&mut self, softirq: &SoftirqRecord, kernel_blocks: &mut KernelBlocks) {
        let recording = self.lines.recording;
        let kernel = KernelMap::bundled();
        let ops = recording.gather(&softirq.pieces);
        let found = activations(&ops, recording, kernel);
        let of = |names: &[&str]| -> Vec<&Activation> {
            let symbols: Vec<_> = names.iter().filter_map(|name| kernel.symbol(name)).collect();
            let mut all: Vec<&Activation> = found.iter().filter(|one| symbols.contains(&one.symbol)).collect();
            // Only the outermost: the batch entry calls the core.
            let mut end = 0;
            all.retain(|one| {
                let outermost = one.start >= end;
                end = end.max(one.end);
                outermost
            });
            all
        };
        let (handovers, batches) = (of(DRIVER_HANDOVER), of(BATCH_ENTRY));
        let ([handover], [batch]) = (&handovers[..], &batches[..]) else { return };
        let Some(driver) = driver_entry(&found, kernel, handover) else { return };
        if batch.start < handover.end || driver >= handover.start {
            return;
        }
        let (driver, handed, from, to) = (driver as usize, handover.end as usize, batch.start as usize, batch.end as usize);
        self.add(&mut kernel_blocks.driver_receive, Mode::Kernel, &ops[driver..handed]);
        let rest: Vec<Op> = [&ops[..driver], &ops[handed..from], &ops[to..]].concat();
        self.add(&mut kernel_blocks.poll, Mode::Kernel, &rest);
    }

    /// Timer ticks, with the softirqs that ran in them but without network work.
    pub(super) fn ticks(&mut self, list: &mut Vec<BlockId>) {
        let recording = self.lines.recording;
        let vector = recording.header.interrupt_vectors.iter().position(|name| name == "sysvec_apic_timer_interrupt");
        let is_tick = |frame: &&FrameRecord| {
            let quiet = frame.finished && !frame.pieces.contains(&Piece::Switch);
            quiet && matches!(frame.kind, FrameKind::Interrupt { vector: number, .. } if Some(number as usize) == vector)
        };
        for frame in recording.frames.iter().filter(is_tick) {
            let without_network = |piece: &&Piece| match piece {
                Piece::Ops { softirq: Some(index), .. } => !recording.softirqs[*index as usize].receives,
                _ => true,
            };
            let ops = gather(recording, frame.pieces.iter().filter(without_network));
            self.add(list, Mode::Kernel, &ops);
        }
    }

    /// Calls that do nothing but return a number.
    pub(super) fn null_calls(&mut self, calls: &[CallRecord], list: &mut Vec<BlockId>) {
        for call in calls.iter().filter(|call| matches!(call.number.name(), "getpid" | "getppid")) {
            let frame = &self.lines.recording.frames[call.frame as usize];
            let block = extract(self.lines.recording, frame, KernelMap::bundled());
            self.add_piece(list, &block, 0..block.ops.len());
        }
    }
}

fn gather<'a>(recording: &Recording, pieces: impl Iterator<Item = &'a Piece>) -> Vec<Op> {
    let ranges: Vec<(u32, u32)> = pieces
        .filter_map(|piece| match piece {
            Piece::Ops { start, end, .. } => Some((*start, *end)),
            _ => None,
        })
        .collect();
    recording.gather(&ranges)
}

fn is_quiet_device_interrupt(frame: &FrameRecord) -> bool {
    let device = matches!(frame.kind, FrameKind::Interrupt { vector: DEVICE_VECTOR, .. });
    device && frame.finished && !frame.pieces.contains(&Piece::Switch)
}

/// Ops of an interrupt before and after its softirqs; nothing when it had none.
fn around_softirq(recording: &Recording, frame: &FrameRecord) -> (Vec<Op>, Vec<Op>) {
    let is_softirq = |piece: &Piece| matches!(piece, Piece::Ops { softirq: Some(_), .. });
    let (Some(first), Some(last)) = (frame.pieces.iter().position(is_softirq), frame.pieces.iter().rposition(is_softirq)) else {
        return (Vec::new(), Vec::new());
    };
    (gather(recording, frame.pieces[..first].iter()), gather(recording, frame.pieces[last + 1..].iter()))
}

/// Where the driver's work for a packet begins: the first function entered inside the function that polls.
fn driver_entry(found: &[Activation], kernel: &KernelMap, handover: &Activation) -> Option<u32> {
    let is_module = |one: &&Activation| kernel.name(one.symbol).contains("[virtio");
    let poll = kernel.symbol("net_rx_action")?;
    let action = found.iter().find(|one| one.symbol == poll && one.start <= handover.start && one.end >= handover.end)?;
    let receives = |one: &&Activation| one.start > action.start && one.start < handover.start;
    found.iter().filter(receives).filter(is_module).map(|one| one.start).next()
}
