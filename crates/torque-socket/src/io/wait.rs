//! Waiting for a few sockets, with a limit.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

/// The most sockets that one wait can watch.
const MAX_SOCKETS: usize = 3;

/// A socket and what is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) socket: &'a UdpSocket,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl<'a> Watch<'a> {
    /// Something to read.
    pub(crate) fn readable(socket: &'a UdpSocket) -> Self {
        Self { socket, readable: true, writable: false }
    }
}

/// Which of the sockets are ready, in the order of asking.
pub(crate) type Ready = [bool; MAX_SOCKETS];

/// Blocks until one of at most [`MAX_SOCKETS`] is ready, or until `timeout` has passed; `None` waits without limit. A
/// signal ends the wait early.
#[cfg(unix)]
pub(crate) fn wait(watches: &[Watch<'_>], timeout: Option<Duration>) -> io::Result<Ready> {
    use std::os::fd::AsRawFd;

    let count = watches.len().min(MAX_SOCKETS);
    let mut watched = [libc::pollfd { fd: -1, events: 0, revents: 0 }; MAX_SOCKETS];
    for (watched, watch) in watched.iter_mut().zip(watches) {
        watched.fd = watch.socket.as_raw_fd();
        watched.events =
            if watch.readable { libc::POLLIN } else { 0 } | if watch.writable { libc::POLLOUT } else { 0 };
    }
    if poll(&mut watched[..count], timeout) >= 0 {
        return Ok(watched.map(|watched| watched.revents != 0));
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(Ready::default()) } else { Err(error) }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn poll(watched: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    // The fields have 32 or 64 bits; 68 years are enough.
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX).into(),
        tv_nsec: i32::try_from(timeout.subsec_nanos()).unwrap_or(0).into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `watched` is that many pollfds, `limit` is null or points to a timespec that outlives the call, and a
    // null signal mask leaves the mask alone.
    unsafe { libc::ppoll(watched.as_mut_ptr(), watched.len() as _, limit, std::ptr::null()) }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn poll(watched: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    // SAFETY: `watched` is that many pollfds.
    unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as _, millis(timeout)) }
}

/// Rounded up, so that a wait for a deadline does not end before it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn millis(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| i32::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX))
}

/// Blocks until one of at most [`MAX_SOCKETS`] is ready, or until `timeout` has passed; `None` waits without limit.
#[cfg(windows)]
pub(crate) fn wait(watches: &[Watch<'_>], timeout: Option<Duration>) -> io::Result<Ready> {
    use std::os::windows::io::AsRawSocket;
    use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, POLLWRNORM, WSAPOLLFD, WSAPoll};

    let count = watches.len().min(MAX_SOCKETS);
    let mut watched = [WSAPOLLFD { fd: 0, events: 0, revents: 0 }; MAX_SOCKETS];
    for (watched, watch) in watched.iter_mut().zip(watches) {
        watched.fd = watch.socket.as_raw_socket() as _;
        watched.events =
            if watch.readable { POLLRDNORM } else { 0 } | if watch.writable { POLLWRNORM } else { 0 };
    }
    // SAFETY: `watched` holds at least `count` WSAPOLLFDs and outlives the call.
    let ready = unsafe { WSAPoll(watched.as_mut_ptr(), count as u32, millis(timeout)) };
    if ready >= 0 { Ok(watched.map(|watched| watched.revents != 0)) } else { Err(io::Error::last_os_error()) }
}

/// A driver's sleep: until `udp`, or a shard's `private` port, is ready, or a shard's bell rings. Returns whether any of it
/// happened, and silences the bell.
pub(crate) fn sleep(
    udp: Watch<'_>,
    bell: Option<&UdpSocket>,
    private: Option<Watch<'_>>,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let Some(bell) = bell else { return Ok(wait(&[udp], limit)?[0]) };
    let both = [udp, Watch::readable(bell)];
    let ready = match private {
        None => wait(&both, limit)?,
        Some(private) => wait(&[both[0], both[1], private], limit)?,
    };
    if ready[1] {
        // Empty; a second one only wakes once more.
        let _ = bell.recv(&mut [0; 1]);
    }
    Ok(ready.contains(&true))
}
