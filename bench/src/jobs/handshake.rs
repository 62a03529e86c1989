//! Connecting: processor time of both ends together and time, one connection after another in lock-step on one core; and
//! bytes both ways, counted by a relay. What can be prepared (sockets, key pairs, certificates, tokens) is
//! prepared before.

use std::time::{Duration, Instant};

use super::pair;
use super::relay::Relay;
use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, median, micros_each};
use crate::peers::{Load, Peer};

const BYTES: usize = 100;
/// Connections before the first that is measured.
const WARM_UP: usize = 8;

pub fn jobs() -> Vec<Job> {
    vec![Job::new("handshake", "connecting, in lock-step on one core", None, Box::new(run))]
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    peer.need_connections()?;
    cpu::pin()?;
    let count = if scale.quick { 60 } else { 240 };
    let protocol = (peer.protocol)();
    let load = Load { connections: WARM_UP + count, ..Load::pair(BYTES, 4) };
    let (mut host, invitation) = protocol.host(&load)?;
    let mut clients = Vec::new();
    let (mut total, mut times) = (Duration::ZERO, Vec::new());
    for index in 0..WARM_UP + count {
        let mut client = protocol.client(&invitation, &load)?;
        let (begin, cpu) = (Instant::now(), cpu::process());
        pair::connect(&mut *client, &mut *host)?;
        if index >= WARM_UP {
            total += cpu::process() - cpu;
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        clients.push(client);
    }
    let mut figures = Figures::default();
    figures.push("cpu, both ends", "µs", micros_each(total, count as u64));
    figures.push("time", "µs", median(&times).unwrap_or_default());
    let (bytes, datagrams) = on_the_wire(peer)?;
    figures.push("bytes, both ways", "B", bytes as f64);
    figures.push("datagrams, both ways", "", datagrams as f64);
    Ok(figures)
}

/// Bytes and datagrams of one handshake.
fn on_the_wire(peer: &Peer) -> Result<(u64, u64)> {
    let relay = Relay::start()?;
    let load = Load { front: Some(relay.front), ..Load::pair(BYTES, 4) };
    let protocol = (peer.protocol)();
    let (mut host, mut invitation) = protocol.host(&load)?;
    relay.set_host(invitation.address);
    invitation.address = relay.front;
    let mut client = protocol.client(&invitation, &load)?;
    pair::connect(&mut *client, &mut *host)?;
    let passed = relay.passed();
    Ok((passed.bytes_there + passed.bytes_back, passed.datagrams_there + passed.datagrams_back))
}
