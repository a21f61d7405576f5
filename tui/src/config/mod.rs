//! Configuration: presets, files, options and `--set` become settings, and every value knows where it came from.
//!
//! | file | idea |
//! |---|---|
//! | `text` | reads partial RON trees with the place of every field and value |
//! | `place` | errors with the source line and a caret |
//! | `tree` | puts values into the tree of all settings, checks names and kinds |
//! | `script` | the script of a batched-script run: read and checked before the run |
//! | `layers` | the order of the layers, options as values, checked settings |
//! | `show` | writes settings: RON, origins, template |

mod layers;
mod place;
pub mod script;
mod show;
pub mod text;
mod tree;

pub use layers::{Configuration, Inputs, SCENARIO_ENTRY, read_ron, resolve};
pub use place::{COMMAND_LINE, ConfigError, Place};
pub use show::{as_json, as_ron, origins, template};
pub use tree::lookup;
