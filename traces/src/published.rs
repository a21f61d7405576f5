//! Programs of published measurements: bundled recordings with the published amount of work.
//!
//! The papers give user and kernel instructions per call of their servers on kernels that nobody can record any more. Each program
//! here is the bundled recording of the same server, its user work scaled to the published amount (rule in [`crate::scale`]), with the
//! kernel work that is known of it under the published kernel. Under any other kernel it makes the recorded kernel work.
//!
//! Factors are published instructions per call / simulated instructions per call of the recording (`sync`, one core, machine
//! `nehalem-atc11`); the calibration makes them anew and says when one is off.

use crate::bundled;
use crate::error::TraceError;
use crate::scale::{UNCHANGED, scaled_mode};
use sim_core::ids::Mode;
use sim_core::workload::{Certainty, Note, Program, RequestClass, StatedKernelWork, Workload};

/// One published program.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Name to ask for.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// The bundled workload that it is made of.
    pub base: &'static str,
    /// The kernel of the publication.
    pub kernel: &'static str,
    /// Thousandths of the recorded user work.
    pub user_permille: u32,
    /// Thousandths of the recorded kernel work under the published kernel; nothing when none is published.
    pub kernel_permille: Option<u32>,
    /// Where the amounts of work come from.
    pub source: &'static str,
    /// Cycles per thousand user instructions when nothing misses: the one value fitted for each program, to its synchronous row.
    pub user_base_cpi_milli: Option<u32>,
    /// What else differs from the recording.
    change: fn(&mut Workload),
}

const fn same(_: &mut Workload) {}

/// All published programs.
pub static PUBLISHED: [Published; 6] = [
    Published {
        name: "memcached-memslap",
        description: "memcached under memslap, 90 % get and 10 % set (ATC 2011): 3,750 user and 5,420 kernel instructions a call",
        base: "memcached",
        kernel: "linux-2.6.33",
        user_permille: 2909,
        kernel_permille: Some(712),
        source: "ATC 2011, table 1",
        user_base_cpi_milli: Some(543),
        change: same,
    },
    Published {
        name: "nginx-ab",
        description: "nginx under ApacheBench, a connection per request (ATC 2011): 1,460 user and 6,540 kernel instructions a call",
        base: "nginx",
        kernel: "linux-2.6.33",
        user_permille: 1003,
        kernel_permille: Some(1111),
        source: "ATC 2011, table 1",
        user_base_cpi_milli: Some(1129),
        change: same,
    },
    Published {
        name: "nginx-httperf",
        description: "nginx under httperf (ATC 2011): keep-alive connections that come and go, files of 64 bytes to 8 KiB; use it with \
                      --rate and --requests-per-connection 20",
        base: "nginx-keepalive",
        kernel: "linux-2.6.33",
        // the program and the kernel of nginx-ab: its factors, though the requests differ
        user_permille: 1003,
        kernel_permille: Some(1111),
        source: "ATC 2011, table 1 (ApacheBench)",
        user_base_cpi_milli: Some(1129),
        change: httperf_files,
    },
    Published {
        name: "apache-ab",
        description: "Apache with a thread per connection under ApacheBench (OSDI 2010): 3,368 user instructions a call",
        base: "apache",
        kernel: "linux-2.6.33",
        user_permille: 1014,
        kernel_permille: None,
        source: "OSDI 2010, table 2 as commonly quoted: a guess within 30 %",
        user_base_cpi_milli: Some(1092),
        change: threads,
    },
    Published {
        name: "mysql-sysbench",
        description: "MySQL under sysbench (OSDI 2010): 12,435 user instructions a call. Nothing was recorded of it: a server with a thread \
                      per connection stands in",
        base: "threads",
        kernel: "linux-2.6.33",
        user_permille: 14764,
        kernel_permille: None,
        source: "OSDI 2010, table 2 as commonly quoted: a guess within 30 %",
        user_base_cpi_milli: None,
        change: threads,
    },
    Published {
        name: "memcached-udp-memaslap",
        description: "memcached over UDP, single-key gets, one worker, under memaslap (lua_syscall): recorded work",
        base: "memcached-udp",
        kernel: "freebsd-10.1-i386",
        user_permille: UNCHANGED,
        kernel_permille: None,
        source: "the recording: no instruction counts are published",
        user_base_cpi_milli: Some(543),
        change: one_worker,
    },
];

/// Sizes of the files that httperf's session log asks for: 64 bytes to 8 kilobytes are published (ATC 2011, section 6.2.2), not the
/// sizes in between nor how often each is asked for.
const FILE_BYTES: [u32; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
/// Requests for each size out of 1,000: in inverse proportion to the square root of the size, a guess. The mean file has 724 bytes.
/// Equal shares (a mean of 2,040 bytes) would fill the published link of 1 Gb/s at 49,000 requests a second, and the paper offers more
/// with the remark that the network was not to become the bottleneck.
const SHARES_PERMILLE: [u32; 8] = [312, 221, 156, 110, 78, 55, 40, 28];
/// Mean size of those files.
pub fn httperf_mean_file_bytes() -> f64 {
    let bytes: u32 = FILE_BYTES.iter().zip(SHARES_PERMILLE).map(|(bytes, share)| bytes * share).sum();
    f64::from(bytes) / f64::from(SHARES_PERMILLE.iter().sum::<u32>())
}

/// The call that sends the file.
const SEND_FILE: &str = "sendfile";

/// A class for each size of file. Only the bytes on the wire and the packets differ: the file's pages are handed to the network card
/// without a copy, so that a call makes the same work for any size (recordings with files of 512 and 4,096 bytes differ by 1 %).
fn httperf_files(workload: &mut Workload) {
    let recorded = std::mem::take(&mut workload.classes);
    for class in &recorded {
        for (bytes, share) in FILE_BYTES.into_iter().zip(SHARES_PERMILLE) {
            workload.classes.push(with_file(class, bytes, share));
        }
    }
    let text = "files of 64 bytes to 8 KiB, their shares in inverse proportion to the square root of the size".to_owned();
    workload.notes.push(Note { certainty: Certainty::Guessed, text, count: FILE_BYTES.len() as u64 });
}

fn with_file(class: &RequestClass, bytes: u32, share: u32) -> RequestClass {
    let mut made = class.clone();
    made.name = format!("{}-{bytes}", class.name);
    made.recorded = class.recorded * share;
    let mut file_bytes = 0;
    for step in made.chains.iter_mut().flat_map(|chain| &mut chain.steps).filter(|step| step.call.name() == SEND_FILE) {
        file_bytes = step.bytes;
        step.bytes = bytes;
    }
    made.reply_bytes = class.reply_bytes - file_bytes.min(class.reply_bytes) + bytes;
    made
}

/// The published servers have a thread, not a process, per connection.
fn threads(workload: &mut Workload) {
    workload.program = Program::ThreadPerConnection;
}

fn one_worker(workload: &mut Workload) {
    workload.single_threaded = true;
}

/// The published program of a name.
pub fn find(name: &str) -> Option<&'static Published> {
    PUBLISHED.iter().find(|published| published.name == name)
}

impl Published {
    /// Makes the workload.
    ///
    /// # Errors
    /// None as long as the bundled capture is whole.
    pub fn load(&self) -> Result<Workload, TraceError> {
        let mut workload = self.unscaled()?;
        if self.user_permille != UNCHANGED {
            workload = scaled_mode(&workload, Mode::User, self.user_permille);
        }
        let text = format!("user work scaled to {} thousandths of the recording's ({})", self.user_permille, self.source);
        workload.notes.push(Note { certainty: Certainty::Guessed, text, count: 1 });
        workload.stated_kernel_work = self.kernel_work().into_iter().collect();
        Ok(workload)
    }

    /// The workload with the recorded amount of work.
    ///
    /// # Errors
    /// None as long as the bundled capture is whole.
    pub fn unscaled(&self) -> Result<Workload, TraceError> {
        let mut workload = bundled::load(self.base)?;
        workload.name = self.name.into();
        workload.description = self.description.into();
        workload.user_base_cpi_milli = self.user_base_cpi_milli;
        (self.change)(&mut workload);
        Ok(workload)
    }

    fn kernel_work(&self) -> Option<StatedKernelWork> {
        let permille = self.kernel_permille?;
        Some(StatedKernelWork { kernel: self.kernel.into(), permille, source: self.source.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::BlockId;
    use sim_core::workload::Effect;

    fn instructions(workload: &Workload, mode: Mode) -> u64 {
        let infos = (1..workload.blocks.len()).map(|index| workload.blocks.info(BlockId(index as u32)));
        infos.filter(|info| info.mode == mode).map(|info| u64::from(info.instructions)).sum()
    }

    #[test]
    fn user_work_is_scaled_and_kernel_work_only_stated() {
        for published in &PUBLISHED {
            let (recorded, made) = (published.unscaled().unwrap(), published.load().unwrap());
            let ratio = instructions(&made, Mode::User) as f64 / instructions(&recorded, Mode::User) as f64;
            let off = ratio * 1000.0 / f64::from(published.user_permille) - 1.0;
            assert!(off.abs() < 0.1, "{}: {ratio}", published.name);
            assert_eq!(instructions(&made, Mode::Kernel), instructions(&recorded, Mode::Kernel), "{}", published.name);
            assert_eq!(made.stated_kernel_work.len(), usize::from(published.kernel_permille.is_some()));
        }
    }

    #[test]
    fn httperf_asks_for_files_of_the_published_sizes() {
        let made = find("nginx-httperf").unwrap().unscaled().unwrap();
        assert!(made.connection.is_recorded());
        let header = made.classes[0].reply_bytes - FILE_BYTES[0];
        let mut bytes = 0.0;
        for (class, size) in made.classes.iter().zip(FILE_BYTES.iter().cycle()) {
            assert_eq!(class.reply_bytes, header + size, "{}", class.name);
            let steps = &class.chains[0].steps;
            let sent: u32 =
                steps.iter().filter(|step| matches!(step.effect, Effect::Send | Effect::SendLast)).map(|step| step.bytes).sum();
            assert_eq!(sent, class.reply_bytes, "{}", class.name);
            bytes += f64::from(class.recorded) * f64::from(*size);
        }
        let mean = bytes / made.recorded_in_classes() as f64;
        assert!((720.0..735.0).contains(&mean), "{mean}");
    }

    #[test]
    fn names_are_their_own() {
        for published in &PUBLISHED {
            assert!(bundled::find(published.name).is_err(), "{}", published.name);
            assert_eq!(find(published.name).unwrap().base, published.base);
        }
    }
}
