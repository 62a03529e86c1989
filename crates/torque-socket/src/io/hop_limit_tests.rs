//! A datagram with a hop limit arrives with it, and the next one without.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use torque_netem::{LinkConfig, SimulatedPaths};
use torque_proto::measure::{push_transmit, transmits};
use torque_proto::{Instant, Path};

use super::*;

/// A socket that is told the hop limits that datagrams still have on arrival.
struct Receiver(UdpSocket);

impl Receiver {
    fn new(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (level, option) = match socket.local_addr().unwrap() {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVTTL),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        };
        let on: libc::c_int = 1;
        // SAFETY: the option's value is a c_int, which lives until the call returns, and its size is given.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of_val(&on) as _)
        };
        assert_eq!(result, 0);
        Self(socket)
    }

    fn path(&self) -> Path {
        Path::to(self.0.local_addr().unwrap().into())
    }

    /// The system's own hop limit: the one of a datagram that nobody set anything for.
    fn usual(&self) -> u8 {
        let ip = self.0.local_addr().unwrap().ip();
        let other = UdpSocket::bind((ip, 0)).unwrap();
        other.send_to(b"usual", self.0.local_addr().unwrap()).unwrap();
        self.next().0
    }

    /// The hop limit and the length of the next datagram.
    fn next(&self) -> (u8, usize) {
        let (mut bytes, mut control) = ([0_u8; 2_000], [0_u64; 16]);
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: a zeroed `msghdr` is a valid one.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: all that the header points to is alive and as long as it says.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, 0) };
        let length = usize::try_from(length).expect("a datagram within 20 s");
        // SAFETY: the kernel has filled the header.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        assert!(!first.is_null(), "a datagram without its hop limit");
        // SAFETY: not null, so it is a control message; the one that was asked for has a c_int.
        let (head, limit) =
            unsafe { (&*first, libc::CMSG_DATA(first).cast::<libc::c_int>().read_unaligned()) };
        let kind = (head.cmsg_level, head.cmsg_type);
        assert!(
            [(libc::IPPROTO_IP, libc::IP_TTL), (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)].contains(&kind)
        );
        (limit.try_into().unwrap(), length)
    }
}

/// Sends datagrams alone, in a batch and in runs.
fn check(udp: &mut Udp, receiver: &Receiver, local: Option<IpAddr>) {
    let (mut transmits, usual) = (transmits(), receiver.usual());
    let path = Path { local, port: udp.port(), ..receiver.path() };
    let alone: [&[(Option<u8>, usize)]; 3] = [&[(Some(5), 100)], &[(None, 101)], &[(Some(255), 102)]];
    let batch: &[(Option<u8>, usize)] = &[
        (None, 200),
        (None, 200),
        (Some(5), 200),
        (Some(5), 200),
        (Some(5), 150),
        (Some(1), 200),
        (None, 201),
    ];
    for sent in alone.into_iter().chain([batch]) {
        for (hop_limit, length) in sent {
            push_transmit(&mut transmits, path, *hop_limit, &vec![7; *length]);
        }
        udp.send(&mut transmits);
        assert!(transmits.is_empty());
        for (hop_limit, length) in sent {
            assert_eq!(receiver.next(), (hop_limit.unwrap_or(usual), *length), "from {local:?}");
        }
    }
    let stats = udp.stats();
    assert_eq!((stats.other_send_errors, stats.sent_singly), (0, 0), "no call was refused");
}

fn each_family(mut with: impl FnMut(&mut Udp, &Receiver, Option<IpAddr>)) {
    for (bound, receiver) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "::1"),
        ("::", "127.0.0.1"),
    ] {
        let options = UdpOptions::default();
        let (address, dual_stack) = ((bound.parse::<IpAddr>().unwrap(), 0).into(), bound == "::");
        // At the bound port, and at a further one.
        let [mut udp, mut further] = [0, 7].map(|port| {
            options.set_up(options.open(address, dual_stack, false).unwrap(), dual_stack, port).unwrap()
        });
        let receiver = Receiver::new(receiver);
        with(&mut udp, &receiver, None);
        with(&mut further, &receiver, None);
        with(&mut udp, &receiver, Some(receiver.0.local_addr().unwrap().ip()));
    }
}

#[test]
fn one_datagram_has_a_hop_limit_and_the_next_has_none() {
    each_family(check);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn the_same_in_a_runtime() {
    each_family(|udp, receiver, local| {
        udp.move_to_tokio().unwrap();
        check(udp, receiver, local);
    });
}

#[test]
fn the_same_through_a_simulated_link() {
    let receiver = Receiver::new("127.0.0.1");
    let usual = receiver.usual();
    let options = UdpOptions::default();
    let socket = options.open("127.0.0.1:0".parse().unwrap(), false, false).unwrap();
    let mut udp = options.set_up(socket, false, 0).unwrap();
    let mut link = SimulatedPaths::new(LinkConfig::perfect(), 7);
    let mut transmits = transmits();
    for hop_limit in [Some(5), None] {
        push_transmit(&mut transmits, receiver.path(), hop_limit, b"simulated");
        link.take(Instant::ZERO, &mut transmits);
        link.departures(Instant::ZERO, |transmit| udp.send_single(transmit));
        assert_eq!(receiver.next(), (hop_limit.unwrap_or(usual), 9));
    }
}
