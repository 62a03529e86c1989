//! On a host with many addresses, every answer leaves from the address that was asked.
#![cfg(target_os = "linux")] // Elsewhere 127.0.0.5 is not an address of the machine.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use common::{LIMIT, connect_at, hasty, pinned, turns};
use torque_proto::wire;
use torque_socket::discovery::{Finder, HostInfo, Responder};
use torque_socket::{CloseCode, Config, Event, LinkConfig, Settings, Socket, Steering};

/// The second address of `host`, which answers would not leave from by themselves.
fn second_address(host: &Socket) -> SocketAddr {
    ([127, 0, 0, 5], host.local_addr().port()).into()
}

/// Hosts of each make at all addresses of this machine.
fn hosts(config: &Config) -> [Socket; 2] {
    let builder = || Socket::builder().config(config.clone());
    let simulated = builder().simulated_link(LinkConfig::perfect());
    [builder().bind("0.0.0.0:0").unwrap(), simulated.bind("0.0.0.0:0").unwrap()]
}

/// A socket that hears only from `remote`.
fn hears_only(remote: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(remote).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}

#[test]
fn discovery_and_probes_are_answered_from_where_they_were_asked() {
    for mut host in hosts(&Config::default()) {
        let address = second_address(&host);
        let mut responder = Responder::new("pond", HostInfo::default()).unwrap();
        let mut finder = Finder::new("pond").unwrap();
        finder.ask_at(address).unwrap();
        let event = host.wait_event(LIMIT).unwrap();
        assert!(
            matches!(event, Event::InfoPacket { local: Some(local), .. } if local == address.ip()),
            "{event:?}"
        );
        assert!(responder.handle(&mut host, &event));
        host.flush();
        assert_eq!(finder.next_answer(LIMIT).unwrap().address, address);

        let prober = hears_only(address);
        prober.send(&wire::probe([7; 16])).unwrap();
        let (mut bytes, end) = ([0; 64], Instant::now() + LIMIT);
        let length = loop {
            assert!(Instant::now() < end, "no echo from the address that was probed");
            host.wait(Duration::from_millis(5));
            host.poll();
            if let Ok(length) = prober.recv(&mut bytes) {
                break length;
            }
        };
        assert_eq!(bytes[..length], wire::probe_echo([7; 16]));
    }
}

#[test]
fn info_packets_with_an_unusable_source_leave_from_another() {
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_read_timeout(Some(LIMIT)).unwrap();
    for count in [1, 2, 5] {
        let mut host = Socket::bind("0.0.0.0:0").unwrap();
        for _ in 0..count {
            // As if the question had been sent to everybody on a network.
            host.send_info_from(Some([255; 4].into()), asker.local_addr().unwrap(), b"!me").unwrap();
        }
        host.flush();
        assert_eq!(host.io_stats().datagrams_sent, count, "{:?}", host.io_stats());
        for _ in 0..count {
            assert_eq!(asker.recv(&mut [0; 8]).unwrap(), 3);
        }
    }
}

#[test]
fn a_sharded_host_answers_from_where_it_was_asked() {
    for steering in [Steering::OneSocket, Steering::HandOn, Steering::Kernel] {
        let host = Socket::builder().shards(3).steering(steering).bind("0.0.0.0:0").unwrap();
        let address = SocketAddr::from(([127, 0, 0, 5], host.local_addr().port()));
        for _ in 0..8 {
            let asker = hears_only(address);
            asker.set_read_timeout(Some(LIMIT)).unwrap();
            asker.send(b"?who").unwrap();
            let Some(Event::InfoPacket { remote, local, .. }) = host.wait_event(LIMIT) else { panic!() };
            host.send_info_from(local, remote, b"!me").unwrap();
            host.flush();
            let mut bytes = [0; 8];
            assert_eq!(asker.recv(&mut bytes).unwrap(), 3, "{steering:?}");
        }
    }
}

#[test]
fn what_rejects_refuses_and_closes_comes_from_where_it_was_asked() {
    let mut config = Config::default();
    config.application_id = b"pond".to_vec();
    for mut host in hosts(&config) {
        let address = second_address(&host);
        // A reject.
        let mut stranger = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
        stranger.connect(address, pinned(&host)).unwrap();
        assert_eq!(end_of(&mut host, &mut stranger), CloseCode::ApplicationMismatch);
        // A refusal, and a close.
        for (refuses, code) in [(true, CloseCode::Refused), (false, CloseCode::Closed)] {
            let mut client = Socket::builder().config(config.clone()).bind("127.0.0.1:0").unwrap();
            client.connect(address, pinned(&host)).unwrap();
            let mut ended = None;
            turns(&mut [&mut host, &mut client], |socket, index, event| {
                match (index, event) {
                    (0, Event::ConnectRequest(request)) if refuses => {
                        socket.refuse(request.connection, b"no").unwrap();
                    }
                    (0, Event::ConnectRequest(request)) => {
                        socket.accept_connection(request.connection, b"").unwrap();
                    }
                    (0, Event::Established { connection, .. }) => socket.close(connection, b"").unwrap(),
                    (1, Event::Close { code, .. }) => ended = Some(code),
                    _ => {}
                }
                ended.is_some()
            });
            assert_eq!(ended, Some(code));
        }
    }
}

/// How the attempt of `client` ends.
fn end_of(host: &mut Socket, client: &mut Socket) -> CloseCode {
    let mut ended = None;
    turns(&mut [host, client], |_, index, event| {
        if let (1, Event::Close { code, .. }) = (index, event) {
            ended = Some(code);
        }
        ended.is_some()
    });
    ended.unwrap()
}

/// From now on the kernel refuses runs of datagrams of this socket: it does not cut what has no checksums.
fn refuse_runs(socket: &Socket) {
    let one: libc::c_int = 1;
    // SAFETY: the option's value is a c_int that lives until the call returns, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const one).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn after_a_refused_run_singles_keep_their_source_and_no_run_follows() {
    const BATCHES: u64 = 10;
    const PACKETS: u64 = 50;
    let mut config = Config::default();
    config.settings = Settings { packet_window: 1_024, ..Settings::default() };
    let mut host = Socket::builder().config(config.clone()).bind("0.0.0.0:0").unwrap();
    let mut client = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let (_, at_host) = connect_at(second_address(&host), &mut host, &mut client);
    refuse_runs(&host);
    let before = *host.io_stats();
    for batch in 1..=BATCHES {
        for _ in 0..PACKETS {
            host.send(at_host, &[7; 100]).unwrap();
        }
        let mut told = 0;
        turns(&mut [&mut host, &mut client], |_, index, event| {
            if let (0, Event::Verdict { delivery, .. }) = (index, event) {
                assert!(delivery.is_delivered(), "in batch {batch}");
                told += 1;
            }
            told == PACKETS
        });
    }
    let after = *host.io_stats();
    let singly = after.sent_singly - before.sent_singly;
    assert!((2..=PACKETS).contains(&singly), "one run was refused: {singly} sent singly");
    let calls = after.send_calls - before.send_calls;
    assert!(calls < singly + BATCHES * 20, "{calls} send calls");
}
