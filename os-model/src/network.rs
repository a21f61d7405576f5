//! Packets, receive queues and the two directions of the link.

use crate::action::Slot;
use sim_core::ids::{ConnectionId, Cycles};
use sim_core::workload::PacketKind;
use std::collections::VecDeque;

/// A packet on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Kind.
    pub kind: PacketKind,
    /// Connection it belongs to.
    pub connection: ConnectionId,
    /// Request whose bytes it ends, for data.
    pub slot: Slot,
}

/// One receive queue of the network card and its interrupt.
#[derive(Debug, Default)]
pub struct ReceiveQueue {
    /// Packets that wait for the softirq.
    pub ring: VecDeque<Packet>,
    /// The interrupt is off while the softirq polls.
    pub polling: bool,
    /// An interrupt is asked for but held back by moderation.
    pub armed: bool,
    /// Time of the last interrupt.
    pub last_interrupt: Option<Cycles>,
    /// Packets lost to a full ring.
    pub dropped_packets: u64,
}

/// One direction of the link: a rate and a delay.
#[derive(Debug)]
pub struct Wire {
    cycles_per_byte_millis: u64,
    delay_cycles: Cycles,
    free_at: Cycles,
    /// Cycles in which the wire was busy, for `limited_by`.
    pub busy_cycles: Cycles,
}

/// Bytes of Ethernet, IP and TCP headers, preamble and gap that each packet adds (38 + 20 + 32 with time stamps).
const PACKET_OVERHEAD_BYTES: u64 = 90;
/// TCP payload of a full packet: 1,500 less IP and TCP headers with time stamps.
pub(crate) const PACKET_PAYLOAD_BYTES: u64 = 1448;

impl Wire {
    /// A wire of `rate_mbps` and `delay_us` in cycles of a clock of `frequency_mhz`.
    pub fn new(rate_mbps: f64, delay_us: f64, frequency_mhz: u32) -> Wire {
        let frequency = f64::from(frequency_mhz);
        // bytes take 8 / rate_mbps microseconds each
        let cycles_per_byte_millis = (8000.0 * frequency / rate_mbps) as u64;
        Wire { cycles_per_byte_millis, delay_cycles: (delay_us * frequency) as Cycles, free_at: 0, busy_cycles: 0 }
    }

    /// Sends `payload` bytes at `now`; returns when the last byte is through: (left the sender, arrived).
    pub fn send(&mut self, now: Cycles, payload: u64) -> (Cycles, Cycles) {
        let packets = payload.div_ceil(PACKET_PAYLOAD_BYTES).max(1);
        let bytes = payload + packets * PACKET_OVERHEAD_BYTES;
        let time = (bytes * self.cycles_per_byte_millis).div_ceil(1000);
        let start = self.free_at.max(now);
        self.free_at = start + time;
        self.busy_cycles += time;
        (self.free_at, self.free_at + self.delay_cycles)
    }
}

/// Processors of the client machine: first come, first served.
#[derive(Debug)]
pub struct ClientProcessors {
    free_at: Vec<Cycles>,
    service_cycles: Cycles,
    /// Cycles of service given, summed over the processors.
    pub busy_cycles: Cycles,
}

impl ClientProcessors {
    /// `cores` processors that take `service_us` per request.
    pub fn new(cores: u32, service_us: f64, frequency_mhz: u32) -> ClientProcessors {
        let service_cycles = (service_us * f64::from(frequency_mhz)) as Cycles;
        ClientProcessors { free_at: vec![0; cores.max(1) as usize], service_cycles, busy_cycles: 0 }
    }

    /// Serves one request that is there at `now`; returns when it is done.
    pub fn serve(&mut self, now: Cycles) -> Cycles {
        let earliest = (0..self.free_at.len()).min_by_key(|&core| (self.free_at[core], core)).unwrap_or(0);
        let done = self.free_at[earliest].max(now) + self.service_cycles;
        self.free_at[earliest] = done;
        self.busy_cycles += self.service_cycles;
        done
    }

    /// Number of processors.
    pub fn count(&self) -> usize {
        self.free_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_serialises_and_delays() {
        // 1 Gb/s at 1000 MHz: 8 cycles a byte
        let mut wire = Wire::new(1000.0, 5.0, 1000);
        let (left, arrived) = wire.send(100, 10);
        assert_eq!((left, arrived), (100 + 800, 100 + 800 + 5000));
        let (left, _) = wire.send(100, 10);
        assert_eq!(left, 100 + 1600, "the second packet waits for the first");
        assert_eq!(wire.busy_cycles, 1600);
    }

    #[test]
    fn client_processors_queue_when_all_are_busy() {
        let mut clients = ClientProcessors::new(2, 1.0, 1000);
        assert_eq!(clients.serve(0), 1000);
        assert_eq!(clients.serve(0), 1000);
        assert_eq!(clients.serve(0), 2000);
        assert_eq!(clients.busy_cycles, 3000);
    }
}
