//! Both ends on one thread, in lock-step: no wake-ups, so the steadiest comparison. One end sends a batch and flushes, the
//! other receives it. `lock` goes one way, and the sender looks for what comes back once in 32 packets; in `duplex` the
//! ends take turns, so that acknowledgments can ride along.

use std::time::{Duration, Instant};

use super::pair::{Pair, Stream, check_verdicts};
use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{Load, Peer};

/// Packets after which the sender looks for acknowledgments and verdicts.
const LOOK_EVERY: u64 = 32;

pub fn jobs() -> Vec<Job> {
    let mut jobs = Vec::new();
    for duplex in [false, true] {
        for (bytes, batch) in [(100, 1), (100, 32), (1_100, 1), (1_100, 32)] {
            let (word, ways) = if duplex { ("duplex", "both ways in turn") } else { ("lock", "one way") };
            let job = Job::new(
                format!("{word}-{bytes}x{batch}"),
                format!("lock-step on one thread, {ways}, {bytes} B, batches of {batch}"),
                Some(if batch == 1 { "raw" } else { "raw-gso" }),
                Box::new(move |peer, scale| run(peer, scale, bytes, batch, duplex)),
            );
            jobs.push(Job { quick: !duplex, ..job });
        }
    }
    jobs
}

fn run(peer: &Peer, scale: Scale, bytes: usize, batch: u64, duplex: bool) -> Result<Figures> {
    peer.need_lock_step()?;
    cpu::pin()?;
    let load = Load::pair(bytes, batch as usize);
    let mut pair = Pair::connect(peer, &load)?;
    let (mut there, mut back) = (Stream::new(bytes), Stream::new(bytes));
    let look = !duplex && pair.client.hears_back();
    let mut go = |time: Duration| -> Result<(u64, Duration)> {
        let (before, begin) = (there.received + back.received, Instant::now());
        let cpu = cpu::process();
        while begin.elapsed() < time {
            for _ in 0..LOOK_EVERY.div_ceil(batch) {
                there.step(&mut *pair.client, &mut *pair.host, batch)?;
                if duplex {
                    back.step(&mut *pair.host, &mut *pair.client, batch)?;
                }
            }
            if look {
                pair.client.receive(usize::MAX, &mut |_, _| {})?;
            }
        }
        Ok((there.received + back.received - before, cpu::process() - cpu))
    };
    go(scale.warm_up())?;
    let (packets, cpu) = go(scale.measure())?;
    check_verdicts(&mut *pair.client, &mut *pair.host, there.received)?;
    let mut figures = Figures::default();
    figures.push("cpu per packet", "µs", micros_each(cpu, packets));
    Ok(figures)
}
