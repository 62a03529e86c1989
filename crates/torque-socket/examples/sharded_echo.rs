//! A host on several cores that sends back what it gets, and what that costs: packets for each second of processor
//! time of the host's threads, with one shard and with more.
//!
//! Run it: `cargo run --release --example sharded_echo -- [SHARDS [MILLISECONDS]]`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{Event, PublicKey, SendError, ShardedSocket, Socket, Steering, Trust};

type Failure = Box<dyn Error + Send + Sync>;

const CLIENTS: usize = 16;
/// Packets that a client sends in one go.
const BATCH: usize = 32;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let shards: usize = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let millis: u64 = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let run = Run { shards, time: Duration::from_millis(millis) };
    println!("{CLIENTS} clients, batches of {BATCH} packets of 100 bytes, each sent back");
    println!("{:<44} {:>7} {:>12} {:>24}", "", "shards", "packets/s", "packets/host CPU-second");
    for shards in if shards == 1 { vec![1] } else { vec![1, shards] } {
        let run = Run { shards, ..run };
        run.tell("a thread of the application drives each", Run::driven)?;
        run.tell("a background thread, and one that serves it", Run::served)?;
        run.tell("a background thread, and one for all shards", Run::merged)?;
        if shards > 1 {
            run.tell("the first, handing on without the kernel", Run::handed_on)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Run {
    shards: usize,
    time: Duration,
}

impl Run {
    fn tell(self, what: &str, run: fn(Self) -> Result<Figures, Failure>) -> Result<(), Failure> {
        let Figures { packets, seconds, cpu_seconds } = run(self)?;
        let per_cpu = cpu_seconds.map_or("unknown here".into(), |cpu| format!("{:.0}", packets as f64 / cpu));
        println!("{what:<44} {:>7} {:>12.0} {per_cpu:>24}", self.shards, packets as f64 / seconds);
        Ok(())
    }

    fn driven(self) -> Result<Figures, Failure> {
        self.driven_with(Steering::Kernel)
    }

    fn handed_on(self) -> Result<Figures, Failure> {
        self.driven_with(Steering::HandOn)
    }

    /// No lock at all: each shard is a `Socket` of the thread that serves it.
    fn driven_with(self, steering: Steering) -> Result<Figures, Failure> {
        let sockets = Socket::builder().shards(self.shards).steering(steering).bind_each("127.0.0.1:0")?;
        let (address, key) = (sockets[0].local_addr(), sockets[0].public_key());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for mut socket in sockets {
                host_thread().spawn_scoped(scope, || {
                    while !done.load(Ordering::Relaxed) {
                        socket.wait(Duration::from_millis(20));
                        socket.poll();
                        while let Some(event) = socket.next_event() {
                            match event {
                                Event::ConnectRequest(request) => {
                                    let _ = socket.accept_connection(request.connection, b"");
                                }
                                // A window that is full means that the client does not take its echoes.
                                Event::Packet { connection, payload, .. } => {
                                    let _ = socket.send(connection, &payload);
                                }
                                _ => {}
                            }
                        }
                    }
                    // The figures are taken, and nobody waits for the last echoes; else `shutdown` would be the end.
                    drop(socket);
                })?;
            }
            let figures = self.load(address, key);
            done.store(true, Ordering::Relaxed);
            figures
        })
    }

    /// Two threads for each shard, and no lock that two shards share.
    fn served(self) -> Result<Figures, Failure> {
        let host = Socket::builder().shards(self.shards).bind("127.0.0.1:0")?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for shard in host.shards() {
                let done = &done;
                host_thread().spawn_scoped(scope, move || {
                    while !done.load(Ordering::Relaxed) {
                        match shard.wait_event(Duration::from_millis(20)) {
                            Some(Event::ConnectRequest(request)) => {
                                let _ = shard.accept_connection(request.connection, b"");
                            }
                            Some(Event::Packet { connection, payload, .. }) => {
                                let _ = shard.send(connection, &payload);
                            }
                            _ => {}
                        }
                    }
                })?;
            }
            let figures = self.load(host.local_addr(), host.public_key());
            done.store(true, Ordering::Relaxed);
            figures
        })
    }

    /// One thread of the application for all shards.
    fn merged(self) -> Result<Figures, Failure> {
        let host: ShardedSocket = Socket::builder().shards(self.shards).bind("127.0.0.1:0")?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            host_thread().spawn_scoped(scope, || {
                while !done.load(Ordering::Relaxed) {
                    match host.wait_event(Duration::from_millis(20)) {
                        Some(Event::ConnectRequest(request)) => {
                            let _ = host.accept_connection(request.connection, b"");
                        }
                        Some(Event::Packet { connection, payload, .. }) => {
                            let _ = host.send(connection, &payload);
                        }
                        _ => {}
                    }
                }
            })?;
            let figures = self.load(host.local_addr(), host.public_key());
            done.store(true, Ordering::Relaxed);
            figures
        })
    }

    /// Loads a host with clients, on one thread that is not the host's.
    fn load(self, address: SocketAddr, key: PublicKey) -> Result<Figures, Failure> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut socket = Socket::bind("127.0.0.1:0")?;
            let connection = socket.connect(address, Trust::Pinned(key))?;
            clients.push((socket, connection));
        }
        let echoes = AtomicU64::new(0);
        let mut turn = || -> Result<(), Failure> {
            for (socket, connection) in &mut clients {
                socket.poll();
                while let Some(event) = socket.next_event() {
                    match event {
                        Event::Packet { .. } => drop(echoes.fetch_add(1, Ordering::Relaxed)),
                        Event::Close { code, .. } => return Err(code.to_string().into()),
                        _ => {}
                    }
                }
                for _ in 0..BATCH {
                    match socket.send(*connection, &[7; 100]) {
                        Ok(_) => {}
                        Err(SendError::WindowFull | SendError::Blocked | SendError::NotEstablished) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                socket.flush();
            }
            Ok(())
        };
        let end = Instant::now() + Duration::from_secs(10);
        while echoes.load(Ordering::Relaxed) < (CLIENTS * BATCH) as u64 {
            turn()?;
            if Instant::now() > end {
                return Err("the host does not answer".into());
            }
        }
        let (before, begun, cpu) = (echoes.load(Ordering::Relaxed), Instant::now(), host_cpu());
        while begun.elapsed() < self.time {
            turn()?;
        }
        let cpu_seconds = host_cpu().zip(cpu).map(|(now, then)| (now - then) as f64 / 1e9);
        let packets = echoes.load(Ordering::Relaxed) - before;
        Ok(Figures { packets, seconds: begun.elapsed().as_secs_f64(), cpu_seconds })
    }
}

struct Figures {
    /// Packets that went to the host and back.
    packets: u64,
    seconds: f64,
    cpu_seconds: Option<f64>,
}

fn host_thread() -> thread::Builder {
    thread::Builder::new().name("torque-host".into())
}

/// Nanoseconds that the threads of the host have run: those of the application, and those of its sockets. Linux.
fn host_cpu() -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok) {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if ["torque-host", "torque-socket"].contains(&read("comm").trim()) {
            sum += read("schedstat").split(' ').next()?.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}
