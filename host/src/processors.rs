//! The processors that this process may use, and pinning a thread to one of them.

use crate::error::HostError;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const NEXT: &str = "run the program where it may set its own processors";

/// Numbers of the processors that the calling thread may run on, in order.
///
/// # Errors
/// The operating system does not say.
pub fn allowed() -> Result<Vec<usize>, HostError> {
    let set = sched_getaffinity(None).map_err(HostError::system("asking for the allowed processors", NEXT))?;
    Ok((0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect())
}

/// The calling thread stays on one processor while this lives; then it may run where it could before.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
    /// A set belongs to the thread that took it.
    _not_sent: std::marker::PhantomData<*const ()>,
}

impl Pinned {
    /// Pins the calling thread.
    ///
    /// # Errors
    /// The processor does not exist or is not allowed.
    pub fn to(processor: usize) -> Result<Pinned, HostError> {
        let before = sched_getaffinity(None).map_err(HostError::system("asking for the allowed processors", NEXT))?;
        let mut only = CpuSet::new();
        if processor < CpuSet::MAX_CPU {
            only.set(processor);
        }
        sched_setaffinity(None, &only).map_err(HostError::system(format!("pinning a thread to processor {processor}"), NEXT))?;
        Ok(Pinned { before, _not_sent: std::marker::PhantomData })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A processor may have gone meanwhile; the thread then stays where it is, which harms nobody.
        sched_setaffinity(None, &self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_for_a_while() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        {
            let _pinned = Pinned::to(last).unwrap();
            assert_eq!(allowed().unwrap(), [last]);
            assert_eq!(rustix::thread::sched_getcpu(), last);
        }
        assert_eq!(allowed().unwrap(), before);
    }

    #[test]
    fn a_processor_that_does_not_exist_is_named() {
        let message = Pinned::to(CpuSet::MAX_CPU).unwrap_err().to_string();
        assert!(message.contains(&format!("processor {}", CpuSet::MAX_CPU)), "{message}");
    }
}
