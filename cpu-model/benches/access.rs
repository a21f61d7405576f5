//! Touches per second through the whole hierarchy of the Nehalem preset: on a stream that jumps about (`scattered`) and on one with the
//! locality of a recorded server (`local`).

use cpu_model::{Cpu, CpuOptions, Machine, Shadow};
use divan::Bencher;
use divan::counter::ItemsCount;

#[path = "../tests/common/stream.rs"]
mod stream;

fn main() {
    divan::main();
}

const LEDGER: CpuOptions =
    CpuOptions { ledger: true, shadow: Shadow::Off, user_base_cpi_milli: None, user_call_depth: 0, user_loads_depend: false };

fn bench(bencher: Bencher, stream: &stream::Stream, cores: usize, options: CpuOptions) {
    let machine = Machine::preset("nehalem").expect("a bundled machine");
    let mut cpu = Cpu::new(&machine, cores, &stream.layout, options, 1).expect("options are valid");
    let ops = stream::play(&mut cpu, stream);
    bencher.counter(ItemsCount::new(ops)).bench_local(|| stream::play(&mut cpu, stream));
}

macro_rules! group {
    ($group:ident, $stream:expr) => {
        mod $group {
            use super::*;

            #[divan::bench(args = [1, 4])]
            fn ledger_off(bencher: Bencher, cores: usize) {
                bench(bencher, &$stream, cores, CpuOptions::default());
            }

            #[divan::bench(args = [1, 4])]
            fn ledger_on(bencher: Bencher, cores: usize) {
                bench(bencher, &$stream, cores, LEDGER);
            }

            #[divan::bench(args = [1, 4])]
            fn shadow_full(bencher: Bencher, cores: usize) {
                bench(bencher, &$stream, cores, CpuOptions { shadow: Shadow::Full, ..LEDGER });
            }

            #[divan::bench(args = [1, 4])]
            fn shadow_sampled(bencher: Bencher, cores: usize) {
                bench(bencher, &$stream, cores, CpuOptions { shadow: Shadow::Sampled(8), ..LEDGER });
            }
        }
    };
}

group!(scattered, stream::stream(64, 1));
group!(local, stream::local_stream(64, 1));
