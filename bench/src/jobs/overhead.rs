//! What a packet costs on the wire beyond its payload, at 60 packets a second: both ways, and one way, where what comes
//! back is only there to acknowledge. A relay counts.

use std::thread;
use std::time::{Duration, Instant};

use super::pair;
use super::relay::{Passed, Relay};
use super::{Job, Scale, content};
use crate::failure::Result;
use crate::measure::figures::Figures;
use crate::peers::{End, Load, Peer};

const BYTES: usize = 100;
const TURN: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// How often the ends look for what has come.
const LOOK: Duration = Duration::from_millis(1);

pub fn jobs() -> Vec<Job> {
    let about = "bytes on the wire at 60 packets/s of 100 B, counted by a relay, without UDP and IP headers";
    vec![Job { rounds: 1, ..Job::new("overhead", about, Some("raw"), Box::new(run)) }]
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    let relay = Relay::start()?;
    let load = Load { front: Some(relay.front), ..Load::pair(BYTES, 4) };
    let protocol = (peer.protocol)();
    let (mut host, mut invitation) = protocol.host(&load)?;
    relay.set_host(invitation.address);
    invitation.address = relay.front;
    let mut client = protocol.client(&invitation, &load)?;
    pair::connect(&mut *client, &mut *host)?;

    let time = if scale.quick { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let mut traffic = Traffic { client: &mut *client, host: &mut *host, relay: &relay, next: 0 };
    // What only the beginning needs (MTU probes, more connection ids) is over then.
    traffic.go(time / 2, true)?;
    let both = traffic.go(time, true)?;
    traffic.go(time / 5, false)?;
    let one = traffic.go(time, false)?;

    let mut figures = Figures::default();
    let beyond = |bytes: u64, packets: u64| (bytes as f64 - (packets * BYTES as u64) as f64) / packets as f64;
    let bytes = both.passed.bytes_there + both.passed.bytes_back;
    figures.push("both ways: bytes beyond payload per packet", "B", beyond(bytes, both.packets));
    let datagrams = both.passed.datagrams_there + both.passed.datagrams_back;
    figures.push("both ways: datagrams per packet", "", datagrams as f64 / both.packets as f64);
    figures.push(
        "one way: bytes beyond payload per packet",
        "B",
        beyond(one.passed.bytes_there, one.packets),
    );
    let each = |value: u64| value as f64 / one.packets as f64;
    figures.push("one way: datagrams back per packet", "", each(one.passed.datagrams_back));
    figures.push("one way: bytes back per packet", "B", each(one.passed.bytes_back));
    Ok(figures)
}

/// What passed while so many packets were sent.
struct Phase {
    packets: u64,
    passed: Passed,
}

struct Traffic<'a> {
    client: &'a mut dyn End,
    host: &'a mut dyn End,
    relay: &'a Relay,
    next: u64,
}

impl Traffic<'_> {
    /// Sends for so long, and waits for the last to arrive.
    fn go(&mut self, time: Duration, both: bool) -> Result<Phase> {
        let before = self.relay.passed();
        let mut payload = vec![0x5a; BYTES];
        let (mut packets, mut received, mut bad) = (0, 0, 0);
        let begin = Instant::now();
        let mut turn = begin;
        // Half a turn at the end lets the last packets arrive.
        while begin.elapsed() < time + TURN / 2 {
            if Instant::now() >= turn && begin.elapsed() < time {
                turn += TURN;
                content::fill(&mut payload, self.next);
                self.next += 1;
                let ends = [Some(&mut *self.client), both.then_some(&mut *self.host)];
                for end in ends.into_iter().flatten() {
                    if !end.send(0, &payload)? {
                        return Err("a packet found no room at 60 packets/s".into());
                    }
                    end.flush()?;
                    packets += 1;
                }
            }
            for end in [&mut *self.client, &mut *self.host] {
                end.receive(usize::MAX, &mut |_, payload| match content::check(payload, BYTES) {
                    Some(_) => received += 1,
                    None => bad += 1,
                })?;
            }
            thread::sleep(LOOK);
        }
        if bad > 0 || received + 2 < packets {
            return Err(
                format!("of {packets} packets {received} came, and {bad} with another content").into()
            );
        }
        Ok(Phase { packets, passed: self.relay.passed().since(before) })
    }
}
