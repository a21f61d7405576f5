//! The kernel's account of a program's processor time: `schedstat` of each of its threads, in nanoseconds.

use crate::error::TwinError;
use std::io::ErrorKind;
use std::time::Duration;

/// Whether the kernel keeps such an account.
///
/// # Errors
/// When it does not.
pub fn available() -> Result<(), TwinError> {
    processor_time(&[std::process::id()]).map(drop)
}

/// Threads of processes.
///
/// # Errors
/// When a process has gone.
pub fn threads(processes: &[u32]) -> Result<Vec<u32>, TwinError> {
    let mut all = Vec::new();
    for process in processes {
        let folder = std::fs::read_dir(format!("/proc/{process}/task")).map_err(TwinError::host("the threads of a server"))?;
        all.extend(folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()));
    }
    all.sort_unstable();
    Ok(all)
}

/// Processor time of all threads of processes, in user and in kernel mode, with what interrupts took meanwhile. Exact as long as none of
/// them runs while it is asked for.
///
/// # Errors
/// When a process has gone, or the kernel keeps no such account.
pub fn processor_time(processes: &[u32]) -> Result<Duration, TwinError> {
    let mut sum = Duration::ZERO;
    for process in processes {
        for thread in threads(&[*process])? {
            match std::fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")) {
                Ok(text) => sum += on_processor(&text)?,
                // a thread that has just ended
                Err(error) if error.kind() == ErrorKind::NotFound && std::path::Path::new("/proc/self/schedstat").exists() => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(TwinError::Lacking("the kernel keeps no schedstat (CONFIG_SCHED_INFO)".into()));
                }
                Err(error) => return Err(TwinError::host("schedstat of a server")(error)),
            }
        }
    }
    Ok(sum)
}

/// The first number: nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
fn on_processor(text: &str) -> Result<Duration, TwinError> {
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.map(Duration::from_nanos).ok_or_else(|| TwinError::Lacking(format!("schedstat says '{}', no number", text.trim())))
}

/// Processes with this parent.
pub fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut own: Vec<u32> = numbers.filter(|process| parent_of(*process) == Some(parent)).collect();
    own.sort_unstable();
    own
}

/// The fourth field of `stat`; the second one, the name in parentheses, may hold anything.
fn parent_of(process: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_this_process_grows_and_names_its_parent() {
        assert_eq!(on_processor("1500 20 3\n").unwrap(), Duration::from_nanos(1500));
        assert!(on_processor("nothing").unwrap_err().to_string().contains("'nothing'"));
        let own = std::process::id();
        assert!(threads(&[own]).unwrap().contains(&own));
        let parent = parent_of(own).unwrap();
        assert!(children(parent).contains(&own));
        if available().is_ok() {
            assert!(processor_time(&[own]).unwrap() > Duration::ZERO);
        }
    }
}
