//! A host that sends back what it gets, and a client that looks how long that takes, over a bad network.
//!
//! Run it: `cargo run --example echo`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{Event, LinkConfig, SendError, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end: enough for all last verdicts, and to answer the other side while it may ask.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    // Every datagram of the host takes 15 to 20 ms, and one in ten is lost. Leave this line out for a real host.
    let link: LinkConfig = "delay=15,jitter=5,loss=10%".parse()?;
    let host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    // The key in the URL is the only one that the client takes. It is printed once, and given to friends.
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    println!("the host is at {url}");
    let host = thread::spawn(move || run_host(host));
    run_client(&url)?;
    host.join().map_err(|_| "the host has stopped")??;
    Ok(())
}

fn run_host(mut socket: Socket) -> Result<(), Failure> {
    loop {
        socket.wait(None);
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
                    let _ = socket.accept_connection(request.connection, b"welcome");
                }
                // Sealed right into the outgoing batch, which leaves with the next `wait`.
                Event::Packet { connection, payload, .. } => match socket.send(connection, &payload) {
                    // A client that does not keep up, or is leaving, gets no echo, and ends nothing else.
                    Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                    Err(error) => return Err(error.into()),
                },
                // Only this example has had its guest then.
                Event::Close { .. } => {
                    // The client may have missed the answer to its close, so the host stays a while.
                    socket.shutdown(END, |_| {});
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

pub(crate) fn run_client(url: &str) -> Result<(), Failure> {
    let mut socket = Socket::client()?;
    let id = socket.connect(url, None)?;
    let begun = Instant::now();
    let (mut sent, mut lost, mut echoes) = (0_u32, 0, 0);
    let mut next_send = begun;
    loop {
        let left = next_send.saturating_duration_since(Instant::now());
        while let Some(event) = socket.wait_event(left) {
            match event {
                Event::Established { accept_data, .. } => {
                    println!(
                        "connected after {:?}: {}",
                        begun.elapsed(),
                        String::from_utf8_lossy(&accept_data)
                    );
                }
                Event::Packet { payload, .. } => {
                    // Nothing vouches for what the host sends: it may be no echo.
                    let sent_at = payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                    let sent_at = sent_at.map(Duration::from_micros);
                    match sent_at.and_then(|sent_at| begun.elapsed().checked_sub(sent_at)) {
                        Some(took) => println!("  an echo after {took:?}"),
                        None => return Err("the host sent something else than an echo".into()),
                    }
                    echoes += 1;
                }
                Event::Verdict { sequence, delivery, .. } if !delivery.is_delivered() => {
                    println!("  packet {sequence} did not arrive");
                    lost += 1;
                }
                Event::Close { code, .. } => return Err(format!("the connection ended: {code}").into()),
                _ => {}
            }
            if next_send <= Instant::now() {
                break;
            }
        }
        next_send += Duration::from_millis(50);
        if sent == 30 {
            break;
        }
        if socket.max_packet_size(id).is_some() {
            match socket.send(id, &(begun.elapsed().as_micros() as u64).to_be_bytes()) {
                Ok(_) => sent += 1,
                // The host does not keep up: later.
                Err(SendError::WindowFull | SendError::Blocked) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if let Some(figures) = socket.connection_stats(id) {
        println!("round-trip time {:?}", figures.rtt);
    }
    // Packets under way still get their verdicts, and events that wait are given out.
    socket.shutdown(END, |event| match event {
        Event::Packet { .. } => echoes += 1,
        Event::Verdict { delivery, .. } if !delivery.is_delivered() => lost += 1,
        _ => {}
    });
    println!("{sent} sent, {echoes} came back, {lost} were lost on the way there");
    if echoes == 0 { Err("nothing came back".into()) } else { Ok(()) }
}
