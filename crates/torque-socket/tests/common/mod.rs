//! Two sockets on loopback, driven in turns.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use torque_socket::{Config, ConnectionId, Event, Socket, Trust};

pub const LIMIT: Duration = Duration::from_secs(20);

/// A socket on IPv4 loopback.
pub fn loopback() -> Socket {
    Socket::bind("127.0.0.1:0").unwrap()
}

/// A configuration whose waits end within a second or two.
pub fn hasty() -> Config {
    let mut config = Config::default();
    config.handshake.wait = Duration::from_millis(800);
    config.handshake.retry_first = Duration::from_millis(60);
    config.ping_interval = Duration::from_millis(150);
    config.ping_limit = 3;
    config.close_wait = Duration::from_millis(500);
    config
}

pub fn pinned(host: &Socket) -> Trust {
    Trust::Pinned(host.public_key())
}

/// Where another socket on this machine reaches `socket`.
pub fn reach(socket: &Socket) -> SocketAddr {
    let mut address = socket.local_addr();
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Drives all of `sockets` until `handle`, which gets each event with the socket's index, says that it is done.
pub fn turns(sockets: &mut [&mut Socket], mut handle: impl FnMut(&mut Socket, usize, Event) -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < end, "nothing more happened within {LIMIT:?}");
        for (index, socket) in sockets.iter_mut().enumerate() {
            socket.wait(Duration::from_micros(500));
            socket.poll();
            while let Some(event) = socket.next_event() {
                if handle(socket, index, event) {
                    socket.flush();
                    return;
                }
            }
            socket.flush();
        }
    }
}

/// Connects `client` to `host`, both accepting; the ids at the client and at the host.
pub fn connect(host: &mut Socket, client: &mut Socket) -> (ConnectionId, ConnectionId) {
    let address = reach(host);
    connect_at(address, host, client)
}

/// As [`connect`], to this address of the host.
pub fn connect_at(
    address: SocketAddr,
    host: &mut Socket,
    client: &mut Socket,
) -> (ConnectionId, ConnectionId) {
    let options = pinned(host);
    let at_client = client.connect(address, options).unwrap();
    let (mut here, mut there) = (None, None);
    turns(&mut [host, client], |socket, index, event| {
        match event {
            Event::ConnectRequest(request) => socket.accept_connection(request.connection, b"").unwrap(),
            Event::Established { connection, .. } => {
                *(if index == 0 { &mut there } else { &mut here }) = Some(connection);
            }
            other => panic!("socket {index}: {other:?}"),
        }
        here.is_some() && there.is_some()
    });
    assert_eq!(here, Some(at_client));
    (at_client, there.unwrap())
}

/// Says that a test cannot be made on this machine, and why.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|text| text.is_empty()), "nothing is skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}
