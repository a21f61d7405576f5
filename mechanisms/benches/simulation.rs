//! Speed of whole simulations: simulated instructions per host second by mechanism, and events per second of the event queue.
//! `cargo bench -p mechanisms` prints items per second; for the simulations an item is a simulated instruction.

use divan::counter::ItemsCount;
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::simulate;
use sim_core::event_queue::EventQueue;
use sim_core::ids::Mode;

fn main() {
    divan::main();
}

#[divan::bench(args = ["sync", "exception-less", "batched-script", "in-kernel-dsl", "elevated-shortcut"], sample_count = 3)]
fn memcached(bencher: divan::Bencher, name: &str) {
    let workload = traces::bundled::load("memcached").unwrap();
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.requests = 4000;
    let mechanism = Mechanism::from_name(name).unwrap();
    let run = || simulate(&workload, &settings, mechanism, 1).unwrap();
    let sample = run();
    let measured: u64 = Mode::ALL.iter().map(|mode| sample.counters.mode(*mode).instructions).sum();
    // the warm-up executes the same requests
    let all = measured * (sample.replies + sample.warm_up_replies) / sample.replies;
    bencher.counter(ItemsCount::new(all)).bench(run);
}

#[divan::bench]
fn event_queue(bencher: divan::Bencher) {
    const EVENTS: u64 = 100_000;
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let mut queue = EventQueue::new();
        for index in 0..256u64 {
            queue.push(index * 7919 % 1009, index);
        }
        let mut sum = 0;
        for _ in 0..EVENTS {
            let (time, event) = queue.pop().unwrap();
            sum += event;
            queue.push(time + 1 + event * 31 % 997, event);
        }
        sum
    });
}
