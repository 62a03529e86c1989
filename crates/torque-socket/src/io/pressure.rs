//! Keeping the send buffer free for those who answer.
//!
//! Linux charges a datagram to the socket until it has left the machine. One for an address of the local network that
//! nobody answers for waits there for up to three seconds, so that a few machines that were switched off would fill
//! the buffer, and nothing would be sent to anybody. Other systems charge nothing for these.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use torque_proto::Address;
use torque_proto::wire::DatagramKind;

use super::system_calls::SystemCalls;

/// The kernel's approximate charge for a datagram beside its bytes.
const OVERHEAD: usize = 768;

/// Looking who does not answer takes a look at each connection.
const SILENT_PAUSE: Duration = Duration::from_millis(100);

/// Sees how full the send buffer is. While it is half full, it holds back what may never leave the machine: datagrams to
/// peers that do not answer, and answers to strangers, who can name addresses that nobody has.
#[derive(Default)]
pub(super) struct Pressure {
    /// The capacity of the buffer; 0 where the system does not tell.
    capacity: usize,
    /// Charged since the last look, about.
    charged: usize,
    is_half_full: bool,
    silent: HashSet<Address>,
    silent_since: Option<Instant>,
}

impl Pressure {
    /// `capacity`: bytes of the send buffer.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Datagrams were sent.
    pub(super) fn sent(&mut self, datagrams: usize, bytes: usize) {
        self.charged += bytes + datagrams * OVERHEAD;
    }

    /// Returns whether it is time to see how full the buffer is: enough was sent to fill another eighth.
    pub(super) fn is_look_due(&self) -> bool {
        self.capacity > 0 && self.charged >= self.capacity / 8
    }

    /// The same when a new batch begins: while something is held back, each time.
    pub(super) fn is_look_due_first(&self) -> bool {
        self.is_look_due() || self.is_half_full
    }

    /// Notes how many bytes are in the buffer.
    pub(super) fn looked(&mut self, waiting: usize) {
        self.charged = 0;
        self.is_half_full = waiting >= self.capacity / 2;
        if !self.is_half_full {
            self.silent.clear();
            self.silent_since = None;
        }
    }

    /// Returns whether [`set_silent`](Self::set_silent) is due.
    pub(super) fn wants_silent(&self) -> bool {
        self.is_half_full && self.silent_since.is_none_or(|since| since.elapsed() >= SILENT_PAUSE)
    }

    /// These do not answer.
    pub(super) fn set_silent(&mut self, silent: HashSet<Address>) {
        self.silent = silent;
        self.silent_since = Some(Instant::now());
    }

    /// Returns whether a datagram stays here.
    pub(super) fn holds(&self, remote: &Address, bytes: &[u8]) -> bool {
        self.is_half_full && (is_to_stranger(bytes) || self.silent.contains(remote))
    }
}

/// Returns whether a datagram answers a remote that has proven nothing yet.
fn is_to_stranger(bytes: &[u8]) -> bool {
    use DatagramKind::{ChallengeResponse, ProbeEcho, Reject};
    matches!(DatagramKind::of(bytes), ChallengeResponse | ProbeEcho | Reject)
}

/// Bytes that the send buffer takes, and how many are in it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) mod buffer {
    use std::os::fd::AsRawFd;

    use super::SystemCalls;

    /// The kernel tells twice what was asked for, and charges up to that.
    pub(in crate::io) fn capacity(calls: &SystemCalls) -> usize {
        socket2::SockRef::from(&calls.fd()).send_buffer_size().unwrap_or(0)
    }

    /// 0 if the kernel does not say.
    pub(in crate::io) fn waiting(calls: &SystemCalls) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes a c_int, which outlives the call.
        let result = unsafe { libc::ioctl(calls.fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
    }
}

/// These systems charge nothing for datagrams that wait for a neighbour.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) mod buffer {
    use super::SystemCalls;

    pub(in crate::io) fn capacity(_: &SystemCalls) -> usize {
        0
    }

    pub(in crate::io) fn waiting(_: &SystemCalls) -> usize {
        0
    }
}
