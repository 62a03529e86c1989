use super::*;
use std::cell::RefCell;
use std::rc::Rc;

const MS: Duration = Duration::from_millis(1);

/// Greets a peer at a fixed pace, answers greetings, and tells what it heard.
struct Toy {
    peer: Option<Address>,
    next_greeting: Option<Instant>,
    outgoing: Vec<(Address, Vec<u8>)>,
    events: VecDeque<(Instant, Vec<u8>)>,
}

impl Toy {
    fn silent() -> Self {
        Self { peer: None, next_greeting: None, outgoing: Vec::new(), events: VecDeque::new() }
    }

    fn greeting(peer: Address, now: Instant) -> Self {
        Self { peer: Some(peer), next_greeting: Some(now + 100 * MS), ..Self::silent() }
    }
}

impl Node for Toy {
    type Event = (Instant, Vec<u8>);

    fn handle_datagram(&mut self, now: Instant, _: u16, remote: Address, bytes: &mut [u8]) {
        self.events.push_back((now, bytes.to_vec()));
        if bytes.starts_with(b"hello") {
            self.outgoing.push((remote, b"welcome".to_vec()));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert!(self.next_greeting.is_some_and(|due| due <= now), "called before its deadline");
        self.next_greeting = Some(now + 100 * MS);
        self.outgoing.extend(self.peer.map(|peer| (peer, b"hello".to_vec())));
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_greeting
    }

    fn drain_transmits(&mut self, send: &mut dyn FnMut(Outgoing<'_>)) {
        for (to, bytes) in self.outgoing.drain(..) {
            send(Outgoing { port: 0, to, hop_limit: None, bytes: &bytes });
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.events.pop_front()
    }
}

/// A node that greets and one that answers, 10 ms apart.
fn pair(seed: u64) -> (World<Toy>, NodeId, NodeId) {
    let mut world = World::new(seed);
    let mut link = LinkConfig::perfect();
    link.delay = 10 * MS;
    world.set_default_link(link);
    let host = world.add(|_| Toy::silent());
    let address = world.address(host);
    let greeter = world.add(|now| Toy::greeting(address, now));
    (world, greeter, host)
}

fn heard(world: &mut World<Toy>, id: NodeId) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| world.next_event(id)).map(|(_, bytes)| bytes).collect()
}

#[test]
fn datagrams_and_timers_happen_in_their_time() {
    let (mut world, greeter, host) = pair(1);
    let start = world.clock(greeter);
    world.run_for(115 * MS);
    assert_eq!(heard(&mut world, host), [b"hello"]);
    assert!(heard(&mut world, greeter).is_empty());
    world.run_for(5 * MS);
    let (at, welcome) = world.next_event(greeter).unwrap();
    assert_eq!((at, welcome), (start + 120 * MS, b"welcome".to_vec()));
    assert_eq!(world.now(), Instant::from_millis(120));
    world.run_for(880 * MS);
    assert_eq!(heard(&mut world, host).len(), 8);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut world, ..) = pair(seed);
        world.set_default_link(LinkConfig::terrible());
        world.set_capture(true);
        world.run_for(Duration::from_secs(20));
        let mut file = Vec::new();
        world.write_pcap(&mut file).unwrap();
        assert!(file.len() > 1_000);
        file
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn an_application_that_does_not_drain_leaves_events_in_its_node() {
    let (mut world, _, host) = pair(2);
    world.set_draining(host, false);
    world.run_for(Duration::from_secs(1));
    assert!(world.next_event(host).is_none());
    world.drain_events(host, 2);
    assert_eq!(heard(&mut world, host).len(), 2);
    world.set_draining(host, true);
    assert_eq!(heard(&mut world, host).len(), 7);
}

#[test]
fn partitions_crashes_and_new_addresses_lose_datagrams() {
    let (mut world, greeter, host) = pair(3);
    world.set_partition(greeter, host, true);
    world.run_for(Duration::from_secs(1));
    assert!(heard(&mut world, host).is_empty());
    world.set_partition(greeter, host, false);
    world.run_for(115 * MS);
    assert_eq!(heard(&mut world, host).len(), 1);

    world.crash(host);
    assert!(!world.is_running(host));
    world.run_for(Duration::from_secs(1));
    world.restart(host, |_| Toy::silent());
    world.run_for(100 * MS);
    assert_eq!(heard(&mut world, host).len(), 1);

    let old = world.address(greeter);
    world.set_address(greeter, Address::from_virtual(9));
    assert_eq!(world.owner(old), None);
    heard(&mut world, greeter);
    world.run_for(215 * MS);
    assert_eq!(heard(&mut world, greeter).len(), 2);
}

#[test]
fn a_node_may_take_the_address_of_another_one() {
    let (mut world, greeter, host) = pair(9);
    let (first, second) = (world.address(greeter), world.address(host));
    world.set_address(greeter, second);
    world.set_address(host, first);
    assert_eq!((world.owner(first), world.owner(second)), (Some(host), Some(greeter)));
}

#[test]
fn clocks_may_jump_and_stand_still() {
    let (mut world, greeter, host) = pair(4);
    world.stop_clock(greeter);
    world.run_for(Duration::from_secs(1));
    assert!(heard(&mut world, host).is_empty());
    world.start_clock(greeter);
    world.run_for(115 * MS);
    assert_eq!(heard(&mut world, host).len(), 1);
    // A jump ahead makes the timer due at once; one back makes it wait.
    world.step_clock(greeter, 1_000_000);
    world.run_for(15 * MS);
    assert_eq!(heard(&mut world, host).len(), 1);
    world.step_clock(greeter, -1_000_000);
    world.run_for(Duration::from_secs(1));
    assert!(heard(&mut world, host).is_empty());
    world.run_for(150 * MS);
    assert_eq!(heard(&mut world, host).len(), 1);
}

#[test]
fn the_tap_sees_drops_changes_holds_and_injects() {
    let (mut world, greeter, host) = pair(5);
    let seen = Rc::new(RefCell::new(0));
    let count = Rc::clone(&seen);
    let forger = Address::from_virtual(7);
    world.open_mailbox(forger);
    world.set_tap(move |passing| {
        *count.borrow_mut() += 1;
        match (*count.borrow(), passing.bytes.as_slice()) {
            (1, _) => Fate::Drop,
            (2, _) => Fate::Hold(500 * MS),
            (3, _) => {
                passing.bytes.extend_from_slice(b", changed");
                passing.inject(MS, forger, passing.to, b"hello from nowhere".to_vec());
                Fate::Pass
            }
            _ => Fate::Pass,
        }
    });
    world.run_for(350 * MS);
    assert_eq!(heard(&mut world, host), [b"hello from nowhere".to_vec(), b"hello, changed".to_vec()]);
    let mail = world.take_mail(forger);
    assert_eq!((mail.len(), mail[0].from, &mail[0].bytes[..]), (1, world.address(host), &b"welcome"[..]));
    world.run_for(345 * MS);
    assert_eq!(heard(&mut world, host).len(), 3);
    world.run_for(10 * MS);
    assert_eq!(heard(&mut world, host).len(), 1, "the one held back");
    assert_eq!(heard(&mut world, greeter).len(), 4);
}

#[test]
fn a_run_ends_at_its_limit_or_when_asked() {
    let (mut world, _, host) = pair(6);
    assert!(!world.run_until(|_| false, 50 * MS));
    assert_eq!(world.now(), Instant::from_millis(50));
    assert!(world.run_until(|world| world.next_event(host).is_some(), Duration::from_secs(1)));
    assert_eq!(world.now(), Instant::from_millis(110));
    world.wake_at(Instant::from_millis(111));
    assert_eq!(world.step(), Some(Step::Woken));
    assert_eq!(world.now(), Instant::from_millis(111));
}

#[test]
#[should_panic(expected = "no end")]
fn a_timer_that_never_moves_is_found() {
    struct Stuck;
    impl Node for Stuck {
        type Event = ();
        fn handle_datagram(&mut self, _: Instant, _: u16, _: Address, _: &mut [u8]) {}
        fn handle_timeout(&mut self, _: Instant) {}
        fn deadline(&self) -> Option<Instant> {
            Some(Instant::ZERO)
        }
        fn drain_transmits(&mut self, _: &mut dyn FnMut(Outgoing<'_>)) {}
        fn poll_event(&mut self) -> Option<()> {
            None
        }
    }
    let mut world = World::new(7);
    world.add(|_| Stuck);
    world.run_for(MS);
}
