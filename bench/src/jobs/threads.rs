//! A thread that sends and one that receives, one way, as fast as they can. The sender is kept from running ahead of
//! the receiver by a counter that both see, outside of what is measured: most peers have no flow control, and packets
//! that overflow a buffer would be work for nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::content;
use super::pair::Pair;
use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{End, Load, Peer, plain};

/// A sender that has waited so long takes what is under way as lost.
const LOST_AFTER: Duration = Duration::from_millis(100);
/// How long a sender that waits leaves its own socket alone.
const SLICE: Duration = Duration::from_millis(1);

pub fn jobs() -> Vec<Job> {
    [(100, 1), (100, 32), (1_100, 1), (1_100, 32)]
        .into_iter()
        .map(|(bytes, batch)| {
            Job::new(
                format!("threads-{bytes}x{batch}"),
                format!("a sending and a receiving thread, one way, {bytes} B, batches of {batch}"),
                Some(if batch == 1 { "raw" } else { "raw-gso" }),
                Box::new(move |peer, scale| run(peer, scale, bytes, batch)),
            )
        })
        .collect()
}

/// How far the receiver is, for the sender to wait on.
#[derive(Default)]
struct Progress {
    /// One more than the highest index that has come.
    reached: AtomicU64,
    received: AtomicU64,
    bad: AtomicU64,
    finished: AtomicBool,
    /// Up to where the sender waits; 0 if it does not.
    waits_for: Mutex<u64>,
    reached_it: Condvar,
}

impl Progress {
    /// Blocks until `reached` is at least `goal`; `false` if that takes longer than `limit`.
    fn wait_for(&self, goal: u64, limit: Duration) -> bool {
        let Ok(mut waits_for) = self.waits_for.lock() else { return false };
        *waits_for = goal;
        let begin = Instant::now();
        while self.reached.load(Ordering::SeqCst) < goal {
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                break;
            }
            match self.reached_it.wait_timeout(waits_for, left) {
                Ok((guard, _)) => waits_for = guard,
                Err(_) => return false,
            }
        }
        *waits_for = 0;
        self.reached.load(Ordering::SeqCst) >= goal
    }

    fn tell(&self) {
        if let Ok(waits_for) = self.waits_for.lock()
            && *waits_for > 0
            && self.reached.load(Ordering::SeqCst) >= *waits_for
        {
            self.reached_it.notify_one();
        }
    }
}

fn run(peer: &Peer, scale: Scale, bytes: usize, batch: u64) -> Result<Figures> {
    // What fits the receive buffer: no peer should lose packets there.
    let in_flight = plain::packets_that_fit(bytes)?.clamp(64, 512);
    let load = Load::pair(bytes, in_flight);
    let Pair { mut client, host } = Pair::connect(peer, &load)?;
    let progress = Arc::new(Progress::default());
    let receiver = {
        let progress = Arc::clone(&progress);
        thread::spawn(move || receive(host, &progress, bytes))
    };
    let sent = send(&mut *client, &progress, scale, &load, batch);
    progress.finished.store(true, Ordering::SeqCst);
    receiver.join().map_err(|_| "the receiving thread panicked")??;
    let Sent { packets, received, cpu, time } = sent?;
    if progress.bad.load(Ordering::SeqCst) > 0 {
        return Err("packets came with another content".into());
    }
    let mut figures = Figures::default();
    figures.push("cpu per packet", "µs", micros_each(cpu, received));
    figures.push("packets per second", "1/s", received as f64 / time.as_secs_f64());
    if received < packets {
        figures.note(format!("{:.2} % lost", (packets - received) as f64 / packets as f64 * 100.0));
    }
    Ok(figures)
}

fn receive(mut host: Box<dyn End>, progress: &Progress, bytes: usize) -> Result {
    while !progress.finished.load(Ordering::SeqCst) {
        host.wait()?;
        let (mut reached, mut received, mut bad) = (0, 0, 0);
        host.receive(usize::MAX, &mut |_, payload| match content::check(payload, bytes) {
            Some(index) => {
                reached = reached.max(index + 1);
                received += 1;
            }
            None => bad += 1,
        })?;
        if bad > 0 {
            progress.bad.fetch_add(bad, Ordering::SeqCst);
        }
        if received > 0 {
            progress.received.fetch_add(received, Ordering::SeqCst);
            progress.reached.fetch_max(reached, Ordering::SeqCst);
            progress.tell();
        }
    }
    Ok(())
}

/// Waits until the receiver has reached `goal`, or what is under way is lost.
fn catch_up(client: &mut dyn End, progress: &Progress, goal: u64) -> Result {
    let begin = Instant::now();
    while !progress.wait_for(goal, SLICE) {
        if client.hears_back() {
            // A peer with congestion control sends what it holds only after it has heard of the rest.
            client.receive(usize::MAX, &mut |_, _| {})?;
            client.flush()?;
        }
        if begin.elapsed() > LOST_AFTER {
            progress.reached.fetch_max(goal, Ordering::SeqCst);
        }
    }
    Ok(())
}

struct Sent {
    packets: u64,
    received: u64,
    cpu: Duration,
    time: Duration,
}

fn send(client: &mut dyn End, progress: &Progress, scale: Scale, load: &Load, batch: u64) -> Result<Sent> {
    let mut payload = vec![0x5a; load.payload];
    let in_flight = load.in_flight as u64;
    let mut next = 0;
    let hears_back = client.hears_back();
    let mut go = |time: Duration| -> Result<Sent> {
        let (first, begin, cpu) = (next, Instant::now(), cpu::process());
        let before = progress.received.load(Ordering::SeqCst);
        let mut since_look = 0;
        while begin.elapsed() < time {
            for _ in 0..batch {
                content::fill(&mut payload, next);
                let full = Instant::now();
                while !client.send(0, &payload)? {
                    client.flush()?;
                    client.wait()?;
                    client.receive(usize::MAX, &mut |_, _| {})?;
                    if full.elapsed() > Duration::from_secs(2) {
                        return Err("the peer takes no more packets".into());
                    }
                }
                next += 1;
            }
            client.flush()?;
            since_look += batch;
            if hears_back && since_look >= 32 {
                client.receive(usize::MAX, &mut |_, _| {})?;
                since_look = 0;
            }
            // Once far ahead, the sender lets the receiver come close, so that it does not wake for each packet.
            if next - progress.reached.load(Ordering::SeqCst).min(next) >= in_flight {
                catch_up(client, progress, next - in_flight / 4)?;
            }
        }
        // What is under way comes, or is lost.
        let end = Instant::now();
        while progress.reached.load(Ordering::SeqCst) < next && end.elapsed() < LOST_AFTER * 2 {
            client.receive(usize::MAX, &mut |_, _| {})?;
            client.flush()?;
            thread::sleep(Duration::from_millis(1));
        }
        progress.reached.fetch_max(next, Ordering::SeqCst);
        Ok(Sent {
            packets: next - first,
            received: progress.received.load(Ordering::SeqCst) - before,
            cpu: cpu::process() - cpu,
            time: begin.elapsed(),
        })
    };
    go(scale.warm_up())?;
    go(scale.measure())
}
