//! Touches per second through the whole hierarchy of the Nehalem preset.

use cpu_model::{Cpu, CpuOptions, Machine, Shadow};
use divan::Bencher;
use divan::counter::ItemsCount;

#[path = "../tests/common/stream.rs"]
mod stream;

fn main() {
    divan::main();
}

fn bench(bencher: Bencher, cores: usize, options: CpuOptions) {
    let machine = Machine::preset("nehalem").expect("a bundled machine");
    let stream = stream::stream(64, 1);
    let mut cpu = Cpu::new(&machine, cores, &stream.layout, options, 1).expect("options are valid");
    let ops = stream::play(&mut cpu, &stream);
    bencher.counter(ItemsCount::new(ops)).bench_local(|| stream::play(&mut cpu, &stream));
}

#[divan::bench(args = [1, 4])]
fn ledger_off(bencher: Bencher, cores: usize) {
    bench(bencher, cores, CpuOptions::default());
}

#[divan::bench(args = [1, 4])]
fn ledger_on(bencher: Bencher, cores: usize) {
    bench(bencher, cores, CpuOptions { ledger: true, ..CpuOptions::default() });
}

#[divan::bench(args = [1, 4])]
fn shadow_full(bencher: Bencher, cores: usize) {
    bench(bencher, cores, CpuOptions { ledger: true, shadow: Shadow::Full, ..CpuOptions::default() });
}

#[divan::bench(args = [1, 4])]
fn shadow_sampled(bencher: Bencher, cores: usize) {
    bench(bencher, cores, CpuOptions { ledger: true, shadow: Shadow::Sampled(8), ..CpuOptions::default() });
}
