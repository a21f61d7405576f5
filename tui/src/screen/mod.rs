//! The full-screen view. A pure state, actions, one update function; views draw immutable snapshots that the simulations publish.
//!
//! | file | idea |
//! |---|---|
//! | `state`, `action`, `update` | what there is, what can happen, and the one function that changes it |
//! | `keys` | the one table of keys: dispatch, hints and help |
//! | `knobs` | the one table of knobs |
//! | `scenario` | what is simulated: options as on the command line, saved as RON |
//! | `snapshot` | what is known so far |
//! | `view`, `views/` | what a view is, the list of them, one file each |
//! | `draw`, `theme`, `text` | the frame around the views, colours and signs, lines and bars |
//! | `export` | what is shown as CSV or SVG |
//! | `questions` | what views ask for besides the comparison |
//! | `in_depth`, `sweeping` | their answers: one simulation looked at closely, a sweep over one knob |
//! | `recent` | what is kept for when it is wanted again |
//! | `worker`, `prepared` | simulations on threads, dropped at a change; the comparisons that were begun |
//! | `ahead` | what is looked at before it is asked for |
//! | `app`, `console` | the loop between terminal and worker; entering and leaving the terminal |

mod action;
mod ahead;
mod app;
mod console;
mod draw;
mod export;
mod in_depth;
mod keys;
mod knobs;
mod prepared;
mod questions;
mod recent;
mod scenario;
mod snapshot;
mod state;
mod sweeping;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod update;
mod view;
mod views;
mod worker;

pub use app::{Ended, run};
pub use scenario::Scenario;
pub use theme::{Theme, ThemeName};
