//! A separate network for the thread of a test: one interface, loopback, whose state the test decides.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::io;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;

use crate::common::skip;

/// The network that the calling thread is in from now on.
pub struct OwnNetwork {
    control: UdpSocket,
}

/// `struct ifreq`, as long as the kernel's: a name and one of many things.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

impl OwnNetwork {
    /// # Errors
    /// The thread may not have one: it takes root.
    pub fn enter() -> io::Result<Self> {
        // SAFETY: concerns nothing but the network that this thread's later sockets are in.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let network = Self { control: UdpSocket::bind("0.0.0.0:0")? };
        let up = libc::IFF_UP | libc::IFF_RUNNING;
        network.set(libc::SIOCSIFFLAGS, &(up as libc::c_short).to_ne_bytes())?;
        Ok(network)
    }

    /// Makes or removes the route to anywhere: to 127.0.0.0/8.
    pub fn set_route(&self, exists: bool) -> io::Result<()> {
        // A `sockaddr_in`; without its address the interface leads nowhere.
        let [low, high] = (libc::AF_INET as libc::sa_family_t).to_ne_bytes();
        let ip = if exists { [127, 0, 0, 1] } else { [0; 4] };
        self.set(libc::SIOCSIFADDR, &[low, high, 0, 0, ip[0], ip[1], ip[2], ip[3]])
    }

    /// The longest IP packet that the interface takes, in bytes.
    pub fn set_mtu(&self, bytes: i32) -> io::Result<()> {
        self.set(libc::SIOCSIFMTU, &bytes.to_ne_bytes())
    }

    /// Gives the interface a link-local address as well.
    pub fn add_link_local(&self, ip: Ipv6Addr) -> io::Result<()> {
        // `struct in6_ifreq`: address, prefix length, number of the interface.
        let mut request = [0_u8; 24];
        request[..16].copy_from_slice(&ip.octets());
        request[16..20].copy_from_slice(&64_u32.to_ne_bytes());
        request[20..].copy_from_slice(&1_u32.to_ne_bytes());
        let control = UdpSocket::bind("[::]:0")?;
        // SAFETY: the request is as long as the kernel reads, and outlives the call.
        let result = unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFADDR, request.as_mut_ptr()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn set(&self, what: libc::Ioctl, value: &[u8]) -> io::Result<()> {
        let mut request = Request { name: [0; libc::IFNAMSIZ], value: [0; 24] };
        request.name[..2].copy_from_slice(b"lo");
        request.value[..value.len()].copy_from_slice(value);
        // SAFETY: the request is as long as the kernel reads, and outlives the call.
        let result = unsafe { libc::ioctl(self.control.as_raw_fd(), what, &raw mut request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Runs `test` on a thread that has a separate network.
pub fn in_own_network(test: impl FnOnce(OwnNetwork) + Send + 'static) {
    let thread = std::thread::spawn(|| match OwnNetwork::enter() {
        Ok(network) => test(network),
        Err(error) => skip(&format!("a separate network needs root: {error}")),
    });
    thread.join().unwrap();
}

/// Runs `ip` in the network of the calling thread.
pub fn ip(arguments: &str) -> Result<(), String> {
    let output =
        Command::new("ip").args(arguments.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr)))
}
