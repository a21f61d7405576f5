//! Prints one comparison on a made-up server.
use mechanisms::compare::{Job, compare};
use mechanisms::experiment::Settings;
use mechanisms::registry::ALL;
use std::sync::atomic::AtomicBool;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let cores = args.get(1).map_or(1, |v| v.parse().unwrap());
    let connections = args.get(2).map_or(64, |v| v.parse().unwrap());
    let workload = match args.get(3) {
        None => traces::synthetic::server(Default::default()),
        Some(name) => {
            let read = |n: &str| std::fs::read(format!("traces/data/captures/{n}.trace")).unwrap();
            let maps = std::fs::read_to_string(format!("traces/data/captures/{name}.maps.txt")).unwrap();
            let (main, remote, receive, null) = (read(name), read("mcvnet-16-off"), read("nginxka-512-rx-off"), read("ubench2-off"));
            let t = std::time::Instant::now();
            let o = traces::distil::DistilOptions { name, maps: Some(&maps), remote: Some(&remote), receive: Some(&receive), null_call: Some(&null), ..Default::default() };
            let w = traces::distil::distil(&main, &o).unwrap();
            println!("distilled in {:?}: {} blocks {} ops chunks {} regions {:?}", t.elapsed(), w.blocks.len(), w.blocks.op_count(), w.layout.chunks(), w.region_lines);
            println!("program {:?} perreq {} requests {} conns {}", w.program, w.connection_per_request, w.requests, w.connections);
            for c in &w.classes { println!("class {} n={} chains {} in_kernel {} bytes {}/{}", c.name, c.recorded, c.chains.len(), c.in_kernel, c.request_bytes, c.reply_bytes);
              for s in &c.chains[c.chains.len()/2].steps[..c.chains[c.chains.len()/2].steps.len().min(20)] { let k=w.blocks.info(s.kernel); println!("    user {} {} {:?} {:?} {} kernel {} soft {} deferred {} dep {:?} spans {:?}", w.blocks.info(s.user).instructions, s.call.name(), s.object, s.effect, s.bytes, k.instructions, w.blocks.info(s.client_softirq).instructions, s.deferred, s.depends, k.spans.iter().map(|x|(x.cut, sim_core::block::instructions_of(&w.blocks.ops(s.kernel)[x.start as usize..x.end as usize]))).collect::<Vec<_>>()); } }
            let m = |v:&Vec<sim_core::block::BlockId>| (v.len(), v.iter().map(|b| w.blocks.info(*b).instructions).sum::<u32>() as usize / v.len().max(1));
            if let Some(x)=&w.wait { println!("wait user {:?} head {:?} item {:?} tail {:?} sleep {:?} wake {:?} max {}", m(&x.user), m(&x.head), m(&x.item), m(&x.tail), m(&x.sleep), m(&x.wake), x.max_events); }
            let b=&w.blocking; println!("blocking sleep {:?} wake {:?} again {:?} user {:?}", m(&b.sleep), m(&b.wake), m(&b.again), m(&b.again_user));
            let k=&w.kernel; println!("irq {:?} exit {:?} poll {:?} driver {:?} xmit {:?} out {:?} in {:?} tick {:?} null {:?}", m(&k.interrupt_entry), m(&k.interrupt_exit), m(&k.poll), m(&k.driver_receive), m(&k.transmit), m(&k.switch_out), m(&k.switch_in), m(&k.tick), m(&k.null_call));
            let mut kinds: std::collections::BTreeMap<_, Vec<_>> = Default::default(); for (a,b) in &k.receive { kinds.entry(*a).or_default().push(*b); } for (a,b) in &kinds { println!("receive {a:?} {:?}", m(b)); }
            println!("client {:?}", w.client);
            for n in &w.notes { println!("note {:?} {} {}", n.certainty, n.count, n.text); }
            w
        }
    };
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.cores = cores;
    settings.run.connections = connections;
    let cancel = AtomicBool::new(false);
    let job = Job { threads: 0, progress: &sim_core::progress::Silent, cancel: &cancel, command: String::new() };
    let list: Vec<_> = ALL.iter().map(|d| d.mechanism).collect();
    let comparison = compare(&workload, &settings, &list, &job).unwrap();
    for r in &comparison.results {
        println!("{:18} {:9.0} rps  x{:.3} [{:.3},{:.3}] n={} p50 {:.1} p99 {:.1} cpi {:.2}/{:.2} cross {:.2} cs {:.2} direct {:.0} ind {:.0} mech {:.0} batch {:.1} idle {:.2} {:?}\n    {}", r.mechanism, r.throughput_rps.mean, r.speedup_vs_sync.as_ref().map_or(f64::NAN,|e|e.mean), r.speedup_vs_sync.as_ref().map_or(f64::NAN,|e|e.low), r.speedup_vs_sync.as_ref().map_or(f64::NAN,|e|e.high), r.reps, r.latency_us.p50, r.latency_us.p99, r.modes.user.cpi, r.modes.kernel.cpi, r.per_request.crossings, r.per_request.context_switches, r.per_request.direct_cycles, r.per_request.indirect_cycles, r.per_request.mechanism_cycles, r.batch.mean, r.cores_used.idle, r.limited_by, r.why);
    }
}
