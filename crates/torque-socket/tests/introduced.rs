//! Two sockets that are connected to a third get a connection with each other (INTRODUCTIONS.md).
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/faces.rs"]
mod faces;
#[cfg(target_os = "linux")]
#[path = "common/networks.rs"]
mod networks;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::LIMIT;
use faces::{Face, faces};
use torque_socket::{
    CallError, CloseCode, Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, IntroductionResult,
    Nat, PublicKey, Relay, Socket, Trust,
};

/// The sockets by their index.
const INTRODUCER: usize = 0;
const INITIATOR: usize = 1;
const HOST: usize = 2;
const PARTIES: [usize; 2] = [INITIATOR, HOST];

/// An introducer, and two parties that are connected to it.
struct Three {
    faces: [Box<dyn Face>; 3],
    /// The parties' connections, by their ids at the introducer and at the party.
    at_introducer: [ConnectionId; 3],
    at_party: [ConnectionId; 3],
}

fn introducer() -> Config {
    let mut config = Config::default();
    config.introduction.introduces = true;
    config
}

/// A party needs nobody who connects to it.
fn party() -> Config {
    let mut config = Config::default();
    config.accept_incoming = false;
    config
}

fn bound(config: Config) -> Socket {
    Socket::builder().config(config).bind("127.0.0.1:0").unwrap()
}

impl Three {
    fn on_loopback(wrap: faces::Wrap) -> Self {
        let faces = [introducer(), party(), party()].map(|config| wrap(bound(config)));
        let address = faces[INTRODUCER].as_ref().address();
        Self::new(faces, address)
    }

    /// Connects the parties to the introducer, which is at `address`.
    fn new(faces: [Box<dyn Face>; 3], address: SocketAddr) -> Self {
        let nobody = ConnectionId::from_u32(1).unwrap();
        let mut three = Self { faces, at_introducer: [nobody; 3], at_party: [nobody; 3] };
        let key = three.key(INTRODUCER);
        for index in PARTIES {
            let options = ConnectOptions::new(Trust::Pinned(key));
            three.at_party[index] = three.faces[index].calls().connect_with(&address, options).unwrap();
            let mut up = [false; 2];
            three.until(|three, at, event| {
                match event {
                    Event::ConnectRequest(request) if at == INTRODUCER => {
                        three.at_introducer[index] = request.connection;
                        three.faces[at].calls().accept_connection(request.connection, b"").unwrap();
                    }
                    Event::Established { .. } => up[usize::from(at == INTRODUCER)] = true,
                    other => panic!("{at}: {other:?}"),
                }
                up == [true; 2]
            });
        }
        three
    }

    fn key(&mut self, index: usize) -> PublicKey {
        self.faces[index].calls().public_key()
    }

    /// Drives all three until `handle` says that it is done.
    fn until(&mut self, mut handle: impl FnMut(&mut Self, usize, Event) -> bool) {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            for index in 0..self.faces.len() {
                while let Some(event) = self.faces[index].wait(Duration::from_millis(1)) {
                    if handle(self, index, event) {
                        return;
                    }
                }
            }
        }
        panic!("nothing more happened within {LIMIT:?}");
    }

    /// A party asks for the other one.
    fn ask(&mut self, index: usize, options: IntroducedOptions) -> ConnectionId {
        let (introducer, remote) = self.names(index);
        self.faces[index].calls().connect_introduced(introducer, remote, options).unwrap()
    }

    /// The connection with the introducer, and the number there of that with the other party.
    fn names(&self, index: usize) -> (ConnectionId, u32) {
        (self.at_party[index], self.at_introducer[INITIATOR + HOST - index].get())
    }

    fn introduce(&mut self, relay: Option<Relay>) {
        let [_, initiator, host] = self.at_introducer;
        let face = self.faces[INTRODUCER].calls();
        let id = face.introduce(initiator, host, relay).unwrap();
        assert_eq!(face.introduce(initiator, host, relay), Ok(id), "the same pair is the same introduction");
    }

    fn pinned(&mut self) -> IntroducedOptions {
        let options = ConnectOptions::new(Trust::Pinned(self.key(HOST)));
        IntroducedOptions::initiator(options.with_data(b"Ann"))
    }

    /// The parties have asked, with these ids. Returns when both are connected and the introducer was told; with what it was told.
    fn meet(&mut self, ids: [ConnectionId; 2]) -> IntroductionResult {
        let [initiator, host] = [INITIATOR, HOST].map(|index| self.at_introducer[index]);
        let (mut up, mut told) = ([false; 2], None);
        self.until(|three, at, event| {
            match event {
                Event::ConnectRequest(request) if at == HOST => {
                    assert_eq!(request.connection, ids[1]);
                    assert_eq!(request.introduced_by, Some(three.at_party[HOST]));
                    assert_eq!(request.public_key, three.key(INITIATOR));
                    assert_eq!(request.connect_data, b"Ann");
                    three.faces[at].calls().accept_connection(ids[1], b"welcome").unwrap();
                }
                Event::Established { connection, introduced_by, .. } if at != INTRODUCER => {
                    assert_eq!(connection, ids[at - 1]);
                    assert_eq!(introduced_by, Some(three.at_party[at]));
                    up[at - 1] = true;
                }
                Event::Introduced { initiator: first, host: second, result, .. } if at == INTRODUCER => {
                    assert_eq!((first, second), (initiator, host));
                    told = Some(result);
                }
                Event::ChallengeResponse(shown) if at == INITIATOR => {
                    assert_eq!(shown.introduced_by, Some(three.at_party[INITIATOR]));
                    assert_eq!(shown.public_key, three.key(HOST));
                    assert_eq!(shown.introduced_data, b"table 4");
                    three.faces[at].calls().accept_challenge(ids[0]).unwrap();
                }
                Event::PathChanged { .. } => {}
                other => panic!("{at}: {other:?}"),
            }
            up == [true; 2] && told.is_some()
        });
        for index in PARTIES {
            let peer = self.faces[index].calls().peer(ids[index - 1]).unwrap();
            let is_relayed = told == Some(IntroductionResult::Relayed);
            assert_eq!(peer.address.is_circuit(), is_relayed, "{}", peer.address);
        }
        self.exchange(ids);
        told.unwrap()
    }

    /// Each sends the other a packet, which is delivered.
    fn exchange(&mut self, ids: [ConnectionId; 2]) {
        let (mut received, mut delivered) = (0, 0);
        for index in PARTIES {
            self.faces[index].calls().send(ids[index - 1], b"quack").unwrap();
        }
        self.until(|_, _, event| {
            match event {
                Event::Packet { payload, .. } => received += usize::from(*payload == *b"quack"),
                Event::Verdict { delivery, .. } => delivered += usize::from(delivery.is_delivered()),
                Event::PathChanged { .. } => {}
                other => panic!("{other:?}"),
            }
            (received, delivered) == (2, 2)
        });
    }

    /// The code with which the attempt of a party ends.
    fn ended(&mut self, index: usize, id: ConnectionId) -> CloseCode {
        let mut ended = None;
        self.until(|three, at, event| {
            match event {
                Event::Close { connection, code, .. } if (at, connection) == (index, id) => {
                    ended = Some(code)
                }
                Event::IntroductionRequested { from, to, .. } => {
                    three.faces[at].calls().refuse_introduction(from, to).unwrap();
                }
                Event::Introduced { .. } => {}
                other => panic!("{at}: {other:?}"),
            }
            ended.is_some()
        });
        ended.unwrap()
    }
}

#[test]
fn two_parties_become_direct_and_talk_on_without_the_introducer() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        three.introduce(None);
        let host = three.ask(HOST, IntroducedOptions::host());
        let options = three.pinned();
        let initiator = three.ask(INITIATOR, options.clone());
        let (introducer, remote) = three.names(INITIATOR);
        let again = three.faces[INITIATOR].calls().connect_introduced(introducer, remote, options);
        assert_eq!(again, Err(CallError::AlreadyIntroducing), "{name}");
        assert_eq!(three.meet([initiator, host]), IntroductionResult::Direct, "{name}");

        three.faces[INTRODUCER].calls().close_all();
        let mut left = 0;
        three.until(|_, _, event| {
            assert!(matches!(event, Event::Close { .. }), "{name}: {event:?}");
            left += 1;
            left == 4
        });
        three.exchange([initiator, host]);
    }
}

#[test]
fn a_socket_that_introduces_nobody_says_so() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        let own = three.at_party[HOST];
        let face = three.faces[HOST].calls();
        assert_eq!(face.introduce(own, own, None), Err(CallError::NotAnIntroducer), "{name}");
    }
}

#[test]
fn the_initiators_application_sees_the_hosts_key_and_data_before_it_goes_on() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        three.introduce(None);
        let options = IntroducedOptions::initiator(ConnectOptions::new(Trust::Ask).with_data(b"Ann"));
        let initiator = three.ask(INITIATOR, options);
        let host = three.ask(HOST, IntroducedOptions::host().with_introduced_data(b"table 4"));
        assert_eq!(three.meet([initiator, host]), IntroductionResult::Direct, "{name}");
    }
}

#[test]
fn a_party_that_hides_its_address_is_met_by_a_circuit() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        three.introduce(Some(Relay::default()));
        let options = three.pinned().without_direct_paths();
        let initiator = three.ask(INITIATOR, options);
        let host = three.ask(HOST, IntroducedOptions::host());
        assert_eq!(three.meet([initiator, host]), IntroductionResult::Relayed, "{name}");
    }
}

#[test]
fn the_introducers_application_refuses() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        let id = three.ask(HOST, IntroducedOptions::host());
        assert_eq!(three.ended(HOST, id), CloseCode::IntroductionRefused, "{name}");
        let [_, initiator, host] = three.at_introducer;
        let again = three.faces[INTRODUCER].calls().refuse_introduction(host, initiator);
        assert_eq!(again, Err(CallError::NotWaiting), "{name}");
    }
}

#[test]
fn without_trust_nothing_begins() {
    for (name, wrap) in faces() {
        let mut three = Three::on_loopback(wrap);
        let (introducer, remote) = three.names(INITIATOR);
        let options = IntroducedOptions::initiator(ConnectOptions::default());
        let failed = three.faces[INITIATOR].calls().connect_introduced(introducer, remote, options);
        assert_eq!(failed, Err(CallError::NoTrust), "{name}");
        let much = ConnectOptions::new(Trust::Ask).with_data([0; 1_001]);
        let options = IntroducedOptions::initiator(much);
        let failed = three.faces[INITIATOR].calls().connect_introduced(introducer, remote, options);
        assert_eq!(failed, Err(CallError::TooLarge { max: 1_000 }), "{name}");
    }
}

#[test]
fn shards_introduce_their_own_and_are_no_parties() {
    let host = Socket::builder().config(introducer()).shards(2).bind("127.0.0.1:0").unwrap();
    // Of three, two are at the same shard.
    let mut clients = [(); 3].map(|()| bound(party()));
    let mut ids = Vec::new();
    let accept = |client: &mut Socket| {
        let id = client.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap();
        let (end, mut at_host) = (Instant::now() + LIMIT, None);
        loop {
            assert!(Instant::now() < end);
            if let Some(Event::ConnectRequest(request)) = host.wait_event(Duration::from_millis(1)) {
                host.accept_connection(request.connection, b"").unwrap();
                at_host = Some(request.connection);
            }
            if let Some(Event::Established { .. }) = client.wait_event(Duration::from_millis(1)) {
                // The host knows it before its client does, or soon.
                while !host.connections().contains(&at_host.unwrap()) {
                    client.wait_event(Duration::from_millis(1));
                }
                break (id, at_host.unwrap());
            }
        }
    };
    for client in &mut clients {
        ids.push(accept(client));
    }
    assert_eq!(host.connect_introduced(ids[0].1, 1, IntroducedOptions::host()), Err(CallError::OtherShard));
    assert!(host.metrics().contains("\ntorque_introducer_requests_total 0\n"));
    for first in 0..3 {
        for second in first + 1..3 {
            let [(_, first), (_, second)] = [ids[first], ids[second]];
            let introduced = host.introduce(first, second, None);
            if first.shard() == second.shard() {
                assert!(introduced.is_ok());
            } else {
                assert_eq!(introduced, Err(CallError::OtherShard));
            }
        }
    }
}

/// Routers that translate addresses, in networks of their own.
#[cfg(target_os = "linux")]
mod routers {
    use super::*;
    use crate::common::skip;

    use crate::networks::Network;

    /// Where the introducer is, in the internet.
    const PUBLIC: &str = "5.5.9.1";

    /// The internet with the introducer in it, and the networks of the two parties.
    struct Internet {
        internet: Network,
        parties: [Network; 2],
        routers: Vec<Network>,
    }

    impl Internet {
        fn new() -> Result<Self, String> {
            if std::process::Command::new("nft").arg("--version").output().is_err() {
                return Err("a router needs nft".to_owned());
            }
            let internet = Network::new()?;
            internet.forward();
            internet.run(&format!("ip addr add {PUBLIC}/32 dev lo"));
            Ok(Self { internet, parties: [Network::new()?, Network::new()?], routers: Vec::new() })
        }

        /// Adds a router, the `number`th in the internet, for these parties.
        fn add_router(&mut self, number: usize, parties: &[usize]) {
            let router = Network::new().unwrap();
            let outer = format!("5.5.{number}.1/24");
            router.connect(
                "wan",
                &outer,
                &self.internet,
                &format!("to{number}"),
                &format!("5.5.{number}.2/24"),
            );
            router.run(&format!("ip route add default via 5.5.{number}.2"));
            router.translate();
            for party in parties {
                let (inner, machine) = (format!("192.168.{party}.1"), &self.parties[*party]);
                let lan = format!("lan{party}");
                machine.connect(
                    "eth0",
                    &format!("192.168.{party}.2/24"),
                    &router,
                    &lan,
                    &format!("{inner}/24"),
                );
                machine.run(&format!("ip route add default via {inner}"));
            }
            self.routers.push(router);
        }

        /// The parties meet, without a circuit. Returns where the initiator finds the host. `meanwhile` happens when the host has
        /// asked.
        fn meet(&self, meanwhile: impl FnOnce(&Self, &mut Three)) -> String {
            let bind =
                |config| Socket::builder().config(config).watch_network(false).bind("0.0.0.0:0").unwrap();
            let introducer = self.internet.within(move || bind(introducer()));
            let address = SocketAddr::new(PUBLIC.parse().unwrap(), introducer.local_addr().port());
            let [first, second] =
                self.parties.each_ref().map(|machine| machine.within(move || bind(party())));
            let mut three = Three::new([Box::new(introducer), Box::new(first), Box::new(second)], address);
            three.introduce(None);
            let (to_introducer, remote) = three.names(HOST);
            let host = self.at(&mut three, HOST, move |face| {
                face.calls().connect_introduced(to_introducer, remote, IntroducedOptions::host()).unwrap()
            });
            meanwhile(self, &mut three);
            let (to_introducer, remote) = three.names(INITIATOR);
            let options = three.pinned();
            let initiator = self.at(&mut three, INITIATOR, move |face| {
                face.calls().connect_introduced(to_introducer, remote, options).unwrap()
            });
            assert_eq!(three.meet([initiator, host]), IntroductionResult::Direct);
            let address = three.faces[INITIATOR].calls().peer(initiator).unwrap().address;
            address.socket_addr().unwrap().ip().to_string()
        }

        /// Calls a party on its machine, where it looks at its interfaces.
        fn at<T: Send + 'static>(
            &self,
            three: &mut Three,
            index: usize,
            call: impl FnOnce(&mut dyn Face) -> T + Send + 'static,
        ) -> T {
            let mut face = std::mem::replace(&mut three.faces[index], Box::new(bound(party())));
            let (face, result) = self.parties[index - 1].within(move || {
                let result = call(&mut *face);
                (face, result)
            });
            three.faces[index] = face;
            result
        }
    }

    fn in_the_internet(test: impl FnOnce(Internet)) {
        match Internet::new() {
            Ok(internet) => test(internet),
            Err(why) => skip(&why),
        }
    }

    #[test]
    fn two_parties_behind_two_nats_become_direct() {
        in_the_internet(|mut internet| {
            internet.add_router(0, &[0]);
            internet.add_router(1, &[1]);
            internet.routers.iter().for_each(Network::drop_strangers);
            assert_eq!(internet.meet(|_, _| {}), "5.5.1.1");
        });
    }

    #[test]
    fn two_parties_behind_one_nat_meet_by_their_own_addresses() {
        in_the_internet(|mut internet| {
            internet.add_router(0, &[0, 1]);
            assert_eq!(internet.meet(|_, _| {}), "192.168.1.2");
        });
    }

    #[test]
    fn a_party_whose_addresses_change_is_met_by_the_new_one() {
        in_the_internet(|mut internet| {
            internet.add_router(0, &[0, 1]);
            // The host cannot begin. The initiator has to know where it is.
            internet.routers[0].rules(
                "table ip one_way { chain forward { type filter hook forward priority -1;
                     iifname lan1 oifname lan0 ct state new drop; }; }",
            );
            let met = internet.meet(|internet, three| {
                let machine = &internet.parties[HOST - 1];
                machine.run("ip addr del 192.168.1.2/24 dev eth0");
                machine.run("ip addr add 192.168.1.3/24 dev eth0");
                machine.run("ip route add default via 192.168.1.1");
                internet.at(three, HOST, |face| face.network_changed());
            });
            assert_eq!(met, "192.168.1.3");
        });
    }

    #[test]
    fn routers_that_reject_strangers_and_remember_them_are_opened_from_inside_first() {
        in_the_internet(|mut internet| {
            internet.add_router(0, &[0]);
            internet.add_router(1, &[1]);
            // As if there were more routers on the way: a datagram that has few hops left does not arrive.
            internet.internet.rules(
                "table ip long { chain forward { type filter hook forward priority 0; ip ttl < 8 drop; }; }",
            );
            assert_eq!(internet.meet(|_, _| {}), "5.5.1.1");
        });
    }
}

#[test]
fn an_introducer_looks_at_a_nat_at_its_second_port() {
    for (name, wrap) in faces() {
        let observed = SocketAddr::from(([0, 0, 0, 0], 0));
        let watches =
            Socket::builder().config(introducer()).observe_at(observed).bind("127.0.0.1:0").unwrap();
        let address = watches.local_addr();
        let faces = [wrap(watches), wrap(bound(party())), wrap(bound(party()))];
        let mut three = Three::new(faces, address);
        let at = three.at_party[HOST];
        three.faces[HOST].calls().look_at_nat(at).unwrap();
        let own = three.faces[HOST].address();
        three.until(|_, index, event| match event {
            Event::NatFound { introducer, nat, observed } => {
                assert_eq!((index, introducer), (HOST, at), "{name}");
                // On loopback there is none.
                assert_eq!((nat, observed), (Nat::Independent, Some(own)), "{name}");
                true
            }
            other => panic!("{index}: {other:?}"),
        });
        // A party is no introducer, and says nothing: that is found out, too.
        let at = three.at_introducer[HOST];
        three.faces[INTRODUCER].calls().look_at_nat(at).unwrap();
        three.until(|_, _, event| match event {
            Event::NatFound { introducer, nat, observed } => {
                assert_eq!((introducer, nat, observed), (at, Nat::Unknown, None), "{name}");
                true
            }
            other => panic!("{other:?}"),
        });
        let other = ConnectionId::from_u32(12_345).unwrap();
        assert_eq!(three.faces[HOST].calls().look_at_nat(other), Err(CallError::Closed));
    }
}
