//! One simulation of one mechanism, timed.
use mechanisms::{experiment::Settings, registry::Mechanism, simulate::simulate};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let w = traces::bundled::load(&a[1]).unwrap();
    let mut s = Settings::preset("nehalem", "linux-6.1").unwrap();
    s.run.cores = a[3].parse().unwrap(); s.run.connections = a[4].parse().unwrap(); s.run.requests = a[5].parse().unwrap();
    let m = Mechanism::from_name(&a[2]).unwrap();
    let t = std::time::Instant::now();
    let r = simulate(&w, &s, m, 1).unwrap();
    let i: u64 = (0..2).map(|k| r.counters.modes[k].instructions).sum();
    println!("{} replies {} warm {} window {} instr {} in {:?}: {:.1} MIPS measured part only", a[2], r.replies, r.warm_up_replies, r.window_cycles, i, t.elapsed(), i as f64 * (r.replies + r.warm_up_replies) as f64 / r.replies as f64 / t.elapsed().as_secs_f64() / 1e6);
    println!("calls {:?}", r.calls.iter().enumerate().filter(|c| *c.1 > 0).map(|(n, c)| (sim_core::calls::CallNumber(n as u16).name(), *c as f64 / r.replies as f64)).collect::<Vec<_>>());
}
