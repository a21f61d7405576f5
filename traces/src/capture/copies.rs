//! Finding repeated string instructions.
//!
//! `rep movs` counts as one instruction however many iterations it makes, and leaves alternating load and store lines behind one
//! short run. Executed line by line it would look like a handful of instructions with a long tail of unrelated touches; so such a tail
//! gets an [`OpKind::Copy`] in front, which tells the processor model to price it as a string operation.

use sim_core::block::{Op, OpKind};

/// A run with more instructions than this is ordinary code (MODEL.md section 1: "a run with small n").
const RUN_INSTRUCTIONS_MAX: u16 = 8;
/// Fewest alternating touches of a copy (MODEL.md section 1: "four or more alternating load and store lines").
const ALTERNATING_TOUCHES_MIN: usize = 4;

/// Appends `ops` to `out`, with a copy mark before the touches of each run that looks like a repeated string instruction.
pub fn push_with_copies(ops: &[Op], out: &mut Vec<Op>) {
    let mut at = 0;
    while at < ops.len() {
        let run = ops[at];
        let touches = ops[at + 1..].iter().take_while(|op| op.kind != OpKind::Fetch).count();
        out.push(run);
        let tail = &ops[at + 1..at + 1 + touches];
        if run.kind == OpKind::Fetch
            && run.count <= RUN_INSTRUCTIONS_MAX
            && let Some((start, length)) = longest_alternation(tail)
            && length >= ALTERNATING_TOUCHES_MIN
        {
            out.extend_from_slice(&tail[..start]);
            let first = tail[start];
            let lines = u16::try_from(length.div_ceil(2)).unwrap_or(u16::MAX);
            out.push(Op { kind: OpKind::Copy, count: lines, ..first });
            out.extend_from_slice(&tail[start..]);
        } else {
            out.extend_from_slice(tail);
        }
        at += 1 + touches;
    }
}

/// Start and length of the longest stretch in which loads and stores alternate and no line comes twice in a row of its kind.
fn longest_alternation(touches: &[Op]) -> Option<(usize, usize)> {
    let mut best = None;
    let mut start = 0;
    for at in 0..touches.len() {
        let goes_on =
            at > start && touches[at].kind != touches[at - 1].kind && (at < start + 2 || moves_on(touches[at - 2], touches[at]));
        if !goes_on && at > start {
            start = if at > 0 && touches[at].kind != touches[at - 1].kind { at - 1 } else { at };
        }
        let length = at + 1 - start;
        if best.is_none_or(|(_, longest)| length > longest) {
            best = Some((start, length));
        }
    }
    best
}

/// Loads (and stores) of a copy go through memory; the same pair of lines again and again is something else.
fn moves_on(before: Op, now: Op) -> bool {
    (before.region, before.offset) != (now.region, now.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::Region;

    fn op(kind: OpKind, offset: u32, count: u16) -> Op {
        Op { offset, count, region: Region::Fixed, kind }
    }

    #[test]
    fn a_short_run_with_alternating_lines_is_a_copy() {
        let mut ops = vec![op(OpKind::Fetch, 1, 2), op(OpKind::Load, 50, 0)];
        for line in 0..4 {
            ops.push(op(OpKind::Load, 100 + line, 0));
            ops.push(op(OpKind::Store, 200 + line, 0));
        }
        ops.push(op(OpKind::Fetch, 2, 5));
        let mut out = Vec::new();
        push_with_copies(&ops, &mut out);
        assert_eq!(out.len(), ops.len() + 1);
        assert_eq!(out[2], op(OpKind::Copy, 100, 4));
        assert_eq!(out.iter().filter(|op| op.kind == OpKind::Copy).count(), 1);
    }

    #[test]
    fn long_runs_and_repeated_pairs_are_not() {
        let touches = |moving: u32| {
            (0..8).map(move |step| {
                op(if step % 2 == 0 { OpKind::Load } else { OpKind::Store }, 9 + step / 2 * moving + step % 2 * 90, 0)
            })
        };
        for (count, moving) in [(9, 1), (2, 0)] {
            let ops: Vec<Op> = std::iter::once(op(OpKind::Fetch, 1, count)).chain(touches(moving)).collect();
            let mut out = Vec::new();
            push_with_copies(&ops, &mut out);
            assert_eq!(out, ops);
        }
    }
}
