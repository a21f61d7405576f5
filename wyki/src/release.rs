//! Use after release: follows which entries and which bytes may be gone, along all ways through the graph.
//!
//! A released entry may be one that another name stands for as well, so a release takes everything that lies in the table. An insert may
//! overwrite a value, so it counts as a release too.

use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Flow, MESSAGE, Operation, Origin, Register, Terminator};
use crate::syntax::Span;
use std::collections::BTreeMap;

/// Released registers, each with the place of its release.
type Released = BTreeMap<Register, Span>;

/// All uses after a release.
pub fn check(flow: &Flow) -> Vec<Diagnostic> {
    let mut entering = vec![None::<Released>; flow.blocks.len()];
    entering[0] = Some(Released::new());
    let mut work = vec![0];
    while let Some(block) = work.pop() {
        let mut released = entering[block].clone().unwrap_or_default();
        pass(flow, block, &mut released, &mut |_, _, _| {});
        for target in flow.blocks[block].terminator.what.targets() {
            if merge(&mut entering[target], &released) {
                work.push(target);
            }
        }
    }
    let mut found = Vec::new();
    for (block, released) in entering.into_iter().enumerate() {
        let Some(mut released) = released else { continue };
        pass(flow, block, &mut released, &mut |register, used, gone| report(flow, register, used, gone, &mut found));
    }
    found.sort_by_key(|diagnostic| diagnostic.span.start);
    found
}

/// Adds what is released on another way; true when something is new.
fn merge(known: &mut Option<Released>, more: &Released) -> bool {
    let Some(known) = known else {
        *known = Some(more.clone());
        return true;
    };
    let before = known.len();
    for (register, span) in more {
        known.entry(*register).or_insert_with(|| span.clone());
    }
    known.len() > before
}

/// Follows one block, telling each use of something released.
fn pass(flow: &Flow, block: usize, released: &mut Released, used: &mut impl FnMut(Register, &Span, &Span)) {
    let block = &flow.blocks[block];
    for placed in &block.operations {
        tell(&placed.what.uses(), &placed.span, released, used);
        match placed.what {
            Operation::Release { table, .. } => release(flow, Origin::Table(table), &placed.span, released),
            Operation::ReleaseMessage => release(flow, Origin::Message, &placed.span, released),
            _ => {}
        }
        if let Some(register) = placed.what.defines() {
            released.remove(&register);
        }
    }
    let last = &block.terminator;
    tell(&last.what.uses(), &last.span, released, used);
    if let Terminator::Insert { table, .. } = last.what {
        release(flow, Origin::Table(table), &last.span, released);
    }
    if let Some(register) = last.what.defines() {
        released.remove(&register);
    }
}

fn tell(registers: &[Register], span: &Span, released: &Released, used: &mut impl FnMut(Register, &Span, &Span)) {
    for register in registers {
        if let Some(gone) = released.get(register) {
            used(*register, span, gone);
        }
    }
}

fn release(flow: &Flow, origin: Origin, span: &Span, released: &mut Released) {
    for (register, _) in flow.origins.iter().enumerate().filter(|(_, known)| **known == origin) {
        released.insert(register, span.clone());
    }
}

fn report(flow: &Flow, register: Register, used: &Span, gone: &Span, found: &mut Vec<Diagnostic>) {
    let what = match flow.origins[register] {
        Origin::Message => "the message",
        _ => "an entry of a table",
    };
    if register == MESSAGE && found.iter().any(|known| known.span.start >= used.start && known.span.end <= used.end) {
        return;
    }
    let fault = Diagnostic::new(Code::UseAfterRelease, used, format!("{what} is used after its release"), "used here")
        .also(gone, "released here, or overwritten by the insert")
        .help("release last, or look it up again");
    if !found.contains(&fault) {
        found.push(fault);
    }
}
