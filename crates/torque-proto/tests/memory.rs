//! Nobody makes a socket remember anything before they have proven who they are: whatever strangers send, and however
//! much of it, the memory in use does not grow (PROTOCOL.md 5.4, 12).
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use torque_proto::{
    Address, Config, ConnectOptions, ConnectRequest, Datagram, Endpoint, Event, Instant, Path, Setup, Trust,
};

/// Counts the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Datagrams of each kind, after as many to warm up.
const COUNT: u32 = 10_000;
/// What queues and hash maps may take for reasons of their own. A map entry for each datagram would be 400 kB.
const SLACK: usize = 4_096;

fn endpoint(seed: u8) -> Endpoint {
    let setup =
        Setup { config: Config::default(), key_pair: None, seed: [seed; 32], unix_millis: 1_700_000_000_000 };
    Endpoint::new(Instant::from_millis(1), setup).unwrap()
}

fn address(number: u32) -> Address {
    let [_, a, b, c] = number.to_be_bytes();
    Address::from(SocketAddr::from(([10, a, b, c], 28_000)))
}

const CLIENT: u32 = 0xff_ff_ff;
/// Whom the host itself asks.
const ASKED: u32 = 0xff_ff_fe;

/// A host with an established connection and an attempt of its own to another host.
struct Victim {
    now: Instant,
    host: Endpoint,
    client: Endpoint,
    /// What the client sent, by its first byte.
    recorded: Vec<Vec<u8>>,
}

impl Victim {
    fn new() -> Self {
        let mut victim = Self {
            now: Instant::from_millis(1),
            host: endpoint(1),
            client: endpoint(2),
            recorded: Vec::new(),
        };
        let options = ConnectOptions::new(Trust::Anyone);
        let connection = victim.client.connect(victim.now, address(0), options).unwrap();
        for _ in 0..1_000 {
            victim.pass(Duration::from_millis(1));
        }
        victim.client.send(victim.now, connection, b"hello").unwrap();
        victim.pass(Duration::from_millis(1));
        assert_eq!(victim.host.connections().count(), 1);
        victim
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.host.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        let sent: Vec<Vec<u8>> = self.client.transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
        self.client.transmits().clear();
        for bytes in sent {
            self.hear(CLIENT, &bytes);
            self.recorded.push(bytes);
        }
        while let Some(event) = self.host.poll_event() {
            if let Event::ConnectRequest(ConnectRequest { connection, .. }) = event {
                self.host.accept_connection(self.now, connection, b"").unwrap();
            }
        }
        let sent: Vec<Vec<u8>> = self.host.transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
        self.host.transmits().clear();
        for mut bytes in sent {
            let datagram = Datagram { path: Path::to(address(0)), bytes: &mut bytes };
            self.client.handle_datagram(self.now, datagram);
        }
        while self.client.poll_event().is_some() {}
    }

    /// The host asks somebody, hears a true challenge_response, and waits for the answer to its request. That response.
    fn ask_somebody(&mut self) -> Vec<u8> {
        let mut asked = endpoint(3);
        let options = ConnectOptions::new(Trust::Anyone);
        self.host.connect(self.now, address(ASKED), options).unwrap();
        let mut response = Vec::new();
        loop {
            let sent: Vec<Vec<u8>> = self.host.transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
            self.host.transmits().clear();
            for mut bytes in sent.into_iter().filter(|bytes| bytes[0] < 0x80) {
                if bytes[0] == 3 {
                    return response;
                }
                let datagram = Datagram { path: Path::to(address(CLIENT)), bytes: &mut bytes };
                asked.handle_datagram(self.now, datagram);
            }
            let sent: Vec<Vec<u8>> = asked.transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
            asked.transmits().clear();
            for bytes in sent {
                self.hear(ASKED, &bytes);
                response = bytes;
            }
            self.now += Duration::from_millis(1);
            self.host.handle_timeout(self.now);
        }
    }

    fn hear(&mut self, from: u32, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path: Path::to(address(from)), bytes: &mut bytes };
        self.host.handle_datagram(self.now, datagram);
    }

    /// Sends the host as many datagrams as `make` makes, all from one address or each from its own, and does with what
    /// comes of it what a driver and an application do.
    fn flood(&mut self, from: Option<u32>, first: u32, make: &dyn Fn(u32) -> Vec<u8>) {
        for number in first..first + COUNT {
            self.hear(from.unwrap_or(number), &make(number));
            self.host.transmits().clear();
            while self.host.poll_event().is_some() {}
        }
    }
}

#[test]
fn nothing_that_strangers_send_is_remembered() {
    let mut victim = Victim::new();
    let recorded = |kind: u8| victim.recorded.iter().find(|bytes| bytes[0] == kind).unwrap().clone();
    let (challenge, request) = (recorded(1), recorded(3));
    let packet = victim.recorded.iter().rev().find(|bytes| bytes[0] >= 0x80).unwrap().clone();

    // An attempt of the host's own, whose nonce somebody has seen.
    let response = victim.ask_somebody();
    let nonce: [u8; 16] = response[2..18].try_into().unwrap();

    // Each datagram with a nonce, and so on, of its own.
    let numbered = |bytes: &[u8], at: usize, number: u32| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let of_kind = |kind: u8, length: usize| {
        move |number: u32| {
            let mut bytes = vec![kind; length];
            bytes[1..5].copy_from_slice(&number.to_be_bytes());
            bytes
        }
    };
    type Make<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;
    let mut kinds: Vec<(String, Make<'_>)> = vec![
        ("challenge_request".into(), Box::new(|number| numbered(&challenge, 10, number))),
        (
            "challenge_request of another version".into(),
            Box::new(|number| {
                let mut bytes = numbered(&challenge, 10, number);
                bytes[9] = 9;
                bytes
            }),
        ),
        ("connect_request with another nonce".into(), Box::new(|number| numbered(&request, 2, number))),
        (
            "connect_request with another solution".into(),
            Box::new(|number| numbered(&request, request.len() - 4, number)),
        ),
        ("connect_request of another epoch".into(), Box::new(|number| numbered(&request, 18, number))),
        (
            "packet with another payload".into(),
            Box::new(|number| numbered(&packet, packet.len() - 4, number)),
        ),
        (
            "packet with another header".into(),
            Box::new(|number| {
                let mut bytes = packet.clone();
                bytes[1..3].copy_from_slice(&(number as u16).to_be_bytes());
                bytes
            }),
        ),
        ("nothing".into(), Box::new(|_| Vec::new())),
    ];
    for kind in (0x01..0x20).chain([0x20, 0x7f, 0x80, 0xa0, 0xc0, 0xe0, 0xff]) {
        for length in [17, 19, 49, 175, 600, 1_200] {
            kinds.push((format!("{kind:#04x}, {length} bytes"), Box::new(of_kind(kind, length))));
        }
    }
    kinds.push((
        "challenge_response with another token".into(),
        Box::new(|number| numbered(&response, 122, number)),
    ));
    for (kind, at, length) in [(2, 2, 200), (4, 1, 117), (5, 1, 60), (6, 1, 49), (7, 2, 19)] {
        let make = move |number: u32| {
            let mut bytes = vec![kind; length];
            bytes[at..at + 16].copy_from_slice(&nonce);
            let end = length - 1;
            bytes[end - 1..].copy_from_slice(&(number as u16).to_be_bytes());
            bytes
        };
        kinds.push((format!("{kind:#04x} with the nonce of an attempt"), Box::new(make)));
    }
    let mut next = 0;
    for from in [None, Some(CLIENT), Some(ASKED)] {
        for (name, make) in &kinds {
            // To warm up, and to measure: none of it has come before.
            victim.flood(from, next, make);
            let before = IN_USE.load(Ordering::Relaxed);
            victim.flood(from, next + COUNT, make);
            next += 2 * COUNT;
            let after = IN_USE.load(Ordering::Relaxed);
            assert!(after <= before + SLACK, "{name}: {} bytes more", after - before);
        }
    }
    assert_eq!(victim.host.connections().count(), 1);
}
