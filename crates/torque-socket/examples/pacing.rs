//! Sending as fast as the path takes, and no faster: the rate follows the verdicts.
//!
//! The socket sends what it is given at once, and has no congestion control, since the application knows better what
//! to leave out. A program that sends more than a few packets a frame finds the rate by itself: up while packets arrive, down when they
//! are dropped (as TCP does it, coarser), and spreads its packets over time, so that no queue on the way is flooded.
//!
//! Run it: `cargo run --example pacing`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{Event, LinkConfig, SendError, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

const PAYLOAD: usize = 1_000;
/// Packets a second: what to begin with, and what not to go below and above.
const FIRST: f64 = 50.0;
const LEAST: f64 = 20.0;
const MOST: f64 = 5_000.0;
/// How often the rate is looked at.
const ROUND: Duration = Duration::from_millis(200);

/// How fast to send. Knows no socket: give it verdicts, and ask it how many packets may go now.
struct Pace {
    rate: f64,
    /// Packets that may go now, in parts.
    allowance: f64,
    filled_at: Instant,
    round_began: Instant,
    delivered: u32,
    dropped: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { rate: FIRST, allowance: 1.0, filled_at: now, round_began: now, delivered: 0, dropped: 0 }
    }

    fn verdict(&mut self, delivered: bool) {
        if delivered { self.delivered += 1 } else { self.dropped += 1 }
    }

    /// Returns whether a packet may go now, and counts it if so.
    fn take(&mut self, now: Instant) -> bool {
        if now - self.round_began >= ROUND {
            let told = self.delivered + self.dropped;
            // One lost packet in fifty is the air, more is a queue that overflows.
            if told > 0 && self.dropped * 50 > told {
                self.rate *= 0.7;
            } else if self.delivered > 0 {
                self.rate += (self.rate * 0.1).max(5.0);
            }
            self.rate = self.rate.clamp(LEAST, MOST);
            (self.delivered, self.dropped, self.round_began) = (0, 0, now);
        }
        // No more than four in a row, whatever the program did meanwhile.
        let gained = (now - self.filled_at).as_secs_f64() * self.rate;
        self.allowance = (self.allowance + gained).min(4.0);
        self.filled_at = now;
        let may_go = self.allowance >= 1.0;
        self.allowance -= f64::from(u8::from(may_go));
        may_go
    }
}

fn main() -> Result<(), Failure> {
    // The path takes 2 Mbit/s, about 240 of these packets a second, and has a short queue.
    let link: LinkConfig = "delay=10,rate=2M,queue=16k".parse()?;
    let mut host = Socket::bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    let receiver = thread::spawn(move || {
        let (mut packets, end) = (0_u32, Instant::now() + Duration::from_secs(30));
        while Instant::now() < end {
            match host.wait_event(Duration::from_millis(100)) {
                Some(Event::ConnectRequest(request)) => {
                    let _ = host.accept_connection(request.connection, b"");
                }
                Some(Event::Packet { .. }) => packets += 1,
                Some(Event::Close { .. }) => {
                    // The sender may have missed the answer to its close, so the host stays a while.
                    host.shutdown(END, |_| {});
                    return packets;
                }
                _ => {}
            }
        }
        packets
    });
    let mut socket = Socket::builder().simulated_link(link).client()?;
    let id = socket.connect(url, None)?;
    while !matches!(
        socket.wait_event(Duration::from_secs(10)).ok_or("nobody answers")?,
        Event::Established { .. }
    ) {}

    let mut pace = Pace::new(Instant::now());
    let (mut sent, mut dropped) = (0_u32, 0_u32);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        while let Some(event) = socket.wait_event(Duration::from_millis(1)) {
            match event {
                Event::Verdict { delivery, .. } => {
                    pace.verdict(delivery.is_delivered());
                    dropped += u32::from(!delivery.is_delivered());
                }
                Event::Close { code, .. } => return Err(code.to_string().into()),
                _ => {}
            }
        }
        while pace.take(Instant::now()) {
            match socket.send(id, &[7; PAYLOAD]) {
                Ok(_) => sent += 1,
                // The verdicts lag behind: the window says so before they do.
                Err(SendError::WindowFull | SendError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    println!("{sent} packets sent, {dropped} dropped; the rate is {:.0} a second now", pace.rate);
    socket.shutdown(END, |_| {});
    let arrived = receiver.join().map_err(|_| "the host has stopped")?;
    println!("{arrived} arrived");
    assert!(arrived > 100, "the path was used");
    assert!(dropped * 4 < sent, "and not flooded");
    Ok(())
}
