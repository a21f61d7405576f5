//! Scripts and services in the kernel: lua_syscall and WYKIWYG.

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows::sweep::{self, Point};
use crate::server_run::{ServerRun, brief, ratio};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::variants::Way;

/// Requests in flight in lua_syscall's experiment.
const IN_FLIGHT: u32 = 128;
/// Instruction counts of the recorded UDP server stand for an unpublished 32-bit FreeBSD: the range over this much more or less is
/// shown.
const WORK_PERMILLE: [u32; 2] = [700, 1300];
/// Kernel that lua_syscall was built into.
const FREEBSD: &str = "freebsd-10.1-i386";

/// One worker on one core, memaslap with four threads on another machine. Neither processor nor network was published: a Nehalem and
/// 1 Gb/s are guesses.
fn memcached_udp() -> Result<ServerRun, Stop> {
    let mut settings = Settings::preset("nehalem", FREEBSD)?;
    settings.kernel.mitigations = os_model::kernel::Mitigations::Off;
    settings.clients.link_rate_mbps = 1000.0;
    settings.clients.cores = 4;
    brief(&mut settings);
    Ok(ServerRun::new("memcached-udp-memaslap", settings))
}

/// lua_syscall's experiment: a script that receives and sends up to 16 messages.
///
/// # Errors
/// As [`Lab::ask`].
pub fn lua_syscall(lab: &Lab) -> Result<Point, Stop> {
    sweep::pair(lab, &memcached_udp()?, SCRIPT, IN_FLIGHT)
}

const SCRIPT: Way = Way { mechanism: Mechanism::BatchedScript, variant: Some("script") };

/// S1.
///
/// # Errors
/// As [`Lab::ask`].
pub fn batched_script(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let of = |point: &Point| if row.id == "S1-t" { point.gain() } else { point.latency_change() };
    let varied = WORK_PERMILLE.map(|permille| {
        let run = memcached_udp()?.reps(1).recipe(|recipe| (recipe.user_permille, recipe.kernel_permille) = (permille, permille));
        sweep::pair(lab, &run, SCRIPT, IN_FLIGHT)
    });
    let point = lua_syscall(lab)?;
    let rests_on = format!("{IN_FLIGHT} requests in flight, batches of at most 16{}", sweep::limits(&point));
    let varied = varied.into_iter().collect::<Result<Vec<Point>, _>>()?;
    let freedom = format!("instructions per call +-30 %{}", varied.iter().map(sweep::limits).collect::<String>());
    Ok(Outcome::number(of(&point), rests_on).over(freedom, &varied.iter().map(|point| of(point).mean).collect::<Vec<_>>()))
}

/// Recorded servers for which a service in WYKI comes with the program.
const SERVICES: [&str; 4] = ["memcached", "memcached-udp", "redis", "nginx-keepalive"];

/// S5: the abstract names network services and says "up to"; the service that gains most is shown.
///
/// # Errors
/// As [`Lab::ask`].
pub fn in_kernel(lab: &Lab, _row: &Row) -> Result<Outcome, Stop> {
    let mut settings = Settings::preset("nehalem", "linux-6.1")?;
    brief(&mut settings);
    let asked = SERVICES.map(|name| {
        let run = ServerRun::new(name, settings.clone());
        (name, sweep::pair(lab, &run, Mechanism::InKernelDsl.into(), IN_FLIGHT))
    });
    let mut gains = Vec::new();
    for (name, point) in asked {
        let point = point?;
        gains.push((name, ratio(&point.own, &point.base, |run| run.throughput_rps)));
    }
    let each: Vec<String> = gains.iter().map(|(name, ratio)| format!("{name} {:.2}", ratio.mean)).collect();
    let best = gains.iter().max_by(|left, right| left.1.mean.total_cmp(&right.1.mean));
    let best = best.ok_or_else(|| Stop::failed("no services"))?;
    Ok(Outcome::number(best.1, format!("the service that gains most of {} on one core, {IN_FLIGHT} connections", each.join(", "))))
}
