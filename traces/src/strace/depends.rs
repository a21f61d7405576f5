//! Which calls of a request must have completed before another may be issued.
//!
//! What is known: a descriptor must have been made before it is used, calls on one descriptor keep their order, what was read goes
//! into the send after it, a path comes out of the request or an earlier path call, and calls with effects of which nothing else is
//! known come after what was received, or keep their place.

use super::StraceCall;
use super::requests::Role;
use std::collections::BTreeMap;

/// Chains up to this length get their dependencies reduced to the direct ones; in longer ones (runs of sequential programs) only
/// doubles are left out, because the reduction is quadratic.
const REDUCED_STEPS: usize = 2_048;

/// Dependencies of each step, ascending, each on earlier steps only.
pub(super) fn depends(steps: &[(&StraceCall, Role)]) -> Vec<Vec<u16>> {
    let mut found: Vec<Vec<u16>> = Vec::with_capacity(steps.len());
    let mut last_on: BTreeMap<u32, u16> = BTreeMap::new();
    let (mut receive, mut path) = (None, None);
    let mut unsent: Vec<u16> = Vec::new();
    for (index, (call, role)) in steps.iter().enumerate() {
        let mut needs: Vec<u16> =
            call.descriptors.iter().filter_map(|descriptor| last_on.get(&descriptor.instance)).copied().collect();
        if *role == Role::Send {
            needs.append(&mut unsent);
            needs.extend(receive);
        }
        let on_path = call.descriptors.is_empty() || !call.made.is_empty();
        if on_path && *role != Role::Accept {
            needs.extend(receive);
            needs.extend(path);
        }
        if needs.is_empty() {
            // Arguments may come out of the request; without one, calls with effects keep their place.
            let before = (*role != Role::Other && index > 0).then(|| index as u16 - 1);
            needs.extend(receive.or(before));
        }
        let index = index as u16;
        for descriptor in call.descriptors.iter().chain(&call.made) {
            last_on.insert(descriptor.instance, index);
        }
        match role {
            Role::Receive => receive = Some(index),
            Role::Accept => receive = receive.or(Some(index)),
            Role::Other if call.bytes > 0 => unsent.push(index),
            _ => {}
        }
        if on_path {
            path = Some(index);
        }
        needs.sort_unstable();
        needs.dedup();
        found.push(needs);
    }
    if steps.len() <= REDUCED_STEPS { reduced(&found) } else { found }
}

/// Leaves out what follows from other dependencies.
fn reduced(all: &[Vec<u16>]) -> Vec<Vec<u16>> {
    let words = all.len().div_ceil(64);
    let mut before: Vec<Vec<u64>> = Vec::with_capacity(all.len());
    let mut direct = Vec::with_capacity(all.len());
    for needs in all {
        let mut reached = vec![0u64; words];
        let mut kept = Vec::new();
        for need in needs.iter().rev() {
            let (word, bit) = (usize::from(*need) / 64, 1u64 << (need % 64));
            if reached[word] & bit == 0 {
                kept.push(*need);
                reached[word] |= bit;
                reached.iter_mut().zip(&before[usize::from(*need)]).for_each(|(all, earlier)| *all |= earlier);
            }
        }
        kept.reverse();
        before.push(reached);
        direct.push(kept);
    }
    direct
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strace::read;

    #[test]
    fn a_file_server_reads_what_it_opened_and_sends_what_it_read() {
        let text = "1 recvfrom(5<TCP:[a:1->b:2]>, \"GET\"..., 1024, 0, NULL, NULL) = 100\n\
            1 newfstatat(AT_FDCWD, \"/a\", {st_size=10}, 0) = 0\n\
            1 openat(AT_FDCWD, \"/a\", O_RDONLY) = 6</a>\n\
            1 getpid() = 1\n\
            1 read(6</a>, \"x\"..., 10) = 10\n\
            1 writev(5<TCP:[a:1->b:2]>, [{iov_base=\"H\", iov_len=1}], 1) = 1\n\
            1 close(6</a>) = 0\n\
            1 setsockopt(5<TCP:[a:1->b:2]>, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n";
        let calls = read(text.as_bytes(), "t", false).unwrap().calls;
        let roles = [Role::Receive, Role::Other, Role::Other, Role::Other, Role::Other, Role::Send, Role::Other, Role::Other];
        let steps: Vec<_> = calls.iter().zip(roles).collect();
        assert_eq!(depends(&steps), [vec![], vec![0], vec![1], vec![2], vec![2], vec![4], vec![4], vec![5]]);
    }

    #[test]
    fn reduction_keeps_what_is_reachable() {
        let all = vec![vec![], vec![0], vec![0, 1], vec![0, 1, 2], vec![1]];
        assert_eq!(reduced(&all), [vec![], vec![0], vec![1], vec![2], vec![1]]);
    }
}
