//! A socket that a thread drives behaves as one that its owner drives, and better when the owner is slow.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{LIMIT, hasty};
use torque_socket::{CloseCode, ConnectionId, Delivery, Event, SendError, Socket, ThreadedSocket, Trust};

fn pair() -> (ThreadedSocket, ThreadedSocket, ConnectionId, ConnectionId) {
    let host = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let at_client = client.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap();
    match host.wait_event(LIMIT) {
        Some(Event::ConnectRequest(request)) => host.accept_connection(request.connection, b"").unwrap(),
        other => panic!("{other:?}"),
    }
    let Some(Event::Established { connection, .. }) = client.wait_event(LIMIT) else {
        panic!("not connected")
    };
    assert_eq!(connection, at_client);
    let Some(Event::Established { connection: at_host, .. }) = host.wait_event(LIMIT) else {
        panic!("not up")
    };
    (host, client, at_host, at_client)
}

#[test]
fn asking_for_events_in_vain_wakes_no_thread() {
    let (host, _client, _, _) = pair();
    // The handshake's last packets pass.
    std::thread::sleep(Duration::from_millis(100));
    let before = host.io_stats().wakes;
    for _ in 0..1_000 {
        assert!(host.next_event().is_none());
        // Long enough for a thread that was woken to fall asleep again.
        std::thread::sleep(Duration::from_micros(50));
    }
    let wakes = host.io_stats().wakes - before;
    assert!(wakes < 100, "{wakes} wakes");
}

#[test]
fn packets_and_verdicts_pass_between_two_threads() {
    let (host, client, _, at_client) = pair();
    let client = Arc::new(client);
    let sender = Arc::clone(&client);
    let sending = std::thread::spawn(move || {
        let mut sent = 0;
        while sent < 2_000 {
            match sender.send(at_client, format!("packet {sent}").as_bytes()) {
                Ok(_) => sent += 1,
                Err(SendError::WindowFull) => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("{error}"),
            }
        }
        sender.flush();
    });
    let (mut arrived, mut delivered) = (0, 0);
    let end = Instant::now() + LIMIT;
    while arrived < 2_000 || delivered < 2_000 {
        assert!(Instant::now() < end, "{arrived} arrived, {delivered} verdicts");
        while let Some(event) = client.next_event() {
            match event {
                Event::Verdict { delivery, .. } => {
                    assert_eq!(delivery, Delivery::Delivered);
                    delivered += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        if let Some(event) = host.wait_event(Duration::from_millis(1)) {
            let Event::Packet { payload, .. } = event else { panic!("{event:?}") };
            assert_eq!(&*payload, format!("packet {arrived}").as_bytes(), "loopback keeps order");
            arrived += 1;
        }
    }
    sending.join().unwrap();
}

#[test]
fn long_frames_cost_neither_round_trip_time_nor_the_connection() {
    let (host, client, at_host, at_client) = pair();
    // Ten ping intervals (150 ms, three may go unanswered) pass in one frame of both applications.
    std::thread::sleep(Duration::from_millis(1_500));
    for (socket, id) in [(&host, at_host), (&client, at_client)] {
        assert!(socket.next_event().is_none(), "nothing has happened");
        let rtt = socket.connection_stats(id).unwrap().rtt;
        // Much less than the frame.
        assert!(rtt < Duration::from_millis(500), "{rtt:?}");
    }
}

#[test]
fn packets_leave_without_a_flush() {
    let (host, client, _, at_client) = pair();
    client.send(at_client, b"no flush").unwrap();
    let event = host.wait_event(LIMIT);
    assert!(matches!(event, Some(Event::Packet { .. })), "{event:?}");
}

#[test]
fn a_wait_for_events_ends_with_its_time() {
    let socket = Socket::bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let begun = Instant::now();
    assert!(socket.wait_event(Duration::from_millis(80)).is_none());
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
}

#[test]
fn connections_to_send_on_may_be_found_by_asking_the_socket() {
    let (_host, client, _, at_client) = pair();
    let client = Arc::new(client);
    let (done, is_done) = channel();
    let sender = Arc::clone(&client);
    std::thread::spawn(move || {
        let known = [at_client].into_iter().filter(|id| sender.peer(*id).is_some());
        done.send(sender.send_to_all(known, b"state").len())
    });
    assert_eq!(is_done.recv_timeout(LIMIT), Ok(1));
}

#[test]
fn a_stopped_socket_comes_back_with_its_connections() {
    let (host, client, _, at_client) = pair();
    let mut client = client.stop();
    assert_eq!(client.connections().collect::<Vec<_>>(), [at_client]);
    client.send(at_client, b"still here").unwrap();
    client.flush();
    let event = host.wait_event(LIMIT);
    assert!(matches!(event, Some(Event::Packet { .. })), "{event:?}");
    drop(client);
    let event = host.wait_event(LIMIT);
    assert!(matches!(event, Some(Event::Close { code: CloseCode::ShuttingDown, .. })), "{event:?}");
}

#[test]
fn threads_and_payloads_may_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    fn shared<T: Sync>() {}
    crosses::<Socket>();
    crosses::<ThreadedSocket>();
    shared::<ThreadedSocket>();
    crosses::<Event>();
}
