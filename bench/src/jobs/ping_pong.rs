//! A packet there and back, over and over: two threads that both block until something comes, on one core, so that no
//! wake-up crosses cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::pair::Pair;
use super::{Job, Scale, content};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{End, Load, Peer};

const BYTES: usize = 100;
/// A round trip that takes longer is lost.
const LOST_AFTER: Duration = Duration::from_secs(1);

pub fn jobs() -> Vec<Job> {
    let about = "100 B there and back, two threads on one core";
    vec![Job::new("ping-pong", about, Some("raw"), Box::new(run))]
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    cpu::pin()?;
    let Pair { mut client, host } = Pair::connect(peer, &Load::pair(BYTES, 4))?;
    let finished = Arc::new(AtomicBool::new(false));
    let echo = {
        let finished = Arc::clone(&finished);
        thread::spawn(move || echo(host, &finished))
    };
    let measured = measure(&mut *client, scale);
    finished.store(true, Ordering::SeqCst);
    echo.join().map_err(|_| "the echoing thread panicked")??;
    measured
}

fn echo(mut host: Box<dyn End>, finished: &AtomicBool) -> Result {
    let mut back: Vec<Vec<u8>> = vec![Vec::new(); 4];
    while !finished.load(Ordering::SeqCst) {
        host.wait()?;
        let mut count = 0;
        host.receive(1, &mut |_, payload| {
            if let Some(slot) = back.get_mut(count) {
                slot.clear();
                slot.extend_from_slice(payload);
                count += 1;
            }
        })?;
        for payload in &back[..count] {
            host.send(0, payload)?;
        }
        if count > 0 {
            host.flush()?;
        }
    }
    Ok(())
}

fn measure(client: &mut dyn End, scale: Scale) -> Result<Figures> {
    let mut payload = vec![0x5a; BYTES];
    let mut index = 0;
    let mut go = |time: Duration| -> Result<(Vec<Duration>, Duration)> {
        let (begin, cpu) = (Instant::now(), cpu::process());
        let mut trips = Vec::new();
        while begin.elapsed() < time {
            content::fill(&mut payload, index);
            let sent = Instant::now();
            client.send(0, &payload)?;
            client.flush()?;
            let mut back = false;
            while !back {
                client.wait()?;
                client.receive(1, &mut |_, payload| back |= content::check(payload, BYTES) == Some(index))?;
                if sent.elapsed() > LOST_AFTER {
                    return Err("a packet did not come back".into());
                }
            }
            trips.push(sent.elapsed());
            index += 1;
        }
        Ok((trips, cpu::process() - cpu))
    };
    go(scale.warm_up())?;
    let (mut trips, cpu) = go(scale.measure())?;
    trips.sort_unstable();
    let at = |part: usize| trips[trips.len() * part / 100].as_secs_f64() * 1e6;
    let mut figures = Figures::default();
    figures.push("round trip, median", "µs", at(50));
    figures.push("round trip, 99 of 100", "µs", at(99));
    figures.push("cpu per round trip", "µs", micros_each(cpu, trips.len() as u64));
    Ok(figures)
}
