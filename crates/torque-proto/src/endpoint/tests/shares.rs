//! What one source can take of a host's tables, and what is left for others (PROTOCOL.md 5.4, step 7).

use alloc::collections::BTreeMap;

use super::*;
use crate::codes::CloseCode;

/// A host, and initiators at addresses of their own. Each initiator makes any number of requests: it takes
/// the host for as many hosts, whose datagrams all go to the one.
struct Crowd {
    now: Instant,
    host: Endpoint,
    clients: BTreeMap<Address, Endpoint>,
    /// Which of those hosts an initiator_nonce belongs to.
    targets: BTreeMap<[u8; 16], Address>,
    hosts: u16,
    /// Whether the host accepts what comes; no initiator ever hears of it.
    accepts: bool,
    /// Packets of connections that the host sent.
    packets: u32,
    requested: Vec<ConnectionId>,
    closed: Vec<(ConnectionId, CloseCode)>,
    /// Ends of attempts, by the initiator's address.
    failed: Vec<(Address, CloseCode)>,
}

impl Crowd {
    /// 16 pending, of them 4 from an address and 6 from a network.
    fn new() -> Self {
        let mut config = Config::default();
        config.limits.pending = 16;
        config.limits.pending_per_network = 6;
        config.puzzle.difficulty_max = 4;
        Self::with(config)
    }

    fn with(config: Config) -> Self {
        Self {
            now: Instant::from_millis(1),
            host: endpoint_with(200, config),
            clients: BTreeMap::new(),
            targets: BTreeMap::new(),
            hosts: 0,
            accepts: false,
            packets: 0,
            requested: Vec::new(),
            closed: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Makes `count` requests from there, one after the other.
    fn connect(&mut self, from: Address, count: u16) {
        let seed = self.clients.len() as u8;
        let now = self.now;
        self.clients.entry(from).or_insert_with(|| {
            let setup = Setup {
                config: Config::default(),
                key_pair: None,
                seed: [seed; 32],
                unix_millis: 1_700_000_000_000,
            };
            Endpoint::new(now, setup).unwrap()
        });
        for _ in 0..count {
            self.hosts += 1;
            let target = Address::from(SocketAddr::from(([192, 0, 2, 1], self.hosts)));
            let options = ConnectOptions::new(Trust::Anyone);
            let client = self.clients.get_mut(&from).unwrap();
            client.connect(self.now, target, options).unwrap();
            self.advance(Duration::from_millis(3));
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.host.handle_timeout(self.now);
            for (from, client) in &mut self.clients {
                client.handle_timeout(self.now);
                let sent: Vec<_> =
                    client.transmits().iter().map(|sent| (sent.path.remote, sent.bytes.to_vec())).collect();
                client.transmits().clear();
                for (target, mut bytes) in sent {
                    let at = if bytes[0] == 1 { 10 } else { 2 };
                    self.targets.insert(bytes[at..at + 16].try_into().unwrap(), target);
                    let datagram = Datagram { path: Path::to(*from), bytes: &mut bytes };
                    self.host.handle_datagram(self.now, datagram);
                }
                while let Some(event) = client.poll_event() {
                    if let Event::Close { code, .. } = event {
                        self.failed.push((*from, code));
                    }
                }
            }
            let sent: Vec<_> =
                self.host.transmits().iter().map(|sent| (sent.path.remote, sent.bytes.to_vec())).collect();
            self.host.transmits().clear();
            for (to, mut bytes) in sent {
                self.packets += u32::from(bytes[0] >= 0x80);
                if bytes[0] == 4 || bytes[0] >= 0x80 {
                    continue;
                }
                let at = if matches!(bytes[0], 2 | 7) { 2 } else { 1 };
                let nonce: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
                let datagram = Datagram { path: Path::to(self.targets[&nonce]), bytes: &mut bytes };
                self.clients.get_mut(&to).unwrap().handle_datagram(self.now, datagram);
            }
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                        self.requested.push(connection);
                        if self.accepts {
                            self.host.accept_connection(self.now, connection, b"").unwrap();
                        }
                    }
                    Event::Close { connection, code, .. } => self.closed.push((connection, code)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn pending_of(&self, from: Address) -> usize {
        let open = self.requested.iter().filter(|id| self.host.remote_address(**id) == Some(from));
        open.count()
    }

    /// Whether a newcomer's request is shown to the application at once.
    fn admits(&mut self, from: Address) -> bool {
        let before = self.requested.len();
        self.connect(from, 1);
        self.requested.len() == before + 1
    }
}

fn at(host: u8, port: u16) -> Address {
    Address::from(SocketAddr::from(([203, 0, 113, host], port)))
}

#[test]
fn one_address_has_four_pending_connections_and_no_more() {
    let mut crowd = Crowd::new();
    crowd.connect(at(1, 5_000), 50);
    assert_eq!(crowd.pending_of(at(1, 5_000)), 4);
    assert!(crowd.closed.is_empty(), "and keeps the first ones");
    assert_eq!(crowd.host.stats().busy, 46);
    assert!(crowd.admits(at(1, 5_001)), "another port of the same network");
    assert!(crowd.admits(at(2, 5_000)));
}

#[test]
fn one_network_has_half_of_the_table_while_nobody_else_needs_it() {
    let mut crowd = Crowd::new();
    for port in 0..10 {
        crowd.connect(at(1, 5_000 + port), 4);
    }
    assert_eq!(crowd.requested.len(), 8);
    // All addresses of an IPv6 /64 are one network; its share is another one.
    let v6 = |low: u16| {
        let ip = core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, low, low, low, low);
        Address::from(SocketAddr::from((ip, 7_000)))
    };
    for low in 0..10 {
        crowd.connect(v6(low), 1);
    }
    assert_eq!(crowd.requested.len(), 8 + 6);
    assert!(crowd.admits(at(2, 5_000)));
}

#[test]
fn in_a_full_table_the_site_that_holds_most_makes_room() {
    let mut crowd = Crowd::new();
    for (host, requests) in [(1, 6), (2, 6), (3, 4)] {
        for port in 0..requests {
            crowd.connect(at(host, 5_000 + port), 1);
        }
    }
    assert_eq!(crowd.requested.len(), 16);
    let oldest = [crowd.requested[0], crowd.requested[6]];
    assert!(crowd.admits(at(9, 5_000)));
    let [(given_up, CloseCode::Busy)] = crowd.closed[..] else { panic!("{:?}", crowd.closed) };
    assert!(oldest.contains(&given_up));
    assert_eq!(crowd.host.stats().given_up, 1);
    // The table does not grow, and a newcomer's network never gets more than those that were there.
    for port in 1..20 {
        crowd.connect(at(9, 5_000 + port), 1);
    }
    let open = crowd.requested.iter().filter(|id| crowd.host.remote_address(**id).is_some()).count();
    assert_eq!(open, 16);
    let of_newcomer: usize = (0..20).map(|port| crowd.pending_of(at(9, 5_000 + port))).sum();
    assert_eq!(of_newcomer, 4);
    // The initiator that was given up begins again, and hears in the end why it failed.
    crowd.advance(Duration::from_secs(40));
    let from = if given_up == oldest[0] { at(1, 5_000) } else { at(2, 5_000) };
    assert!(crowd.failed.contains(&(from, CloseCode::Busy)), "{:?}", crowd.failed);
}

#[test]
fn a_refused_request_frees_its_place() {
    let mut crowd = Crowd::new();
    crowd.connect(at(1, 5_000), 4);
    let first = crowd.requested[0];
    crowd.host.refuse(crowd.now, first, b"full").unwrap();
    crowd.advance(Duration::from_millis(3));
    assert!(crowd.admits(at(1, 5_000)), "who was refused may ask again");
    assert!(!crowd.admits(at(1, 5_000)));
}

#[test]
fn a_host_with_few_connections_shares_those() {
    let mut config = Config::default();
    config.limits.connections = 8;
    config.limits.pending_per_network = 2;
    let mut crowd = Crowd::with(config);
    crowd.connect(at(1, 5_000), 4);
    crowd.connect(at(1, 5_001), 4);
    assert_eq!(crowd.requested.len(), 4);
    assert!(crowd.admits(at(2, 5_000)));
}

#[test]
fn four_accepted_connections_of_one_address_wait_for_their_first_packet() {
    let mut config = Config::default();
    config.limits.pending_per_address = 100;
    config.puzzle.difficulty_max = 4;
    let mut crowd = Crowd::with(config);
    crowd.accepts = true;
    crowd.connect(at(1, 5_000), 7);
    assert_eq!(crowd.requested.len(), 7);
    let oldest = &crowd.requested[..3];
    let expected: Vec<_> = oldest.iter().map(|id| (*id, CloseCode::NotConfirmed)).collect();
    assert_eq!(crowd.closed, expected);
}

#[test]
fn a_host_may_give_each_network_a_part_of_its_connections() {
    let mut config = Config::default();
    config.limits.connections_per_network = 3;
    let mut crowd = Crowd::with(config);
    for port in 0..6 {
        crowd.connect(at(1, 5_000 + port), 1);
    }
    assert_eq!(crowd.requested.len(), 3);
    assert!(crowd.admits(at(2, 5_000)));
    // Established ones count as well.
    let mut pair = Pair::new(Config::default());
    pair.connect();
    pair.ends[HOST].config.limits.connections_per_network = 1;
    let mut second = Pair::new(Config::default());
    let options = ConnectOptions::new(Trust::Anyone);
    second.ends[CLIENT].connect(second.now, address(HOST as u8), options).unwrap();
    let from = Address::from(SocketAddr::from(([10, 0, 0, CLIENT as u8], 29_000)));
    for _ in 0..10 {
        let now = second.now;
        second.now += Duration::from_millis(1);
        second.ends[CLIENT].handle_timeout(now);
        let sent: Vec<_> = second.ends[CLIENT].transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
        second.ends[CLIENT].transmits().clear();
        for mut bytes in sent {
            let datagram = Datagram { path: Path::to(from), bytes: &mut bytes };
            pair.ends[HOST].handle_datagram(now, datagram);
        }
        let sent: Vec<_> = pair.ends[HOST].transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
        pair.ends[HOST].transmits().clear();
        for mut bytes in sent {
            let datagram = Datagram { path: Path::to(address(HOST as u8)), bytes: &mut bytes };
            second.ends[CLIENT].handle_datagram(now, datagram);
        }
    }
    assert_eq!(pair.ends[HOST].stats().busy, 1);
}

#[test]
fn refusals_that_wait_to_be_repeated_take_nobodys_place() {
    let mut crowd = Crowd::new();
    // Three times as many as there are places, each from a network of its own, and all refused.
    for host in 1..=48 {
        assert!(crowd.admits(at(host, 5_000)), "request {host}");
        let last = *crowd.requested.last().unwrap();
        crowd.host.refuse(crowd.now, last, b"full").unwrap();
        crowd.advance(Duration::from_millis(3));
    }
    assert_eq!(crowd.host.difficulty(crowd.now), 4, "nor do they raise the price");
    assert_eq!(crowd.host.stats().given_up, 0);
    // As many are kept to be repeated as there are places.
    assert_eq!(crowd.host.slots_used(), 16);
}

#[test]
fn an_accepted_connection_that_gives_way_is_closed() {
    let mut crowd = Crowd::new();
    crowd.accepts = true;
    for (host, requests) in [(1, 6), (2, 6), (3, 4)] {
        for port in 0..requests {
            crowd.connect(at(host, 5_000 + port), 1);
        }
    }
    assert_eq!(crowd.requested.len(), 16);
    crowd.host.transmits().clear();
    crowd.connect(at(9, 5_000), 1);
    let [(given_up, CloseCode::Busy)] = crowd.closed[..] else { panic!("{:?}", crowd.closed) };
    assert!([crowd.requested[0], crowd.requested[6]].contains(&given_up));
    assert_eq!(crowd.packets, 1, "its initiator is told by a packet: it has its connect_accept");
}

#[test]
fn one_holder_of_many_networks_is_one_source_in_a_full_table() {
    let mut crowd = Crowd::new();
    for network in 0..16 {
        let ip = core::net::Ipv6Addr::new(0x2001, 0xdb8, 7, network, 0, 0, 0, 1);
        crowd.connect(Address::from(SocketAddr::from((ip, 7_000))), 1);
    }
    assert_eq!(crowd.requested.len(), 16);
    for host in 1..=8 {
        assert!(crowd.admits(at(host, 5_000)), "request {host}");
    }
}
