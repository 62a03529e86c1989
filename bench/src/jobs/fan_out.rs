//! A host with 1,000 clients at 60 packets a second each way each, as a game has it: in turns it takes what has come
//! and sends packets. Only the host's thread is measured; the clients live on another.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Job, Scale, content};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{End, Load, Peer, plain};

const CLIENTS: usize = 1_000;
const BYTES: usize = 100;
const TURNS_A_SECOND: usize = 60;
/// Where the system gives sockets only small buffers, the clients play in so many groups, one after another, that what one
/// group sends fits the host's.
const GROUPS: [usize; 6] = [1, 2, 4, 5, 8, 10];
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Clients that connect at a time.
const AT_ONCE: usize = 16;

pub fn jobs() -> Vec<Job> {
    let about =
        format!("a host with {CLIENTS} clients, 60 packets/s of {BYTES} B each way each; the host's thread");
    vec![Job { rounds: 3, ..Job::new("fan-out", about, Some("mmsg"), Box::new(run)) }]
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    // Some peers send acknowledgments in datagrams of their own.
    let fit = plain::packets_that_fit(BYTES)? / 2;
    let groups =
        GROUPS.into_iter().find(|groups| CLIENTS / groups <= fit).unwrap_or(GROUPS[GROUPS.len() - 1]);
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
    // The two sides take turns, so that each turn of the host finds a packet of each client, however fast the clients are.
    let (clients_done, clients_turn) = sync_channel(1);
    let (host_done, host_turn) = sync_channel(1);
    let crowd = thread::spawn(move || play(clients, groups, &clients_done, &host_turn));
    let measured = serve(&mut *host, groups, scale, &host_done, &clients_turn);
    drop((host_done, clients_turn));
    crowd.join().map_err(|_| "the clients' thread panicked")??;
    measured
}

/// The clients' turns, until the host has no more.
fn play(
    mut clients: Vec<Box<dyn End>>,
    groups: usize,
    done: &SyncSender<u64>,
    turn: &Receiver<()>,
) -> Result {
    let mut payload = vec![0x5a; BYTES];
    let (mut index, mut received, mut bad) = (0, 0, 0);
    let size = CLIENTS / groups;
    for group in (0..groups).cycle() {
        let group = &mut clients[group * size..][..size];
        for client in &mut *group {
            content::fill(&mut payload, index);
            index += 1;
            if !client.send(0, &payload)? {
                return Err("a client's packet found no room".into());
            }
            client.flush()?;
        }
        if done.send(received).is_err() || turn.recv().is_err() {
            break;
        }
        for client in group {
            client.receive(usize::MAX, &mut |_, payload| match content::check(payload, BYTES) {
                Some(_) => received += 1,
                None => bad += 1,
            })?;
        }
        if bad > 0 {
            return Err("clients got packets with another content".into());
        }
    }
    Ok(())
}

/// What the host's turns were.
#[derive(Clone, Copy, Default)]
struct Served {
    turns: u64,
    received: u64,
    sent: u64,
    heard: u64,
    cpu: Duration,
    time: Duration,
}

/// The host's turns.
fn serve(
    host: &mut dyn End,
    groups: usize,
    scale: Scale,
    done: &SyncSender<()>,
    clients_turn: &Receiver<u64>,
) -> Result<Figures> {
    let time = if scale.quick { Duration::from_secs(1) } else { Duration::from_secs(6) };
    let mut payload = vec![0x5a; BYTES];
    let size = CLIENTS / groups;
    let pause = Duration::from_secs(1) / (TURNS_A_SECOND * groups) as u32;
    let (mut index, mut heard) = (0, 0);
    let mut go = |time: Duration| -> Result<Served> {
        let mut served = Served::default();
        let (begin, cpu, heard_before) = (Instant::now(), cpu::thread(), heard);
        let mut bad = 0;
        while begin.elapsed() < time {
            let turn = Instant::now();
            heard = clients_turn.recv().map_err(|_| "the clients are gone")?;
            host.receive(usize::MAX, &mut |_, payload| match content::check(payload, BYTES) {
                Some(_) => served.received += 1,
                None => bad += 1,
            })?;
            let group = served.turns as usize % groups;
            for connection in group * size..(group + 1) * size {
                content::fill(&mut payload, index);
                index += 1;
                served.sent += u64::from(host.send(connection, &payload)?);
            }
            host.flush()?;
            served.turns += 1;
            thread::sleep(pause.saturating_sub(turn.elapsed()));
            done.send(()).map_err(|_| "the clients are gone")?;
        }
        if bad > 0 {
            return Err("the host got packets with another content".into());
        }
        served.heard = heard - heard_before;
        (served.cpu, served.time) = (cpu::thread() - cpu, begin.elapsed());
        Ok(served)
    };
    go(time / 4)?;
    let mut served = go(time)?;
    let mut figures = Figures::default();
    figures.push("cpu of the host per packet", "µs", micros_each(served.cpu, served.received + served.sent));
    if groups > 1 {
        figures.note(format!("small socket buffers: the clients took turns in {groups} groups"));
    }
    let rate = served.turns as f64 / groups as f64 / served.time.as_secs_f64();
    if rate < 58.0 {
        figures.note(format!("{rate:.0} instead of 60 packets/s: the clients, or the host, managed no more"));
    }
    let wanted = served.turns * size as u64;
    // What the clients tell is one turn old.
    served.heard += size as u64;
    for (what, count) in [
        ("received by the host", served.received),
        ("sent", served.sent),
        ("received by the clients", served.heard),
    ] {
        if count * 100 < wanted * 99 {
            figures.note(format!("{what}: {:.1} %", count as f64 / wanted as f64 * 100.0));
        }
    }
    Ok(figures)
}
