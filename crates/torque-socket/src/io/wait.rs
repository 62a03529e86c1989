//! Waiting for sockets, with a limit.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

/// As many sockets as most waits have: for these nothing is allocated.
const FEW: usize = 3;

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

/// A watch as the system takes it, and the place for its answer.
#[cfg(unix)]
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Polled(libc::pollfd);

#[cfg(unix)]
impl Polled {
    const NOTHING: Self = Self(libc::pollfd { fd: -1, events: 0, revents: 0 });

    fn new(watch: Watch<'_>) -> Self {
        use std::os::fd::AsRawFd;

        let readable = if watch.readable { libc::POLLIN } else { 0 };
        let writable = if watch.writable { libc::POLLOUT } else { 0 };
        Self(libc::pollfd { fd: watch.socket.as_raw_fd(), events: readable | writable, revents: 0 })
    }

    fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// A watch as the system takes it, and the place for its answer.
#[cfg(windows)]
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Polled(windows_sys::Win32::Networking::WinSock::WSAPOLLFD);

#[cfg(windows)]
impl Polled {
    const NOTHING: Self =
        Self(windows_sys::Win32::Networking::WinSock::WSAPOLLFD { fd: 0, events: 0, revents: 0 });

    fn new(watch: Watch<'_>) -> Self {
        use std::os::windows::io::AsRawSocket;
        use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, POLLWRNORM};

        let readable = if watch.readable { POLLRDNORM } else { 0 };
        let writable = if watch.writable { POLLWRNORM } else { 0 };
        let mut polled = Self::NOTHING;
        polled.0.fd = watch.socket.as_raw_socket() as _;
        polled.0.events = readable | writable;
        polled
    }

    fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// Blocks until one of them is ready, or until `timeout` has passed; `None` waits without limit. A signal ends the wait early.
#[cfg(unix)]
fn poll(watched: &mut [Polled], timeout: Option<Duration>) -> io::Result<()> {
    if poll_system(watched, timeout) >= 0 {
        return Ok(());
    }
    watched.iter_mut().for_each(|watched| watched.0.revents = 0);
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn poll_system(watched: &mut [Polled], timeout: Option<Duration>) -> libc::c_int {
    // The fields have 32 or 64 bits; 68 years are enough.
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX).into(),
        tv_nsec: i32::try_from(timeout.subsec_nanos()).unwrap_or(0).into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `watched` is that many pollfds, `limit` is null or points to a timespec that outlives the call, and a
    // null signal mask leaves the mask alone.
    unsafe { libc::ppoll(watched.as_mut_ptr().cast(), watched.len() as _, limit, std::ptr::null()) }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn poll_system(watched: &mut [Polled], timeout: Option<Duration>) -> libc::c_int {
    // SAFETY: `watched` is that many pollfds.
    unsafe { libc::poll(watched.as_mut_ptr().cast(), watched.len() as _, millis(timeout)) }
}

/// Rounded up, so that a wait for a deadline does not end before it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn millis(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| i32::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX))
}

/// Blocks until one of them is ready, or until `timeout` has passed; `None` waits without limit.
#[cfg(windows)]
fn poll(watched: &mut [Polled], timeout: Option<Duration>) -> io::Result<()> {
    use windows_sys::Win32::Networking::WinSock::WSAPoll;

    // SAFETY: `watched` is that many WSAPOLLFDs and outlives the call.
    let ready = unsafe { WSAPoll(watched.as_mut_ptr().cast(), watched.len() as u32, millis(timeout)) };
    if ready >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Blocks until one of at most [`FEW`] is ready, or until `timeout` has passed; `None` waits without limit.
pub(crate) fn wait(watches: &[Watch<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let mut polled = [Polled::NOTHING; FEW];
    let count = watches.len().min(FEW);
    polled.iter_mut().zip(watches).for_each(|(polled, watch)| *polled = Polled::new(*watch));
    poll(&mut polled[..count], timeout)
}

/// The places in `watches` of those that are ready now.
///
/// # Errors
/// What the operating system says.
pub(crate) fn ready(watches: &[Watch<'_>]) -> io::Result<Vec<usize>> {
    let mut polled: Vec<_> = watches.iter().copied().map(Polled::new).collect();
    poll(&mut polled, Some(Duration::ZERO))?;
    Ok(polled.iter().enumerate().filter(|(_, polled)| polled.is_ready()).map(|(index, _)| index).collect())
}

/// A driver's sleep: until `udp` or one of the `further` ports is ready, or its bell rings. Returns whether any of it
/// happened, and silences the bell.
pub(crate) fn sleep(
    udp: Watch<'_>,
    bell: Option<&UdpSocket>,
    further: &[Watch<'_>],
    limit: Option<Duration>,
) -> io::Result<bool> {
    let count = 1 + usize::from(bell.is_some()) + further.len();
    let watches = [Some(udp), bell.map(Watch::readable)].into_iter().flatten().chain(further.iter().copied());
    let (mut few, mut many) = ([Polled::NOTHING; FEW], Vec::new());
    let polled = if count <= FEW {
        few.iter_mut().zip(watches).for_each(|(polled, watch)| *polled = Polled::new(watch));
        &mut few[..count]
    } else {
        many.extend(watches.map(Polled::new));
        &mut many[..]
    };
    poll(polled, limit)?;
    if let Some(bell) = bell
        && polled[1].is_ready()
    {
        // Empty; a second one only wakes once more.
        let _ = bell.recv(&mut [0; 1]);
    }
    Ok(polled.iter().any(Polled::is_ready))
}
