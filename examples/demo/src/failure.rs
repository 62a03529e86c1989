//! The failure of the demo.

use std::io;
use std::thread::JoinHandle;

use torque_socket::BindError;

/// The error, and what to do about it. Empty if there is nobody to tell, or the summary has told it.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Standard output and terminal errors. A closed pipe has nobody to tell.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(""),
            _ => Self::new(format!("writing the output failed: {error}")),
        }
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::new(error.to_string())
    }
}

/// The result of a thread.
pub fn join<T>(thread: JoinHandle<T>) -> Result<T, Failure> {
    thread.join().map_err(|_| Failure::new("a thread of the demo panicked: please report what it printed"))
}
