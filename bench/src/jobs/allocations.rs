//! Heap allocations for each packet in steady state, sending and receiving together, in lock-step.

use std::time::{Duration, Instant};

use super::pair::{Pair, Stream};
use super::{Job, Run, Scale};
use crate::failure::{Result, Unable};
use crate::measure::alloc;
use crate::measure::figures::Figures;
use crate::peers::{Load, Peer};

const BYTES: usize = 100;
/// However slow a peer is.
const LIMIT: Duration = Duration::from_secs(2);

pub fn jobs() -> Vec<Job> {
    [1, 32]
        .into_iter()
        .map(|batch| {
            let name = format!("allocations-{BYTES}x{batch}");
            let about = format!("heap allocations, lock-step both ways, {BYTES} B, batches of {batch}");
            let run: Run = Box::new(move |peer, scale| run(peer, scale, batch));
            Job { rounds: 1, ..Job::new(name, about, Some("raw"), run) }
        })
        .collect()
}

fn run(peer: &Peer, scale: Scale, batch: u64) -> Result<Figures> {
    if peer.package == Some("openssl") {
        return Err(Unable("allocates in C, which the counting allocator does not see").into());
    }
    let mut pair = Pair::connect(peer, &Load::pair(BYTES, batch as usize))?;
    let (mut there, mut back) = (Stream::new(BYTES), Stream::new(BYTES));
    alloc::start();
    let mut go = |packets: u64| -> Result<u64> {
        let before = there.received + back.received;
        let begin = Instant::now();
        while there.received + back.received - before < packets && begin.elapsed() < LIMIT {
            there.step(&mut *pair.client, &mut *pair.host, batch)?;
            back.step(&mut *pair.host, &mut *pair.client, batch)?;
        }
        Ok(there.received + back.received - before)
    };
    // Buffers and pools grow to what they need.
    let measured = if scale.quick { 10_000 } else { 50_000 };
    go(measured)?;
    let before = alloc::count();
    let packets = go(measured)?;
    let after = alloc::count();
    let mut figures = Figures::default();
    figures.push("allocations per packet", "", (after.calls - before.calls) as f64 / packets as f64);
    figures.push("bytes allocated per packet", "B", (after.bytes - before.bytes) as f64 / packets as f64);
    Ok(figures)
}
