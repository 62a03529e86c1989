//! Rules of the endpoint that somebody on the other side would like to see broken.

use super::*;
use crate::config::ConfigError;
use crate::wire;

/// A host, and several clients that share one address.
struct Shared {
    now: Instant,
    host: Endpoint,
    clients: Vec<Endpoint>,
    host_events: Vec<Event>,
}

impl Shared {
    fn new(clients: u8) -> Self {
        Self {
            now: Instant::from_millis(1),
            host: endpoint(100),
            clients: (0..clients).map(endpoint).collect(),
            host_events: Vec::new(),
        }
    }

    fn connect(&mut self, client: usize) {
        let options = ConnectOptions::new(Trust::Anyone);
        self.clients[client].connect(self.now, address(0), options).unwrap();
    }

    /// The close codes that the host's application was told.
    fn closes(&self) -> Vec<CloseCode> {
        let code = |event: &Event| match event {
            Event::Close { code, .. } => Some(*code),
            _ => None,
        };
        self.host_events.iter().filter_map(code).collect()
    }

    /// Lets time pass for the host and these clients; the host accepts whoever asks.
    fn advance(&mut self, by: Duration, clients: core::ops::Range<usize>) {
        let end = self.now + by;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.host.handle_timeout(self.now);
            for client in &mut self.clients[clients.clone()] {
                client.handle_timeout(self.now);
                for mut bytes in take(client) {
                    let datagram = Datagram { path: Path::to(address(1)), bytes: &mut bytes };
                    self.host.handle_datagram(self.now, datagram);
                }
            }
            while let Some(event) = self.host.poll_event() {
                if let Event::ConnectRequest(ConnectRequest { connection, .. }) = event {
                    self.host.accept_connection(self.now, connection, b"").unwrap();
                }
                self.host_events.push(event);
            }
            for bytes in take(&mut self.host) {
                for client in &mut self.clients[clients.clone()] {
                    let mut bytes = bytes.clone();
                    let datagram = Datagram { path: Path::to(address(0)), bytes: &mut bytes };
                    client.handle_datagram(self.now, datagram);
                }
            }
        }
    }
}

fn take(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let datagrams = endpoint.transmits().iter().map(|transmit| transmit.bytes.to_vec()).collect();
    endpoint.transmits().clear();
    datagrams
}

#[test]
fn who_has_just_taken_an_address_is_asked_before_the_next_one_takes_it() {
    let mut shared = Shared::new(3);
    shared.connect(0);
    shared.advance(Duration::from_secs(1), 0..1);
    let established = |events: &[Event]| {
        events
            .iter()
            .filter_map(|event| match event {
                Event::Established { connection, replaces, .. } => Some((*connection, *replaces)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let first = established(&shared.host_events);
    assert_eq!(first.len(), 1);
    shared.host_events.clear();
    // The first client falls silent; two others come from its address at the same time.
    shared.connect(1);
    shared.connect(2);
    shared.advance(Duration::from_secs(10), 1..3);
    let second = established(&shared.host_events);
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(second[0].1, Some(first[0].0));
    assert_eq!(shared.closes(), [CloseCode::Replaced, CloseCode::AddressInUse]);
}

/// The first client is established; the second has proven its keys from the same address, and waits for the first to
/// answer. What the host sends to the first is lost from here on.
fn displacing() -> Shared {
    let mut shared = Shared::new(2);
    shared.connect(0);
    shared.advance(Duration::from_secs(1), 0..1);
    shared.connect(1);
    while shared.clients[1].connections().next().is_none() {
        shared.advance(Duration::from_millis(1), 1..2);
    }
    shared.advance(Duration::from_millis(2), 1..2);
    shared
}

#[test]
fn what_opens_while_an_address_is_displaced_does_not_open_again() {
    let mut shared = displacing();
    let id = shared.clients[1].connections().next().unwrap();
    take(&mut shared.clients[1]);
    let sent = shared.clients[1].send(shared.now, id, b"early").unwrap();
    let packet = take(&mut shared.clients[1]).remove(0);
    let before = shared.host.stats().clone();
    for _ in 0..3 {
        let mut copy = packet.clone();
        let datagram = Datagram { path: Path::to(address(1)), bytes: &mut copy };
        shared.host.handle_datagram(shared.now, datagram);
    }
    let stats = shared.host.stats();
    assert_eq!(stats.displacing, before.displacing + 1);
    assert_eq!(stats.late_or_duplicate, before.late_or_duplicate + 2);
    // It is reported as what it is: dropped.
    shared.advance(Duration::from_secs(1), 1..2);
    let events: Vec<_> = core::iter::from_fn(|| shared.clients[1].poll_event()).collect();
    let is_dropped = |event: &Event| {
        matches!(event, Event::Verdict { sequence, delivery, .. }
        if *sequence == sent && *delivery == Delivery::Dropped)
    };
    assert!(events.iter().any(is_dropped), "{events:?}");
}

#[test]
fn an_owner_that_hears_one_of_three_pings_keeps_its_address() {
    let mut shared = displacing();
    // Of the asks after 0, 62 and 125 ms it hears the last.
    shared.advance(Duration::from_millis(110), 1..2);
    shared.advance(Duration::from_secs(1), 0..2);
    assert_eq!(shared.closes(), [CloseCode::AddressInUse]);
    assert!(shared.clients[0].connections().next().is_some());
}

#[test]
fn closing_an_accepted_connection_twice_is_an_error_and_one_event() {
    let mut shared = Shared::new(1);
    shared.connect(0);
    while !shared.host_events.iter().any(|event| matches!(event, Event::ConnectRequest(_))) {
        shared.advance(Duration::from_millis(1), 0..1);
    }
    let Some(Event::ConnectRequest(ConnectRequest { connection, .. })) = shared.host_events.pop() else {
        panic!()
    };
    take(&mut shared.host);
    shared.host.close(shared.now, connection, b"no").unwrap();
    assert_eq!(shared.host.close(shared.now, connection, b"no"), Err(CallError::Closed));
    shared.advance(Duration::from_secs(20), 0..1);
    assert!(matches!(shared.host_events[..], [Event::Close { .. }]), "{:?}", shared.host_events);
    assert_eq!(shared.host.slots_used(), 0);
}

#[test]
fn our_own_challenge_request_is_known_wherever_it_comes_back_from() {
    let mut own = endpoint(1);
    let options = ConnectOptions::new(Trust::Anyone);
    own.connect(Instant::from_millis(1), address(5), options).unwrap();
    let mut request = take(&mut own).remove(0);
    for from in [5, 6] {
        let datagram = Datagram { path: Path::to(address(from)), bytes: &mut request };
        own.handle_datagram(Instant::from_millis(2), datagram);
        assert!(take(&mut own).is_empty(), "answered when it came from {from}");
    }
    assert_eq!(own.stats().reflected, 2);
}

/// What an endpoint says to a datagram from an address.
fn answer(endpoint: &mut Endpoint, from: u8, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let datagram = Datagram { path: Path::to(address(from)), bytes: &mut bytes };
    endpoint.handle_datagram(Instant::from_millis(2), datagram);
    take(endpoint)
}

#[test]
fn probes_are_echoed_where_their_source_is_welcome_and_echoes_never() {
    let (probe, echo) = (wire::probe([9; 16]), wire::probe_echo([9; 16]));
    let mut host = endpoint(1);
    assert_eq!(answer(&mut host, 5, &probe), [echo.to_vec()]);
    assert!(answer(&mut host, 5, &echo).is_empty());
    assert!(answer(&mut host, 5, &probe[..16]).is_empty());
    assert!(answer(&mut host, 5, &[&probe[..], &[0]].concat()).is_empty());
    let stats = host.stats();
    assert_eq!((stats.probes_answered, stats.stray_handshake, stats.malformed), (1, 1, 2));

    // Who takes no connections echoes only to those whom it asked.
    let config = Config { accept_incoming: false, ..Config::default() };
    let mut client = endpoint_with(2, config);
    let attempt =
        client.connect(Instant::from_millis(1), address(5), ConnectOptions::new(Trust::Ask)).unwrap();
    take(&mut client);
    assert!(answer(&mut client, 6, &probe).is_empty());
    assert_eq!(answer(&mut client, 5, &probe), [echo.to_vec()]);
    client.close(Instant::from_millis(3), attempt, b"").unwrap();
    assert!(answer(&mut client, 5, &probe).is_empty());
    assert_eq!(client.stats().not_accepting, 2);
}

#[test]
fn a_probe_without_room_for_its_echo_is_not_counted_as_answered() {
    let mut config = Config::default();
    // A quarter is for what strangers elicit.
    config.limits.queued_transmits = 8;
    let mut host = endpoint_with(1, config);
    for _ in 0..5 {
        let mut probe = wire::probe([9; 16]);
        let datagram = Datagram { path: Path::to(address(5)), bytes: &mut probe };
        host.handle_datagram(Instant::from_millis(2), datagram);
    }
    assert_eq!(take(&mut host).len(), 2);
    assert_eq!((host.stats().probes_answered, host.stats().transmits_dropped), (2, 3));
}

#[test]
fn a_probe_is_echoed_to_the_other_side_of_a_connection() {
    let mut pair = Pair::new(Config::default());
    pair.connect();
    pair.ends[CLIENT].config.accept_incoming = false;
    let probe = wire::probe([9; 16]);
    assert_eq!(answer(&mut pair.ends[CLIENT], HOST as u8, &probe), [wire::probe_echo([9; 16])]);
    assert!(answer(&mut pair.ends[CLIENT], 77, &probe).is_empty());
}

#[test]
fn intervals_too_short_for_the_clock_are_refused() {
    let config = Config { ping_interval: Duration::from_nanos(1), ..Config::default() };
    let setup = Setup { config, key_pair: None, seed: [1; 32], unix_millis: 0 };
    let refused: Option<ConfigError> = Endpoint::new(Instant::ZERO, setup).err();
    assert!(refused.is_some());
}
