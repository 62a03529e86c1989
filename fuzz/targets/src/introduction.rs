//! An introducer and two parties on a network that loses, repeats, changes and misdirects. The input makes the calls of all three
//! applications, and chooses how the parties' NATs behave.

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use torque_proto::wire::introduction::{Candidate, CandidateKind};
use torque_proto::{
    Address, ConnectOptions, ConnectionId, Datagram, HardNat, IntroducedOptions, OBSERVING_PORT, Path,
    PortRequest, Relay, Relaying, Trust,
};

use crate::input::Input;
use crate::pair::TIMES;
use crate::side::{Side, small_config};

const MAX_STEPS: usize = 1_000;
/// Datagrams under way.
const MAX_WIRE: usize = 256;
const INTRODUCER: usize = 0;
/// The port of strangers, which no NAT gives.
const STRANGERS: u16 = 5_000;

/// The steps that the input can choose. Seeds are written in them, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// Party: it connects to the introducer.
    Connect,
    /// Party, role and wishes: it asks to be introduced to the other one.
    Ask,
    /// Relay: the introducer's application says yes.
    Introduce,
    /// The introducer's application says no.
    Refuse,
    /// Party: it asks how its NAT behaves.
    Look,
    /// Party, port: it names an address.
    Candidates,
    /// Side, yes or no to the oldest question.
    Decide,
    /// Side, which, size.
    Send,
    /// Side, which.
    Close,
    /// Party: it has another IP address from now on.
    Move,
    /// Party, kind: its NAT is another one from now on.
    ChangeNat,
    /// Time from deadline to deadline, in which everything arrives.
    Live,
    /// Time from deadline to deadline, in which nothing arrives.
    Silence,
    /// Time at once.
    Jump,
    /// Which: arrives.
    Deliver,
    /// Which: is lost.
    Lose,
    /// Which: arrives, and stays under way.
    Repeat,
    /// Which, place, value: arrives changed, and stays under way.
    Bend,
    /// Which, from: arrives from elsewhere, and stays under way.
    Misdirect,
    /// Side, from, bytes: these, as they are.
    Raw,
    /// Side: it ends everything.
    CloseAll,
}

const STEPS: [Step; 21] = [
    Step::Connect,
    Step::Ask,
    Step::Introduce,
    Step::Refuse,
    Step::Look,
    Step::Candidates,
    Step::Decide,
    Step::Send,
    Step::Close,
    Step::Move,
    Step::ChangeNat,
    Step::Live,
    Step::Silence,
    Step::Jump,
    Step::Deliver,
    Step::Lose,
    Step::Repeat,
    Step::Bend,
    Step::Misdirect,
    Step::Raw,
    Step::CloseAll,
];

/// How a NAT gives ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The same to all.
    Independent,
    /// Another one to each address, each the next.
    Sequential,
    /// Another one to each address, in no order.
    Scattered,
}

/// A machine and its NAT.
struct Machine {
    side: Side,
    /// The last byte of its IP address.
    ip: u8,
    kind: Kind,
    /// Its mappings: local port, destination (if that matters), and the port outside.
    mappings: Vec<(u16, Option<Address>, u16)>,
    next_port: u16,
    /// Its open further ports.
    open: BTreeSet<u16>,
    /// At a party, its connections with the introducer; there, those with the parties.
    introducers: Vec<ConnectionId>,
}

struct Flying {
    from: Address,
    to: Address,
    bytes: Vec<u8>,
}

struct World {
    machines: [Machine; 3],
    wire: Vec<Flying>,
}

fn at(ip: u8, port: u16) -> Address {
    Address::from(SocketAddr::from(([45, 80, 0, ip], port)))
}

/// Plays the input.
pub fn introduction(data: &[u8]) {
    play(data);
}

/// Plays the input and returns the final state.
fn play(data: &[u8]) -> World {
    let mut input = Input::new(data);
    let machines = [0u8, 1, 2].map(|number| {
        let mut config = small_config();
        config.limits.connections = 16;
        config.limits.pending = 12;
        config.limits.queued_transmits = 128;
        let introduction = &mut config.introduction;
        introduction.introduces = usize::from(number) == INTRODUCER;
        introduction.records = 4;
        introduction.records_per_connection = 3;
        introduction.circuits = 2;
        introduction.attempts = 4;
        introduction.hard_nat = input.pick([HardNat::Always, HardNat::Verified, HardNat::Never]);
        introduction.further_ports = input.pick([256, 0, 3]);
        Machine {
            side: Side::new(number + 1, config),
            ip: number + 1,
            kind: Kind::Independent,
            mappings: Vec::new(),
            next_port: 20_000 + 1_000 * u16::from(number),
            open: BTreeSet::new(),
            introducers: Vec::new(),
        }
    });
    let mut world = World { machines, wire: Vec::new() };
    let second = SocketAddr::from(([45, 80, 0, if input.below(2) == 0 { 1 } else { 9 }], 27_999));
    world.machines[INTRODUCER].side.endpoint.set_observing_address(second);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.drain();
    }
    world.finish();
    world
}

impl Machine {
    /// The address outside from which a datagram of a local port comes. `None`: the port is closed.
    fn outside(&mut self, port: u16, to: Address) -> Option<Address> {
        if port == OBSERVING_PORT {
            return Some(at(self.ip, 27_999));
        }
        if port != 0 && !self.open.contains(&port) {
            return None;
        }
        let for_whom = (self.kind != Kind::Independent).then_some(to);
        let known = self.mappings.iter().find(|(inside, remote, _)| (*inside, *remote) == (port, for_whom));
        let outside = known.map(|(_, _, outside)| *outside).unwrap_or_else(|| {
            let step = if self.kind == Kind::Scattered { 7_919 } else { 1 };
            self.next_port = 1_024 + (self.next_port - 1_024 + step) % 56_000;
            while self.next_port == STRANGERS
                || self.mappings.iter().any(|(_, _, taken)| *taken == self.next_port)
            {
                self.next_port = 1_024 + (self.next_port - 1_024 + 1) % 56_000;
            }
            // A NAT has so many ports.
            if self.mappings.len() == 4_096 {
                self.mappings.remove(0);
            }
            self.mappings.push((port, for_whom, self.next_port));
            self.next_port
        });
        Some(at(self.ip, outside))
    }

    /// The local port that has this port outside.
    fn inside(&self, outside: u16) -> Option<u16> {
        let found = self.mappings.iter().find(|(_, _, port)| *port == outside).map(|(port, ..)| *port);
        found.filter(|port| *port == 0 || self.open.contains(port))
    }

    fn ask(&mut self, remote: u32, wishes: u8) {
        let Some(introducer) = self.introducers.last().copied() else { return };
        let options = if wishes & 1 == 0 {
            IntroducedOptions::host().with_introduced_data(b"data of the host".as_slice())
        } else {
            let trust = if wishes & 2 == 0 { Trust::Ask } else { Trust::Anyone };
            IntroducedOptions::initiator(ConnectOptions::new(trust))
        };
        let relay = [Relaying::Fallback, Relaying::AtOnce, Relaying::Never, Relaying::Fallback];
        let mut options = options.with_relay(relay[usize::from(wishes >> 2) % 4]);
        options.direct = wishes & 0x70 != 0x70;
        let now = self.side.now;
        if let Ok(id) = self.side.endpoint.connect_introduced(now, introducer, remote, options) {
            self.side.ledger.begun(id);
        }
    }
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match STEPS[input.below(STEPS.len())] {
            Step::Connect => {
                let party = 1 + input.below(2);
                let to = self.introducer_address();
                self.machines[party].side.connect(to, Trust::Anyone, b"hello");
            }
            Step::Ask => {
                let party = 1 + input.below(2);
                let wishes = input.u8();
                let remote = self.at_introducer(3 - party).map_or(u32::from(wishes), ConnectionId::get);
                self.machines[party].ask(remote, wishes);
            }
            Step::Introduce => {
                let choice = input.u8();
                let relay = (choice & 1 == 0).then(Relay::default);
                let [Some(first), Some(second)] = [1, 2].map(|party| self.at_introducer(party)) else {
                    return;
                };
                let (initiator, host) = if choice & 2 == 0 { (first, second) } else { (second, first) };
                let side = &mut self.machines[INTRODUCER].side;
                let _ = side.endpoint.introduce(side.now, initiator, host, relay);
            }
            Step::Refuse => {
                let [Some(first), Some(second)] = [1, 2].map(|party| self.at_introducer(party)) else {
                    return;
                };
                let side = &mut self.machines[INTRODUCER].side;
                let _ = side.endpoint.refuse_introduction(side.now, first, second);
            }
            Step::Look => {
                let party = &mut self.machines[1 + input.below(2)];
                if let Some(introducer) = party.introducers.last() {
                    let _ = party.side.endpoint.look_at_nat(party.side.now, *introducer);
                }
            }
            Step::Candidates => {
                let side = &mut self.machines[1 + input.below(2)].side;
                let address = SocketAddr::from(([192, 168, 1, input.u8()], 28_000));
                let kind = input.pick([CandidateKind::Interface, CandidateKind::Mapped]);
                side.endpoint.set_own_candidates(side.now, &[Candidate { kind, address }]);
            }
            Step::Decide => {
                let side = &mut self.machines[input.below(3)].side;
                let yes = input.below(4) != 3;
                side.answer(yes, b"an answer");
            }
            Step::Send => {
                let side = &mut self.machines[input.below(3)].side;
                let (which, size) = (input.below(4), input.u8());
                side.send(which, usize::from(size) * 4);
            }
            Step::Close => {
                let side = &mut self.machines[input.below(3)].side;
                let which = input.below(4);
                side.close(which, b"bye");
            }
            Step::Move => {
                let machine = &mut self.machines[1 + input.below(2)];
                machine.ip = if machine.ip < 100 { machine.ip + 100 } else { machine.ip - 100 };
                machine.mappings.clear();
            }
            Step::ChangeNat => {
                let machine = &mut self.machines[1 + input.below(2)];
                machine.kind = input.pick([Kind::Independent, Kind::Sequential, Kind::Scattered]);
                machine.mappings.clear();
            }
            Step::Live => self.pass(input.pick(TIMES), true),
            Step::Silence => self.pass(input.pick(TIMES), false),
            Step::Jump => {
                let time = Duration::from_millis(input.pick(TIMES));
                for machine in &mut self.machines {
                    machine.side.jump(time);
                }
            }
            Step::Deliver => {
                if let Some(which) = self.choose(input) {
                    let flying = self.wire.remove(which);
                    self.arrive(flying.from, flying.to, &flying.bytes);
                }
            }
            Step::Lose => {
                if let Some(which) = self.choose(input) {
                    self.wire.remove(which);
                }
            }
            Step::Repeat => {
                if let Some(which) = self.choose(input) {
                    let Flying { from, to, ref bytes } = self.wire[which];
                    let bytes = bytes.clone();
                    self.arrive(from, to, &bytes);
                }
            }
            Step::Bend => {
                let Some(which) = self.choose(input) else { return };
                let Flying { from, to, ref bytes } = self.wire[which];
                let mut bytes = bytes.clone();
                let place = usize::from(input.u16()) % bytes.len();
                bytes[place] ^= input.u8();
                self.arrive(from, to, &bytes);
            }
            Step::Misdirect => {
                let Some(which) = self.choose(input) else { return };
                let from = at(200 + input.below(4) as u8, STRANGERS);
                let Flying { to, ref bytes, .. } = self.wire[which];
                let bytes = bytes.clone();
                self.arrive(from, to, &bytes);
            }
            Step::Raw => {
                let to = input.below(3);
                let from = at(input.pick([1, 2, 3, 200, 201]), STRANGERS);
                let bytes = input.bytes(1_500).to_vec();
                self.hear(to, 0, from, &bytes);
            }
            Step::CloseAll => {
                let side = &mut self.machines[input.below(3)].side;
                side.endpoint.close_all(side.now);
            }
        }
    }

    fn introducer_address(&mut self) -> Address {
        // It has no NAT, and its bound port is known.
        at(self.machines[INTRODUCER].ip, 28_000)
    }

    /// The introducer's connection with a party: the parties' connections stand in the order in which they came.
    fn at_introducer(&self, party: usize) -> Option<ConnectionId> {
        let introducer = &self.machines[INTRODUCER].side;
        let key = self.machines[party].side.endpoint.public_key();
        let newest = introducer.established.iter().rev().copied();
        let mut of_party =
            newest.filter(|id| introducer.endpoint.peer(*id).is_some_and(|peer| peer.public_key == key));
        of_party.next()
    }

    fn choose(&self, input: &mut Input<'_>) -> Option<usize> {
        let which = usize::from(input.u16());
        (!self.wire.is_empty()).then(|| which % self.wire.len())
    }

    fn arrive(&mut self, from: Address, to: Address, bytes: &[u8]) {
        let Some(there) = to.socket_addr() else { return };
        if there.port() == 27_999 {
            return self.hear(INTRODUCER, OBSERVING_PORT, from, bytes);
        }
        if to == self.introducer_address() {
            return self.hear(INTRODUCER, 0, from, bytes);
        }
        for party in [1, 2] {
            let machine = &self.machines[party];
            if to.socket_addr().map(|to| to.ip()) == at(machine.ip, 1).socket_addr().map(|own| own.ip())
                && let Some(port) = machine.inside(there.port())
            {
                return self.hear(party, port, from, bytes);
            }
        }
    }

    /// Hands a datagram in. Answers to a stranger are never longer than the question.
    fn hear(&mut self, to: usize, port: u16, from: Address, bytes: &[u8]) {
        self.drain();
        let side = &mut self.machines[to].side;
        let path = Path { port, ..Path::to(from) };
        side.endpoint.handle_datagram(side.now, Datagram { path, bytes: &mut bytes.to_vec() });
        let is_stranger = from.socket_addr().is_some_and(|from| from.port() == STRANGERS);
        if is_stranger {
            let answers = side.endpoint.transmits().iter().filter(|transmit| transmit.path.remote == from);
            let answer: usize = answers.map(|transmit| transmit.bytes.len()).sum();
            assert!(answer <= bytes.len(), "{answer} bytes for {} to a stranger", bytes.len());
        }
        self.drain();
    }

    /// Does what the endpoints ask for, in the order that drivers follow.
    fn drain(&mut self) {
        for (index, machine) in self.machines.iter_mut().enumerate() {
            let most = machine.side.endpoint.config().introduction.further_ports;
            while let Some(request) = machine.side.endpoint.poll_port_request() {
                match request {
                    PortRequest::Open(port) => {
                        assert!(port != 0 && port != OBSERVING_PORT, "port {port} is no further port");
                        assert!(machine.open.insert(port), "port {port} is opened twice");
                        assert!(machine.open.len() <= most, "more ports than allowed");
                    }
                    PortRequest::Close(port) => {
                        assert!(machine.open.remove(&port), "port {port} is closed, and was not open");
                        machine.mappings.retain(|(inside, ..)| *inside != port);
                    }
                }
            }
            for (port, to, bytes) in machine.side.take_transmits_of_ports() {
                assert!(!bytes.is_empty() && bytes.len() <= 65_535);
                let from = match index {
                    INTRODUCER if port == 0 => Some(at(machine.ip, 28_000)),
                    _ => machine.outside(port, to),
                };
                let Some(from) = from else { continue };
                if self.wire.len() == MAX_WIRE {
                    self.wire.remove(0);
                }
                self.wire.push(Flying { from, to, bytes });
            }
            machine.side.take_events(usize::MAX);
            let open = &machine.side.established;
            if index != INTRODUCER {
                let endpoint = &machine.side.endpoint;
                let is_direct = |id: &ConnectionId| endpoint.remote_address(*id) == Some(at(1, 28_000));
                machine.introducers = open.iter().copied().filter(is_direct).collect();
            }
            machine.side.check_bounds();
        }
    }

    /// Lets time pass from deadline to deadline, with the network or without.
    fn pass(&mut self, millis: u64, is_connected: bool) {
        let end = self.machines[0].side.now + Duration::from_millis(millis);
        for _ in 0..2_000 {
            if is_connected {
                for _ in 0..8 {
                    for flying in std::mem::take(&mut self.wire) {
                        self.arrive(flying.from, flying.to, &flying.bytes);
                    }
                }
            }
            let next = self.machines.iter().filter_map(|machine| machine.side.endpoint.poll_timeout());
            let Some(next) = next.map(|(at, _)| at).min().filter(|at| *at < end) else { break };
            for machine in &mut self.machines {
                machine.side.now = machine.side.now.max(next);
                machine.side.run_timers();
            }
            self.drain();
        }
        for machine in &mut self.machines {
            machine.side.now = machine.side.now.max(end);
            machine.side.run_timers();
        }
        self.drain();
    }

    /// Checks that endpoints left alone end everything and keep nothing.
    fn finish(&mut self) {
        self.drain();
        for machine in &mut self.machines {
            machine.side.endpoint.close_all(machine.side.now);
        }
        self.wire.clear();
        for _ in 0..40 {
            self.pass(10_000, false);
            self.wire.clear();
        }
        for machine in &self.machines {
            let endpoint = &machine.side.endpoint;
            assert_eq!(endpoint.slots_used(), 0, "slots held for ever");
            assert_eq!(machine.side.ledger.open(), 0, "closes that were not told");
            assert_eq!(endpoint.kept_for_introductions(), 0, "something is kept of introductions");
            assert!(machine.open.is_empty(), "ports held open");
        }
    }
}

#[cfg(test)]
mod tests;
