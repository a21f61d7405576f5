//! Paces: how many instructions recorded kernel work executes on its lines, in thousandths of the recorded ones.

use crate::on_host::server;
use sim_core::block::BlockId;
use sim_core::workload::{Around, Workload};
use std::collections::BTreeMap;
use traces::scale::{UNCHANGED, paced};
use twins::case::Way;
use twins::datagrams::{RECEIVE, SEND};
use twins::parts;

/// Paces of recorded blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Paces {
    /// By call.
    pub calls: BTreeMap<String, u32>,
    /// What an enter of a ring executes besides its entries.
    pub enter: u32,
    /// What a ring executes for an entry, whatever it is.
    pub entry: u32,
    /// An enter, and what it executes for an entry besides, where the entries read a file: by way.
    pub reads: BTreeMap<Way, ReadPaces>,
    /// What it executes besides for an entry that receives or sends, by the call that does the same.
    pub moves: BTreeMap<&'static str, u32>,
    /// What a call for several messages executes for each besides moving it.
    pub header: u32,
    /// The program at the XDP hook.
    pub program: u32,
    /// What the kernel executes around it.
    pub hook: u32,
}

/// Paces of a ring's work for reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPaces {
    /// What an enter executes.
    pub enter: u32,
    /// What it executes around a read.
    pub around: u32,
}

impl Default for Paces {
    fn default() -> Self {
        Paces {
            calls: BTreeMap::new(),
            enter: UNCHANGED,
            entry: UNCHANGED,
            reads: BTreeMap::new(),
            moves: BTreeMap::new(),
            header: UNCHANGED,
            program: UNCHANGED,
            hook: UNCHANGED,
        }
    }
}

impl Paces {
    /// A recorded server with its kernel work at these paces.
    pub fn of_server(&self, workload: Workload) -> Workload {
        let of_blocks = server::paces(&workload, &self.calls);
        paced(workload, |id| of_blocks.get(&id).copied().unwrap_or(UNCHANGED))
    }

    /// The workload with its blocks at these paces; `series` tells by which way reads are issued.
    pub fn apply(&self, workload: Workload, series: &str) -> Workload {
        let without = ReadPaces { enter: self.enter, around: UNCHANGED };
        let reads = way_of_reads(series).and_then(|way| self.reads.get(&way)).copied().unwrap_or(without);
        let moves = |call| self.moves.get(call).copied().unwrap_or(UNCHANGED);
        let ring = &workload.kernel.ring;
        let around = |pairs: &[Around]| pairs.iter().flat_map(|pair| [pair.0, pair.1]).collect::<Vec<_>>();
        let lists = [
            (reads.enter, [&ring.enter, &ring.begin, &ring.flush, &ring.flush_none, &ring.leave].map(|list| list.clone()).concat()),
            (self.entry, [&ring.next, &ring.nop, &ring.flush_item].map(|list| list.clone()).concat()),
            (reads.around, around(&ring.read)),
            (moves(RECEIVE), around(&ring.receive)),
            (moves(SEND), around(&ring.send)),
        ];
        let mut of_blocks: BTreeMap<BlockId, u32> =
            lists.into_iter().flat_map(|(pace, blocks)| blocks.into_iter().map(move |block| (block, pace))).collect();
        let steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        of_blocks.extend(steps.filter_map(|step| Some((step.kernel, *self.calls.get(step.call.name())?))));
        of_blocks.remove(&BlockId::EMPTY);
        if of_blocks.values().all(|pace| *pace == UNCHANGED) {
            return workload;
        }
        paced(workload, |id| of_blocks.get(&id).copied().unwrap_or(UNCHANGED))
    }
}

/// The way by which a series issues reads through a ring.
fn way_of_reads(series: &str) -> Option<Way> {
    [Way::Ring, Way::RingRegistered].into_iter().find(|way| series == way.name() || series == parts::reads_of_a_byte(*way))
}
