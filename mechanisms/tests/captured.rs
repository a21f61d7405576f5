//! The simulation beside the captures that it was distilled from: under the recorded client a run is the recording again.

use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, simulate};
use os_model::clients::ClientKind;
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::workload::Workload;
use traces::distil::{DistilOptions, distil};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/data/captures/");

fn recorded(workload: &Workload, connections: u32) -> Sample {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.clients.kind = ClientKind::Recorded;
    settings.run.connections = connections;
    settings.run.requests = 800;
    simulate(workload, &settings, Mechanism::Sync, 1).unwrap()
}

fn capture(name: &str) -> Workload {
    let file = std::fs::read(format!("{DATA}{name}.trace")).unwrap();
    let maps = std::fs::read_to_string(format!("{DATA}{name}.maps.txt")).unwrap();
    let options = DistilOptions { name, maps: Some(&maps), ..traces::bundled::library_options() };
    distil(&file, &options).unwrap()
}

fn golden(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{DATA}{name}.golden.json")).unwrap()).unwrap()
}

/// Handlers per reply of a call in the simulation.
fn per_reply(sample: &Sample, call: &str) -> f64 {
    let number = CallNumber::from_name(call).unwrap();
    sample.calls[usize::from(number.0)] as f64 / sample.replies as f64
}

fn within(what: &str, simulated: f64, recorded: f64, percent: f64) {
    let error = (simulated / recorded - 1.0) * 100.0;
    assert!(error.abs() <= percent, "{what}: simulated {simulated:.3}, recorded {recorded:.3}, {error:+.1} %");
}

/// Calls per reply and instructions of the calls that a request is made of, beside the golden totals.
#[test]
fn calls_and_their_instructions_are_those_of_the_capture() {
    for (bundled, name, calls) in [
        ("memcached", "mc-16-rx-off", &["read", "sendmsg"][..]),
        ("redis", "redis-16-rx-off", &["read", "write"][..]),
        ("nginx-keepalive", "nginxka-512-rx-off", &["recvfrom", "openat", "newfstatat", "sendfile"][..]),
    ] {
        let workload = traces::bundled::load(bundled).unwrap();
        let sample = recorded(&workload, 16);
        let golden = golden(name);
        for call in calls {
            within(&format!("{bundled}: {call} per reply"), per_reply(&sample, call), 1.0, 5.0);
            let number = CallNumber::from_name(call).unwrap();
            let row = &golden["syscalls"][number.0.to_string()];
            let recorded = row["instructions"].as_f64().unwrap() / row["count"].as_f64().unwrap();
            let counters = sample.agents.iter().find(|(agent, _)| agent.as_call() == Some(number)).unwrap().1;
            let simulated = counters.instructions as f64 / sample.calls[usize::from(number.0)] as f64;
            // what the scheduler did inside a recorded call is counted as the scheduler's in the simulation: up to 15 % of a send
            let slack = if matches!(*call, "sendmsg" | "write") { 15.0 } else { 5.0 };
            within(&format!("{bundled}: instructions of {call}"), simulated, recorded, slack);
        }
    }
}

/// Renaming (MODEL.md section 3): a recording of 16 connections, run with 64, against a recording of 64.
#[test]
fn sixteen_connections_predict_sixty_four() {
    let predicted = recorded(&capture("mc-16-off"), 64);
    let reference = recorded(&capture("mc-64-off"), 64);
    let per = |sample: &Sample, count: u64| count as f64 / sample.replies as f64;
    for mode in Mode::ALL {
        let instructions = |sample: &Sample| per(sample, sample.counters.mode(mode).instructions);
        within(&format!("{} instructions", mode.name()), instructions(&predicted), instructions(&reference), 5.0);
    }
    let cpi = |sample: &Sample, mode: Mode| {
        let own = sample.counters.mode(mode);
        own.cycles as f64 / own.instructions as f64
    };
    // 5 % were wanted of both: D36 of validation/DEVIATIONS.md, which goes when user CPI is nearer
    let user_off = cpi(&predicted, Mode::User) / cpi(&reference, Mode::User) - 1.0;
    assert!((0.045..=0.055).contains(&user_off), "user CPI {:+.1} %", 100.0 * user_off);
    within("kernel CPI", cpi(&predicted, Mode::Kernel), cpi(&reference, Mode::Kernel), 5.0);
    let calls = |sample: &Sample| per(sample, sample.calls.iter().sum());
    within("calls per reply", calls(&predicted), calls(&reference), 5.0);
}
