//! A sharded host is one host to everybody, however its datagrams get to their shards.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::{LIMIT, hasty};
use torque_proto::wire::{ChallengeResponse, DatagramKind, parse_probe_echo, probe};
use torque_socket::{
    BindError, CloseCode, ConnectError, ConnectRequest, ConnectionId, Delivery, Event, IoStats, Sequence,
    ShardedSocket, Socket, Steering, Trust,
};

const WAYS: [Steering; 3] = [Steering::OneSocket, Steering::HandOn, Steering::Kernel];

/// A host whose datagrams get to their shards in this way; `None` where the system has it not.
fn host(steering: Steering, shards: usize, address: &str) -> Option<ShardedSocket> {
    let host = Socket::builder().config(hasty()).shards(shards).steering(steering).bind(address).unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(host.steering(), steering);
    }
    (host.steering() == steering).then_some(host)
}

/// A client of a sharded host.
struct Client {
    socket: Socket,
    id: ConnectionId,
    is_established: bool,
    verdicts: Vec<(Sequence, Delivery)>,
    packets: Vec<Vec<u8>>,
    closed: Vec<CloseCode>,
}

impl Client {
    fn new(host: &ShardedSocket, ip: IpAddr) -> Self {
        let mut socket = Socket::builder().config(hasty()).bind((ip, 0)).unwrap();
        let id = socket
            .connect(SocketAddr::new(ip, host.local_addr().port()), Trust::Pinned(host.public_key()))
            .unwrap();
        socket.flush();
        let (verdicts, packets, closed) = Default::default();
        Self { socket, id, is_established: false, verdicts, packets, closed }
    }

    fn turn(&mut self) {
        self.socket.poll();
        while let Some(event) = self.socket.next_event() {
            match event {
                Event::Established { .. } => self.is_established = true,
                Event::Packet { payload, .. } => self.packets.push(payload.to_vec()),
                Event::Verdict { sequence, delivery, .. } => {
                    self.verdicts.push((sequence, delivery));
                }
                Event::Close { code, .. } => self.closed.push(code),
                other => panic!("{other:?}"),
            }
        }
        self.socket.flush();
    }
}

/// One connection, as the host's application has seen it.
#[derive(Default)]
struct Guest {
    established: bool,
    packets: Vec<Vec<u8>>,
    delivered: usize,
    closed: usize,
}

/// A host's application that lets everybody in, and sends back what it gets.
#[derive(Default)]
struct Echo {
    guests: HashMap<ConnectionId, Guest>,
    remotes: HashMap<ConnectionId, torque_socket::Address>,
}

impl Echo {
    fn take(&mut self, host: &ShardedSocket, event: Event) {
        let Some(connection) = event.connection() else { panic!("{event:?}") };
        let guest = self.guests.entry(connection).or_default();
        assert_eq!(guest.closed, 0, "nothing comes after the close event");
        match event {
            Event::ConnectRequest(ConnectRequest { remote, .. }) => {
                self.remotes.insert(connection, remote);
                host.accept_connection(connection, b"").unwrap();
            }
            Event::Established { .. } => guest.established = true,
            Event::Packet { payload, .. } => {
                assert!(guest.established);
                host.send(connection, &payload).unwrap();
                guest.packets.push(payload.to_vec());
            }
            Event::Verdict { delivery, .. } => {
                assert_eq!(delivery, Delivery::Delivered);
                guest.delivered += 1;
            }
            Event::Close { .. } => guest.closed += 1,
            other => panic!("{other:?}"),
        }
    }
}

fn until(
    host: &ShardedSocket,
    echo: &mut Echo,
    clients: &mut [Client],
    done: impl Fn(&[Client], &Echo) -> bool,
) {
    let end = Instant::now() + LIMIT;
    while !done(clients, echo) {
        assert!(Instant::now() < end, "nothing more happened: {:?}", host.io_stats());
        while let Some(event) = host.wait_event(Duration::from_micros(200)) {
            echo.take(host, event);
        }
        clients.iter_mut().for_each(Client::turn);
    }
}

fn all_established(clients: &[Client], echo: &Echo) -> bool {
    clients.iter().all(|client| client.is_established)
        && echo.guests.values().filter(|guest| guest.established).count() == clients.len()
}

/// Every client sends `count` packets, which come back; every one of them gets its verdict.
fn exchange(host: &ShardedSocket, echo: &mut Echo, clients: &mut [Client], count: usize) {
    let sent: Vec<Vec<Sequence>> = clients
        .iter_mut()
        .enumerate()
        .map(|(index, client)| {
            let text = |number| format!("{index} says {number}").into_bytes();
            (0..count).map(|number| client.socket.send(client.id, &text(number)).unwrap()).collect()
        })
        .collect();
    until(host, echo, clients, |clients, echo| {
        clients.iter().all(|client| client.packets.len() >= count && client.verdicts.len() >= count)
            && echo.guests.values().all(|guest| guest.delivered >= count)
    });
    for (index, (client, sent)) in clients.iter().zip(sent).enumerate() {
        let texts: Vec<_> = (0..count).map(|number| format!("{index} says {number}").into_bytes()).collect();
        assert_eq!(client.packets, texts, "loopback keeps order");
        let verdicts: Vec<_> = sent.into_iter().map(|sequence| (sequence, Delivery::Delivered)).collect();
        assert_eq!(client.verdicts, verdicts);
    }
}

/// Whether nothing, or something, was handed on, as this way of steering has it; and nothing was lost.
fn check_handing_on(steering: Steering, stats: &IoStats) {
    assert_eq!(stats.handed_on == 0, steering == Steering::Kernel, "{steering:?}: {stats:?}");
    assert_eq!(stats.inbox_full, 0, "{stats:?}");
}

#[test]
fn many_clients_exchange_packets_with_right_verdicts_over_all_shards() {
    for steering in WAYS {
        let Some(host) = host(steering, 4, "127.0.0.1:0") else { continue };
        let mut clients: Vec<_> = (0..64).map(|_| Client::new(&host, Ipv4Addr::LOCALHOST.into())).collect();
        let mut echo = Echo::default();
        until(&host, &mut echo, &mut clients, all_established);
        exchange(&host, &mut echo, &mut clients, 10);
        check_handing_on(steering, &host.io_stats());

        // Every shard has its part, and it is the part that the rule gives it.
        let used: BTreeSet<_> = echo.guests.keys().map(|id| id.shard()).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        for (id, remote) in &echo.remotes {
            assert_eq!(usize::from(id.shard()), host.shard_of(*remote), "{remote}");
        }
        assert_eq!(host.connections().len(), 64);
        let stats = host.stats();
        assert_eq!(stats.connections_requested, 64);
        assert_eq!(stats.false_token + stats.unknown_address + stats.stale_epoch, 0, "{stats:?}");
    }
}

#[test]
fn both_families_reach_one_host_at_all_addresses() {
    for steering in WAYS {
        let Some(host) = host(steering, 3, "[::]:0") else { continue };
        let ips = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let mut clients: Vec<_> = (0..24).map(|index| Client::new(&host, ips[index % 2])).collect();
        let mut echo = Echo::default();
        until(&host, &mut echo, &mut clients, all_established);
        exchange(&host, &mut echo, &mut clients, 5);
        check_handing_on(steering, &host.io_stats());
        for (id, remote) in &echo.remotes {
            assert_eq!(usize::from(id.shard()), host.shard_of(*remote), "{remote}");
        }
    }
}

#[test]
fn closes_reach_everybody_from_both_sides() {
    for steering in WAYS {
        let Some(host) = host(steering, 3, "127.0.0.1:0") else { continue };
        let mut clients: Vec<_> = (0..12).map(|_| Client::new(&host, Ipv4Addr::LOCALHOST.into())).collect();
        let mut echo = Echo::default();
        until(&host, &mut echo, &mut clients, all_established);

        let first = *echo.guests.keys().next().unwrap();
        host.close(first, b"enough").unwrap();
        let closing = clients.iter_mut().find(|client| client.is_established).unwrap();
        let _ = closing.socket.close(closing.id, b"bye");
        until(&host, &mut echo, &mut clients, |clients, echo| {
            clients.iter().any(|client| !client.closed.is_empty())
                && echo.guests.get(&first).is_some_and(|guest| guest.closed == 1)
        });

        let driving = std::thread::spawn(move || {
            let end = Instant::now() + LIMIT;
            while clients.iter().any(|client| client.closed.is_empty()) {
                assert!(Instant::now() < end, "not everybody was told");
                clients.iter_mut().for_each(Client::turn);
                std::thread::sleep(Duration::from_millis(1));
            }
            clients
        });
        let mut closed: HashMap<_, usize> =
            echo.guests.iter().filter(|(_, guest)| guest.closed > 0).map(|(id, _)| (*id, 1)).collect();
        host.shutdown(LIMIT, |event| {
            if let Event::Close { connection, .. } = event {
                *closed.entry(connection).or_default() += 1;
            }
        });
        let clients = driving.join().unwrap();
        assert_eq!(closed.len(), 12);
        assert!(closed.values().all(|count| *count == 1), "one close event each: {closed:?}");
        let codes: Vec<_> = clients.iter().flat_map(|client| client.closed.clone()).collect();
        assert_eq!(codes.len(), 12, "one close event each: {codes:?}");
        assert!(codes.iter().filter(|code| **code == CloseCode::ShuttingDown).count() >= 10, "{codes:?}");
    }
}

/// A relay in front of a host, which keeps the requests that pass.
struct Relay {
    client_side: UdpSocket,
    host_side: UdpSocket,
    client: Option<SocketAddr>,
    requests: Vec<Vec<u8>>,
}

impl Relay {
    fn new(host: SocketAddr) -> Self {
        let [client_side, host_side] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        host_side.connect(host).unwrap();
        Self { client_side, host_side, client: None, requests: Vec::new() }
    }

    fn turn(&mut self) {
        let mut bytes = [0; 2_048];
        while let Ok((length, from)) = self.client_side.recv_from(&mut bytes) {
            self.client = Some(from);
            if DatagramKind::of(&bytes) == DatagramKind::ConnectRequest {
                self.requests.push(bytes[..length].to_vec());
            }
            self.host_side.send(&bytes[..length]).unwrap();
        }
        while let Ok(length) = self.host_side.recv(&mut bytes) {
            self.client_side.send_to(&bytes[..length], self.client.unwrap()).unwrap();
        }
    }
}

#[test]
fn a_replayed_request_is_refused_on_whatever_shard() {
    for steering in WAYS {
        let Some(host) = host(steering, 4, "127.0.0.1:0") else { continue };
        let mut relay = Relay::new(host.local_addr());
        let mut client = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
        let id = client
            .connect(relay.client_side.local_addr().unwrap(), Trust::Pinned(host.public_key()))
            .unwrap();
        let turn = |relay: &mut Relay, client: &mut Socket| {
            relay.turn();
            client.wait(Duration::from_micros(500));
            client.poll();
            let mut closed = 0;
            for event in std::iter::from_fn(|| host.next_event()) {
                match event {
                    Event::ConnectRequest(request) => {
                        host.accept_connection(request.connection, b"").unwrap()
                    }
                    Event::Close { .. } => closed += 1,
                    _ => {}
                }
            }
            closed
        };
        let end = Instant::now() + LIMIT;
        while host.connections().is_empty() {
            assert!(Instant::now() < end);
            turn(&mut relay, &mut client);
        }
        // The connection ends, and with it what is known of its request, but not the record of its token.
        client.close(id, b"").unwrap();
        let mut closed = 0;
        while closed == 0 {
            assert!(Instant::now() < end);
            closed += turn(&mut relay, &mut client);
        }
        let request = relay.requests[0].clone();
        assert_eq!(host.stats().connections_requested, 1);

        // From its own address it is a replay; from others, which belong to all the shards, its token is false.
        let others: Vec<_> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let shards: BTreeSet<_> =
            others.iter().map(|socket| host.shard_of(socket.local_addr().unwrap())).collect();
        assert_eq!(shards.len(), 4);
        for _ in 0..3 {
            relay.host_side.send(&request).unwrap();
        }
        for other in &others {
            other.send_to(&request, host.local_addr()).unwrap();
        }
        loop {
            let stats = host.stats();
            // A shard that has not heard of the epoch yet says so.
            if stats.false_token + stats.stale_epoch == 32
                && stats.replayed_token + stats.repeated_too_soon >= 3
            {
                break;
            }
            assert!(Instant::now() < end, "{stats:?}");
            turn(&mut relay, &mut client);
        }
        assert_eq!(host.stats().connections_requested, 1, "nobody else got in");
    }
}

/// The epoch's key and the data of the answer to a challenge_request.
fn ask(from: &UdpSocket, request: &[u8], host: SocketAddr) -> ([u8; 32], Vec<u8>) {
    from.set_read_timeout(Some(LIMIT)).unwrap();
    from.send_to(request, host).unwrap();
    let mut bytes = [0; 2_048];
    let length = from.recv(&mut bytes).unwrap();
    let response = ChallengeResponse::parse(&bytes[..length]).unwrap();
    (response.epoch_key, response.data.to_vec())
}

#[test]
fn all_shards_show_one_key_one_epoch_and_the_same_data() {
    for steering in WAYS {
        let Some(host) = host(steering, 4, "127.0.0.1:0") else { continue };
        host.set_challenge_response_data(b"a pond").unwrap();
        // A request as any client sends it.
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = Socket::bind("127.0.0.1:0").unwrap();
        client.connect(listener.local_addr().unwrap(), Trust::Anyone).unwrap();
        client.flush();
        let mut request = [0; 2_048];
        let length = listener.recv(&mut request).unwrap();

        // All at once, so that shards begin their first epoch at the same time.
        let askers: Vec<_> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let shards: BTreeSet<_> =
            askers.iter().map(|socket| host.shard_of(socket.local_addr().unwrap())).collect();
        assert_eq!(shards.len(), 4);
        let answers: BTreeSet<_> = std::thread::scope(|scope| {
            let asking: Vec<_> = askers
                .iter()
                .map(|asker| scope.spawn(|| ask(asker, &request[..length], host.local_addr())))
                .collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        assert_eq!(answers.len(), 1, "one epoch for all");
        assert_eq!(answers.first().unwrap().1, b"a pond");
    }
}

#[test]
fn a_probe_is_echoed_by_the_shard_of_its_sender() {
    for steering in WAYS {
        let Some(host) = host(steering, 4, "127.0.0.1:0") else { continue };
        let askers: Vec<_> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut expected = [0; 4];
        for (asker, number) in askers.iter().zip(0..) {
            expected[host.shard_of(asker.local_addr().unwrap())] += 1;
            asker.set_read_timeout(Some(LIMIT)).unwrap();
            asker.send_to(&probe([number; 16]), host.local_addr()).unwrap();
        }
        for (asker, number) in askers.iter().zip(0..) {
            let mut bytes = [0; 64];
            let (length, from) = asker.recv_from(&mut bytes).unwrap();
            assert_eq!((parse_probe_echo(&bytes[..length]), from), (Ok([number; 16]), host.local_addr()));
        }
        assert!(expected.iter().all(|count| *count > 0), "{expected:?}");
        check_handing_on(steering, &host.io_stats());
        let answered: Vec<_> = host.shards().iter().map(|shard| shard.stats().probes_answered).collect();
        assert_eq!(answered, expected);
    }
}

#[test]
fn a_full_inbox_is_counted_and_what_it_loses_is_told_as_dropped() {
    const SENT: usize = 100;
    const ROOM: usize = 8;
    let builder = Socket::builder().config(hasty()).shards(2).steering(Steering::OneSocket);
    let mut shards = builder.inbox_datagrams(ROOM).bind_each("127.0.0.1:0").unwrap();
    let [receiver, owner] = shards.as_mut_slice() else { panic!("two shards") };
    let (address, key) = (receiver.local_addr(), receiver.public_key());
    assert_eq!(key, owner.public_key());

    // Connect until one is the second shard's.
    let end = Instant::now() + LIMIT;
    let (mut client, id, at_owner) = 'connected: loop {
        let mut client = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
        let id = client.connect(address, Trust::Pinned(key)).unwrap();
        let mut established = None;
        while Instant::now() < end {
            client.poll();
            for shard in [&mut *receiver, &mut *owner] {
                shard.wait(Duration::from_micros(200));
                shard.poll();
                while let Some(event) = shard.next_event() {
                    match event {
                        Event::ConnectRequest(request) => {
                            shard.accept_connection(request.connection, b"").unwrap();
                        }
                        Event::Established { connection, .. } => established = Some(connection),
                        _ => {}
                    }
                }
                shard.flush();
            }
            let is_up = std::iter::from_fn(|| client.next_event())
                .any(|event| matches!(event, Event::Established { .. }));
            match established {
                Some(connection)
                    if connection.shard() == 1 && (is_up || client.max_packet_size(id).is_some()) =>
                {
                    break 'connected (client, id, connection);
                }
                Some(connection) if connection.shard() == 0 => continue 'connected,
                _ => {}
            }
        }
        panic!("no connection");
    };
    assert_eq!(at_owner.shard(), 1);

    // The owner sleeps while the packets come.
    let sent: Vec<_> = (0..SENT).map(|number| client.send(id, &[number as u8; 100]).unwrap()).collect();
    client.flush();
    while receiver.io_stats().inbox_full == 0 {
        assert!(Instant::now() < end);
        receiver.wait(Duration::from_millis(1));
        receiver.poll();
    }
    let (mut arrived, mut verdicts) = (0, Vec::new());
    while verdicts.len() < SENT {
        assert!(Instant::now() < end, "{} verdicts", verdicts.len());
        for shard in [&mut *receiver, &mut *owner] {
            shard.wait(Duration::from_micros(200));
            shard.poll();
            while let Some(event) = shard.next_event() {
                arrived += usize::from(matches!(event, Event::Packet { .. }));
            }
            shard.flush();
        }
        client.wait(Duration::from_micros(200));
        client.poll();
        while let Some(event) = client.next_event() {
            if let Event::Verdict { sequence, delivery, .. } = event {
                verdicts.push((sequence, delivery));
            }
        }
        client.flush();
    }
    let lost = receiver.io_stats().inbox_full as usize;
    assert!(lost >= SENT - ROOM - 1 - arrived && arrived < SENT, "{arrived} arrived, {lost} lost");
    assert_eq!(verdicts.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), sent);
    let delivered = verdicts.iter().filter(|(_, delivery)| *delivery == Delivery::Delivered).count();
    let dropped = verdicts.iter().filter(|(_, delivery)| *delivery == Delivery::Dropped).count();
    assert_eq!((delivered, dropped), (arrived, SENT - arrived), "each verdict is true");
}

#[test]
fn each_shard_can_be_served_by_a_thread_of_its_own() {
    for steering in WAYS {
        let Some(host) = host(steering, 2, "127.0.0.1:0") else { continue };
        let done = std::sync::atomic::AtomicBool::new(false);
        let mut clients: Vec<_> = (0..16).map(|_| Client::new(&host, Ipv4Addr::LOCALHOST.into())).collect();
        std::thread::scope(|scope| {
            let serving: Vec<_> = host
                .shards()
                .iter()
                .enumerate()
                .map(|(number, shard)| {
                    let done = &done;
                    scope.spawn(move || {
                        let mut packets = 0;
                        while !done.load(std::sync::atomic::Ordering::Relaxed) {
                            let Some(event) = shard.wait_event(Duration::from_millis(5)) else { continue };
                            assert_eq!(event.connection().map(|id| id.shard().into()), Some(number));
                            match event {
                                Event::ConnectRequest(request) => {
                                    shard.accept_connection(request.connection, b"").unwrap();
                                }
                                Event::Packet { connection, payload, .. } => {
                                    shard.send(connection, &payload).unwrap();
                                    packets += 1;
                                }
                                _ => {}
                            }
                        }
                        packets
                    })
                })
                .collect();
            let end = Instant::now() + LIMIT;
            let mut sent = false;
            while clients.iter().any(|client| client.packets.is_empty() || client.verdicts.is_empty()) {
                assert!(Instant::now() < end);
                clients.iter_mut().for_each(Client::turn);
                if !sent && clients.iter().all(|client| client.is_established) {
                    sent = true;
                    for client in &mut clients {
                        client.socket.send(client.id, b"hello").unwrap();
                    }
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            let served: Vec<usize> = serving.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(served.iter().sum::<usize>(), 16);
            assert!(served.iter().all(|packets| *packets > 0), "{served:?}");
        });
    }
}

#[test]
fn a_busy_shard_does_not_keep_the_events_of_another_waiting() {
    let host = Socket::builder().config(hasty()).shards(2).bind("127.0.0.1:0").unwrap();
    let mut echo = Echo::default();
    let mut clients = Vec::new();
    while clients
        .iter()
        .map(|client: &Client| host.shard_of(client.socket.local_addr()))
        .collect::<BTreeSet<_>>()
        .len()
        < 2
    {
        clients.push(Client::new(&host, Ipv4Addr::LOCALHOST.into()));
    }
    until(&host, &mut echo, &mut clients, all_established);
    let shard_of = |client: &Client| host.shard_of(client.socket.local_addr());
    for busy in [0, 1] {
        let before = host
            .connections()
            .iter()
            .filter_map(|id| host.connection_stats(*id))
            .map(|stats| stats.counters.received)
            .sum::<u64>();
        let loud = clients.iter().position(|client| shard_of(client) == busy).unwrap();
        let quiet = clients.iter().position(|client| shard_of(client) != busy).unwrap();
        for (index, count) in [(loud, 120), (quiet, 1)] {
            let client = &mut clients[index];
            for _ in 0..count {
                client.socket.send(client.id, b"x").unwrap();
            }
            client.socket.flush();
        }
        let end = Instant::now() + LIMIT;
        while host
            .connections()
            .iter()
            .filter_map(|id| host.connection_stats(*id))
            .map(|stats| stats.counters.received)
            .sum::<u64>()
            < before + 121
        {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        let shards: Vec<usize> = std::iter::from_fn(|| host.next_event())
            .filter(|event| matches!(event, Event::Packet { .. }))
            .filter_map(|event| event.connection().map(|id| id.shard().into()))
            .collect();
        assert_eq!(shards.len(), 121);
        let place = shards.iter().position(|shard| *shard != busy).unwrap();
        assert!(place <= 64, "the quiet one's packet came at place {place}");
        until(&host, &mut echo, &mut clients, |clients, _| {
            clients[loud].verdicts.len() >= 120 && !clients[quiet].verdicts.is_empty()
        });
        clients.iter_mut().for_each(|client| client.verdicts.clear());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_broadcast_question_is_seen_once() {
    let host = host(Steering::Kernel, 4, "0.0.0.0:0").unwrap();
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_broadcast(true).unwrap();
    for (asked, everybody) in [("127.0.0.1", 0), ("127.255.255.255", 3)] {
        asker.send_to(b"?", (asked, host.local_addr().port())).unwrap();
        let event = host.wait_event(LIMIT);
        assert!(matches!(event, Some(Event::InfoPacket { .. })), "{event:?}");
        let end = Instant::now() + LIMIT;
        while host.io_stats().datagrams_received < host.stats().info_received + everybody {
            assert!(Instant::now() < end, "{:?}", host.io_stats());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(host.next_event().is_none());
        assert_eq!(host.io_stats().broadcast_copies, everybody);
    }
    assert_eq!(host.stats().info_received, 2);
}

#[test]
fn a_wait_for_all_shards_is_ended_by_each() {
    for steering in WAYS {
        let Some(host) = host(steering, 3, "127.0.0.1:0") else { continue };
        let (mut shards, mut packets) = (BTreeSet::new(), 0);
        while shards.len() < 3 {
            let client = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap().spawn().unwrap();
            let id = client.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap();
            // Each of these comes only after the one before was answered, so the host waits for each.
            let mut answer = || {
                let begun = Instant::now();
                match host.wait_event(LIMIT).unwrap() {
                    Event::ConnectRequest(request) => {
                        host.accept_connection(request.connection, b"").unwrap();
                        shards.insert(request.connection.shard());
                    }
                    Event::Established { connection, .. } => drop(host.send(connection, b"ask").unwrap()),
                    Event::Verdict { .. } => {}
                    Event::Packet { .. } => packets += 1,
                    other => panic!("{other:?}"),
                }
                assert!(begun.elapsed() < LIMIT, "woken, and not by the end of its patience");
            };
            answer();
            assert!(matches!(client.wait_event(LIMIT), Some(Event::Established { .. })));
            answer();
            assert!(matches!(client.wait_event(LIMIT), Some(Event::Packet { .. })));
            client.send(id, b"answer").unwrap();
            client.flush();
            answer();
            answer();
            client.close(id, b"").unwrap();
            assert!(matches!(host.wait_event(LIMIT), Some(Event::Close { .. })));
        }
        assert!(packets >= 3);
    }
}

#[test]
fn a_sharded_host_connects_from_the_shard_that_gets_the_answers() {
    for steering in WAYS {
        let Some(host) = host(steering, 4, "127.0.0.1:0") else { continue };
        let mut used = BTreeSet::new();
        for _ in 0..12 {
            let mut other = common::loopback();
            let url = format!("torque://{}@{}", other.public_key(), other.local_addr());
            let id = host.connect(url, None).unwrap();
            assert_eq!(usize::from(id.shard()), host.shard_of(other.local_addr()));
            used.insert(id.shard());
            let end = Instant::now() + LIMIT;
            loop {
                assert!(Instant::now() < end);
                other.wait(Duration::from_micros(500));
                other.poll();
                while let Some(event) = other.next_event() {
                    if let Event::ConnectRequest(request) = event {
                        other.accept_connection(request.connection, b"").unwrap();
                    }
                }
                other.flush();
                match host.next_event() {
                    Some(Event::Established { connection, .. }) if connection == id => break,
                    Some(Event::Close { connection, .. }) if connection != id => {}
                    None => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(used.len() > 1, "{used:?}");
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let owner = host.shard_of(address);
        let failed = host.shards()[(owner + 1) % 4].connect(address, Trust::Anyone);
        assert_eq!(failed, Err(ConnectError::OtherShard { owner }));
    }
}

#[test]
fn the_port_of_a_host_is_not_given_to_another() {
    for (one, other) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
        let first = Socket::builder().shards(one).bind("127.0.0.1:0").unwrap();
        let second = Socket::builder().shards(other).bind(first.local_addr());
        assert!(matches!(second, Err(BindError::AddressInUse { .. })), "{one}, {other}: {second:?}");
        let plain = Socket::bind(first.local_addr());
        assert!(matches!(plain, Err(BindError::AddressInUse { .. })), "{plain:?}");
    }
}

#[test]
fn a_number_of_shards_that_cannot_be_is_refused() {
    for shards in [65, 1_000] {
        let refused = Socket::builder().shards(shards).bind("127.0.0.1:0");
        assert!(matches!(refused, Err(BindError::Config(_))), "{shards}");
    }
    assert_eq!(Socket::builder().shards(64).bind("127.0.0.1:0").unwrap().shards().len(), 64);
}
