//! Model twins of real servers: the bundled recording of each with the recorded client on the server's own core, and what of a simulation
//! is on the server's account.

use crate::on_host::OnHostError;
use crate::on_host::anchor::Cost;
use crate::on_host::points::Place;
use crate::on_host::workload::{Model, SYNC};
use mechanisms::experiment::Settings;
use mechanisms::simulate::Sample;
use os_model::clients::ClientKind;
use serde::Serialize;
use sim_core::block::BlockId;
use sim_core::context::Agent;
use sim_core::ids::Mode;
use sim_core::stack::Component;
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use traces::bundled;
use twins::case::{Server, ServerKind};
use twins::{connections, parts, servers};

/// A program that the scheduler lets finish its round: server and client of the native twin take turns, since each sleeps only when it has
/// nothing left to do and no more than this much of a lead makes one push the other off.
const WAKE_UP_GRANULARITY_US: u64 = 100_000;

/// What is shown of a server besides ratios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Processor time of a request, nanoseconds.
    ProcessorTime,
    /// System calls of a request.
    Calls,
}

impl Quantity {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::ProcessorTime => "processor time, ns",
            Quantity::Calls => "system calls",
        }
    }
}

/// The place of so many connections that stay: with one it is the part that the simpler models begin with.
pub fn kept(connections: u32) -> Place {
    Place::new(if connections == 1 { servers::BASE } else { servers::KEPT }, connections)
}

/// Which quantities are compared where.
pub fn quantities(case: &Server) -> Vec<(Quantity, Place)> {
    let recorded = case.recorded_connections;
    let once = |count: u32| Place::new(servers::ONCE, count);
    let of_once = case.once.contains(&recorded).then(|| (Quantity::ProcessorTime, once(recorded)));
    let times = std::iter::once((Quantity::ProcessorTime, kept(recorded))).chain(of_once);
    let places = std::iter::once(1).chain(case.connections.iter().copied()).map(kept).chain(case.once.iter().copied().map(once));
    times.chain(places.map(|place| (Quantity::Calls, place))).collect()
}

/// The recording of a place.
pub fn recording(server: ServerKind, place: &Place) -> &'static str {
    match server {
        ServerKind::Memcached => "memcached",
        ServerKind::Redis => "redis",
        ServerKind::Nginx if place.series == servers::ONCE => "nginx",
        ServerKind::Nginx => "nginx-keepalive",
    }
}

/// True for places that are requests of a server; the other places of its case are parts.
pub fn is_request(place: &Place) -> bool {
    [servers::BASE, servers::KEPT, servers::ONCE].contains(&place.series.as_str())
}

/// The model twin of requests.
///
/// # Errors
/// A recording that cannot be read: none as long as the bundled captures are whole.
pub fn requests(case: &Server, place: &Place) -> Result<Model, OnHostError> {
    let workload = bundled::load(recording(case.server, place))?;
    Ok(Model { workload, way: SYNC, cores: 1, operations: 1, composed: Vec::new() })
}

/// Clients and scheduler of the native twin.
pub fn arrange(settings: &mut Settings, place: &Place) {
    settings.clients.kind = ClientKind::Recorded;
    settings.run.connections = place.x;
    settings.kernel.scheduler.wakeup_granularity_us = WAKE_UP_GRANULARITY_US;
}

/// What a request costs the server. On the client's account are its own work and the server's receive path, which runs in the softirq of the
/// client's send; the two switches of a round have one each.
pub fn cost(sample: &Sample) -> Cost {
    let replies = sample.replies as f64;
    let of = |agent: Agent| sample.agents.iter().find(|own| own.0 == agent).map_or(0, |own| own.1.cycles);
    let elsewhere = sample.stack.get(Component::Idle) + sample.stack.get(Component::Client);
    let of_client = of(Agent::SOFTIRQ) + of(Agent::SCHEDULER) / 2;
    let total = (sample.window_cycles - elsewhere - of_client) as f64 / replies;
    let calls = sample.call_crossings as f64 / replies;
    Cost { total, user: sample.counters.mode(Mode::User).cycles as f64 / replies, calls }
}

/// Calls that bytes come in with.
const RECEIVES: [&str; 3] = ["read", "recvfrom", "recvmsg"];

/// Paces of a server's kernel work, from those of the calls that were measured apart: what receives, what waits, and all the rest at the pace
/// of a send, which goes through the whole of the protocol.
pub fn paces(workload: &Workload, of_calls: &BTreeMap<String, u32>) -> BTreeMap<BlockId, u32> {
    let (Some(receive), Some(send), Some(wait)) =
        (of_calls.get(connections::RECEIVE), of_calls.get(connections::SEND), of_calls.get(parts::WAIT))
    else {
        return BTreeMap::new();
    };
    let kernel = |id: &BlockId| workload.blocks.info(*id).mode == Mode::Kernel;
    let mut paces: BTreeMap<BlockId, u32> =
        (1..workload.blocks.len() as u32).map(BlockId).filter(kernel).map(|id| (id, *send)).collect();
    if let Some(own) = &workload.wait {
        let waits = [&own.head, &own.item, &own.tail, &own.sleep, &own.wake];
        paces.extend(waits.into_iter().flatten().map(|id| (*id, *wait)));
    }
    let steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
    paces.extend(steps.filter(|step| RECEIVES.contains(&step.call.name())).map(|step| (step.kernel, *receive)));
    paces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::anchor::Anchored;
    use crate::on_host::points::points;
    use twins::Case;
    use twins::case::Program;

    fn case(name: &str) -> (Case, Server) {
        let case = twins::case::find(name).unwrap();
        let Program::Server(own) = case.program.clone() else { panic!("a server") };
        (case, own)
    }

    #[test]
    fn ratios_are_to_one_connection_and_to_connections_that_stay() {
        let (nginx, own) = case("server-nginx");
        let base =
            |series: &str, x: u32| points(&nginx).into_iter().find(|point| point.place == Place::new(series, x)).unwrap().base;
        assert_eq!(base(servers::KEPT, 64), Place::new(servers::BASE, 1));
        assert_eq!(base(servers::ONCE, 64), Place::new(servers::KEPT, 64));
        assert_eq!(base(servers::ONCE, 1), Place::new(servers::BASE, 1));
        let times: Vec<Place> =
            quantities(&own).into_iter().filter(|own| own.0 == Quantity::ProcessorTime).map(|own| own.1).collect();
        assert_eq!(times, [kept(16), Place::new(servers::ONCE, 16)]);
        assert_eq!(recording(ServerKind::Nginx, &times[1]), "nginx");
    }

    /// Without anchors: calls are those of the recordings, and with more connections a wait serves more requests.
    #[test]
    fn more_connections_need_fewer_waits_and_a_connection_each_more_calls() {
        let settings = Settings::preset("zen4", "linux-6.1").unwrap();
        let anchored = Anchored::new(settings);
        let (memcached, _) = case("server-memcached");
        let [one, many] = [1, 16].map(|count| anchored.cost(&memcached, &kept(count), 1).unwrap());
        assert!((2.9..3.1).contains(&one.calls) && (2.0..2.3).contains(&many.calls), "{one:?} {many:?}");
        assert!(many.total < one.total && many.user < many.total, "{one:?} {many:?}");
        let (nginx, _) = case("server-nginx");
        let [stays, each] = [kept(16), Place::new(servers::ONCE, 16)].map(|place| anchored.cost(&nginx, &place, 1).unwrap());
        assert!(each.calls > stays.calls + 2.0 && each.total > stays.total, "{stays:?} {each:?}");
    }

    #[test]
    fn kernel_work_goes_at_the_pace_of_the_call_that_is_most_like_it() {
        let (_, own) = case("server-memcached");
        let made = requests(&own, &kept(16)).unwrap();
        let of_calls = BTreeMap::from([("recvfrom".into(), 2000), ("sendto".into(), 3000), (parts::WAIT.into(), 4000)]);
        let paces = paces(&made.workload, &of_calls);
        let step = |call: &str| {
            let steps = made.workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
            steps.clone().find(|step| step.call.name() == call).unwrap().kernel
        };
        assert_eq!((paces[&step("read")], paces[&step("sendmsg")]), (2000, 3000));
        assert_eq!(paces[&made.workload.wait.as_ref().unwrap().head[0]], 4000);
        assert!(paces.keys().all(|id| made.workload.blocks.info(*id).mode == Mode::Kernel));
        assert!(super::paces(&made.workload, &BTreeMap::new()).is_empty());
    }

    /// D44: what the client takes is on nobody's account, and it executes no instructions that would leave lines.
    #[test]
    fn the_recorded_client_leaves_no_lines() {
        let mut settings = Settings::preset("zen4", "linux-6.1").unwrap();
        let (_, own) = case("server-redis");
        arrange(&mut settings, &kept(16));
        let made = requests(&own, &kept(16)).unwrap();
        let sample = mechanisms::simulate::simulate(&made.workload, &settings, made.way.mechanism, 1).unwrap();
        let client = sample.stack.get(Component::Client);
        let recorded = &made.workload.client;
        let each = recorded.instructions_user + recorded.instructions_kernel;
        // a window may open and close within a turn
        let turn = client / sample.replies;
        assert!(turn.abs_diff(each) * 10 < each, "one cycle an instruction and nothing missed: {turn} {each}");
        let cost = cost(&sample);
        assert!(cost.total * sample.replies as f64 + client as f64 <= sample.window_cycles as f64, "{cost:?}");
    }
}
