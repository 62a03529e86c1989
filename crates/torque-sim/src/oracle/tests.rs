use super::*;
use crate::world::{Node, World};
use torque_proto::{Address, Instant, Payload, Sequence, Settings};

struct Nobody;

impl Node for Nobody {
    type Event = ();
    fn handle_datagram(&mut self, _: Instant, _: u16, _: Address, _: &mut [u8]) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn drain_transmits(&mut self, _: &mut dyn FnMut(crate::world::Outgoing<'_>)) {}
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

/// Two established ends of one connection.
struct Bench {
    oracle: Oracle,
    a: NodeId,
    b: NodeId,
    id: ConnectionId,
}

fn bench() -> Bench {
    let mut world: World<Nobody> = World::new(1);
    let (a, b) = (world.add(|_| Nobody), world.add(|_| Nobody));
    let id = ConnectionId::from_u32(1 << 20).unwrap();
    let mut oracle = Oracle::new(99);
    let (at_a, at_b) = (oracle.begin(a, id), oracle.begin(b, id));
    oracle.set_peer(at_b, at_a);
    let mut bench = Bench { oracle, a, b, id };
    bench.established(a);
    bench.established(b);
    bench
}

impl Bench {
    fn established(&mut self, node: NodeId) {
        let seed = self.id;
        let public_key = torque_proto::KeyPair::from_seed([1; 32]).public();
        let event = Event::Established {
            connection: seed,
            remote: Address::from_virtual(1),
            public_key,
            accept_data: Vec::new(),
            settings: Settings::default(),
            replaces: None,
            introduced_by: None,
        };
        self.oracle.event(node, &event);
    }

    fn send(&mut self, sequence: u64) {
        self.oracle.sent(self.a, self.id, sequence, &[sequence as u8]);
    }

    fn packet(&mut self, sequence: u64, payload: u8) {
        let payload = Payload::copy_from(&[payload]);
        let event = Event::Packet { connection: self.id, sequence: Sequence(sequence), payload };
        self.oracle.event(self.b, &event);
    }

    fn verdict(&mut self, sequence: u64, delivery: Delivery) {
        let sequence = Sequence(sequence);
        self.oracle.event(self.a, &Event::Verdict { connection: self.id, sequence, delivery });
    }

    fn close(&mut self, node: NodeId) {
        let (code, by) = (CloseCode::Closed, ClosedBy::Remote);
        self.oracle.event(node, &Event::Close { connection: self.id, code, by, reason: Vec::new() });
    }
}

#[test]
fn a_good_run_passes() {
    let mut bench = bench();
    for sequence in [5, 6, 8] {
        bench.send(sequence);
    }
    bench.packet(5, 5);
    bench.verdict(5, Delivery::Delivered);
    bench.verdict(6, Delivery::Dropped);
    bench.verdict(8, Delivery::Delivered);
    bench.packet(8, 8);
    bench.close(bench.a);
    bench.close(bench.b);
    assert!(bench.oracle.all_ended());
    bench.oracle.check();
    let tally = Tally { sent: 3, delivered: 2, dropped: 1, unknown: 0, received: 2 };
    assert_eq!(bench.oracle.tally(), tally);
}

#[test]
#[should_panic(expected = "seed 99: node 1 100000: packet 5 came after Some(5)")]
fn a_packet_twice_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.packet(5, 5);
    bench.packet(5, 5);
}

#[test]
#[should_panic(expected = "is not what was sent")]
fn a_changed_packet_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.packet(5, 6);
}

#[test]
#[should_panic(expected = "was never sent")]
fn an_invented_packet_is_found() {
    bench().packet(5, 5);
}

#[test]
#[should_panic(expected = "had been told to be dropped")]
fn a_packet_that_surfaces_after_being_dropped_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.verdict(5, Delivery::Dropped);
    bench.packet(5, 5);
}

#[test]
#[should_panic(expected = "the other side had got it")]
fn a_false_drop_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.packet(5, 5);
    bench.verdict(5, Delivery::Dropped);
}

#[test]
#[should_panic(expected = "never got it")]
fn a_false_delivery_is_found_at_the_end() {
    let mut bench = bench();
    bench.send(5);
    bench.verdict(5, Delivery::Delivered);
    bench.oracle.check();
}

#[test]
#[should_panic(expected = "that on Some(5) was next")]
fn a_verdict_out_of_turn_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.send(6);
    bench.verdict(6, Delivery::Dropped);
}

#[test]
#[should_panic(expected = "that on None was next")]
fn a_verdict_twice_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.verdict(5, Delivery::Dropped);
    bench.verdict(5, Delivery::Dropped);
}

#[test]
#[should_panic(expected = "closed without a verdict on packet Some(5)")]
fn a_missing_verdict_is_found_at_the_close() {
    let mut bench = bench();
    bench.send(5);
    bench.close(bench.a);
}

#[test]
#[should_panic(expected = "told of a close after its close")]
fn a_close_twice_is_found() {
    let mut bench = bench();
    bench.close(bench.a);
    bench.close(bench.a);
}

#[test]
#[should_panic(expected = "told of a packet after its close")]
fn a_packet_after_the_close_is_found() {
    let mut bench = bench();
    bench.send(5);
    bench.close(bench.b);
    bench.packet(5, 5);
}
