//! A host with 1,000 clients at 60 packets a second each way each, as a game has it: once a turn it takes what has come
//! and sends each client a packet. Only the host's thread is measured; the clients live on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Job, Scale, content};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{End, Load, Peer};

const CLIENTS: usize = 1_000;
const BYTES: usize = 100;
const TURN: Duration = Duration::from_nanos(1_000_000_000 / 60);
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Clients that connect at a time.
const AT_ONCE: usize = 16;

pub fn jobs() -> Vec<Job> {
    vec![Job {
        name: "fan-out".to_owned(),
        about: format!(
            "a host with {CLIENTS} clients, 60 packets/s of {BYTES} B each way each; the host's thread"
        ),
        floor: "mmsg",
        rounds: 3,
        run: Box::new(run),
    }]
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    let load = Load { connections: CLIENTS, ..Load::pair(BYTES, 4) };
    let (mut host, invitation) = (peer.protocol)().host(&load)?;
    let protocol = peer.crowd();
    let mut clients: Vec<Box<dyn End>> = Vec::new();
    let begin = Instant::now();
    while clients.len() < CLIENTS {
        let first = clients.len();
        for _ in 0..AT_ONCE.min(CLIENTS - first) {
            let mut client = protocol.client(&invitation, &load)?;
            client.start()?;
            clients.push(client);
        }
        while host.established() < clients.len()
            || clients[first..].iter().any(|client| client.established() == 0)
        {
            host.receive(usize::MAX, &mut |_, _| {})?;
            for client in &mut clients[first..] {
                client.receive(usize::MAX, &mut |_, _| {})?;
            }
            if begin.elapsed() > CONNECT_LIMIT {
                return Err(format!("only {} clients connected", host.established()).into());
            }
        }
    }
    let finished = Arc::new(AtomicBool::new(false));
    let heard = Arc::new(AtomicU64::new(0));
    let crowd = {
        let (finished, heard) = (Arc::clone(&finished), Arc::clone(&heard));
        thread::spawn(move || play(clients, &finished, &heard))
    };
    let measured = serve(&mut *host, scale, &heard);
    finished.store(true, Ordering::SeqCst);
    crowd.join().map_err(|_| "the clients' thread panicked")??;
    measured
}

/// Waits for the next turn; skips turns that are over already.
fn wait_for_turn(turn: &mut Instant) {
    let now = Instant::now();
    *turn += TURN;
    if *turn > now {
        thread::sleep(*turn - now);
    } else {
        *turn = now;
    }
}

/// The clients' turns.
fn play(mut clients: Vec<Box<dyn End>>, finished: &AtomicBool, heard: &AtomicU64) -> Result {
    let mut payload = vec![0x5a; BYTES];
    let (mut index, mut turn, mut bad) = (0, Instant::now(), 0);
    while !finished.load(Ordering::SeqCst) {
        let mut received = 0;
        for client in &mut clients {
            client.receive(usize::MAX, &mut |_, payload| match content::check(payload, BYTES) {
                Some(_) => received += 1,
                None => bad += 1,
            })?;
            content::fill(&mut payload, index);
            index += 1;
            // A client that is held up skips its turn.
            client.send(0, &payload)?;
            client.flush()?;
        }
        heard.fetch_add(received, Ordering::SeqCst);
        wait_for_turn(&mut turn);
    }
    if bad > 0 { Err("clients got packets with another content".into()) } else { Ok(()) }
}

/// The host's turns.
fn serve(host: &mut dyn End, scale: Scale, heard: &AtomicU64) -> Result<Figures> {
    let time = if scale.quick { Duration::from_secs(2) } else { Duration::from_secs(6) };
    let mut payload = vec![0x5a; BYTES];
    let (mut index, mut turn) = (0, Instant::now());
    let mut go = |time: Duration| -> Result<(u64, u64, Duration)> {
        let (begin, cpu) = (Instant::now(), cpu::thread());
        let (mut received, mut sent, mut bad) = (0, 0, 0);
        while begin.elapsed() < time {
            host.receive(usize::MAX, &mut |_, payload| match content::check(payload, BYTES) {
                Some(_) => received += 1,
                None => bad += 1,
            })?;
            for connection in 0..CLIENTS {
                content::fill(&mut payload, index);
                index += 1;
                sent += u64::from(host.send(connection, &payload)?);
            }
            host.flush()?;
            wait_for_turn(&mut turn);
        }
        if bad > 0 {
            return Err("the host got packets with another content".into());
        }
        Ok((received, sent, cpu::thread() - cpu))
    };
    go(time / 4)?;
    let (before, begin) = (heard.load(Ordering::SeqCst), Instant::now());
    let (received, sent, cpu) = go(time)?;
    let (heard, time) = (heard.load(Ordering::SeqCst) - before, begin.elapsed().as_secs_f64());
    let mut figures = Figures::default();
    figures.push("cpu of the host per packet", "µs", micros_each(cpu, received + sent));
    figures.push("cpu of the host", "% of a core", cpu.as_secs_f64() / time * 100.0);
    let wanted = (CLIENTS * 60) as f64 * time;
    for (what, count) in [("received by the host", received), ("received by the clients", heard)] {
        if (count as f64) < wanted * 0.97 {
            figures.note(format!("{what}: {:.0} of 60 packets/s", count as f64 / time / CLIENTS as f64));
        }
    }
    Ok(figures)
}
