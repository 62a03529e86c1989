//! Waiting for a socket, or for two, with a limit.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

/// The most sockets that one wait can watch.
const MAX_SOCKETS: usize = 2;

/// Blocks until one of `sockets` (at most two) can be read (or written, if `writable`), or until `timeout` has passed; `None` waits
/// without limit. Returns whether one is ready. A signal ends the wait early.
#[cfg(unix)]
pub(crate) fn wait(sockets: &[&UdpSocket], writable: bool, timeout: Option<Duration>) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    let count = sockets.len().min(MAX_SOCKETS);
    let events = libc::POLLIN | if writable { libc::POLLOUT } else { 0 };
    let mut watched = [libc::pollfd { fd: -1, events, revents: 0 }; MAX_SOCKETS];
    for (watched, socket) in watched.iter_mut().zip(sockets) {
        watched.fd = socket.as_raw_fd();
    }
    let ready = poll(&mut watched[..count], timeout);
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
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

/// Blocks until one of `sockets` (at most two) can be read (or written, if `writable`), or until `timeout` has passed; `None` waits
/// without limit. Returns whether one is ready.
#[cfg(windows)]
pub(crate) fn wait(sockets: &[&UdpSocket], writable: bool, timeout: Option<Duration>) -> io::Result<bool> {
    use std::os::windows::io::AsRawSocket;
    use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, POLLWRNORM, WSAPOLLFD, WSAPoll};

    let count = sockets.len().min(MAX_SOCKETS);
    let events = POLLRDNORM | if writable { POLLWRNORM } else { 0 };
    let mut watched = [WSAPOLLFD { fd: 0, events, revents: 0 }; MAX_SOCKETS];
    for (watched, socket) in watched.iter_mut().zip(sockets) {
        watched.fd = socket.as_raw_socket() as _;
    }
    // SAFETY: `watched` holds at least `count` WSAPOLLFDs and outlives the call.
    let ready = unsafe { WSAPoll(watched.as_mut_ptr(), count as u32, millis(timeout)) };
    if ready >= 0 { Ok(ready > 0) } else { Err(io::Error::last_os_error()) }
}
