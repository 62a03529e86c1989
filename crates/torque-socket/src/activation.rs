//! Sockets that a service manager has opened (`sd_listen_fds(3)`).

use std::net::UdpSocket;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{SockRef, Type};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// The first UDP socket that was passed to this program. Given once: the descriptor has one owner.
pub(crate) fn passed_udp() -> Option<UdpSocket> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    // Programs that this one starts inherit the variables, but are not meant.
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::AcqRel) {
        return None;
    }
    let count = RawFd::try_from(number("LISTEN_FDS")?).ok()?;
    (FIRST..FIRST.checked_add(count)?).find_map(take_udp)
}

/// The descriptor as a socket, if it is a bound UDP socket; else it is left alone.
fn take_udp(descriptor: RawFd) -> Option<UdpSocket> {
    // SAFETY: asks for flags; a descriptor that is not open is an error.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by the convention of these variables it belongs to this program. `TAKEN` ensures that this
    // function takes it only once.
    let socket = unsafe { UdpSocket::from_raw_fd(descriptor) };
    let is_udp =
        SockRef::from(&socket).r#type().is_ok_and(|kind| kind == Type::DGRAM) && socket.local_addr().is_ok();
    if is_udp {
        let _ = SockRef::from(&socket).set_cloexec(true);
        return Some(socket);
    }
    // Not closed: something else may be meant to take it.
    let _ = std::os::fd::IntoRawFd::into_raw_fd(socket);
    None
}
