//! Memory of a host for each connection that is up and idle. The clients are in another process.
//!
//! "allocated" is what the host's process has allocated with 1,000 connections more than with none, divided by them;
//! "resident" is the same of the memory that the kernel counts, C libraries' and unused room in buffers included.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddrV4;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::alloc;
use crate::measure::figures::Figures;
use crate::peers::{self, End, Invitation, Load, Peer};

const CONNECTIONS: usize = 1_000;
const BYTES: usize = 100;
/// Clients that connect at a time.
const AT_ONCE: usize = 16;
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

pub fn jobs() -> Vec<Job> {
    let about = format!("memory of a host for each idle connection, of {CONNECTIONS}");
    vec![Job { rounds: 1, ..Job::new("memory", about, None, Box::new(run)) }]
}

fn load() -> Load {
    Load { connections: CONNECTIONS, ..Load::pair(BYTES, 4) }
}

/// Ends the clients' process with this one.
struct Crowd(Child);

impl Drop for Crowd {
    fn drop(&mut self) {
        // It ends by itself when its input does; this is for one that hangs.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(peer: &Peer, scale: Scale) -> Result<Figures> {
    peer.need_connections()?;
    alloc::start();
    let protocol = (peer.protocol)();
    let empty = alloc::count();
    let (mut host, invitation) = protocol.host(&load())?;
    for _ in 0..10 {
        host.receive(usize::MAX, &mut |_, _| {})?;
    }
    let (before, resident) = (alloc::count(), alloc::resident());
    let mut crowd = Crowd(
        Command::new(std::env::current_exe()?)
            .args(["crowd", peer.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?,
    );
    let mut input = crowd.0.stdin.take().ok_or("no way to talk to the clients")?;
    writeln!(input, "{}", invitation.address)?;
    writeln!(input, "{}", hex(&invitation.key))?;
    let begin = Instant::now();
    while host.established() < CONNECTIONS {
        host.wait()?;
        host.receive(usize::MAX, &mut |_, _| {})?;
        if begin.elapsed() > CONNECT_LIMIT {
            return Err(format!("only {} clients connected", host.established()).into());
        }
    }
    // Connections come to rest: what the handshake needed is given back.
    let settle = Duration::from_millis(if scale.quick { 300 } else { 2_000 });
    let begin = Instant::now();
    while begin.elapsed() < settle {
        host.wait()?;
        host.receive(usize::MAX, &mut |_, _| {})?;
    }
    let (after, resident_after) = (alloc::count(), alloc::resident());
    drop(input);
    let mut figures = Figures::default();
    let each = |more: i64| more as f64 / CONNECTIONS as f64;
    // The counting allocator does not see what C allocates.
    let counted = peer.package != Some("openssl");
    if counted {
        figures.push("allocated per connection", "B", each(after.live - before.live));
    } else {
        figures.note("OpenSSL's memory is not seen by the counting allocator: only what is resident is told");
    }
    if let (Some(before), Some(after)) = (resident, resident_after) {
        figures.push("resident per connection", "B", each(after - before));
    }
    if matches!(peer.package, Some("rusty_enet" | "renetcode" | "renet")) {
        figures
            .note("its table for all connections is made beforehand: see \"allocated without connections\"");
    }
    if counted {
        figures.push("allocated without connections", "B", (before.live - empty.live) as f64);
    }
    Ok(figures)
}

/// `crowd PEER`: connects as many clients as the job has to the address and with the key that the input tells, and
/// keeps them until the input ends.
pub fn crowd(arguments: &[String]) -> Result {
    let [name] = arguments else { return Err("crowd PEER".into()) };
    let protocol = peers::find(name)?.crowd();
    let mut input = BufReader::new(std::io::stdin());
    let mut line = || -> Result<String> {
        let mut line = String::new();
        input.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    let address: SocketAddrV4 = line()?.parse()?;
    let invitation = Invitation { address, key: unhex(&line()?)? };
    thread::spawn(move || {
        // The end of the input is the end of the job.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut clients: Vec<Box<dyn End>> = Vec::new();
    while clients.len() < CONNECTIONS {
        let first = clients.len();
        for _ in 0..AT_ONCE.min(CONNECTIONS - first) {
            let mut client = protocol.client(&invitation, &load())?;
            client.start()?;
            clients.push(client);
        }
        while clients[first..].iter().any(|client| client.established() == 0) {
            for client in &mut clients[first..] {
                client.receive(usize::MAX, &mut |_, _| {})?;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
    loop {
        for client in &mut clients {
            client.receive(usize::MAX, &mut |_, _| {})?;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8).ok_or("not hexadecimal"))
        .collect::<std::result::Result<_, _>>()?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests;
