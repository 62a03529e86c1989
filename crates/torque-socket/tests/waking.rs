//! Other threads wake a socket that no datagram of theirs reaches: bound to an interface, in another network namespace, or at a
//! port that it shares.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/own_network.rs"]
mod own_network;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{LIMIT, skip};
use own_network::{in_own_network, ip};
use torque_socket::{Builder, CloseCode, Event, Socket, Trust, Wake};

/// Long enough for another thread to fall asleep.
const A_WHILE: Duration = Duration::from_millis(100);

/// Runs `call` on another thread; fails if it does not end.
fn ends<T: Send + 'static>(what: &'static str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = channel();
    thread::spawn(move || done.send(call()));
    is_done.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A builder for which no name exists, which it finds out after a while.
fn builder() -> Builder {
    Socket::builder().resolve_with(|_, _| {
        thread::sleep(A_WHILE);
        Err(io::ErrorKind::NotFound.into())
    })
}

/// A background thread and a look-up both end the wait of sockets that `make` makes.
fn is_woken(what: &'static str, make: impl Fn() -> Socket) {
    let socket = make().spawn().unwrap();
    thread::sleep(A_WHILE);
    drop(ends(what, || socket.stop()));

    let mut socket = make();
    socket.connect("name:1", Trust::Anyone).unwrap();
    assert_eq!(socket.wait(LIMIT), Wake::Ready, "{what}");
    socket.poll();
    let event = socket.next_event();
    assert!(matches!(event, Some(Event::Close { code: CloseCode::NameNotFound, .. })), "{what}: {event:?}");

    #[cfg(feature = "tokio")]
    {
        let socket = make();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let event = runtime.block_on(async {
            let mut socket = torque_socket::AsyncSocket::new(socket).unwrap();
            socket.connect("name:1", Trust::Anyone).unwrap();
            tokio::time::timeout(LIMIT, socket.wait_event(None)).await
        });
        let event = event.unwrap_or_else(|_| panic!("{what}: the runtime is not woken"));
        assert!(
            matches!(event, Some(Event::Close { code: CloseCode::NameNotFound, .. })),
            "{what}: {event:?}"
        );
    }
}

#[test]
fn a_socket_at_a_port_that_others_share_is_woken() {
    let shared = |address: SocketAddr| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        UdpSocket::from(socket)
    };
    let first = shared(([127, 0, 0, 1], 0).into());
    let address = first.local_addr().unwrap();
    // The more there are, the less of what is sent to the port reaches the one that is meant.
    let _others = [(); 16].map(|()| shared(address));
    is_woken("a shared port", || builder().adopt(shared(address)).unwrap());
}

#[test]
fn a_socket_in_another_network_namespace_is_woken() {
    let (ask, asked) = channel::<()>();
    let (give, given) = channel();
    let elsewhere = thread::spawn(move || {
        in_own_network(move |network| {
            network.set_route(true).unwrap();
            for () in asked {
                let address = "127.0.0.1:0";
                give.send((UdpSocket::bind(address).unwrap(), builder().bind(address).unwrap())).unwrap();
            }
        });
    });
    let next = || {
        ask.send(()).ok()?;
        given.recv().ok()
    };
    // Without root there is none.
    if next().is_some() {
        is_woken("adopted", || builder().adopt(next().unwrap().0).unwrap());
        is_woken("bound there, driven here", || next().unwrap().1);
    }
    drop(ask);
    elsewhere.join().unwrap();
}

#[test]
fn a_socket_bound_to_an_interface_is_woken() {
    in_own_network(|network| {
        network.set_route(true).unwrap();
        for arguments in
            ["link add t0 type veth peer name t1", "addr add 10.92.0.1/24 dev t0", "link set t0 up"]
        {
            if let Err(why) = ip(arguments) {
                return skip(&why);
            }
        }
        for address in ["0.0.0.0:0", "10.92.0.1:0"] {
            is_woken("bound to an interface", || builder().bind_device("t0").bind(address).unwrap());
        }
    });
}
