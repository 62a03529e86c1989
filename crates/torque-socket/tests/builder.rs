//! Ways of making a socket: through one interface, from one that exists, from a service manager.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::UdpSocket;

use common::connect;
#[cfg(unix)]
use common::{loopback, turns};
#[cfg(unix)]
use torque_socket::Event;
use torque_socket::{BindError, Socket};

#[test]
fn an_existing_socket_is_adopted_with_its_address_and_families() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let Ok(udp) = UdpSocket::bind(address) else { continue };
        let bound = udp.local_addr().unwrap();
        let mut host = Socket::builder().adopt(udp).unwrap();
        assert_eq!(host.local_addr(), bound);
        let mut client = Socket::client().unwrap();
        connect(&mut host, &mut client);
    }
}

#[test]
fn what_cannot_be_used_is_not_adopted() {
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect("127.0.0.1:9").unwrap();
    let error = Socket::builder().adopt(connected).unwrap_err();
    assert!(matches!(error, BindError::NotAdopted { .. }), "{error:?}");
    assert!(error.to_string().contains("connected"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_bound_to_an_interface_uses_no_other() {
    let on_loopback = || Socket::builder().bind_device("lo").bind("0.0.0.0:0").unwrap();
    let (mut host, mut client) = (on_loopback(), loopback());
    let device = socket2::SockRef::from(&host).device().unwrap();
    assert_eq!(device.as_deref(), Some(&b"lo"[..]));
    connect(&mut host, &mut client);
    let error = Socket::builder().bind_device("nowhere0").bind("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, BindError::NoSuchDevice { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere0"), "{error}");
    let shards = Socket::builder().bind_device("lo").shards(2).bind("0.0.0.0:0").unwrap();
    let port = shards.local_addr().port();
    let client = Socket::client().unwrap().spawn().unwrap();
    client.connect(format!("torque://{}@127.0.0.1:{port}", shards.public_key()), None).unwrap();
    let event = shards.wait_event(common::LIMIT);
    assert!(matches!(event, Some(Event::ConnectRequest(_))), "{event:?}");
}

#[cfg(unix)]
mod activation {
    use std::process::{Command, Stdio};

    use super::*;

    /// The program that the other test starts, with a socket as its third descriptor: answers one packet.
    #[test]
    fn as_a_service() {
        if std::env::var_os("TORQUE_TEST_SERVICE").is_none() {
            return;
        }
        let mut host = Socket::builder().activated().unwrap().expect("a socket was passed");
        assert!(Socket::builder().activated().unwrap().is_none(), "it is given once");
        let mut done = false;
        while !done {
            match host.wait_event(common::LIMIT).expect("somebody comes") {
                Event::ConnectRequest(request) => host.accept_connection(request.connection, b"").unwrap(),
                Event::Packet { connection, payload, .. } => drop(host.send(connection, &payload).unwrap()),
                Event::Close { .. } => done = true,
                _ => {}
            }
            host.flush();
        }
    }

    #[test]
    fn a_service_takes_the_socket_that_it_is_passed() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        // A shell that becomes the service keeps its process id, as a service manager's child does.
        let script =
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --exact activation::as_a_service 3<&0 </dev/null";
        let mut service = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .env("TORQUE_TEST_SERVICE", "1")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(udp)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = loopback();
        let id = client.connect(address, torque_socket::Trust::Anyone).unwrap();
        let mut echoed = false;
        turns(&mut [&mut client], |socket, _, event| {
            match event {
                Event::Established { .. } => drop(socket.send(id, b"hello").unwrap()),
                Event::Packet { payload, .. } => {
                    assert_eq!(&*payload, b"hello");
                    echoed = true;
                }
                Event::Close { code, .. } => panic!("{code}"),
                _ => {}
            }
            echoed
        });
        client.shutdown(common::LIMIT, |_| {});
        assert!(service.wait().unwrap().success());
    }

    #[test]
    fn a_program_that_was_passed_nothing_binds_as_usual() {
        if std::env::var_os("TORQUE_TEST_SERVICE").is_none() {
            assert!(Socket::builder().activated().unwrap().is_none());
        }
    }
}
