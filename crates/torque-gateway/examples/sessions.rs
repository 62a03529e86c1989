//! Measures the cost of sessions: memory of an open one, and processor time of a datagram. Linux only: it reads /proc.
//!
//! ```sh
//! ulimit -n 8192
//! cargo run --release -p torque-gateway --example sessions -- [SESSIONS] [webtransport|websocket]
//! ```
//!
//! The program starts itself again as the gateway. The pages and an echoing socket stay in the first process.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that goes wrong ends")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::ORIGIN;
use common::page::{Got, Page, WebSocket, WebTransport, hashes_of};
use torque_gateway::{CarrierKind, Config, Gateway, Rate};
use torque_proto::wire::{parse_probe, probe_echo};

/// The time for which datagrams are exchanged, and the number of sessions that do so.
const EXCHANGE: Duration = Duration::from_secs(10);
const TALKING: usize = 10;
/// Datagrams that each of them has under way.
const IN_FLIGHT: usize = 8;
const BYTES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--gateway") {
        return be_the_gateway();
    }
    let sessions = arguments.first().map_or(1_000, |count| count.parse().unwrap());
    let kind = match arguments.get(1).map(String::as_str) {
        None | Some("webtransport") => WebTransport,
        Some("websocket") => WebSocket,
        Some(other) => panic!("{other} is not a carrier"),
    };
    tokio::runtime::Runtime::new().unwrap().block_on(measure(sessions, kind));
}

fn be_the_gateway() {
    let mut config = Config::development(0);
    config.targets = "127.0.0.1:*".parse().unwrap();
    config.limits.sessions = 100_000;
    config.limits.sessions_of_client = 100_000;
    config.limits.session_rate = Rate { datagrams: 1_000_000, bytes: 1_000_000_000 };
    config.limits.target_rate = config.limits.session_rate;
    config.limits.target_rate_of_client = config.limits.session_rate;
    let gateway = Gateway::spawn(config).unwrap();
    println!("{}\n{}", gateway.local_addr(), gateway.description());
    // Until the other process ends.
    let _ = std::io::stdin().read(&mut [0]);
}

async fn measure(sessions: usize, kind: CarrierKind) {
    let gateway = GatewayProcess::start();
    // The first session pays for what all share.
    let mut pages = vec![gateway.open(kind).await];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = gateway.memory();
    while pages.len() < sessions + 1 {
        pages.push(gateway.open(kind).await);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let bytes = (gateway.memory() - before) / sessions as u64;
    println!("{sessions} sessions over {}: {:.1} kB each", kind.name(), bytes as f64 / 1e3);
    let (time, start) = (gateway.processor_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle =
        (gateway.processor_time() - time).as_secs_f64() / start.elapsed().as_secs_f64() / sessions as f64;
    println!("an open session: {:.1} µs of processor a second", idle * 1e6);

    let echo = echo();
    let time = gateway.processor_time();
    let talking = pages.drain(..TALKING.min(sessions)).map(|page| tokio::spawn(exchange(page, echo)));
    let talking: Vec<_> = talking.collect();
    let mut datagrams = 0;
    for page in talking {
        datagrams += 2 * page.await.unwrap();
    }
    let each = (gateway.processor_time() - time).as_secs_f64() / datagrams as f64;
    println!("{datagrams} datagrams of {BYTES} bytes: {:.1} µs of processor each", each * 1e6);
}

/// Exchanges datagrams with the echo; how many came back.
async fn exchange(mut page: Page, echo: SocketAddr) -> u64 {
    let context = page.context_of(echo).await;
    let datagram = [0x80; BYTES];
    let end = Instant::now() + EXCHANGE;
    let mut echoed = 0;
    while Instant::now() < end {
        for _ in 0..IN_FLIGHT {
            page.datagram(context, &datagram).await;
        }
        for _ in 0..IN_FLIGHT {
            match page.next_within(Duration::from_millis(100)).await {
                Some(Got::Datagram(..)) => echoed += 1,
                Some(Got::Control(_)) => {}
                Some(Got::End) => panic!("the session has ended"),
                // Lost, or without consent at the beginning.
                None => break,
            }
        }
    }
    echoed
}

/// Echoes probes as a `TorqueSocket` does, and everything else as it is.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = match parse_probe(&buffer[..length]) {
                Ok(nonce) => socket.send_to(&probe_echo(nonce), from),
                Err(_) => socket.send_to(&buffer[..length], from),
            };
        }
    });
    address
}

struct GatewayProcess {
    child: Child,
    address: SocketAddr,
    hashes: Vec<[u8; 32]>,
}

impl GatewayProcess {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--gateway")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.next().unwrap().parse().unwrap();
        let hashes = hashes_of(&lines.next().unwrap());
        Self { child, address, hashes }
    }

    async fn open(&self, kind: CarrierKind) -> Page {
        Page::try_open(self.address, &self.hashes, kind, Some(ORIGIN))
            .await
            .expect("ulimit -n may be too low")
    }

    /// Resident bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// In the program and in the system for it.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks: u64 =
            rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
