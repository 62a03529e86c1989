//! A host on several threads: packets for each second of processor time of its threads, with two shards against one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use torque_socket::{ConnectionId, Event, PublicKey, SendError, Socket, Trust};

use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::Figures;
use crate::peers::Peer;

/// Enough that both shards have some, whatever the rule draws.
const CLIENTS: usize = 32;
/// Packets that a client sends in one go.
const BATCH: usize = 32;
const SHARDS: usize = 2;

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const DONE: u8 = 2;

pub fn jobs() -> Vec<Job> {
    let about = "a host on one and on two threads that sends back packets of 100 B from 32 clients";
    let run: super::Run = Box::new(|_: &Peer, scale| run(scale));
    vec![Job { only: Some("torque"), ..Job::new("shards", about, None, run) }]
}

fn run(scale: Scale) -> Result<Figures> {
    let mut figures = Figures::default();
    let [one, more] = [host(1, scale)?, host(SHARDS, scale)?];
    figures.push("packets per host CPU-second, 1 shard", "1/s", one);
    figures.push(&format!("packets per host CPU-second, {SHARDS} shards"), "1/s", more);
    figures.push(&format!("{SHARDS} shards against 1"), "times", more / one);
    Ok(figures)
}

/// Packets that a host of so many shards sends back for each second that its threads run.
fn host(shards: usize, scale: Scale) -> Result<f64> {
    let sockets = Socket::builder().shards(shards).bind_each("127.0.0.1:0")?;
    let (address, key) = (sockets[0].local_addr(), sockets[0].public_key());
    let phase = AtomicU8::new(WARM_UP);
    thread::scope(|scope| {
        let threads: Vec<_> =
            sockets.into_iter().map(|socket| scope.spawn(|| serve(socket, &phase))).collect();
        let load = load(address, key, scale, &phase);
        // Whatever happened, the threads have to end.
        phase.store(DONE, Ordering::Relaxed);
        let mut sum = (0, Duration::ZERO);
        for thread in threads {
            let (packets, time) = thread.join().map_err(|_| "a thread of the host panicked")?;
            sum = (sum.0 + packets, sum.1 + time);
        }
        load?;
        Ok(sum.0 as f64 / sum.1.as_secs_f64())
    })
}

/// One shard: what it sent back while it was measured, and the processor time that it took.
fn serve(mut socket: Socket, phase: &AtomicU8) -> (u64, Duration) {
    let (mut packets, mut begun) = (0, None);
    loop {
        match phase.load(Ordering::Relaxed) {
            DONE => return (packets, begun.map_or(Duration::ZERO, |begun| cpu::thread() - begun)),
            MEASURE if begun.is_none() => (packets, begun) = (0, Some(cpu::thread())),
            _ => {}
        }
        socket.wait(Duration::from_millis(20));
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => drop(socket.accept_connection(request.connection, b"")),
                Event::Packet { connection, payload, .. } => {
                    packets += u64::from(socket.send(connection, &payload).is_ok());
                }
                _ => {}
            }
        }
    }
}

/// Clients on this thread, which keep the host busy.
fn load(address: SocketAddr, key: PublicKey, scale: Scale, phase: &AtomicU8) -> Result {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = Socket::bind("127.0.0.1:0")?;
        let connection = socket.connect(address, Trust::Pinned(key))?;
        clients.push(Client { socket, connection, is_connected: false });
    }
    let begin = Clock::now();
    while clients.iter().any(|client| !client.is_connected) {
        clients.iter_mut().try_for_each(Client::turn)?;
        if begin.elapsed() > Duration::from_secs(10) {
            return Err("not all clients were let in".into());
        }
    }
    for (length, next) in [(scale.warm_up(), MEASURE), (2 * scale.measure(), DONE)] {
        let begin = Clock::now();
        while begin.elapsed() < length {
            clients.iter_mut().try_for_each(Client::turn)?;
        }
        phase.store(next, Ordering::Relaxed);
    }
    Ok(())
}

struct Client {
    socket: Socket,
    connection: ConnectionId,
    is_connected: bool,
}

impl Client {
    /// Takes what came, and sends as much as the window takes.
    fn turn(&mut self) -> Result {
        self.socket.poll();
        while let Some(event) = self.socket.next_event() {
            match event {
                Event::Established { .. } => self.is_connected = true,
                Event::Close { code, .. } => return Err(format!("closed: {code}").into()),
                _ => {}
            }
        }
        for _ in 0..BATCH {
            match self.socket.send(self.connection, &[7; 100]) {
                Ok(_) => {}
                Err(SendError::WindowFull | SendError::NotEstablished) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.socket.flush();
        Ok(())
    }
}
