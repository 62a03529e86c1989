//! Errors of the bench.

use std::error::Error;
use std::fmt;

/// Anything that ends a worker.
pub type Failure = Box<dyn Error + Send + Sync>;
/// What most functions here return.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// A peer cannot do a job: no failure, but a fact for its row.
#[derive(Debug)]
pub struct Unable(pub &'static str);

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Unable {}
