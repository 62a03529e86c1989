//! A connection that leaves from a further port, with each way to wait.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::*;
use crate::io::UdpOptions;
use crate::{Address, CloseCode, Config, ConnectOptions, ConnectionId, Event, PublicKey, Trust, Wake};

/// More than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);
/// How long the host waits before it answers a packet: the client has its verdict, and sleeps, by then.
const ANSWER_AFTER: Duration = Duration::from_millis(300);

/// A host that lets everybody in, notes where they come from, and sends packets back some time later.
struct Echo {
    address: SocketAddr,
    key: PublicKey,
    clients: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn new() -> Self {
        let mut socket = Socket::bind("127.0.0.1:0").unwrap();
        let (address, key) = (socket.local_addr(), socket.public_key());
        let (clients, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (Arc::clone(&clients), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut answers: VecDeque<(Instant, ConnectionId, Vec<u8>)> = VecDeque::new();
            while !stopped.load(Ordering::Relaxed) {
                while answers.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
                    let (_, connection, payload) = answers.pop_front().unwrap();
                    let _ = socket.send(connection, &payload);
                }
                match socket.wait_event(Duration::from_millis(20)) {
                    Some(Event::ConnectRequest(request)) => {
                        seen.lock().unwrap().extend(request.remote.socket_addr());
                        let _ = socket.accept_connection(request.connection, b"");
                    }
                    Some(Event::Packet { connection, payload, .. }) => {
                        answers.push_back((Instant::now() + ANSWER_AFTER, connection, payload.to_vec()));
                    }
                    _ => {}
                }
            }
        });
        Self { address, key, clients, stop, thread: Some(thread) }
    }

    /// The port from which the only client came.
    fn client_port(&self) -> u16 {
        let clients = self.clients.lock().unwrap();
        assert_eq!(clients.len(), 1);
        clients[0].port()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A socket whose own timers do not wake it while a test waits for a packet.
fn client() -> Socket {
    let config = Config::default().with(|config| config.ping_interval = Duration::from_secs(60));
    Socket::builder().config(config).watch_network(false).bind("127.0.0.1:0").unwrap()
}

/// Opens a further port and connects from there, as an introduction would.
fn connect_from(socket: &mut Socket, number: u16, host: &Echo) -> ConnectionId {
    socket.serve_port_request(PortRequest::Open(number));
    let now = socket.now();
    let options = ConnectOptions::default().with_trust(Trust::Pinned(host.key));
    let id = socket.endpoint.connect_unresolved_from(now, number, options).unwrap();
    socket.endpoint.add_candidates(now, id, &[Address::from(host.address)]).unwrap();
    socket.endpoint.end_candidates(now, id, CloseCode::NameNotFound, "").unwrap();
    id
}

/// Waits for a packet of the echo.
fn packet(mut next: impl FnMut() -> Option<Event>) -> Vec<u8> {
    loop {
        match next().expect("an answer") {
            Event::Packet { payload, .. } => return payload.to_vec(),
            Event::Close { code, .. } => panic!("closed: {code}"),
            _ => {}
        }
    }
}

/// The next event; what comes wakes the socket, and not the end of the wait, after which it would look as well.
fn woken(socket: &mut Socket) -> Option<Event> {
    loop {
        if let Some(event) = socket.next_event() {
            return Some(event);
        }
        if socket.wait(LIMIT) == Wake::TimedOut {
            return None;
        }
        socket.poll();
    }
}

fn until_established(mut next: impl FnMut() -> Option<Event>) {
    while !matches!(next().expect("a connection"), Event::Established { .. }) {}
}

#[test]
fn a_connection_leaves_from_a_further_port() {
    let (host, mut socket) = (Echo::new(), client());
    let id = connect_from(&mut socket, 7, &host);
    until_established(|| socket.wait_event(LIMIT));
    assert_ne!(host.client_port(), socket.local_addr().port());
    assert_eq!(host.client_port(), socket.further.get(7).unwrap().local_addr().port());
    socket.send(id, b"quack").unwrap();
    assert_eq!(packet(|| woken(&mut socket)), b"quack");
    let stats = socket.io_stats();
    assert_eq!((stats.ports_opened, stats.port_not_open), (1, 0));
    assert!(stats.datagrams_received > 0, "those of further ports count too");
}

#[test]
fn a_thread_waits_for_a_port_that_opens_while_it_sleeps() {
    let socket = client().spawn().unwrap();
    // The thread has begun to sleep, without a limit.
    thread::sleep(Duration::from_millis(50));
    let address = socket.with(|socket| {
        socket.serve_port_request(PortRequest::Open(7));
        socket.further.get(7).unwrap().local_addr()
    });
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"what is this?", address).unwrap();
    let end = Instant::now() + LIMIT;
    while socket.io_stats().datagrams_received == 0 {
        assert!(Instant::now() < end, "the thread does not watch the port");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_thread_serves_a_connection_from_a_further_port() {
    let (host, socket) = (Echo::new(), client().spawn().unwrap());
    let id = socket.with(|socket| connect_from(socket, 7, &host));
    until_established(|| socket.wait_event(LIMIT));
    assert_ne!(host.client_port(), socket.local_addr().port());
    socket.send(id, b"quack").unwrap();
    assert_eq!(packet(|| socket.wait_event(LIMIT)), b"quack");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_runtime_waits_for_further_ports() {
    let host = Echo::new();
    for opened_before in [true, false] {
        let mut socket = client();
        if opened_before {
            socket.serve_port_request(PortRequest::Open(3));
        }
        let mut socket = crate::AsyncSocket::new(socket).unwrap();
        // From a thread without a runtime, as a call of another part of the program would be.
        let id = thread::scope(|scope| {
            scope.spawn(|| socket.with(|socket| connect_from(socket, 3, &host))).join().unwrap()
        });
        while !matches!(socket.wait_event(LIMIT).await, Some(Event::Established { .. })) {}
        socket.connection(id).send(b"quack").unwrap();
        loop {
            match socket.wait_event(LIMIT).await.expect("an answer") {
                Event::Packet { payload, .. } => break assert_eq!(&*payload, b"quack"),
                Event::Close { code, .. } => panic!("closed: {code}"),
                _ => {}
            }
        }
        let local = socket.local_addr().port();
        assert!(host.clients.lock().unwrap().iter().all(|client| client.port() != local));
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_task_sleeps_while_one_port_has_no_room_to_send() {
    let mut socket =
        introducer().observe_at(SocketAddr::from(([0, 0, 0, 0], 0))).bind("127.0.0.1:0").unwrap();
    socket.move_to_tokio().unwrap();
    // The runtime knows that the other port has room.
    socket.further.at(0).unwrap().tokio().unwrap().writable().await.unwrap();
    socket.udp.stay_blocked().await;
    let mut socket = crate::AsyncSocket::new(socket).unwrap();
    assert!(socket.wait_event(Duration::from_millis(200)).await.is_none());
    let wakes = socket.with(|socket| socket.io_stats().wakes);
    assert!(wakes < 20, "{wakes} wakes, although nothing happened");
}

#[test]
fn many_ports_cost_few_calls_and_close() {
    let (host, mut socket) = (Echo::new(), client());
    for number in 1..=256 {
        socket.serve_port_request(PortRequest::Open(number));
    }
    let id = connect_from(&mut socket, 200, &host);
    until_established(|| socket.wait_event(LIMIT));
    socket.send(id, b"quack").unwrap();
    assert_eq!(packet(|| socket.wait_event(LIMIT)), b"quack");
    let before = socket.io_stats().receive_calls;
    socket.poll();
    let calls = socket.io_stats().receive_calls - before;
    assert!(calls < 10, "{calls} receive calls, although nothing came");
    for number in 1..=256 {
        socket.serve_port_request(PortRequest::Close(number));
    }
    assert!(socket.further.is_empty());
}

#[test]
fn what_a_closed_port_has_counted_stays_counted_once() {
    let mut socket = client();
    for number in [3, 7] {
        socket.serve_port_request(PortRequest::Open(number));
        socket.further.get_mut(number).unwrap().stats_mut().datagrams_sent += u64::from(number);
    }
    socket.serve_port_request(PortRequest::Close(7));
    assert_eq!(socket.io_stats().datagrams_sent, 7);
    socket.flush();
    assert_eq!(socket.io_stats().datagrams_sent, 10);
}

#[test]
fn a_private_port_is_one_and_never_the_observing_one() {
    let mut further = FurtherPorts::new(UdpOptions::default(), "127.0.0.1:0".parse().unwrap(), false);
    // Its own port may be any, also the one whose number means another thing.
    let number = further.private().unwrap();
    assert_ne!(number, further.get(number).unwrap().local_addr().port());
    assert_ne!(number, torque_proto::OBSERVING_PORT);
    assert_eq!((further.private().unwrap(), further.iter().count()), (number, 1));
}

#[test]
fn what_leaves_from_a_closed_port_is_dropped_and_holds_nothing_up() {
    let (host, mut socket) = (Echo::new(), client());
    for link in [None, Some(crate::LinkConfig::perfect())] {
        socket.set_simulated_link(link);
        let before = *socket.io_stats();
        connect_from(&mut socket, 7, &Echo::new());
        socket.serve_port_request(PortRequest::Close(7));
        // From the bound port, behind the other in the queue.
        let id = socket.connect(host.address, Trust::Pinned(host.key)).unwrap();
        until_established(|| socket.wait_event(LIMIT));
        assert!(socket.io_stats().port_not_open > before.port_not_open);
        socket.close(id, b"").unwrap();
        while !matches!(socket.wait_event(LIMIT).unwrap(), Event::Close { connection, .. } if connection == id)
        {
        }
    }
}

#[test]
fn a_port_that_cannot_be_opened_is_counted_and_ends_nothing() {
    let (host, mut socket) = (Echo::new(), client());
    let elsewhere = "192.0.2.1:1".parse().unwrap();
    socket.further = FurtherPorts::new(UdpOptions::default(), elsewhere, false);
    connect_from(&mut socket, 7, &Echo::new());
    socket.flush();
    let stats = *socket.io_stats();
    assert_eq!((stats.ports_opened, stats.ports_not_opened, stats.port_not_open), (0, 1, 1));
    socket.connect(host.address, Trust::Pinned(host.key)).unwrap();
    until_established(|| socket.wait_event(LIMIT));
}

fn introducer() -> crate::Builder {
    Socket::builder().config(Config::default().with(|config| config.introduction.introduces = true))
}

/// A bound address whose next port is free, or taken.
fn with_next_port(taken: bool) -> (Socket, Option<UdpSocket>) {
    // Other programs may take ports at any time.
    for _ in 0..100 {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let next = SocketAddr::new(address.ip(), address.port().saturating_add(1));
        let Ok(other) = UdpSocket::bind(next) else { continue };
        drop(free);
        let other = taken.then_some(other);
        let Ok(socket) = introducer().bind(address) else { continue };
        if !taken && socket.observing_addr().is_none() {
            continue;
        }
        return (socket, other);
    }
    panic!("no two ports in a row are free");
}

#[test]
fn an_introducer_observes_at_the_next_port_if_it_is_free() {
    let (socket, _) = with_next_port(false);
    let observing = socket.observing_addr().expect("the next port");
    assert_eq!(
        (observing.ip(), observing.port()),
        (socket.local_addr().ip(), socket.local_addr().port() + 1)
    );
    let (socket, _other) = with_next_port(true);
    assert_eq!(socket.observing_addr(), None);
    // Others do not observe.
    assert_eq!(Socket::bind("127.0.0.1:0").unwrap().observing_addr(), None);
    assert_eq!(introducer().observe_at(None).bind("127.0.0.1:0").unwrap().observing_addr(), None);
}

#[test]
fn an_introducer_observes_where_it_is_told() {
    let second = SocketAddr::from(([127, 0, 0, 2], 0));
    let socket = introducer().observe_at(second).bind("127.0.0.1:0").unwrap();
    assert_eq!(socket.observing_addr().unwrap().ip(), second.ip());
    let here = SocketAddr::from(([0, 0, 0, 0], 0));
    let socket = introducer().observe_at(here).bind("127.0.0.1:0").unwrap();
    assert_eq!(socket.observing_addr().unwrap().ip(), socket.local_addr().ip());
    let taken = socket.local_addr();
    let refused = introducer().observe_at(taken).bind("127.0.0.1:0");
    assert!(matches!(refused, Err(BindError::AddressInUse { address }) if address == taken));
}

#[test]
fn nobody_connects_at_the_observing_port() {
    let mut socket =
        introducer().observe_at(SocketAddr::from(([0, 0, 0, 0], 0))).bind("127.0.0.1:0").unwrap();
    let mut stranger = Socket::bind("127.0.0.1:0").unwrap();
    stranger.connect(socket.observing_addr().unwrap(), Trust::Pinned(socket.public_key())).unwrap();
    stranger.flush();
    while socket.io_stats().observing_strays == 0 {
        socket.wait(LIMIT);
        socket.poll();
    }
    assert_eq!(socket.io_stats().datagrams_sent, 0);
}
