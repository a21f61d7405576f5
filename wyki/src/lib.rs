//! WYKI: a small language for network services that run in the kernel, after Bhatia and Consel, "Implementing High-performance In-kernel
//! Network Services With WYKIWYG".
//!
//! ```
//! use wyki::{Options, Silent, State, Verdict, compile};
//! let source = r#"service echo on udp port 7 {
//!     message any { text: rest max 512 }
//!     state ready { receive { any as m => { reply m.text; } else { drop; } } }
//! }"#;
//! let service = compile(source, "echo.wyki", &Options::default()).expect("a valid program");
//! let mut state = State::new(&service);
//! assert_eq!(service.handle(&mut state, 0, b"hello", &mut Silent), Verdict::Reply(b"hello".to_vec()));
//! ```
//!
//! A program is read (`token`, `parse`), checked for names, types and bounds while its control-flow graph is made
//! (`lower`, `ir`), simplified, checked for use after release, given yields, and laid out in lines of code. What remains is a
//! [`Service`] that handles real bytes and tells a [`Trace`] what each run executes and touches. This crate knows nothing of processors,
//! kernels or time; docs/wyki.md holds the grammar and the cost of each operation.

mod bounds;
mod costs;
mod diagnostic;
mod ir;
mod layout;
mod lower;
mod parse;
mod parts;
mod release;
mod run;
mod service;
mod simplify;
mod syntax;
mod table;
mod token;
mod trace;
mod yields;

pub use costs::LINE_BYTES;
pub use diagnostic::{Code, Diagnostic};
pub use service::{
    ConnectionFieldShape, MessageShape, Options, Protocol, STRETCH_BOUND_LEAST, Service, State, StoreError, Verdict,
};
pub use table::TableShape;
pub use trace::{Silent, Trace};

use ir::{Flow, Terminator};
use service::{Bounds, Shape};

/// Instructions for one message at most. A guess of what no service may take: some milliseconds.
const RUN_INSTRUCTIONS_MAX: u64 = 20_000_000;

/// Compiles a service. `file` is the name that the service keeps as its origin.
///
/// # Errors
/// All faults that were found, in the order of the source; after a syntax error there is only that one.
pub fn compile(source: &str, file: &str, options: &Options) -> Result<Service, Vec<Diagnostic>> {
    let program = parse::parse(source).map_err(|fault| vec![fault])?;
    let (shape, mut flow) = lower::lower(&program, options)?;
    simplify::simplify(&mut flow);
    let faults = release::check(&flow);
    if !faults.is_empty() {
        return Err(faults);
    }
    let bound = options.stretch_bound_instructions.max(STRETCH_BOUND_LEAST);
    let placement = yields::insert(&mut flow, bound, options.inline_parsing);
    let bounds = Bounds {
        longest_stretch_instructions: placement.longest_stretch_instructions,
        longest_run_instructions: bounds::longest_run_instructions(&flow, options.inline_parsing),
        longest_reply_bytes: bounds::longest_reply_bytes(&flow),
        yields: placement.yields,
    };
    let faults = over_limits(&shape, &flow, &bounds, options);
    if !faults.is_empty() {
        return Err(faults);
    }
    let code = layout::place(&flow, options.inline_parsing);
    Ok(Service { file: file.to_owned(), shape, options: options.clone(), flow, code, bounds })
}

fn over_limits(shape: &Shape, flow: &Flow, bounds: &Bounds, options: &Options) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let limit = u64::from(shape.reply_bytes_max);
    if bounds.longest_reply_bytes > limit {
        let all =
            flow.blocks.iter().enumerate().flat_map(|(index, block)| block.operations.iter().map(move |placed| (index, placed)));
        let heaviest = all.max_by_key(|(index, placed)| bounds::put_bytes(&placed.what).saturating_mul(flow.rounds(*index)));
        let span = heaviest.map_or(0..0, |(_, placed)| placed.span.clone());
        let message = format!("the reply may grow to {} bytes; at most {limit} are allowed", bounds.longest_reply_bytes);
        let fault = Diagnostic::new(Code::OutOfBounds, &span, message, "the largest part");
        faults.push(fault.help("declare `limit reply`, shorter values, or fewer rounds"));
    }
    if bounds.longest_run_instructions > RUN_INSTRUCTIONS_MAX {
        let weight =
            |index: &usize| bounds::block_instructions(flow, *index, options.inline_parsing).saturating_mul(flow.rounds(*index));
        let heaviest = (0..flow.blocks.len()).max_by_key(weight);
        let span = heaviest.map_or(0..0, |index| place_of(flow, index));
        let message =
            format!("one message may take {} instructions; at most {RUN_INSTRUCTIONS_MAX}", bounds.longest_run_instructions);
        let fault = Diagnostic::new(Code::UnboundedLoop, &span, message, "the most work is here");
        faults.push(fault.help("lower the bounds of the loops around it"));
    }
    faults
}

fn place_of(flow: &Flow, block: usize) -> std::ops::Range<usize> {
    let block = &flow.blocks[block];
    let operation = block.operations.first().map(|placed| placed.span.clone());
    match &block.terminator.what {
        Terminator::Go(_) | Terminator::End(_) => operation.unwrap_or_else(|| block.terminator.span.clone()),
        _ => block.terminator.span.clone(),
    }
}
