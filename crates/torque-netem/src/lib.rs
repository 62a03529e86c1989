#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod link;
mod link_text;
mod paths;
mod rng;

pub use link::{Burst, Link, LinkConfig, LinkStats};
pub use link_text::LinkConfigError;
pub use paths::SimulatedPaths;
pub use rng::SimRng;
