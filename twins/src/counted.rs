//! Hardware events of variants: counted after everything was timed and apart from it, one event in one mode at a time, so that none takes
//! turns with another. Only variants whose work the calling thread does alone are counted, at the ends of their curves.

use crate::case::{Case, Program, Way};
use crate::error::TwinError;
use crate::parts;
use crate::runner::{Stretches, Tally, Twin, undisturbed};
use crate::{connections, datagrams, interrupted, read_loop};
use host::perf::{self, Absent, Count, Modes, Reading};
use host::statistics::median;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// A counter of the calling thread that counts inside stretches.
pub trait Counter: Stretches {
    /// What was counted since it was taken last.
    ///
    /// # Errors
    /// The counter could not be used.
    fn take(&mut self) -> Result<Reading, Absent>;
}

/// Where counters come from.
pub trait Source {
    /// A counter that does not count yet.
    ///
    /// # Errors
    /// Why there is none.
    fn open(&self, event: Count, mode: Modes) -> Result<Box<dyn Counter>, Absent>;
}

/// Counters of the kernel's perf_event.
pub struct PerfEvent;

impl Source for PerfEvent {
    fn open(&self, event: Count, mode: Modes) -> Result<Box<dyn Counter>, Absent> {
        Ok(Box::new(perf::Counting::open(event, mode)?))
    }
}

impl Stretches for perf::Counting {
    fn begins(&mut self) {
        self.start();
    }

    fn ends(&mut self) {
        self.stop();
    }
}

impl Counter for perf::Counting {
    fn take(&mut self) -> Result<Reading, Absent> {
        perf::Counting::take(self)
    }
}

/// One event in one mode, as one process counted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The event.
    pub event: Count,
    /// The mode.
    pub mode: Modes,
    /// How often.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What comes of counting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// So many in an operation.
    PerOperation(f64),
    /// Not counted, with the reason.
    Missing(String),
}

/// What is counted of which variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Series and places on them.
    pub places: Vec<(String, u32)>,
    /// Events.
    pub events: Vec<Count>,
}

impl Wanted {
    /// All events of the processor, at the places of a case at which they are counted.
    pub fn of(case: &Case) -> Wanted {
        Wanted { places: places(case), events: Count::HARDWARE.to_vec() }
    }
}

/// A counter is started and stopped around each round of requests; in rounds of fewer it would count itself.
pub const ROUND_LEAST: u32 = 16;

/// Where a case is counted: the base and the ends of each curve that the calling thread alone works on. A kernel thread that polls, a server in
/// a process of its own and a hook in another namespace are left out.
pub fn places(case: &Case) -> Vec<(String, u32)> {
    let ways = |ways: &[Way], curve: &[u32]| -> Vec<(String, u32)> {
        let alone = ways.iter().filter(|way| **way != Way::RingPolled);
        alone.flat_map(|way| ends(curve).into_iter().map(|x| (way.name().to_owned(), x))).collect()
    };
    match &case.program {
        Program::ReadLoop(own) => [vec![(read_loop::SYNCHRONOUS.to_owned(), 1)], ways(&own.ways, &own.batches)].concat(),
        Program::Datagrams(own) if own.waiting >= ROUND_LEAST => {
            [vec![(datagrams::SYNCHRONOUS.to_owned(), 1)], ways(&own.ways, &own.batches)].concat()
        }
        Program::Connections(own) => {
            let counts: Vec<u32> = own.connections.iter().copied().filter(|count| *count >= ROUND_LEAST).collect();
            let base = ends(&counts).into_iter().map(|x| (connections::SYNCHRONOUS.to_owned(), x)).collect();
            [base, ways(&own.ways, &counts)].concat()
        }
        Program::Interrupted(own) => {
            let at = |series: &'static str| ends(&own.intervals).into_iter().map(move |x| (series.to_owned(), x));
            let call = (parts::call(own.call.name()), 1);
            std::iter::once(call).chain(at(parts::USER)).chain(at(interrupted::TOTAL)).collect()
        }
        Program::Datagrams(_) | Program::Server(_) | Program::Hook(_) => Vec::new(),
    }
}

/// First and last of a curve, one of them when they are the same.
fn ends(curve: &[u32]) -> Vec<u32> {
    let mut ends: Vec<u32> = curve.first().into_iter().chain(curve.last()).copied().collect();
    ends.dedup();
    ends
}

/// Modes in which a series is counted: user work alone has no calls, and a part of a call no user work.
pub fn modes(series: &str) -> &'static [Modes] {
    if series == parts::USER {
        &[Modes::User]
    } else if series.starts_with(parts::PREFIX) {
        &[Modes::Kernel]
    } else {
        &[Modes::User, Modes::Kernel]
    }
}

/// Readings of one event; the median stands for the process.
const READINGS: u32 = 3;
/// Stretches of nothing from which the cost of starting and stopping a counter is known.
const EMPTY_STRETCHES: u32 = 64;

/// Counts a twin's events in the modes of its series, `operations` of it at a time.
///
/// # Errors
/// As [`Twin::run`]; what cannot be counted is no error but a [`Outcome::Missing`].
pub fn count(
    twin: &mut dyn Twin,
    series: &str,
    events: &[Count],
    operations: u64,
    source: &dyn Source,
    preemptions: &dyn Fn() -> i64,
) -> Result<Vec<Counted>, TwinError> {
    let mut all = Vec::new();
    for mode in modes(series) {
        for event in events {
            let outcome = match source.open(*event, *mode) {
                Ok(mut counter) => count_event(twin, operations, counter.as_mut(), preemptions)?,
                Err(absent) => Outcome::Missing(absent.0),
            };
            all.push(Counted { event: *event, mode: *mode, outcome });
        }
    }
    Ok(all)
}

/// Several readings of one counter; those that are not whole are thrown away.
fn count_event(
    twin: &mut dyn Twin,
    operations: u64,
    counter: &mut dyn Counter,
    preemptions: &dyn Fn() -> i64,
) -> Result<Outcome, TwinError> {
    let empty = match empty_stretch(counter) {
        Ok(empty) => empty,
        Err(absent) => return Ok(Outcome::Missing(absent.0)),
    };
    let (mut values, mut refused) = (Vec::new(), None);
    for _ in 0..READINGS {
        match undisturbed(|| read(twin, operations, counter, empty), preemptions)? {
            Ok(value) => values.push(value),
            Err(absent) => refused = Some(absent.0),
        }
    }
    Ok(match refused {
        Some(reason) if values.is_empty() => Outcome::Missing(reason),
        _ => Outcome::PerOperation(median(&values)),
    })
}

/// What starting and stopping the counter adds to a stretch, with the looks at the clock that twins have inside theirs.
fn empty_stretch(counter: &mut dyn Counter) -> Result<f64, Absent> {
    // the first ones warm up
    for _ in 0..2 {
        counter.take()?;
        for _ in 0..EMPTY_STRETCHES {
            counter.begins();
            std::hint::black_box(Instant::now().elapsed());
            counter.ends();
        }
    }
    Ok(counter.take()?.whole()? as f64 / f64::from(EMPTY_STRETCHES))
}

/// Counts the stretches on their way to a counter.
struct Numbered<'a> {
    counter: &'a mut dyn Counter,
    stretches: u64,
}

impl Stretches for Numbered<'_> {
    fn begins(&mut self) {
        self.stretches += 1;
        self.counter.begins();
    }

    fn ends(&mut self) {
        self.counter.ends();
    }
}

/// One reading: events of an operation, less what the counter adds itself.
fn read(twin: &mut dyn Twin, operations: u64, counter: &mut dyn Counter, empty: f64) -> Result<Result<f64, Absent>, TwinError> {
    if let Err(absent) = counter.take() {
        return Ok(Err(absent));
    }
    let mut numbered = Numbered { counter: &mut *counter, stretches: 0 };
    let Tally { operations, .. } = twin.run_in_stretches(operations, &mut numbered)?;
    let own = empty * numbered.stretches as f64;
    let whole = counter.take().and_then(|reading| reading.whole());
    Ok(whole.map(|count| (count as f64 - own).max(0.0) / operations.max(1) as f64))
}

/// What is said to be missing when nothing of the processor can be counted.
pub const MISSES: &str = "misses per structure beside hardware counters";

/// Events that cannot be counted on this host, though others can.
pub fn absent(source: &dyn Source) -> Vec<(Count, Modes, String)> {
    let pairs = Count::HARDWARE.into_iter().flat_map(|event| [Modes::User, Modes::Kernel].map(|mode| (event, mode)));
    pairs.filter_map(|(event, mode)| Some((event, mode, source.open(event, mode).err()?.0))).collect()
}

/// The same in words: what is missing, and why; events with the same reason together.
pub fn absent_in_words(absent: &[(Count, Modes, String)]) -> Vec<(String, String)> {
    let mut by_reason: BTreeMap<(&str, Vec<Modes>), Vec<&str>> = BTreeMap::new();
    for event in Count::HARDWARE {
        let of_event = || absent.iter().filter(move |one| one.0 == event);
        let mut reasons: Vec<&str> = of_event().map(|one| one.2.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let mut modes: Vec<Modes> = of_event().filter(|one| one.2 == reason).map(|one| one.1).collect();
            modes.sort_unstable();
            by_reason.entry((reason, modes)).or_default().push(event.name());
        }
    }
    let words = |((reason, modes), events): ((&str, Vec<Modes>), Vec<&str>)| {
        let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
        (format!("{}: {} in {} mode", MISSES, events.join(", "), modes.join(" and ")), reason.to_owned())
    };
    by_reason.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{cases, find};
    use crate::runner::Uncounted;
    use host::memory::{Pages, Region, SMALL_PAGE_BYTES};
    use std::cell::Cell;
    use std::rc::Rc;

    /// Work that is counted by hand: a made-up counter sees what the twin notes here.
    #[derive(Default)]
    struct Events {
        happened: Cell<u64>,
        /// Of each nanosecond of its time, thousandths for which it ran.
        running_permille: Cell<u64>,
    }

    /// Ten operations in each stretch, each with three events; two more happen between stretches, where clients are.
    struct Rounds(Rc<Events>);

    impl Twin for Rounds {
        fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
            self.run_in_stretches(operations, &mut Uncounted)
        }

        fn run_in_stretches(&mut self, operations: u64, stretches: &mut dyn Stretches) -> Result<Tally, TwinError> {
            let happened = |more: u64| self.0.happened.set(self.0.happened.get() + more);
            let rounds = operations.div_ceil(10);
            for _ in 0..rounds {
                happened(2);
                stretches.begins();
                happened(30);
                stretches.ends();
            }
            Ok(Tally { operations: rounds * 10, ..Tally::default() })
        }
    }

    struct MadeUp {
        events: Rc<Events>,
        begun: u64,
        counted: Reading,
    }

    /// Starting and stopping it costs five events.
    impl Stretches for MadeUp {
        fn begins(&mut self) {
            self.begun = self.events.happened.get();
        }

        fn ends(&mut self) {
            self.counted.count += 5 + self.events.happened.get() - self.begun;
            self.counted.enabled_ns += 1000;
            self.counted.running_ns += self.events.running_permille.get();
        }
    }

    impl Counter for MadeUp {
        fn take(&mut self) -> Result<Reading, Absent> {
            Ok(std::mem::take(&mut self.counted))
        }
    }

    /// A host that lacks one event in one mode.
    struct Host(Rc<Events>);

    impl Source for Host {
        fn open(&self, event: Count, mode: Modes) -> Result<Box<dyn Counter>, Absent> {
            if (event, mode) == (Count::LastLevelMisses, Modes::Kernel) {
                return Err(Absent("no such event".into()));
            }
            Ok(Box::new(MadeUp { events: Rc::clone(&self.0), begun: 0, counted: Reading::default() }))
        }
    }

    fn host(running_permille: u64) -> (Rc<Events>, Host) {
        let events = Rc::new(Events { happened: Cell::new(0), running_permille: Cell::new(running_permille) });
        (Rc::clone(&events), Host(events))
    }

    #[test]
    fn only_stretches_count_and_the_counters_own_cost_does_not() {
        let (events, host) = host(1000);
        let counted = count(&mut Rounds(events), "a curve", &[Count::L1dMisses, Count::LastLevelMisses], 95, &host, &|| 0).unwrap();
        let own = |event, mode, outcome| Counted { event, mode, outcome };
        let three = || Outcome::PerOperation(3.0);
        assert_eq!(
            counted,
            [
                own(Count::L1dMisses, Modes::User, three()),
                own(Count::LastLevelMisses, Modes::User, three()),
                own(Count::L1dMisses, Modes::Kernel, three()),
                own(Count::LastLevelMisses, Modes::Kernel, Outcome::Missing("no such event".into())),
            ]
        );
        let text = serde_json::to_string(&counted).unwrap();
        assert!(text.contains(r#"{"event":"l1d_misses","mode":"user","per_operation":3.0}"#), "{text}");
        assert_eq!(serde_json::from_str::<Vec<Counted>>(&text).unwrap(), counted);
    }

    #[test]
    fn readings_of_counters_that_took_turns_are_refused() {
        let (events, host) = host(400);
        let counted = count(&mut Rounds(events), "a curve", &[Count::Cycles], 10, &host, &|| 0).unwrap();
        let refused = |one: &Counted| matches!(&one.outcome, Outcome::Missing(why) if why.contains("only"));
        assert!(counted.len() == 2 && counted.iter().all(refused), "{counted:?}");
    }

    /// Faults fresh pages in, a page an operation.
    struct FreshPages;

    impl Twin for FreshPages {
        fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
            let mut region = Region::new(operations as usize * SMALL_PAGE_BYTES, Pages::Small)?;
            region.touch();
            Ok(Tally { operations, ..Tally::default() })
        }
    }

    /// Page faults go the whole way of a processor's events, on hosts without any of these too.
    #[test]
    fn page_faults_are_counted_through_perf_event_or_a_reason_is_given() {
        let counted = count(&mut FreshPages, parts::USER, &[Count::PageFaults], 256, &PerfEvent, &|| 0).unwrap();
        match &counted[..] {
            [Counted { outcome: Outcome::PerOperation(faults), .. }] => assert!((1.0..1.1).contains(faults), "{faults}"),
            [Counted { outcome: Outcome::Missing(why), .. }] => assert!(why.contains("perf_event"), "{why}"),
            _ => panic!("one event in one mode: {counted:?}"),
        }
    }

    #[test]
    fn ends_of_curves_are_counted_where_the_thread_works_alone() {
        let of = |name: &str| places(&find(name).unwrap());
        let place = |series: &str, x: u32| (series.to_owned(), x);
        assert_eq!(of("tcp"), [place("epoll", 16), place("epoll", 256), place("io_uring", 16), place("io_uring", 256)]);
        let reads =
            [("synchronous", 1), ("io_uring", 1), ("io_uring", 64), ("io_uring, registered", 1), ("io_uring, registered", 64)];
        assert_eq!(of("read-loop-0"), reads.map(|(series, x)| place(series, x)));
        assert!(of("interrupted-null-mix").contains(&place("part getppid", 1)));
        assert!(of("udp").contains(&place("recvmmsg/sendmmsg", 64)));
        let elsewhere = |case: &&Case| matches!(case.program, Program::Server(_) | Program::Hook(_));
        assert!(cases().unwrap().iter().filter(elsewhere).all(|case| places(case).is_empty()));
        assert_eq!((modes("part user"), modes("part getppid")), (&[Modes::User][..], &[Modes::Kernel][..]));
    }

    #[test]
    fn what_is_absent_for_the_same_reason_is_said_together() {
        let (_, host) = host(1000);
        let words = absent_in_words(&absent(&host));
        assert_eq!(words, [(format!("{MISSES}: LLC-load-misses in kernel mode"), "no such event".to_owned())]);
        let both = [
            (Count::Cycles, Modes::User),
            (Count::Cycles, Modes::Kernel),
            (Count::Instructions, Modes::User),
            (Count::Instructions, Modes::Kernel),
        ];
        let both = both.map(|(event, mode)| (event, mode, "closed".to_owned()));
        assert_eq!(absent_in_words(&both)[0].0, format!("{MISSES}: cycles, instructions in user and kernel mode"));
    }
}
