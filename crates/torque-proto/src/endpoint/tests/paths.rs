//! Connections that move, over a link without delay.

use super::*;
use crate::address::Address;
use crate::endpoint::paths::PATHS;
use crate::timer::TimerKind;
use crate::wire::control::reliable::ReliableKind;

/// A host and a client that can have any address, one at a time.
struct Moving {
    pair: Pair,
    client: Address,
    ids: [ConnectionId; 2],
    /// Datagrams to where the client is not any more.
    lost: usize,
    /// Whether the client's packets are lost, and only its punches arrive.
    loses_packets: bool,
    /// First bytes of what was sent, by end.
    sent: [Vec<u8>; 2],
}

const HOME: u8 = CLIENT as u8;
const AWAY: u8 = 77;

impl Moving {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut pair = Pair::new(config);
        let ids = pair.connect();
        Self {
            pair,
            client: address(HOME),
            ids,
            lost: 0,
            loses_packets: false,
            sent: [Vec::new(), Vec::new()],
        }
    }

    fn exchange(&mut self) {
        loop {
            let mut idle = true;
            for from in [HOST, CLIENT] {
                let datagrams: Vec<(Path, Vec<u8>)> = self.pair.ends[from]
                    .transmits()
                    .iter()
                    .map(|transmit| (transmit.path, transmit.bytes.to_vec()))
                    .collect();
                self.pair.ends[from].transmits().clear();
                for (path, mut bytes) in datagrams {
                    idle = false;
                    self.sent[from].push(bytes[0]);
                    let source = if from == HOST { address(HOST as u8) } else { self.client };
                    let target = if from == HOST { self.client } else { address(HOST as u8) };
                    let is_lost = self.loses_packets && from == CLIENT && bytes[0] >= 0x80;
                    if path.remote != target || is_lost {
                        self.lost += 1;
                        continue;
                    }
                    let datagram = Datagram { path: Path::to(source), bytes: &mut bytes };
                    self.pair.ends[1 - from].handle_datagram(self.pair.now, datagram);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.pair.now + by;
        while self.pair.now < end {
            self.pair.now += Duration::from_millis(1);
            for endpoint in &mut self.pair.ends {
                endpoint.handle_timeout(self.pair.now);
            }
            self.exchange();
        }
    }

    fn send(&mut self, end: usize) {
        self.pair.ends[end].send(self.pair.now, self.ids[end], b"packet").unwrap();
        self.exchange();
    }

    fn punches(&self, end: usize) -> usize {
        self.sent[end].iter().filter(|first| **first == 0x08).count()
    }

    fn remote(&self) -> Address {
        self.pair.ends[HOST].remote_address(self.ids[HOST]).unwrap()
    }
}

fn packets(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Packet { .. })).count()
}

#[test]
fn the_host_follows_a_client_that_sends_from_another_address() {
    let mut moving = Moving::new();
    moving.send(CLIENT);
    moving.client = address(AWAY);
    // The first packet is not taken, and asks who this is; the punch answers.
    moving.send(CLIENT);
    moving.send(CLIENT);
    moving.advance(Duration::from_secs(1));
    let events = moving.pair.events(HOST);
    assert_eq!(packets(&events), 2, "{events:?}");
    let changed =
        |event: &Event| matches!(event, Event::PathChanged { remote, .. } if *remote == address(AWAY));
    assert_eq!(events.iter().filter(|event| changed(event)).count(), 1, "{events:?}");
    assert_eq!(moving.remote(), address(AWAY));
    // Both directions work, and each packet has its verdict.
    moving.send(HOST);
    moving.send(CLIENT);
    moving.advance(Duration::from_secs(1));
    let client = moving.pair.events(CLIENT);
    let verdicts: Vec<_> = client
        .iter()
        .filter_map(|event| match event {
            Event::Verdict { delivery, .. } => Some(*delivery),
            _ => None,
        })
        .collect();
    assert_eq!(verdicts, [Delivery::Delivered, Delivery::Dropped, Delivery::Delivered, Delivery::Delivered]);
    assert_eq!(packets(&client), 1);
    // The old path is punched for a while, then forgotten. A minute later nothing is left.
    moving.advance(Duration::from_secs(70));
    for end in [HOST, CLIENT] {
        moving.sent[end].clear();
    }
    moving.advance(Duration::from_secs(60));
    assert_eq!([moving.punches(HOST), moving.punches(CLIENT)], [0, 0]);
    for end in &moving.pair.ends {
        assert!(end.claims.is_empty());
        assert!(end.poll_timeout().is_none_or(|(_, kind)| kind != TimerKind::Path));
    }
}

#[test]
fn a_client_that_is_silent_is_found_at_its_next_ping() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    moving.client = address(AWAY);
    moving.advance(Duration::from_secs(6));
    assert_eq!(moving.remote(), address(AWAY));
    assert!(moving.pair.ends.iter().all(|end| end.connections().count() == 1));
}

#[test]
fn a_connection_that_does_not_move_sends_no_punches() {
    let mut moving = Moving::new();
    for _ in 0..100 {
        moving.send(CLIENT);
        moving.send(HOST);
        moving.advance(Duration::from_millis(50));
        moving.pair.events(HOST);
        moving.pair.events(CLIENT);
    }
    moving.advance(Duration::from_secs(60));
    assert_eq!([moving.punches(HOST), moving.punches(CLIENT)], [0, 0]);
}

#[test]
fn a_restarted_host_ends_the_connections_that_it_lost() {
    for sole_identity in [true, false] {
        let config = Config { sole_identity, ..Config::default() };
        let mut moving = Moving::with(config.clone());
        moving.advance(Duration::from_secs(1));
        moving.pair.events(CLIENT);
        // Another endpoint with the same identity.
        let key_pair = Some(moving.pair.ends[HOST].key_pair.clone());
        let setup = Setup { config, key_pair, seed: [9; 32], unix_millis: 1_700_000_000_000 };
        moving.pair.ends[HOST] = Endpoint::new(moving.pair.now, setup).unwrap();
        moving.send(CLIENT);
        moving.advance(Duration::from_secs(1));
        let events = moving.pair.events(CLIENT);
        let told =
            events.iter().any(|event| matches!(event, Event::Close { code: CloseCode::HostRestarted, .. }));
        assert_eq!(told, sole_identity, "{events:?}");
    }
}

#[test]
fn a_datagram_that_cannot_leave_puts_the_path_in_doubt_once_a_second() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    let host = address(HOST as u8);
    for _ in 0..50 {
        moving.pair.ends[CLIENT].obstacle(moving.pair.now, host, "no route", false);
        moving.exchange();
    }
    // One round, and both ends know at once that the path is good.
    assert_eq!([moving.punches(CLIENT), moving.punches(HOST)], [1, 1]);
    // Only the connection whose path it is: nothing is sent for other addresses.
    moving.advance(Duration::from_secs(1));
    moving.pair.ends[CLIENT].obstacle(moving.pair.now, address(AWAY), "no route", false);
    moving.exchange();
    assert_eq!(moving.punches(CLIENT), 1);
    moving.pair.ends[CLIENT].obstacle(moving.pair.now, host, "no route", false);
    moving.exchange();
    assert_eq!(moving.punches(CLIENT), 2);
}

#[test]
fn a_client_that_can_send_again_from_another_address_is_found_at_once() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    moving.client = address(AWAY);
    let host = address(HOST as u8);
    moving.pair.ends[CLIENT].obstacle(moving.pair.now, host, "no such address", false);
    moving.exchange();
    moving.advance(Duration::from_millis(300));
    assert_eq!(moving.remote(), address(AWAY));
}

#[test]
fn each_change_of_the_network_has_everything_tried_at_once() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    // Nothing gets through, so that each doubt goes on.
    for round in 1..=3 {
        moving.pair.ends[CLIENT].network_changed(moving.pair.now);
        assert_eq!(moving.pair.ends[CLIENT].transmits().len(), 1, "round {round}");
        moving.pair.ends[CLIENT].transmits().clear();
        moving.pair.now += Duration::from_millis(5);
    }
    let mut fixed = Moving::with(Config { roaming: false, ..Config::default() });
    fixed.pair.ends[CLIENT].network_changed(fixed.pair.now);
    assert_eq!(fixed.pair.ends[CLIENT].transmits().len(), 0);
}

#[test]
fn an_id_that_only_the_client_knows_to_be_shared_is_not_forgotten_by_the_host() {
    // A host that had forgotten it would say that it was restarted.
    let mut moving = Moving::with(Config { sole_identity: true, ..Config::default() });
    moving.advance(Duration::from_secs(1));
    moving.loses_packets = true;
    // The host tells another id, and never hears that the client has it.
    moving.pair.ends[CLIENT].network_changed(moving.pair.now);
    moving.advance(Duration::from_secs(14));
    moving.pair.events(CLIENT);
    moving.loses_packets = false;
    moving.client = address(AWAY);
    moving.pair.ends[CLIENT].network_changed(moving.pair.now);
    moving.send(CLIENT);
    moving.advance(Duration::from_secs(2));
    assert_eq!(moving.remote(), address(AWAY));
    let events = moving.pair.events(CLIENT);
    assert!(!events.iter().any(|event| matches!(event, Event::Close { .. })), "{events:?}");
}

#[test]
fn a_host_that_gives_an_id_that_is_in_use_is_ignored() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    // From the first punch on, the client reads the message.
    moving.pair.ends[CLIENT].network_changed(moving.pair.now);
    let client = moving.ids[CLIENT];
    let in_use = moving.pair.ends[CLIENT].ids_of(client)[0];
    let body = crate::wire::path_id(in_use, [7; 16]);
    let (now, id) = (moving.pair.now, moving.ids[HOST]);
    moving.pair.ends[HOST].send_control(now, id, PATHS, ReliableKind::PATH_ID, &body).unwrap();
    moving.advance(Duration::from_secs(1));
    // The other side's own spare comes all the same.
    let ids = moving.pair.ends[CLIENT].ids_of(client);
    assert!(ids.len() == 2 && ids[0] == in_use && ids[1] != in_use, "{ids:x?}");
}

#[test]
fn an_answer_in_time_leaves_no_timer_behind() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    let mut timeouts = 0;
    for _ in 0..60_000 {
        moving.pair.now += Duration::from_millis(1);
        for endpoint in &mut moving.pair.ends {
            if endpoint.poll_timeout().is_some_and(|(at, _)| at <= moving.pair.now) {
                endpoint.handle_timeout(moving.pair.now);
                timeouts += 1;
            }
        }
        moving.exchange();
    }
    // One for each ping: a minute has twelve at each side.
    assert!((20..=30).contains(&timeouts), "{timeouts}");
}

#[test]
fn a_client_that_moves_about_leaves_one_event_and_that_is_the_newest() {
    let mut moving = Moving::new();
    moving.advance(Duration::from_secs(1));
    moving.pair.events(HOST);
    for home in [AWAY, AWAY + 1, AWAY + 2] {
        moving.client = address(home);
        moving.pair.ends[CLIENT].network_changed(moving.pair.now);
        moving.advance(Duration::from_secs(2));
        assert_eq!(moving.remote(), address(home));
    }
    let changed = |events: Vec<Event>| -> Vec<Address> {
        let remotes = events.into_iter().filter_map(|event| match event {
            Event::PathChanged { remote, .. } => Some(remote),
            _ => None,
        });
        remotes.collect()
    };
    assert_eq!(changed(moving.pair.events(HOST)), [address(AWAY + 2)]);
    // The next move is told again.
    moving.client = address(AWAY + 3);
    moving.pair.ends[CLIENT].network_changed(moving.pair.now);
    moving.advance(Duration::from_secs(2));
    assert_eq!(changed(moving.pair.events(HOST)), [address(AWAY + 3)]);
}
