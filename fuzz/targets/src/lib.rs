//! The fuzz targets. Each is a function that takes any bytes and panics if a promise is broken. The fuzzer's
//! binaries and the replay of the committed corpus (`tests/corpus.rs`) both call it.

mod endpoint;
mod input;
mod insider;
mod introduction;
mod ledger;
mod pair;
mod seal;
pub mod seeds;
mod side;
mod text;
mod wire;

pub use endpoint::endpoint;
pub use insider::insider;
pub use introduction::introduction;
pub use pair::pair;
pub use text::text;
pub use wire::wire;

/// A target: its name, which is that of its corpus folder, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("wire", wire),
    ("text", text),
    ("endpoint", endpoint),
    ("pair", pair),
    ("insider", insider),
    ("introduction", introduction),
];
