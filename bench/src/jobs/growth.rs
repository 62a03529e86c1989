//! What a packet costs when there are very many connections, against 1,000: the protocol core alone, two endpoints
//! that both have that many. The connections take their turns in a scrambled order at 60 packets/s each way each, in the
//! core's own time, so that what the processor caches is not what is needed next.

use std::time::{Duration, Instant};

use super::core::Core;
use super::{Job, Scale, report_progress};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::Peer;

const FEW: usize = 1_000;
const BYTES: usize = 100;
/// Connections that send before datagrams are handed over, as many as a receive call brings.
const BATCH: usize = 32;

pub fn jobs() -> Vec<Job> {
    let about = "protocol core without sockets: cpu per packet, both ends, with many connections";
    let (rounds, limit, only) = (1, Duration::from_secs(3_600), Some("torque"));
    vec![Job { rounds, limit, only, ..Job::new("growth", about, None, Box::new(run)) }]
}

fn run(_: &Peer, scale: Scale) -> Result<Figures> {
    let many = if scale.quick { 100_000 } else { 1_000_000 };
    let mut figures = Figures::default();
    let few = cost(FEW, 500_000)?;
    figures.push(&format!("cpu per packet, {FEW} connections"), "µs", few);
    let much = cost(many, 500_000.max(2 * many))?;
    figures.push(&format!("cpu per packet, {many} connections"), "µs", much);
    figures.push(&format!("{many} against {FEW}"), "times", much / few);
    Ok(figures)
}

/// Microseconds for each packet, sent, received and acknowledged.
fn cost(connections: usize, packets: usize) -> Result<f64> {
    let mut core = Core::new(connections)?;
    let mut told = Instant::now();
    for number in 0..connections {
        core.connect()?;
        // All of it takes a second of the core's time, so that nothing is idle long enough to be pinged.
        core.pass(1_000_000_000 / connections as u64)?;
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            report_progress(&format!("{number} of {connections} connections"));
        }
    }
    // A step that shares no factor with the number of connections visits all of them.
    let step = (connections as f64 * 0.618) as usize | 1;
    let step = (step..).find(|&step| gcd(step, connections) == 1).unwrap_or(1);
    let nanos = 1_000_000_000 * BATCH as u64 / (60 * connections as u64);
    let payload = [0x5a; BYTES];
    let mut at = 0;
    let mut go = |packets: usize| -> Result<f64> {
        let (mut sent, mut received) = (0, 0);
        let begin = cpu::process();
        while sent < packets as u64 {
            for _ in 0..BATCH / 2 {
                at = (at + step) % connections;
                let (client, host) = (core.at_client[at], core.at_host[at]);
                core.client.send(core.now, client, &payload)?;
                core.host.send(core.now, host, &payload)?;
                sent += 2;
            }
            received += core.exchange()?.packets;
            received += core.pass(nanos / 2)?.packets;
        }
        let cpu = cpu::process() - begin;
        if received != sent {
            return Err(format!("of {sent} packets {received} came").into());
        }
        Ok(micros_each(cpu, sent))
    };
    go(packets / 2)?;
    go(packets)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
