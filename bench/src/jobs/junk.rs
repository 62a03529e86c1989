//! What strangers can make a host do: the protocol core alone, one core, each kind of junk as fast as it is taken.

use std::time::{Duration, Instant as Clock};

use torque_proto::{
    Address, ConnectOptions, Datagram, Endpoint, Event, Instant, Path, PuzzleProgress, Trust,
};

use super::core::endpoint;
use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::Figures;
use crate::peers::Peer;

/// Different requests, so that not one and the same is checked over and over.
const REQUESTS: usize = 64;
/// Bits of puzzle: so many that a false solution is not a true one by accident.
const DIFFICULTY: u8 = 16;
/// Datagrams between two looks at the clock.
const BATCH: usize = 64;

pub fn jobs() -> Vec<Job> {
    let about = "protocol core without sockets: what strangers can make a host do, on one core";
    vec![Job { only: Some("torque"), ..Job::new("junk", about, None, Box::new(run)) }]
}

/// A true request, and the address that it came from.
struct Request {
    from: Address,
    challenge: Vec<u8>,
    connect: Vec<u8>,
}

fn run(_: &Peer, scale: Scale) -> Result<Figures> {
    cpu::pin()?;
    let mut host = endpoint(16, DIFFICULTY, 1)?;
    let requests = (0..REQUESTS).map(|n| request(&mut host, n)).collect::<Result<Vec<_>>>()?;
    let mut flood = Flood { host, now: Instant::from_millis(1), buffer: Vec::new(), source: 1 << 32, scale };
    let mut figures = Figures::default();

    let rate = flood.run(
        &requests,
        |r, source| (Address::from_virtual(source), &r.challenge),
        |host| host.stats().challenges_answered,
    )?;
    figures.push("challenge requests answered", "1/s", rate);

    // The token belongs to another address.
    let rate = flood.run(
        &requests,
        |r, source| (Address::from_virtual(source), &r.connect),
        |host| host.stats().false_token,
    )?;
    figures.push("connect requests with a false token refused", "1/s", rate);

    let unsolved: Vec<Request> = requests
        .into_iter()
        .map(|mut request| {
            // The solution is at the end.
            if let Some(last) = request.connect.last_mut() {
                *last ^= 0xff;
            }
            request
        })
        .collect();
    let rate = flood.run(&unsolved, |r, _| (r.from, &r.connect), |host| host.stats().false_solution)?;
    figures.push("connect requests with a true token and a false solution refused", "1/s", rate);
    Ok(figures)
}

/// What an initiator at an address of its own sends this host.
fn request(host: &mut Endpoint, number: usize) -> Result<Request> {
    let (from, now) = (Address::from_virtual(number as u64), Instant::ZERO);
    let mut client = endpoint(16, DIFFICULTY, 100 + number as u8)?;
    let options = ConnectOptions::new(Trust::Pinned(host.public_key()));
    client.connect(now, from, options)?;
    let challenge = only_transmit(&mut client)?;
    host.handle_datagram(now, Datagram { path: Path::to(from), bytes: &mut challenge.clone() });
    let mut response = only_transmit(host)?;
    client.handle_datagram(now, Datagram { path: Path::to(from), bytes: &mut response });
    while let Some(event) = client.poll_event() {
        if let Event::Close { code, .. } = event {
            return Err(format!("closed: {code}").into());
        }
    }
    let mut job = client.poll_puzzle().ok_or("no puzzle")?;
    while job.solve(u64::MAX) == PuzzleProgress::Working {}
    client.puzzle_solved(now, job);
    Ok(Request { from, challenge, connect: only_transmit(&mut client)? })
}

fn only_transmit(endpoint: &mut Endpoint) -> Result<Vec<u8>> {
    let bytes = endpoint.transmits().get(0).ok_or("nothing was sent")?.bytes.to_vec();
    endpoint.transmits().clear();
    Ok(bytes)
}

struct Flood {
    host: Endpoint,
    now: Instant,
    buffer: Vec<u8>,
    /// The next address that nobody had before.
    source: u64,
    scale: Scale,
}

impl Flood {
    /// Hands datagrams in for a while; how many a second of processor time were counted by `counter`. Each must be.
    fn run<'a>(
        &mut self,
        requests: &'a [Request],
        datagram: impl Fn(&'a Request, u64) -> (Address, &'a Vec<u8>),
        counter: impl Fn(&mut Endpoint) -> u64,
    ) -> Result<f64> {
        let before = counter(&mut self.host);
        let (mut handed_in, begin, cpu) = (0, Clock::now(), cpu::process());
        while begin.elapsed() < self.scale.measure() {
            for _ in 0..BATCH {
                let (remote, bytes) = datagram(&requests[handed_in % requests.len()], self.source);
                self.source += 1;
                self.buffer.clear();
                self.buffer.extend_from_slice(bytes);
                let datagram = Datagram { path: Path::to(remote), bytes: &mut self.buffer };
                self.host.handle_datagram(self.now, datagram);
                handed_in += 1;
            }
            self.host.transmits().clear();
            self.now += Duration::from_micros(BATCH as u64);
        }
        let cpu = cpu::process() - cpu;
        let counted = counter(&mut self.host) - before;
        if counted != handed_in as u64 {
            return Err(format!("of {handed_in} datagrams {counted} were taken for what they are").into());
        }
        Ok(counted as f64 / cpu.as_secs_f64())
    }
}
